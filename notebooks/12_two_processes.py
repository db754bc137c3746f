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
# # 12 · Data parallel training in two processes
#
# A large training does not fit on one machine, or it takes too long there. Then several processes
# train together: on the GPUs of one machine, or on many machines. The most common way is *data
# parallel* training. Each process has the whole network and works on a part of every batch. Then
# they take the mean of their gradients, and all make the same step.
#
# That is all. In this lesson you do it with real processes on this computer, line by line, and check
# that two processes compute what one computes alone.
#
# **After this lesson you can**
#
# - say why the mean of the parts' gradients is the gradient of the whole batch, and when it is not;
# - start processes from a notebook, and let them add up their numbers;
# - train in two processes, by hand and with `fit`, and prove that the result is the same;
# - read the lines that several processes add to the loop;
# - say what data parallel training costs, and when it pays.
#
# It takes about 35 minutes. You should know lessons 4 and 5.

# %%
import difflib

import torch
from torch import distributed as dist
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl

torch.set_num_threads(1)
tl.set_device("cpu")

# %% [markdown]
# We take 1,000 pictures, and numbers with 64 bits (*double precision*). So rounding is small enough
# to see that two results are equal.

# %%
full = tl.datasets.MNIST("train")
images, labels = full.data[:1000, None].double() / 255, full.targets[:1000]
train_data = TensorDataset(images, labels)


def new_network():
    tl.seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10)).double()


# %% [markdown]
# ## One batch, two halves
#
# The loss of a batch is a mean over its samples, and so is its gradient. Cut a batch of 64 into two
# halves. The mean of the halves' gradients should then be the gradient of the batch.

# %%
loss_fn = nn.CrossEntropyLoss()


def gradient(network, x, y):
    """The gradient of the first layer's weights, for one batch."""
    network.zero_grad()
    loss_fn(network(x), y).backward()
    return network[1].weight.grad.clone()


network = new_network()
x, y = images[:64], labels[:64]
whole = gradient(network, x, y)
halves = [gradient(network, x[rank::2], y[rank::2]) for rank in range(2)]
mean = (halves[0] + halves[1]) / 2
print("equal but for rounding:", torch.allclose(mean, whole, rtol=0, atol=1e-12))

# %% [markdown]
# `x[rank::2]` takes every second sample: process 0 has the samples 0, 2, 4, ..., process 1 has 1,
# 3, 5, ... The number of a process is called its **rank**; how many there are, the **world size**.
#
# The last batch of an epoch is often short. Let it have 5 samples: one process gets 3, the other 2.

# %%
x, y = images[:5], labels[:5]
whole = gradient(network, x, y)
parts = [gradient(network, x[rank::2], y[rank::2]) for rank in range(2)]
plain = (parts[0] + parts[1]) / 2
weighted = (3 * parts[0] + 2 * parts[1]) / 5
print("plain mean:   ", torch.allclose(plain, whole, rtol=0, atol=1e-12))
print("weighted mean:", torch.allclose(weighted, whole, rtol=0, atol=1e-12))

# %% [markdown]
# With parts of different sizes, each must count by its number of samples. It is the same trap as
# with the mean loss in lesson 5. Keep it in mind; you will see the line that takes care of it.

# %% [markdown]
# ## Real processes
#
# `tl.launch(function)` calls a function in two processes at once. They are copies of this one, so
# they know all that is defined here. What they change is theirs alone. `launch` gives back what the
# function has returned in each of them.
#
# In a process, `torch.distributed` knows the others. Its most important call is `all_reduce`, a
# *collective*: each process brings a tensor, and afterwards all have the sum.


# %%
def add_up():
    dist.init_process_group("gloo")  # join the others; "gloo" is the way to talk on CPUs
    rank = dist.get_rank()
    mine = torch.tensor([10.0 * rank, 1.0])
    brought = mine.tolist()
    dist.all_reduce(mine)
    return rank, brought, mine.tolist()


