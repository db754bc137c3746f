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
# # 10 · Faster training: from slow to the limit
#
# Here is a training loop as it stands in many tutorials. It is correct, and several times slower
# than it could be. In this lesson you make it fast: without a larger machine, and without changing
# what it computes.
#
# There are two rules. **Measure first**: nobody can see where the time goes, and the usual suspects
# are often innocent. **Prove each step**: a loop that is fast because it computes something else is
# not faster. So after each change we compare the weights with those of the slow loop.
#
# **After this lesson you can**
#
# - measure where the time of a training loop goes, and draw it;
# - say with Amdahl's law what a change can gain at most, before you make it;
# - load data, choose an optimizer and do the bookkeeping so that they cost little;
# - prove that a faster loop gives the same weights, or say by how much they differ, and why;
# - say which changes are free, and which one changes the result.
#
# It takes about 40 minutes. You should know lesson 4.

# %%
import copy
import io
import math
import time
from collections import Counter
from contextlib import redirect_stdout

import torch
from matplotlib import pyplot as plt
from PIL import Image
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import BatchSampler, DataLoader, Dataset, RandomSampler, TensorDataset
from torchvision import transforms

import tutorial as tl

torch.set_num_threads(1)
plt.rcParams["figure.dpi"] = 80
tl.set_device("cpu")

# %% [markdown]
# ## Part 1: the loop of the textbook
#
# ### The data
#
# A dataset in the style of torchvision: a class that gives one image and one label. The images are
# stored as bytes. Each time a sample is fetched, it becomes an image object, then a tensor of
# numbers from 0 to 1, then it is normalized. (We take 1,024 images, so that all measurements
# together are short.)


# %%
class Digits(Dataset):
    def __init__(self, images, labels, transform):
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        image = Image.fromarray(self.images[index].numpy())
        return self.transform(image), int(self.labels[index])


mnist = tl.datasets.MNIST(mode="train")
to_numbers = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.1307], [0.3081])])
digits = Digits(mnist.data[:1024], mnist.targets[:1024], to_numbers)

image, label = digits[0]
print(len(digits), "images, each", tuple(image.shape), "with a label such as", label)

# %% [markdown]
# ### The loop
#
# You know it: forward, backward, step, and the bookkeeping. It prints its progress in each step.
# There is one unusual thing in it: after each part it calls `lap`. That is a stopwatch: it is told
# which part has just ended. Usually `lap` does nothing.


# %%
loss_fn = nn.CrossEntropyLoss()


def no_lap(part):
    pass


def train(network, optimizer, train_loader, lap):
    network.train()
    loss_sum, correct, samples = 0.0, 0, 0
    for x, y in train_loader:
        lap("data")
        y_hat = network(x)
        loss = loss_fn(y_hat, y)
        lap("forward")
        loss.backward()
        lap("backward")
        optimizer.step()
        optimizer.zero_grad()
        lap("optimizer")
        loss_sum += loss.item() * len(x)
        correct += (y_hat.argmax(dim=1) == y).sum().item()
        samples += len(x)
        print(f"loss {loss_sum / samples:.4f}, acc {correct / samples:.4f}")
        lap("books")
    return loss_sum / samples


def new_network():
    tl.seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 10))


def textbook(lap=no_lap):
    network = new_network()
    optimizer = torch.optim.Adam(network.parameters())
    train(network, optimizer, DataLoader(digits, batch_size=64, shuffle=True), lap)
    return network


# %% [markdown]
# Every version of the loop will be a function like `textbook`: it begins with the same weights and
# the same random state, trains for one epoch, and returns the network. So versions can be compared,
# in their time and in their weights.
#
# ### Profile: a stopwatch for each part
#
# `time.perf_counter` is *wall-clock time*. It also counts the time in which other programs had the
# processor. `time.process_time` is CPU time: only that in which this program was computing. For a
# program that does not wait, on one thread, that is what we want. (If it waits, for a disk or for a
# GPU, take wall-clock time.)


