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
# # Train, evaluate, predict
#
# You have data. You have a network. Now the network has to learn.
#
# That takes three things:
#
# - **Train.** Go through the training data several times; each pass is an *epoch*. Take a small
#   *batch* of samples at a time. Predict. Measure with the *loss* how wrong the predictions are.
#   Find for every weight the direction that makes the loss smaller, and let the *optimizer* take
#   one small step that way. If training works, the loss falls from epoch to epoch.
# - **Evaluate.** Predict for data that was never trained on. Measure the loss, and *metrics* that a
#   person can read, such as the accuracy.
# - **Predict.** Give the network samples, and look at its answers.
#
# There are two ways to do all three. The *high level* is short: one line for each. The *low level*
# is plain PyTorch: you write the loop, so you can change anything in it.
#
# The high level is made of the low level. This lesson shows both, and shows that they are the same.
#
# The lesson takes about 60 minutes.
#
# **After this lesson you can**
#
# - train, evaluate and use a network with `fit`, `evaluate` and `predict`;
# - read the plain PyTorch loop behind each of them, line by line;
# - write these loops by hand, and prove that they do the same;
# - change the loop that `fit` runs, and hand it back;
# - save what the network learned, and load it again.

# %% [markdown]
# ## Before training
#
# First come the imports. `tutorial` is the library of these lessons; the rest is PyTorch, and
# matplotlib for the pictures. Nothing has to be downloaded.
#
# One line below needs a reason: `torch.set_num_threads(1)`. A computer rounds every sum. Several
# threads split a sum into parts and so round it differently. One thread always adds in the same
# order, so you get the same numbers in each run. (Another kind of processor still rounds in its own
# way: your numbers may differ a little from the ones on this page.)

# %%
import tempfile
from pathlib import Path

import torch
from matplotlib import pyplot as plt
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import Normalize

import tutorial as tl

torch.set_num_threads(1)
plt.rcParams["figure.dpi"] = 80

# %% [markdown]
# ### The device
#
# A network trains on a processor (CPU) or on a graphics card (GPU). If you choose nothing, a model
# takes the first GPU, or the CPU where there is no GPU. So this step is optional.
#
# `set_device` makes the choice: `"cpu"`; `"gpu"` or `"gpu:0"`, the first card; `"gpu:1"`, the
# second card; and so on. PyTorch writes `cuda:0` for `gpu:0`; both names work here. A device that
# is not there is an error, and the message lists the devices that are.
#
# The environment variable `CUDA_VISIBLE_DEVICES` hides cards from a program. **The numbers count
# only the cards that are left, from 0.** After `export CUDA_VISIBLE_DEVICES=0,1,2` there are
# `gpu:0`, `gpu:1` and `gpu:2`. After `export CUDA_VISIBLE_DEVICES=1` there is one card: its name is
# now `gpu:0`, though it is the second card of the machine, and `gpu:1` is an error. Set the
# variable before Python starts.
#
# The network of this lesson is small. The CPU is enough.

# %%
tl.set_device("cpu")

# %% [markdown]
# ### The data
#
# MNIST is a set of handwritten digits: 60,000 images to train on and 10,000 to test with. Each has
# 28 × 28 pixels, from 0 (paper) to 255 (ink), and a label: the digit it shows.
#
# Networks learn best from small numbers around zero. `Normalize` computes `(pixel - mean) / std`
# for every pixel. With 127.5 for both, 0 becomes -1 and 255 becomes 1.

# %%
transform = Normalize(mean=[127.5], std=[127.5])
train_data = tl.datasets.MNIST(mode="train", transform=transform)
test_data = tl.datasets.MNIST(mode="test", transform=transform)
print(len(train_data), "samples to train on,", len(test_data), "to test with")

# %% [markdown]
# A dataset is like a list. Each item is a pair: an image and its label. The shape `(1, 28, 28)`
# says: one colour channel, 28 rows, 28 columns.

# %%
image, label = train_data[0]
print("image:", tuple(image.shape), image.dtype)
print("its numbers: from", image.min().item(), "to", image.max().item())
print("label:", label.item())

# %% [markdown]
# Look at your data before you train on it. This small function draws images with a title above
# each; it will serve us several times.


# %%
def show(images, titles, columns):
    rows = len(images) // columns
    size = (1.1 * columns, 1.4 * rows)
    _, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for ax, image, title in zip(axes.flat, images, titles, strict=True):
        ax.imshow(image[0], cmap="gray_r")  # [0]: the only channel
        ax.set_title(title)
        ax.axis("off")
    plt.show()