for rank, brought, summed in tl.launch(add_up, processes=3):
    print(f"process {rank} brought {brought} and has {summed}")

# %% [markdown]
# Nobody is the boss: each process runs the same function and gets the same sum. If one of them did
# not call `all_reduce`, the others would wait for it (a *deadlock*). This is the usual mistake with
# several processes: they do not all do the same.

# %% [markdown]
# ## By hand
#
# Now the loop. Each process has the same network, takes its part of each batch, and makes its own
# backward pass. Then they take the mean of the gradients. All else is as always.


# %%
def train_by_hand():
    dist.init_process_group("gloo")
    rank, world_size = dist.get_rank(), dist.get_world_size()
    network = new_network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    for batch in torch.arange(960).split(64):
        mine = batch[rank::world_size]  # this process's part
        loss = loss_fn(network(images[mine]), labels[mine])
        loss.backward()
        for weight in network.parameters():
            dist.all_reduce(weight.grad)
            weight.grad /= world_size  # the mean over all processes
        optimizer.step()
        optimizer.zero_grad()
    return [weight.detach() for weight in network.parameters()]


first, second = tl.launch(train_by_hand)
print("both have the same weights:", all(map(torch.equal, first, second)))

# %% [markdown]
# They never sent each other a weight. They began with the same weights and made the same steps, so
# their weights are equal in every bit. And one process alone, with the whole batches?

# %%
network = new_network()
optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
for batch in torch.arange(960).split(64):
    loss_fn(network(images[batch]), labels[batch]).backward()
    optimizer.step()
    optimizer.zero_grad()

farthest = max((a - b).abs().max().item() for a, b in zip(network.parameters(), first, strict=True))
print("the farthest weight is nearer than 0.000000000001:", farthest < 1e-12)

# %% [markdown]
# Two processes with batches of 32 do what one does with batches of 64. The little that is left is
# rounding: sums in another order.

# %% [markdown]
# ## With fit
#
# `fit` does this by itself where several processes run. There `batch_size` is for each process: 32
# and 32 make 64. Each batch is split across the ranks, so that each process loads only its part.


# %%
def train(batch_size):
    model = tl.Model(new_network())
    model.prepare(torch.optim.Adam(model.parameters()), loss_fn, tl.metrics.Accuracy())
    return model.fit(train_data, batch_size=batch_size, epochs=2, verbose=0)


alone = train(64)
first, second = tl.launch(train, 32)
print("steps:", len(alone.step_losses), "and", len(first.step_losses))
print("the same history in both processes:", first.step_losses == second.step_losses)
farthest = max(abs(a - b) for a, b in zip(alone.step_losses, first.step_losses, strict=True))
print("the losses are those of one process:", farthest < 1e-10)

# %% tags=["nbval-ignore-output"]
for row in (alone.rows[-1], first.rows[-1]):
    print({name: round(number, 4) for name, number in row.items()})
assert abs(alone.rows[-1]["acc"] - first.rows[-1]["acc"]) < 1e-9

# %% [markdown]
# 1,000 samples are 15 batches of 64 and a short one of 40. The losses agree there, too. Shuffling
# is also the same: before each epoch rank 0 sends its random state to the others, so that all draw
# the same order.

# %% [markdown]
# ## The lines of several processes
#
# As always you can read the loop that runs. Here are the lines that it has in two processes (`+`) and
# not in one (`-`).


# %%
def unrolled():
    model = tl.Model(new_network())
    model.prepare(torch.optim.Adam(model.parameters()), loss_fn)
    source = model.unroll("fit", train_data, batch_size=32).source
    lines = [line.partition("#")[0].rstrip() for line in source.splitlines()]  # no comments
    return [line for line in lines if line]


in_one, in_two = unrolled(), tl.launch(unrolled)[0]
for line in difflib.ndiff(in_one, in_two):
    if line.startswith(("+", "-")):
        print(line)

