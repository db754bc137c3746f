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
# # 8 · Reading curves: underfitting, overfitting, regularization
#
# A training leaves two *learning curves* behind: one for the data that it learned from, one for
# data that it has never seen. Their shapes tell what to do next. A larger network, or a smaller
# one? More epochs, or fewer? More data?
#
# This lesson teaches you to read them. They do not always mean what they seem to mean, so first you
# learn what they measure. Then you try five remedies against overfitting, one at a time, and keep a
# table of what each one did.
#
# **After this lesson you can**
#
# - tell underfitting from overfitting by two curves;
# - say what the training loss of `fit` measures, and measure it in a fairer way;
# - explain how the loss can rise while the accuracy stays;
# - use early stopping, weight decay, dropout, more data and data augmentation, and show their lines
#   in the loop;
# - compare remedies one at a time, and report a result that you can trust.
#
# It takes about 40 minutes. You should know lessons 2, 4 and 5.

# %%
import difflib
import math
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
# 1,000 images to train on, which is little; 2,000 to look at while we choose. The 10,000 test
# images stay in their box until the last part.

# %%
transform = Normalize(mean=[33.3], std=[78.6])
mnist = tl.datasets.MNIST(mode="train", transform=transform)
train_data = TensorDataset(*mnist[:1000])
eval_data = TensorDataset(*mnist[50_000:52_000])

# %% [markdown]
# All networks of this lesson come from one function. Each begins with the same seed. `hidden` is
# the number of units in each of two hidden layers.


# %%
def new_model(hidden=128, dropout=0.0, optimizer_class=torch.optim.Adam, **options):
    tl.seed(0)
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, 10),
    )
    model = tl.Model(network)
    optimizer = optimizer_class(model.parameters(), lr=0.002, **options)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    return model


EPOCHS = 16


def train(model, data=train_data, epochs=EPOCHS, **options):
    """Train, and evaluate after each epoch; the History."""
    with redirect_stdout(None):  # a loop as source code prints its epochs
        return model.fit(data, eval_data, epochs=epochs, verbose=0, **options)


# %% [markdown]
# ## Part 1: underfitting and overfitting
#
# Take a network with 3 units in each hidden layer, and one with 128. Train both for 16 epochs.

# %%
small = new_model(hidden=3)
small_history = train(small)
large = new_model()
large_history = train(large)


# %%
def draw(histories, name, ylim):
    """The curves of several trainings, side by side."""
    _, axes = plt.subplots(
        1, len(histories), figsize=(4 * len(histories), 2.8), sharey=True, layout="constrained"
    )
    for ax, (title, history) in zip(axes, histories.items(), strict=True):
        epochs = [row["epoch"] for row in history.rows]
        ax.plot(epochs, [row[name] for row in history.rows], label="train")
        ax.plot(epochs, [row[f"eval_{name}"] for row in history.rows], "--", label="eval")
        ax.set(title=title, xlabel="epoch", ylim=ylim, xticks=range(4, EPOCHS + 1, 4))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.3)
    axes[0].set_ylabel(name)
    axes[0].legend(frameon=False)
    plt.show()


both = {"3 units": small_history, "128 units": large_history}
draw(both, "loss", (0, 2.5))
draw(both, "acc", (0, 1.02))

# %% tags=["nbval-ignore-output"]
for name, model in (("3 units", small), ("128 units", large)):
    on_train, on_eval = (model.evaluate(data, verbose=0) for data in (train_data, eval_data))
    print(
        f"{name:9}  training data: loss {on_train['loss']:.3f}, acc {on_train['acc']:.3f}", end=""
    )
    print(f"   validation data: loss {on_eval['loss']:.3f}, acc {on_eval['acc']:.3f}")
    if name == "3 units":
        assert on_train["acc"] < 0.75 and on_eval["acc"] < 0.75
    else:
        assert on_train["acc"] == 1 and 0.85 < on_eval["acc"] < 0.93
        assert on_eval["loss"] > 50 * on_train["loss"]