# %% [markdown]
# Several samples at once are a *batch*: the images in one tensor `x`, the labels in another, `y`.

# %%
x, y = train_data[:10]
print("x:", tuple(x.shape), " y:", tuple(y.shape))
show(x, y.tolist(), columns=10)

# %% [markdown]
# ### The network
#
# The network takes an image and gives ten numbers, one for each digit. Its five layers are:
#
# - `Flatten` puts the 28 × 28 pixels into one row of 784 numbers.
# - `Linear(784, 512)` computes 512 weighted sums of them. Its weights are learned.
# - `ReLU` keeps positive numbers and turns negative ones into 0. Without it, two linear layers
#   could do no more than one.
# - `Dropout(0.2)` sets each number to 0 with a chance of one fifth, but only in training. So the
#   network cannot rely on single numbers.
# - `Linear(512, 10)` computes the ten results.
#
# We write it as a function, because we will need a second, fresh network of the same kind later.


# %%
def new_network():
    return nn.Sequential(
        nn.Flatten(),  # (B, 1, 28, 28) to (B, 784); B is the number of samples in the batch
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(512, 10),  # to (B, 10)
    )


# %% [markdown]
# A network begins with random weights. Chance also decides the order of the samples, and which
# numbers dropout takes away. `tl.seed` gives chance a fixed start: the same seed, the same run.
#
# Set the seed right before the network is made, so that its weights depend on it too.

# %%
tl.seed(0)
network = new_network()
weights = sum(weight.numel() for weight in network.parameters())
assert weights == (784 * 512 + 512) + (512 * 10 + 10)
print(f"{weights:,} weights to learn")

# %% [markdown]
# ## Part 1: the high level
#
# ### Model: wrap the network
#
# A `Model` puts the network together with all that training needs. It has the methods `fit`,
# `evaluate` and `predict`.
#
# Two words to keep apart: the `network` is your PyTorch module; the `model` is the `Model` around
# it.

# %%
model = tl.Model(network)

# %% [markdown]
# ### prepare: how to learn
#
# `prepare` takes three things:
#
# - The **optimizer** decides how the weights move. The backward pass computes the gradients: for
#   each weight the direction in which the loss grows. The optimizer then moves each weight a little
#   the other way. Here it is Adam. `lr`, the learning rate, says how long a step is. The optimizer
#   must know the weights that it moves: `model.parameters()`. More of them are in `torch.optim`;
#   schedules that change the learning rate during training are in `torch.optim.lr_scheduler`.
# - The **loss** measures how far the predictions are from the labels. Training makes it small.
#   Cross-entropy is the usual loss for classes. More losses are in `torch.nn`.
# - **Metrics** tell a person how good the network is. Nothing is learned from them. Accuracy is the
#   share of correct answers. More are in `tl.metrics`. Lesson 3 is about losses and metrics.

# %%
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
loss_fn = nn.CrossEntropyLoss()
model.prepare(optimizer, loss_fn, tl.metrics.Accuracy())

# %% [markdown]
# ### fit: train
#
# Training is a loop inside a loop. The inner loop goes through the training data once, batch by
# batch. The outer loop repeats that. So `fit` needs three things from you:
#
# - the **training data**;
# - `epochs`: how often to go through the data, the turns of the outer loop;
# - `batch_size`: how many samples are in one batch of the inner loop.
#
# Good to know for later: `shuffle` (on: a new random order in each epoch), `drop_last` (leave out a
# last batch that is too short), `num_workers` (processes that load data in the background),
# `verbose` and `log_freq` (how much is shown), `callbacks` (what else should happen meanwhile:
# lesson 2 is about them).

# %% tags=["nbval-ignore-output"]
history = model.fit(train_data, epochs=5, batch_size=64)

# %% [markdown]
# Each line is one epoch. The loss is the mean over all samples of the epoch so far, and so is the
# accuracy. They are measured while the network learns: the first batches of an epoch met a network
# that knew less than it does at the end.
#
# The loss falls and the accuracy rises. So the training works. This cell makes sure of it. An
# `assert` whose claim is true says nothing; a false one is an error.

# %%
losses = [row["loss"] for row in history.rows]
accuracies = [row["acc"] for row in history.rows]
assert losses == sorted(losses, reverse=True), "the loss falls in each epoch"
assert accuracies == sorted(accuracies), "the accuracy rises in each epoch"

