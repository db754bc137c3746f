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
# # 4 · The training loop, line by line
#
# `fit` is a short program. Its heart is five lines, and nearly all networks were trained by these
# five: stochastic gradient descent, or a relative of it. If you understand what each of them needs
# and what it leaves behind, you can find the mistake in any training loop.
#
# You learn a machine best by taking a part away and looking at what fails. So this lesson does two
# things. First it runs the loop by hand, one line at a time, and looks at every tensor. Then it
# takes lines away, one by one, and finds the exact step where the training goes wrong.
#
# **After this lesson you can**
#
# - say for each line of a training loop what it reads and what it changes;
# - check a gradient, and a step of the optimizer, by hand;
# - tell from its effect which line is missing in a loop;
# - hand a changed loop back to `fit`, and prove what it does.
#
# It takes about 40 minutes. You should know lesson 1.

# %%
from contextlib import redirect_stdout

import torch
from torch import nn
from torch.utils.data import TensorDataset
from torchvision.transforms import Normalize

import tutorial as tl
from tutorial import Batches

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# 1,000 images to train on and 1,000 others to measure. That is little, but enough to see a loop
# work or fail.

# %%
mnist = tl.datasets.MNIST(mode="train", transform=Normalize(mean=[33.3], std=[78.6]))
train_data = TensorDataset(*mnist[:1000])
eval_data = TensorDataset(*mnist[50_000:51_000])
tl.show(train_data, count=6)

# %% [markdown]
# The network is small and has dropout. The optimizer is `SGD`, the simplest of all: it has no
# memory, so we can check its steps with one line of arithmetic.
#
# Every experiment of this lesson begins with the same weights and the same random state. So the
# model comes from a function that sets the seed.


# %%
def new_model(weight_decay=0.0):
    tl.seed(0)
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 64),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(64, 10),
    )
    model = tl.Model(network)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=weight_decay)
    model.prepare(optimizer, nn.CrossEntropyLoss(), tl.metrics.Accuracy())
    return model


# %% [markdown]
# ## Part 1: one step, by hand
#
# Here is the loop of the call that we study.

# %%
model = new_model()
program = model.unroll("fit", train_data, epochs=3, log_freq=16)
program

# %% [markdown]
# Now we are the computer. We do what the code says, one line after the other, for the first batch
# of the first epoch. Between the lines we look around. Looking must not change anything: at the end
# we compare our weights with those of a real `fit`.
#
# The names in the code are the parts of the model.

# %%
network, optimizer, loss_fn = model.network, model.optimizer, model.loss_fn
accuracy = model.metrics["accuracy"]

# %% [markdown]
# ### The loader
#
# `Batches` draws a random order of the samples, cuts it into groups of 64, and fetches each group at
# once. That is possible because all images lie in one tensor. Other data is fetched sample by
# sample, by PyTorch's `DataLoader`. Both give the same batches, and draw the same random numbers:
# the loop by hand of lesson 1 has a `DataLoader`, and came out equal.

# %%
train_loader = Batches(train_data, batch_size=64, shuffle=True)
print(len(train_loader), "batches for", len(train_data), "samples")
print("the last batch has", len(train_data) - 15 * 64)

# %% [markdown]
# ### network.train()
#
# It sets a switch in every layer, `training`. Nothing is computed. Only a few kinds of layers ever
# look at the switch; here it is dropout.

# %%
network.train()
print({type(layer).__name__: layer.training for layer in network})

# %% [markdown]
# ### for step, (x, y) in enumerate(train_loader)
#
# The loop asks the loader for a batch: 64 images and their 64 labels. At this moment the random
# order of the epoch is drawn.
#
# In a program, the loop does this 16 times an epoch. We ask for the first batch only.

# %%
x, y = next(iter(train_loader))
print("x:", tuple(x.shape), " y:", tuple(y.shape))

# %% [markdown]
# ### y_hat = network(x)
#
# The *forward* pass. The layers work one after the other; each takes what the one before it gave.
# This is the same as `network(x)`, with a look at each shape.

# %%
y_hat = x
for layer in network:
    y_hat = layer(y_hat)
    print(f"{type(layer).__name__:8} -> {tuple(y_hat.shape)}")

# %% [markdown]
# 64 rows, one for each image, and ten columns, one for each digit. Later the weights must be told
# what to do better. For that, PyTorch's *autograd* has recorded the operations: `grad_fn` is the
# last one that made this tensor, and it knows those before it. This record is the *graph*.

