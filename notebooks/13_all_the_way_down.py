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
# # 13 · All the way down: every gradient, written out
#
# You know the five lines of a training loop. Two of them are short and do nearly all of the work:
# `loss.backward()` finds a gradient for every weight, and `optimizer.step()` moves the weights.
# Both are a single call. What happens in there?
#
# In this lesson you open them. The same training is written out further and further, at four
# *depths*. At the last one there is no network object, no autograd and no optimizer left, and then
# not even PyTorch: only sums, products and comparisons of arrays. At each depth it is still the
# same training, and that is proved.
#
# You will not only read. Before you look at a gradient, you predict it: first its shape, then its
# formula.
#
# **After this lesson you can**
#
# - read one training at four depths, and say what each of them writes out;
# - say the shape of every gradient, and why the gradient of a weight matrix is a product of two
#   matrices;
# - find the gradient of any layer in a program within seconds;
# - write the backward pass of a layer, and check it;
# - change the rule of an optimizer, and hand the loop back to `fit`.
#
# It takes about 50 minutes. You should know lesson 4.

# %%
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import mkdtemp
from textwrap import dedent

import torch
from matplotlib import pyplot as plt
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset
from torchvision.transforms import Normalize

import tutorial as tl

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# 1,000 digits to train on and 1,000 others to measure, as in lesson 4. The network has two weight
# matrices, with a ReLU between them. The optimizer is `SGD`.

# %%
mnist = tl.datasets.MNIST(mode="train", transform=Normalize(mean=[33.3], std=[78.6]))
train_data = TensorDataset(*mnist[:1000])
eval_data = TensorDataset(*mnist[50_000:51_000])


def new_model(optimizer=torch.optim.SGD, lr=0.1, **options):
    tl.seed(0)
    network = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )
    model = tl.Model(network)
    model.prepare(
        optimizer(model.parameters(), lr=lr, **options),
        nn.CrossEntropyLoss(),
        tl.metrics.Accuracy(),
    )
    return model


# %% [markdown]
# ## Part 1: the loop
#
# The first depth is the loop that you know.

# %%
model = new_model()
loop = model.unroll("fit", train_data, epochs=3, log_freq=16)
print(loop)

# %% [markdown]
# Four of its lines call something that is written elsewhere. Each depth writes some of them out.
#
# | `depth=` | what is written out | what is still called |
# |---|---|---|
# | `"loop"` | the loop | network, loss, autograd, optimizer |
# | `"optimizer"` | `optimizer.step()` and `zero_grad()` | network, loss, autograd |
# | `"gradients"` | `network(x)`, `loss_fn` and `loss.backward()` | operations on tensors |
# | `"numpy"` | the same, without PyTorch | operations on arrays |

# %% [markdown]
# ## Part 2: the optimizer
#
# Guess first. In lesson 4 you have computed a step of `SGD` by hand. How many lines will it be?
#
# This prints only what is new at a depth.


# %%
def code_of(line):
    return line.partition("  #")[0].rstrip()


def print_new_lines(program, above):
    """Print the lines of a program that the one above it does not have."""
    known = {code_of(line) for line in above.source.splitlines()}
    new = [line for line in program.source.splitlines() if code_of(line) not in known]
    print(dedent("\n".join(new)))


written = model.unroll("fit", train_data, epochs=3, log_freq=16, depth="optimizer")
print_new_lines(written, loop)

# %% [markdown]
# One line does it, the last one in the first block: `weight.add_(gradient, alpha=-0.1)`. It adds
# -0.1 times the gradient to the weight, in place. The 0.1 is the `lr` of this call. All around it
# is care: no graph is recorded, every weight has its turn, and one without a gradient is left
# alone. `zero_grad` is the last block: it forgets the gradients.
#
# `SGD` has more options: momentum, weight decay, Nesterov. Those that you do not use leave no line.
# Ask for one, and its lines are there:

# %%
with_momentum = new_model(momentum=0.9).unroll(
    "fit", train_data, epochs=3, log_freq=16, depth="optimizer"
)
print_new_lines(with_momentum, written)

