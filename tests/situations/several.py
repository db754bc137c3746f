"""Several inputs, outputs, labels, losses and metrics."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

import tutorial as tl

from .language import Rows
from .situation import OF_A_BATCH, Case, Head, points, situation


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def forward(self, a, b):
        return self.fc(a), self.fc(b)


def contrastive(za, zb, same):
    d = (za - zb).square().sum(1)
    return (same * d + (1 - same) * F.relu(1 - d.sqrt())).mean()


@situation(34, "siamese (a, b, same), contrastive loss")
def siamese() -> Case:
    data = TensorDataset(torch.randn(12, 6), torch.randn(12, 6), torch.arange(12.0) % 2)
    return Case(
        Siamese(), contrastive, data,
        step=lambda network, loss, batch: loss(*network(batch[0], batch[1]), batch[2]),
        predict=lambda network, batch: network(batch[0], batch[1]),
    )  # fmt: skip


class Pairs(Dataset):
    """((a, b), same)"""

    def __init__(self, samples: int = 12) -> None:
        self.a, self.b = torch.randn(samples, 6), torch.randn(samples, 6)

    def __len__(self) -> int:
        return len(self.a)

    def __getitem__(self, i):
        return (self.a[i], self.b[i]), float(i % 2)


def contrastive_double(za, zb, same):
    return contrastive(za, zb, same.float())


@situation(35, "siamese ((a, b), same)")
def siamese_nested() -> Case:
    return Case(
        Siamese(), contrastive_double, Pairs(),
        step=lambda network, loss, batch: loss(*network(*batch[0]), batch[1]),
        predict=lambda network, batch: network(*batch[0]),
    )  # fmt: skip


class Triplet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, anchor, positive, negative):
        return self.fc(anchor), self.fc(positive), self.fc(negative)


def triplets() -> TensorDataset:
    return TensorDataset(*(torch.randn(12, 4) for _ in range(3)))


def triplet_case(**more) -> Case:
    return Case(
        Triplet(), nn.TripletMarginLoss(), triplets(),
        step=lambda network, loss, batch: loss(*network(*batch)),
        predict=lambda network, batch: network(*batch), **more,
    )  # fmt: skip


@situation(36, "triplets (a, p, n), no labels")
def triplets_unsaid() -> Case:
    return triplet_case()


@situation(37, "triplets with inputs=[three InputSpecs], labels=[]")
def triplets_said() -> Case:
    specs = [tl.InputSpec((None, 4), name=name) for name in ("anchor", "positive", "negative")]
    return triplet_case(model={"inputs": specs, "labels": []})


def info_nce(z1, z2):
    logits = F.normalize(z1) @ F.normalize(z2).T / 0.5
    return F.cross_entropy(logits, torch.arange(len(z1)))


class Views(Dataset):
    def __init__(self, features: int = 4) -> None:
        self.x = torch.randn(12, features)

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i):
        return self.x[i], self.x[i] + 0.1


class TwoViews(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, view1, view2):
        return self.fc(view1), self.fc(view2)


@situation(38, "SimCLR: the data set gives (view1, view2), forward takes both", **OF_A_BATCH)
def views() -> Case:
    return Case(
        TwoViews(), info_nce, Views(),
        step=lambda network, loss, batch: loss(*network(*batch)),
        predict=lambda network, batch: network(*batch),
    )  # fmt: skip


@situation(39, "SimCLR, both as InputSpecs, labels=[]", **OF_A_BATCH)
def views_said() -> Case:
    specs = [tl.InputSpec((None, 4), name=name) for name in ("view1", "view2")]
    return Case(
        TwoViews(), info_nce, Views(), model={"inputs": specs, "labels": []},
        step=lambda network, loss, batch: loss(*network(*batch)),
        predict=lambda network, batch: network(*batch),
    )  # fmt: skip


def mixup(items):
    x, y = torch.stack([x for x, _ in items]), torch.stack([y for _, y in items])
    lam = float(torch.rand(()))
    return lam * x + (1 - lam) * x.flip(0), (y, y.flip(0), torch.full((len(x),), lam))


def mixup_loss(y_hat, ya, yb, lam):
    a, b = (F.cross_entropy(y_hat, y, reduction="none") for y in (ya, yb))
    return (lam * a + (1 - lam) * b).mean()


@situation(40, "mixup in collate_fn, (x, (ya, yb, lam))")
def mixed_up() -> Case:
    data = DataLoader(points(), 4, shuffle=True, collate_fn=mixup)
    return Case(
        nn.Linear(4, 3), mixup_loss, data, size=lambda batch: len(batch[0]),
        step=lambda network, loss, batch: loss(network(batch[0]), *batch[1]),
        without=("evaluate", "predict"),  # random
    )  # fmt: skip


class Tasks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 2)

    def forward(self, x):
        return {"kind": self.a(x), "side": self.b(x)}


class TaskRows(Dataset):
    """(x, {"kind": ..., "side": ...})"""

    def __init__(self) -> None:
        self.x = torch.randn(12, 4)

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i):
        return self.x[i], {"kind": i % 3, "side": i % 2}


@situation(41, "multi-task: a dict of outputs, of labels, and of losses")
def multi_task() -> Case:
    def step(network, loss, batch):
        y_hat = network(batch[0])
        return sum(loss[name](y_hat[name], batch[1][name]) for name in loss)

    losses = {"kind": nn.CrossEntropyLoss(), "side": nn.CrossEntropyLoss()}
    return Case(Tasks(), losses, TaskRows(), step=step, size=lambda batch: len(batch[0]))


@situation(42, "multi-task: one loss over both dicts, loss(y_hat, y)")
def loss_over_dicts() -> Case:
    def loss(y_hat, y):
        return sum(F.cross_entropy(y_hat[name], y[name]) for name in y)

    return Case(Tasks(), loss, TaskRows(), size=lambda batch: len(batch[0]))


@situation(
    82,
    "(tokens, labels, mask) and forward(tokens, mask)",
    refused="can be read in 2 ways.*Put the inputs into one tuple",
    instead="`((tokens, mask), labels)`, or a dict with the names of forward",
)
def tokens_labels_mask() -> Case:
    data = TensorDataset(
        torch.randint(0, 9, (8, 5)), torch.randint(0, 2, (8, 5)), torch.ones(8, 5, dtype=torch.long)
    )
    return Case(
        Tagger(), nn.CrossEntropyLoss(), data,
        step=lambda network, loss, batch: loss(network(batch[0], batch[2]), batch[1]),
        predict=lambda network, batch: network(batch[0], batch[2]),
    )  # fmt: skip


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.fc = nn.Embedding(9, 8), nn.Linear(8, 2)

    def forward(self, tokens, mask):
        return self.fc(self.embed(tokens) * mask[..., None]).transpose(1, 2)


@situation(82, "the same as a dict {tokens, labels, mask}")
def tokens_dict() -> Case:
    data = Rows(
        tokens=torch.randint(0, 9, (8, 5)),
        labels=torch.randint(0, 2, (8, 5)),
        mask=torch.ones(8, 5, dtype=torch.long),
    )
    return Case(
        Tagger(), nn.CrossEntropyLoss(), data, size=lambda batch: len(batch["tokens"]),
        step=lambda network, loss, b: loss(network(b["tokens"], b["mask"]), b["labels"]),
        predict=lambda network, b: network(b["tokens"], b["mask"]),
    )  # fmt: skip


class Fields(NamedTuple):
    weight: torch.Tensor
    target: torch.Tensor
    x: torch.Tensor


class FieldRows(Dataset):
    """A NamedTuple whose fields are in another order than the loss has them."""

    def __init__(self) -> None:
        self.x, self.w = torch.randn(12, 4), torch.rand(12)

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i):
        return Fields(self.w[i], i % 3, self.x[i])


def weighted(y_hat, target, weight):
    return (weight * F.cross_entropy(y_hat, target, reduction="none")).mean()


def keyword_weighted(y_hat, *, weight, target):
    return weighted(y_hat, target, weight)


class TakesX(Head):
    def forward(self, x, mask=None):
        assert mask is None or mask.shape == x.shape
        return self.fc(x if mask is None else x * mask)


@situation(
    81,
    "a NamedTuple in another order; a loss with keyword-only parameters",
    each={"by place": weighted, "by keyword": keyword_weighted},
)
def named_fields(loss) -> Case:
    return Case(
        TakesX(), loss, FieldRows(), size=lambda batch: len(batch.x),
        step=lambda net, loss, b: loss(net(b.x), target=b.target, weight=b.weight),
        predict=lambda net, b: net(b.x),
    )  # fmt: skip


@situation(
    81,
    "forward(x, mask=None): a dict that has a mask, and one that has not",
    each={"mask": True, "none": False},
)
def optional_input(masked) -> Case:
    more = {"mask": torch.randint(0, 2, (12, 4))} if masked else {}
    data = Rows(y=torch.arange(12) % 3, **more, x=torch.randn(12, 4))
    return Case(
        TakesX(), nn.CrossEntropyLoss(), data, size=lambda batch: len(batch["y"]),
        step=lambda net, loss, b: loss(net(b["x"], b.get("mask")), b["y"]),
        predict=lambda net, b: net(b["x"], b.get("mask")),
    )  # fmt: skip


class Named(NamedTuple):
    features: torch.Tensor
    logits: torch.Tensor


class GivesNamed(Head):
    def forward(self, x):
        return Named(x, self.fc(x))


@situation(22, "outputs in a NamedTuple, loss(logits, target, features) by their names")
def named_outputs() -> Case:
    def loss(logits, target, features):
        return F.cross_entropy(logits, target) + 0.01 * features.square().mean()

    return Case(
        GivesNamed(), loss, points(),
        step=lambda net, loss, b: loss(net(b[0]).logits, b[1], net(b[0]).features),
    )  # fmt: skip


class WithEmbedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(4, 3), nn.Linear(3, 3)

    def forward(self, x):
        z = self.body(x)
        return self.head(z), z


@situation(83, "(logits, embedding) of one shape, metrics=[one, another]: of the logits")
def metrics_unsaid() -> None:
    two_metrics([tl.metrics.Accuracy(), tl.metrics.Accuracy(topk=(1, 2), name="best")])


@situation(83, "(logits, embedding), metrics={0: [one, another]}")
def metrics_said() -> None:
    two_metrics({0: [tl.metrics.Accuracy(), tl.metrics.Accuracy(topk=(1, 2), name="best")]})


def two_metrics(metrics) -> None:
    def loss(logits, embedding, y):
        return F.cross_entropy(logits, y)

    network, data = WithEmbedding(), points(60)
    model = tl.Model(network)
    model.prepare(torch.optim.SGD(network.parameters(), lr=0.0), loss, metrics)
    found = model.evaluate(data, verbose=0)
    with torch.no_grad():
        guess = network(data.tensors[0])[0].topk(2, dim=1).indices
    right = guess == data.tensors[1][:, None]
    _, first, _, best = found.values()
    assert abs(first - right[:, 0].float().mean()) < 1e-6, found
    assert abs(best - right.any(1).float().mean()) < 1e-6, found


class LogitsOrNone(Head):
    def forward(self, x):
        return self.fc(x), None


class Policy(Head):
    def forward(self, x):
        return torch.distributions.Categorical(logits=self.fc(x))


def reinforce(policy, action, reward):
    return -(policy.log_prob(action) * reward).mean()


@situation(84, "outputs (logits, None)")
def output_none() -> Case:
    def loss(logits, nothing, y):
        return F.cross_entropy(logits, y)

    def step(network, loss, batch):
        return loss(*network(batch[0]), batch[1])

    return Case(LogitsOrNone(), loss, points(), step=step)


@situation(84, "the output is a Distribution: REINFORCE on logged data")
def distribution() -> Case:
    data = TensorDataset(torch.randn(12, 4), torch.arange(12) % 3, torch.rand(12))
    return Case(
        Policy(), reinforce, data, step=lambda net, loss, batch: loss(net(batch[0]), *batch[1:]),
        without=("predict",),
    )  # fmt: skip


class KeywordOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, *, image, text):
        return self.image(image) + self.text(text)


@situation(70, "keyword-only inputs, a dict data set")
def keyword_only() -> Case:
    data = Rows(text=torch.randn(12, 4), image=torch.randn(12, 4), label=torch.arange(12) % 3)
    return Case(
        KeywordOnly(), nn.CrossEntropyLoss(), data, size=lambda batch: len(batch["label"]),
        step=lambda net, loss, b: loss(net(image=b["image"], text=b["text"]), b["label"]),
        predict=lambda net, b: net(image=b["image"], text=b["text"]),
    )  # fmt: skip
