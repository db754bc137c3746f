# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 11 · Save, resume, export, serve
#
# Training is over. Now somebody wants to use what the network has learned: on another day, on
# another computer, in a program that has never heard of this notebook. Most mistakes on this way
# are silent. The program runs, and its answers are wrong.
#
# This lesson goes the whole way. It saves a training and looks into the file. It kills a training
# in the middle and goes on. It packs the network for other programs, with and without PyTorch. At
# the end, a small server takes a picture and answers with a digit.
#
# **After this lesson you can**
#
# - say what is in a checkpoint, and why it is opened with `weights_only=True`;
# - kill a training at any moment, go on, and prove that nothing was lost;
# - export a network, and run it in a process that has neither its code nor this library;
# - name the three things that must travel with a network: its preprocessing, its mode, the names of
#   its classes;
# - serve predictions over HTTP, and refuse input that makes no sense.
#
# It takes about 40 minutes. You should know lessons 1 and 2.

# %%
import copy
import json
import os
import pickle
import runpy
import subprocess
import sys
import tempfile
import textwrap
import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.transforms import Normalize

import tutorial as tl

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# All files of this lesson go into a directory that is removed at the end.

# %%
here = Path.cwd()
folder = tempfile.TemporaryDirectory()
os.chdir(folder.name)

# %% [markdown]
# ## Part 1: what is in a checkpoint
#
# First a network that has learned something. It has batch norm and dropout, because both behave
# differently in training and in use.

# %%
MEAN, STD = 33.3, 78.6  # of the pixels, which go from 0 to 255

mnist = tl.datasets.MNIST(mode="train", transform=Normalize(mean=[MEAN], std=[STD]))
train_data = TensorDataset(*mnist[:3000])
eval_data = TensorDataset(*mnist[50_000:51_000])


def new_model():
    network = nn.Sequential(
        nn.Conv2d(1, 8, kernel_size=5, stride=2),  # (N, 1, 28, 28) to (N, 8, 12, 12)
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(8 * 12 * 12, 10),
    )
    model = tl.Model(network)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    return model


tl.seed(0)
model = new_model()

# %% tags=["nbval-ignore-output"]
model.fit(train_data, epochs=2, verbose=0)
result = model.evaluate(eval_data, verbose=0)
print(f"acc {result['acc']:.3f}")
assert result["acc"] > 0.88

# %% [markdown]
# `save` writes one file. Open it with plain PyTorch.

# %%
model.save("digits")
state = torch.load("digits.pt", weights_only=True)
print("parts:", ", ".join(state))
for name, tensor in state["network"].items():
    print(f"  {name:22} {tuple(tensor.shape)}")

# %% [markdown]
# The part `network` has names and numbers: the weights, and the buffers of batch norm
# (`running_mean`, `running_var`). It has no code. Nothing in the file says that layer 0 is a
# convolution, or what happens between the layers.
#
# The part `optimizer` is Adam's state: two numbers for each weight. So a file to go on from is
# about three times as large as the weights.

# %%
weights = sum(weight.numel() for weight in model.parameters())
memory = sum(
    part.numel() for kept in state["optimizer"]["state"].values() for part in kept.values()
)
print(f"{weights:,} weights, {memory:,} numbers of the optimizer: {memory / weights:.2f} for each")
print("of the first weight tensor:", ", ".join(state["optimizer"]["state"][0]))

# %% [markdown]
# To load, make the network first, by the same code, and then put the numbers in. If the code has
# changed since, `load` refuses, and changes nothing.

# %%
other = tl.Model(nn.Sequential(nn.Conv2d(1, 8, kernel_size=3, stride=2), nn.BatchNorm2d(8)))
try:
    other.load("digits")
except ValueError as error:
    print(textwrap.fill(str(error), 90))

# %% [markdown]
# ### Why weights_only
#
# Python's own format for objects is `pickle`. A pickle is not a list of values. It is a program
# that builds them, and it may call any function. `torch.save` uses it. Here is a file that looks
# like a checkpoint, from a friend.