# %% [markdown]
# Momentum needs a memory: one more tensor for every weight, which is kept in `optimizer.state`. In
# each step it is multiplied by 0.9, and the new gradient is added. Then the weight follows the
# memory instead of the gradient.
#
# And `Adam`? It has two memories. Find both of them, and the line that moves the weight.

# %%
with_adam = new_model(torch.optim.Adam, lr=0.001).unroll(
    "fit", train_data, epochs=3, log_freq=16, depth="optimizer"
)
print_new_lines(with_adam, written)

# %% [markdown]
# `m` is a mean of the gradients so far, `v` a mean of their squares. The weight moves by `m`,
# divided by the root of `v`. So a weight whose gradients are always small takes steps as long as
# one whose gradients are large.
#
# Is this what `torch.optim` does? `verify` runs the program as a script in a new process, and
# compares it with the call itself.

# %%
proof = written.verify()
assert proof
print(proof.line)

# %% [markdown]
# ## Part 3: backward, for one batch
#
# Now the main thing. We take one step on one batch of 64 images. These are the layers, and the
# names that the program will use: `x_0` is what layer 0 gives, `W_1` and `b_1` are the weights of
# layer 1.
#
# ```text
# forward     0: Flatten    1: Linear    2: ReLU     3: Linear    the loss
#          x ──────────▶ x_0 ───────▶ x_1 ──────▶ x_2 ───────▶ y_hat ───────▶ loss
#                     (64,784)      (64,32)     (64,32)       (64,10)
#                          W_1 (32,784)             W_3 (10,32)
#                          b_1 (32,)                b_3 (10,)
#
# backward                          d_x_1 ◀───── d_x_2 ◀────── d_y_hat ◀─────
#                          d_W_1, d_b_1             d_W_3, d_b_3
# ```
#
# Forward goes from left to right. Backward goes from right to left. `d_W_3` is read as "the
# gradient of `W_3`": how fast the loss would grow, for each number in `W_3`, if that number grew.
#
# ### Predict the shapes
#
# One rule is enough: **a gradient has the shape of the thing that it is the gradient of.** There is
# one number for each number. So you can fill in these shapes before anything is computed. The first
# one is done.

# %%
my_shapes = {
    "d_y_hat": (64, 10),
    "d_x_2": ...,
    "d_W_3": ...,
    "d_b_3": ...,
}

# %% [markdown]
# ### Predict the formula
#
# Take a single weight of the last layer, `W_3[j, i]`. What does it do? It takes the number `i` of
# `x_2`, and adds its part to the score `j`. It does so for each image `s` of the batch:
#
# `y_hat[s, j] = x_2[s, 0] * W_3[j, 0] + ... + x_2[s, i] * W_3[j, i] + ... + b_3[j]`
#
# Push this one weight up by a tiny bit.
#
# 1. The score `y_hat[s, j]` grows by `x_2[s, i]` times the bit.
# 2. The loss grows by `d_y_hat[s, j]` times that. This is what `d_y_hat` means.
# 3. All 64 images do so, so their parts are added up: the sum over `s` of
#    `d_y_hat[s, j] * x_2[s, i]`.
#
# That is a gradient for one weight: **what came in, times what comes back, summed over the batch.**
# Now do it for all `j` and `i` at once. We have two tables, with a row for each image. For every
# pair of columns we want the sum of the products over the rows. There is an operation for exactly
# this, the matrix product, if the first table is turned on its side:
#
# `d_W_3 = d_y_hat.T @ x_2`
#
# Check it with the shapes: (10, 64) times (64, 32) is (10, 32). The 64 images have disappeared into
# the sum. Try to build a matrix of shape (10, 32) from these two tables in another way: there is
# none.
#
# The two others are found by the same question.
#
# - What does `b_3[j]` do? It is added to score `j` in each row, as if its input were always 1. So
#   its gradient is the sum of the column: `d_y_hat.sum(0)`.
# - What does `x_2[s, i]` do? It goes to all ten scores of its row, through `W_3[j, i]`. So its
#   gradient is a sum over the scores `j`: `d_y_hat @ W_3`.
#
# ### Read it
#
# Here is the step. Before you run the cell, take a watch. **Find the gradient of the second weight
# matrix.** A good reader needs ten seconds.