# %% [markdown]
# From top to bottom:
#
# - `Batches` is told which process this is. All processes draw the same order and cut it into batches
#   of 64; of each, this process fetches its part: `batch[rank::world_size]`, as in our loop by hand.
# - `DistributedDataParallel` (DDP) is PyTorch's wrapper around the network. It takes the mean of
#   the gradients while `backward` still runs: the last layers' gradients travel while the first
#   layers' are computed. That is what our loop by hand did afterwards.
# - `broadcast` sends the random state of rank 0 to all.
# - `all_reduce(totals)` adds the losses of the samples and their number. With it, the line `loss =
#   loss * len(x) * world_size / totals[1]` makes each part count by its number of samples: the trap of
#   the short batch.
# - Only rank 0 prints.
#
# If a line is clear to you, you can now change it and give the loop back, as in lesson 6.

# %% [markdown]
# ## Evaluate and predict
#
# To evaluate, each process takes some of the batches and counts. At the end they add up the counts,
# not the accuracies. To predict, they send each other their predictions. So all have all of them, in
# the order of the data, each sample once. Try it with 7 samples and 3 processes: they cannot have the
# same number.


# %%
def look():
    model = tl.Model(new_network())
    model.prepare(None, loss_fn, tl.metrics.Accuracy())
    few = TensorDataset(images[:7], labels[:7])
    result = model.evaluate(few, batch_size=2, verbose=0)
    [y_hat] = model.predict(few, batch_size=2, stack_outputs=True, verbose=0)
    return result["acc"], y_hat


acc, y_hat = look()
for rank, (their_acc, their_y_hat) in enumerate(tl.launch(look, processes=3)):
    equal = their_acc == acc, torch.equal(their_y_hat, y_hat)
    print(f"process {rank}: {len(their_y_hat)} predictions; as one process alone: {equal}")

# %% [markdown]
# ## What it costs
#
# In each step, every process sends its gradients and gets others: as many numbers as the network has
# weights.

# %%
weights = sum(weight.numel() for weight in new_network().parameters())
print(f"{weights:,} weights, 4 bytes each: {4 * weights / 1e6:.1f} MB in each step")
large = 7_000_000_000
print(f"a language model with 7 billion weights: {4 * large / 1e9:.0f} GB in each step")

# %% [markdown]
# So data parallel training pays where a step computes long and sends little: large batches,
# convolutions (few weights, much work), fast networks between the machines. For the small networks of
# these lessons it does not pay: the processes would wait for each other most of the time. Here are
# both parts of a step for our network, and how much faster `P` processes can be at best.

# %% tags=["nbval-ignore-output"]
import time


def seconds_of_a_step():
    dist.init_process_group("gloo")
    network = new_network()
    gradients = torch.zeros(weights)
    compute, send = [], []
    for _ in range(30):
        start = time.perf_counter()
        loss_fn(network(images[:64]), labels[:64]).backward()
        middle = time.perf_counter()
        dist.all_reduce(gradients)
        compute.append(middle - start)
        send.append(time.perf_counter() - middle)
    return sorted(compute)[15], sorted(send)[15]


compute, send = tl.launch(seconds_of_a_step)[0]
print(f"to send takes {send / compute:.2f} times as long as to compute")
for processes in (2, 4, 8):
    print(f"{processes} processes: at best {compute / (compute / processes + send):.1f} x as fast")

# %% [markdown]
# ## On many machines
#
# `launch` is for notebooks. A script of your own, `train.py`, needs no change at all: PyTorch's
# `torchrun` starts it in several processes, and `Model` finds the others.
#
# ```
# torchrun --nproc-per-node=2 train.py
# ```
#
# On two machines, run on each, with the address of the first one:
#
# ```
# torchrun --nnodes=2 --node-rank=0 --nproc-per-node=8 --master-addr=10.0.0.1 train.py
# torchrun --nnodes=2 --node-rank=1 --nproc-per-node=8 --master-addr=10.0.0.1 train.py
# ```
#
# If a process dies, the others end, too: without it, no step is complete. With `fit(...,
# save_dir="checkpoints", resume=True)` and `torchrun --max-restarts=3`, all start again and go on
# from the last checkpoint. A network that is too large for one GPU can be *sharded*: with
# `Model(network, shard=True)`, each rank keeps only a part of every weight (FSDP).