# %% [markdown]
# - The small network **underfits**. It is bad on the validation data *and* on the data that it
#   learned from. Both curves are high and near each other. More data would not help: it has not
#   even learned what there is. Give it more units, more epochs or a better learning rate.
# - The large network **overfits**. It has memorized all 1,000 training images: the accuracy there
#   is 1. On other images it makes a mistake in about one of ten. Between the curves is a **gap**,
#   the *generalization gap*. More epochs do not help, and more units hardly help. You need more
#   data, or *regularization*: anything that makes it harder to memorize.
#
# So look at the *training* curve first. If it is bad, the network underfits, whatever the other one
# does. Only when it is good, look at the gap.
#
# A good habit follows from this: first make a network that overfits. Then you know that it is large
# enough and that the training works. Then regularize.

# %% [markdown]
# ## Part 2: what the training loss measures
#
# ### A training loss above the validation loss
#
# Look at the curves of this network, which has dropout.

# %%
model = new_model(dropout=0.5)
reported, after_it, in_eval_mode, unseen = [], [], [], []


def loss_in_training_mode(model, times=10):
    """The mean loss on the training data, with dropout on; nothing is learned."""
    x, y = train_data.tensors
    model.network.train()
    with torch.no_grad():
        losses = [model.loss_fn(model.network(x), y).item() for _ in range(times)]
    return sum(losses) / times


for _ in range(8):
    [row] = train(model, epochs=1).rows
    reported.append(row["loss"])
    unseen.append(row["eval_loss"])
    after_it.append(loss_in_training_mode(model))
    in_eval_mode.append(model.evaluate(train_data, verbose=0)["loss"])

_, ax = plt.subplots(figsize=(6, 3), layout="constrained")
epochs = range(1, 9)
ax.plot(epochs, reported, "o-", label="training loss, as fit reports it")
ax.plot(epochs, unseen, "s--", label="validation loss")
ax.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
ax.spines[["top", "right"]].set_visible(False)
ax.grid(alpha=0.3)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# For the first epochs, the loss is *lower* on data that the network has never seen! Is that a
# mistake? No. The two numbers are measured in two different ways. Read the loop, and find out where
# each is measured.

# %%
program = model.unroll("fit", train_data, eval_data, epochs=8)
for line in program.source.splitlines():
    if any(word in line for word in ("for ", ".train()", ".eval()", "loss_sum", ".step()")):
        print(line.partition("  #")[0].rstrip())

# %% [markdown]
# Two things make the training loss larger.
#
# - **It lags behind.** `loss_sum` is added up *during* the epoch, over 16 different networks:
#   before the first step, before the second, and so on. The evaluation sees only the last, best
#   one.
# - **It is measured in training mode.** Half of the units are missing.
#
# Both can be taken away. In the loop above, the cell noted two more numbers after each epoch: the
# loss on the training data with the weights as they were *then*, in training mode; and the same in
# evaluation mode, which is simply `model.evaluate(train_data)`.

# %% tags=["nbval-ignore-output"]
print("epoch   reported   after it   and in eval mode   validation data")
columns = zip(reported, after_it, in_eval_mode, unseen, strict=True)
for epoch, (a, b, c, d) in enumerate(columns, start=1):
    print(f"{epoch:5}   {a:8.3f}   {b:8.3f}   {c:16.3f}   {d:15.3f}")
    assert b > c and (a > b or epoch > 4)
assert reported[0] > 1.2 * unseen[0] and all(
    c < d for c, d in zip(in_eval_mode, unseen, strict=True)
)

# %% [markdown]
# From the first to the second column, the lag is gone. In the first epoch it is large, because the
# network changes fast. From the second to the third, dropout is gone. The third column is the fair
# one: same weights, same mode as for the validation data. And it *is* lower, as you would expect.

# %%
_, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.plot(epochs, reported, "o-", label="reported")
ax.plot(epochs, after_it, "^-", label="after the epoch")
ax.plot(epochs, in_eval_mode, "D-", label="after it, in evaluation mode")
ax.plot(epochs, unseen, "s--", label="validation data")
ax.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
ax.spines[["top", "right"]].set_visible(False)
ax.grid(alpha=0.3)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Why does `fit` report the first column, if the third is fairer? Because it costs nothing: the
# losses are there anyway. The third needs another pass over all training data. So use the reported
# curve to see *if* the network learns, and `model.evaluate(train_data)` when you want to measure
# the gap. All gaps in this lesson are measured so.