# %%
x, y = train_data[:64]
step = model.unroll("train_batch", x, y, depth="gradients")
step

# %% [markdown]
# How to look: the text has three parts, forward, backward and the optimizer's step. Each layer has
# its heading in the first part. In the second part the same headings come again, in the opposite
# order. Go to `# backward, 3: Linear(32, 10)`. A linear layer always has these lines:
#
# - `d_x_...`, which is handed down to the layer before;
# - `d_W_...` and `d_b_...`, which stay: the optimizer will need them.
#
# Why has layer 1 no line for `d_x_0`? Nobody asks how the *images* should change.
#
# ### Compute it
#
# Type the text into a notebook, and it runs. Forward first. `torch.addmm(b, x, W.T)` is one
# operation for `x @ W.T + b`.

# %%
W_1, b_1, W_3, b_3 = (weight.detach() for weight in model.network.parameters())
x_0 = x.view(64, 784)
x_1 = torch.addmm(b_1, x_0, W_1.T)
x_2 = torch.relu(x_1)
y_hat = torch.addmm(b_3, x_2, W_3.T)
log_p = y_hat.log_softmax(1)
loss = F.nll_loss(log_p, y)
assert torch.equal(loss, model.loss_fn(model.network(x), y))
print("the loss of the batch: as network and loss_fn find it")

# %% [markdown]
# Backward begins at the loss. The text needs two lines for cross-entropy, since forward had two:
# the logarithm of the probabilities, and the mean of those of the right digits. Together they come
# to something simple: **the probabilities, minus 1 at the label, divided by the number of images.**
# (It is what exercise 1 of lesson 4 asks for.)

# %%
d_y_hat = (log_p.exp() - F.one_hot(y, 10)) / 64

# %% [markdown]
# Think about what this says to the network. Each row is an image. The score of the right digit has
# a negative gradient: more of it, and the loss falls. Every other score has a positive one, larger
# where the network believed in it more. And each row sums to 0.

# %% tags=["nbval-ignore-output"]
print("label", y[0].item())
print("       ", "".join(f"{digit:7}" for digit in range(10)))
print("p      ", "".join(f"{p:7.3f}" for p in log_p[0].exp()))
print("d_y_hat", "".join(f"{64 * d:+7.3f}" for d in d_y_hat[0]), " times 64")
assert d_y_hat[0, y[0]] < 0 and abs(d_y_hat[0].sum()) < 1e-6

# %% [markdown]
# From here on, each line uses the one before.

# %%
d_x_2 = d_y_hat @ W_3
d_W_3 = d_y_hat.T @ x_2
d_b_3 = d_y_hat.sum(0)
d_x_1 = d_x_2.masked_fill(x_2 <= 0, 0)
d_W_1 = d_x_1.T @ x_0
d_b_1 = d_x_1.sum(0)

# %% [markdown]
# Were your shapes right?

# %%
for name, mine in my_shapes.items():
    shape = tuple(globals()[name].shape)
    said = "as you said" if shape == mine else f"you said {'nothing' if mine is ... else mine}"
    print(f"{name:7} {shape}: {said}")

# %% [markdown]
# The line of the ReLU is the only one that is no product. Where forward gave 0, a little more of
# `x_1` changes nothing, so nothing comes back: the gradient is filled with 0 there. Everywhere else
# it goes through as it is.
#
# Now the judge. Autograd has never seen our lines.

# %%
model.loss_fn(model.network(x), y).backward()
by_autograd = [weight.grad for weight in model.network.parameters()]
for ours, its in zip([d_W_1, d_b_1, d_W_3, d_b_3], by_autograd, strict=True):
    assert torch.allclose(ours, its, atol=1e-7)