# %%
print("x has a graph:    ", x.grad_fn is not None)
print("y_hat has a graph:", y_hat.grad_fn is not None)

# %% [markdown]
# ### loss = loss_fn(y_hat, y)
#
# One number for the whole batch: how wrong were the 64 answers? Cross-entropy does three things,
# and we can do them too. Make probabilities of the scores. Take minus the logarithm of the
# probability that the *right* digit got. Take the mean over the batch.

# %% tags=["nbval-ignore-output"]
loss = loss_fn(y_hat, y)
right_ones = y_hat.softmax(dim=1)[range(64), y]  # of each row, the probability of its label
by_hand = -right_ones.log().mean()
assert torch.allclose(loss, by_hand)
print(f"loss {loss:.3f}, by hand {by_hand:.3f}")

# %% [markdown]
# ### loss.backward()
#
# The *backward* pass (backpropagation). It goes back through the graph and computes a number for
# every weight of the network: how fast would the loss grow if this weight grew? That number is the
# *gradient*. It is stored with the weight, in `weight.grad`. Before, nothing is there.

# %%
print("before:", [weight.grad for weight in network.parameters()])
loss.backward()
print("after: ", [tuple(weight.grad.shape) for weight in network.parameters()])

# %% [markdown]
# Every weight has a gradient, in the shape of the weight. Nothing else has changed: the weights are
# what they were. How large are the gradients, compared with the weights? The length of a tensor,
# its *norm*, is the root of the sum of its squares.

# %% tags=["nbval-ignore-output"]
print("name       weights   length   length of the gradient")
for name, weight in network.named_parameters():
    print(f"{name:9}  {weight.numel():7}   {weight.norm():6.3f}   {weight.grad.norm():22.3f}")

# %% [markdown]
# Is the gradient true? Test the definition. The last layer has a bias for each digit. Push the bias
# of the digit 3 up by a tiny bit: the score of the 3 grows by this bit in every row. Measure how
# much the loss grows, and divide by the size of the push.

# %% tags=["nbval-ignore-output"]
push = 1e-4
scores = y_hat.detach().double()  # 16 digits instead of 7, because the difference is so small
pushed = scores.clone()
pushed[:, 3] += push
slope = (loss_fn(pushed, y) - loss_fn(scores, y)) / push
gradient = network[-1].bias.grad[3]
print(f"measured {slope:.4f}, by backward {gradient:.4f}")
assert abs(slope - gradient) < 1e-4

# %% [markdown]
# For this one bias we needed a second computation of the loss. The network has 50,890 weights, and
# `backward` found the gradients of all of them in a single pass.

# %%
assert sum(weight.numel() for weight in network.parameters()) == 50_890

# %% [markdown]
# ### optimizer.step()
#
# The gradient says where the loss *grows*. So each weight moves the other way. For SGD the rule is
# one line: `weight = weight - lr * gradient`. Compute it by hand first, then let the optimizer do
# it, and compare.

# %%
expected = [weight - 0.1 * weight.grad for weight in network.parameters()]
optimizer.step()
pairs = zip(network.parameters(), expected, strict=True)
assert all(torch.allclose(weight, wanted) for weight, wanted in pairs)
print("weight - lr * gradient: as the optimizer does it")

# %% [markdown]
# ### optimizer.zero_grad()
#
# The gradients have done their work. They are removed, because `backward` never replaces a
# gradient: it *adds* to what is there. Part 2 shows what happens otherwise.

# %%
optimizer.zero_grad()
print([weight.grad for weight in network.parameters()])

# %% [markdown]
# ### The rest is bookkeeping
#
# `loss.item()` makes a plain Python number of the loss. `loss` itself still holds the graph of its
# forward pass, so a list of 1,000 such tensors would fill the memory; a number holds no graph.
#
# A batch's loss is a mean. Multiplied by the number of samples it is a sum. Sums can be added over
# batches of different sizes. Lesson 3 explains why.

# %%
accuracy.reset()
loss_sum, samples = 0.0, 0
step_losses = [loss.item()]
loss_sum += step_losses[-1] * len(x)
samples += len(x)
accuracy.update(y_hat, y)
print("the mean over", samples, "samples so far is", type(loss_sum / samples).__name__)

