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
# # 9 · Gradient accumulation, gradient clipping, mixed precision
#
# Large networks are trained with three tricks that small ones seem not to need. A batch is too
# large for the memory: *accumulate* several small ones. A bad batch throws the training off its
# way: *clip* the gradient. Numbers of 32 bits are too large and too slow: compute in 16 bits.
#
# In `fit` each of them is one argument. Behind it are a few lines in the loop. This lesson reads
# these lines, does them by hand, and looks at the mistakes that are easily made with them. All
# three change the gradient between `loss.backward()` and `optimizer.step()`. So this lesson is
# about gradients: how long they are, where they point, and what is lost on their way.
#
# **After this lesson you can**
#
# - make one update of several small batches, and prove that it equals that of a large one;
# - say where this fails, and by how much;
# - choose a limit for the norm of a gradient, and clip to it by hand;
# - say what 16 bits can hold, what `autocast` computes in them, and why the loss is scaled.
#
# It takes about 40 minutes. You should know lesson 4.

# %%
import copy
import difflib
from contextlib import redirect_stdout

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
# 1,000 images, a small network and `SGD`. With SGD an error in the gradient is an error in the
# step, so that nothing is hidden from us. (We will see that Adam hides something.)


# %%
mnist = tl.datasets.MNIST(mode="train", transform=Normalize(mean=[33.3], std=[78.6]))
train_data = TensorDataset(*mnist[:1000])
eval_data = TensorDataset(*mnist[50_000:51_000])
loss_fn = nn.CrossEntropyLoss()


def new_network(norm=None):
    tl.seed(0)
    layers = [nn.Flatten(), nn.Linear(784, 64), norm, nn.ReLU(), nn.Linear(64, 10)]
    return nn.Sequential(*[layer for layer in layers if layer is not None])


def new_model(optimizer=torch.optim.SGD, lr=0.1, precision="32", **options):
    model = tl.Model(new_network())
    optimizer = optimizer(model.parameters(), lr=lr, **options)
    model.prepare(optimizer, loss_fn, tl.metrics.Accuracy(), precision)
    return model


# %% [markdown]
# For each trick we want to see its lines, and no others. This function unrolls two loops and prints
# the lines in which they differ: `-` is in the first only, `+` in the second only.


# %%
def show_new_lines(model, before, **options):
    after = model.unroll("fit", train_data, epochs=3, **options).source
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    for line in lines:
        if not line.startswith(("---", "+++", "@@")):
            print(line)


plain = new_model().unroll("fit", train_data, epochs=3).source

# %% [markdown]
# ## Part 1: gradient accumulation
#
# ### Why
#
# A forward pass saves tensors for the backward pass, and they grow with the batch (lesson 5 counted
# them). With a large network, a batch of 200 images may not fit into the memory, while one of 64
# does. How much is saved here?


# %%
def kept_for_backward(network, x, y):
    """The bytes that a forward pass saves, the weights not counted."""
    weights = {weight.data_ptr() for weight in network.parameters()}
    kept = {}

    def keep(tensor):
        if tensor.data_ptr() not in weights:
            kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss_fn(network(x), y)
    return sum(kept.values())


x, y = train_data[:200]
for size in (200, 64):
    print(f"{size:3} images: {kept_for_backward(new_network(), x[:size], y[:size]) / 1024:.0f} KB")

# %% [markdown]
# What a small batch saved is freed when its backward pass is done. So four batches, one after the
# other, need no more memory than one. And `backward` *adds* to the gradients. That is all we need.
#
# ### What must be added
#
# We want the gradient of the mean loss of 200 images. We have four parts: 64, 64, 64 and 8. The
# loss of each part is a mean over this part. With which factor must it be multiplied before its
# `backward`? Try three answers.


# %%
def gradient_of(network, parts, factor):
    """All gradients in one row, after a backward pass for each part."""
    network.zero_grad()
    for x, y in parts:
        loss = loss_fn(network(x), y)
        (factor(len(x)) * loss).backward()
    return torch.cat([weight.grad.flatten() for weight in network.parameters()])


def off_by(gradient, right):
    """How far two gradients are apart, as a fraction of the right one's norm."""
    return ((gradient - right).norm() / right.norm()).item()


parts = list(zip(x.split(64), y.split(64), strict=True))
print("parts:", [len(x) for x, _ in parts])
factors = {
    "1, the sum of the means": lambda size: 1,
    "1/4, the mean of the means": lambda size: 1 / 4,
    "size/200, by samples": lambda size: size / 200,
}

