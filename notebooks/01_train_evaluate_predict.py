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
# # 1 · Train, evaluate, predict
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
# The lesson takes about 40 minutes.
#
# **After this lesson you can**
#
# - train, evaluate and use a network with `fit`, `evaluate` and `predict`;
# - read the plain PyTorch loop behind each of them;
# - write these loops by hand, and prove that they do the same;
# - change the loop that `fit` runs, and hand it back;
# - save what the network learned, and load it again.

# %% [markdown]
# ## Before training
#
# `tutorial` is the library of these lessons; the rest is PyTorch. Nothing has to be downloaded.
#
# Why `torch.set_num_threads(1)`? A computer rounds every sum. Several threads split a sum into
# parts and so round it differently. One thread always adds in the same order, so you get the same
# numbers in each run. (Another kind of processor still rounds in its own way: your numbers may
# differ a little from the ones on this page.)

# %%
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision.transforms import Normalize

import tutorial as tl

torch.set_num_threads(1)

# %% [markdown]
# ### The device
#
# A network trains on a *device*: a processor (CPU) or a graphics card (GPU). If you choose nothing,
# it is the first GPU, or the CPU where there is none. Our network is small: the CPU is enough.
# `"gpu:0"` would be the first GPU, `"gpu:1"` the second.
#
# (The environment variable `CUDA_VISIBLE_DEVICES` hides GPUs from a program. Only those that are
# left are counted, from 0. After `export CUDA_VISIBLE_DEVICES=1` the second GPU of the machine is
# `gpu:0`, and `gpu:1` is an error.)

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
# Several samples at once are a *batch*: the images in one tensor `x`, the labels in another, `y`.
# Look at your data before you train on it.

# %%
x, y = train_data[:12]
print("x:", tuple(x.shape), " y:", tuple(y.shape))
tl.show(x, y)

# %% [markdown]
# ### The network
#
# The network takes an image and gives ten numbers, one for each digit. Its five layers are:
#
# - `Flatten` puts the 28 × 28 pixels into one row of 784 numbers.
# - `Linear(784, 512)` computes 512 weighted sums of them: 512 *neurons*, or *units*. Its weights
#   are learned.
# - `ReLU` keeps positive numbers and turns negative ones into 0. Without it, two linear layers
#   could do no more than one.
# - `Dropout(0.2)` sets each number to 0 with a probability of 0.2, but only in training. So the
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
# A network begins with random weights. The order of the samples is random too, and so are the
# numbers that dropout sets to 0. `tl.seed` sets the random *seed*: the same seed, the same run. Set
# it right before the network is made.

# %%
tl.seed(0)
network = new_network()
weights = sum(weight.numel() for weight in network.parameters())
assert weights == (784 * 512 + 512) + (512 * 10 + 10)
print(f"{weights:,} weights to learn")

# %% [markdown]
# ## Part 1: the high level
#
# ### Model and prepare
#
# A `Model` puts the network together with all that training needs. Keep two words apart: the
# `network` is your PyTorch module; the `model` is the `Model` around it. `prepare` takes three
# things:
#
# - The **optimizer** moves the weights. Here it is Adam. It must know the weights that it moves,
#   and `lr`, the learning rate, which says how long a step is.
# - The **loss** measures how far the predictions are from the labels. Cross-entropy is the usual
#   loss for classes.
# - **Metrics** tell a person how good the network is. Nothing is learned from them. Accuracy is the
#   fraction of correct answers. Lesson 3 is about losses and metrics.

# %%
model = tl.Model(network)
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
loss_fn = nn.CrossEntropyLoss()
model.prepare(optimizer, loss_fn, tl.metrics.Accuracy())

# %% [markdown]
# ### fit: train
#
# Training is a loop inside a loop. The inner loop goes through the training data once, batch by
# batch. The outer loop repeats that. So `fit` needs the training data; `epochs`, the turns of the
# outer loop; and `batch_size`, the number of samples in a batch.

# %% tags=["nbval-ignore-output"]
history = model.fit(train_data, epochs=3, batch_size=64)