# %% [markdown]
# That was one step. Did we do what `fit` does? Take a new model, let `fit` do one step
# (`num_iters=1`), and compare the loss and every weight. `torch.equal` allows no difference at all.

# %%
other = new_model()
history = other.fit(train_data, num_iters=1, verbose=0)
assert history.step_losses == step_losses
for ours, its in zip(network.parameters(), other.network.parameters(), strict=True):
    assert torch.equal(ours, its)
print("one loss and 50,890 weights: equal")

# %% [markdown]
# ### Watch it
#
# You have done one step by hand. A *replay* does it for you: it runs the first steps on copies, and
# keeps what each line has changed. Go forward and back with the arrow keys, or to the next line that
# changes a weight. Choose a name to follow it through the steps. It is a film: it needs no kernel,
# and nothing of your model moves.

# %% tags=["nbval-ignore-output"]
new_model().unroll("fit", train_data, epochs=3, log_freq=16).replay(steps=2)

# %% [markdown]
# ### Stop in it
#
# A film cannot be asked. A *debugger* can: it stops the loop that runs, and you look around. In
# JupyterLab,
#
# 1. write `model.fit(train_data, epochs=3)` in a cell, select it, and press `U`: below it the loop
#    appears;
# 2. switch on the debugger, the bug at the right above the notebook;
# 3. click beside the number of the line `loss.backward()`: the red dot is a *breakpoint*;
# 4. run the cell. It stops before this line. The panel on the right shows all variables; *Next* runs
#    one line, *Continue* runs to the next batch.
#
# Elsewhere, write `breakpoint()` as a line of the loop. It stops there, and asks: `p loss` prints the
# loss, `n` runs one line, `c` goes on. (Take the breakpoint away, and the loop runs to its end.)

# %% [markdown]
# ### Who reads, who writes
#
# The five lines talk to each other only through three places: the graph, the gradients and the
# weights. This table is the whole mechanism.
#
# | line | reads | writes |
# |---|---|---|
# | `y_hat = network(x)` | the weights | the graph |
# | `loss = loss_fn(y_hat, y)` | | the graph |
# | `loss.backward()` | the graph | adds to the gradients |
# | `optimizer.step()` | the gradients | the weights |
# | `optimizer.zero_grad()` | | removes the gradients |
#
# Notice who does *not* talk to whom. The optimizer never sees the loss. It only sees gradients that
# it finds in `weight.grad`. So it cannot complain if they are missing or old. That is why a wrong
# loop seldom stops with an error.

# %% [markdown]
# ## Part 2: take a line away
#
# Now break it. Each experiment takes the source of the program, replaces one call by `pass`, which
# is Python for "do nothing", and hands it to `fit`. All begin with the same weights and the same
# random state. So the first difference from the right run is the work of the missing line.
#
# First, the right run. The loop prints its epochs; we have the numbers in the history, so we send
# the printed lines to nowhere.


# %%
def run(source, model, **data):
    """Train the model by this loop; return the History."""
    with redirect_stdout(None):
        return model.fit(train_data, loop=source, **data)


def without(source, *replacements):
    """The loop with some pieces of code replaced; each must be there exactly once."""
    for old, new in replacements:
        assert source.count(old) == 1, f"{old} is there {source.count(old)} times"
        source = source.replace(old, new)
    return source


right_model = new_model()
right = run(program.source, right_model)
print(len(right.step_losses), "steps in", len(right.rows), "epochs")


# %% [markdown]
# Two things can differ: the losses of the steps, which tell what was learned, and the rows of the
# epochs, which tell what was reported.


# %%
def first_differences(history):
    """The first step whose loss differs from the right run, and what differs in the rows."""
    losses = zip(history.step_losses, right.step_losses, strict=True)
    step = next((i + 1 for i, (a, b) in enumerate(losses) if a != b), None)
    rows = zip(history.rows, right.rows, strict=True)
    names = (f"{k} of epoch {a['epoch']}" for a, b in rows for k in b if a[k] != b[k])
    return (
        "no loss of a step differs" if step is None else f"the loss of step {step}",
        next(names, "no report differs"),
    )


broken_models, broken = {}, {}


def break_it(name, *replacements):
    """Train a new model by a broken loop; say where it first differs from the right one."""
    broken_models[name] = new_model()
    broken[name] = run(without(program.source, *replacements), broken_models[name])
    print("first difference:", ", ".join(first_differences(broken[name])))


