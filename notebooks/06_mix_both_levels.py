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
# # 6 · Mix both levels: custom networks, losses, metrics and loops
#
# The high level is short. The low level can do everything. With many libraries you must choose, and
# the first unusual idea makes you write all of it by hand: the loop, the means, the progress, the
# checkpoints.
#
# You need not choose. In this lesson every part becomes your own (*custom*), one after the other:
# the network, the loss, the metric, the choice of the batches, at last the loop. All that you do
# not replace stays as it is. And after each step you can go back to `fit`, with the same model.
#
# **After this lesson you can**
#
# - build a network from ready parts and your own, with two outputs;
# - write a loss that compares the samples of a batch with each other, and make it safe;
# - write a metric that is no mean;
# - train with `train_batch` in a loop of your own;
# - give `fit` a loop as a function or as source code, know which to take, and go back to `fit`.
#
# It takes about 40 minutes. You should know lessons 1, 3 and 4.

# %%
import warnings
from contextlib import redirect_stdout

import torch
from matplotlib import pyplot as plt
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import Normalize

import tutorial as tl

torch.set_num_threads(1)
plt.rcParams["figure.dpi"] = 80
tl.set_device("cpu")

# %% [markdown]
# ## The task
#
# How does a phone recognize its owner? Not by a class for every person on earth: nobody could train
# that. The network learns something else, an *embedding*: a place for every picture, some numbers,
# a point in space. Two pictures of one person should be near each other, pictures of two persons
# far apart. To compare two pictures, measure the distance. This is the idea of FaceNet (Schroff and
# others, 2015).
#
# We do it with digits instead of faces, and with embeddings in the plane, so that we can draw them.
# As a second output the network also predicts which digit it is.

# %%
mnist = tl.datasets.MNIST(mode="train", transform=Normalize(mean=[33.3], std=[78.6]))
train_data = TensorDataset(*mnist[:2000])
eval_data = TensorDataset(*mnist[50_000:51_000])
print(len(train_data), "to train on,", len(eval_data), "to measure")

# %% [markdown]
# ## Part 1: a custom network
#
# The first layers are ready-made: `LeNet(num_classes=0)` from `tl.models` turns an image into 16
# small maps of features. Behind it come two heads of our own. The network returns a dict.


# %%
class FaceNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = tl.models.LeNet(num_classes=0)  # (B, 1, 28, 28) to (B, 16, 5, 5)
        self.digit = nn.Sequential(nn.Flatten(), nn.Linear(400, 10))
        self.place = nn.Sequential(
            nn.Flatten(), nn.Linear(400, 64), nn.ReLU(), nn.Linear(64, 2)
        )  # to (B, 2)

    def forward(self, x):
        features = self.backbone(x)
        return {"digit": self.digit(features), "place": self.place(features)}


tl.seed(0)
network = FaceNet()
x, y = train_data[:64]
for name, output in network(x).items():
    print(f"{name}: {tuple(output.shape)}")

# %% [markdown]
# ## Part 2: a custom loss
#
# The digit has a loss: cross-entropy. For the embeddings we write one, a *contrastive loss*:
#
# - **Pull.** Two images of the same digit should be near: their squared distance is a loss.
# - **Push.** Two images of different digits should be at least `MARGIN` apart. If they are nearer,
#   the squared rest is a loss. If they are far apart already, they cost nothing.
#
# All earlier losses looked at one sample at a time. This one compares each sample of a batch with
# each other one. `torch.cdist` gives all distances at once, a table of B × B.

# %%
MARGIN = 4.0


def first_try(place, y):
    distance = torch.cdist(place, place)  # (B, B)
    same = y[:, None] == y[None, :]  # (B, B): the same digit?
    itself = torch.eye(len(y), dtype=torch.bool)
    pull = distance[same & ~itself].square().mean()
    push = (MARGIN - distance[~same]).clamp(min=0).square().mean()
    return pull + push


# %% [markdown]
# Test a loss on a case that you can compute in your head. Two threes at a distance of 1, and a five
# that is 2 away from the one and 3 from the other, all on a line. Pull: 1. Push: (4 - 2)² = 4 and
# (4 - 3)² = 1, the mean is 2.5. Together 3.5.

# %%
places = torch.tensor([[0.0, 0.0], [1.0, 0.0], [3.0, 0.0]])
digits = torch.tensor([3, 3, 5])
print(f"{first_try(places, digits):.4f}")

# %% [markdown]
# Right. Now test it where it may break. What if no two images in the batch show the same digit?
# This happens in a short last batch. And what if all show the same one?