# %%
class Surprise:
    def __reduce__(self):  # pickle asks: how are you built?
        return print, ("this line was printed by a file",)


torch.save({"network": {"weight": torch.zeros(3)}, "note": Surprise()}, "from_a_friend.pt")
loaded = torch.load("from_a_friend.pt", weights_only=False)

# %% [markdown]
# Loading it has run a function that the file has chosen. Here it was `print`; it could have been
# one that deletes your files. With `weights_only=True`, PyTorch builds tensors, numbers, strings
# and the like, and nothing else.

# %%
try:
    torch.load("from_a_friend.pt", weights_only=True)
except pickle.UnpicklingError as error:
    print("refused:", type(error).__name__)

# %% [markdown]
# `model.load` always loads in this way. So should you, also with files of your own: one day one of
# them will come from somewhere else. (Since PyTorch 2.6 it is what `torch.load` does by itself.)
#
# ### With or without the optimizer
#
# Go on from the file in two ways: with Adam's state, and with the weights alone. Which one equals
# the training that simply goes on? All three get the same data in the same order.


# %%
def five_more_steps(model):
    tl.seed(1)
    return model.fit(TensorDataset(*train_data[:320]), verbose=0).step_losses


straight = five_more_steps(model)

with_memory, alone = new_model(), new_model()
with_memory.load("digits")
alone.load("digits", reset_optimizer=True)
for name, loaded in (("with the optimizer", with_memory), ("weights alone", alone)):
    losses = zip(five_more_steps(loaded), straight, strict=True)
    print(f"{name:18} ", *["equal" if a == b else "other" for a, b in losses])

# %% [markdown]
# With the weights alone the first loss is right, since it needs only the weights. Then the
# optimizer makes another step. To *use* a network, the weights are enough. To *train on*, they are
# not.
#
# ## Part 2: kill it, and resume
#
# A training of days will be interrupted: by a power cut, or because somebody needs the computer.
# Lesson 2 broke one off with an error. Now we do it for real. The training is a program of its own,
# in its own process, and it ends with `os._exit`: at once, in the middle of an epoch, without
# cleaning up. That is what happens when a process is killed.

# %%
torch.save(list(train_data[:1000]), "digits_to_train_on.pt")

Path("train.py").write_text("""\
import os
import sys

import torch
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl


class PowerCut(tl.callbacks.Callback):
    def __init__(self, at):
        self.at = at

    def on_train_batch_end(self, step, logs=None):
        self.at -= 1
        if self.at == 0:
            os._exit(9)


def train(save_dir, power_cut_at=-1):
    torch.set_num_threads(1)
    tl.set_device("cpu")
    tl.seed(0)
    layers = nn.Flatten(), nn.Dropout(0.2), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10)
    model = tl.Model(nn.Sequential(*layers))
    model.prepare(torch.optim.Adam(model.parameters()), nn.CrossEntropyLoss())
    data = TensorDataset(*torch.load("digits_to_train_on.pt", weights_only=True))
    history = model.fit(
        data,
        epochs=5,
        callbacks=PowerCut(power_cut_at),
        save_dir=save_dir,
        resume=True,
        verbose=0,
    )
    return model, history


if __name__ == "__main__":
    train(sys.argv[1], int(sys.argv[2]))
""")
print("train.py is written")

# %% [markdown]
# 1,000 images are 16 steps an epoch. Let it run until step 40, in the middle of epoch 3.

# %%
killed = subprocess.run([sys.executable, "train.py", "run", "40"])
print("the process ended with", killed.returncode)
print("files:", ", ".join(sorted(path.name for path in Path("run").iterdir())))

# %% [markdown]
# Two epochs were saved (0.pt and 1.pt), and eight steps are lost. Now start the same program again,
# in another process: this one. Nothing but the directory connects the two. And once more in an
# empty directory, without a power cut.

# %%
train = runpy.run_path("train.py")["train"]
resumed, resumed_history = train("run")
straight, straight_history = train("never_broken")