# %% [markdown]
# `fit` returns a `History`. It holds a row for each epoch in `history.rows`, and the loss of every
# single step in `history.step_losses`.

# %% tags=["nbval-ignore-output"]
history

# %% [markdown]
# How many steps are there? 60,000 samples make 937 full batches of 64, and one last batch of 32. So
# an epoch has 938 steps.

# %%
full, rest = divmod(len(train_data), 64)
print(full, "full batches, then one of", rest)
assert len(history.step_losses) == 5 * (full + 1)

# %% [markdown]
# The first loss tells something too. A network that knows nothing gives each of the ten digits
# about the same chance, 1/10. Its cross-entropy is then near -ln(1/10) = ln 10.

# %% tags=["nbval-ignore-output"]
ln_10 = torch.tensor(10.0).log().item()
print(f"the first loss: {history.step_losses[0]:.3f}   ln 10: {ln_10:.3f}")
assert abs(history.step_losses[0] - ln_10) < 0.2

# %% [markdown]
# A picture shows the same. On the left, the thin line is the loss of every step. It jumps, because
# each batch is different; some batches are harder. The circles are the means of the epochs.

# %%
history.plot()

# %% [markdown]
# ### evaluate: measure on new data
#
# A network can learn its training data by heart. So what counts is data that it has never seen.
# `evaluate` goes through the test data, with dropout off, and learns nothing.

# %% tags=["nbval-ignore-output"]
result = model.evaluate(test_data)
print(f"{result['acc']:.1%} of the {len(test_data):,} test images are recognized")
assert 0.96 < result["acc"] < 0.985

# %% [markdown]
# About 97 % of the digits are right. For so small a network that is a good result.
#
# `evaluate` returns a dict of plain numbers: the loss, and each metric under its name. Which names
# are in it depends on what `prepare` was given: a loss only; a loss and a metric; or a metric with
# several values. `topk=(1, 3)` also counts an answer as right if the label is among the best three
# guesses.

# %%
for metrics in (None, tl.metrics.Accuracy(), tl.metrics.Accuracy(topk=(1, 3))):
    other = tl.Model(network)
    other.prepare(loss=loss_fn, metrics=metrics)
    print(list(other.evaluate(test_data, verbose=0)))

# %% [markdown]
# The loss is the mean over all samples. So it does not depend on the batch size, but for rounding.
# Larger batches are just faster.

# %%
large = model.evaluate(test_data, batch_size=1000, verbose=0)
assert abs(large["loss"] - result["loss"]) < 1e-6
assert abs(large["acc"] - result["acc"]) < 1e-3

# %% [markdown]
# ### predict: use it
#
# `predict` returns the outputs of the network. Labels are not needed for that; where there are
# some, nobody looks at them.
#
# The result is a list. It has one item, since this network has one output. That item holds one
# tensor for each batch: 157 of them. The last one is short, because 10,000 is not a multiple of 64.
#
# (There are networks with several outputs: one may say which digit it is, and also whether it is
# odd. For such a network the list has one item for each output. If the network returns a dict, so
# does `predict`. Lesson 3 trains one.)

# %%
outputs = model.predict(test_data, batch_size=64, verbose=0)
print(len(outputs), "output, in", len(outputs[0]), "batches")
print("the first batch:", tuple(outputs[0][0].shape), " the last:", tuple(outputs[0][-1].shape))

# %% [markdown]
# Mostly you want one large tensor instead. `stack_outputs=True` joins the batches: a row for each
# image, a column for each digit.

# %%
[logits] = model.predict(test_data, stack_outputs=True, verbose=0)
assert torch.equal(logits, torch.cat(outputs[0]))
print(tuple(logits.shape))

# %% [markdown]
# The ten numbers of a row are **logits**: scores, larger is likelier. They are *not* probabilities;
# they can be negative. `softmax` makes probabilities of them: positive, and their sum is 1. (The
# loss `CrossEntropyLoss` does this itself. That is why the network ends without a softmax.)

# %% tags=["nbval-ignore-output"]
probabilities = logits.softmax(dim=1)
assert torch.allclose(probabilities.sum(dim=1), torch.ones(len(test_data)))
print("digit    logit    probability")
for digit in range(10):
    print(f"{digit:5}   {logits[0, digit]:6.2f}   {probabilities[0, digit]:12.4f}")