# %% [markdown]
# Below the bar and the curves, a table has a row for each epoch. (Where nobody watches, such as on a
# page of the book, there is a line for each instead.) The loss and the accuracy are means over all
# samples of the epoch. They are measured while the network learns: the first batches of an epoch met a
# network that knew less than it does at the end.
#
# `fit` returned a `History`: a row for each epoch in `history.rows`, and the loss of every single
# step in `history.step_losses`. An epoch has 937 full batches of 64 and a last one of 32: 938
# steps.
#
# The loss falls and the accuracy rises. So the training works. The next cell makes sure of it. An
# `assert` whose claim is true says nothing; a false one is an error.

# %%
losses = [row["loss"] for row in history.rows]
accuracies = [row["acc"] for row in history.rows]
assert losses == sorted(losses, reverse=True), "the loss falls in each epoch"
assert accuracies == sorted(accuracies), "the accuracy rises in each epoch"

full, rest = divmod(len(train_data), 64)
print(full, "full batches, then one of", rest)
assert len(history.step_losses) == 3 * (full + 1)

# %% [markdown]
# On the left of the picture, the thin line is the loss of every step. It jumps, because some
# batches are harder than others. The circles are the means of the epochs.

# %%
history.plot()

# %% [markdown]
# That is a picture, for a report. `tl.LivePlot(history)` draws the curves as `fit` does: the values
# can be read with a pointer. Try it in a cell of your own: press `B` for a new one.
#
# ### evaluate: measure on new data
#
# A network can memorize its training data. So what counts is data that it has never seen.
# `evaluate` goes through the test data, with dropout off, and learns nothing. It returns a dict of
# plain numbers: the loss, and each metric under its name.

# %% tags=["nbval-ignore-output"]
result = model.evaluate(test_data)
print(f"{result['acc']:.1%} of the {len(test_data):,} test images are recognized")
assert 0.95 < result["acc"] < 0.975

# %% [markdown]
# About 96 % of the digits are right. For so small a network, after three epochs, that is good.
#
# ### predict: use it
#
# `predict` returns the outputs of the network. It does not look at labels. The result is a list
# with an item for each output of the network; ours has one output. `stack_outputs=True` joins the
# batches to one tensor: a row for each image, a column for each digit.

# %%
[logits] = model.predict(test_data, stack_outputs=True, verbose=0)
print(tuple(logits.shape))

# %% [markdown]
# The ten numbers of a row are *logits*: scores, larger is likelier. They are not probabilities;
# they can be negative. `softmax` makes probabilities of them: positive, and their sum is 1. (The
# loss `CrossEntropyLoss` does this itself. That is why the network ends without a softmax.) Here is
# the row of the first test image, a 7.

# %% tags=["nbval-ignore-output"]
probabilities = logits.softmax(dim=1)
assert torch.allclose(probabilities.sum(dim=1), torch.ones(len(test_data)))
print("digit    logit    probability")
for digit in range(10):
    print(f"{digit:5}   {logits[0, digit]:6.2f}   {probabilities[0, digit]:12.4f}")

# %% [markdown]
# The answer is the digit with the highest score. `argmax` finds it. The fraction of correct answers
# is the accuracy that `evaluate` returned.

# %% tags=["nbval-ignore-output"]
predicted = logits.argmax(dim=1)
images, labels = test_data[:]
assert labels[0] == predicted[0] == 7

wrong = (predicted != labels).nonzero().flatten()
print(len(wrong), "of", len(labels), "are wrong")
assert abs(1 - len(wrong) / len(labels) - result["acc"]) < 1e-6

# %% [markdown]
# Mistakes teach more than successes. Here are twelve. Would you have read them all?

# %%
tl.show(images[wrong], labels[wrong], predicted[wrong])

# %% [markdown]
# ### Let it read your own handwriting
#
# `DrawDigit` is a sheet of paper. Draw a digit with the mouse or a finger, and the network reads it
# while you draw. Can you write a 7 that it reads as a 1? Below the paper is what the network sees:
# your drawing, as small and as soft as the images that it learned from.

# %% tags=["nbval-ignore-output"]
tl.DrawDigit(model, transform)

