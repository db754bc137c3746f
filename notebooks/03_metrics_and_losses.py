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
# # 3 · Metrics and losses
#
# How good is a network? There are two kinds of answers.
#
# - The **loss** is for the optimizer. It says in which direction to move the weights.
# - A **metric** is for you. It says what you can expect when you use the network.
#
# One number can seldom be both. This lesson is about choosing the two, so that the network learns
# what you want, and the numbers say what you think they say.
#
# The lesson takes about 40 minutes.
#
# **After this lesson you can**
#
# - explain why nobody trains on the accuracy;
# - take a mean over samples, and see when a mean is wrong;
# - write a metric and a loss of your own;
# - measure a task with rare positives by precision, recall and AUC, and see through a high
#   accuracy;
# - train one network on two tasks at once.

# %%
import textwrap

import torch
from matplotlib import pyplot as plt
from torch import nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset
from torchvision.transforms import Normalize

import tutorial as tl

torch.set_num_threads(1)
plt.rcParams["figure.dpi"] = 80
tl.set_device("cpu")

# %% [markdown]
# The data is MNIST again. 10,000 images are enough to train on here. 10,000 others are there to
# measure. `TensorDataset` makes a dataset of tensors; so we can give the same images new labels
# later.

# %%
mnist = tl.datasets.MNIST(mode="train", transform=Normalize(mean=[33.3], std=[78.6]))
train_images, train_digits = mnist[:10_000]
eval_images, eval_digits = mnist[50_000:]
train_data = TensorDataset(train_images, train_digits)
eval_data = TensorDataset(eval_images, eval_digits)
print(len(train_data), "to train on,", len(eval_data), "to measure")


# %%
def new_network(outputs, hidden=128):
    tl.seed(0)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, outputs)
    )


def trained(network, loss_fn, metrics, data, epochs=1):
    """A model around the network, after some epochs."""
    model = tl.Model(network)
    model.prepare(torch.optim.Adam(model.parameters(), lr=0.001), loss_fn, metrics)
    model.fit(data, epochs=epochs, verbose=0)
    return model


def short(result):
    """The numbers of an evaluation in one line."""
    return ", ".join(f"{name} {number:.3f}" for name, number in result.items())


# %% tags=["nbval-ignore-output"]
loss_fn = nn.CrossEntropyLoss()
model = trained(new_network(10), loss_fn, tl.metrics.Accuracy(), train_data)
result = model.evaluate(eval_data, verbose=0)
print(short(result))
assert 0.88 < result["acc"] < 0.96

# %% [markdown]
# ## Part 1: loss and metric
#
# ### The loss is smooth, the accuracy is not
#
# Training moves every weight a little, against its gradient. So the loss must have a gradient: a
# small change of a weight must change it a little.
#
# The accuracy has none. It counts. A small change of a weight mostly changes no answer at all; and
# if an answer does change, the accuracy jumps. Imagine one image, two classes, and the score of the
# right class minus the score of the wrong one:

# %%
margin = torch.linspace(-4, 4, 401)
scores = torch.stack([torch.zeros_like(margin), margin], dim=1)  # class 1 is the right one
right = torch.ones(len(margin), dtype=torch.int64)
each_loss = F.cross_entropy(scores, right, reduction="none")
each_hit = (margin > 0).float()

_, ax = plt.subplots(figsize=(5.5, 2.8), layout="constrained")
ax.plot(margin, each_loss, label="cross-entropy")
ax.plot(margin, each_hit, "--", label="accuracy")
ax.set(xlabel="score of the right class minus score of the wrong one", ylabel="for this image")
ax.spines[["top", "right"]].set_visible(False)
ax.grid(alpha=0.3)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The loss always tells which way is down. The accuracy is flat nearly everywhere. PyTorch knows
# this: the loss comes with a gradient, the accuracy without.

# %%
x, y = train_data[:64]
y_hat = model.network(x)
print("loss:     has a gradient:", loss_fn(y_hat, y).requires_grad)
print("accuracy: has a gradient:", (y_hat.argmax(dim=1) == y).float().mean().requires_grad)

# %% [markdown]
# The figure shows one more difference. To the right of 0 the answer is right, and the accuracy is
# content. The loss is not: it goes on falling, as the network becomes *surer*. So the loss can
# change while the accuracy stays. Let us make a network twice as sure: all scores times 2.