assert resumed_history.step_losses == straight_history.step_losses
ours, theirs = resumed.network.state_dict(), straight.network.state_dict()
assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
print(len(resumed_history.step_losses), "losses and", len(theirs), "tensors: equal, bit for bit")

# %% [markdown]
# All 80 steps have the same losses, also the 32 from before the power cut, which are in the
# checkpoint too. It works because *everything* that the training depends on is in the file:
# weights, optimizer, history, and the random state, which decides on order and dropout. What is not
# in the file must be the same when you start again: the code, the data, the callbacks.
#
# And what if the power is cut while a file is being written? `fit` writes to another name first and
# renames the file when it is complete. Renaming is *atomic*. So there is always a whole file.
# Exercise 1 does this.
#
# ## Part 3: three things that must travel
#
# Now to the users of the network. They get the weights, and can still get nearly everything wrong.
#
# ### Preprocessing
#
# Our network was trained on pixels from which 33.3 was subtracted, and which were then divided by
# 78.6. The weights know nothing of this. Here are four users. All feed images of digits; only the
# first one prepares them as we did.

# %% tags=["nbval-ignore-output"]
pixels, labels = mnist.data[50_000:51_000], mnist.targets[50_000:51_000]  # bytes, 0 to 255
x = pixels[:, None].float()
prepared = {
    "as in training": (x - MEAN) / STD,
    "pixels as they are": x,
    "from 0 to 1": x / 255,
    "black on white": (255 - x - MEAN) / STD,
}
results = {}
for name, images in prepared.items():
    results[name] = model.evaluate(TensorDataset(images, labels), verbose=0)
    print(f"{name:19} loss {results[name]['loss']:7.3f}  acc {results[name]['acc']:.3f}")
right, *wrong = results.values()
assert all(one["loss"] > 1.1 * right["loss"] for one in wrong)
assert min(one["acc"] for one in wrong) < right["acc"] - 0.3

# %% [markdown]
# No error, no warning: just worse answers. Where the accuracy falls only a little, look at the
# loss: the probabilities are wrong, too. The cure is not a note in a file that nobody reads. **Make
# the preprocessing a part of the network.** Then it is in every file that the network is in.


# %%
class DigitReader(nn.Module):
    """From pixels, bytes (N, 28, 28), to a probability for each digit (N, 10)."""

    def __init__(self, network, mean, std):
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean))  # a buffer is saved with the weights
        self.register_buffer("std", torch.tensor(std))

    def forward(self, pixels):
        x = (pixels.unsqueeze(1).float() - self.mean) / self.std
        return self.network(x).softmax(dim=1)


reader = DigitReader(model.network, MEAN, STD).eval()
with torch.no_grad():
    probabilities = reader(pixels)
acc = (probabilities.argmax(dim=1) == labels).float().mean().item()
assert abs(acc - right["acc"]) < 1e-6
print("from raw pixels: the accuracy of the first user;", ", ".join(list(reader.state_dict())[:2]))

# %% [markdown]
# ### Evaluation mode
#
# When you load weights, the network is in training mode. Dropout is on, and batch norm looks at the
# batch. The answer to a picture is then random, and depends on the other pictures that came with it
# (lesson 5). It even changes the network: batch norm updates its buffers. So we show it with a
# copy.

# %% tags=["nbval-ignore-output"]
tl.seed(0)
twin = copy.deepcopy(reader)
for mode in ("eval", "train"):
    getattr(twin, mode)()
    answers = [twin(pixels[:1])[0, labels[0]].item() for _ in range(3)]
    print(f"{mode + '()':8}", "  ".join(f"{answer:.3f}" for answer in answers))
assert len(set(answers)) > 1

# %% [markdown]
# A file made by an *export*, which comes next, is always in evaluation mode. There is no switch.
#
# ### The names of the classes
#
# The network gives numbers from 0 to 9, and here class 3 is the digit 3. In general, a class is
# only an index into a list, and the list is somewhere else. Many programs make it by sorting the
# names of directories. Sorted as strings, with twelve classes:

