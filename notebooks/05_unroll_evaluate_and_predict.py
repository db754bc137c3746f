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
# # 5 · Evaluate and predict, line by line
#
# Training can go wrong, and you see it: the loss does not fall. An evaluation that goes wrong looks
# like any other. It gives you a number, and you believe it.
#
# So this lesson goes through the loops behind `evaluate` and `predict`. They are short. Each line
# is there because without it the number would be wrong, or the memory full, or the network changed.
# For each line you will see which.
#
# **After this lesson you can**
#
# - compute a loss and an accuracy over batches of any size, exactly;
# - say what `network.eval()` changes, and measure what it costs to forget it;
# - say what `torch.no_grad()` saves, and count it;
# - use predictions in the right order, in the right shape, for the right samples.
#
# It takes about 30 minutes. You should know lessons 1 and 4.

# %%
import copy
import weakref

import torch
from matplotlib import pyplot as plt
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import Normalize

import tutorial as tl

torch.set_num_threads(1)
plt.rcParams["figure.dpi"] = 80
tl.set_device("cpu")

# %% [markdown]
# 2,000 images to train on, 1,000 to measure. The network has two layers that behave differently in
# training and in evaluation: `BatchNorm1d` and `Dropout`. It is trained for three epochs; then we
# leave it as it is.

# %%
mnist = tl.datasets.MNIST(mode="train", transform=Normalize(mean=[33.3], std=[78.6]))
train_data = TensorDataset(*mnist[:2000])
eval_data = TensorDataset(*mnist[50_000:51_000])
images, labels = eval_data.tensors

tl.seed(0)
network = nn.Sequential(
    nn.Flatten(),
    nn.Linear(784, 64),
    nn.BatchNorm1d(64),
    nn.ReLU(),
    nn.Dropout(0.5),
    nn.Linear(64, 10),
)
loss_fn = nn.CrossEntropyLoss()
model = tl.Model(network)
model.prepare(torch.optim.Adam(model.parameters(), lr=0.002), loss_fn, tl.metrics.Accuracy())

# %% tags=["nbval-ignore-output"]
history = model.fit(train_data, epochs=3, verbose=0)
result = model.evaluate(eval_data, verbose=0)
print(f"loss {result['loss']:.3f}, acc {result['acc']:.3f}")
assert 0.8 < result["acc"] < 0.98

# %% [markdown]
# ## Part 1: the loop behind evaluate

# %%
program = model.unroll("evaluate", eval_data, batch_size=64)
program

# %% [markdown]
# Much of it is known from training. What is different? Let Python compare the two programs, line by
# line, without their comments.


# %%
def lines_of(source):
    return [line.partition("  #")[0].strip() for line in source.splitlines()]


training = lines_of(model.unroll("fit", train_data).source)
evaluation = lines_of(program.source)
print("only in training:")
for line in training:
    if line.startswith(("network", "loss.", "optimizer")) and line not in evaluation:
        print("   ", line)
print("only in evaluation:")
for line in evaluation:
    if line.startswith(("network", "with")) and line not in training:
        print("   ", line)

# %% [markdown]
# Nothing is learned: there is no backward pass and no step. And there are two new lines, `eval()`
# and `no_grad()`. The rest of the loop adds up. We begin with that.

# %% [markdown]
# ## Part 2: means over uneven batches
#
# ### The loss
#
# What is the loss of the network on these 1,000 images? There is one true answer: the mean of 1,000
# losses. Here we compute it without any batches. `reduction="none"` gives a loss for each image.

# %% tags=["nbval-ignore-output"]
[logits] = model.predict(eval_data, stack_outputs=True, verbose=0)
each_loss = nn.CrossEntropyLoss(reduction="none")(logits, labels)
print(f"{len(each_loss)} losses, from {each_loss.min():.4f} to {each_loss.max():.2f}")
print(f"their mean: {each_loss.mean():.4f}   evaluate: {result['loss']:.4f}")
assert abs(each_loss.mean().item() - result["loss"]) < 1e-5