model.optimizer.zero_grad()
print("six lines, and the four gradients of autograd")

# %% [markdown]
# And a judge that knows no formula at all: take one weight, push it, and see what the loss does.

# %% tags=["nbval-ignore-output"]
j, i = divmod(d_W_3.abs().argmax().item(), 32)  # where the gradient is largest
push = 1e-5
pushed = W_3.double()
pushed[j, i] += push
before = F.cross_entropy(x_2.double() @ W_3.double().T + b_3, y)
after = F.cross_entropy(x_2.double() @ pushed.T + b_3, y)
slope = (after - before) / push
print(f"W_3[{j}, {i}]: measured {slope:.5f}, d_W_3[{j}, {i}] is {d_W_3[j, i]:.5f}")
assert abs(slope - d_W_3[j, i]) < 1e-4

# %% [markdown]
# ### What a gradient looks like
#
# Look at `d_W_1 = d_x_1.T @ x_0` once more: what came in, times what comes back, summed over the
# batch. What came in are *images*. So each row of `d_W_1` is a sum of the 64 images, each one
# multiplied by a number. And then it must look like one.

# %%
most = d_W_1.norm(dim=1).argsort(descending=True)[:6]
_, axes = plt.subplots(1, 6, figsize=(9, 1.8), layout="constrained")
for ax, row in zip(axes, most, strict=True):
    far = d_W_1[row].abs().max()
    ax.imshow(d_W_1[row].view(28, 28), cmap="RdBu_r", vmin=-far, vmax=far)
    ax.set(title=f"d_W_1[{row}]", xticks=[], yticks=[])
plt.show()

# %% [markdown]
# Red pixels are to count less for this unit, blue ones more. All that this layer learns
# from a batch is to become more, or less, like the images in it.

# %% [markdown]
# ## Part 4: the whole training
#
# The same for all of `fit`. A program that is shown has a control above it: choose a depth, and
# read the same training there. Point at a line, or click on it, and those that belong to it light
# up: a call at one depth, and at the next the lines that it stood for. Click on `loss.backward()`,
# and go down.

# %%
gradients = model.unroll("fit", train_data, epochs=3, log_freq=16, depth="gradients")
gradients

# %% [markdown]
# How much longer does a program become?

# %%
for program in (loop, written, gradients):
    print(f"{program.depth:9}  {len(program.source.splitlines())} lines")

# %%
proof = gradients.verify()
assert proof
print(proof.line)

# %% [markdown]
# No autograd, and equal in every bit: 48 losses, and every weight at the end.
#
# ### A layer that does not learn
#
# In this text you can do what no option of `fit` can. Each gradient is a line; so change one. What
# if a weight matrix gets no gradient, and keeps the random numbers that it was made with? Which of
# the two is needed more? Take a guess.


# %%
def train(source):
    """Train a new model by this loop; return the model."""
    model = new_model()
    with redirect_stdout(None):  # the loop prints its epochs
        model.fit(train_data, loop=source)
    return model


def replaced(source, old, new):
    """The source with one line replaced, which must be there exactly once."""
    assert source.count(old) == 1, f"{old} is there {source.count(old)} times"
    return source.replace(old, new)


trained = {
    "as it is": train(gradients.source),
    "no d_W_3": train(replaced(gradients.source, "d_W_3 = d_y_hat.T @ x_2", "d_W_3 = 0 * W_3")),
    "no d_W_1": train(replaced(gradients.source, "d_W_1 = d_x_1.T @ x_0", "d_W_1 = 0 * W_1")),
}

# %% tags=["nbval-ignore-output"]
acc = {name: m.evaluate(eval_data, verbose=0)["acc"] for name, m in trained.items()}
for name, value in acc.items():
    print(f"{name:9} {value:.3f}")
assert acc["as it is"] > acc["no d_W_3"] > acc["no d_W_1"] + 0.2