# %%
class Stopwatch:
    """Called at the end of each part; adds up the time of each."""

    def __init__(self):
        self.times = {}
        self.last = time.process_time()

    def __call__(self, part):
        now = time.process_time()
        self.times[part] = self.times.get(part, 0.0) + now - self.last
        self.last = now


def profile(version):
    """The time of each part: the best of some runs, because others can only make it slower."""
    runs = []
    for _ in range(3):
        stopwatch = Stopwatch()
        with redirect_stdout(io.StringIO()):
            version(stopwatch)
        runs.append(stopwatch.times)
    return {part: min(times[part] for times in runs) for part in runs[0]}


def shares(times):
    return {part: seconds / sum(times.values()) for part, seconds in times.items()}


# %% [markdown]
# Before you run the next cell, guess: which of the five parts costs most?

# %% tags=["nbval-ignore-output"]
before = profile(textbook)
for part, share in shares(before).items():
    print(f"{part:9} {100 * share:5.1f} %")
assert shares(before)["data"] > 0.5 and shares(before)["books"] < 0.05

# %% [markdown]
# The training, which is what we came for, is the smaller part. Most of the time goes into making
# numbers of images, the same numbers again in each epoch. And the suspects of many a discussion,
# `.item()` and `print`, cost next to nothing here.
#
# (PyTorch has a profiler, `torch.profiler`, which lists every single operation. It is the right
# tool when you know *which* part is slow and want to know why. Begin with a stopwatch.)
#
# ### Amdahl's law
#
# What can be gained? Say a part takes the fraction `p` of the time, and you make it `s` times as
# fast. The rest stays. The new time is `(1 - p) + p / s` of the old one. Even if the part became
# infinitely fast, `1 - p` would be left.


# %%
def amdahl(share, factor):
    """How many times as fast the whole becomes."""
    return 1 / ((1 - share) + share / factor)


print(f"half of the time,  ten times as fast:  {amdahl(0.5, 10):.2f} times as fast in all")
print(f"a tenth of it,     ten times as fast:  {amdahl(0.1, 10):.2f}")
print(f"a tenth of it,     infinitely fast:    {amdahl(0.1, math.inf):.2f}")

# %% [markdown]
# So it does not pay to work at a small part. Here is the most that each part of our loop could
# give:

# %% tags=["nbval-ignore-output"]
for part, share in shares(before).items():
    print(f"{part:9} at most {amdahl(share, math.inf):.2f} times as fast")

# %% [markdown]
# We begin at the top of this list, with the data.
#
# To compare two versions, let them take turns, for several rounds. Then a disturbance hits both.
# And take the best time of each: other programs can make it slower, but never faster.


# %%
def race(*versions, rounds=6):
    """The best time of each version; they take turns."""
    times = [[] for _ in versions]
    for _ in range(rounds):
        for version, its_times in zip(versions, times, strict=True):
            begin = time.process_time()
            with redirect_stdout(io.StringIO()):
                version()
            its_times.append(time.process_time() - begin)
    return [min(its_times) for its_times in times]


def result_of(version):
    """All weights in one row, after the training."""
    with redirect_stdout(io.StringIO()):
        network = version()
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


right = result_of(textbook)
assert torch.equal(result_of(textbook), right)
print("the slow loop, run twice:", len(right), "equal weights")

# %% [markdown]
# That last check must come first. If the slow loop did not give the same weights twice, nothing
# could be proved.
#
# ## Part 2: free of charge
#
# ### Step 1: transform once, in advance
#
# The transform gives the same numbers for the same image each time. So do it once, before the
# training, and keep the tensors. A `TensorDataset` holds them.

# %%
images, labels = zip(*digits, strict=True)
tensors = TensorDataset(torch.stack(images), torch.tensor(labels))


def transformed_once(lap=no_lap):
    network = new_network()
    optimizer = torch.optim.Adam(network.parameters())
    train(network, optimizer, DataLoader(tensors, batch_size=64, shuffle=True), lap)
    return network


assert torch.equal(result_of(transformed_once), right)
print("equal, bit for bit")

# %% tags=["nbval-ignore-output"]
slow, fast = race(textbook, transformed_once, rounds=3)
print(f"step 1: {slow / fast:.2f} times as fast as the textbook")
assert slow / fast > 1.3