# %% tags=["nbval-ignore-output"]
[logits] = model.predict(eval_data, stack_outputs=True, verbose=0)
for factor in (1, 2, 4):
    loss = loss_fn(factor * logits, eval_digits)
    hits = (factor * logits).argmax(dim=1) == eval_digits
    print(f"scores x {factor}: loss {loss:.3f}, acc {hits.float().mean():.3f}")

# %% [markdown]
# The order of the scores is the same, so the answers are, and so is the accuracy. Being too sure of
# one's mistakes costs a lot of loss.

# %% [markdown]
# ## Part 2: means
#
# ### Why a mean of means is wrong
#
# Data comes in batches, and `loss_fn` gives the mean of a batch. What is the mean of all samples?
# Suppose there are five samples, in batches of four. The last batch has one sample only.

# %%
losses = torch.tensor([0.1, 0.1, 0.1, 0.1, 2.1])
batches = losses.split(4)
means = [batch.mean().item() for batch in batches]
print("the batches' means:", [round(mean, 4) for mean in means])
print(f"their mean:            {sum(means) / len(means):.4f}")
print(f"the mean of 5 samples: {losses.mean():.4f}")

loss_sum = sum(batch.mean() * len(batch) for batch in batches)
samples = sum(len(batch) for batch in batches)
print(f"sum / samples:         {loss_sum / samples:.4f}")

# %% [markdown]
# The mean of the two means is 1.1, more than twice the true mean. The single sample of the last
# batch counted as much as the other four together.
#
# The cure is to give each batch its weight. A mean times the number of samples is a sum; sums can
# be added; divide once, at the end. You know these lines from the loop of lesson 1:
# `loss_sum += ... * len(x)`, `samples += len(x)`, `loss_sum / samples`. (Lesson 5 measures how
# large the error is with real data.)
#
# The same trap waits for metrics. Therefore a metric is not a function of a batch, but a *running
# count*: `reset` sets it to zero, `update` adds a batch, `compute` gives the value so far.
#
# ## Part 3: metrics
#
# ### Accuracy, by hand
#
# Count the right answers, count the samples, divide once. It is the accuracy of `evaluate`,
# exactly. A metric object does the same, without any model. (`accumulate()` is `compute()` as a
# plain number.)

# %%
accuracy = tl.metrics.Accuracy()
accuracy.reset()
correct, samples = 0, 0
for scores, labels in zip(logits.split(64), eval_digits.split(64), strict=True):
    correct += (scores.argmax(dim=1) == labels).sum().item()
    samples += len(labels)
    accuracy.update(scores, labels)
assert correct / samples == accuracy.accumulate() == result["acc"]
print(samples, "samples in", len(logits.split(64)), "batches: equal to evaluate")

# %% [markdown]
# ### Top-k accuracy
#
# Sometimes a few answers are allowed: a search shows ten results, a keyboard suggests three words.
# `topk=(1, 2, 3)` counts an answer as right if the label is among the best one, two or three.

# %% tags=["nbval-ignore-output"]
accuracy = tl.metrics.Accuracy(topk=(1, 2, 3))
accuracy.update(logits, eval_digits)
for name, value in zip(accuracy.name(), accuracy.accumulate(), strict=True):
    print(f"{name}: {value:.3f}")

best_two = logits.topk(2, dim=1).indices  # (N, 2): the two best digits of each image
among = (best_two == eval_digits.unsqueeze(1)).any(dim=1)
assert among.sum().item() / len(among) == accuracy.accumulate()[1]

# %% [markdown]
# ### A metric of your own
#
# Is the network equally good at all ten digits? The accuracy hides that. Let us measure the
# accuracy on the digit that is recognized *worst*.
#
# A metric is any object with `reset`, `update` and `compute`. No base class is needed. It is
# reported under the name of its class: `worst_digit`.


# %%
class WorstDigit:
    """The accuracy on the digit that is recognized worst."""

    def reset(self):
        self.correct = torch.zeros(10)
        self.count = torch.zeros(10)

    def update(self, y_hat, y):
        hits = y_hat.argmax(dim=1) == y
        self.correct += torch.bincount(y[hits], minlength=10)
        self.count += torch.bincount(y, minlength=10)

    def compute(self):
        return (self.correct / self.count.clamp(min=1)).min()