# %% [markdown]
# ## Summary
#
# - Data parallel: each process has the whole network and a part of every batch; the gradients' mean
#   makes all steps equal, so the weights stay equal without being sent.
# - Parts of different sizes must count by their samples: gradients, losses and metrics.
# - All processes must make the same calls; if one does not, the others wait for ever.
# - Two processes with batches of 32 train like one with 64: the same but for rounding.
# - It costs as many numbers as there are weights, in each step.
#
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it: `tl.check` tells at once what is right. If
# something is not, it says where it first goes wrong. Change your code and run both cells again, as
# often as you like.
#
# If you do not know how to begin: `tl.hint("fair_share")` asks a question that helps, and gives a
# nudge when you run it again. `tl.progress()` shows what is solved.
#
# The exercises need none of the cells above. You can restart the kernel and begin here.

# %% tags=["exercises"]
import torch

import tutorial as tl

torch.set_num_threads(1)

# %% [markdown]
# ### Exercise 1: split the samples
#
# For an evaluation, the samples are split across the ranks, and the order must be kept. Give the
# process `rank` a contiguous run of samples: process 0 the first ones, process 1 the next, and so
# on. Together they have all the numbers from 0 to `samples - 1`, each one once. No process has more
# than one sample more than another.
#
# Return a list of this process's numbers. There may be fewer samples than processes.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "fair_share_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def fair_share(samples, rank, processes):
    ### BEGIN SOLUTION
    return list(range(samples * rank // processes, samples * (rank + 1) // processes))
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "fair_share", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("fair_share", fair_share).require()
assert [i for rank in range(7) for i in fair_share(1001, rank, 7)] == list(range(1001))
### END HIDDEN TESTS
tl.check("fair_share", fair_share)

# %% [markdown]
# ### Exercise 2: the gradient of all
#
# Each process has sent its gradient, a tensor, which is the mean over its samples, and the number of
# its samples. Return the gradient of the whole batch.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "gradient_of_all_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gradient_of_all(gradients, counts):
    ### BEGIN SOLUTION
    total = sum(gradient * count for gradient, count in zip(gradients, counts, strict=True))
    return total / sum(counts)
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "gradient_of_all", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("gradient_of_all", gradient_of_all).require()
assert gradient_of_all([torch.tensor([4.0]), torch.tensor([0.0])], [1, 3]).item() == 1.0
### END HIDDEN TESTS
tl.check("gradient_of_all", gradient_of_all)

# %% [markdown]
# ### Exercise 3: ring all-reduce
#
# How can many processes add up their gradients without one that must talk to all? They stand in a
# *ring*, and each sends only to its neighbour. The gradient is cut into as many pieces as there are
# processes. In `processes - 1` rounds the pieces are added up on their way around. Then each piece is
# whole somewhere, and in `processes - 1` more rounds it travels around once more, to all. In each
# round, each process sends one piece.
#
# How many bytes does one process send in a step, for a network with so many weights? A number has
# `bytes_each` bytes. One process alone sends nothing.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "bytes_sent_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def bytes_sent(weights, processes, bytes_each=4):
    ### BEGIN SOLUTION
    rounds = 2 * (processes - 1)
    return rounds * weights * bytes_each / processes
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "bytes_sent", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("bytes_sent", bytes_sent).require()
assert bytes_sent(1_000_000, 4, 2) == 3_000_000
### END HIDDEN TESTS
tl.check("bytes_sent", bytes_sent)