# %% [markdown]
# Bit for bit, as it must be: the same numbers go into the same operations.
#
# Did Amdahl's law know? Take the new time of the data from a profile, and predict.

# %% tags=["nbval-ignore-output"]
after = profile(transformed_once)
factor = before["data"] / after["data"]
predicted = amdahl(shares(before)["data"], factor)
print(f"the data {factor:.0f} times as fast; predicted {predicted:.2f}, measured {slow / fast:.2f}")
for part, share in shares(after).items():
    print(f"{part:9} {100 * share:5.1f} %")

# %% [markdown]
# Two questions before you do this to your own data. *Is it always the same?* A random crop or a
# rotation must stay in the loop; do only the fixed part once. *Does it fit into the memory?* A byte
# becomes a number of four bytes:

# %%
print("bytes:", digits.images.nbytes, " numbers:", tensors.tensors[0].nbytes)

# %% [markdown]
# If it does not fit, keep the bytes, and do the arithmetic for a whole batch at a time.
#
# ### Step 2: one index for a whole batch
#
# A `DataLoader` fetches 64 samples one by one, 64 small tensors, and copies them together into a
# batch. But a tensor can be indexed by a list: `images[[3, 1, 4]]` gives all three at once. So let
# the sampler give *lists* of indices, and tell the loader (`batch_size=None`) that what comes back
# is a batch already.


# %%
def whole_batches(data, batch_size=64):
    indices = BatchSampler(RandomSampler(data), batch_size, drop_last=False)
    return DataLoader(data, batch_size=None, sampler=indices)


def one_index(lap=no_lap):
    network = new_network()
    optimizer = torch.optim.Adam(network.parameters())
    train(network, optimizer, whole_batches(tensors), lap)
    return network


assert torch.equal(result_of(one_index), right)
print("equal, bit for bit")

# %% tags=["nbval-ignore-output"]
slow, fast = race(transformed_once, one_index)
print(f"step 2: {slow / fast:.2f} times as fast as step 1")
one_by_one, after = after, profile(one_index)
print(f"the data alone: {one_by_one['data'] / after['data']:.2f} times as fast")
for part, share in shares(after).items():
    print(f"{part:9} {100 * share:5.1f} %")

# %% [markdown]
# Again bit for bit: the sampler draws the same order, and a batch has the same numbers in it,
# however it was fetched.
#
# ### Step 3: a fused optimizer
#
# Look at the profile: now the optimizer is a large part. Why? Adam's formula has about ten
# operations. By default each of them is one call that goes through all weights in memory, and
# writes a result that the next call reads again. The time goes into reading and writing. A *fused*
# optimizer does the whole formula for a weight while it is at hand.
#
# Count the calls. A `TorchDispatchMode` is told of every operation that PyTorch runs.


# %%
class CountCalls(TorchDispatchMode):
    """Counts the operations that PyTorch runs inside a `with` block, by name."""

    def __init__(self):
        super().__init__()
        self.calls = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.overloadpacket.__name__
        if not name.startswith("_record_function"):  # a mark for PyTorch's profiler
            self.calls[name] += 1
        return operation(*args, **(kwargs or {}))


def calls_of_a_step(**options):
    network = new_network()
    optimizer = torch.optim.Adam(network.parameters(), **options)
    x, y = tensors[:64]
    for _ in range(2):  # the first step also makes Adam's memory; count the second
        loss_fn(network(x), y).backward()
        with CountCalls() as counter:
            optimizer.step()
    return counter.calls


# %% tags=["nbval-ignore-output"]
default, fused = calls_of_a_step(), calls_of_a_step(fused=True)
print("default:", sum(default.values()), "calls for 4 tensors of weights")
print("fused:  ", sum(fused.values()), "calls:", ", ".join(sorted(fused)))
assert sum(default.values()) > 5 * sum(fused.values())


# %%
def fused_optimizer(lap=no_lap):
    network = new_network()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    train(network, optimizer, whole_batches(tensors), lap)
    return network