# %% [markdown]
# Here nobody could take a mean of batches: the worst digit of one batch is not the worst digit of
# all. But counts can always be added. Give it to `prepare`, with the accuracy. In the loop it looks
# like any other metric.

# %% tags=["nbval-ignore-output"]
worst = WorstDigit()
model.prepare(loss=loss_fn, metrics=[tl.metrics.Accuracy(), worst])
result = model.evaluate(eval_data, verbose=0)
print(short(result))
assert result["worst_digit"] < result["acc"]
print("it is the digit", (worst.correct / worst.count).argmin().item())
for line in model.unroll("evaluate", eval_data).source.splitlines():
    if "worst_digit." in line:
        print(line.strip())

# %% [markdown]
# ## Part 4: class imbalance
#
# ### A high accuracy for nothing
#
# A new question to the same images: *is it an 8?* The label is 1 for an 8, and 0 for any other
# digit. Only one image in ten is an 8. The classes are *imbalanced*.

# %%
train_8 = TensorDataset(train_images, (train_digits == 8).long())
eval_8 = TensorDataset(eval_images, (eval_digits == 8).long())
fraction = eval_8.tensors[1].float().mean()
print(f"fraction of images that show an 8: {fraction:.3f}")

# %% [markdown]
# Here is a network that does not even look at the image. It always gives "no" the higher score. How
# good is it?


# %%
class Never(nn.Module):
    def __init__(self):
        super().__init__()
        self.scores = nn.Parameter(torch.tensor([2.0, 0.0]))  # for "no", for "yes"

    def forward(self, x):
        return self.scores.expand(len(x), 2)


never = tl.Model(Never())
never.prepare(loss=nn.CrossEntropyLoss(), metrics=tl.metrics.Accuracy())
result_of_never = never.evaluate(eval_8, verbose=0)
print(f"acc {result_of_never['acc']:.3f}")

# %% [markdown]
# An accuracy of 0.9, for knowing nothing! **With imbalanced classes the accuracy says little.**
# Compare it with the fraction of the larger class before you are proud of it.
#
# ### Precision and recall
#
# Ask two other questions:
#
# - **Recall**: of all 8s (the *positives*), how many were found? `Never` finds none: 0.
# - **Precision**: of all that were *predicted positive*, how many are an 8?
#
# Each is easy to make perfect alone. Predict 8 for everything, and the recall is 1. Predict 8 only
# for the one clearest image, and the precision is 1. So you always need both.
#
# `tl.metrics` has both, and `Auc`, which comes later. They take **probabilities**, and our network
# gives logits. `Recall(from_logits=True)` would do; to see what it does, we write a metric that hands
# softmax on to another metric. It derives from `tl.metrics.Metric`, so that it can say its own name.


# %%
class OfLogits(tl.metrics.Metric):
    """Gives a metric probabilities, made of logits."""

    def __init__(self, metric):
        self.metric = metric

    def name(self):
        return self.metric.name()

    def reset(self):
        self.metric.reset()

    def update(self, y_hat, y):
        self.metric.update(y_hat.softmax(dim=1), y)

    def compute(self):
        return self.metric.compute()


def metrics_of_8():
    two_class = [tl.metrics.Precision(), tl.metrics.Recall(), tl.metrics.Auc()]
    return [tl.metrics.Accuracy(), *(OfLogits(metric) for metric in two_class)]


# %% [markdown]
# Now train a real network. It is a very simple one, a single linear layer, so that there are some
# mistakes to talk about.


# %% tags=["nbval-ignore-output"]
def linear_network():
    tl.seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 2))


plain = trained(linear_network(), nn.CrossEntropyLoss(), metrics_of_8(), train_8, epochs=3)
result = plain.evaluate(eval_8, verbose=0)
never.prepare(loss=nn.CrossEntropyLoss(), metrics=metrics_of_8())
print("never: ", short(never.evaluate(eval_8, verbose=0)))
print("linear:", short(result))
assert 0.6 < result["recall"] < 0.9 and 0.6 < result["precision"] < 0.95

# %% [markdown]
# The accuracies differ by a few percent. The recalls are worlds apart.
#
# By hand it is counting, again. There are four counts; they make up the **confusion matrix**.

# %% tags=["nbval-ignore-output"]
[logits] = plain.predict(eval_8, stack_outputs=True, verbose=0)
probability = logits.softmax(dim=1)[:, 1]  # of being an 8
is_8 = eval_8.tensors[1] == 1
called_8 = probability >= 0.5