# %% tags=["nbval-ignore-output"]
network = new_network()
large = gradient_of(network, [(x, y)], lambda size: 1)
results = {name: gradient_of(network, parts, factor) for name, factor in factors.items()}
print("factor                       length   off by")
print(f"(one batch of 200)         {large.norm():8.3f}")
for name, gradient in results.items():
    print(f"{name:26} {gradient.norm():8.3f} {off_by(gradient, large):8.1g}")
sums, means, by_samples = (off_by(gradient, large) for gradient in results.values())
assert sums > 2 and means > 0.2 and by_samples < 1e-5
assert results["1, the sum of the means"].norm() > 4 * large.norm()

# %% [markdown]
# **The sum of the means** is more than four times too long. So the optimizer makes a step that is
# too long.
#
# **The mean of the means** is right if all parts have one size. Here the last part has 8 images,
# and it counts as much as the 64 of another part. So each of the 8 counts as much as 8 of the
# others. The gradient points into another direction.
#
# **By samples** it is right: a mean times its number is a sum, sums can be added, and there is one
# division. You know this rule from the reported loss (lesson 3). It holds for gradients too,
# because the gradient of a sum is the sum of the gradients.
#
# Right, but not equal to the last bit. Why? A sum of 200 numbers was computed in another order, and
# each addition rounds. With twice as many digits the rest becomes smaller by the same measure:

# %% tags=["nbval-ignore-output"]
exact = copy.deepcopy(network).double()
wide_parts = [(x.double(), y) for x, y in parts]
right = gradient_of(exact, [(x.double(), y)], lambda size: 1)
rest = off_by(gradient_of(exact, wide_parts, lambda size: size / 200), right)
print(f"in 32 bits: off by {by_samples:.0e}, in 64 bits: off by {rest:.0e}")
assert rest < 1e-12

# %% [markdown]
# So it is rounding, not a mistake.
#
# ### The lines
#
# What does `fit` do? Here are the lines that `accumulate_grad_batches=3` adds.

# %%
show_new_lines(new_model(), plain, accumulate_grad_batches=3)

# %% [markdown]
# The loop does not know how many samples the group will have when the first part comes. So it adds
# up sums, `loss * len(x)`, counts the samples in `samples_in_group`, and divides at the end. The `if` says
# when the end is: after three batches, *or* after the last batch of the epoch. 1,000 images are 15
# batches of 64 and one of 40. So the last group is a single short batch. It becomes an update of
# its own, a mean over its 40 samples. Nothing is left over for the next epoch.
#
# ### The proof
#
# Three batches of 64 should be one of 192. Train both ways, and count the updates.

# %%
few = new_model()
few.fit(train_data, epochs=3, batch_size=192, verbose=0)

many = new_model()
updates = []
many.optimizer.register_step_post_hook(lambda *_: updates.append(1))
history = many.fit(train_data, epochs=3, accumulate_grad_batches=3, verbose=0)

for one, other in zip(few.parameters(), many.parameters(), strict=True):
    assert torch.allclose(one, other, atol=1e-5)
print(len(history.step_losses), "batches,", len(updates), "updates: the same weights, but rounding")

# %% [markdown]
# Now by hand: the five lines, a group, and an `if`. `fit` runs a loop of yours if you hand it one.
# It does the same operations in the same order as the option, so here we may ask for equality to
# the last bit.


# %%
def my_loop(network, loss_fn, optimizer, train_data):
    train_loader = DataLoader(train_data, batch_size=64, shuffle=True)
    for _ in range(3):
        samples_in_group = 0
        for step, (x, y) in enumerate(train_loader):
            loss = loss_fn(network(x), y)
            (loss * len(x)).backward()
            samples_in_group += len(x)
            if (step + 1) % 3 == 0 or step + 1 == len(train_loader):
                for weight in network.parameters():
                    weight.grad /= samples_in_group
                optimizer.step()
                optimizer.zero_grad()
                samples_in_group = 0


by_hand = new_model()
by_hand.fit(train_data, loop=my_loop)
for one, other in zip(by_hand.parameters(), many.parameters(), strict=True):
    assert torch.equal(one, other)
print("by hand and by the option: equal, bit for bit")

# %% [markdown]
# ### What goes wrong when you add up without dividing
#
# The most frequent mistake: `loss.backward()` in each batch, a step after every three, and no
# division. Then the gradient of a full group is three times too long. For SGD that is the same as a
# learning rate three times as large. To see only this, take 960 images, which are five full groups.
#
# We break the source of the loop on purpose, as in lesson 4.