# %% tags=["nbval-ignore-output"]
slow, fast = race(one_index, fused_optimizer)
print(f"step 3: {slow / fast:.2f} times as fast as step 2")
with_fused = result_of(fused_optimizer)
print("equal, bit for bit?", torch.equal(with_fused, right))
print(f"the largest difference: {(with_fused - right).abs().max():.1g}")
assert torch.allclose(with_fused, right, atol=1e-5)

# %% [markdown]
# Here we may not ask for equal bits. The formula is the same, but a fused one rounds at other
# places: a result that stays in the processor is not rounded to be stored. Is that really all? If
# it is rounding, it must shrink with 64-bit numbers, by the factor by which these are finer.


# %% tags=["nbval-ignore-output"]
def in_64_bits(**options):
    network = new_network().double()
    optimizer = torch.optim.Adam(network.parameters(), **options)
    wide = TensorDataset(tensors.tensors[0].double(), tensors.tensors[1])
    train(network, optimizer, whole_batches(wide), no_lap)
    return network


difference = result_of(in_64_bits) - result_of(lambda: in_64_bits(fused=True))
print(f"the largest difference in 64 bits: {difference.abs().max():.1g}")
assert difference.abs().max() < 1e-12

# %% [markdown]
# So it is rounding.
#
# ### Step 4: flush denormals
#
# The smallest number that `float32` can hold with all its digits is about 1e-38. Below it there are
# *denormal* numbers, with fewer and fewer digits. Many processors compute with them much more
# slowly. Where would such numbers come from? Adam remembers a mean of the gradients. If a unit
# dies, its gradient is 0 for ever, and the mean shrinks in each step to 0.9 of itself. When does a
# mean of 1e-4 become denormal?

# %%
tiny = torch.finfo(torch.float32).tiny
print(f"below {tiny:.1e} after {math.log(tiny / 1e-4) / math.log(0.9):.0f} steps")
print("one epoch of all 60,000 images:", math.ceil(60_000 / 64), "steps")

# %% [markdown]
# Before the first epoch is over, the training becomes slower, and nobody knows why. Such a thing
# cannot be found in a short test, so we wind the clock forward. Train one epoch, let half of the
# hidden units die (a bias of -100), and multiply their means by 0.9 to the power of 770, as 770
# steps would do.


# %% tags=["nbval-ignore-output"]
aged_network = new_network()
aged_optimizer = torch.optim.Adam(aged_network.parameters(), fused=True)
with redirect_stdout(io.StringIO()):
    train(aged_network, aged_optimizer, whole_batches(tensors), no_lap)
with torch.no_grad():
    aged_network[1].bias[:256] = -100
    for weight in aged_network[1].parameters():
        aged_optimizer.state[weight]["exp_avg"][:256] *= 0.9**770


def train_aged(flush):
    network, optimizer = copy.deepcopy((aged_network, aged_optimizer))
    tl.seed(1)
    torch.set_flush_denormal(flush)
    train(network, optimizer, whole_batches(tensors), no_lap)
    torch.set_flush_denormal(False)
    return network, optimizer


weights = {}
for flush in (False, True):
    with redirect_stdout(io.StringIO()):
        network, optimizer = train_aged(flush)
    weights[flush] = torch.cat([weight.detach().flatten() for weight in network.parameters()])
    means = optimizer.state[network[1].weight]["exp_avg"]
    denormal = ((means != 0) & (means.abs() < tiny)).float().mean()
    print(f"flush {flush!s:5}: {100 * denormal:.0f} % of the means are denormal")

assert torch.equal(weights[False], weights[True])
print("the weights of both: equal, bit for bit")

# %% [markdown]
# And the time? Race the optimizer alone: 50 steps with the same gradient.


# %% tags=["nbval-ignore-output"]
def only_steps(flush):
    network, optimizer = copy.deepcopy((aged_network, aged_optimizer))
    loss_fn(network(tensors[:64][0]), tensors[:64][1]).backward()
    torch.set_flush_denormal(flush)
    for _ in range(50):
        optimizer.step()
    torch.set_flush_denormal(False)