# %% [markdown]
# The losses are very uneven: most are small, a few mistakes are large. Now cut the same numbers
# into batches, and take the mean of the batches' means. Do that for every batch size from 1 to
# 1,000. What would be reported?

# %%
sizes = range(1, len(each_loss) + 1)
mean_of_means = [
    torch.stack([batch.mean() for batch in each_loss.split(size)]).mean().item() for size in sizes
]

_, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
ax.plot(sizes, mean_of_means, linewidth=0.8, label="mean of means")
ax.axhline(result["loss"], color="C1", label="evaluate")
ax.set(xlabel="batch size", ylabel="reported loss")
ax.spines[["top", "right"]].set_visible(False)
ax.grid(alpha=0.3)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# One network, one set of images, and a different loss for nearly every batch size. The line is true
# only at a few places. At which ones? Where all batches have the same size: where the batch size
# divides 1,000.

# %%
divisors = [size for size in sizes if len(each_loss) % size == 0]
for size in divisors:
    assert abs(mean_of_means[size - 1] - result["loss"]) < 1e-5
print("true for the batch sizes", divisors)

# %% [markdown]
# Look at the right end of the figure. With a batch size of 999, one image is alone in the second
# batch, and its loss counts as much as the 999 others together. Print how far off it gets.

# %% tags=["nbval-ignore-output"]
wrong = max(mean_of_means, key=lambda mean: abs(mean - result["loss"]))
print(f"the worst: {wrong:.4f} with batches of {mean_of_means.index(wrong) + 1}")
print(f"the truth: {result['loss']:.4f}")
assert abs(wrong - result["loss"]) > 0.1 * result["loss"]

# %% [markdown]
# The loop avoids all this with two sums. `loss.item() * len(x)` is the sum of the losses of a
# batch; `loss_sum` is the sum of all; `samples` counts. There is one division, at the end.

# %%
for size in (1, 7, 64, 999):
    loss_sum, samples = 0.0, 0
    for batch in each_loss.split(size):
        loss_sum += batch.mean().item() * len(batch)
        samples += len(batch)
    assert abs(loss_sum / samples - result["loss"]) < 1e-5
print("the same loss for batches of 1, 7, 64 and 999")

# %% [markdown]
# ### The accuracy
#
# The accuracy is a mean too: of ones (right) and zeros (wrong). So it has the same trap and the
# same cure. Count the right answers, count the samples, divide once.

# %%
correct, samples = 0, 0
for y_hat, y in zip(logits.split(300), labels.split(300), strict=True):
    correct += (y_hat.argmax(dim=1) == y).sum().item()
    samples += len(y)
assert correct / samples == result["acc"]
print(samples, "samples in", len(labels.split(300)), "batches: equal to evaluate")

# %% [markdown]
# This works for every number that can be made of sums. Some cannot. The *median* loss of all images
# is not to be had from the medians of the batches, in whatever way you weigh them. For such a
# number, collect all values first.

# %%
medians = torch.stack([batch.median() for batch in each_loss.split(300)])
print("is the mean of the medians the median?", bool(medians.mean() == each_loss.median()))

# %% [markdown]
# ## Part 3: network.eval()
#
# Two layers of our network look at the switch that `eval()` and `train()` set. Let us see what it
# does to each, with a copy of the network, so that the trained one stays as it is.
#
# ### Dropout
#
# In training, dropout sets a random half of its inputs to zero. Ask the same network about the same
# images twice:

# %%
x, y = eval_data[:64]
twin = copy.deepcopy(network)
tl.seed(1)
with torch.no_grad():
    twin.train()
    print("training mode:   equal answers?", torch.equal(twin(x), twin(x)))
    twin.eval()
    print("evaluation mode: equal answers?", torch.equal(twin(x), twin(x)))

# %% [markdown]
# A network that answers differently each time is a strange thing to measure.
#
# Why may dropout be switched off at all: do the later layers not get twice as much then? No. In
# training, what is left is multiplied by 2, so that the mean stays the same.