true_positives = (called_8 & is_8).sum().item()
false_positives = (called_8 & ~is_8).sum().item()
false_negatives = (~called_8 & is_8).sum().item()
true_negatives = (~called_8 & ~is_8).sum().item()
print("                 is an 8   is none")
print(f"called an 8      {true_positives:7}   {false_positives:7}")
print(f"called none      {false_negatives:7}   {true_negatives:7}")

assert result["precision"] == true_positives / (true_positives + false_positives)
assert result["recall"] == true_positives / (true_positives + false_negatives)

# %% [markdown]
# ### The threshold
#
# We predicted 8 from a probability of 0.5 on. Nobody says that it must be 0.5. A lower
# **threshold** finds more 8s, and predicts 8 for more other digits. A higher one does the opposite.


# %%
def at(threshold):
    """Precision and recall, if an 8 is predicted from this probability on."""
    called = probability >= threshold
    hits = (called & is_8).sum()
    return (hits / called.sum().clamp(min=1)).item(), (hits / is_8.sum()).item()


thresholds = torch.linspace(0.01, 0.99, 99)
precisions, recalls = zip(*map(at, thresholds), strict=True)
assert list(recalls) == sorted(recalls, reverse=True)

_, ax = plt.subplots(figsize=(5.5, 2.8), layout="constrained")
ax.plot(thresholds, precisions, label="precision")
ax.plot(thresholds, recalls, "--", label="recall")
ax.set(xlabel="threshold", ylabel="fraction", ylim=(0, 1))
ax.spines[["top", "right"]].set_visible(False)
ax.grid(alpha=0.3)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Which threshold is best depends on what a mistake costs. A doctor who looks for a dangerous
# illness wants a high recall. A filter that deletes mail wants a high precision.
#
# Say, nine of ten 8s must be found. The highest threshold that does so:

# %% tags=["nbval-ignore-output"]
threshold = max(t for t in thresholds.tolist() if at(t)[1] >= 0.9)
precision, recall = at(threshold)
print(f"threshold {threshold:.2f}: precision {precision:.3f}, recall {recall:.3f}")
assert threshold < 0.5 and recall >= 0.9

# %% [markdown]
# **AUC**, the area under the ROC curve, judges all thresholds at once. It is the probability that a
# random 8 scores higher than a random other image: 1 is perfect, 0.5 is random guessing. `Never`
# gives all images the same score, so its AUC is 0.5, whatever its accuracy.
#
# (As with the number of epochs: if you choose a threshold, choose it on one part of the data and
# report the result on another.)
#
# ### Class weights: change the loss
#
# A threshold moves the border afterwards. You can also tell the *loss* beforehand that an 8 matters
# more. `CrossEntropyLoss(weight=...)` takes a weight for each class. There are nine other images
# for each 8; with the weight 9 both classes count the same in total.

# %% tags=["nbval-ignore-output"]
weights = torch.tensor([1.0, 9.0])  # for "no", for "yes"
weighted_loss = nn.CrossEntropyLoss(weight=weights)
weighted = trained(linear_network(), weighted_loss, metrics_of_8(), train_8, epochs=3)
result_weighted = weighted.evaluate(eval_8, verbose=0)
for name in ("acc", "precision", "recall", "auc"):
    print(f"{name:9}  plain {result[name]:.3f}   weighted {result_weighted[name]:.3f}")
assert result_weighted["recall"] > result["recall"] + 0.05
assert result_weighted["precision"] < result["precision"] - 0.05
assert abs(result_weighted["auc"] - result["auc"]) < 0.03

# %% [markdown]
# The recall rises much; the precision pays for it. The accuracy falls, perhaps below that of
# `Never`; and yet this network is far more useful, if it is the 8s that you care about. The AUC
# hardly changes. So the network has not become any wiser: it has moved its border, as a lower
# threshold does.
#
# The two losses cannot be compared; they measure different things. Also, with weights the mean is a
# **weighted** mean: PyTorch divides by the sum of the weights of a batch. So a batch with many 8s
# counts more. The loop takes care of that. Find the line with `loss_sum`:

# %%
for line in weighted.unroll("evaluate", eval_8).source.splitlines():
    if any(name in line for name in ("loss_sum", "samples", "batch_weight")):
        print(line.strip())

