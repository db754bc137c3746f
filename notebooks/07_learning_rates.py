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
# # 7 · Learning rates and schedules
#
# If you may choose only one number of a training (one *hyperparameter*), choose the learning rate.
# With a bad one, the best network learns nothing. With a good one, a simple network learns well in
# a few seconds.
#
# The learning rate says how long a step is. This lesson shows what happens when it is too small or
# too large, and why. Then you let the data tell you which rate is good, in a single epoch. Last,
# you change the rate while the network learns.
#
# **After this lesson you can**
#
# - tell from the losses if a learning rate is too small, right or too large;
# - find a good rate with a range test (an LR finder), a loop with one more line;
# - say why Adam and SGD need different rates;
# - draw a schedule before you train with it: step decay, cosine, warm-up;
# - put `scheduler.step()` in the right place, or write the schedule by hand.
#
# It takes about 40 minutes. You should know lessons 2 and 4.

# %%
import difflib
import math
import warnings
from contextlib import redirect_stdout

import torch
from matplotlib import pyplot as plt
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.transforms import Normalize

import tutorial as tl

torch.set_num_threads(1)
plt.rcParams["figure.dpi"] = 80
tl.set_device("cpu")


# %% [markdown]
# ## Part 1: too small, right, too large
#
# ### Gradient descent in a valley
#
# Begin with a network of one weight, `w`, and the loss `w * w / 2`. The best weight is 0. The
# gradient is `w` itself. So a step of SGD, `w = w - lr * gradient`, is here `w = (1 - lr) * w`:
# each step multiplies the weight by `1 - lr`. Now you can say beforehand what every rate does.


# %%
def path(lr, steps=8):
    """The weight, before and after each step down the valley w * w / 2."""
    weights = [1.0]
    for _ in range(steps):
        weights.append(weights[-1] - lr * weights[-1])
    return weights


for lr in (0.1, 0.9, 1.8, 2.1):
    print(f"lr {lr}:", "  ".join(f"{w:5.2f}" for w in path(lr)))

# %%
valley = torch.linspace(-2.4, 2.4, 100)
_, axes = plt.subplots(1, 4, figsize=(9, 2.4), sharey=True, layout="constrained")
for ax, lr in zip(axes, (0.1, 0.9, 1.8, 2.1), strict=True):
    steps = torch.tensor(path(lr))
    ax.plot(valley, valley**2 / 2, color="0.7")
    ax.plot(steps, steps**2 / 2, "o-", color="C1", markersize=4)
    ax.set(title=f"lr {lr}", xlabel="w", xlim=(-2.4, 2.4))
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("loss")
plt.show()

# %% [markdown]
# There are four kinds of behaviour, and you will meet all of them again.
#
# - 0.1 is **small**: each step is right, but there are too many of them.
# - 0.9 is **good**: two steps and you are there.
# - 1.8 is **large**: each step jumps to the other side of the valley, but a little lower.
# - 2.1 is **too large**: each step jumps to the other side, and *higher*. The weight grows for
#   ever.
#
# The limit is where `1 - lr` is -1: a rate of 2. Below the limit SGD arrives; above it SGD leaves
# the valley. So a rate that is a little too large is not a little worse. It ruins everything.
#
# ### Curvature: in a long valley
#
# A steeper valley has a lower limit. For the loss `c * w * w / 2` the gradient is `c * w`, and the
# limit is `2 / c`. The number `c` is the *curvature*. A real network has many weights, and each
# direction has a curvature of its own. But there is only one learning rate for all.
#
# Take two weights with the curvatures 1 and 25. The steep direction allows no rate above 2 / 25 =
# 0.08. For the flat direction, that is small.

# %%
curvatures = torch.tensor([1.0, 25.0])


def steps_down(lr):
    """How many steps it takes until the loss is below 0.001."""
    w = torch.tensor([1.0, 1.0])
    for step in range(1, 1001):
        w = w - lr * curvatures * w
        if (curvatures * w * w / 2).sum() < 0.001:
            return f"{step} steps"
    return "not there after 1,000 steps"


for lr in (0.001, 0.01, 0.04, 0.07, 0.079, 0.081):
    print(f"lr {lr:5}: {steps_down(lr)}")