# %%
def summing(source):
    """The loop of accumulate_grad_batches, but the gradients of the batches are only added up."""
    for right, wrong in (
        ("(loss * len(x)).backward()", "loss.backward()"),
        ("parameter.grad /= samples_in_group", "pass"),
    ):
        assert source.count(right) == 1
        source = source.replace(right, wrong)
    return source


def train_by(source, model, data=train_data):
    """Train by this loop; the lines that it prints are not shown."""
    with redirect_stdout(None):
        return model.fit(data, loop=source)


full_groups = TensorDataset(*train_data[:960])
averaging = new_model().unroll("fit", full_groups, epochs=3, accumulate_grad_batches=3).source
summed = new_model(lr=0.1)
train_by(summing(averaging), summed, full_groups)
faster = new_model(lr=0.3)
train_by(averaging, faster, full_groups)
for one, other in zip(summed.parameters(), faster.parameters(), strict=True):
    assert torch.allclose(one, other, atol=1e-4)
print("summed, with lr 0.1 = averaged, with lr 0.3")

# %% [markdown]
# With groups of three this may still work. With eight it is too much.

# %%
averaging = new_model().unroll("fit", train_data, epochs=4, accumulate_grad_batches=8).source
runs = {
    "averaged": train_by(averaging, new_model()),
    "summed": train_by(summing(averaging), new_model()),
}
tl.plot(runs)

# %% tags=["nbval-ignore-output"]
for name, history in runs.items():
    print(f"{name:9} loss of epoch 4: {history.rows[-1]['loss']:.3f}")
assert runs["averaged"].rows[-1]["loss"] < runs["summed"].rows[-1]["loss"]

# %% [markdown]
# Adam hides the mistake. It divides the gradient by its usual size, so a gradient that is always
# eight times as long makes nearly the same step.

# %% tags=["nbval-ignore-output"]
adam = {
    "averaged": train_by(averaging, new_model(torch.optim.Adam, lr=0.003)),
    "summed": train_by(summing(averaging), new_model(torch.optim.Adam, lr=0.003)),
}
for name, history in adam.items():
    print(f"Adam, {name:9} loss of epoch 4: {history.rows[-1]['loss']:.3f}")
difference = adam["averaged"].rows[-1]["loss"] - adam["summed"].rows[-1]["loss"]
assert abs(difference) < 0.05

# %% [markdown]
# So a loop with this mistake can live for years, until somebody changes the optimizer, or clips the
# gradient (Part 2), where the length counts again.
#
# ### The exception: batch norm
#
# "k small batches equal one large one" needs one thing: that the network treats each sample for
# itself. Batch norm does not. In training it subtracts the mean of *the batch*, and a batch of 8
# has another mean than one of 200. Layer norm looks at one sample at a time.

# %% tags=["nbval-ignore-output"]
for name, norm in (
    ("no norm", None),
    ("layer norm", nn.LayerNorm(64)),
    ("batch norm", nn.BatchNorm1d(64)),
):
    network = new_network(norm)
    right = gradient_of(network, [(x, y)], lambda size: 1)
    error = off_by(gradient_of(network, parts, lambda size: size / 200), right)
    print(f"{name:10} off by {error:.1g}")
    assert (error > 0.1) == (name == "batch norm")

# %% [markdown]
# With batch norm the gradient is another one, by more than a tenth; no factor can repair this.
# Training mostly works all the same. But it is the training with the *small* batch in batch norm.
# If its batches become tiny, take layer norm or group norm.
#
# (Dropout is a weaker exception. New masks are drawn for each batch, so the numbers differ, as they
# do from one seed to another.)

# %% [markdown]
# ## Part 2: gradient clipping
#
# ### The global norm
#
# Put the gradients of all weights in one row. The length of this row is the root of the sum of its
# squares: the *global norm*. If it is longer than a limit, the whole row is multiplied by
# limit / length. Then it is as long as the limit and points into the same direction.
#
# By hand first, then with PyTorch.

# %% tags=["nbval-ignore-output"]
network = new_network()
before = gradient_of(network, [(x, y)], lambda size: 1)
length = before.square().sum().sqrt()
by_hand = before * min(1, 1.0 / length)

reported = nn.utils.clip_grad_norm_(network.parameters(), 1.0)
after = torch.cat([weight.grad.flatten() for weight in network.parameters()])
print(f"length: by hand {length:.4f}, by PyTorch {reported:.4f}; clipped to {after.norm():.4f}")
assert torch.allclose(length, reported) and torch.allclose(by_hand, after, atol=1e-6)