# %% [markdown]
# The answer is the digit with the highest score. `argmax` finds it. Softmax keeps the order, so
# logits and probabilities give the same answer.

# %%
predicted = logits.argmax(dim=1)
assert torch.equal(predicted, probabilities.argmax(dim=1))
image, label = test_data[0]
show([image], [f"true {label}\npredicted {predicted[0]}"], columns=1)
assert label == predicted[0] == 7

# %% [markdown]
# Here are the first twelve test images, each with `label → prediction`.

# %%
images, labels = test_data[:]
titles = [f"{a} → {b}" for a, b in zip(labels.tolist(), predicted.tolist(), strict=True)]
show(images[:12], titles[:12], columns=6)

# %% [markdown]
# The share of correct answers is the accuracy that `evaluate` returned.

# %% tags=["nbval-ignore-output"]
wrong = (predicted != labels).nonzero().flatten().tolist()
print(len(wrong), "of", len(labels), "are wrong")
assert abs(1 - len(wrong) / len(labels) - result["acc"]) < 1e-6

# %% [markdown]
# Mistakes teach more than successes. Here are twelve. Would you have read them all?

# %%
show(images[wrong[:12]], [titles[i] for i in wrong[:12]], columns=6)

# %% [markdown]
# ### One batch at a time
#
# Three more methods take one batch instead of a whole dataset: `train_batch`, `eval_batch` and
# `predict_batch`. The batch is given as `x` and `y`, two tensors with the samples along the first
# dimension.
#
# We try them on another, fresh network, so that ours stays as it is. It trains five times on the
# same 64 images. Watch the loss fall.

# %% tags=["nbval-ignore-output"]
other = tl.Model(new_network())
other.prepare(torch.optim.Adam(other.parameters(), lr=0.001), loss_fn, tl.metrics.Accuracy())
x, y = train_data[:64]
for _ in range(5):
    result_of_batch = other.train_batch(x, y)
    print(f"loss {result_of_batch['loss']:.3f}, acc {result_of_batch['acc']:.3f}")

# %% [markdown]
# `train_batch` measures first and then takes its step. So `eval_batch`, after the last step, finds
# a smaller loss still. `predict_batch` gives a list with one tensor, as `predict` does with
# `stack_outputs=True`.

# %%
after = other.eval_batch(x, y)
assert after["loss"] < result_of_batch["loss"]
print(list(after), "and", tuple(other.predict_batch(x)[0].shape))

# %% [markdown]
# ## Part 2: the low level
#
# ### The loop behind fit
#
# What did `fit` do? Ask it. `unroll` takes a method's name and the arguments you would give it. It
# returns the program that this call runs, as plain PyTorch.

# %%
program = model.unroll("fit", train_data, epochs=5, batch_size=64, log_freq=300)
program

# %% [markdown]
# This is not a drawing of the loop. **It is the loop.** `fit` writes this very text and runs it.
# Only the reporting differs: where this text prints, `fit` tells a progress display.
#
# Read it from top to bottom:
#
# 1. `torch.set_flush_denormal(True)` is for speed alone: extremely small numbers count as 0.
# 2. The **loader** makes batches. The random sampler gives a new order in each epoch, the batch
#    sampler cuts it into groups of 64, the loader fetches each group.
# 3. `for epoch ...` is the outer loop: 5 turns.
# 4. `network.train()` switches to training: dropout is on. It trains nothing yet.
# 5. `accuracy.reset()`: each epoch counts anew. The same holds for `loss_sum` and `samples`.
# 6. `for step, (x, y) ...` is the inner loop: one batch in each turn.
# 7. `y_hat = network(x)` predicts. This is the *forward* pass.
# 8. `loss = loss_fn(y_hat, y)` measures how wrong that was.
# 9. `loss.backward()` computes a gradient for every weight. This is the *backward* pass.
# 10. `optimizer.step()` moves every weight a little, against its gradient.
# 11. `optimizer.zero_grad()` clears the gradients. Otherwise the next batch would be added to them.
# 12. The rest keeps the books. The loss of a batch is a mean over its samples. So it is multiplied
#     by `len(x)` before it is added: then the short last batch counts for what it is.
#
# The heart is points 7 to 11. Their order matters: gradients must be there before the step, and be
# gone before the next backward pass. The books may be kept anywhere after the prediction.
#
# `network`, `optimizer`, `loss_fn` and `accuracy` are what `Model` and `prepare` were given.