# %% [markdown]
# The best of these rates is just below the limit, not far from disaster. It is so in many
# trainings: **good rates are nearly as large as the steepest direction allows.** The flat
# directions must be patient.
#
# ### In a network
#
# Now a real network, 4,000 images, and one epoch of 63 steps. Only the rate differs; the weights at
# the start and the order of the samples are always the same.

# %%
mnist = tl.datasets.MNIST(mode="train", transform=Normalize(mean=[33.3], std=[78.6]))
train_data = TensorDataset(*mnist[:4000])
eval_data = TensorDataset(*mnist[50_000:52_000])


def new_model(lr, optimizer_class=torch.optim.SGD):
    tl.seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    model = tl.Model(network)
    optimizer = optimizer_class(model.parameters(), lr=lr)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    return model


def last_loss(history, steps=10):
    """The mean loss of the last steps."""
    return sum(history.step_losses[-steps:]) / steps


# %% tags=["nbval-ignore-output"]
models, histories = {}, {}
for lr in (0.001, 0.01, 0.1, 1, 10):
    models[lr] = new_model(lr)
    histories[lr] = models[lr].fit(train_data, verbose=0)
    losses = histories[lr].step_losses
    print(f"lr {lr:5}: at first {losses[0]:.3f}, highest {max(losses):9.4g}, ", end="")
    print(f"the last 10 steps {last_loss(histories[lr]):.3f}")
assert (
    last_loss(histories[0.1]) < 0.7 < last_loss(histories[0.01]) < 2 < last_loss(histories[0.001])
)
assert max(histories[1].step_losses) > 4 and last_loss(histories[1]) > 1.5

# %%
_, ax = plt.subplots(figsize=(6.5, 3), layout="constrained")
for lr, history in histories.items():
    ax.plot(range(1, 64), history.step_losses, label=f"lr {lr}", linewidth=1)
ax.axhline(math.log(10), color="0.5", linestyle=":", label="random guessing")
ax.set(xlabel="step", ylabel="loss", ylim=(0, 6))
ax.spines[["top", "right"]].set_visible(False)
ax.grid(alpha=0.3)
ax.legend(frameon=False, ncols=2, fontsize=8)
plt.show()

# %% [markdown]
# Read the curves. (Two of them leave the picture at the top; the table above says how high they
# go.)
#
# - 0.001: the loss falls, slowly and evenly. Nothing is wrong, but you would need many epochs.
# - 0.01: the same, faster.
# - 0.1: falls fast, then becomes restless. The restlessness is a good sign: the steps are long.
# - 1 and 10: the loss *diverges*: it jumps far above its start, in the first steps. Then it comes
#   back, to the loss of random guessing, ln 10 = 2.303, and stays there.
#
# Why does it stay? A hidden unit gives `relu(...)`, which is 0 for a negative sum. The wild first
# steps moved many units so far that their sum is negative for *every* image. The output of such a
# unit is always 0, and so is its gradient. So it can never come back. It is a *dead ReLU*.

# %% tags=["nbval-ignore-output"]
images, _ = eval_data.tensors
dead = {}
for lr, model in models.items():
    with torch.no_grad():
        hidden = model.network[:3](images)  # after the ReLU, (N, 64)
    dead[lr] = (hidden == 0).all(dim=0).sum().item()
    print(f"lr {lr:5}: {dead[lr]} of 64 units are dead")
assert dead[0.1] < 8 and dead[10] > 48

# %% [markdown]
# Remember this picture. A loss that stays at that of random guessing does not always mean that the
# rate is too small. Look at its highest value: did it explode before?

# %% [markdown]
# ### Look inside while it learns
#
# You need not wait for the end to see this. `callbacks.Insight` measures each layer while `fit` runs:
# how large its gradient is; how large an update is, compared with the weights, of which about a
# thousandth is healthy; which share of its units is dead. In a notebook it is drawn beside the
# curves while it runs; `plot` draws it afterwards. Give it the rate 10, and look at the first steps.