# %% [markdown]
# (You can also build a two-class network with *one* output, the logit of "yes". Its loss is
# `BCEWithLogitsLoss`, and the weight is called `pos_weight`.)

# %% [markdown]
# ## Part 5: more losses
#
# ### Label smoothing
#
# Cross-entropy wants the probability of the right class to be 1. It is never quite reached, so the
# loss always asks for larger scores. Some labels are wrong, though, and some images are not clear.
#
# With `label_smoothing=0.1` the right class is to get 0.91 and each of the nine others 0.01: a
# tenth is spread evenly over all ten classes. Now there is a best score, and beyond it the loss
# rises.

# %%
smooth_loss = nn.CrossEntropyLoss(label_smoothing=0.1)
label = torch.tensor([3])
print("score of the right class   plain   smoothed")
for score in (0.0, 2.0, 4.51, 8.0, 16.0):
    scores = torch.zeros(1, 10)
    scores[0, 3] = score
    print(f"{score:24}   {loss_fn(scores, label):5.3f}   {smooth_loss(scores, label):8.3f}")

# %% [markdown]
# The plain loss goes to 0. The smoothed one has its smallest value where the probabilities are 0.91
# and 0.01, at ln 91 = 4.51, and it is not 0. **So compare losses only with losses of the same
# kind.** The accuracy can always be compared.
#
# ### A loss of your own
#
# A loss is any function of `y_hat` and `y` that returns one number, the mean over the batch, and
# that PyTorch can differentiate. Here is the *Brier score*: how far are the probabilities from 1
# for the right class and 0 for the others? Take the squares, and add them.


# %% tags=["nbval-ignore-output"]
def brier(y_hat, y):
    wanted = F.one_hot(y, num_classes=10)
    squares = (y_hat.softmax(dim=1) - wanted) ** 2  # (B, 10)
    return squares.sum(dim=1).mean()  # the mean over the batch


model = trained(new_network(10), brier, tl.metrics.Accuracy(), train_data)
result = model.evaluate(eval_data, verbose=0)
print(short(result))
assert result["acc"] > 0.88 and 0 < result["loss"] < 2

# %% [markdown]
# A network that gives each digit the probability 0.1 has the Brier score 0.81 + 9 × 0.01 = 0.9.
# Ours is far below. No mistake can cost more than 2; cross-entropy has no such limit.
#
# Why the mean, and not the sum? For its reports, `fit` multiplies the loss by `len(x)`. With a sum
# the reported loss would be wrong, and the gradient would be longer for larger batches.

# %% [markdown]
# ## Part 6: several outputs and losses
#
# ### One network, two outputs: multi-task learning
#
# A network can answer two questions about one image: which digit is it, and is it odd or even? The
# first layers are shared. Each answer has a last layer of its own, a *head*. The network returns a
# dict.


# %%
class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU())
        self.digit = nn.Linear(128, 10)
        self.odd = nn.Linear(128, 2)  # even, odd

    def forward(self, x):
        features = self.body(x)
        return {"digit": self.digit(features), "odd": self.odd(features)}


# %% [markdown]
# A sample now has two labels. `InputSpec` gives them names, so that the loop reads well. Without it
# they would be called `y_0` and `y_1`. (The size `None` stands for the batch.)

# %%
train_both = TensorDataset(train_images, train_digits, train_digits % 2)
eval_both = TensorDataset(eval_images, eval_digits, eval_digits % 2)

tl.seed(0)
model = tl.Model(
    TwoHeads(),
    inputs=[tl.InputSpec((None, 1, 28, 28), name="x")],
    labels=[
        tl.InputSpec((None,), "int64", name="digit"),
        tl.InputSpec((None,), "int64", name="odd"),
    ],
)
model.prepare(
    torch.optim.Adam(model.parameters(), lr=0.001),
    loss={"digit": nn.CrossEntropyLoss(), "odd": nn.CrossEntropyLoss()},
    metrics={"digit": tl.metrics.Accuracy(), "odd": tl.metrics.Accuracy()},
)

# %% [markdown]
# The keys say which loss and which metric belong to which output. What does the loop look like now?

# %%
model.unroll("fit", train_both, epochs=2)

# %% [markdown]
# Read the part around `loss`. Each output has its own loss, and **the optimizer sees their sum**.
# One backward pass goes through both heads; in the shared layers the gradients of both add up. Each
# loss is reported, so you can see which task is learned, and how well.