# %% [markdown]
# ### Write it by hand
#
# Now write that loop yourself. What `prepare` remembered, you make here. Four points need care:
#
# - **A new network.** Training goes on from the weights as they are. Our `network` has been trained
#   already; its losses would say nothing about `fit`. So take a fresh one, from the same seed.
# - **The same optimizer.** A loop may compute the same in two ways, and round differently.
#   PyTorch's Adam has several implementations. `prepare` chose the fastest, `fused`. So we choose
#   it too.
# - **The loader** may be shorter. `DataLoader(..., shuffle=True)` makes the same batches. It puts
#   each batch together from single samples, which takes longer.
# - **Small numbers** count as 0 in `fit`, as point 1 above says. We do the same, and undo it
#   afterwards.

# %%
assert optimizer.param_groups[0]["fused"]
tl.seed(0)
my_network = new_network()
my_optimizer = torch.optim.Adam(my_network.parameters(), lr=0.001, fused=True)
train_loader = DataLoader(train_data, batch_size=64, shuffle=True)
accuracy = tl.metrics.Accuracy()
my_losses = []
flushed = torch.set_flush_denormal(True)

# %% [markdown]
# And this is the whole training, in twelve lines.

# %% tags=["nbval-ignore-output"]
for epoch in range(5):
    my_network.train()
    accuracy.reset()
    for x, y in train_loader:
        y_hat = my_network(x)  # forward: predict
        loss = loss_fn(y_hat, y)  # how wrong was it?
        loss.backward()  # backward: a gradient for every weight
        my_optimizer.step()  # one small step downhill
        my_optimizer.zero_grad()  # forget this batch's gradients
        my_losses.append(loss.item())
        accuracy.update(y_hat, y)
    print(f"epoch {epoch + 1}: last loss {loss:.4f}, acc {accuracy.accumulate():.4f}")

# %% [markdown]
# The accuracies are those of `fit`. Are the runs really the same? Compare every loss of every step,
# and the memory of every weight. `==` allows no difference at all, not even in the last bit.

# %%
flushed = torch.set_flush_denormal(False)  # as it was before
assert my_losses == history.step_losses
for mine, fits in zip(my_network.parameters(), network.parameters(), strict=True):
    assert mine.detach().numpy().tobytes() == fits.detach().numpy().tobytes()
assert accuracy.accumulate() == history.rows[-1]["acc"]
print(f"{len(my_losses):,} losses and {weights:,} weights: equal, bit for bit")

# %% [markdown]
# One trap is left. The accuracy of *one batch* and the accuracy *so far* are different things. The
# last batch has 32 samples, so its accuracy can only be a multiple of 1/32, and says little. The
# metric counts over all batches since its `reset`. So do the numbers of `fit`.

# %% tags=["nbval-ignore-output"]
of_batch = (y_hat.argmax(dim=1) == y).float().mean().item()
print(f"the last batch, {len(y)} samples: {of_batch:.4f}")
print(f"the epoch, {len(train_data):,} samples: {accuracy.accumulate():.4f}")

# %% [markdown]
# ### Let the library prove it
#
# You compared by hand. `verify` does it for any program. It writes the program into a file of its
# own that imports PyTorch and *never* this library, runs it in a new Python process, makes the call
# here on copies, and compares the two runs. The model stays as it is.
#
# To save time, the proof is for one epoch. It starts from the weights as they are now.
#
# (The result counts tensors. Here 4 weights are two matrices and two biases, 407,050 numbers
# together.)

# %%
proof = model.unroll("fit", train_data, epochs=1, batch_size=64).verify()
assert proof
proof

# %% [markdown]
# ### The loop behind evaluate
#
# Now the same for `evaluate`.

# %%
model.unroll("evaluate", test_data, batch_size=64)

# %% [markdown]
# Compare it with training:
#
# - The data is the test data, in its own order.
# - `network.eval()` instead of `network.train()`: dropout is off.
# - `torch.no_grad()`: PyTorch takes no notes for a backward pass.
# - There is no backward pass, no step, and no gradient to clear.
# - The loss is again the mean over samples, of *all* samples.
#
# By hand it is:

# %%
test_loader = DataLoader(test_data, batch_size=64)
my_network.eval()
accuracy.reset()
loss_sum, samples = 0.0, 0
with torch.no_grad():
    for x, y in test_loader:
        y_hat = my_network(x)
        loss_sum += loss_fn(y_hat, y).item() * len(x)
        samples += len(x)
        accuracy.update(y_hat, y)