# %% [markdown]
# ## Part 3: the loss rises, the accuracy stays
#
# Back to the network with 128 units. Look at its validation curves again, closely.

# %%
figure = large_history.plot()
figure.axes[0].set(ylim=(0, 0.8))  # the first losses are larger
figure.axes[1].set(ylim=(0.8, 1.005))
figure

# %% [markdown]
# After some epochs the validation loss rises, and goes on rising. But the accuracy does not fall.
# Does the network become worse or not?
#
# To see it, we need the network of the best epoch, too. `EarlyStopping` (lesson 2) watches the
# evaluations. After `patience` of them in a row that are no better than the best one, it ends the
# training and gives the best weights back.

# %% tags=["nbval-ignore-output"]
stop = tl.callbacks.EarlyStopping(patience=4, verbose=0)
stopped = new_model()
stopped_history = train(stopped, callbacks=stop)
best, last = stopped, large
print(f"best epoch: {stop.best_epoch}, ended after epoch {len(stopped_history.rows)}")
for name, model in (("best", best), ("last", last)):
    result = model.evaluate(eval_data, verbose=0)
    print(f"{name}: eval loss {result['loss']:.3f}, acc {result['acc']:.3f}")
assert stop.best_epoch + 4 == len(stopped_history.rows) < EPOCHS
assert stopped_history.rows == large_history.rows[: len(stopped_history.rows)]
assert result["loss"] > 1.1 * min(row["eval_loss"] for row in large_history.rows)

# %% [markdown]
# Until it was stopped, this was the same training, number for number; that is asserted too. So we
# have one network at two ages. Divide the validation images into those that it classifies correctly
# and those that it does not. What is the mean loss of each part?

# %% tags=["nbval-ignore-output"]
labels = eval_data.tensors[1]
loss_of_wrong, sureness = {}, {}
print("epoch   right   their loss   wrong   their loss   probability of the wrong answer")
for name, model in (("best", best), ("last", last)):
    [logits] = model.predict(eval_data, stack_outputs=True, verbose=0)
    each_loss = nn.functional.cross_entropy(logits, labels, reduction="none")
    right = logits.argmax(dim=1) == labels
    sureness[name] = logits.softmax(dim=1).max(dim=1).values[~right]
    loss_of_wrong[name] = each_loss[~right].mean()
    print(f"{name:5}   {right.sum():5}   {each_loss[right].mean():10.3f}", end="")
    print(f"   {(~right).sum():5}   {loss_of_wrong[name]:10.2f}   {sureness[name].mean():31.2f}")
assert loss_of_wrong["last"] > 1.2 * loss_of_wrong["best"]
assert sureness["last"].mean() > sureness["best"].mean() + 0.05

# %%
_, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
bins = [i / 10 for i in range(11)]
ax.hist([sureness["best"], sureness["last"]], bins=bins, label=["best epoch", "last epoch"])
ax.set(xlabel="probability that the network gives to its wrong answer", ylabel="images")
ax.spines[["top", "right"]].set_visible(False)
ax.legend(frameon=False, loc="upper left")
plt.show()

# %% [markdown]
# The number of mistakes is about the same. But the old network is *surer* of its mistakes: it is
# *overconfident*. Cross-entropy makes you pay for that, the accuracy does not. The reason: all
# training images are classified correctly long ago. The only way to make the training loss still
# smaller is to make all scores larger.
#
# Is that bad? It depends on what you do with the answer. If only the digit counts, no harm is done.
# If somebody relies on "the network is 99 % sure", it is bad.
#
# ### Early stopping in the loop
#
# Which lines does the callback add?


# %%
def print_changes(before, after):
    """The lines that differ."""
    for line in difflib.ndiff(before.splitlines(), after.splitlines()):
        if line[0] in "+-":
            print(line.partition("  #")[0].rstrip())


plain = new_model().unroll("fit", train_data, eval_data, epochs=EPOCHS)
with_stop = new_model().unroll(
    "fit",
    train_data,
    eval_data,
    epochs=EPOCHS,
    callbacks=tl.callbacks.EarlyStopping(patience=4),
)
print_changes(plain.source, with_stop.source)

# %% [markdown]
# The work is done in three hooks, and the loop asks `model.stop_training`. Now do it by hand, as a
# change of the plain loop: count the bad epochs, copy the best weights, break, and bring them back.