# %% tags=["nbval-ignore-output"]
history = model.fit(train_both, eval_both, epochs=2, verbose=0)
row = history.rows[-1]
for name in ("loss", "digit", "odd", "acc_digit", "acc_odd"):
    print(f"{name:9}  train {row[name]:.3f}   eval {row['eval_' + name]:.3f}")
assert abs(row["digit"] + row["odd"] - row["loss"]) < 1e-5
assert row["eval_acc_digit"] > 0.9 and row["eval_acc_odd"] > 0.93

# %% [markdown]
# `predict` gives what the network gives: a dict with an item for each output. Do the two answers
# fit together? An odd digit should be called odd.

# %% tags=["nbval-ignore-output"]
outputs = model.predict(eval_both, stack_outputs=True, verbose=0)
for name, output in outputs.items():
    print(f"{name}: {tuple(output.shape)}")
agree = outputs["digit"].argmax(dim=1) % 2 == outputs["odd"].argmax(dim=1)
print(f"the heads agree on {agree.float().mean():.3f} of the images")
assert agree.float().mean() > 0.9

# %% [markdown]
# A plain sum treats both tasks alike. If one matters more, write one loss function for all outputs,
# and put a factor before the loss that matters less. Lesson 6 writes such a function.

# %% [markdown]
# ## Part 7: shapes and labels that do not fit
#
# PyTorch refuses much that does not fit, but not everything. Here is a classic. Three predictions,
# all right; the mean squared error should be 0.

# %%
y_hat = torch.tensor([[1.0], [0.0], [1.0]])  # (3, 1)
y = torch.tensor([1.0, 0.0, 1.0])  # (3,)
print(f"mean squared error: {((y_hat - y) ** 2).mean():.4f}, of {(y_hat - y).numel()} differences")

# %% [markdown]
# A column minus a row gives a table (*broadcasting*): every prediction was compared with every
# label. No error, just a wrong number; the network would learn nonsense.
#
# Before they begin, `fit`, `evaluate` and `predict` try the first batch (a *dry run*). What
# cannot be right raises an error, and the message says what to do. We catch the errors and print
# them.


# %%
def refused(call):
    """Make a call that is to fail, and print why it did."""
    try:
        call()
    except (ValueError, TypeError) as error:
        print(textwrap.fill(f"{type(error).__name__}: {error}", 90))


def train(network, loss_fn, data):
    return lambda: trained(network, loss_fn, None, data)


# %% [markdown]
# Shapes `(N, 1)` and `(N,)`, as above; and a label that has no output, because the network knows
# nine classes, and there are ten digits.

# %%
floats_8 = TensorDataset(train_images, (train_digits == 8).float())
refused(train(new_network(1), nn.MSELoss(), floats_8))
refused(train(new_network(9), nn.CrossEntropyLoss(), train_data))

# %% [markdown]
# A loss that is no mean. And logits where a metric wants probabilities; that is what `OfLogits` is
# for:

# %%
refused(train(new_network(10), nn.CrossEntropyLoss(reduction="none"), train_data))
precision = tl.metrics.Precision()
precision.update(torch.tensor([-3.0, 0.5, 4.0]), torch.tensor([0, 0, 1]))
refused(precision.compute)

# %% [markdown]
# ## Summary
#
# - The loss is for the optimizer: smooth, with a gradient. A metric is for you: it may count.
# - Means are over samples. Add sums and counts; divide once.
# - A metric is `reset`, `update`, `compute`. A loss is a function that returns the mean of a batch.
# - With imbalanced classes the accuracy says little. Look at precision *and* recall; choose the
#   threshold by what a mistake costs. AUC judges all thresholds.
# - Class weights trade precision for recall. They change the meaning of the loss, as
#   `label_smoothing` does: compare losses only with losses of the same kind.
# - Several outputs: one loss for each, and the optimizer gets the sum.
#
# | question | answer |
# |---|---|
# | How many answers are right? | `Accuracy` |
# | How often is the label among the best k? | `Accuracy(topk=k)` |
# | How many of those predicted positive are positive? | `Precision` |
# | How many of the positives were found? | `Recall` |
# | Do positives score above negatives? | `Auc` |
# | Anything else | a class of your own, or one from torchmetrics |
#
# ### To think about
#
# 1. Train the weighted network with the weights 1, 3, 30 and 100 for an 8. Draw recall over
#    precision, a point for each. Draw the curve of thresholds of the plain network into the same
#    picture. Do the points lie on the curve?
# 2. Build the two-class network with one output: `new_network(1)`, labels of shape `(N, 1)`,
#    `BCEWithLogitsLoss(pos_weight=...)`. What must `OfLogits` do now instead of `softmax`?
# 3. Train with `label_smoothing=0.1` for 5 epochs. Compare the accuracy, and the mean of the best
#    probability, with those of the plain loss. Which network is less sure than it could be?