# %%
for digits in ([3, 4, 5], [3, 3, 3]):
    print(digits, first_try(places, torch.tensor(digits)).item())

# %% [markdown]
# `nan`, "not a number": the mean of nothing. One such batch, and every weight that gets this
# gradient is `nan` too, for ever. (`fit` tries a loss on the first batch in its dry run, and warns.)
#
# The cure is known from lesson 5: a sum, a count, one division. Where nothing is to be counted,
# divide by 1.


# %%
def mean_of(values):
    """The mean; 0 where there are no values."""
    return values.sum() / max(len(values), 1)


def pull_and_push(place, y):
    distance = torch.cdist(place, place)  # (B, B)
    same = y[:, None] == y[None, :]
    itself = torch.eye(len(y), dtype=torch.bool)
    pull = mean_of(distance[same & ~itself].square())
    push = mean_of((MARGIN - distance[~same]).clamp(min=0).square())
    return pull + push


for digits in ([3, 3, 5], [3, 4, 5], [3, 3, 3]):
    print(digits, f"{pull_and_push(places, torch.tensor(digits)):.4f}")

# %% [markdown]
# (That the last two are equal is a coincidence.) One check is left: does the gradient point where
# we think? Minus the gradient is the way that an optimizer goes. The two threes should go towards
# each other, and the five away from them.

# %%
moving = places.clone().requires_grad_()
pull_and_push(moving, torch.tensor([3, 3, 5])).backward()
for digit, place, gradient in zip((3, 3, 5), places, moving.grad, strict=True):
    print(f"a {digit} at {place[0]:.0f} moves {'right' if gradient[0] < 0 else 'left'}")

# %% [markdown]
# The three in the middle is pulled to the left by the other three, and pushed to the left by the
# five. The first three feels a pull to the right and a push to the left. Here the pull is stronger.
#
# Combine both losses. A loss function gets all outputs of the network, then the labels. It returns
# a dict, so that each part is reported under its name.
#
# The second one is no mean over samples: it depends on who else is in the batch. So the mean that
# is reported depends a little on the batch size. The library sees it and warns; now we know.

# %%
warnings.filterwarnings("ignore", message=".*neither a mean nor a sum")


def loss_fn(digit_hat, place, y):
    return {"digit": F.cross_entropy(digit_hat, y), "place": pull_and_push(place, y)}


# %% [markdown]
# ## Part 3: a custom metric
#
# Is an embedding good? Ask the neighbours: *does the nearest other image show the same digit?* The
# fraction of images for which it does is our metric, the accuracy of the *nearest neighbour*.
#
# It cannot be computed batch by batch. The nearest of 64 images is not the nearest of 1,000. So
# `update` only collects; the work is done in `compute`.


# %%
class Neighbour:
    """The fraction of images whose nearest other image shows the same digit."""

    def reset(self):
        self.places, self.labels = [], []

    def update(self, place, y):
        self.places.append(place.detach())  # detach: keep the numbers, not their graph
        self.labels.append(y)

    def compute(self):
        places, labels = torch.cat(self.places), torch.cat(self.labels)
        distance = torch.cdist(places, places)
        distance.fill_diagonal_(torch.inf)  # the nearest other one, not itself
        nearest = distance.argmin(dim=1)
        return (labels[nearest] == labels).float().mean()


# %% [markdown]
# Test it by hand, too. Four points on a line, at 0, 1, 5 and 7, with the labels 3, 3, 3 and 8. The
# nearest of 0 is 1, and of 1 is 0: right. The nearest of 5 is 7, and of 7 is 5: wrong. So it is one
# half, in one batch or in two.

# %%
neighbour = Neighbour()
line, labels = torch.tensor([[0.0], [1.0], [5.0], [7.0]]), torch.tensor([3, 3, 3, 8])
for size in (4, 2):
    neighbour.reset()
    for place, digits in zip(line.split(size), labels.split(size), strict=True):
        neighbour.update(place, digits)
    print(f"batches of {size}: {neighbour.compute():.2f}")

# %% [markdown]
# ## Part 4: the high level trains it
#
# All our parts go into `prepare`. The keys of the metrics say which output each one looks at.


# %%
def new_model():
    tl.seed(0)
    model = tl.Model(FaceNet())
    model.prepare(
        torch.optim.Adam(model.parameters(), lr=0.003),
        loss_fn,
        {"digit": tl.metrics.Accuracy(), "place": Neighbour()},
    )
    return model


model = new_model()
program = model.unroll("fit", train_data, epochs=4, log_freq=32)
program