# %% [markdown]
# Notice that `clip_grad_norm_` returns the length from *before*. This is a number worth writing
# down in each step.
#
# There is a second function, `clip_grad_value_`. It cuts each single number to a limit. Then the
# large ones become smaller, the small ones stay, and the direction changes. The cosine of the angle
# between two directions is 1 if they are the same.

# %% tags=["nbval-ignore-output"]
cosine = nn.functional.cosine_similarity
by_value = before.clamp(-0.01, 0.01)
print(f"clipped by norm:  cosine {cosine(before, after, dim=0):.4f}")
print(f"clipped by value: cosine {cosine(before, by_value, dim=0):.4f}")
assert cosine(before, after, dim=0) > 0.9999 and cosine(before, by_value, dim=0) < 0.99

# %% [markdown]
# ### Exploding gradients: a bad batch
#
# Real data has broken parts. Say a scanner was set wrong for 64 images: they are 50 times too
# bright. Nobody noticed. They are batch 6 of each epoch.

# %%
images, labels = (tensor.clone() for tensor in train_data.tensors)
images[320:384] *= 50
broken_data = TensorDataset(images, labels)


def train_and_measure(data, clip):
    """Train with momentum; return the History and the gradient's length before each step."""
    model = new_model(momentum=0.9)
    lengths = []

    def note_length(optimizer, *_):
        gradients = [weight.grad.flatten() for weight in model.parameters()]
        lengths.append(torch.cat(gradients).norm().item())

    model.optimizer.register_step_pre_hook(note_length)
    history = model.fit(data, eval_data, epochs=2, shuffle=False, clip_grad_norm=clip, verbose=0)
    return history, lengths


clean, clean_lengths = train_and_measure(train_data, None)
spike, spike_lengths = train_and_measure(broken_data, None)