# %% [markdown]
# Play a game with yourself. Before you look at the result of a cell, guess: at which step does the
# loss first differ? The steps count from 1.
#
# ### Without zero_grad

# %%
break_it("no zero_grad", ("optimizer.zero_grad()", "pass"))

# %% [markdown]
# Step 3! Why so late? Go through it. Step 1 begins without gradients, so it is right. Step 2
# computes its loss with right weights, so this loss is right too. But then `backward` adds to the
# gradient of step 1, which is still there, and the weights take a wrong step. The loss of step 3 is
# the first one that is computed with wrong weights.
#
# `tl.compare` looks for this place in any two histories, and for the reason. (You can compare with a
# friend, too: `history.save("mine.json")` writes a file, and `tl.History.load` reads it.)

# %% tags=["nbval-ignore-output"]
tl.compare(broken["no zero_grad"], right)

# %% [markdown]
# See it in the gradients: the second one is the sum of both.

# %%
model = new_model()
network, bias = model.network, model.network[-1].bias
one, two = train_data[:64], train_data[64:128]
network.eval()  # no dropout here, so that both ways compute the same


def gradient_of(x, y):
    bias.grad = None
    loss_fn(network(x), y).backward()
    return bias.grad.clone()


separate = gradient_of(*one) + gradient_of(*two)
gradient_of(*one)
loss_fn(network(two[0]), two[1]).backward()  # without clearing
assert torch.allclose(bias.grad, separate)
print("the second gradient is the sum of both")

# %% [markdown]
# So at step 40 the optimizer follows the sum of 40 gradients, most of them old. The step becomes
# longer and longer, and points where the loss used to fall. It is like a heavy ball that rolls
# through the valley and up on the other side.

# %%
tl.plot({"right": right, "no zero_grad": broken["no zero_grad"]})

# %% [markdown]
# Look at the losses on the left. The broken run is even faster at first. Then its losses rise and
# become restless. This is the typical picture of a forgotten `zero_grad`.

# %% tags=["nbval-ignore-output"]
for name, history in (("right", right), ("no zero_grad", broken["no zero_grad"])):
    early, late = history.step_losses[3:8], history.step_losses[-8:]
    print(f"{name:12}  steps 4 to 8: {sum(early) / 5:.2f}   the last 8 steps: {sum(late) / 8:.2f}")
assert sum(early) < sum(right.step_losses[3:8]) and sum(late) > sum(right.step_losses[-8:])

# %% [markdown]
# Adding is not a mistake in PyTorch. It is a tool, *gradient accumulation*: two small batches can
# be added to a large one. `fit(..., accumulate_grad_batches=2)` uses it. Exercise 2 does so by
# hand.
#
# ### Without step, without backward

# %%
break_it("no step", ("optimizer.step()", "pass"))
break_it("no backward", ("loss.backward()", "pass"))

# %% [markdown]
# Step 2 in both cases: the first loss needs no step. Without `step` the gradients are computed and
# thrown away. Without `backward` there are none, and the optimizer skips every weight that has
# none. It gives no error and no warning. The two runs are even equal, loss for loss:

# %%
assert broken["no step"].step_losses == broken["no backward"].step_losses
for name in ("no step", "no backward"):
    fresh = new_model().network.parameters()
    trained = broken_models[name].network.parameters()
    assert all(torch.equal(a, b) for a, b in zip(trained, fresh, strict=True))
print("after 48 steps, every weight is what it was at the start")

# %% [markdown]
# From outside you see a loss that stays near ln 10 = 2.303, the loss of a network that knows
# nothing. It still jumps a little, because batches and dropout differ. That is not learning. To
# find out which of the two lines is missing, look at a gradient after `backward` should have run:
# is it `None`?

# %% tags=["nbval-ignore-output"]
last = broken["no step"].rows[-1]["loss"]
print(f"the mean loss of epoch 3: {last:.3f}, right: {right.rows[-1]['loss']:.3f}")
assert abs(last - 2.303) < 0.2 and right.rows[-1]["loss"] < 1

# %% [markdown]
# ### Without network.train()

# %%
break_it("no train()", ("network.train()", "pass"))

# %% [markdown]
# Nothing at all! Is the line useless? A new network is in training mode already. The line matters
# when something has switched to evaluation before: `network.eval()`. Who does that? An evaluation,
# for example after each epoch.