# %% [markdown]
# Read the loop: it has grown by what we gave it. There is `loss_fn` with its three arguments, the
# sum of its two results, a mean for each, and the two metrics. All of this you would have written
# yourself.
#
# Before the training, look at the places. Then train, and look again.


# %%
def places_of(model):
    outputs = model.predict(eval_data, stack_outputs=True, verbose=0)
    return outputs["place"]


before = places_of(model)

# %% tags=["nbval-ignore-output"]
history = model.fit(train_data, eval_data, epochs=4, verbose=0)
for row in history.rows:
    print(
        f"epoch {row['epoch']}: loss {row['eval_loss']:.3f} = digit {row['eval_digit']:.3f} "
        f"+ place {row['eval_place']:.3f},   acc {row['eval_acc_digit']:.3f}, "
        f"neighbour {row['eval_neighbour_place']:.3f}"
    )
assert row["eval_acc_digit"] > 0.85 and row["eval_neighbour_place"] > 0.6

# %%
digits = eval_data.tensors[1]
_, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for ax, title, place in ((axes[0], "before", before), (axes[1], "after", places_of(model))):
    for digit in range(10):
        points = place[digits == digit]
        ax.scatter(points[:, 0], points[:, 1], s=6, color=f"C{digit}", alpha=0.5)
        ax.annotate(
            str(digit),
            points.median(dim=0).values.tolist(),
            fontsize=14,
            weight="bold",
            ha="center",
            va="center",
            bbox={"boxstyle": "circle", "facecolor": "white", "edgecolor": f"C{digit}"},
        )
    ax.set(title=title, xticks=[], yticks=[], aspect="equal")
plt.show()

# %% [markdown]
# Each point is an image that the network was not trained on. Before, the digits lie on top of each
# other. After, they have gathered at places of their own; where two touch, the network is not sure.
# Nobody told it where to put which digit. We only said "together" and "apart".

# %% [markdown]
# ## Part 5: a custom choice of batches: hard examples
#
# `fit` goes through all samples, one time each. Say you do not want that: a sample that is answered
# well teaches little. Each time you want to look at 256 images, and train on the 64 that are worst.
#
# `fit` has no option for it. But the choice is all that you need: *one* step on *one* batch is
# still the usual one. So write the outer loop, and let `train_batch` do the step.

# %%
model.unroll("train_batch", x, y)

# %% [markdown]
# The body of the training loop, for a batch in your hand. `predict_batch` helps to choose.

# %% tags=["nbval-ignore-output"]
tl.seed(1)
chosen = []
for step in range(20):
    candidates = torch.randperm(len(train_data))[:256]
    x, y = train_data[candidates]
    each_loss = F.cross_entropy(model.predict_batch(x)["digit"], y, reduction="none")
    hardest = each_loss.topk(64).indices
    result = model.train_batch(x[hardest], y[hardest])
    chosen.append(candidates[hardest])
    if (step + 1) % 5 == 0:
        print(f"step {step + 1}: hardest {result['digit']:.3f}, all {each_loss.mean():.3f}")
assert each_loss[hardest].mean() > each_loss.mean()

# %% [markdown]
# Which images were chosen most often? These are the hard ones.

# %%
times = torch.cat(chosen).bincount(minlength=len(train_data))
hard = times.argsort(descending=True)[:6]
tl.show(*train_data[hard])

# %% [markdown]
# Three ways to take a step, then: `fit`, `train_batch` in your loop, and the five lines of plain
# PyTorch. You may mix them in one training, because they work on the same network and the same
# optimizer. Are they really the same? Train three models on 256 samples, in the same order.

# %%
few = TensorDataset(*train_data[:256])

by_fit = new_model()
by_fit.fit(few, shuffle=False, verbose=0)

by_batch = new_model()
for x, y in DataLoader(few, batch_size=64):
    by_batch.train_batch(x, y)

by_hand = new_model()
network, optimizer = by_hand.network, by_hand.optimizer
network.train()
for x, y in DataLoader(few, batch_size=64):
    y_hat = network(x)
    losses = loss_fn(y_hat["digit"], y_hat["place"], y)
    loss = losses["digit"] + losses["place"]
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()