# %%
at_start = """\
best_loss, bad = float("inf"), 0
for epoch in range(16):
"""
at_end = """\
    if rows[-1]["eval_loss"] < best_loss:
        best_loss, bad = rows[-1]["eval_loss"], 0
        best_weights = {name: value.clone() for name, value in network.state_dict().items()}
    else:
        bad += 1
    if bad == 4:
        break
network.load_state_dict(best_weights)
"""
assert plain.source.count("for epoch in range(16):\n") == 1
by_hand = plain.source.replace("for epoch in range(16):\n", at_start).rstrip("\n") + "\n" + at_end

mine = new_model()
mine_history = train(mine, loop=by_hand)
assert mine_history.rows == stopped_history.rows
for a, b in zip(mine.parameters(), stopped.parameters(), strict=True):
    assert torch.equal(a, b)
print("the same epochs, and the same weights, bit for bit")

# %% [markdown]
# Why `.clone()`? `state_dict()` does not copy. Without it, `best_weights` would be the very tensors
# that the next steps change.

# %% [markdown]
# ## Part 4: five kinds of regularization, one at a time
#
# ### The rule
#
# **Change one thing at a time.** If you change two and it becomes better, you do not know which one
# helped; perhaps one of them did harm. So each remedy below starts from the same network and the
# same seed, and makes about the same number of steps. (Early stopping makes fewer: that is how it
# works.) For each we note the gap.

# %%
table = {}


def note(name, model):
    """Evaluate on both sets, and keep the numbers for the table."""
    on_train, on_eval = (model.evaluate(data, verbose=0) for data in (train_data, eval_data))
    gap = on_eval["loss"] - on_train["loss"]
    table[name] = {"train": on_train["loss"], "eval": on_eval["loss"], "gap": gap}
    table[name] |= {"train acc": on_train["acc"], "eval acc": on_eval["acc"]}


note("nothing", large)
note("early stopping", stopped)

# %% [markdown]
# ### Weight decay
#
# A network that is sure has large weights. *Weight decay* pulls every weight towards 0, a little in
# each step. The idea is to add a term to the loss: `weight_decay / 2` times the sum of the squares
# of all weights. The gradient of this term is simple. Compute it, and compare:

# %%
weights = torch.tensor([10.0, 1.0, -0.1], requires_grad=True)
term = 0.5 / 2 * (weights**2).sum()  # weight_decay is 0.5
term.backward()
print("the gradient of the term:", [round(value, 4) for value in weights.grad.tolist()])
print("weight_decay * weight:   ", [round(value, 4) for value in (0.5 * weights).tolist()])

# %% [markdown]
# So nobody needs to compute the term. The optimizer adds `weight_decay * weight` to the gradient,
# as you did by hand in lesson 4. For SGD this is the whole story: with a gradient of 0, each step
# multiplies each weight by `1 - lr * weight_decay`. (There it is the same as *L2 regularization*.)
#
# Adam is another story. It divides the gradient by its usual size, and now the pull is a part of
# the gradient. So it is divided, too. Look at a step where the loss has no gradient, and only the
# pull is left:

# %%
for optimizer_class in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
    weights = nn.Parameter(torch.tensor([10.0, 1.0, -0.1]))
    weights.grad = torch.zeros(3)
    optimizer_class([weights], lr=0.01, weight_decay=0.5).step()
    after = "  ".join(f"{value:8.4f}" for value in weights.tolist())
    print(f"{optimizer_class.__name__:5} from 10, 1, -0.1 to {after}")

# %% [markdown]
# SGD shortens each weight by half a percent. Adam moves each of them by `lr`, whether it is large
# or small: the value of `weight_decay` plays no part any more. *AdamW* repairs this. It keeps the
# pull out of the gradient, and shortens the weights by itself, as SGD does. The W stands for weight
# decay.
#
# In the loop, AdamW is Adam and two lines before the step. Write them, and compare with AdamW.

# %%
step = "        optimizer.step()"
shorten = """\
        with torch.no_grad():
            for weight in network.parameters():
                weight *= 1 - 0.002 * 1  # lr * weight_decay
"""
assert plain.source.count(step) == 1
with_decay = plain.source.replace(step, shorten + step)
print_changes(plain.source, with_decay)