# %%
dropout = nn.Dropout(0.5)
ones = torch.ones(10_000)
dropout.train()
print("values in training:  ", dropout(ones).unique().tolist())
assert abs(dropout(ones).mean() - 1) < 0.05
dropout.eval()
print("values in evaluation:", dropout(ones).unique().tolist())

# %% [markdown]
# ### Batch norm
#
# `BatchNorm1d` brings each of its 64 inputs to mean 0 and standard deviation 1. Mean and deviation
# *of what*? In training: of this batch. In evaluation: of all that it saw in training; it has kept
# running means, in its *buffers*.
#
# So in training mode the answer for an image depends on the *other images* in the batch. Give the
# network the first image twice, with different images in the batch. Dropout is off here, to see
# batch norm alone.

# %%
with_some, with_others = images[:64], torch.cat([images[:1], images[500:563]])


def first_answers(training):
    twin = copy.deepcopy(network).eval()
    twin[2].train(training)  # batch norm only
    with torch.no_grad():
        return twin(with_some)[0], twin(with_others)[0]


print("training mode:   equal answers?", torch.allclose(*first_answers(True), atol=1e-5))
print("evaluation mode: equal answers?", torch.allclose(*first_answers(False), atol=1e-5))

# %% [markdown]
# A patient's diagnosis would depend on who else is in the waiting room. And a patient who comes
# alone gets none at all: a single value has no standard deviation.

# %%
twin = copy.deepcopy(network).train()
try:
    twin(images[:1])
except ValueError as error:
    print(error)

# %% [markdown]
# It gets worse. In training mode batch norm *updates its buffers*: each batch moves the running
# means. It needs no gradient for that, so `no_grad()` does not stop it. An evaluation in training
# mode changes the network that it measures.

# %%
twin = copy.deepcopy(network)
running_mean = twin[2].running_mean
for mode in ("eval", "train"):
    getattr(twin, mode)()
    before = running_mean.clone()
    with torch.no_grad():
        for x, _ in DataLoader(eval_data, batch_size=64):
            twin(x)
    print(f"after a pass in {mode}(): changed?", not torch.equal(running_mean, before))

# %% [markdown]
# ### What it costs
#
# Evaluate twice in each mode. In evaluation mode the number is the same each time. In training mode
# it is another number each time, and a worse one, because half of the network is missing.


# %% tags=["nbval-ignore-output"]
def evaluate(network):
    """The loop of Part 1, but for network.eval()."""
    loss_sum, correct, samples = 0.0, 0, 0
    with torch.no_grad():
        for x, y in DataLoader(eval_data, batch_size=64):
            y_hat = network(x)
            loss_sum += loss_fn(y_hat, y).item() * len(x)
            correct += (y_hat.argmax(dim=1) == y).sum().item()
            samples += len(x)
    return {"loss": loss_sum / samples, "acc": correct / samples}


tl.seed(2)
results = {}
for mode in ("eval", "train"):
    twin = getattr(copy.deepcopy(network), mode)()
    results[mode] = [evaluate(twin) for _ in range(2)]
    for one in results[mode]:
        print(f"{mode + '()':8} loss {one['loss']:.4f}, acc {one['acc']:.4f}")
assert results["eval"] == [result, result]
assert results["train"][0] != results["train"][1]
assert all(one["loss"] > result["loss"] + 0.02 for one in results["train"])

# %% [markdown]
# One more thing about the switch: the loop leaves the network in evaluation mode. Nothing in it
# switches back. That is why each epoch of training begins with `network.train()`. A call of the
# model is more careful: whatever its loop does, it puts the mode back to what it was.

# %%
network.train()
model.evaluate(eval_data, verbose=0)
print("after evaluate, in training mode?", network.training)

# %% [markdown]
# ## Part 4: torch.no_grad()
#
# ### What autograd saves
#
# In a forward pass PyTorch records a graph for the backward pass. Many operations must save their
# inputs: the gradient of a product needs its factors. In an evaluation there will be no backward
# pass, so the graph is of no use.
#
# How much is it? PyTorch has a hook that is called for every tensor it saves. We count them, each
# piece of memory once. What belongs to the network does not count: it is there anyway.