# %% [markdown]
# ## Part 2: the low level
#
# ### The loop behind fit
#
# What did `fit` do? Ask it. Go back to the cell with `history = model.fit(...)`, select it, and press
# `U`: below it a new cell appears, in which the call is written out as the plain PyTorch loop that
# it runs. You can run that cell; `Z` takes it away again. `Shift U` shows both side by side. (This
# works in JupyterLab and Notebook 7. The button *Unroll* above the notebook does the same. If a key
# does nothing, you are typing in the cell: press `Esc` first.)
#
# In code, `unroll` does it. It takes a method's name and the arguments you would give it. It returns
# the program that this call runs.

# %%
program = model.unroll("fit", train_data, epochs=3, batch_size=64, log_freq=300)
program

# %% [markdown]
# This is not a drawing of the loop. **It is the loop.** `fit` writes this very code and runs it.
# Only the reporting differs: where this code prints, `fit` tells a progress display.
#
# Above the loops, the *loader* is made: it gives batches of 64, in a new random order in each
# epoch. `network.train()` only turns dropout on. The heart is five lines:
#
# 1. `y_hat = network(x)` predicts. This is the *forward* pass.
# 2. `loss = loss_fn(y_hat, y)` measures how wrong that was.
# 3. `loss.backward()` computes a *gradient* for every weight: the direction in which the loss
#    grows. This is the *backward* pass, or backpropagation.
# 4. `optimizer.step()` moves every weight a little, against its gradient.
# 5. `optimizer.zero_grad()` clears the gradients. Otherwise the next batch would be added to them.
#
# Their order matters: gradients must be there before the step, and be gone before the next backward
# pass. The rest is bookkeeping. The loss of a batch is a mean over its samples. So it is multiplied
# by `len(x)` before it is added: then the short last batch counts for what it is. (Lesson 4 runs
# this loop line by line, and takes lines away to see what breaks.)

# %% [markdown]
# ### Write it by hand
#
# Now write that loop yourself. What `prepare` remembered, you make here. Three points need care:
#
# - **A new network.** Our `network` has been trained already. So take a fresh one, from the same
#   seed.
# - **The same arithmetic.** PyTorch's Adam has several implementations, which round differently;
#   `prepare` chose the fastest, `fused`. And `fit` flushes extremely small numbers (denormals) to
#   0, because they slow a CPU down. We do both too.
# - **The loader** may be PyTorch's own. A `DataLoader` makes the same batches in the same order, a
#   little slower, since it fetches sample by sample.

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
for epoch in range(3):
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
# ### Let the library prove it
#
# You compared by hand. `verify` does it for any program. It writes the program into a file that
# imports PyTorch and *never* this library, runs it in a new Python process, makes the call here on
# copies, and compares the two runs. To save time, the proof is for one epoch.

# %%
proof = model.unroll("fit", train_data, epochs=1, batch_size=64).verify()
assert proof
proof

# %% [markdown]
# ### The loop behind evaluate

# %%
model.unroll("evaluate", test_data, batch_size=64)

# %% [markdown]
# There is no backward pass and no step: nothing is learned. Two lines are new. `network.eval()`
# turns dropout off. `torch.no_grad()` tells PyTorch to record nothing for a backward pass. You need
# both. By hand it is:

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
assert my_result == result  # of model.evaluate in Part 1
print("equal, over", samples, "samples")

# %% [markdown]
# ### The loop behind predict
#
# Prediction is the shortest of the three. It is only the forward pass.

# %%
model.unroll("predict", test_data, stack_outputs=True)

# %% [markdown]
# By hand: no labels, no loss, no metric. The outputs are collected and joined. They equal the
# logits of Part 1. (Lesson 5 has more about both loops: what goes wrong without each line.)

# %%
my_network.eval()
y_hats = []
with torch.no_grad():
    for x, _ in test_loader:
        y_hats.append(my_network(x))
my_logits = torch.cat(y_hats)
assert torch.equal(my_logits, logits)
print(f"{my_logits.numel():,} logits: equal")

# %% [markdown]
# ## Part 3: both together
#
# ### A line of your own
#
# Say you want to know the norm of the gradient, its length: how steep is the ground where we stand?
# `fit` has no option for that. It needs none. Take the source of the program, put in what you want,
# and hand it back. `fit` runs your code, on the model's own network and optimizer.