# %% tags=["nbval-ignore-output"]
insight = tl.callbacks.Insight(every=4)
new_model(lr=10).fit(train_data, callbacks=insight, verbose=0)
insight.plot()

# %%
layers = insight.rows[0]["layers"].values()
assert any(layer["update"] > 0.1 for layer in layers)  # a hundred times what is healthy
assert any((layer["dead"] or 0) > 0.5 for layer in insight.rows[-1]["layers"].values())
print("the first updates are far too long; in the end, most units of a layer are dead")

# %% [markdown]
# ## Part 2: the LR range test
#
# ### How it works
#
# To try ten rates takes ten trainings. There is a trick to see them all in *one* epoch: begin with
# a rate that is surely too small, and make it larger after every step. The loss then tells at which
# rate it begins to fall, and at which one it explodes. This is called a *learning rate range test*
# (Smith, 2015), or an LR finder.
#
# The loop for it is the usual one, with one more line. Take the source, and put the line in.


# %%
def print_changes(before, after):
    """The lines that differ, with a line around them."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=1)
    for line in list(lines)[2:]:  # without the names of two files
        print("..." if line.startswith("@@") else line.partition("  #")[0].rstrip())


program = new_model(lr=0.001).unroll("fit", train_data)
step = "        optimizer.step()"
raise_rate = '        optimizer.param_groups[0]["lr"] *= 1.15\n'
[line] = [line for line in program.source.splitlines(keepends=True) if line.startswith(step)]
test = program.source.replace(line, line + raise_rate)
print_changes(program.source, test)

# %% [markdown]
# `param_groups[0]["lr"]` is the place where the optimizer keeps its rate, and reads it at each
# step. After 63 steps the rate is 1.15 to the power of 63 times as large as at first.


# %%
def range_test(optimizer_class, lr):
    """The rates of a range test that begins at lr, and the losses."""
    model = new_model(lr, optimizer_class)  # a fresh one: the test spoils the weights
    with redirect_stdout(None):
        losses = model.fit(train_data, loop=test).step_losses
    return [lr * 1.15**step for step in range(len(losses))], losses


rates, losses = range_test(torch.optim.SGD, lr=0.001)
print(f"from {rates[0]} to {rates[-1]:.2f}, in {len(rates)} steps")

# %% [markdown]
# The batches differ, so single losses jump. For the choice we take the mean of five neighbours. And
# the choice itself? At the lowest point it is already too late: there the rate has begun to do
# harm. A common rule is to go back from there, to **a third of the rate of the lowest loss**. The
# rule is rough, and that is enough: a good rate has room on both sides, as you will see.


# %%
def chosen_rate(rates, losses):
    """A third of the rate of the lowest loss, taken over five neighbours."""
    smooth = [sum(losses[i - 2 : i + 3]) / 5 for i in range(2, len(losses) - 2)]
    return rates[2 + smooth.index(min(smooth))] / 3


def draw(ax, rates, losses, title):
    """A range test, and the rate that we choose."""
    ax.plot(rates, losses, linewidth=1)
    ax.axvline(chosen_rate(rates, losses), color="C1", linestyle="--", label="chosen")
    ax.set(xlabel="learning rate", ylabel="loss", xscale="log", ylim=(0, 4), title=title)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)


_, ax = plt.subplots(figsize=(5.5, 3), layout="constrained")
draw(ax, rates, losses, "SGD")
plt.show()

# %% tags=["nbval-ignore-output"]
print(f"chosen: {chosen_rate(rates, losses):.2g}")
assert 0.03 < chosen_rate(rates, losses) < 0.5

# %% [markdown]
# From left to right: nothing happens, the loss falls, it is restless, it explodes. Compare with the
# four panels of the valley.
#
# ### Adam wants another rate
#
# Adam divides each gradient by its usual size. So the length of its steps does not depend on the
# length of the gradient. In the very first step this is easy to see: *every* weight moves by `lr`,
# up or down, whatever its gradient is. Here are four weights with very different gradients.

# %%
gradients = torch.tensor([100.0, 1.0, -0.01, 0.0001])
for optimizer_class in (torch.optim.SGD, torch.optim.Adam):
    weights = nn.Parameter(torch.zeros(4))
    weights.grad = gradients.clone()
    optimizer_class([weights], lr=0.01).step()
    moved = "  ".join(f"{-w:9.6f}" for w in weights.tolist())
    print(f"{optimizer_class.__name__:4} moves them by {moved}")

# %% [markdown]
# A rate means two different things, then. For SGD it is a *factor* of the gradient. For Adam it is
# a *length*: about so far a weight may move in a step. Numbers for one say nothing about the other.
#
# See it in a training. Multiply the loss by 100. This changes nothing about which network is best.
# For SGD all steps are 100 times as long. Adam does not notice.


# %%
def hundred_times(y_hat, y):
    return 100 * nn.functional.cross_entropy(y_hat, y)


# %% tags=["nbval-ignore-output"]
for optimizer_class, lr in ((torch.optim.SGD, 0.1), (torch.optim.Adam, 0.003)):
    plain, large = new_model(lr, optimizer_class), new_model(lr, optimizer_class)
    large.prepare(large.optimizer, hundred_times)
    plain_loss = last_loss(plain.fit(train_data, verbose=0))
    large_loss = last_loss(large.fit(train_data, verbose=0)) / 100
    print(f"{optimizer_class.__name__:4}: loss {plain_loss:.3f}, with 100 times the loss ", end="")
    print(f"{large_loss:.3f} (divided by 100)")
    assert (abs(large_loss - plain_loss) < 0.05) == (optimizer_class is torch.optim.Adam)

# %% [markdown]
# Which rate does Adam want here? Ask the range test again. And to see if it can be trusted, make
# the many trainings too, that it is to replace: nine rates for each optimizer, an epoch each.

# %%
rates_to_try = [10 ** (i / 2) for i in range(-8, 1)]  # 0.0001 to 1
lasts = {}
for optimizer_class in (torch.optim.SGD, torch.optim.Adam):
    runs = [new_model(lr, optimizer_class).fit(train_data, verbose=0) for lr in rates_to_try]
    lasts[optimizer_class.__name__] = [last_loss(run) for run in runs]

tests = {
    "SGD": (rates, losses),
    "Adam": range_test(torch.optim.Adam, lr=0.00003),
}
_, axes = plt.subplots(1, 3, figsize=(10, 3), layout="constrained")
for i, (name, found) in enumerate(tests.items()):
    draw(axes[i], *found, f"range test: {name}")
    axes[2].plot(rates_to_try, lasts[name], "o-", markersize=4, label=name)
    axes[2].axvline(chosen_rate(*found), color=f"C{i}", linestyle="--")
axes[2].set(xlabel="learning rate", ylabel="loss of the last 10 steps", xscale="log", ylim=(0, 3.2))
axes[2].set_title("a training for each rate")
axes[2].spines[["top", "right"]].set_visible(False)
axes[2].grid(alpha=0.3)
axes[2].legend(frameon=False, ncols=2, loc="upper center")
plt.show()

# %% tags=["nbval-ignore-output"]
chosen = {name: chosen_rate(*found) for name, found in tests.items()}
for name, loss in lasts.items():
    best = rates_to_try[loss.index(min(loss))]
    good = [rate for rate, last in zip(rates_to_try, loss, strict=True) if last < 2 * min(loss)]
    print(f"{name:4}: chosen {chosen[name]:.2g}, the best of nine {best:.2g}; ", end="")
    print(f"at most twice its loss from {good[0]:.2g} to {good[-1]:.2g}")
    assert best / 8 < chosen[name] < best * 8 and good[-1] / good[0] > 9
assert chosen["SGD"] > 5 * chosen["Adam"]

# %% [markdown]
# The curves on the right look like a bathtub. On the left the network learns too little, on the
# right side it falls apart. Between them lies a flat bottom, a factor of ten wide or more: you need
# not find the best rate, only the bottom. One epoch with a rising rate found it, for both.
#
# The bottom of Adam lies far to the left of the one of SGD. **Compare two optimizers only after
# each has got a rate of its own.** With 0.1 for both, SGD would win; with 0.001 for both, Adam.

# %%
by_rate = dict(zip(rates_to_try, zip(lasts["SGD"], lasts["Adam"], strict=True), strict=True))
for rate, winner in ((0.1, "SGD"), (0.001, "Adam")):
    sgd, adam = by_rate[rate]
    assert winner == ("SGD" if sgd < adam else "Adam")
    print(f"with {rate} for both, the lower loss has", winner)

# %% [markdown]
# ## Part 3: schedules
#
# ### Why change the rate at all
#
# A long step is good far from the goal, and bad near it: it jumps over the valley, back and forth.
# With small batches it is worse, since each batch points somewhere else. So: begin with long steps,
# end with short ones. A *schedule* says when.
#
# Here is the plan for this part: three epochs in batches of 16, which makes 750 steps.

# %%
EPOCHS, BATCH_SIZE = 3, 16
STEPS = EPOCHS * math.ceil(len(train_data) / BATCH_SIZE)
LR = 0.3
print(STEPS, "steps")

# %% [markdown]
# ### Draw it before you train
#
# A schedule does not look at the network. So you can run it alone, on an optimizer that has nothing
# to do, and look at the rates. Do this each time: it takes a moment, and many mistakes are seen at
# once.


# %%
def rates_of(make_schedule, steps=STEPS):
    """The learning rate of each step."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = make_schedule(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()  # there is no gradient, so nothing moves
        scheduler.step()
    return rates