# %%
owned = {tensor.data_ptr() for tensor in network.state_dict().values()}


def kept_by(forward):
    """The tensors that a forward pass keeps for its backward pass."""
    kept = {}

    def keep(tensor):
        if tensor.data_ptr() not in owned and tensor.numel() > 1:
            kept[tensor.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()
    return list(kept.values())


x, y = eval_data[:64]
network.eval()
kept = kept_by(lambda: loss_fn(network(x), y))
for tensor in kept:
    print(f"{tuple(tensor.shape)!s:10} {tensor.dtype}")
print(f"{sum(tensor.nbytes for tensor in kept) / 1024:.0f} KB for a batch of 64")

# %% [markdown]
# You recognize the network in it: the images, what the layers gave, the scores, the labels. And
# with `no_grad()`?

# %%
with torch.no_grad():
    kept = kept_by(lambda: loss_fn(network(x), y))
print(len(kept), "tensors")

# %% [markdown]
# Some hundred KB are not much. But they grow with the batch, with the size of the images and with
# the number of layers. The weights do not: with `no_grad()`, a network can be evaluated with larger
# batches than it can be trained with.
#
# ### A memory leak: adding up loss tensors
#
# A graph lives as long as the tensor that it belongs to. Here is a common mistake, an evaluation
# without `no_grad()`: it adds up `loss` instead of `loss.item()`. The sum holds the graphs of all
# batches. We watch the memory that is held after each batch.
#
# (`WeakSet` is a set that does not keep its members alive. So it shows what somebody *else* keeps.)


# %%
class Note:
    def __init__(self, tensor):
        self.tensor = tensor.detach()  # without its graph, which would hold on to this note itself


def memory_after_each_batch(plain_number):
    """The KB that are held for a backward pass, after each of five batches."""
    alive, held = weakref.WeakSet(), []

    def keep(tensor):
        note = Note(tensor)
        if tensor.data_ptr() not in owned:
            alive.add(note)
        return note

    loss_sum = 0.0
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda note: note.tensor):
        for x, y in DataLoader(TensorDataset(*eval_data[:320]), batch_size=64):
            loss = loss_fn(network(x), y)
            loss_sum += loss.item() if plain_number else loss
            pieces = {note.tensor.data_ptr(): note.tensor.nbytes for note in alive}
            held.append(round(sum(pieces.values()) / 1024))
    return held


print("loss:       ", memory_after_each_batch(plain_number=False), "KB")
print("loss.item():", memory_after_each_batch(plain_number=True), "KB")
with torch.no_grad():
    print("no_grad():  ", memory_after_each_batch(plain_number=False), "KB")

# %% [markdown]
# The first line grows with each batch. On a GPU this ends with "out of memory" in the middle of an
# evaluation, and people buy a larger GPU. In the second line each batch frees what the one before
# it held.
#
# In a *training* loop there is no `no_grad()`. So there the `.item()` matters even more: look at
# `step_losses.append(loss.item())`.
#
# ### Both are needed
#
# `eval()` and `no_grad()` are often confused. They have nothing to do with each other:
#
# | | changes | without it |
# |---|---|---|
# | `network.eval()` | what dropout and batch norm compute | wrong numbers, a changed network |
# | `torch.no_grad()` | whether PyTorch records a graph | right numbers, wasted time and memory |

# %%
with torch.no_grad():
    quiet = network(x)
assert torch.equal(network(x), quiet)
print("with and without no_grad(): the same answers")

# %% [markdown]
# ## Part 5: the loop behind predict

# %%
model.unroll("predict", eval_data, batch_size=300, stack_outputs=True)

# %% [markdown]
# The loop is the one of `evaluate` without all that needs labels. Two lines matter to you as a
# user, and both are about order.
#
# ### Order and shape
#
# Without `shuffle`, `Batches` goes through the data in its own order. The outputs are collected in
# this order. So row `i` of the result belongs to sample `i`, whatever the batch size.