# %% tags=["nbval-ignore-output"]
usual = sorted(clean_lengths)[len(clean_lengths) // 2]
print(f"a usual length {usual:.1f}, the longest on clean data {max(clean_lengths):.1f}")
print(f"batch 6 when it is too bright: {spike_lengths[5]:.0f}")
assert spike_lengths[5] > 5 * max(clean_lengths)

# %% [markdown]
# One gradient is many times as long as all the others. One step along it, and the weights are far
# from where they were. With momentum the next steps go on in this direction.
#
# A limit should leave the usual steps alone and catch the spikes. Look at the lengths of a healthy
# run, and take a number above most of them. Here we take 5.

# %%
clipped, clipped_lengths = train_and_measure(broken_data, 5.0)

figure, axes = plt.subplots(1, 2, figsize=(9, 3.3), layout="constrained")
steps = range(1, len(clean.step_losses) + 1)
for name, history, lengths in (
    ("clean data", clean, clean_lengths),
    ("a bad batch", spike, spike_lengths),
    ("a bad batch, clipped", clipped, clipped_lengths),
):
    axes[0].plot(steps, history.step_losses, label=name)
    axes[1].plot(steps, lengths, label=name)
axes[0].set(title="loss", xlabel="step", yscale="log")
axes[1].set(title="length of the gradient, as the step uses it", xlabel="step", yscale="log")
axes[1].axhline(5.0, color="gray", linestyle="--", linewidth=1)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()

# %% tags=["nbval-ignore-output"]
for name, history in (("clean", clean), ("bad batch", spike), ("clipped", clipped)):
    print(f"{name:10} acc after 2 epochs: {history.rows[-1]['eval_acc']:.3f}")
assert spike.rows[-1]["eval_acc"] < 0.5 < 0.65 < clipped.rows[-1]["eval_acc"]

# %% [markdown]
# Without a limit one bad batch in 16 destroys the training. With the limit its loss is still large,
# as it must be, but the step after it is an ordinary one.
#
# ### The lines

# %%
show_new_lines(new_model(), plain, clip_grad_norm=5.0)

# %% [markdown]
# One line, at the only place where it can stand: after `backward`, before `step`. With accumulation
# it must come after the division, because a limit is meant for the mean. Put it into the plain loop
# by hand, and compare.

# %%
step = "        optimizer.step()"
line = "        nn.utils.clip_grad_norm_(network.parameters(), 5.0)\n"
assert plain.count(step) == 1
by_hand = new_model(momentum=0.9)
train_by(plain.replace(step, line + step), by_hand, broken_data)

by_option = new_model(momentum=0.9)
by_option.fit(broken_data, epochs=3, clip_grad_norm=5.0, verbose=0)
for one, other in zip(by_hand.parameters(), by_option.parameters(), strict=True):
    assert torch.equal(one, other)
print("by hand and by the option: equal, bit for bit")

# %% [markdown]
# Clipping does not help against `nan`. The length of a gradient that holds one `nan` is `nan`, and
# then every number is multiplied by `nan`.

# %%
weight = nn.Parameter(torch.ones(3))
weight.grad = torch.tensor([1.0, torch.nan, 2.0])
nn.utils.clip_grad_norm_([weight], 1.0)
print(weight.grad)

# %% [markdown]
# Against this there is the callback `TerminateOnNaN`: it ends the training at the first loss that
# is not finite. And for a loop of your own, `clip_grad_norm_(..., error_if_nonfinite=True)`.

# %% [markdown]
# ## Part 3: mixed precision
#
# ### float16 and bfloat16: what 16 bits can hold
#
# PyTorch computes in `float32` (*single precision*): each number has 32 bits. There are two types
# with 16 (*half precision*). Both need half the memory. They divide their bits differently:
# `float16` spends more on digits, `bfloat16` more on range.

# %%
kinds = (torch.float32, torch.float16, torch.bfloat16)
print("                next after 1   largest   smallest at full digits")
for kind in kinds:
    info = torch.finfo(kind)
    print(f"{kind!s:14}  1 + {info.eps:<8.2g}   {info.max:<8.2g}  {info.tiny:.2g}")

# %% [markdown]
# `bfloat16` reaches as far as `float32`, but has only two to three decimal digits. `float16` has
# three to four, but ends at 65,504, and below 0.00006 its digits fade.
#
# The picture shows what happens to a number when it is stored in 16 bits: how large the relative
# error is.

# %%
numbers = torch.logspace(-12, 7, 2000, dtype=torch.float64)
_, ax = plt.subplots(figsize=(7, 3), layout="constrained")
for kind in (torch.float16, torch.bfloat16):
    error = (numbers.to(kind).double() - numbers).abs() / numbers
    groups = error.clamp(max=1).view(100, 20).amax(dim=1)  # the largest of 20 neighbours
    ax.plot(numbers.view(100, 20)[:, 0], groups, label=str(kind).removeprefix("torch."))
ax.set(xscale="log", yscale="log", xlabel="number", ylabel="largest relative error")
ax.legend()
plt.show()

# %% [markdown]
# The line of `bfloat16` is flat: about 0.4 % everywhere. That of `float16` is lower where it is
# flat, but it has two ends. On the left, small numbers *underflow*: they lose their digits until
# they become 0, an error of 1. On the right they *overflow* and become infinite. Four numbers as
# examples:

# %%
for number in (1.001, 3e-6, 1e-8, 70_000.0):
    short = {str(kind)[6:]: torch.tensor(number).to(kind).item() for kind in kinds[1:]}
    print(f"{number:<8g} " + "  ".join(f"{name} {value:<10.4g}" for name, value in short.items()))
assert torch.tensor(2.9e-8).half() == 0 < torch.tensor(3.1e-8).half()

# %% [markdown]
# A coarse spacing has a consequence for sums. Count in `bfloat16`, always adding 1:

# %%
count = torch.tensor(0.0, dtype=torch.bfloat16)
for _ in range(1000):
    count += 1
print("after adding 1 a thousand times:", count.item())
print("254 to 262:", torch.arange(254, 263).bfloat16().int().tolist())

# %% [markdown]
# It stops at 256. The next number after 256 is 258, and 257 is rounded back to 256. (A number just
# between two goes to the one with an even last digit; so 259 becomes 260.) A weight has the same
# problem: a step is often a thousandth of the weight, and then `weight + step` is `weight`.

# %%
weight = torch.tensor(1.0)
for kind in kinds:
    moved = weight.to(kind) + torch.tensor(0.001).to(kind)
    print(f"{kind!s:14}  1 + 0.001 = {moved.item():.4f}")

# %% [markdown]
# So training cannot simply be done in 16 bits. Hence *mixed precision*: the large products in 16
# bits, the weights and the reductions (sums, means) in 32.
#
# ### What autocast casts
#
# `torch.autocast` decides for each operation. A hook on every layer shows what comes out of it.


# %%
def kinds_of(network, x, y, kind):
    """The dtype after each layer, and of the loss, the weights and the gradients."""
    seen, hooks = {}, []
    for layer in network:
        name = type(layer).__name__

        def note(layer, inputs, output, name=name):
            seen[name] = output.dtype

        hooks.append(layer.register_forward_hook(note))
    with torch.autocast("cpu", kind):
        loss = loss_fn(network(x), y)
    loss.backward()
    for hook in hooks:
        hook.remove()
    seen |= {"the loss": loss.dtype, "a weight": network[1].weight.dtype}
    return seen | {"its gradient": network[1].weight.grad.dtype}


for name, kind in kinds_of(new_network(), x, y, torch.bfloat16).items():
    print(f"{name:13} {kind}")

# %% [markdown]
# The matrix products of the linear layers are computed in `bfloat16`; they are most of the work.
# `ReLU` takes what comes. Cross-entropy, with its logarithm and its sum, is computed in `float32`.
# The weights stay in `float32`; a copy of them in 16 bits is made for the product. The gradient of
# a weight arrives in `float32`, and the optimizer sees no 16-bit number at all.
#
# Some other operations, inside the same block: a product of matrices is cast, an element by element
# product is not, and a mixture of both types becomes `float32`.

# %%
a = torch.ones(2, 2)
with torch.autocast("cpu", torch.bfloat16):
    print("a @ a      ", (a @ a).dtype)
    print("a * a      ", (a * a).dtype)
    print("a @ a + a  ", (a @ a + a).dtype)
print("after it   ", (a @ a).dtype)

# %% [markdown]
# ### The lines
#
# `prepare(..., precision="bf16-mixed")` says it: "bf16" is for `bfloat16`, "mixed" means that not all
# is computed in it. `precision="32"` is the default.

# %%
show_new_lines(new_model(precision="bf16-mixed"), plain)

# %% [markdown]
# One `with`, around the forward pass and the loss. `backward` stays outside: each operation goes
# back in the type in which it went forward.
#
# By hand, and compared with `fit` bit for bit:

# %%
data = TensorDataset(*train_data[:256])
by_option = new_model(precision="bf16-mixed")
by_option.fit(data, shuffle=False, verbose=0)

by_hand = new_model()
network, optimizer = by_hand.network, by_hand.optimizer
for x, y in DataLoader(data, batch_size=64):
    with torch.autocast("cpu", torch.bfloat16):
        loss = loss_fn(network(x), y)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
for one, other in zip(by_hand.parameters(), by_option.parameters(), strict=True):
    assert torch.equal(one, other)
print("by hand and by the option: equal, bit for bit")

# %% [markdown]
# What does the lower precision cost? Here, nothing that one could see.

# %% tags=["nbval-ignore-output"]
accuracies = []
for precision in ("32", "bf16-mixed", "16-mixed"):
    model = new_model(precision=precision)
    row = model.fit(train_data, eval_data, epochs=3, verbose=0).rows[-1]
    accuracies.append(row["eval_acc"])
    print(f"{precision:10} loss {row['loss']:.3f}, acc on new data {row['eval_acc']:.3f}")
assert max(accuracies) - min(accuracies) < 0.03

# %% [markdown]
# What does it gain? Time, on a processor that has units for 16-bit numbers: GPUs do, and some CPUs.
# Whether yours has them, measure it, as lesson 10 does. And memory, because the tensors that the
# forward pass saves are smaller:

# %%
x, y = train_data[:200]
network = new_network()
print(f"float32:  {kept_for_backward(network, x, y) / 1024:.0f} KB")
with torch.autocast("cpu", torch.bfloat16):
    print(f"bfloat16: {kept_for_backward(network, x, y) / 1024:.0f} KB")

# %% [markdown]
# ### Loss scaling for float16: GradScaler
#
# With `float16`, `precision="16-mixed"`, the loop has more lines.

# %%
show_new_lines(new_model(precision="16-mixed"), plain)

# %% [markdown]
# There is a scaler. What for? Look at the left end of the picture again: what is smaller than about
# 0.00000003 underflows to 0. Are gradients that small? Take a network that has learned its data
# well, and look at the gradients on their way back, in the layer after `ReLU`. How many of them are
# exactly 0?

# %%
sure = new_model(momentum=0.9)
history = sure.fit(train_data, epochs=8, verbose=0)
assert history.rows[-1]["loss"] < 0.1


def share_lost(network, x, y, kind, scale=1.0):
    """The fraction of the gradients behind ReLU that are exactly 0."""
    seen = []
    network.zero_grad()
    with torch.autocast("cpu", kind, enabled=kind != torch.float32):
        features = network[:-1](x)
        features.register_hook(seen.append)
        loss = loss_fn(network[-1](features), y)
    (loss * scale).backward()
    return (seen[0] == 0).float().mean().item()


x, y = train_data[:256]

# %% tags=["nbval-ignore-output"]
lost = {
    (kind, scale): share_lost(sure.network, x, y, kind, scale)
    for kind, scale in (
        (torch.float32, 1),
        (torch.bfloat16, 1),
        (torch.float16, 1),
        (torch.float16, 1024),
        (torch.float16, 65_536),
    )
}
for (kind, scale), share in lost.items():
    print(f"{kind!s:14}  loss times {scale:5}:  {100 * share:4.1f} % are 0")
assert lost[torch.float32, 1] < 0.05 and lost[torch.bfloat16, 1] < 0.05
assert lost[torch.float16, 1] > 0.5
assert lost[torch.float16, 1] > 2 * lost[torch.float16, 1024] > 2 * lost[torch.float16, 65_536]

# %% [markdown]
# In `float16` more than half of them are lost. `bfloat16` loses none, because it reaches as far
# down as `float32`.
#
# The cure is cheap. Multiply the loss by a large number: by the chain rule, every gradient is
# multiplied by it and so moves to the right in the picture. When the gradients have arrived at the
# weights, in `float32`, divide them by the same number. This is *loss scaling*. A power of two
# costs no digit.
#
# (In our small network the lost ones are the smallest of a sum, so it would learn without them. In
# a deep network, a whole layer may get only such gradients, and then it does not learn at all.)
#
# ### How large?
#
# As large as possible: but at the right end of the picture, gradients become infinite. So the
# scaler tries. It begins with 65,536. If a gradient has overflowed, it leaves the step out and
# halves the scale. If all went well 2,000 times, it doubles it. Begin much too high, and watch.

# %% tags=["nbval-ignore-output"]
usual = torch.amp.GradScaler("cpu")
assert usual.get_scale() == 65_536 and usual.get_growth_interval() == 2000

model = new_model()
network, optimizer = model.network, model.optimizer
scaler = torch.amp.GradScaler("cpu", init_scale=2.0**22)
for step in range(1, 9):
    before = network[1].weight.clone()
    with torch.autocast("cpu", torch.float16):
        loss = loss_fn(network(x), y)
    scale = int(scaler.get_scale())
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()
    moved = not torch.equal(network[1].weight, before)
    print(f"step {step}: scale {scale:>9,}  {'a step' if moved else 'overflow, no step'}")
assert moved

# %% [markdown]
# The first steps of such a training may be lost. Nothing is broken then: the scaler is looking for
# its place.
#
# ## Part 4: all three together
#
# In what order? Read the loop from the `with` on, and say for each line whether the gradient is a
# sum or a mean, and scaled or not.

# %%
model = new_model(precision="16-mixed")
program = model.unroll("fit", train_data, epochs=3, accumulate_grad_batches=3, clip_grad_norm=5.0)
program

# %% [markdown]
# | after this line | the gradient is |
# |---|---|
# | `scaler.scale(loss * len(x)).backward()` | a sum over samples, scaled |
# | `weight.grad /= samples_in_group` | a mean, scaled |
# | `scaler.unscale_(optimizer)` | a mean |
# | `clip_grad_norm_` | a mean, not longer than 5 |
# | `scaler.step(optimizer)` | used, unless something in it is infinite |
#
# Clipping a scaled gradient would be a mistake: the length would be thousands of times too large,
# and every step would be cut to almost nothing. So `unscale_` must come first.
#
# Last, the library proves that this is the loop that `fit` runs, in a new process without it.

# %%
with redirect_stdout(None):
    proof = program.verify()
assert proof
proof

# %% [markdown]
# ## Summary
#
# - Small batches add up to a large one if each loss counts by its samples and the sum is divided
#   once. The sum of means is too long; the mean of means is wrong when the last batch is short.
# - SGD turns a sum into a larger learning rate. Adam hides it. Batch norm is an exception in
#   principle: it looks at the batch.
# - Clipping by the global norm shortens a gradient and keeps its direction. Choose the limit from
#   the norms of a healthy run. It saves a training from a bad batch, not from `nan`.
# - `bfloat16`: the range of `float32`, few digits. `float16`: more digits, a smaller range.
# - `autocast` computes matrix products and convolutions in 16 bits. Weights, loss and gradients of
#   weights stay in `float32`.
# - `float16` needs a scaled loss. The order is: scale, backward, divide, unscale, clip, step.

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it: `tl.check` tells at once what is right. If
# something is not, it says where it first goes wrong. Change your code and run both cells again, as
# often as you like.
#
# If you do not know how to begin: `tl.hint("train_in_groups")` asks a question that helps, and gives a
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
# ### Exercise 1: an epoch in groups
#
# Train for one epoch. After every `k` batches, make one update: the step that one large batch of
# these samples would make. At the end of the epoch fewer than `k` batches may be left, and the last
# batch may be short. They make an update too. Leave no gradient behind.
#
# The loader knows its length, `len(train_loader)`.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "train_in_groups_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def train_in_groups(network, loss_fn, optimizer, train_loader, k):
    ### BEGIN SOLUTION
    network.train()
    samples_in_group = 0
    for step, (x, y) in enumerate(train_loader):
        loss = loss_fn(network(x), y)
        (loss * len(x)).backward()
        samples_in_group += len(x)
        if (step + 1) % k == 0 or step + 1 == len(train_loader):
            for weight in network.parameters():
                weight.grad /= samples_in_group
            optimizer.step()
            optimizer.zero_grad()
            samples_in_group = 0
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "train_in_groups", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("train_in_groups", train_in_groups).require()
data = TensorDataset(torch.randn(50, 4), torch.randint(3, (50,)))
weights = []
for size, k in ((24, 1), (8, 3)):
    tl.seed(0)
    network = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    train_in_groups(network, nn.CrossEntropyLoss(), optimizer, DataLoader(data, batch_size=size), k)
    weights.append(network.weight.detach())
assert torch.allclose(weights[0], weights[1], atol=1e-6)
### END HIDDEN TESTS
tl.check("train_in_groups", train_in_groups)

# %% [markdown]
# ### Exercise 2: clip by hand
#
# If the gradient of all `weights` together is longer than `limit`, shorten it to this length, and
# keep its direction. Change `weight.grad` in place. A weight may have no gradient: `weight.grad` is
# `None` then. Return the length from before, as a plain number.
#
# Do not use the functions of `nn.utils`.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "clip_by_hand_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def clip_by_hand(weights, limit):
    ### BEGIN SOLUTION
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    length = sum(gradient.square().sum().item() for gradient in gradients) ** 0.5
    if length > limit:
        for gradient in gradients:
            gradient *= limit / length
    return length
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "clip_by_hand", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("clip_by_hand", clip_by_hand).require()
a, b = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
a.grad, b.grad = torch.tensor([2.0, 3.0]), torch.tensor([6.0])
assert abs(clip_by_hand([a, b], 3.5) - 7) < 1e-6
assert torch.allclose(a.grad, torch.tensor([1.0, 1.5])) and torch.allclose(
    b.grad, torch.tensor(3.0)
)
### END HIDDEN TESTS
tl.check("clip_by_hand", clip_by_hand)

# %% [markdown]
# ### Exercise 3: where counting ends
#
# In `bfloat16`, adding 1 stops at 256. Write a function that gets a dtype and finds where counting
# stops: the first integer `n`, from 0 on, for which `n + 1`, computed in this dtype, is not larger
# than `n`. Return a plain number.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "counts_to_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def counts_to(dtype):
    ### BEGIN SOLUTION
    n = torch.tensor(0, dtype=dtype)
    while n + 1 > n:
        n = n + 1
    return n.item()
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "counts_to", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("counts_to", counts_to).require()
assert counts_to(torch.float16) == 2 / torch.finfo(torch.float16).eps
### END HIDDEN TESTS
tl.check("counts_to", counts_to)

# %% [markdown]
# ### Exercise 4: a scaled step
#
# Write a step with loss scaling, without `GradScaler`. Multiply the loss by `scale` before the
# backward pass, and bring the gradients back to their true size before the step. If a gradient is
# not finite, make no step, and return half the scale. Otherwise make the step, and return the scale
# as it was. Leave no gradient behind, in both cases.
#
# `torch.isfinite(tensor).all()` says whether all numbers of a tensor are finite.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "scaled_step_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def scaled_step(network, loss_fn, optimizer, x, y, scale):
    ### BEGIN SOLUTION
    loss = loss_fn(network(x), y)
    (loss * scale).backward()
    finite = True
    for weight in network.parameters():
        weight.grad /= scale
        finite = finite and bool(torch.isfinite(weight.grad).all())
    if finite:
        optimizer.step()
    optimizer.zero_grad()
    return scale if finite else scale / 2
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "scaled_step", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("scaled_step", scaled_step).require()
x, y = torch.randn(6, 4), torch.randint(3, (6,))
network = nn.Linear(4, 3)
optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
before = network.weight.detach().clone()
assert scaled_step(network, nn.CrossEntropyLoss(), optimizer, x, y, float("inf")) == float("inf")
assert torch.equal(network.weight, before)
### END HIDDEN TESTS
tl.check("scaled_step", scaled_step)