# %%
print(sorted(str(number) for number in range(12)))

# %% [markdown]
# Class 2 is the "10". So write the list into a file that travels with the network, and read it
# there. Do not sort again.

# %%
CLASSES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
Path("reader.json").write_text(json.dumps({"classes": CLASSES}))
print(Path("reader.json").read_text())

# %% [markdown]
# ## Part 4: export
#
# `save(path, training=False)` writes the network for use elsewhere: its weights *and* what it
# computes, as a list of operations. The files need neither our class `DigitReader` nor this
# library. There are two of them: `.pt2` for PyTorch (`torch.export`), and `.onnx` for other
# programs: there are runtimes for telephones, browsers, C++ and many more.
#
# The `None` in `InputSpec` says that the size of the batch may vary. (ONNX needs the packages
# `onnx` and `onnxscript`, the extra `export` of this library. Without them `save` writes the `.pt2`
# alone, and says so.)

# %% tags=["nbval-ignore-output"]
spec = tl.InputSpec((None, 28, 28), dtype="uint8", name="pixels")
exported = tl.Model(reader, inputs=spec).save("reader", training=False)
print([path.name for path in exported])
calls = [n for n in torch.export.load("reader.pt2").graph.nodes if n.op == "call_function"]
for call in calls:
    print(" ", call.target)
[dropout] = [call for call in calls if "dropout" in str(call.target)]
print("dropout: p, in training?", dropout.args[1:])

# %% [markdown]
# There is the whole network, as a dozen operations: the preprocessing, the convolution, batch norm,
# and so on up to `softmax`. Dropout is still listed, but its switch stands on "not in training",
# for ever.
#
# ### The export that people can read
#
# A `.pt2` or `.onnx` is for machines. If a *person* is to go on with your work, there is a third
# way. Every call of the model is a program, and a program can be saved as a script: plain PyTorch,
# with the network written out, and its weights in a file of their own.

# %%
images = TensorDataset(prepared["as in training"][:200])
model.unroll("predict", images, stack_outputs=True).save("my_predict.py")
print(Path("my_predict.py").read_text())

# %% [markdown]
# This file can be read, run, changed, and kept under version control.
#
# ### A process without the library
#
# To be sure, use both where nothing else is. This program forbids itself to import `tutorial`. It
# asks the `.pt2` for 200 pictures, runs the script, and writes down all answers.

# %%
np.save("pixels.npy", pixels[:200].numpy())

Path("elsewhere.py").write_text("""\
import runpy
import sys

sys.modules["tutorial"] = None  # from now on, `import tutorial` fails

import numpy
import torch

reader = torch.export.load("reader.pt2").module()
with torch.no_grad():
    by_pt2 = reader(torch.from_numpy(numpy.load("pixels.npy")))
[by_script] = runpy.run_path("my_predict.py")["outputs"]
torch.save((by_pt2, by_script.softmax(dim=1)), "answers.pt")
""")
subprocess.run([sys.executable, "elsewhere.py"], check=True)

expected = probabilities[:200]
for name, answers in zip((".pt2", "script"), torch.load("answers.pt"), strict=True):
    assert torch.allclose(answers, expected, atol=1e-5)
    print(f"200 answers of the {name}: the same, but for rounding")

# %% [markdown]
# ### A process without PyTorch
#
# `onnxruntime` runs the other file. PyTorch is not needed, and not loaded.

# %%
Path("without_torch.py").write_text("""\
import sys

import numpy
import onnxruntime

session = onnxruntime.InferenceSession("reader.onnx")
[probabilities] = session.run(None, {"pixels": numpy.load("pixels.npy")})
numpy.save("by_onnx.npy", probabilities)
assert "torch" not in sys.modules
""")
if find_spec("onnxruntime") and Path("reader.onnx").exists():
    subprocess.run([sys.executable, "without_torch.py"], check=True)
    assert np.allclose(np.load("by_onnx.npy"), expected.numpy(), atol=1e-4)
    print("200 answers of the .onnx: the same, but for rounding")