# %% [markdown]
# ## Exercises
#
# Write your code where it says `YOUR CODE HERE`, and take away the line `raise
# NotImplementedError()`. Then run the cell below it. The exercises need none of the cells above.
#
# If you do not know how to begin: `tl.hint("f1_score")` asks a question that helps, and gives a
# nudge when you run it again. `tl.progress()` shows what is solved.

# %% tags=["exercises"]
import torch
from torch.nn import functional as F

import tutorial as tl

torch.set_num_threads(1)

# %% [markdown]
# ### Exercise 1: the F1 score
#
# The *F1 score* is 2 · precision · recall / (precision + recall). Write it as a metric.
#
# `update` gets two tensors of the same length: the predictions and the labels of a batch, each 0 or
# 1. The result must not depend on how the samples are put into batches. If nothing is positive and
#    nothing is predicted positive, the score is 0.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "f1_score_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
class F1:
    def reset(self):
        ### BEGIN SOLUTION
        self.found, self.called, self.positive = 0, 0, 0
        ### END SOLUTION

    def update(self, predicted, truth):
        ### BEGIN SOLUTION
        self.found += ((predicted == 1) & (truth == 1)).sum().item()
        self.called += (predicted == 1).sum().item()
        self.positive += (truth == 1).sum().item()
        ### END SOLUTION

    def compute(self):
        ### BEGIN SOLUTION
        total = self.called + self.positive
        return 2 * self.found / total if total else 0.0
        ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "f1_score", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("f1_score", F1).require()
metric = F1()
metric.reset()
metric.update(torch.tensor([1, 1, 0]), torch.tensor([1, 0, 0]))
assert abs(metric.compute() - 2 / 3) < 1e-6
### END HIDDEN TESTS
tl.check("f1_score", F1)

# %% [markdown]
# ### Exercise 2: cross-entropy
#
# Write the cross-entropy yourself, without `F.cross_entropy` or `nn.CrossEntropyLoss`. `y_hat` has
# the logits, (B, C); `y` has the classes, (B,). Return the mean over the batch. It must also work
# for logits of a thousand.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "cross_entropy_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cross_entropy(y_hat, y):
    ### BEGIN SOLUTION
    log_probabilities = F.log_softmax(y_hat, dim=1)  # (B, C)
    return -log_probabilities[range(len(y)), y].mean()
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "cross_entropy", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("cross_entropy", cross_entropy).require()
y_hat, y = torch.tensor([[0.0, 0.0]]), torch.tensor([1])
assert torch.allclose(cross_entropy(y_hat, y), torch.tensor(2.0).log())
### END HIDDEN TESTS
tl.check("cross_entropy", cross_entropy)

# %% [markdown]
# ### Exercise 3: a threshold
#
# An image is predicted positive if its probability is at least the threshold. Find the highest
# threshold at which the recall is at least `recall`. Only the probabilities themselves come into
# question as thresholds.


# %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "highest_threshold_answer", "locked": false, "schema_version": 3, "solution": true, "task": false}
def highest_threshold(probabilities, truth, recall):
    ### BEGIN SOLUTION
    def found(threshold):
        return (probabilities[truth == 1] >= threshold).float().mean()

    return max(threshold for threshold in probabilities.tolist() if found(threshold) >= recall)
    ### END SOLUTION


# %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "highest_threshold", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
### BEGIN HIDDEN TESTS
tl.check("highest_threshold", highest_threshold).require()
probabilities, truth = torch.tensor([0.2, 0.9, 0.6, 0.4]), torch.tensor([1, 0, 1, 0])
assert abs(highest_threshold(probabilities, truth, 0.5) - 0.6) < 1e-6
### END HIDDEN TESTS
tl.check("highest_threshold", highest_threshold)