# %% [markdown]
# Three schedules are used more than all others.
#
# - **Step decay** (the stairs): `StepLR` multiplies the rate by `gamma` after every `step_size`
#   calls.
# - **Cosine**: `CosineAnnealingLR` goes down along half a wave, to 0 after `T_max` calls. First
#   slowly, then faster, and slowly again at the end.
# - **Warm-up**: `LinearLR` goes *up*, for a short time at the start. Why? A new network is easily
#   ruined: with a large rate, the losses exploded in the very first steps. After the warm-up comes
#   another schedule; `SequentialLR` chains the two.

# %%
schedules = torch.optim.lr_scheduler
WARM_UP = 50


def stairs(optimizer):
    return schedules.StepLR(optimizer, step_size=250, gamma=0.3)


def cosine(optimizer):
    return schedules.CosineAnnealingLR(optimizer, T_max=STEPS)


def warm_up_cosine(optimizer):
    up = schedules.LinearLR(optimizer, start_factor=0.02, total_iters=WARM_UP)
    down = schedules.CosineAnnealingLR(optimizer, T_max=STEPS - WARM_UP)
    return schedules.SequentialLR(optimizer, [up, down], milestones=[WARM_UP])


plans = {"stairs": stairs, "cosine": cosine, "warm-up, cosine": warm_up_cosine}
_, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
for (name, plan), style in zip(plans.items(), ("-", "--", ":"), strict=True):
    ax.plot(rates_of(plan), style, label=name, linewidth=1.8)