# %%
with_eval = new_model().unroll("fit", train_data, eval_data, epochs=3, log_freq=16)
for line in with_eval.source.splitlines():
    if "for epoch" in line or "network.train()" in line or "network.eval()" in line:
        print(line.partition("  #")[0].rstrip())

# %% [markdown]
# Run both, with the evaluation.

# %%
right_eval = run(with_eval.source, new_model(), eval_data=eval_data)
source = without(with_eval.source, ("network.train()", "pass"))
broken_eval = run(source, new_model(), eval_data=eval_data)
losses = zip(broken_eval.step_losses, right_eval.step_losses, strict=True)
step = next(i + 1 for i, (a, b) in enumerate(losses) if a != b)
print("the first different loss: step", step, "of", len(right_eval.step_losses))

# %% [markdown]
# Step 17 is the first step of epoch 2, the first one after an evaluation. From there on the network
# trains without dropout. PyTorch says nothing, and the mistake is hard to see: the loss falls. It
# even falls *faster*, because dropout makes training harder on purpose.

# %% tags=["nbval-ignore-output"]
for name, history in (("right", right_eval), ("no train()", broken_eval)):
    print(f"{name:10}  training loss of epoch 3: {history.rows[-1]['loss']:.3f}")
assert broken_eval.rows[-1]["loss"] < right_eval.rows[-1]["loss"]

# %% [markdown]
# Remember: a line that makes no difference today may still be needed. `train()` at the start of
# every epoch costs nothing and asks nobody what happened before.
#
# ### Without accuracy.reset()

# %%
break_it("no reset", ("accuracy.reset()", "pass"))

# %% [markdown]
# The training is right: no loss differs. The *report* is wrong, from epoch 2 on. The metric goes on
# counting, so the accuracy of epoch 3 is the mean over all three epochs.

# %%
accuracies = [row["acc"] for row in right.rows]
reported = broken["no reset"].rows[-1]["acc"]
assert abs(reported - sum(accuracies) / 3) < 1e-9
assert reported < accuracies[-1]
print("reported for epoch 3: the mean accuracy of epochs 1 to 3")

# %% [markdown]
# ### Without len(x)
#
# Many loops add up the losses of the batches and divide by the number of batches.

# %%
break_it("mean of means", (" * len(x)", ""), ("samples += len(x)", "samples += 1"))

# %% [markdown]
# Again only the report differs. The last batch has 40 samples, but it counts as much as a full one.
# How much that changes depends on the last batch; here it is little. On other data it may be much,
# as in lesson 3.

# %% tags=["nbval-ignore-output"]
for ours, wrong in zip(right.rows, broken["mean of means"].rows, strict=True):
    print(f"epoch {ours['epoch']}: loss {ours['loss']:.4f}, mean of means {wrong['loss']:.4f}")

# %% [markdown]
# ### Without shuffling

# %%
break_it("no shuffle", ("shuffle=True", "shuffle=False"))

# %% [markdown]
# The first batch is a different one, so all differs from the start. But is it *worse*? MNIST is
# stored in a mixed order, so here it hardly matters. Many other datasets are stored class by class.
# Let us sort ours by the digit: first all zeros, then all ones, and so on to the nines.

# %%
by_digit = train_data.tensors[1].argsort(stable=True)
sorted_data = TensorDataset(*train_data[by_digit])
models = {"shuffled": new_model()}
runs = {"shuffled": models["shuffled"].fit(sorted_data, epochs=3, verbose=0)}
models["sorted"] = new_model()
runs["sorted"] = models["sorted"].fit(sorted_data, epochs=3, shuffle=False, verbose=0)
tl.plot(runs)

# %% [markdown]
# Sorted, the network sees only zeros for a while, and learns to say "zero" to everything. That
# works well, until the ones come: the loss shoots up. At the end of the epoch it has learned to say
# "nine", and the next epoch begins with zeros.

# %% tags=["nbval-ignore-output"]
for name, model in models.items():
    result = model.evaluate(eval_data, verbose=0)
    [logits] = model.predict(eval_data, stack_outputs=True, verbose=0)
    nines = (logits.argmax(dim=1) == 9).float().mean()
    print(f"{name:8}  acc {result['acc']:.3f}   called a nine: {nines:.3f}")
assert result["acc"] < 0.6 and nines > 0.2