kept, flushed = race(lambda: only_steps(flush=False), lambda: only_steps(flush=True))
print(f"step 4: the optimizer is {kept / flushed:.2f} times as fast")

# %% [markdown]
# How much it is depends on the processor: from nothing at all to several times. The result does not
# change: a step of 1e-38 does not move a weight of 0.01.
#
# It is one line, `torch.set_flush_denormal(True)`. It is a setting of the whole program, or rather
# of the calling thread, so put it where one can see it.
#
# ### Step 5: without .item()?
#
# In each step the loop asks two tensors for their value. How often?

# %%
network = new_network()
optimizer = torch.optim.Adam(network.parameters(), fused=True)
with CountCalls() as counter, redirect_stdout(io.StringIO()):
    train(network, optimizer, whole_batches(tensors), no_lap)
print(counter.calls["_local_scalar_dense"], "values read in", len(whole_batches(tensors)), "steps")

# %% [markdown]
# (`_local_scalar_dense` is the inner name of `.item()`.) Two in each step, and two more at the
# start, when sampler and loader draw a seed. Why do people warn of it? A GPU works through a queue.
# The program runs ahead and puts operations into it. `.item()` needs a number, so the program must
# wait until the queue is empty (*synchronize*), in each step. On a CPU there is no queue and
# nothing to wait for. Write the version without `.item()` and without `print`, and measure.


# %%
def train_quietly(network, optimizer, train_loader, lap):
    network.train()
    loss_sum, correct, samples = torch.zeros(()), torch.zeros((), dtype=torch.int64), 0
    for x, y in train_loader:
        lap("data")
        y_hat = network(x)
        loss = loss_fn(y_hat, y)
        lap("forward")
        loss.backward()
        lap("backward")
        optimizer.step()
        optimizer.zero_grad()
        lap("optimizer")
        loss_sum += loss.detach() * len(x)  # a sum that stays a tensor; detach: without its graph
        correct += (y_hat.argmax(dim=1) == y).sum()
        samples += len(x)
        lap("books")
    return loss_sum.item() / samples


def quiet(lap=no_lap):
    network = new_network()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    torch.set_flush_denormal(True)
    train_quietly(network, optimizer, whole_batches(tensors), lap)
    torch.set_flush_denormal(False)
    return network


assert torch.equal(result_of(quiet), result_of(fused_optimizer))
print("equal to step 3, bit for bit")

# %% tags=["nbval-ignore-output"]
slow, fast = race(fused_optimizer, quiet)
print(f"step 5: {slow / fast:.2f} times as fast as step 3")
assert 0.6 < slow / fast < 1.6

# %% [markdown]
# About 1, give or take the noise. That is a result too: on a CPU the bookkeeping is innocent. Keep
# the version that is easier to read. (`fit` decides by the device: on a CPU it writes
# `loss.item()`, on a GPU `loss.detach()`.)
#
# ## Part 3: the limit
#
# Where are we? Measure the first and the last version in one race, and draw where the time goes.

# %% tags=["nbval-ignore-output"]
slow, fast = race(textbook, quiet, rounds=3)
print(f"all steps together: {slow / fast:.1f} times as fast, with the same result")
assert slow / fast > 1.3

# %%
after = profile(quiet)
whole = sum(before.values())
_, ax = plt.subplots(figsize=(8, 2.6), layout="constrained")
lefts = [0.0, 0.0]
for i, part in enumerate(before):
    widths = [100 * times[part] / whole for times in (after, before)]
    ax.barh(["after", "before"], widths, left=lefts, label=part, color=f"C{i}")
    lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
ax.set(xlabel="time, in percent of the textbook's")
ax.figure.legend(loc="outside lower center", ncols=5)
plt.show()

# %% [markdown]
# What is left is mostly forward, backward and the optimizer: the training itself. Amdahl's law
# says what could still be gained by making everything else infinitely fast:

# %% tags=["nbval-ignore-output"]
rest = shares(after)["data"] + shares(after)["books"]
print(
    f"all that is not training: {100 * rest:.0f} %, so at most {amdahl(rest, math.inf):.2f} times"
)

# %% [markdown]
# That is the limit of this computation on this machine. And now look at what `fit` runs.