ax.set(xlabel="step", ylabel="learning rate")
ax.spines[["top", "right"]].set_visible(False)
ax.grid(alpha=0.3)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ### Its line in the loop
#
# `tl.callbacks.LRScheduler` hands a schedule to `fit`. The loop has one line for it. Compare the
# program with a schedule and the one without.

# %%
model = new_model(LR)
plain = model.unroll("fit", train_data, eval_data, epochs=EPOCHS, batch_size=BATCH_SIZE)
for when in ("by_step", "by_epoch"):
    callback = tl.callbacks.LRScheduler(cosine(model.optimizer), **{when: True})
    scheduled = model.unroll(
        "fit", train_data, eval_data, epochs=EPOCHS, batch_size=BATCH_SIZE, callbacks=callback
    )
    print(when)
    print_changes(plain.source, scheduled.source)

# %% [markdown]
# By step, the line stands in the inner loop; by epoch, in the outer one. The schedule itself does
# not know which of the two it is: it only counts its calls. `T_max=750` means 750 calls. So the
# numbers of a schedule must fit the place of the line. Both mistakes are common, and neither raises
# an error:

# %%
every_epoch = rates_of(cosine, EPOCHS)[-1] / LR
print(
    f"T_max counts steps, called by epoch: the last epoch still has {every_epoch:.3%} of the rate"
)
every_step = rates_of(lambda optimizer: schedules.StepLR(optimizer, step_size=1, gamma=0.3), 250)
print(f"step_size counts epochs, called by step: after an epoch the rate is {every_step[-1]:.0e}")