# %% [markdown]
# ### The table of symptoms
#
# All experiments in one table. The last column is the accuracy on new data, after three epochs.

# %% tags=["nbval-ignore-output"]
print("loop            first difference                              acc on new data")
for name, model in {"right": right_model, **broken_models}.items():
    where = "" if name == "right" else ", ".join(first_differences(broken[name]))
    acc = model.evaluate(eval_data, verbose=0)["acc"]
    print(f"{name:14}  {where:44}  {acc:.3f}")
    if name in ("right", "no train()", "no reset", "mean of means", "no shuffle"):
        assert acc > 0.75
    if name in ("no step", "no backward"):
        assert acc < 0.3

# %% [markdown]
# Three of the seven are bad for the network. Two spoil only what you are told. Two do no harm here,
# and will do harm elsewhere. Not a single one raised an error.
#
# Use the table backwards, as a doctor does:
#
# | what you see | where to look |
# |---|---|
# | the loss stays at that of random guessing | is there a `backward`, and a `step`? |
# | the loss falls, then rises and jumps | is the gradient cleared? (or `lr` is too large) |
# | the loss shoots up and down in every epoch | is the data shuffled? |
# | training is much better than evaluation, although there is dropout | `network.train()` |
# | the accuracy rises too slowly from epoch to epoch | is the metric reset? |
# | the loss depends on the batch size | is the mean over samples? |

# %% [markdown]
# ## Part 3: put a line in
#
# The same tool builds as well as breaks. *Weight decay* is a pull on every weight towards zero:
# before each step, a small part of the weight is added to its gradient. Optimizers have an option
# for it. Suppose ours had none. In the loop it is two lines.

# %%
before = "        optimizer.step()"
decay = """\
        for weight in network.parameters():
            weight.grad += 0.01 * weight.detach()
"""
changed = without(program.source, (before, decay + before))
mine = new_model()
history = run(changed, mine)
print(len(history.step_losses), "steps")

# %% [markdown]
# Is that what the option `weight_decay=0.01` of `SGD` does? Train a second model with the option
# and without our lines. The numbers may differ in the last digits, because a sum is rounded
# differently when it is computed in another order.

# %%
theirs = new_model(weight_decay=0.01)
theirs.fit(train_data, epochs=3, verbose=0)
for ours, its in zip(mine.parameters(), theirs.parameters(), strict=True):
    assert torch.allclose(ours, its, atol=1e-4)
length = {
    name: sum(weight.detach().square().sum() for weight in model.parameters()).sqrt()
    for name, model in (("right", right_model), ("decay", mine))
}
assert length["decay"] < length["right"]
print("two lines in the loop, or an option: the same weights, and shorter than without")

# %% [markdown]
# Last, let the library prove your own loop. `unroll` takes the changed source too. `verify` writes
# it to a file that never imports this library, runs that in a new Python process, and compares
# every loss and every weight with a `fit` here.

# %%
with redirect_stdout(None):
    proof = new_model().unroll("fit", train_data, epochs=3, loop=changed).verify()
assert proof
proof

# %% [markdown]
# A cell with several calls can be written out as a whole. `%%unroll` above it does that, and runs
# nothing; so do the keys `U` and `Shift U` of lesson 1, without a word above the cell. Here is
# another line that can be put in: long gradients are *clipped* (lesson 9).

# %%
# %load_ext tutorial
model = new_model()

# %% tags=["nbval-ignore-output"]
# %%unroll
history = model.fit(train_data, clip_grad_norm=1.0)
result = model.evaluate(eval_data)

# %% [markdown]
# ## Summary
#
# - Forward and loss record a graph. `backward` reads it and *adds* to the gradients. `step` reads
#   the gradients and changes the weights. `zero_grad` removes the gradients.
# - Each line can be checked by hand: the loss by its formula, the gradient by a small push, the
#   step by `weight - lr * gradient`.
# - A loop with a missing line seldom fails. Compare it with a right one from the same state, and
#   look for the *first* difference. It tells what is missing.
# - Some lines make the network worse when they are missing, some make only the report wrong, and
#   some do nothing until another line comes along.
# - `model.fit(..., loop=changed)` runs your loop; `unroll(..., loop=changed).verify()` proves it.

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it: `tl.check` tells at once what is right. If
# something is not, it says where it first goes wrong. Change your code and run both cells again, as
# often as you like.
#
# If you do not know how to begin: `tl.hint("bias_gradient")` asks a question that helps, and gives a
# nudge when you run it again. `tl.progress()` shows what is solved.
#
# The exercises need none of the cells above. You can restart the kernel and begin here.