mine = new_model()
train(mine, loop=with_decay)
decay = new_model(optimizer_class=torch.optim.AdamW, weight_decay=1)
train(decay)
for a, b in zip(mine.parameters(), decay.parameters(), strict=True):
    assert torch.allclose(a, b, atol=1e-3)
print("the same weights as AdamW, but for rounding")

# %% tags=["nbval-ignore-output"]
note("weight decay", decay)
length = {
    name: sum(weight.detach().square().sum() for weight in model.parameters()).sqrt()
    for name, model in (("without", large), ("with", decay))
}
print(f"length of all weights: without {length['without']:.1f}, with weight decay", end=" ")
print(f"{length['with']:.1f}")
assert length["with"] < 0.8 * length["without"]

# %% [markdown]
# ### Dropout
#
# In training, dropout sets random units to 0. So no unit can rely on a certain other one, and one
# image cannot be memorized by a single unit. There is no line for it in the loop: it is a layer of
# the network. What the loop needs is `network.train()` and `network.eval()` (lesson 5).

# %%
dropped = new_model(dropout=0.5)
train(dropped)
note("dropout", dropped)

# %% [markdown]
# ### More data
#
# The simplest remedy, if you can have it. Take 4,000 images instead of 1,000. An epoch has four
# times as many steps now. So that the number of steps stays about the same, we train for a quarter
# of the epochs.