# %%
[in_one] = model.predict(eval_data, batch_size=1000, stack_outputs=True, verbose=0)
[in_batches] = model.predict(eval_data, batch_size=300, verbose=0)
print("in batches:", [tuple(y_hat.shape) for y_hat in in_batches])
print("stacked:   ", tuple(in_one.shape))
assert torch.allclose(torch.cat(in_batches), in_one, atol=1e-4)

# %% [markdown]
# Without `stack_outputs` there is a tensor for each batch, and the last one may be short. To get an
# accuracy from them, remember Part 2: count, then divide.
#
# If you give a loader of your own, its order counts. Here is a trap: a loader made for training,
# with `shuffle=True`. The predictions are right, but they belong to other samples.

# %% tags=["nbval-ignore-output"]
tl.seed(3)
for shuffle in (False, True):
    loader = DataLoader(eval_data, batch_size=64, shuffle=shuffle)
    [y_hat] = model.predict(loader, stack_outputs=True, verbose=0)
    acc = (y_hat.argmax(dim=1) == labels).float().mean()
    print(f"shuffle={shuffle!s:5}  acc {acc:.3f}")
assert acc < 0.2

# %% [markdown]
# An accuracy near 0.1, that of random guessing among ten digits, from a good network: think of the
# order first. `evaluate` on the same loader is right, because there each prediction meets its own
# label inside the batch.

# %%
shuffled = model.evaluate(loader, verbose=0)
assert shuffled["acc"] == result["acc"]

# %% [markdown]
# ### From scores to answers
#
# The outputs are logits, ten scores for each image. `argmax` gives the digit. `softmax` gives
# probabilities, and the largest one says how sure the network is: its *confidence*. With
# predictions in the right order you can pick out the samples that you want to see. Here are the
# mistakes that the network was surest of.

# %%
probabilities = in_one.softmax(dim=1)
sure, digit = probabilities.max(dim=1)
mistakes = (digit != labels).nonzero().flatten()
surest = mistakes[sure[mistakes].argsort(descending=True)][:6]
tl.show(images[surest], labels[surest], digit[surest])

# %% [markdown]
# Is a network that is surer also right more often? Sort the images by how sure it is, cut them into
# four groups, and count.

# %% tags=["nbval-ignore-output"]
groups = sure.argsort().chunk(4)
shares = [(digit[group] == labels[group]).float().mean().item() for group in groups]
for group, share in zip(groups, shares, strict=True):
    low, high = sure[group].min(), sure[group].max()
    print(f"sure from {low:.2f} to {high:.2f}: {share:.3f} of the answers are right")
assert shares[0] < shares[1] <= shares[3]

# %% [markdown]
# So "I am not sure" is worth something: a post office would send the least sure quarter to a
# person, and let the machine sort the rest. (Whether a confidence of 0.9 is right nine times in ten
# is called *calibration*.)
#
# ### Without labels
#
# In real use there are no labels. `predict` takes data without any.

# %%
[unlabelled] = model.predict(TensorDataset(images), stack_outputs=True, verbose=0)
assert torch.equal(unlabelled, logits)
print(tuple(unlabelled.shape), "without any label")

# %% [markdown]
# ## Part 6: let the library prove it
#
# The loops are what `evaluate` and `predict` run. `verify` runs one in a new Python process without
# this library, and compares every number: here 1,000 predictions, in 16 batches.

# %%
proof = model.unroll("predict", eval_data).verify()
assert proof
proof