else:
    print("to run this cell: pip install onnx onnxscript onnxruntime")

# %% [markdown]
# "But for rounding": another program adds in another order. So after an export always compare, on
# some hundred samples, not on one.

# %% [markdown]
# ## Part 5: serve
#
# Now the answer must come to the user. A *server* is a program that waits for a question over the
# network and sends an answer. Python has one built in. Ours takes a picture in one of two forms:
#
# - `application/json`: `{"pixels": [[0, 0, ...], ...]}`, 28 rows of 28 numbers from 0 to 255;
# - `application/octet-stream`: the 784 bytes as they are.
#
# ### Validate the input
#
# The network answers to *everything*. Noise, a cat, a picture upside down: it gives probabilities.
# So what makes no sense must be refused before it gets there, in words that tell the sender what to
# do. One function does this, and knows nothing of servers. So it is easy to test.


# %%
def pixels_from(body, kind):
    """The picture in a request, as a tensor (1, 28, 28) of bytes; ValueError if it is none."""
    if kind == "application/octet-stream":
        if len(body) != 784:
            raise ValueError(f"the picture has {len(body)} bytes, but 28 x 28 = 784 are expected")
        return torch.frombuffer(bytearray(body), dtype=torch.uint8).view(1, 28, 28)
    if kind != "application/json":
        raise ValueError(f"the type is {kind!r}; send application/json or octet-stream")
    try:
        numbers = torch.tensor(json.loads(body)["pixels"], dtype=torch.float64)
    except (ValueError, TypeError, KeyError, RuntimeError):  # no JSON, no numbers, odd rows, ...
        raise ValueError('expected {"pixels": 28 lists of 28 numbers}') from None
    if numbers.shape != (28, 28):
        raise ValueError(f"the picture is {list(numbers.shape)}, but [28, 28] is expected")
    if not (numbers.min() >= 0 and numbers.max() <= 255):
        low, high = numbers.min().item(), numbers.max().item()
        raise ValueError(f"the pixels go from {low:g} to {high:g}, but 0 to 255 is expected")
    if 0 < numbers.max() <= 1:
        raise ValueError("all pixels are 0 to 1; are they divided by 255? Send them as 0 to 255")
    return numbers.to(torch.uint8)[None]


# %% [markdown]
# (The last check is a *heuristic*. It catches the third of our four users. The fourth, black on
# white, cannot be caught by a range.)
#
# ### The server
#
# It uses only the exported file and the list of names: nothing of the training. A handler reads the
# request, up to a limit, and writes the reply. `200` means "here is your answer", `400` "your
# request is wrong", `413` "too large".

# %%
predict = torch.export.load("reader.pt2").module()
names = json.loads(Path("reader.json").read_text())["classes"]


class Handler(BaseHTTPRequestHandler):
    timeout = 5  # do not wait longer for a client

    def do_POST(self):
        status, content = self.answer()
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self):
        try:
            length = int(self.headers.get("Content-Length", 0))
            if not 0 <= length <= 20_000:
                # Read what the client sends; before that it does not read our answer.
                self.rfile.read(min(max(length, 0), 10**6))
                return 413, {"error": f"{length} bytes, but 20000 is the most"}
            pixels = pixels_from(self.rfile.read(length), self.headers.get("Content-Type"))
        except ValueError as error:
            return 400, {"error": str(error)}
        with torch.no_grad():  # here: the setting belongs to a thread, and each request has its own
            probability, digit = predict(pixels)[0].max(dim=0)
        return 200, {"digit": names[digit], "probability": round(probability.item(), 4)}

    def log_message(self, *_):  # by default it writes a line for each request
        pass


# %% [markdown]
# Start it in a thread, so that the notebook is free to ask. `127.0.0.1` means that only this
# computer can reach it. Port 0 means: any port that is free.

# %%
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
thread = threading.Thread(target=server.serve_forever)
thread.start()
print("it waits:", thread.is_alive())

# %% [markdown]
# The other side: a client. It sends a picture and reads the answer.


