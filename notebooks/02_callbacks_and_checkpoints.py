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
# # 2 · Callbacks and checkpoints
#
# Training takes time: minutes here, weeks for a large network. While it runs, other things should
# happen too:
#
# - **Stop** when the network gets no better.
# - **Change the learning rate**: long steps first, short steps later.
# - **Save checkpoints**, so that a power cut costs one epoch and not the whole week.
# - **Keep a log** that you can read tomorrow.
#
# None of this belongs to learning itself. So it does not stand in the loop of lesson 1. It is added
# from outside, with *callbacks*. A callback is an object that the loop calls at certain moments.
#
# The lesson takes about 40 minutes.
#
# **After this lesson you can**
#
# - say where in the loop a callback is called, and write one of your own;
# - stop a training before it overfits, and keep the best weights;
# - change the learning rate by a schedule, and say where its line stands in the loop;
# - save a training, and go on from there as if nothing had happened, bit for bit.

# %% [markdown]
# ## Before training
#
# The imports are those of lesson 1, and two more.

# %%
import os
import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import Subset
from torchvision.transforms import Normalize

import tutorial as tl

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# This lesson writes files. They go to a new directory, which the last cell removes. For your own
# work, leave out this cell: then they go to the current directory.

# %%
here = os.getcwd()
folder = tempfile.TemporaryDirectory()
os.chdir(folder.name)

# %% [markdown]
# ### Training, validation and test data
#
# We train on 1,000 images only. That is too few on purpose: we want to see a network *overfit*,
# which means that it memorizes its training data.
#
# There are two other sets. On the **validation data** (`eval_data`) we evaluate during training, to
# decide when to stop. After that it is no longer new: we chose what looks best on it. So the **test
# data** is kept for the end, to tell how good the result is. (For validation data others say
# validation set, development set or held-out data.)
#
# The pixels of MNIST have the mean 33.3 and the standard deviation 78.6. `Normalize` brings them to
# mean 0 and deviation 1.

# %%
transform = Normalize(mean=[33.3], std=[78.6])
mnist = tl.datasets.MNIST(mode="train", transform=transform)
train_data = Subset(mnist, range(1000))
eval_data = Subset(mnist, range(1000, 3000))
test_data = tl.datasets.MNIST(mode="test", transform=transform)
print(len(train_data), "to train on,", len(eval_data), "to choose by,", len(test_data), "to test")

# %% [markdown]
# Each experiment below begins with a new network from the same seed.


# %%
def new_model(dropout=0.0, seed=0):
    tl.seed(seed)
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(512, 512),
        nn.ReLU(),
        nn.Linear(512, 10),
    )
    model = tl.Model(network)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    return model


# %% [markdown]
# ## Part 1: callbacks and hooks
#
# ### Write one
#
# Derive a class from `tl.callbacks.Callback`. Give it methods with the names of the moments that
# you care for. These methods are called *hooks*. This one just prints:


# %%
class Diary(tl.callbacks.Callback):
    def on_train_begin(self, logs=None):
        print("training begins:", self.params["epochs"], "epochs of", self.params["steps"], "steps")

    def on_epoch_end(self, epoch, logs=None):
        print(f"epoch {epoch + 1} ends: loss {logs['loss']:.3f}, acc {logs['acc']:.3f}")

    def on_train_end(self, logs=None):
        print("training ends")


# %% [markdown]
# Hand an object of it to `fit`. `verbose=0` makes `fit` itself silent, so all that you see comes
# from the callback.

# %% tags=["nbval-ignore-output"]
model = new_model()
history = model.fit(train_data, epochs=3, callbacks=Diary(), verbose=0)
assert history.rows[-1]["acc"] > 0.85

# %% [markdown]
# ### Where it is called
#
# As always, ask for the loop. It is the loop of lesson 1 with some more lines. Find the ones that
# begin with `diary`: they are the calls.

# %%
model.unroll("fit", train_data, epochs=3, callbacks=Diary())

