"""Training loops written by hand, without this library: what the tests compare its loops with.

A case is a dict with a value for each option of test_equality.OPTIONS.
"""

import copy
from contextlib import nullcontext
from inspect import signature
from typing import Any

import torch
from fakes import Dicts, Normed, Samples, TwoHeads
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tutorial as tl


def make_network(case: dict[str, Any]) -> nn.Module:
    if case["network"] == "batch norm":
        return Normed(12)
    if case["network"] == "two heads":
        return TwoHeads()
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 3))


CLASS_WEIGHTS = torch.tensor([1.0, 2.0, 0.5])
KEYS = {
    "dropout": ("input", "label"),
    "batch norm": ("x", "label"),
    "two heads": ("left", "right", "label", "other"),
}


def parts(case: dict[str, Any], by_hand: bool = False) -> dict[str, Any]:
    """Network, optimizer, loss, metrics and data: the same at every call.

    By hand, one casts the weights for bf16, and chooses the fused optimizer; `prepare` does it too.
    """
    tl.seed(5)
    keys = KEYS[case["network"]]
    kind = Dicts if case["data"] == "dicts" else Samples
    samples = kind(150, keys)
    given = {
        "tensors": TensorDataset(*samples.whole()),
        "samples": samples,
        "dicts": samples,
        "loader": DataLoader(
            samples,
            batch_size=case["batch_size"],
            shuffle=case["shuffle"],
            drop_last=case["drop_last"],
        ),
        "batches": list(zip(*(part.split(40) for part in samples.whole()), strict=True)),
    }
    network = make_network(case)
    kind_of_optimizer = getattr(torch.optim, case["optimizer"])
    options = {"momentum": 0.9, "nesterov": True} if case["optimizer"] == "SGD" else {}
    if by_hand and case["precision"] == "bf16":
        for module in network.modules():
            if isinstance(module, nn.Linear):
                module.to(torch.bfloat16)
    momentum_overflows = case["optimizer"] == "SGD" and case["precision"] == "16-mixed"
    if by_hand and "fused" in signature(kind_of_optimizer).parameters and not momentum_overflows:
        options["fused"] = True
    optimizer = kind_of_optimizer(network.parameters(), lr=0.05, **options)
    metrics: Any = [tl.metrics.Accuracy(), tl.metrics.Accuracy(topk=(1, 2), name="best")]
    metrics = metrics[: case["metrics"]]
    weight = CLASS_WEIGHTS if case["class_weights"] else None
    loss_fn: Any = nn.CrossEntropyLoss(weight, label_smoothing=0.1)
    if case["network"] == "two heads":
        loss_fn, metrics = [loss_fn, nn.CrossEntropyLoss()], [metrics, []]
    schedule = case["schedule"] and torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
    return {
        "network": network,
        "optimizer": optimizer,
        "loss_fn": loss_fn,
        "metrics": metrics,
        "samples": samples,
        "train_data": given[case["data"]],
        "eval_data": kind(70, keys) if case["eval_data"] else None,
        "schedule": schedule,
    }