my_result = {"loss": loss_sum / samples, "acc": accuracy.accumulate()}

# %% [markdown]
# Is this what `model.evaluate` returned in Part 1? Exactly, digit for digit.

# %%
assert my_result == result
print("equal, over", samples, "samples")

# %% [markdown]
# `eval()` and `no_grad()` are often mixed up. You need both:
#
# - `eval()` changes what the layers compute: dropout is off.
# - `no_grad()` changes what PyTorch remembers. Without it, each `loss` holds on to all that a
#   backward pass would need. That costs time and memory.
#
# `requires_grad` tells if PyTorch took notes. With `eval()` alone, it did. (`next(iter(...))` takes
# the first batch of a loader.)

# %%
x, y = next(iter(test_loader))
my_network.eval()
print("eval() alone:      notes are taken:", my_network(x).requires_grad)
with torch.no_grad():
    print("and no_grad() too: notes are taken:", my_network(x).requires_grad)

# %% [markdown]
# A second mistake is `drop_last=True` in an evaluation. It leaves out the last, short batch, and so
# some samples are never looked at.

# %%
short_loader = DataLoader(test_data, batch_size=64, drop_last=True)
print(len(test_loader), "batches:", samples, "samples")
print(len(short_loader), "batches with drop_last:", len(short_loader) * 64, "samples")

# %% [markdown]
# ### The loop behind predict
#
# Prediction is the shortest of the three. It is only the forward pass.

# %%
model.unroll("predict", test_data, stack_outputs=True)

# %% [markdown]
# By hand: no labels, no loss, no metric. The outputs are collected and joined. They equal the
# logits of Part 1.

# %%
my_network.eval()
y_hats = []
with torch.no_grad():
    for x, _ in test_loader:
        y_hats.append(my_network(x))
my_logits = torch.cat(y_hats)
assert torch.equal(my_logits, logits)

# %% [markdown]
# What you do with the outputs afterwards is up to you. Take one batch, find the best digit for its
# first image, and look:

# %%
x, y = next(iter(test_loader))
with torch.no_grad():
    best = my_network(x).argmax(dim=1)
show(x[:1], [f"true {y[0]}\npredicted {best[0]}"], columns=1)
assert y[0] == best[0] == 7

# %% [markdown]
# ## Part 3: both together
#
# High and low level are not two worlds. Take from each what you need.
#
# ### A network and an optimizer of your own
#
# Here a ready network, `LeNet` from `tl.models`, is a part of a larger one. LeNet is a small
# convolutional network for images of this size. The part that comes first is often called the
# *backbone*. The two layers behind it are plain PyTorch.


# %%
class FaceNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = tl.models.LeNet()  # (B, 1, 28, 28) to (B, 10)
        self.out_layer_1 = nn.Sequential(nn.Linear(10, 512), nn.ReLU(), nn.Dropout(0.2))
        self.out_layer_2 = nn.Linear(512, 10)

    def forward(self, x):
        return self.out_layer_2(self.out_layer_1(self.backbone(x)))


# %% [markdown]
# A word of honesty. The name is only a name: this network reads digits, not faces. And the way it
# is built is for demonstration. LeNet's ten outputs are already scores for the ten digits; whatever
# they leave out, the layers behind cannot bring back. In earnest you would take features from
# before the scores. `LeNet(num_classes=0)` gives these: 16 small maps of 5 × 5, 400 numbers instead
# of 10.

# %%
x, y = test_data[:1]
print("scores:  ", tuple(tl.models.LeNet()(x).shape))
print("features:", tuple(tl.models.LeNet(num_classes=0)(x).shape))

# %% [markdown]
# You make the network and the optimizer, as in the low level. The high level trains it. One epoch
# is enough here. `eval_data` is evaluated after each epoch; its results are named `eval_...`.
#
# (If you use such numbers to choose something, say the number of epochs, then choose on a third
# part of the data. Else the test data is no longer new.)

# %% tags=["nbval-ignore-output"]
tl.seed(0)
network = FaceNet()
optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
model = tl.Model(network)
model.prepare(optimizer, loss_fn, tl.metrics.Accuracy())
history = model.fit(train_data, eval_data=test_data, epochs=1, batch_size=64)
assert history.rows[-1]["eval_acc"] > 0.96