# %% tags=["nbval-ignore-output"]
program = model.unroll("fit", train_data, epochs=1, batch_size=64, log_freq=300)
before = "        optimizer.step()"
watch = """\
        if (step + 1) % 300 == 0:
            squares = sum(weight.grad.square().sum() for weight in network.parameters())
            print(f"step {step + 1}: length of the gradient {squares**0.5:.2f}")
"""
assert program.source.count(before) == 1
watched = model.fit(train_data, loop=program.source.replace(before, watch + before))
assert len(watched.step_losses) == 938

# %% [markdown]
# The lines with the gradient are yours; the others print because the code says `print`. In lesson 6
# the network, the loss, the metric and the whole loop become your own.
#
# ### Save and load
#
# What the network learned is in its weights. `state_dict()` gives them, each with its name.
# `torch.save` writes them to a file. The code of the network is *not* in the file. To load, make a
# network of the same kind and fill in the weights. `weights_only=True` makes sure that a file can
# bring in numbers, but never run code. (This cell uses a temporary directory. For your work, give a
# path that stays.)

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "digits.pt"
    torch.save(my_network.state_dict(), path)
    loaded = new_network()
    loaded.load_state_dict(torch.load(path, weights_only=True))
print(list(loaded.state_dict()))

[loaded_logits] = tl.Model(loaded).predict(test_data, stack_outputs=True, verbose=0)
assert torch.equal(loaded_logits, logits)

# %% [markdown]
# The loaded network gives the same answers, bit for bit. To *predict*, the weights are enough. To
# go on with training, you need more: lesson 2. To bring a network to users, there are other tools:
# lesson 11.

# %% [markdown]
# ## Summary
#
# - High level: `Model(network)`, `prepare`, then `fit`, `evaluate`, `predict`.
# - Low level: forward, loss, backward, step, zero_grad. All else is bookkeeping.
# - They are the same program. `model.unroll(...)` shows it, `verify()` proves it, `loop=` changes
#   it.
# - Training: `network.train()`. Evaluation and prediction: `network.eval()` *and*
#   `torch.no_grad()`.
# - Logits are not probabilities. A fair comparison begins with a new network and the same seed.
#
# ### The names
#
# All lessons use these names.
#
# | name | is |
# |---|---|
# | `network`, `model` | your `nn.Module`; the `Model` around it |
# | `train_data`, `train_loader` | a dataset; what makes batches of it |
# | `x`, `y` | the inputs and the labels of one batch |
# | `y_hat` | the predictions for one batch; here logits |
# | `loss_fn`, `loss` | what measures the error, and its value for one batch |
# | `epoch`, `step` | a pass over the data; one batch of it. From 0 in code, from 1 in print |
#
# ### To think about
#
# 1. Train the network of Part 1 with `batch_size=1024`, from the same seed. How many steps has an
#    epoch now? Is the accuracy after 3 epochs higher or lower? Why?
# 2. An untrained network gives each of the ten digits about the same probability. What is its
#    cross-entropy? Compare it with the first number of `history.step_losses` in Part 1.

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it: `tl.check` tells at once what is right. If
# something is not, it says where it first goes wrong. Change your code and run both cells again, as
# often as you like.
#
# You do not know how to begin? `tl.hint("number_of_steps")`, in a cell of your own, asks you a
# question that helps. Run it again for a nudge; and a third time, after a try of yours, for a
# solution. (In a course there is none.)
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
# How many steps does a training take? It depends on the number of samples, on the batch size, and
# on the number of epochs. A last batch may be short; it is a step like any other.


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
# The network may come in evaluation mode. Do not shuffle: take the batches as `train_loader` gives
# them.


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
# Write the loop that evaluates a network, and return `{"loss": ..., "acc": ...}`: the mean loss
# over all samples, and the fraction of correct answers, from 0 to 1. Both are plain numbers.


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

# %% [markdown]
# ### How far are you?
#
# What you have solved is kept, in a small file beside your lessons. `tl.progress()` shows it, and so
# do the lessons' cards in JupyterLab's launcher.

# %%
tl.progress()