# %% tags=["exercises"]
import torch
from torch import nn
from torch.nn import functional as F

import tutorial as tl
from tutorial import Batches

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# ### Exercise 1: a gradient without backward
#
# The last layer of a classifier adds a bias to each score. How does the loss change with these
# biases? For one image, and cross-entropy, the gradient for the bias of a class is simple: the
# probability that the network gives to this class; and for the class that is the label, that
# probability minus 1. The loss of a batch is the mean over its images.
#
# Compute the gradient for all biases from the logits `y_hat` (B, C) and the labels `y` (B,). Do not
# call `backward`.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "bias_gradient_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def bias_gradient(y_hat, y):
    ### BEGIN SOLUTION
    gradient = y_hat.softmax(dim=1)
    gradient[range(len(y)), y] -= 1
    return gradient.mean(dim=0)
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "bias_gradient", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("bias_gradient", bias_gradient).require()
tl.seed(0)
layer = nn.Linear(20, 7)
logits, labels = layer(torch.randn(33, 20)), torch.randint(7, (33,))
F.cross_entropy(logits, labels).backward()
assert torch.allclose(bias_gradient(logits.detach(), labels), layer.bias.grad, atol=1e-6)
### END HIDDEN TESTS
tl.check("bias_gradient", bias_gradient)

# %% [markdown]
# ### Exercise 2: a large batch in small parts
#
# A batch of 38 samples does not fit into the memory. It comes as a list of smaller ones, `parts`:
# pairs `(x, y)`, the last one may be short. Make *one* step of the optimizer, the same step as with
# all samples in one batch. Use that `backward` adds. Leave no gradient behind.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "accumulated_step_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def accumulated_step(network, loss_fn, optimizer, parts):
    ### BEGIN SOLUTION
    samples = sum(len(x) for x, _ in parts)
    for x, y in parts:
        loss = loss_fn(network(x), y)
        (loss * len(x) / samples).backward()
    optimizer.step()
    optimizer.zero_grad()
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "accumulated_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("accumulated_step", accumulated_step).require()
x, y = torch.randn(10, 4), torch.randint(3, (10,))
weights = []
for sizes in ([10], [7, 3], [1, 1, 8]):
    tl.seed(0)
    network = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    parts = list(zip(x.split(sizes), y.split(sizes), strict=True))
    accumulated_step(network, nn.CrossEntropyLoss(), optimizer, parts)
    weights.append(network.weight.detach())
assert torch.allclose(weights[0], weights[1], atol=1e-6)
assert torch.allclose(weights[0], weights[2], atol=1e-6)
### END HIDDEN TESTS
tl.check("accumulated_step", accumulated_step)

# %% [markdown]
# ### Exercise 3: an optimizer by hand
#
# Without `zero_grad`, old gradients pile up for ever. *Momentum* is the tame form of it. Each weight
# has a velocity. In each step, the velocity is multiplied by `momentum`, say 0.9, and the gradient
# is added; then the weight moves by `lr` times the velocity, downhill. So old gradients fade away.
#
# Write one step. `weights` and `velocities` are lists of tensors; the gradients are in
# `weight.grad`. Change both *in place*, with `mul_`, `add_`, `sub_` or `-=`. (Autograd would record
# what you do to a weight. Prevent that with `torch.no_grad()`.)


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "momentum_step_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def momentum_step(weights, velocities, lr, momentum):
    ### BEGIN SOLUTION
    with torch.no_grad():
        for weight, velocity in zip(weights, velocities, strict=True):
            velocity.mul_(momentum).add_(weight.grad)
            weight -= lr * velocity
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "momentum_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("momentum_step", momentum_step).require()
a, b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(3))
a.grad, b.grad = torch.ones(2), torch.full((3,), 2.0)
velocities = [torch.ones(2), torch.zeros(3)]
momentum_step([a, b], velocities, 0.5, 0.5)
assert torch.allclose(a, torch.full((2,), 0.25)) and torch.allclose(b, torch.full((3,), -1.0))
### END HIDDEN TESTS
tl.check("momentum_step", momentum_step)