# %% [markdown]
# ### A loop of your own
#
# Now change the loop itself. Say you want to watch the *length of the gradient*: how steep is the
# ground where we stand? `fit` has no option for that. It needs none.
#
# Take the source of the program, and put in what you want. Here it is three lines, right before the
# step: later the gradients are gone.

# %%
program = model.unroll("fit", train_data, epochs=1, batch_size=64, log_freq=300)
before = "        optimizer.step()"
watch = """\
        if (step + 1) % 300 == 0:
            squares = sum(weight.grad.square().sum() for weight in network.parameters())
            print(f"step {step + 1}: length of the gradient {squares**0.5:.2f}")
"""
assert before in program.source
changed = program.source.replace(before, watch + before)

# %% [markdown]
# Hand the changed loop back to `fit`. It runs your text, on the model's own network and optimizer.
# The numbers of the call, such as the 64, stand in the text now. Training goes on from where it
# was.

# %% tags=["nbval-ignore-output"]
history = model.fit(train_data, loop=changed)
assert len(history.step_losses) == 938

# %% [markdown]
# The lines with the gradient are yours; the others print because the text says `print`. You get a
# `History` as always. In this way a loop can collect, print or do anything you like.

# %% [markdown]
# ### Save and load
#
# What the network learned is in its weights. `state_dict()` gives them, each with its name.
# `torch.save` writes them to a file. The code of the network is *not* in the file.
#
# To load, make a network of the same kind and fill in the weights. `weights_only=True` makes sure
# that a file from somewhere can bring in numbers, but never run code.
#
# (This cell uses a folder that vanishes at its end. For your work, give a path that stays.)

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.pt"
    torch.save(my_network.state_dict(), path)
    loaded = new_network()
    loaded.load_state_dict(torch.load(path, weights_only=True))
print(list(loaded.state_dict()))

# %% [markdown]
# Does the loaded network give the same answers? Every one of its 100,000 logits is equal.

# %%
[loaded_logits] = tl.Model(loaded).predict(test_data, stack_outputs=True, verbose=0)
assert torch.equal(loaded_logits, logits)
print(f"{loaded_logits.numel():,} logits: equal")

# %% [markdown]
# The weights are enough to predict. To go on with training as if nothing had happened, you also
# need the state of the optimizer, and more. Lesson 2 does that.

# %% [markdown]
# ## Summary
#
# - High level: `Model(network)`, `prepare`, then `fit`, `evaluate`, `predict`.
# - Low level: forward, loss, backward, step, zero_grad. All else keeps the books.
# - They are the same program. `model.unroll(...)` shows it, `verify()` proves it, `loop=` changes
#   it.
# - Training: `network.train()`. Evaluation and prediction: `network.eval()` *and*
#   `torch.no_grad()`.
# - Means are over samples, all of them. Logits are not probabilities. A fair comparison begins with
#   a new network and the same seed.
#
# `predict` here serves to check what a network can do. To bring a network to users, on a server, a
# phone or a web page, there are tools of their own, such as `torch.export`, ExecuTorch and ONNX.
#
# ### The names
#
# All lessons use these names, in the code and in the text.
#
# | name | is |
# |---|---|
# | `network` | your network, an `nn.Module` |
# | `model` | the `Model` around it |
# | `train_data`, `eval_data`, `test_data` | datasets: pairs of an image and a label |
# | `train_loader`, `test_loader` | make batches from a dataset |
# | `x`, `y` | the inputs and the labels of one batch |
# | `y_hat` | the predictions for one batch; here logits |
# | `loss_fn`, `loss` | what measures the error, and its value for one batch |
# | `optimizer` | moves the weights |
# | `accuracy`, `metrics` | what tells a person how good the network is |
# | `epoch`, `step` | a pass over the data; one batch of it. From 0 in code, from 1 in print |
# | `history` | what `fit` returns |
# | `program` | what `unroll` returns |
#
# ### To think about
#
# 1. Train the network of Part 1 with `batch_size=1024`, from the same seed. How many steps has an
#    epoch now? Is the accuracy after 5 epochs higher or lower? Why?
# 2. In the evaluation by hand, collect the loss of each batch in a list, and take the plain mean of
#    the 157 numbers. It is not the loss of `evaluate`. Which batch is to blame?
# 3. Remove `my_optimizer.zero_grad()` from the loop by hand and train for one epoch. What happens
#    to the loss? Explain it with what `backward` does.
# 4. Unroll `fit` with `accumulate_grad_batches=4`, then with `clip_grad_norm=1.0`. Which lines are
#    new? Say in one sentence what each option does.
# 5. Rebuild `FaceNet` on the 400 features of `LeNet(num_classes=0)`. Is it better than the one on
#    the ten scores, after one epoch from the same seed?

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it: `tl.check` tells at once what is right. If
# something is not, it says where it first goes wrong. Change your code and run both cells again, as
# often as you like.
#
# The exercises need none of the cells above. You can restart the kernel and begin here.