# %% [markdown]
# That is all there is to a callback: a method call in the loop. Look closely:
#
# - Only the three hooks that `Diary` defines stand there.
# - `on_epoch_end` is inside the outer loop; it gets the number of the epoch, from 0.
# - `logs` is a dict with the numbers so far.
# - `if model.stop_training: break` is new, too. A callback can set this, and so end the training.
#
# Now a callback with many hooks. From its loop we pick out the calls, and some landmarks.


# %%
class Everything(tl.callbacks.Callback):
    def on_train_begin(self, logs=None): ...
    def on_train_end(self, logs=None): ...
    def on_epoch_begin(self, epoch, logs=None): ...
    def on_epoch_end(self, epoch, logs=None): ...
    def on_train_batch_begin(self, step, logs=None): ...
    def on_train_batch_end(self, step, logs=None): ...
    def on_eval_begin(self, logs=None): ...
    def on_eval_end(self, logs=None): ...


program = model.unroll("fit", train_data, eval_data, epochs=3, callbacks=Everything())
landmarks = ("for ", "everything.", "optimizer.step", "if model.stop_training")
for line in program.source.splitlines():
    if line.strip().startswith(landmarks):
        print(line.partition("  #")[0].rstrip())

# %% [markdown]
# Each begin and each end has a hook. `stop_training` is read in two places now: a hook in the inner
# loop can end the training at once. A callback has two attributes:
#
# - `self.model` is the `Model`. Its parts are `self.model.network` and `self.model.optimizer`.
# - `self.params` is a dict of what was asked for: `epochs`, `steps`, `metrics` and so on.
#
# ### A callback that decides
#
# This callback ends the training as soon as the network is good enough. It sets `stop_training`;
# the loop then ends after this epoch.


# %%
class GoodEnough(tl.callbacks.Callback):
    def __init__(self, acc):
        self.acc = acc

    def on_epoch_end(self, epoch, logs=None):
        if logs["acc"] >= self.acc:
            self.model.stop_training = True


# %% tags=["nbval-ignore-output"]
model = new_model()
history = model.fit(train_data, epochs=20, callbacks=GoodEnough(0.95), verbose=0)
assert len(history.rows) < 10
history

# %% [markdown]
# We allowed 20 epochs. It took only a few.
#
# ### LambdaCallback: without a class
#
# For a line or two a class is too much. `LambdaCallback` takes functions, each under the name of
# its hook. Here one writes down the loss at each step. Several callbacks go in a list, and are
# called in this order.

# %% tags=["nbval-ignore-output"]
noted = []
note = tl.callbacks.LambdaCallback(on_train_batch_end=lambda step, logs: noted.append(logs["loss"]))
model = new_model()
history = model.fit(train_data, epochs=2, callbacks=[note, Diary()], verbose=0)
assert len(noted) == len(history.step_losses) == 2 * 16
assert noted[-1] == history.rows[-1]["loss"]

# %% [markdown]
# The last assert says something about `logs["loss"]`: it is the mean of the epoch *so far*. At the
# last step of an epoch that is the mean of the whole epoch.

# %% [markdown]
# ## Part 2: EarlyStopping
#
# ### Overfitting
#
# First, train for 25 epochs and see what goes wrong. We evaluate on `eval_data` after each epoch.

# %% tags=["nbval-ignore-output"]
model = new_model()
long = model.fit(train_data, eval_data, epochs=25, verbose=0)
figure = long.plot()
figure.axes[0].set(ylim=(0, 0.8))  # the first losses are larger
figure

# %% [markdown]
# Look at the loss on the left:
#
# - On the training data it falls and falls, nearly to 0. The accuracy there reaches 1: all 1,000
#   images are memorized.
# - On the validation data it falls for a few epochs. **Then it rises again.** From there on the
#   network learns what is special about its 1,000 images, and not what is true of digits.
#
# Lesson 8 is about reading such curves, and about what helps.

# %% tags=["nbval-ignore-output"]
eval_losses = [row["eval_loss"] for row in long.rows]
best = min(eval_losses)
print(
    f"eval_loss: best {best:.3f} in epoch {eval_losses.index(best) + 1}, last {eval_losses[-1]:.3f}"
)
print(f"training:  acc {long.rows[-1]['acc']:.3f}, loss {long.rows[-1]['loss']:.4f}")
assert eval_losses.index(best) < 12 and eval_losses[-1] > 1.1 * best
assert long.rows[-1]["acc"] > 0.99