def train(case: dict[str, Any]) -> dict[str, Any]:
    """What a careful person writes without this library."""
    p = parts(case, by_hand=True)
    network, optimizer = p["network"], p["optimizer"]
    precision = case["precision"]
    autocast = (
        nullcontext()
        if precision == "32"
        else torch.autocast("cpu", torch.float16 if precision == "16-mixed" else torch.bfloat16)
    )
    scaler = torch.amp.GradScaler("cpu", enabled=precision == "16-mixed")
    loader = p["train_data"]
    if case["data"] in ("tensors", "samples", "dicts"):
        loader = DataLoader(
            loader,
            batch_size=case["batch_size"],
            shuffle=case["shuffle"],
            drop_last=case["drop_last"],
        )

    def forward(batch: Any) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """The losses (of two heads: both), their sum in front; and the scores of the first head."""
        tensors = list(batch.values()) if isinstance(batch, dict) else list(batch)
        half = len(tensors) // 2
        with autocast:
            y_hat = network(*tensors[:half])
            if half == 1:
                losses = [p["loss_fn"](y_hat, tensors[1])]
            else:
                each = zip(p["loss_fn"], y_hat, tensors[2:], strict=True)
                losses = [fn(guess, truth) for fn, guess, truth in each]
                losses = [losses[0] + losses[1], *losses]
        return losses, tensors, y_hat if half == 1 else y_hat[0]

    def size(tensors: list[torch.Tensor]) -> float:
        """What a batch counts in a mean."""
        if case["class_weights"] and len(tensors) == 2:
            return p["loss_fn"].weight[tensors[1]].sum().item()
        return len(tensors[0])

    k, limit = case["accumulate_grad_batches"], case["num_iters"]
    tl.seed(6)
    step_losses: list[float] = []
    rows: list[dict[str, Any]] = []
    recorded: list[Any] = [{}]
    best, best_weights, worse = float("inf"), None, 0
    for epoch in range(case["epochs"]):
        network.train()
        means = Means(case)
        group = 0.0
        for i, batch in enumerate(loader):
            losses, tensors, y_hat = forward(batch)
            n = size(tensors)
            scaler.scale(losses[0] if k == 1 else losses[0] * n).backward()
            group += n
            step_losses.append(losses[0].item())
            if (i + 1) % k == 0 or i + 1 == len(loader) or len(step_losses) == limit:
                if k > 1:
                    for weight in network.parameters():
                        weight.grad /= group
                if case["clip_grad_norm"] is not None:
                    scaler.unscale_(optimizer)
                    nn.utils.clip_grad_norm_(network.parameters(), case["clip_grad_norm"])
                before = scaler.get_scale()
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()
                group = 0.0
                if case["schedule"] == "step" and scaler.get_scale() >= before:
                    p["schedule"].step()
            means.update(losses, y_hat, tensors, n)
            recorded.append((i, means.value() | {"batch_size": n}))
            if len(step_losses) == limit:
                break
        rows.append({"epoch": epoch + 1} | means.value())
        if case["schedule"] == "epoch":
            p["schedule"].step()
        last = epoch + 1 == case["epochs"] or len(step_losses) == limit
        if p["eval_data"] is not None and (last or (epoch + 1) % case["eval_freq"] == 0):
            network.eval()
            means = Means(case)
            with torch.no_grad():
                for batch in DataLoader(p["eval_data"], batch_size=case["batch_size"]):
                    losses, tensors, y_hat = forward(batch)
                    means.update(losses, y_hat, tensors, size(tensors))
            rows[-1] |= {f"eval_{name}": value for name, value in means.value().items()}
            recorded.append(means.value())
            if stops(case):
                if means.value()["loss"] < best:
                    best, worse = means.value()["loss"], 0
                    best_weights = copy.deepcopy(network.state_dict())
                else:
                    worse = 1
                    break
        if len(step_losses) == limit:
            break
    if worse:
        network.load_state_dict(best_weights)
    return {
        "step_losses": step_losses,
        "rows": rows,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "recorded": [recorded] if case["callbacks"] and not stops(case) else [],
    }


class Means:
    """The means so far of the losses and metrics of a case."""

    def __init__(self, case: dict[str, Any]) -> None:
        names = [[], ["acc"], ["acc", "best_top1", "best_top2"]][case["metrics"]]
        heads = case["network"] == "two heads"
        self.names = [f"{name}_0" if heads else name for name in names]
        self.losses = ["loss", "loss_0", "loss_1"] if heads else ["loss"]
        self.sums, self.weight, self.count = [0.0] * len(self.losses), 0.0, 0
        self.right = torch.zeros(3, dtype=torch.long)

    def update(self, losses: list[Any], y_hat: Any, tensors: list[Any], size: float) -> None:
        self.sums = [s + loss.item() * size for s, loss in zip(self.sums, losses, strict=True)]
        self.weight += size
        self.count += len(tensors[0])
        best = (
            y_hat.detach().sort(dim=1, descending=True).indices
            == tensors[len(tensors) // 2][:, None]
        )
        self.right += torch.stack([best[:, 0].sum(), best[:, 0].sum(), best[:, :2].sum()])

    def value(self) -> dict[str, float]:
        shares = [n / self.count for n in self.right.tolist()]
        return {
            **{name: s / self.weight for name, s in zip(self.losses, self.sums, strict=True)},
            **dict(zip(self.names, shares, strict=False)),
        }


def stops(case: dict[str, Any]) -> bool:
    return case["callbacks"] == "early stopping" and case["eval_data"]