# %% [markdown]
# The first layer is needed more. It has 25,088 numbers and sees the images. If it learns, a last
# layer of random numbers is nearly good enough: the first layer learns to serve it.
#
# ### A gradient that is wrong
#
# Now a mistake that anyone can make: forget that the ReLU has a backward pass.

# %%
mask = "d_x_1 = d_x_2.masked_fill(x_2 <= 0, 0)"
trained["no mask"] = train(replaced(gradients.source, mask, "d_x_1 = d_x_2"))

# %% tags=["nbval-ignore-output"]
acc["no mask"] = trained["no mask"].evaluate(eval_data, verbose=0)["acc"]
print(f"as it is {acc['as it is']:.3f}, no mask {acc['no mask']:.3f}")
assert acc["no mask"] > acc["as it is"] - 0.1

# %% [markdown]
# It learns! Nobody would see from this number that half of the network gets a wrong gradient. There
# is no error and no warning; the loss falls. On another network it would not go so well.
#
# So a backward pass is never tested by training with it. It is compared: with autograd, or with a
# push. One step is enough.

# %%
right, wrong = trained["as it is"].history, trained["no mask"].history
pairs = enumerate(zip(right.step_losses, wrong.step_losses, strict=True))
print("the first different loss: step", next(i + 1 for i, (a, b) in pairs if a != b))

# %% [markdown]
# ## Part 5: without PyTorch
#
# Which parts of PyTorch are left in this text? Tensors, and operations on them: products, sums, a
# logarithm, a comparison. NumPy has them, too. So here is the last depth, with the lines that
# differ.

# %%
in_numpy = model.unroll("fit", train_data, epochs=3, log_freq=16, depth="numpy")
print_new_lines(in_numpy, gradients)

# %% [markdown]
# Not one of the gradients of the two linear layers is among them: `d_W_3 = d_y_hat.T @ x_2` is the
# same line for tensors and for arrays. A few functions, such as `relu` and `log_softmax`, have to
# be brought along. Save the program, and they stand at the top of the file.

# %%
folder = Path(mkdtemp())
script = in_numpy.save(folder / "fit_numpy.py").read_text()
for line in script.splitlines():
    if line.startswith(("import", "from")):
        print(line)
first = script.index("def relu")
print(script[first : script.index("def", first + 1)].rstrip())

# %% [markdown]
# One thing NumPy cannot do: draw the same random numbers as PyTorch. So the order in which the
# samples come was noted, and lies beside the script, with the weights of the start and the data, in
# `fit_numpy.npz`. A mask of dropout would lie there, too.
#
# Now run it in a new Python process that is told that there is no PyTorch.

# %% tags=["nbval-ignore-output"]
without_torch = """
import sys, runpy
sys.modules["torch"] = None  # from here on, importing it is an error
runpy.run_path("fit_numpy.py")
"""
command = [sys.executable, "-c", without_torch]
ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
print(ran.stdout)
assert "'epoch': 3" in ran.stdout

# %% [markdown]
# A network has been trained, and all that it took was an array library. Are these the right
# numbers? NumPy adds up in another order than PyTorch, so the last bits may differ. `verify` runs
# both in 64 bits, that is with 16 digits. It wants every loss and every weight to agree within
# 1e-10, and says how far apart they are at most.

# %% tags=["nbval-ignore-output"]
proof = in_numpy.verify()
assert proof
proof

# %% [markdown]
# This is the ground. Below it there are only additions and multiplications of single numbers.

# %% [markdown]
# ## Summary
#
# - One training, four depths: the loop, with the optimizer written out, with every gradient written
#   out, and without PyTorch. Each is proved equal to the one above it: in every bit, the last
#   one within 1e-10.
# - A gradient has the shape of its thing. The gradient of a weight matrix is what came in, times
#   what comes back, summed over the batch: `d_y.T @ x`.
# - Each layer has two things to say in backward: what it hands down, `d_x`, and what it keeps for
#   the optimizer, `d_W` and `d_b`. ReLU keeps nothing and lets through what forward let through.
# - A network learns from a wrong gradient, too. So compare it; do not trust the loss.
# - Each line of such a program may be changed and handed back: `model.fit(..., loop=changed)`.

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it: `tl.check` tells at once what is right. If
# something is not, it says where it first goes wrong. Change your code and run both cells again, as
# often as you like.
#
# If you do not know how to begin: `tl.hint("linear_backward")` asks a question that helps, and gives a
# nudge when you run it again. `tl.progress()` shows what is solved.
#
# The exercises need none of the cells above. You can restart the kernel and begin here.