# %% [markdown]
# ### Early stopping
#
# When should one stop? At the lowest point of the curve. But you know that it was the lowest only
# when the curve has risen again. And one bad epoch may be noise. So `EarlyStopping` has
# **patience**: it waits for so many evaluations in a row that are no better than the best one, and
# then ends the training. By then the network has already become worse. That does no harm: the best
# weights were copied, and at the end the network gets them back.

# %% tags=["nbval-ignore-output"]
model = new_model()
stop = tl.callbacks.EarlyStopping(monitor="loss", patience=3)
short = model.fit(train_data, eval_data, epochs=25, callbacks=stop, verbose=0)
assert len(short.rows) == stop.best_epoch + 3
short

# %% [markdown]
# Are the best weights really back? Evaluate again and compare: with the best epoch, not with the
# last one.

# %%
result = model.evaluate(eval_data, verbose=0)
assert result["loss"] == short.rows[stop.best_epoch - 1]["eval_loss"]
assert result["loss"] < short.rows[-1]["eval_loss"]

# %% [markdown]
# So the network is better than after 25 epochs, and it took less time. Now, once, the test data: it
# had no part in any choice.

# %% tags=["nbval-ignore-output"]
tested = model.evaluate(test_data, verbose=0)
print(f"test data: loss {tested['loss']:.3f}, acc {tested['acc']:.3f}")
assert 0.8 < tested["acc"] < 0.95

# %% [markdown]
# `EarlyStopping` can do more: watch a metric (`monitor="acc"`), ignore tiny improvements
# (`min_delta`), or end a training that does not beat a given value (`baseline`).

# %% [markdown]
# ## Part 3: learning rate schedules
#
# The learning rate says how long a step is. Early in training, long steps save time. Near the goal,
# long steps jump over it. So it is common to begin long and end short.
#
# PyTorch has many schedules for that in `torch.optim.lr_scheduler`. Each one is made for an
# optimizer, and each call of its `step()` sets the next learning rate. Who calls that? In a loop by
# hand, you do. With `fit`, wrap the schedule in `tl.callbacks.LRScheduler`, and say how often:
# after each step of the optimizer (`by_step=True`, the default) or after each epoch
# (`by_epoch=True`).
#
# `LRScheduler` is a special callback: it is not called by the loop. The loop has **the line
# `scheduler.step()` itself**. Here it is, by step and by epoch.

# %%
model = new_model()
cosine = torch.optim.lr_scheduler.CosineAnnealingLR(model.optimizer, T_max=10 * 16)
for when in ("by_step", "by_epoch"):
    schedule = tl.callbacks.LRScheduler(cosine, **{when: True})
    program = model.unroll("fit", train_data, epochs=10, callbacks=schedule)
    lines = program.source.splitlines()
    [found] = [number for number, line in enumerate(lines) if "scheduler.step()" in line]
    print(when)
    for number in (found - 2, found - 1, found):
        print(f"{number + 1:4} {lines[number]}")

# %% [markdown]
# By step, it stands in the inner loop; by epoch in the outer loop, when the inner one is over. In
# both cases it comes *after* `optimizer.step()`: first use a rate, then choose the next one.
#
# It must be what the schedule was made for. This one divides the rate by ten after every 3 calls.
# By epoch, that is every 3 epochs. And by step?

# %%
for when in ("by_epoch", "by_step"):
    model = new_model()
    stairs = torch.optim.lr_scheduler.StepLR(model.optimizer, step_size=3, gamma=0.1)
    model.fit(train_data, callbacks=tl.callbacks.LRScheduler(stairs, **{when: True}), verbose=0)
    print(f"{when}: {model.optimizer.param_groups[0]['lr']:.1g} after one epoch")

# %% [markdown]
# By step, the rate is next to nothing before the first epoch is over. No error: the network hardly
# learns any more. (Lesson 7 draws schedules and chooses among them. `ReduceLROnPlateau` looks at
# the evaluations instead: it lowers the rate when progress ends.)

