"""Training loops written by hand, without this library: what the tests compare its loops with.

A case is a dict with a value for each option of test_equality.OPTIONS.
"""

import copy
import math
from contextlib import nullcontext
from inspect import signature
from typing import Any

import torch
from fakes import Averaging, Dicts, Normed, Samples, TwoHeads
from torch import distributed as dist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import tutorial as tl


def make_network(case: dict[str, Any]) -> nn.Module:
    """Smooth functions, so that a rounding before them is no more than that in the gradient."""
    if case["network"] == "batch norm":
        return Normed(12)
    if case["network"] == "two heads":
        return TwoHeads()
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Dropout(), nn.Linear(16, 3))


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
    samples = kind(155, keys)
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
    kind_of_optimizer = {"Averaging": Averaging}.get(case["optimizer"])
    kind_of_optimizer = kind_of_optimizer or getattr(torch.optim, case["optimizer"])
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
    """What a careful person writes without this library: in each process, if there are several."""
    p = parts(case, by_hand=True)
    network, optimizer = p["network"], p["optimizer"]
    has_modes = isinstance(optimizer, Averaging)
    world_size = dist.get_world_size() if dist.is_initialized() else 1
    rank = dist.get_rank() if world_size > 1 else 0
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
            batch_size=case["batch_size"] * world_size,
            shuffle=case["shuffle"],
            drop_last=case["drop_last"],
        )

    def forward(tensors: list[torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
        """The losses (of two heads: both), their sum in front; and the scores of the first head."""
        half = len(tensors) // 2
        with autocast:
            y_hat = network(*tensors[:half])
            if half == 1:
                return [p["loss_fn"](y_hat, tensors[1])], y_hat
            each = zip(p["loss_fn"], y_hat, tensors[2:], strict=True)
            losses = [fn(guess, truth) for fn, guess, truth in each]
            return [losses[0] + losses[1], *losses], y_hat[0]

    def size(tensors: list[torch.Tensor]) -> float:
        """What a batch counts in a mean."""
        if case["class_weights"] and len(tensors) == 2:
            return p["loss_fn"].weight[tensors[1]].sum().item()
        return len(tensors[0])

    def sizes(tensors: list[torch.Tensor]) -> list[float]:
        """The same for each of two losses."""
        if len(tensors) == 2:
            return []
        first = CLASS_WEIGHTS[tensors[2]].sum().item() if case["class_weights"] else len(tensors[0])
        return [first, len(tensors[0])]

    k, limit = case["accumulate_grad_batches"], case["num_iters"]
    tl.seed(6)
    step_losses: list[float] = []
    rows: list[dict[str, Any]] = []
    recorded: list[Any] = [{}]
    best, best_weights, worse = float("inf"), None, 0
    for epoch in range(case["epochs"]):
        if world_size > 1:  # the processes draw the same order
            random_state = torch.get_rng_state()
            dist.broadcast(random_state, 0)
            torch.set_rng_state(random_state)
        network.train()
        if has_modes:
            optimizer.train()
        means = Means(case)
        group = 0.0
        for i, batch in enumerate(loader):
            tensors = [part[rank::world_size] for part in tensors_of(batch)]
            losses, y_hat = forward(tensors)
            n = total = size(tensors)
            loss, step_loss = losses[0], losses[0].item()
            if world_size > 1:  # the mean over the samples of all processes
                loss_sum, total = over_all([step_loss * n, n])
                step_loss = loss_sum / total
            if k > 1:
                loss = loss * n
            elif world_size > 1:
                loss = loss * n * world_size / total
            scaler.scale(loss).backward()
            if world_size > 1:
                for weight in network.parameters():
                    dist.all_reduce(weight.grad)
                    weight.grad /= world_size
            group += total / world_size
            step_losses.append(step_loss)
            if (i + 1) % k == 0 or i + 1 == len(loader) or len(step_losses) == limit:
                before = scaler.get_scale()
                update(optimizer, scaler, group if k > 1 else None, case["clip_grad_norm"])
                group = 0.0
                if case["schedule"] == "step" and scaler.get_scale() >= before:
                    p["schedule"].step()
            means.update(step_loss, total, losses, sizes(tensors), y_hat, tensors)
            recorded.append((i, means.value() | {"batch_size": len(tensors[0])}))
            if len(step_losses) == limit:
                break
        rows.append({"epoch": epoch + 1} | means.value())
        if world_size > 1:
            for buffer in network.buffers():  # batch norm's, which differ
                dist.broadcast(buffer, 0)
        if case["schedule"] == "epoch":
            p["schedule"].step()
        last = epoch + 1 == case["epochs"] or len(step_losses) == limit
        if p["eval_data"] is not None and (last or (epoch + 1) % case["eval_freq"] == 0):
            network.eval()
            if has_modes:
                optimizer.eval()
            means = Means(case)
            batches = list(DataLoader(p["eval_data"], batch_size=case["batch_size"]))
            share = math.ceil(len(batches) / world_size)
            with torch.no_grad():
                for batch in batches[rank * share : (rank + 1) * share]:
                    tensors = tensors_of(batch)
                    losses, y_hat = forward(tensors)
                    n = size(tensors)
                    means.update(losses[0].item(), n, losses, sizes(tensors), y_hat, tensors)
            means.loss_sum, means.size = over_all([means.loss_sum, means.size])
            rows[-1] |= {f"eval_{name}": value for name, value in means.value().items()}
            recorded.append(means.value())
            if stops(case):
                if means.value()["loss"] < best:
                    best, worse = means.value()["loss"], 0
                    best_weights = copy.deepcopy(network.state_dict())
                else:
                    worse = 1
                    break
        if has_modes and case["save_dir"]:
            optimizer.eval()
        if len(step_losses) == limit:
            break
    if has_modes:
        optimizer.eval()
    if worse:
        network.load_state_dict(best_weights)
    return {
        "step_losses": step_losses,
        "rows": rows,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "recorded": [recorded] if case["callbacks"] and not stops(case) else [],
    }


def update(
    optimizer: Any, scaler: Any, group: float | None = None, clip_grad_norm: float | None = None
) -> None:
    """The gradients divided by the samples of a group, clipped; one step; and forgotten."""
    weights = [weight for param_group in optimizer.param_groups for weight in param_group["params"]]
    if group is not None:
        for weight in weights:
            weight.grad /= group
    if clip_grad_norm is not None:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(weights, clip_grad_norm)
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()


def tensors_of(batch: Any) -> list[torch.Tensor]:
    return list(batch.values()) if isinstance(batch, dict) else list(batch)


def over_all(numbers: list[float]) -> list[float]:
    """The sums over all processes."""
    sums = torch.tensor(numbers, dtype=torch.float64)
    if dist.is_initialized():
        dist.all_reduce(sums)
    return sums.tolist()


class Means:
    """The means so far of the losses and metrics of a case."""

    def __init__(self, case: dict[str, Any]) -> None:
        heads = case["network"] == "two heads"
        names = [[], ["acc"], ["acc", "best_top1", "best_top2"]][case["metrics"]]
        self.names = [f"{name}_0" if heads else name for name in names]
        self.loss_sum, self.size = 0.0, 0.0
        self.parts = {"loss_0": 0.0, "loss_1": 0.0} if heads else {}  # of this process
        # Where some labels could be to ignore, each loss has its own mean, and these are summed.
        known = case["data"] in ("tensors", "batches") and not case["eval_data"]
        self.differ = heads and (case["class_weights"] or not known)
        self.sizes, self.count, self.right = [0.0] * len(self.parts), 0, [0, 0]

    def update(
        self, loss: float, size: float, losses: Any, sizes: list[float], y_hat: Any, tensors: Any
    ) -> None:
        self.loss_sum += loss * size
        self.size += size
        for i, (name, part) in enumerate(zip(self.parts, losses[1:], strict=True)):
            self.parts[name] += part.item() * sizes[i]
            self.sizes[i] += sizes[i]
        best = y_hat.detach().sort(dim=1, descending=True).indices
        right = best == tensors[len(tensors) // 2][:, None]
        self.count += len(right)
        self.right = [
            n + right[:, :k].sum().item() for n, k in zip(self.right, (1, 2), strict=True)
        ]

    def value(self) -> dict[str, float]:
        *sums, count, first, two = over_all(
            [*self.parts.values(), *self.sizes, self.count, *self.right]
        )
        parts = [part / size for part, size in zip(sums, sums[len(self.parts) :], strict=False)]
        shares = [first / count, first / count, two / count]
        return {
            "loss": sum(parts) if self.differ else self.loss_sum / self.size,
            **dict(zip(self.parts, parts, strict=True)),
            **dict(zip(self.names, shares, strict=False)),
        }


def stops(case: dict[str, Any]) -> bool:
    return case["callbacks"] == "early stopping" and case["eval_data"]