# %% [markdown]
# ## Summary
#
# - Sums and counts can be added over batches; means cannot. Divide once, at the end. Then the
#   result does not depend on the batch size.
# - `network.eval()`: dropout is off, batch norm uses its running means. Without it, the numbers are
#   random, worse, depend on the other samples of the batch, and the network changes.
# - `torch.no_grad()`: no graph. The numbers are the same; memory and time are saved.
# - `loss.item()` is a number without a graph. `loss` holds on to its batch.
# - `predict` keeps the order of the data. A shuffled loader gives shuffled predictions.

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it: `tl.check` tells at once what is right. If
# something is not, it says where it first goes wrong. Change your code and run both cells again, as
# often as you like.
#
# If you do not know how to begin: `tl.hint("predict_digits")` asks a question that helps, and gives a
# nudge when you run it again. `tl.progress()` shows what is solved.
#
# The exercises need none of the cells above. You can restart the kernel and begin here.

# %% tags=["exercises"]
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import Normalize

import tutorial as tl

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# ### Exercise 1: predict
#
# Write the loop that predicts. It gets a network and a loader of pairs `(x, y)`, and returns one
# tensor with the class of each sample, as an integer, in the order of the loader.
#
# The network may come in training mode. The labels `y` must not be used.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "predict_digits_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def predict_digits(network, loader):
    ### BEGIN SOLUTION
    network.eval()
    digits = []
    with torch.no_grad():
        for x, _ in loader:
            digits.append(network(x).argmax(dim=1))
    return torch.cat(digits)
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "predict_digits", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("predict_digits", predict_digits).require()
images, labels = tl.datasets.MNIST("test", Normalize([33.3], [78.6]))[:150]
tl.seed(0)
network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 10))
mine = predict_digits(network, DataLoader(TensorDataset(images, labels), batch_size=64))
[logits] = tl.Model(network).predict(TensorDataset(images), stack_outputs=True, verbose=0)
assert torch.equal(mine, logits.argmax(dim=1))
### END HIDDEN TESTS
tl.check("predict_digits", predict_digits)

# %% [markdown]
# ### Exercise 2: combine evaluations
#
# Three computers have evaluated a network, each on a part of the data. Each sends a dict, such as
# `{"loss": 0.5, "acc": 0.9, "samples": 600}`. Combine a list of such dicts into one dict with the
# same three names, as if one computer had evaluated everything.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "combine_results_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def combine_results(results):
    ### BEGIN SOLUTION
    samples = sum(result["samples"] for result in results)
    loss_sum = sum(result["loss"] * result["samples"] for result in results)
    correct = sum(result["acc"] * result["samples"] for result in results)
    return {"loss": loss_sum / samples, "acc": correct / samples, "samples": samples}
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "combine_results", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("combine_results", combine_results).require()
two = [{"loss": 1.0, "acc": 0.0, "samples": 1}, {"loss": 0.0, "acc": 1.0, "samples": 3}]
assert combine_results(two) == {"loss": 0.25, "acc": 0.75, "samples": 4}
### END HIDDEN TESTS
tl.check("combine_results", combine_results)

# %% [markdown]
# ### Exercise 3: only when it is sure
#
# A machine sorts letters by their postal codes. It decides only where it is sure, and a person does
# the rest. How good is it where it decides?
#
# Take the logits (N, C) and the labels (N,). Find the samples of which the network is surest, a
# fraction `share` of all: 0.5 is half of them. The network is sure when its largest *probability*
# is large. Return the accuracy on these samples, a plain number from 0 to 1.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "accuracy_of_surest_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def accuracy_of_surest(logits, y, share):
    ### BEGIN SOLUTION
    sure, digit = logits.softmax(dim=1).max(dim=1)
    count = round(share * len(y))
    surest = sure.argsort(descending=True)[:count]
    return (digit[surest] == y[surest]).float().mean().item()
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "accuracy_of_surest", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("accuracy_of_surest", accuracy_of_surest).require()
scores = torch.tensor([[0.0, 1.0, 0.0], [5.0, 0.0, 0.0], [6.0, 6.0, 5.0], [0.0, 0.0, 3.0]])
right = torch.tensor([0, 0, 2, 2])
assert accuracy_of_surest(scores, right, 0.5) == 1.0
assert accuracy_of_surest(scores, right, 1.0) == 0.5
### END HIDDEN TESTS
tl.check("accuracy_of_surest", accuracy_of_surest)