# %% [markdown]
# ## Part 4: checkpoints
#
# ### save_dir
#
# A *checkpoint* is a file with the state of a training at one moment. Give `fit` a directory, and
# it writes one after each epoch.

# %%
model = new_model()
history = model.fit(train_data, epochs=3, save_dir="first", verbose=0)
print(sorted(path.name for path in Path("first").iterdir()))

# %% [markdown]
# `0.pt` was written after the first epoch (code counts from 0), `final.pt` at the end. There is
# never half a checkpoint: a file is written under another name first, and then moved into place.
#
# What is in a file? Open one with plain PyTorch.

# %%
state = torch.load("first/final.pt", weights_only=True)
print("the file:     ", list(state))
print("['network']:  ", list(state["network"]))
print("['optimizer']:", list(state["optimizer"]))
print("['fit']:      ", list(state["fit"]))

# %% [markdown]
# - `network`: all weights, by name.
# - `random`: the *random state*, so that the next shuffle is the one that would have come.
# - `optimizer`: its options, and its state. Adam keeps two averages for every weight.
# - `fit`: how far the training was, its losses, and what the callbacks remember.
#
# You can write such a file yourself, at any time, with `model.save`. `model.load` reads it into a
# model of the same kind. The seed of the other network does not matter: all its weights are
# replaced.

# %%
model.save("three_epochs")
other = new_model(seed=123)
other.load("three_epochs")
[logits] = model.predict(test_data, stack_outputs=True, verbose=0)
[other_logits] = other.predict(test_data, stack_outputs=True, verbose=0)
assert torch.equal(other_logits, logits)
print(f"{logits.numel():,} logits: equal")

# %% [markdown]
# ### Keep the best
#
# `ModelCheckpoint` is the callback behind `save_dir`. With `best_only=True` one file,
# `best_model.pt`, takes the place of the numbered ones. It is replaced whenever the evaluation is
# better than ever.

# %%
keep_best = tl.callbacks.ModelCheckpoint(save_dir="best", best_only=True, monitor="loss")
model = new_model()
history = model.fit(train_data, eval_data, epochs=10, callbacks=keep_best, verbose=0)
print(sorted(path.name for path in Path("best").iterdir()))

model.load("best/best_model")
best = min(row["eval_loss"] for row in history.rows)
assert model.evaluate(eval_data, verbose=0)["loss"] == best

# %% [markdown]
# ### Resume a training that was interrupted
#
# Now the real test. The plan: train for 4 epochs without a break, and remember the result. Then
# train again, cut it off in the middle of epoch 3, go on, and compare **every bit**.
#
# To make it hard, it uses random numbers (for shuffling and dropout) and a schedule.


# %%
def start(power_cut):
    """A new training: the model, and its callbacks."""
    model = new_model(dropout=0.2)
    schedule = torch.optim.lr_scheduler.StepLR(model.optimizer, step_size=1, gamma=0.5)
    return model, [tl.callbacks.LRScheduler(schedule, by_epoch=True), power_cut]


class PowerCut(tl.callbacks.Callback):
    """Breaks a training off in this epoch, at this step (both from 0)."""

    def __init__(self, at=None):
        self.at = at

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, step, logs=None):
        if (self.epoch, step) == self.at:
            raise RuntimeError("the power is gone")


# %% [markdown]
# The straight training: no power cut, no files.

# %%
straight, callbacks = start(PowerCut())
straight_history = straight.fit(train_data, epochs=4, callbacks=callbacks, verbose=0)
print(len(straight_history.step_losses), "steps")

# %% [markdown]
# And the one that breaks off. `resume=True` means: *go on from the newest checkpoint in `save_dir`;
# begin if there is none*. Give it from the first time on. Then you can start the same program
# again, whenever and as often as it was killed, and need not think about it.

# %%
model, callbacks = start(PowerCut(at=(2, 7)))
try:
    model.fit(train_data, epochs=4, callbacks=callbacks, save_dir="run", resume=True, verbose=0)
except RuntimeError as error:
    print("error:", error)
print(sorted(path.name for path in Path("run").iterdir()))