# %% tags=["exercises"]
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset
from torchvision.transforms import Normalize

import tutorial as tl

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# ### Exercise 1: count the steps
#
# How many steps has a training? It depends on the number of samples, on the batch size, and on the
# number of epochs. A last batch may be short; it is a step like any other.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "number_of_steps_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def number_of_steps(samples, batch_size, epochs):
    ### BEGIN SOLUTION
    full, rest = divmod(samples, batch_size)
    return epochs * (full + (rest > 0))
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "number_of_steps", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("number_of_steps", number_of_steps).require()
assert number_of_steps(7, 10, 3) == 3
assert number_of_steps(60_000, 1, 1) == 60_000
### END HIDDEN TESTS
tl.check("number_of_steps", number_of_steps)

# %% [markdown]
# ### Exercise 2: train for one epoch
#
# Write the loop that trains a network for one epoch, and return the mean loss over the samples, as
# a plain number.
#
# The network may come in evaluation mode. Nobody shuffles for you, or has to: take the batches as
# `train_loader` gives them.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "train_one_epoch_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def train_one_epoch(network, loss_fn, optimizer, train_loader):
    ### BEGIN SOLUTION
    network.train()
    loss_sum, samples = 0.0, 0
    for x, y in train_loader:
        y_hat = network(x)
        loss = loss_fn(y_hat, y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss_sum += loss.item() * len(x)
        samples += len(x)
    return loss_sum / samples
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "train_one_epoch", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("train_one_epoch", train_one_epoch).require()
digits = Subset(tl.datasets.MNIST("train", Normalize([127.5], [127.5])), range(1000))
results = []
for _ in range(2):
    tl.seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10))
    results.append((network, torch.optim.SGD(network.parameters(), lr=0.1)))
(mine, my_optimizer), (theirs, their_optimizer) = results
my_loss = train_one_epoch(
    mine, nn.CrossEntropyLoss(), my_optimizer, DataLoader(digits, batch_size=64)
)
model = tl.Model(theirs)
model.prepare(their_optimizer, nn.CrossEntropyLoss())
history = model.fit(DataLoader(digits, batch_size=64), verbose=0)
assert abs(my_loss - history.rows[0]["loss"]) < 1e-4
### END HIDDEN TESTS
tl.check("train_one_epoch", train_one_epoch)

# %% [markdown]
# ### Exercise 3: evaluate
#
# Write the loop that measures a network, and return `{"loss": ..., "acc": ...}`: the mean loss over
# all samples, and the share of correct answers, from 0 to 1. Both are plain numbers.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "evaluate_by_hand_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def evaluate_by_hand(network, loss_fn, eval_loader):
    ### BEGIN SOLUTION
    network.eval()
    loss_sum, correct, samples = 0.0, 0, 0
    with torch.no_grad():
        for x, y in eval_loader:
            y_hat = network(x)
            loss_sum += loss_fn(y_hat, y).item() * len(x)
            correct += (y_hat.argmax(dim=1) == y).sum().item()
            samples += len(x)
    return {"loss": loss_sum / samples, "acc": correct / samples}
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "evaluate_by_hand", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("evaluate_by_hand", evaluate_by_hand).require()
tl.seed(0)
digits = Subset(tl.datasets.MNIST("test", Normalize([127.5], [127.5])), range(1000))
network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10))
mine = evaluate_by_hand(network, nn.CrossEntropyLoss(), DataLoader(digits, batch_size=64))
model = tl.Model(network)
model.prepare(loss=nn.CrossEntropyLoss(), metrics=tl.metrics.Accuracy())
theirs = model.evaluate(digits, verbose=0)
assert all(abs(mine[name] - theirs[name]) < 1e-4 for name in ("loss", "acc"))
### END HIDDEN TESTS
tl.check("evaluate_by_hand", evaluate_by_hand)