# %% tags=["exercises"]
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial import Batches

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# ### Exercise 1: the backward pass of a linear layer
#
# A linear layer computes `y = x @ W.T + b`. `x` is (n, inputs), `W` is (outputs, inputs). You get
# `d_y`, the gradient of its output, and what it has computed with. Return three gradients: `d_x`,
# `d_W`, `d_b`.
#
# Write down the shapes first. Do not call `backward`. The check compares your gradients with
# autograd's, and with those in the text of a real network.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "linear_backward_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def linear_backward(d_y, x, W):
    ### BEGIN SOLUTION
    d_x = d_y @ W
    d_W = d_y.T @ x
    d_b = d_y.sum(0)
    return d_x, d_W, d_b
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "linear_backward", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("linear_backward", linear_backward).require()
x, layer = torch.randn(3, 4, requires_grad=True), nn.Linear(4, 6)
layer(x).square().sum().backward()
found = linear_backward(2 * layer(x).detach(), x.detach(), layer.weight.detach())
for mine, its in zip(found, (x.grad, layer.weight.grad, layer.bias.grad), strict=True):
    assert torch.allclose(mine, its, atol=1e-5)
### END HIDDEN TESTS
tl.check("linear_backward", linear_backward)

# %% [markdown]
# ### Exercise 2: the backward pass of ReLU, and of its relative
#
# `ReLU` gives `x` where `x` is positive, and 0 elsewhere. `LeakyReLU` gives `x` where `x` is
# positive, and `slope * x` elsewhere. With `slope=0` it is ReLU.
#
# Write the backward pass of both in one function: it gets `d_y`, the input `x`, and the slope; it
# returns `d_x`. Do not change `d_y` itself. (At exactly 0 PyTorch takes the slope.)


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "relu_backward_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def relu_backward(d_y, x, slope=0.0):
    ### BEGIN SOLUTION
    return torch.where(x > 0, d_y, slope * d_y)
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "relu_backward", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("relu_backward", relu_backward).require()
x = torch.tensor([[-1.0, 0.0, 2.0]])
assert relu_backward(torch.ones(1, 3), x).tolist() == [[0.0, 0.0, 1.0]]
assert relu_backward(torch.full((1, 3), 2.0), x, 0.5).tolist() == [[1.0, 1.0, 2.0]]
### END HIDDEN TESTS
tl.check("relu_backward", relu_backward)

# %% [markdown]
# ### Exercise 3: another rule for the optimizer
#
# This is the loop of a model with plain `SGD`, at depth `"optimizer"`. Give it momentum, by hand:
# write a function that takes such a source and returns a changed one, which can be handed back as
# `fit(..., loop=...)`.
#
# Each weight has a velocity, which is 0 at first. In a step, the velocity is multiplied by 0.9, and
# the gradient is added. Then the weight moves by 0.1 times the velocity, downhill.
# `optimizer.state[weight]` is a dict of your own for each weight: there it can stay until the next
# step.