# %% [markdown]
# Two epochs are safe. The 8 steps of the third are lost. (`start.pt` is from before the first step,
# in case that the very first epoch breaks off.) After a real power cut the files would be the same:
# nothing is written at the moment when it breaks off. Lesson 11 kills a process to show that.
#
# Now begin again, as a fresh Python process would: new network, new optimizer, new schedule. To
# make sure that nothing is equal by accident, we overwrite its weights with noise. What will `fit`
# do? These are the lines about it in the loop.

# %%
del model, callbacks
resumed, callbacks = start(PowerCut())
for weight in resumed.parameters():
    nn.init.normal_(weight)
program = resumed.unroll(
    "fit", train_data, epochs=4, callbacks=callbacks, save_dir="run", resume=True
)
for line in program.source.splitlines():
    if "saved" in line or "for epoch" in line:
        print(line)

# %% [markdown]
# The newest checkpoint is loaded: weights, optimizer, schedule, callbacks and random state. And the
# loop over the epochs begins at 2.

# %%
resumed_history = resumed.fit(
    train_data, epochs=4, callbacks=callbacks, save_dir="run", resume=True, verbose=0
)
print(sorted(path.name for path in Path("run").iterdir()))

# %% [markdown]
# Is it the same training? All losses of all steps, all rows, all weights:

# %%
assert resumed_history.step_losses == straight_history.step_losses
assert resumed_history.rows == straight_history.rows
pairs = list(zip(resumed.parameters(), straight.parameters(), strict=True))
assert all(torch.equal(ours, theirs) for ours, theirs in pairs)
numbers = sum(ours.numel() for ours, _ in pairs)
print(f"{len(resumed_history.step_losses)} losses and {numbers:,} weights: equal, bit for bit")

# %% [markdown]
# Equal, although the power failed, half an epoch was lost, and the weights began as noise. A
# training that was resumed *is* the training without a break. Three rules for it:
#
# - Give the same data, and the same callbacks in the same order. Their state is in the file too: an
#   `EarlyStopping` goes on with the patience that it had left.
# - `epochs` counts the epochs that are done, too. To go on for longer, give a larger number.
# - If a callback *of your own* must remember something, name it: `state_attributes = ("best",)` in
#   the class puts `self.best` into the checkpoint.
#
# By the way, **Ctrl-C** (in a notebook: the stop button) is no error. `fit` finishes the step and
# returns the history so far, with `history.interrupted` set to `True`.

# %% [markdown]
# ### Log to a CSV file
#
# `CSVLogger` writes a table: a line for each epoch, with all that is reported. Any spreadsheet
# opens it. The numbers stand there with all their digits.

# %%
model = new_model()
log = tl.callbacks.CSVLogger("log.csv")
history = model.fit(train_data, eval_data, epochs=3, callbacks=log, verbose=0)
header, *lines = Path("log.csv").read_text().splitlines()
print(header)
assert [float(line.split(",")[1]) for line in lines] == [row["loss"] for row in history.rows]

# %% [markdown]
# At last, leave the directory and remove it.

# %%
os.chdir(here)
folder.cleanup()