# %%
def ask(body, kind="application/json"):
    """Send a picture to the server; return the status and the answer."""
    url = f"http://127.0.0.1:{server.server_port}/"
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


answers = []
for picture in pixels[:6]:
    _, by_json = ask(json.dumps({"pixels": picture.tolist()}).encode())
    status, by_bytes = ask(picture.numpy().tobytes(), "application/octet-stream")
    assert status == 200 and by_json == by_bytes
    answers.append(by_json)
digits = torch.tensor([CLASSES.index(answer["digit"]) for answer in answers])
assert torch.equal(digits, probabilities[:6].argmax(dim=1))
tl.show(x[:6], labels[:6], digits)

# %% tags=["nbval-ignore-output"]
print(answers[0])
assert 0.1 < answers[0]["probability"] <= 1

# %% [markdown]
# The same answers as those of the network in our hands, in both forms. Now send what makes no
# sense.

# %%
picture = pixels[0].tolist()
bad = {
    "27 rows": {"pixels": picture[:27]},
    "a row too short": {"pixels": [*picture[:27], [0]]},
    "above 255": {"pixels": [[2 * pixel for pixel in row] for row in picture]},
    "from 0 to 1": {"pixels": [[pixel / 255 for pixel in row] for row in picture]},
    "another name": {"image": picture},
}
for name, content in bad.items():
    print(f"{name}:", *ask(json.dumps(content).encode()))
print("no JSON:", *ask(b"a cat"))
print("783 bytes:", *ask(bytes(783), "application/octet-stream"))
print("an image file:", *ask(b"GIF89a", "image/gif"))
print("too large:", *ask(bytes(20_001), "application/octet-stream"))

# %% [markdown]
# Each refusal says what was seen and what is expected. Is the server still well? Ask once more.
# Then shut it down: `shutdown` ends the loop, `join` waits for the thread, `server_close` gives the
# port back.

# %%
status, answer = ask(pixels[0].numpy().tobytes(), "application/octet-stream")
assert (status, answer) == (200, answers[0])

server.shutdown()
thread.join()
server.server_close()
print("it waits:", thread.is_alive())

# %% [markdown]
# For the open internet this server is too simple: it has no encryption, no limit on the number of
# requests, no passwords. There one puts a proven web server in front. What you have built stays the
# same: a file, a list of names, a check, an answer.

# %%
os.chdir(here)
folder.cleanup()

# %% [markdown]
# ## Summary
#
# - A checkpoint holds names and numbers, not code: weights, the optimizer's state (twice the
#   weights, for Adam), the random state. Open files with `weights_only=True`: a pickle is a
#   program.
# - `save_dir=..., resume=True`: kill it whenever you like, the result is the same bit for bit.
# - The preprocessing, the mode and the names of the classes must travel with the network. Put the
#   preprocessing into the network.
# - `save(path, training=False)` writes `.pt2` and `.onnx`, which need neither the code nor the
#   library. Compare their answers with yours.
# - A server is little more than a check of the input around a prediction.
#
# | you want to | write |
# |---|---|
# | go on training | `model.save("file")`, `model.load("file")` |
# | survive a power cut | `fit(..., save_dir="run", resume=True)` |
# | run it in PyTorch, without the code | `save("file", training=False)`: `.pt2` |
# | run it without PyTorch | the same: `.onnx` |
# | give it to a person | `model.unroll(...).save("script.py")` |

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it: `tl.check` tells at once what is right. If
# something is not, it says where it first goes wrong. Change your code and run both cells again, as
# often as you like.
#
# If you do not know how to begin: `tl.hint("save_whole")` asks a question that helps, and gives a
# nudge when you run it again. `tl.progress()` shows what is solved.
#
# The exercises need none of the cells above. You can restart the kernel and begin here.

# %% tags=["exercises"]
import os
import tempfile
from pathlib import Path

import torch
from torch import nn