# %% [markdown]
# ### First the step, then the next rate
#
# In both places `scheduler.step()` comes after `optimizer.step()`. It chooses the *next* rate. What
# if the two lines are swapped?


# %%
def swapped(make_schedule, steps):
    """The rates that the steps are made with, if the schedule comes first."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = make_schedule(optimizer)
    rates = []
    for _ in range(steps):
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
    return rates


def three_stairs(optimizer):
    return schedules.StepLR(optimizer, step_size=2, gamma=0.1)


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    wrong = swapped(three_stairs, 6)
print("right:  ", "  ".join(f"{rate:.3f}" for rate in rates_of(three_stairs, 6)))
print("swapped:", "  ".join(f"{rate:.3f}" for rate in wrong))
print("PyTorch says:", str(caught[0].message).split(". ")[0])

# %% [markdown]
# All rates come one step too early, and the first one is used one time less. PyTorch notices and
# warns, once. With 750 steps the harm is small. With a schedule by epoch it is a whole epoch.
#
# ### Do they help?
#
# Train with each. For comparison, the rate 0.3 all the time.


# %%
def train(plan=None):
    """Train from the same start; the model, and its History."""
    model = new_model(LR)
    scheduled = [] if plan is None else [tl.callbacks.LRScheduler(plan(model.optimizer))]
    history = model.fit(
        train_data,
        eval_data,
        epochs=EPOCHS,
        batch_size=BATCH_SIZE,
        callbacks=scheduled,
        verbose=0,
    )
    return model, history


# %% tags=["nbval-ignore-output"]
trained = {"0.3 all the time": train()}
trained |= {name: train(plan) for name, plan in plans.items()}
print("schedule           last rate   training loss   eval loss   eval acc")
for name, (model, history) in trained.items():
    row, rate = history.rows[-1], model.optimizer.param_groups[0]["lr"]
    print(f"{name:16}   {rate:9.4f}   {row['loss']:13.3f}", end="")
    print(f"   {row['eval_loss']:9.3f}   {row['eval_acc']:8.3f}")
constant = trained["0.3 all the time"][1].rows[-1]
for name in plans:
    row = trained[name][1].rows[-1]
    assert row["loss"] < 0.8 * constant["loss"] and row["eval_loss"] < constant["eval_loss"]

# %%
tl.plot({name: trained[name][1] for name in ("0.3 all the time", "cosine")})

# %% [markdown]
# In the first epoch the two are nearly equal: the rates still are. Then the thin line of the cosine
# calms down, and its losses fall below. The constant rate is not too large to learn. It is too
# large to *finish*.
#
# What did the warm-up do? Look at the first steps.

# %% tags=["nbval-ignore-output"]
highest = {}
for name in ("cosine", "warm-up, cosine"):
    first = trained[name][1].step_losses[:20]
    highest[name] = max(first)
    print(f"{name:16}: at first {first[0]:.3f}, the highest of 20 steps {highest[name]:.3f}")
assert highest["warm-up, cosine"] < 2.6 < highest["cosine"]

# %% [markdown]
# Without it, the loss jumps up at the start, because 0.3 is at the limit for a new network. With
# it, the loss only falls. This small network recovers from the jump. Large ones often do not, so
# most of them are trained with a warm-up.
#
# ### ReduceLROnPlateau: if you do not know how long it takes
#
# All these schedules must know the number of steps beforehand. `ReduceLROnPlateau` need not. It
# looks at each evaluation; if `patience` of them in a row were no better than the best one, it
# multiplies the rate by `factor`. In the loop it is no `scheduler.step()`, but a call after each
# evaluation, with its result.

# %%
plateau = tl.callbacks.ReduceLROnPlateau(factor=0.3, patience=1, min_delta=0, verbose=0)
model = new_model(LR)
program = model.unroll("fit", train_data, eval_data, callbacks=plateau)
for line in program.source.splitlines():
    if "logs = " in line or "on_eval_end" in line:
        print(line.strip())

# %% [markdown]
# Train with it, and then do by hand what it does: with a patience of 1, each evaluation that is not
# better than the best one lowers the rate.

# %% tags=["nbval-ignore-output"]
history = model.fit(
    train_data, eval_data, epochs=6, batch_size=BATCH_SIZE, callbacks=plateau, verbose=0
)
rate, best = LR, math.inf
for row in history.rows:
    print(f"epoch {row['epoch']}: rate {rate:.4f}, eval loss {row['eval_loss']:.3f}")
    if row["eval_loss"] < best:
        best = row["eval_loss"]
    else:
        rate *= 0.3
assert rate == model.optimizer.param_groups[0]["lr"] < LR
assert history.rows[-1]["loss"] < 0.5 * constant["loss"]
print(f"after the training: {rate:.4f}, as in the optimizer")

# %% [markdown]
# Look at the epoch after the first lower rate: the validation loss falls at once. The network had
# not stopped learning; its steps were too long.

# %% [markdown]
# ## Part 4: a schedule by hand
#
# ### As a formula
#
# `LambdaLR` takes a function of the step, counted from 0. It returns a *factor*; the rate is the
# first rate times this factor. The cosine goes from 1 to 0:


# %%
def half_wave(step):
    return 0.5 * (1 + math.cos(math.pi * step / STEPS))


def cosine_by_hand(optimizer):
    return schedules.LambdaLR(optimizer, half_wave)


pairs = zip(rates_of(cosine), rates_of(cosine_by_hand), strict=True)
print("the rates differ by less than 1e-12:", all(abs(a - b) < 1e-12 for a, b in pairs))

# %% [markdown]
# PyTorch computes each rate from the one before, we from the formula. So the last digits may
# differ. Are the trained networks equal?

# %%
ours, _ = train(cosine_by_hand)
theirs, _ = trained["cosine"]
for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
    assert torch.allclose(a, b, atol=1e-3)
print("after", STEPS, "steps: the same weights, but for rounding")

# %% [markdown]
# ### As a line in the loop
#
# You do not need a class at all. A schedule is one line, which sets a number. `len(step_losses)` is
# the number of steps so far, over all epochs.

# %%
[line] = [line for line in plain.source.splitlines(keepends=True) if line.startswith(step)]
formula = f"{LR} * (0.5 * (1 + math.cos(math.pi * len(step_losses) / {STEPS})))"
mine = "import math\n" + plain.source.replace(
    line, f'        optimizer.param_groups[0]["lr"] = {formula}\n{line}'
)
print_changes(plain.source, mine)

# %% [markdown]
# Here the line stands *before* `optimizer.step()`, since it computes the rate of *this* step. Now
# compare with `LambdaLR`, which has the same formula: every weight, bit for bit.

# %%
by_line = new_model(LR)
with redirect_stdout(None):
    by_line.fit(train_data, eval_data, loop=mine)
for a, b in zip(by_line.parameters(), ours.parameters(), strict=True):
    assert torch.equal(a, b)
print("a line in the loop, or a scheduler: equal, bit for bit")

# %% [markdown]
# ## Summary
#
# - Too small: the loss falls slowly and evenly. Too large: it jumps above its start, and may end at
#   the loss of random guessing, with dead units. The limit is sharp, so a good rate keeps a
#   distance.
# - A range test raises the rate at every step. Take about a third of the rate with the lowest loss,
#   and train a *fresh* network.
# - For SGD the rate is a factor of the gradient, for Adam about the length of a step. Each needs a
#   rate of its own.
# - Long steps first, short steps last. Draw a schedule before you train; count if its numbers are
#   steps or epochs.
# - `scheduler.step()` comes after `optimizer.step()`. It is one line, and you can write it
#   yourself.
#
# | schedule | good for |
# |---|---|
# | none | a first try |
# | step decay (`StepLR`) | you know when progress ends |
# | cosine (`CosineAnnealingLR`) | you know the number of steps; a good first choice |
# | warm-up before it (`LinearLR`, `SequentialLR`) | the first steps explode; large networks |
# | `ReduceLROnPlateau` | you do not know how long it takes |

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it: `tl.check` tells at once what is right. If
# something is not, it says where it first goes wrong. Change your code and run both cells again, as
# often as you like.
#
# If you do not know how to begin: `tl.hint("largest_rate")` asks a question that helps, and gives a
# nudge when you run it again. `tl.progress()` shows what is solved.
#
# The exercises need none of the cells above. You can restart the kernel and begin here.

# %% tags=["exercises"]
import copy
import math

import torch
from torch import nn

import tutorial as tl

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# ### Exercise 1: the limit
#
# A network has three weights, and the loss `(3 * a * a + b * b + 10 * c * c) / 2`. It is trained by
# SGD. Above which learning rate do the weights not go to 0 any more? Write a function that returns
# this rate for the three curvatures, here `[3, 1, 10]`, and for any other list of them.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "largest_rate_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def largest_rate(curvatures):
    ### BEGIN SOLUTION
    return 2 / max(curvatures)
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "largest_rate", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("largest_rate", largest_rate).require()
assert abs(largest_rate([0.5, 0.25]) - 4) < 1e-9
### END HIDDEN TESTS
tl.check("largest_rate", largest_rate)

# %% [markdown]
# ### Exercise 2: warm-up and cosine
#
# Write the factor of a schedule for `LambdaLR`, with a warm-up of `warm_up` steps and `steps` steps
# in all. Steps count from 0.
#
# - In the warm-up the factor rises in equal parts: after each step by `1 / warm_up`. The first step
#   must not be lost, so it has the factor `1 / warm_up`, and the last step of the warm-up has 1.
# - Then it goes down along half a cosine wave. The first step after the warm-up has 1. The step
#   number `steps`, which would be the first after the training, would have 0.
# - Without a warm-up (`warm_up` is 0) it is the cosine alone.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "warm_up_factor_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def warm_up_factor(step, warm_up, steps):
    ### BEGIN SOLUTION
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / (steps - warm_up)
    return 0.5 * (1 + math.cos(math.pi * done))
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "warm_up_factor", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("warm_up_factor", warm_up_factor).require()
assert [warm_up_factor(step, 2, 6) for step in (0, 1, 2)] == [0.5, 1, 1]
assert abs(warm_up_factor(4, 2, 6) - 0.5) < 1e-9
### END HIDDEN TESTS
tl.check("warm_up_factor", warm_up_factor)

# %% [markdown]
# ### Exercise 3: a range test of your own
#
# Write a range test as a function. Train for one pass through `train_loader`; after each step,
# multiply the learning rate by `factor`. (The optimizer may have several parameter groups.) End
# early, *after* the first loss that is more than four times the lowest loss so far.
#
# Return two lists of plain numbers: the rate that each step was made with (of the first group), and
# the loss of each step. If the test ends early, its last loss is in the list; whether you still
# make the step for it is up to you.
#
# A range test spoils the weights. So at the end, bring back the network as it was. (The optimizer
# may keep its new rate. It will be replaced.)


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "range_test_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def range_test(network, loss_fn, optimizer, train_loader, factor):
    ### BEGIN SOLUTION
    before = copy.deepcopy(network.state_dict())
    rates, losses = [], []
    network.train()
    for x, y in train_loader:
        loss = loss_fn(network(x), y)
        rates.append(optimizer.param_groups[0]["lr"])
        losses.append(loss.item())
        if losses[-1] > 4 * min(losses):
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        for group in optimizer.param_groups:
            group["lr"] *= factor
    network.load_state_dict(before)
    return rates, losses
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "range_test", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("range_test", range_test).require()
tl.seed(0)
network = nn.Linear(4, 3)
optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
before = network.weight.detach().clone()
batches = [(torch.randn(8, 4), torch.randint(3, (8,))) for _ in range(6)]
rates, losses = range_test(network, nn.CrossEntropyLoss(), optimizer, batches, 1.5)
assert abs(rates[1] - 0.75) < 1e-9 and len(losses) == len(rates)
assert torch.equal(network.weight, before)
### END HIDDEN TESTS
tl.check("range_test", range_test)