# %%
more_data = TensorDataset(*mnist[:4000])
more = new_model()
more_history = train(more, more_data, epochs=EPOCHS // 4)
print(len(large_history.step_losses), "steps before,", len(more_history.step_losses), "now")
note("4 times the data", more)

# %% [markdown]
# (For this network, the training loss in the table is that of the first 1,000 images, a quarter of
# what it learned from.)
#
# ### Data augmentation
#
# If there is no more data, make some. A digit stays the same digit if you shift it by a pixel or
# two. To a network of linear layers it is a new image: all inputs are different. To change the
# training images at random in ways that keep their labels is called *data augmentation*.
#
# One line in the loop is enough. `torch.roll` shifts a tensor. Each batch is shifted by up to 2
# pixels, left or right, up or down; in each epoch by another amount.

# %%
predict = "        y_hat = network(x)  "
roll = "        x = torch.roll(x, torch.randint(-2, 3, (2,)).tolist(), dims=(2, 3))\n"
assert plain.source.count(predict) == 1  # in the evaluation it stands deeper
with_shifts = plain.source.replace(predict, roll + predict)
print_changes(plain.source, with_shifts)

shifted = new_model()
train(shifted, loop=with_shifts)
note("shifted images", shifted)

# %% [markdown]
# `roll` moves what leaves on one side in again on the other. Does that do harm? Only if there is
# ink at the edge. Count, and look at one image and its shifts. (Exercise 3 does it properly.)

# %%
images = train_data.tensors[0]
paper = images.min()
inside = torch.zeros(28, 28, dtype=torch.bool)
inside[2:-2, 2:-2] = True
at_edge = (images[..., ~inside] > paper).flatten(1).any(dim=1)
print(f"{at_edge.float().mean():.1%} of the images have ink in the two pixels at the edge")
shifts = [(0, 0), (2, 0), (-2, 0), (0, 2), (0, -2), (2, -2)]
tl.show(torch.stack([images[0].roll(shift, dims=(1, 2)) for shift in shifts]))

# %% [markdown]
# ### The table

# %% tags=["nbval-ignore-output"]
print(f"{'change':16}   train loss   eval loss     gap   train acc   eval acc")
for name, row in table.items():
    print(f"{name:16}   {row['train']:10.3f}   {row['eval']:9.3f}   {row['gap']:5.3f}", end="")
    print(f"   {row['train acc']:9.3f}   {row['eval acc']:8.3f}")
for name in table.keys() - {"nothing"}:
    assert table[name]["gap"] < table["nothing"]["gap"]
    assert table[name]["train"] > table["nothing"]["train"]
for name in ("4 times the data", "shifted images"):
    assert table[name]["eval acc"] > table["nothing"]["eval acc"]
    assert table[name]["eval"] < min(table["dropout"]["eval"], table["early stopping"]["eval"])

# %%
rows = list(reversed(table.items()))
_, ax = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
names = [name for name, _ in rows]
ax.hlines(names, [row["train"] for _, row in rows], [row["eval"] for _, row in rows], color="0.7")
ax.plot([row["train"] for _, row in rows], names, "o", label="training data")
ax.plot([row["eval"] for _, row in rows], names, "s", label="validation data")
ax.set(xlabel="loss", xlim=(-0.02, None))
ax.spines[["top", "right"]].set_visible(False)
ax.grid(alpha=0.3, axis="x")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The gray line is the gap. Each remedy makes it smaller. But a small gap is not the aim: the small
# network of Part 1 has one, too. The aim is a low loss on new data, the square as far left as
# possible. Read the figure like this:
#
# - Early stopping, weight decay and dropout lower the validation loss. The accuracy changes little:
#   most of what they do is to keep the network from being too sure.
# - Real and augmented data help more, and the accuracy rises, too. They do not only prevent
#   memorizing; they teach something new.
# - All of them make the *training* loss higher. That is what they are for. It is no fault.
#
# A difference of a percent of the accuracy is 20 of the 2,000 images. Noise alone can do that.
# Before you believe such a difference, train with another seed.

# %% [markdown]
# ## Part 5: test data is used once
#
# ### Overfitting the validation data: choosing is learning
#
# We looked at `eval_data` many times. We stopped at its best epoch, and we are about to choose the
# best of six networks by it. No weight was trained on it, and still it is no longer new: each
# choice fits it a little.
#
# How much can choosing do? Take the extreme case: 500 "networks" that guess at random. On new data
# each of them has the accuracy 0.1. Measure them all on 100 validation images, and choose the best.

# %%
tl.seed(0)
guesses = torch.randint(10, (500, 2000))  # 500 guessers, 2,000 images
hits = guesses == eval_data.tensors[1]
accuracy = hits[:, :100].float().mean(dim=1)  # on the first 100 images
winner = accuracy.argmax()
print(f"the best of 500 on 100 images: {accuracy[winner]:.3f}")
print(f"the same one on 1,900 others:  {hits[winner, 100:].float().mean():.3f}")

# %% [markdown]
# The winner looks twice as good as it is, and has learned nothing. The fewer images and the more
# choices, the worse. With 2,000 images and six networks the effect is small, but it is there, and
# it always points in the same direction: **the number by which you chose is too good.**
#
# So there is a third set, the test data. Choose all you like, with the validation data. When you
# have decided, measure on the test data, *once*, and report that. If you then go back and change
# something because of it, it is validation data from then on.
#
# ### The choice
#
# One change at a time has shown what helps. Now combine what helped most: more data, shifted images
# and weight decay, for ten epochs at most. Early stopping keeps the best of them.


# %%
def final_model():
    return new_model(optimizer_class=torch.optim.AdamW, weight_decay=1)


stop = tl.callbacks.EarlyStopping(patience=4, verbose=0)
final = final_model()
text = final.unroll("fit", more_data, eval_data, epochs=10, callbacks=stop).source
assert text.count(predict) == 1
final_history = train(final, more_data, callbacks=stop, loop=text.replace(predict, roll + predict))
note("all together", final)

# %% tags=["nbval-ignore-output"]
print(f"best epoch: {stop.best_epoch} of {len(final_history.rows)}")
row = table["all together"]
print(f"validation data: loss {row['eval']:.3f}, acc {row['eval acc']:.3f}")
assert row["eval"] < min(other["eval"] for name, other in table.items() if name != "all together")

# %% [markdown]
# It is the best of the table, so it is our choice. Now open the box.

# %% tags=["nbval-ignore-output"]
test_data = tl.datasets.MNIST(mode="test", transform=transform)
tested = final.evaluate(test_data, verbose=0)
print(f"test data: loss {tested['loss']:.3f}, acc {tested['acc']:.3f}")
assert 0.93 < tested["acc"] < 0.98 and math.isclose(tested["acc"], row["eval acc"], abs_tol=0.03)

# %% [markdown]
# This number, and no other, is the result of the lesson.

# %% [markdown]
# ## Summary
#
# - Look at the training curve first. If it is bad, the network underfits. If it is good and the
#   validation curve is worse, the network overfits; the difference is the gap.
# - The training loss of `fit` is a mean over the epoch, in training mode. To measure the gap, use
#   `model.evaluate(train_data)`.
# - If the validation loss rises while the accuracy stays, the network becomes surer of its
#   mistakes.
# - Change one thing at a time, from the same start, and keep a table.
# - Choose on the validation data. Measure on the test data, once.
#
# | remedy | its line | what it does |
# |---|---|---|
# | early stopping | `model.stop_training`, best weights back | ends before it memorizes |
# | weight decay | `weight *= 1 - lr * weight_decay` (AdamW) | keeps the weights small |
# | dropout | a layer; `network.train()` | no unit can rely on another |
# | more data | the data | teaches more |
# | data augmentation | `x = torch.roll(x, ...)` | makes data out of data |

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it: `tl.check` tells at once what is right. If
# something is not, it says where it first goes wrong. Change your code and run both cells again, as
# often as you like.
#
# If you do not know how to begin: `tl.hint("decay_term")` asks a question that helps, and gives a
# nudge when you run it again. `tl.progress()` shows what is solved.
#
# The exercises need none of the cells above. You can restart the kernel and begin here.

# %% tags=["exercises"]
import torch
from torch import nn

import tutorial as tl

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# ### Exercise 1: weight decay as a loss
#
# Write the term that can be added to a loss so that plain SGD does the same as SGD with the option
# `weight_decay`. It gets the network and the number `weight_decay`, and returns a tensor of shape
# (). All parameters count, the biases too, as they do for the option.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "decay_term_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def decay_term(network, weight_decay):
    ### BEGIN SOLUTION
    squares = sum(weight.square().sum() for weight in network.parameters())
    return weight_decay / 2 * squares
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "decay_term", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("decay_term", decay_term).require()
tl.seed(0)
layer = nn.Linear(5, 4)
decay_term(layer, 0.3).backward()
assert torch.allclose(layer.weight.grad, 0.3 * layer.weight)
assert torch.allclose(layer.bias.grad, 0.3 * layer.bias)
### END HIDDEN TESTS
tl.check("decay_term", decay_term)

# %% [markdown]
# ### Exercise 2: dropout by hand
#
# Write dropout as a function of a tensor `x`, the probability `p` and the mode. In training, each
# number becomes 0 with probability `p`, independently of all others, and a new choice is made at
# each call. What is left is made larger, so that the mean stays the same. In evaluation, nothing
# happens. Do not use `nn.Dropout` or `F.dropout`, and leave `x` itself as it is.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "dropout_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def dropout(x, p, training):
    ### BEGIN SOLUTION
    if not training:
        return x
    kept = torch.rand_like(x) >= p
    return x * kept / (1 - p)
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "dropout", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("dropout", dropout).require()
tl.seed(0)
ones = torch.ones(300, 100)
assert abs(dropout(ones, 0.8, True).mean() - 1) < 0.05
assert torch.equal(dropout(ones, 0.8, False), ones)
### END HIDDEN TESTS
tl.check("dropout", dropout)

# %% [markdown]
# ### Exercise 3: shift, and fill with paper
#
# Shift a batch of images `x` (B, 1, H, W) by `right` pixels to the right and by `down` pixels down.
# Both may be negative: then to the left, or up. What leaves the image is lost; the places that
# become free get the value `paper`. The result has the shape of `x`, and `x` stays as it is.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "shift_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def shift(x, right, down, paper):
    ### BEGIN SOLUTION
    height, width = x.shape[2:]
    margins = (abs(right), abs(right), abs(down), abs(down))  # left, right, top, bottom
    wide = nn.functional.pad(x, margins, value=paper)
    top, left = abs(down) - down, abs(right) - right
    return wide[:, :, top : top + height, left : left + width]
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "shift", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("shift", shift).require()
x = torch.arange(1.0, 10.0).view(1, 1, 3, 3)
moved = torch.tensor([[-1.0, -1.0, -1.0], [2.0, 3.0, -1.0], [5.0, 6.0, -1.0]])
assert torch.equal(shift(x, -1, 1, -1.0)[0, 0], moved)
### END HIDDEN TESTS
tl.check("shift", shift)