import tutorial as tl

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# ### Exercise 1: write a file atomically
#
# `torch.save(state, path)` may break off in the middle: the disk is full, or something in the state
# cannot be saved. Then the file at `path` is damaged, also if a good one was there before.
#
# Write a function that saves to `path`, which is a `Path`, in one piece. Write to another file *in
# the same directory* first, then put it in the place of the old one: `os.replace(new, old)` does so
# in a single act. If saving fails, let the error pass on, but leave the old file as it was, and no
# other file behind.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "save_whole_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def save_whole(state, path):
    ### BEGIN SOLUTION
    beside = path.with_name(path.name + ".part")
    try:
        torch.save(state, beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "save_whole", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("save_whole", save_whole).require()
with tempfile.TemporaryDirectory() as name:
    path = Path(name) / "model.pt"
    save_whole({"a": torch.ones(2)}, path)
    save_whole({"a": torch.zeros(2)}, path)
    assert torch.equal(torch.load(path, weights_only=True)["a"], torch.zeros(2))
    assert [other.name for other in Path(name).iterdir()] == ["model.pt"]
### END HIDDEN TESTS
tl.check("save_whole", save_whole)

# %% [markdown]
# ### Exercise 2: preprocessing in the network
#
# Write a network around a network. `Portable(network, mean, std, classes)` takes bytes `(N, 28,
# 28)` from 0 to 255. It makes numbers of them, subtracts `mean`, divides by `std`, adds the axis of
# the one channel, `(N, 1, 28, 28)`, and asks the network. It returns probabilities `(N, 10)`.
#
# `mean` and `std` must be in its `state_dict()`. Its method `names(pixels)` returns a list with the
# name of the most probable class for each picture. It must give the same names in whatever mode
# `Portable` was before.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "portable_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Portable(nn.Module):
    def __init__(self, network, mean, std, classes):
        super().__init__()
        ### BEGIN SOLUTION
        self.network = network
        self.classes = classes
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))
        ### END SOLUTION

    def forward(self, pixels):
        ### BEGIN SOLUTION
        x = (pixels.unsqueeze(1).float() - self.mean) / self.std
        return self.network(x).softmax(dim=1)
        ### END SOLUTION

    def names(self, pixels):
        ### BEGIN SOLUTION
        self.eval()
        with torch.no_grad():
            return [self.classes[i] for i in self(pixels).argmax(dim=1)]
        ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "portable", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("portable", Portable).require()
network = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
pixels = tl.datasets.MNIST("test").data[:3]
saved = Portable(network, 33.3, 78.6, list("abcdefghij")).state_dict()
other = Portable(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), 0.0, 1.0, list("abcdefghij"))
other.load_state_dict(saved)
x = (pixels[:, None].float() - 33.3) / 78.6
assert torch.allclose(other(pixels), network(x).softmax(dim=1), atol=1e-5)
### END HIDDEN TESTS
tl.check("portable", Portable)

# %% [markdown]
# ### Exercise 3: validate the input
#
# A client sends a picture as nested lists, which came from JSON. Return it as a tensor of bytes
# (`torch.uint8`) of shape `(1, 28, 28)`. If it is not a list of 28 lists of 28 numbers, or a number
# is not an integer from 0 to 255, raise a `ValueError`: never another error, and never let it pass.
# The message of a number out of range must contain this number.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "checked_pixels_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def checked_pixels(rows):
    ### BEGIN SOLUTION
    lists = isinstance(rows, list) and all(isinstance(row, list) for row in rows)
    if not lists or [len(row) for row in rows] != [28] * 28:
        raise ValueError("expected 28 lists of 28 numbers")
    for row in rows:
        for pixel in row:
            if type(pixel) is not int or not 0 <= pixel <= 255:
                raise ValueError(f"a pixel is {pixel!r}; integers from 0 to 255 are expected")
    return torch.tensor(rows, dtype=torch.uint8)[None]
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "checked_pixels", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("checked_pixels", checked_pixels).require()
picture = tl.datasets.MNIST("test").data[0]
assert torch.equal(checked_pixels(picture.tolist()), picture[None])
### END HIDDEN TESTS
tl.check("checked_pixels", checked_pixels)