# %%
tl.seed(0)
data = TensorDataset(torch.randn(150, 6), torch.randint(3, (150,)))
model = tl.Model(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
program = model.unroll("fit", data, epochs=2, depth="optimizer")
program


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "momentum_loop_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def momentum_loop(source):
    ### BEGIN SOLUTION
    step = "weight.add_(gradient, alpha=-0.1)"
    memory = 'optimizer.state[weight].setdefault("velocity", torch.zeros_like(weight))'
    return source.replace(
        step,
        f"velocity = {memory}\n"
        "                    velocity.mul_(0.9).add_(gradient)\n"
        "                    weight.add_(velocity, alpha=-0.1)",
    )
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "momentum_loop", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("momentum_loop", momentum_loop).require()
from contextlib import redirect_stdout

losses = []
for momentum, rule in ((0.9, None), (0, momentum_loop)):
    tl.seed(2)
    other = tl.Model(nn.Linear(6, 3))
    sgd = torch.optim.SGD(other.parameters(), lr=0.1, momentum=momentum)
    other.prepare(sgd, nn.CrossEntropyLoss())
    source = rule and rule(other.unroll("fit", data, epochs=2, depth="optimizer").source)
    with redirect_stdout(None):
        losses.append(other.fit(data, epochs=2, loop=source, verbose=0).step_losses)
assert torch.allclose(torch.tensor(losses[0]), torch.tensor(losses[1]), atol=1e-5)
### END HIDDEN TESTS
tl.check("momentum_loop", momentum_loop)

# %% [markdown]
# ### Exercise 4: softmax and cross-entropy
#
# The last piece, with which backward begins: the gradient of the scores. `y_hat` is (n, classes),
# `y` has the labels, the loss is the mean of the cross-entropy. Return `d_y_hat`.
#
# Scores may be large. If you take `exp` of 1,000, you get infinity: let PyTorch's `softmax` do it,
# or subtract the largest score of each row first. That does not change the probabilities.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "cross_entropy_backward_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cross_entropy_backward(y_hat, y):
    ### BEGIN SOLUTION
    p = (y_hat - y_hat.max(dim=1, keepdim=True).values).exp()
    p = p / p.sum(dim=1, keepdim=True)
    return (p - F.one_hot(y, y_hat.shape[1])) / len(y)
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "cross_entropy_backward", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("cross_entropy_backward", cross_entropy_backward).require()
y_hat, y = torch.randn(5, 3, requires_grad=True), torch.tensor([0, 1, 2, 2, 0])
F.cross_entropy(y_hat, y).backward()
assert torch.allclose(cross_entropy_backward(y_hat.detach(), y), y_hat.grad, atol=1e-6)
### END HIDDEN TESTS
tl.check("cross_entropy_backward", cross_entropy_backward)

# %% [markdown]
# ### All of it
#
# You have written a backward pass, all of it: from the loss to the first weight. Put it together
# and train with it. This loop calls no `backward` and no optimizer, only your functions. `fit`
# takes it like any other loop.


# %%
def my_own(network, train_data):
    W_1, b_1, W_3, b_3 = (weight.detach() for weight in network.parameters())
    step_losses = []
    for _ in range(2):
        for x, y in Batches(train_data, batch_size=64, shuffle=True):
            x_1 = x @ W_1.T + b_1
            x_2 = x_1.clamp(min=0)
            y_hat = x_2 @ W_3.T + b_3
            step_losses.append(F.cross_entropy(y_hat, y).item())
            d_y_hat = cross_entropy_backward(y_hat, y)
            d_x_2, d_W_3, d_b_3 = linear_backward(d_y_hat, x_2, W_3)
            d_x_1 = relu_backward(d_x_2, x_1)
            _, d_W_1, d_b_1 = linear_backward(d_x_1, x, W_1)
            for weight, gradient in ((W_1, d_W_1), (b_1, d_b_1), (W_3, d_W_3), (b_3, d_b_3)):
                weight -= 0.1 * gradient
    return step_losses


histories = []
for loop in (None, my_own):
    tl.seed(1)
    model = tl.Model(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
    model.prepare(torch.optim.SGD(model.parameters(), lr=0.1), nn.CrossEntropyLoss())
    histories.append(model.fit(data, epochs=2, loop=loop, verbose=0))
theirs, mine = (torch.tensor(history.step_losses) for history in histories)
assert torch.allclose(theirs, mine, atol=1e-5)
print(len(mine), "losses, all of them as PyTorch's")