# %%
model = tl.Model(new_network())
model.prepare(torch.optim.Adam(model.parameters()), loss_fn, tl.metrics.Accuracy())
print("fused:", model.optimizer.param_groups[0]["fused"])
model.unroll("fit", tensors)

# %% [markdown]
# Line 1 flushes denormals, our fourth step. In line 2, `Batches` fetches a batch by one index, as in
# the second step. `prepare` has chosen the fused optimizer, the third. And `tl.datasets.MNIST`
# normalizes once, when it is made, which was the first. So the high level is our best loop, and it
# goes one step further: `Batches` leaves out the rest of the loader's machinery. The result must be
# equal, and it is.


# %%
def high_level(lap=no_lap):
    model = tl.Model(new_network())
    model.prepare(torch.optim.Adam(model.parameters()), loss_fn, tl.metrics.Accuracy())
    model.fit(tensors, verbose=0)
    return model.network


assert torch.equal(result_of(high_level), result_of(quiet))
print("fit and our fastest loop: equal, bit for bit")

# %% tags=["nbval-ignore-output"]
by_hand, by_fit = race(quiet, high_level)
print(f"fit takes {by_fit / by_hand:.2f} times the time of our fastest loop")
assert by_fit / by_hand < 1.6

# %% [markdown]
# (An epoch of 16 steps is short, so what `fit` does once in each call counts here. In a real
# training it does not.)
#
# ## Part 4: not free: the batch size
#
# One change is left that nearly always makes an epoch faster: larger batches. There are fewer
# steps, so fewer updates of the weights. But this is another training.


# %%
def large_batches(lap=no_lap):
    network = new_network()
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    train_quietly(network, optimizer, whole_batches(tensors, batch_size=256), lap)
    return network


# %% tags=["nbval-ignore-output"]
slow, fast = race(quiet, large_batches)
print(f"batches of 256: {slow / fast:.2f} times as fast")

x, y = tensors.tensors
losses = {}
for name, version in (("64", quiet), ("256", large_batches)):
    with redirect_stdout(io.StringIO()):
        network = version()
    losses[name] = loss_fn(network(x), y).item()
    print(f"batches of {name:3}: loss after the epoch {losses[name]:.3f}")
assert losses["256"] > losses["64"]

# %% [markdown]
# Faster per epoch, but it has learned less. To learn as much, it needs another learning rate or
# more epochs; whether anything is gained then must be measured in *time until the accuracy that you
# want*. That is a choice, and it belongs to you. So it comes last, after all that is free.
#
# ## Summary
#
# - Measure first. Use a stopwatch for each part, let versions take turns, take the best time.
# - Amdahl: `1 / ((1 - p) + p / s)`. Work at the largest part.
# - Transform once; fetch a whole batch by one index: equal bit for bit.
# - A fused optimizer: the same formula, rounded otherwise; show that it is only rounding.
# - Flush denormals: they come late, cost time on some processors, and change no weight.
# - `.item()` in each step: free on a CPU; on a GPU it waits.
# - The batch size changes the result. It is not a free change.
# - `fit` runs this loop already, and `unroll` lets you check it.
#
# | change | the weights are | why |
# |---|---|---|
# | transform once | equal | the same numbers, made earlier |
# | one index for a batch | equal | the same order, the same batches |
# | fused optimizer | equal but for rounding | other places to round |
# | flush denormals | equal | too small to move a weight |
# | no `.item()` | equal | it only looks |
# | larger batches | others | fewer updates, of other gradients |

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it: `tl.check` tells at once what is right. If
# something is not, it says where it first goes wrong. Change your code and run both cells again, as
# often as you like.
#
# If you do not know how to begin: `tl.hint("faster_in_all")` asks a question that helps, and gives a
# nudge when you run it again. `tl.progress()` shows what is solved.
#
# The exercises need none of the cells above. You can restart the kernel and begin here.