for other in (by_batch, by_hand):
    pairs = zip(by_fit.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
print("fit, train_batch and plain PyTorch: equal weights")

# %% [markdown]
# ## Part 6: a custom loop, handed to fit
#
# ### As source code
#
# A new idea: the network should learn the digits first, and the places count more and more. So the
# loss needs a factor that grows with the epoch. But a loss function does not know the epoch. The
# loop does.
#
# Take the source of the loop and change one line.

# %%
line = 'loss = losses["digit"] + losses["place"]'
mine = 'loss = losses["digit"] + min(1, epoch / 4) * losses["place"]'
assert program.source.count(line) == 1
changed = program.source.replace(line, mine)

patient = new_model()
with redirect_stdout(None):  # the loop prints; we look at the history
    history_patient = patient.fit(train_data, loop=changed)
print(len(history_patient.rows), "epochs,", len(history_patient.step_losses), "steps")

# %% [markdown]
# Four epochs: the source says so, since it was unrolled with `epochs=4`. It does the bookkeeping
# too, so the history has all its rows. In epoch 1 the factor was 0: the loss was that of the digit
# alone, and the head of the places stood still.

# %% tags=["nbval-ignore-output"]
for name, rows in (("from the start", history.rows), ("more and more", history_patient.rows)):
    numbers = "  ".join(f"{row['neighbour_place']:.3f}" for row in rows)
    print(f"places count {name:14}:  neighbour {numbers}")
first = history_patient.rows[0]
assert abs(first["loss"] - first["digit"]) < 1e-6
assert first["neighbour_place"] < history.rows[0]["neighbour_place"]

# %% [markdown]
# A changed source can be proved, like any program.

# %%
with redirect_stdout(None):
    proof = new_model().unroll("fit", few, loop=changed).verify()
assert proof
proof

# %% [markdown]
# ### As a function
#
# If more than a line changes, write a function. `fit` calls it by the names of its parameters: it
# asks for what it needs, out of the names of the program. It returns the losses of its steps, for
# the history.
#
# Here is the choice of the hardest again, now as a whole training. From each batch of 128 only the
# hardest half is trained on.


# %%
def hardest_half(network, loss_fn, optimizer, train_data):
    step_losses = []
    network.train()
    for x, y in DataLoader(train_data, batch_size=128, shuffle=True):
        y_hat = network(x)
        each_loss = F.cross_entropy(y_hat["digit"], y, reduction="none")
        hardest = each_loss.topk(len(y) // 2).indices
        losses = loss_fn(y_hat["digit"][hardest], y_hat["place"][hardest], y[hardest])
        loss = losses["digit"] + losses["place"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        step_losses.append(loss.item())
    return step_losses


history_hard = model.fit(train_data, loop=hardest_half)
print(len(history_hard.step_losses), "steps,", len(history_hard.rows), "rows")

# %% [markdown]
# No rows: the function does not report epochs. That is the price. A name that the program does not
# have raises an error, which lists those it has.


# %%
def asks_too_much(network, teacher): ...


try:
    model.fit(train_data, loop=asks_too_much)
except TypeError as error:
    print(error)

# %% [markdown]
# Which one to take?
#
# | | as source code | as a function |
# |---|---|---|
# | good for | a changed line | a new idea |
# | means, metrics, printing | are in the source | yours to write |
# | options of `fit`, such as `epochs` | are in the source already | yours to write |
# | may use things from your notebook | no, only the names of the program | yes |
# | `verify`, `save` | yes | no |
#
# ### And back
#
# Nothing is lost when you go back. The model has the weights and the optimizer as your loop left
# them. Here `fit` goes on for one more epoch.

# %% tags=["nbval-ignore-output"]
result = model.evaluate(eval_data, verbose=0)
history = model.fit(train_data, eval_data, epochs=1, verbose=0)
for name in ("acc_digit", "neighbour_place"):
    after = history.rows[0]["eval_" + name]
    print(f"{name:15}  after my loop {result[name]:.3f}, after fit {after:.3f}")
assert history.rows[0]["eval_acc_digit"] > 0.85

# %% [markdown]
# ## Summary
#
# - A network of ready parts and your own: any `nn.Module`. Several outputs: a dict.
# - A loss is a function of all outputs and then the labels. Test it on a case you can compute, on
#   the extreme cases, and look where its gradient points. The mean of nothing is `nan`.
# - A metric that is no mean collects in `update` and works in `compute`.
# - To choose the batches, write the outer loop and call `train_batch`.
# - To change what a step is, hand `fit` a loop: as source code for a changed line, as a function
#   for a new idea.
# - All of them work on the same network and the same optimizer. So you can mix them, and go back.

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it: `tl.check` tells at once what is right. If
# something is not, it says where it first goes wrong. Change your code and run both cells again, as
# often as you like.
#
# If you do not know how to begin: `tl.hint("triplet_loss")` asks a question that helps, and gives a
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
# ### Exercise 1: the triplet loss of FaceNet
#
# FaceNet was trained with *triplets*: an image `a` (the *anchor*), another image `b` of the same
# person (the *positive*), and an image `c` of somebody else (the *negative*). A triplet costs
# `distance(a, b) - distance(a, c) + margin`, or 0 if that is less than 0. So it costs nothing when
# `c` is farther away than `b` by at least the margin.
#
# Write the loss of a batch: the mean cost of *all* its triplets, also those that cost 0. `place` is
# (B, D), the labels `y` are (B,). An image forms no triplet with itself (`a` is not `b`). If the
# batch has no triplet, the loss is a tensor 0.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "triplet_loss_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def triplet_loss(place, y, margin):
    ### BEGIN SOLUTION
    distance = torch.cdist(place, place)
    same = y[:, None] == y[None, :]
    itself = torch.eye(len(y), dtype=torch.bool)
    costs = distance[:, :, None] - distance[:, None, :] + margin  # (a, b, c)
    is_triplet = (same & ~itself)[:, :, None] & ~same[:, None, :]
    costs = costs[is_triplet].clamp(min=0)
    return costs.sum() / max(len(costs), 1)
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "triplet_loss", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("triplet_loss", triplet_loss).require()
a, b, c = torch.randn(3, 1, 8)
both = triplet_loss(torch.cat([a, b, c]), torch.tensor([0, 0, 1]), 0.7)
one = nn.TripletMarginLoss(margin=0.7)
assert torch.allclose(both, (one(a, b, c) + one(b, a, c)) / 2, atol=1e-4)
### END HIDDEN TESTS
tl.check("triplet_loss", triplet_loss)

# %% [markdown]
# ### Exercise 2: the worst confusion
#
# Which mistake is most frequent: a 4 that is read as a 9, a 3 read as a 5, or another one? Write a
# metric class `MostConfused`. Its value is the number of images with this one mistake, divided by
# the number of *all* images. A 3 read as a 5 and a 5 read as a 3 are two different mistakes.
#
# There are ten digits. `y_hat` has scores, (B, 10). `torch.bincount` can count pairs of digits, if
# you make one number of each pair.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "most_confused_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
class MostConfused:
    ### BEGIN SOLUTION
    def reset(self):
        self.counts = torch.zeros(10, 10)  # label, prediction

    def update(self, y_hat, y):
        pairs = 10 * y + y_hat.argmax(dim=1)
        self.counts += pairs.bincount(minlength=100).view(10, 10)

    def compute(self):
        mistakes = self.counts.clone().fill_diagonal_(0)
        return mistakes.max() / self.counts.sum()

    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "most_confused", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("most_confused", MostConfused).require()
tl.seed(0)
data = TensorDataset(torch.randn(200, 5), torch.randint(10, (200,)))
model = tl.Model(nn.Linear(5, 10))
model.prepare(loss=nn.CrossEntropyLoss(), metrics=MostConfused())
values = {model.evaluate(data, batch_size=n, verbose=0)["most_confused"] for n in (7, 64, 200)}
assert len(values) == 1 and 0 < values.pop() < 0.2
### END HIDDEN TESTS
tl.check("most_confused", MostConfused)

# %% [markdown]
# ### Exercise 3: fine-tune the head only
#
# A network has two parts, `network.backbone` and `network.head`. The backbone is *pretrained* and
# must stay as it is (*frozen*). Write a loop for `fit`, as a function, that trains only the head:
# one epoch, in batches of 32. `loss_fn` takes `y_hat` and `y`.
#
# Return the losses of the steps, as plain numbers. Afterwards another `fit` must be able to train
# the whole network again.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "train_head_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def train_head(network, loss_fn, optimizer, train_data):
    ### BEGIN SOLUTION
    network.train()
    network.backbone.requires_grad_(False)
    step_losses = []
    for x, y in DataLoader(train_data, batch_size=32, shuffle=True):
        loss = loss_fn(network(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        step_losses.append(loss.item())
    network.backbone.requires_grad_(True)
    return step_losses
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "train_head", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("train_head", train_head).require()
tl.seed(0)
network = nn.Sequential()
network.add_module("backbone", nn.Linear(5, 5))
network.add_module("head", nn.Linear(5, 2))
before = network.backbone.weight.detach().clone()
model = tl.Model(network)
model.prepare(torch.optim.Adam(model.parameters(), weight_decay=0.1), nn.CrossEntropyLoss())
data = TensorDataset(torch.randn(100, 5), torch.randint(2, (100,)))
history = model.fit(data, loop=train_head, verbose=0)
assert len(history.step_losses) == 4 and torch.equal(network.backbone.weight, before)
model.fit(data, verbose=0)
assert not torch.equal(network.backbone.weight, before)
### END HIDDEN TESTS
tl.check("train_head", train_head)