# %% [markdown]
# ## Summary
#
# - A callback is an object whose hooks the loop calls. `model.unroll(..., callbacks=...)` shows
#   where.
# - `logs` has the means so far; `self.model.stop_training = True` ends the training.
# - A network that trains for too long overfits: the training loss falls, the validation loss rises.
#   `EarlyStopping` ends it, and gives the best weights back.
# - A schedule changes the learning rate. `scheduler.step()` stands in the loop, after
#   `optimizer.step()`: by step or by epoch.
# - A checkpoint has all that a training needs: weights, optimizer, random state, schedule,
#   callbacks. `save_dir=..., resume=True` makes a training that may be killed at any moment.
# - Choose on the validation data. Measure on the test data, once.
#
# ### The callbacks
#
# | `tl.callbacks.` | does |
# |---|---|
# | `Callback` | nothing: the base of your own |
# | `LambdaCallback` | what the given functions do |
# | `EarlyStopping` | ends a training that gets no better |
# | `LRScheduler` | steps a schedule of PyTorch, by step or by epoch |
# | `ReduceLROnPlateau` | lowers the learning rate when progress ends |
# | `ModelCheckpoint` | saves the training: each epoch, or the best |
# | `TerminateOnNaN` | ends a training whose loss is NaN or infinite |
# | `CSVLogger`, `TensorBoard` | keep a log, as a table or as curves |
# | `ProgressBar` | shows how far it is, in place of `verbose` and `log_freq` |
#
# ### To think about
#
# 1. Train with `EarlyStopping(monitor="acc", patience=3)` instead. Which epoch is the best now? Is
#    the validation loss of that network lower or higher? Why?
# 2. In the training that breaks off, load `run/1.pt` with `model.load` and train for 2 more epochs,
#    without `resume`. Are the weights equal to those of the straight training? If not, what is
#    missing? (Think of the schedule.)
# 3. Give `PowerCut` an attribute `steps` that counts all steps, and print it at the end. After a
#    resume the count is wrong. Repair it with `kept`.

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it. The exercises need none of the cells above.
#
# If you do not know how to begin: `tl.hint("when_to_stop")` asks a question that helps, and gives a
# nudge when you run it again. `tl.progress()` shows what is solved.

# %% tags=["exercises"]
import torch
from torch import nn

import tutorial as tl

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# ### Exercise 1: when to stop
#
# Early stopping looks at the validation loss of each epoch. An epoch is *bad* if its loss is not
# lower than the best one so far. After `patience` bad epochs in a row, the training ends.
#
# Write a function that gets all losses that there would be, and `patience`. It returns two numbers,
# counted from 1: the best epoch, and the last one that is trained. If the training is never
# stopped, the last one is the last of the list.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "when_to_stop_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def when_to_stop(losses, patience):
    ### BEGIN SOLUTION
    best, bad = 0, 0
    for epoch in range(1, len(losses)):
        if losses[epoch] < losses[best]:
            best, bad = epoch, 0
        else:
            bad += 1
        if bad == patience:
            return best + 1, epoch + 1
    return best + 1, len(losses)
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "when_to_stop", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("when_to_stop", when_to_stop).require()
assert tuple(when_to_stop([1.0], 1)) == (1, 1)
assert tuple(when_to_stop([3.0, 2.0, 2.5, 1.0, 1.5, 1.2, 1.1, 0.5], 3)) == (4, 7)
### END HIDDEN TESTS
tl.check("when_to_stop", when_to_stop)

# %% [markdown]
# ### Exercise 2: a callback
#
# Write a callback that halves the learning rate after each epoch. An optimizer may have several
# groups of weights; halve the rate of each.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "halve_rate_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
class HalveRate(tl.callbacks.Callback):
    ### BEGIN SOLUTION
    def on_epoch_end(self, epoch, logs=None):
        for group in self.model.optimizer.param_groups:
            group["lr"] /= 2

    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "halve_rate", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("halve_rate", HalveRate).require()
model = tl.Model(nn.Linear(2, 2))
model.prepare(torch.optim.Adam(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
batches = [(torch.eye(2), torch.tensor([0, 1]))]
model.fit(batches, epochs=4, callbacks=HalveRate(), verbose=0)
assert abs(model.optimizer.param_groups[0]["lr"] - 0.1 / 2**4) < 1e-9
### END HIDDEN TESTS
tl.check("halve_rate", HalveRate)

# %% [markdown]
# ### Exercise 3: a checkpoint
#
# Write a class with two methods. `save` writes a training to a file. `load` brings it back, into a
# new network and a new optimizer: then the training goes on as if there had been no break.
#
# Put nothing into the file but names and numbers, so that `weights_only=True` can read it.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "checkpoint_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
class Checkpoint:
    def save(self, path, network, optimizer):
        ### BEGIN SOLUTION
        saved = {"network": network.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(saved, path)
        ### END SOLUTION

    def load(self, path, network, optimizer):
        ### BEGIN SOLUTION
        saved = torch.load(path, weights_only=True)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "checkpoint", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("checkpoint", Checkpoint).require()
### END HIDDEN TESTS
tl.check("checkpoint", Checkpoint)