# %% tags=["exercises"]
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tutorial as tl

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# ### Exercise 1: Amdahl's law for several parts
#
# `times` is a dict with the time of each part. `factors` says for some of the parts how many times
# as fast they become; the others stay. Return how many times as fast the whole becomes.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "faster_in_all_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def faster_in_all(times, factors):
    ### BEGIN SOLUTION
    after = sum(seconds / factors.get(part, 1) for part, seconds in times.items())
    return sum(times.values()) / after
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "faster_in_all", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("faster_in_all", faster_in_all).require()
assert abs(faster_in_all({"a": 1.0, "b": 1.0}, {"a": 2.0}) - 4 / 3) < 1e-9
### END HIDDEN TESTS
tl.check("faster_in_all", faster_in_all)

# %% [markdown]
# ### Exercise 2: transform once
#
# `data` is a dataset in the style of torchvision: `len(data)`, and `data[i]` gives a pair of an
# image tensor and a label, a plain number. Each fetch is expensive. Return a `TensorDataset` with
# the same samples in the same order, and fetch each of them once. The labels must be integers in
# one tensor of shape `(N,)`.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "kept_as_tensors_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def kept_as_tensors(data):
    ### BEGIN SOLUTION
    images, labels = [], []
    for i in range(len(data)):
        image, label = data[i]
        images.append(image)
        labels.append(label)
    return TensorDataset(torch.stack(images), torch.tensor(labels))
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "kept_as_tensors", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("kept_as_tensors", kept_as_tensors).require()
pairs = [(torch.full((1, 2, 2), float(i)), i) for i in range(5)]
assert torch.equal(kept_as_tensors(pairs).tensors[1], torch.arange(5))
### END HIDDEN TESTS
tl.check("kept_as_tensors", kept_as_tensors)

# %% [markdown]
# ### Exercise 3: whole batches, without a loader
#
# Write a generator (a function with `yield`) for one epoch. `data` can be indexed by a tensor of
# indices and gives a whole batch then. Each sample comes once, in a random order, which is another
# one in each call. The last batch may be short. Index `data` once for each batch.
#
# `torch.randperm(n)` gives the numbers from 0 to n - 1 in a random order.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "shuffled_batches_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def shuffled_batches(data, batch_size):
    ### BEGIN SOLUTION
    for indices in torch.randperm(len(data)).split(batch_size):
        yield data[indices]
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "shuffled_batches", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("shuffled_batches", shuffled_batches).require()
batches = list(shuffled_batches(TensorDataset(torch.arange(10), torch.arange(10)), 4))
assert [len(x) for x, _ in batches] == [4, 4, 2]
assert torch.equal(torch.cat([x for x, _ in batches]).sort().values, torch.arange(10))
### END HIDDEN TESTS
tl.check("shuffled_batches", shuffled_batches)

# %% [markdown]
# ### Exercise 4: measure without waiting
#
# Evaluate a network: return a dict with the mean loss over all samples, `"loss"`, and the accuracy,
# `"acc"`, as plain numbers. On a GPU each `.item()` (and each `float(tensor)`, and each `if` on a
# tensor) waits. So read values only after the loop, two at most.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "evaluate_without_waiting_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def evaluate_without_waiting(network, loss_fn, eval_loader):
    ### BEGIN SOLUTION
    network.eval()
    loss_sum, correct, samples = torch.zeros(()), torch.zeros(()), 0
    with torch.no_grad():
        for x, y in eval_loader:
            y_hat = network(x)
            loss_sum += loss_fn(y_hat, y) * len(x)
            correct += (y_hat.argmax(dim=1) == y).sum()
            samples += len(x)
    return {"loss": loss_sum.item() / samples, "acc": correct.item() / samples}
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "evaluate_without_waiting", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("evaluate_without_waiting", evaluate_without_waiting).require()
network, data = nn.Linear(4, 3), TensorDataset(torch.randn(10, 4), torch.randint(3, (10,)))
result = evaluate_without_waiting(network, nn.CrossEntropyLoss(), DataLoader(data, batch_size=4))
assert abs(result["loss"] - nn.CrossEntropyLoss()(network(data[:][0]), data[:][1]).item()) < 1e-5
### END HIDDEN TESTS
tl.check("evaluate_without_waiting", evaluate_without_waiting)
