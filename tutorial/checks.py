"""Bad input is refused here, before anything is trained, changed or lost.

Each message names the argument, the value seen, what was expected, and the fix.
"""

import copy
import inspect
from collections.abc import Iterable, Mapping, Sized
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    Subset,
    TensorDataset,
    default_collate,
    default_convert,
)

from tutorial.device import unchanged_randomness

# Losses that take class indices, and losses that take labels in the shape of the predictions.
BY_INDEX = (nn.CrossEntropyLoss, nn.NLLLoss, F.cross_entropy, F.nll_loss)
BY_SHAPE = (
    nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCELoss, nn.BCEWithLogitsLoss,
    nn.PoissonNLLLoss, nn.KLDivLoss, nn.SoftMarginLoss, F.mse_loss, F.l1_loss, F.smooth_l1_loss,
    F.huber_loss, F.binary_cross_entropy, F.binary_cross_entropy_with_logits, F.poisson_nll_loss,
)  # fmt: skip


def whole_number(name: str, value: Any, least: int, none: bool = False) -> None:
    """Refuse what is not a whole number from `least` on (or None, where that means 'no limit')."""
    if value is None and none:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"{name} is {value!r}, but a whole number of at least {least} is expected"
            f"{', or None' if none else ''}."
        )


def positive(name: str, value: Any) -> None:
    """Refuse what is neither a positive number nor None."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and 0 < value < float("inf")):
        raise ValueError(f"{name} is {value!r}, but a finite number above 0 is expected, or None.")


def yes_or_no(**arguments: Any) -> None:
    """Refuse what is neither True nor False: the text "no" would count as yes."""
    for name, value in arguments.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}, but True or False is expected.")


def batch_sizes(value: Any) -> tuple[Any, Any]:
    """The sizes for training and for evaluation, from one number or a pair."""
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise ValueError(
                f"batch_size is {value!r}, but one number is expected, or a pair of them: for "
                "training and for evaluation."
            )
        return value[0], value[1]
    return value, value


def optimizer_fits(optimizer: Any) -> None:
    """Refuse what is no optimizer, or one that a plain loop cannot step."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(
            f"optimizer is {optimizer!r}, but a torch.optim optimizer is expected, such as "
            "torch.optim.Adam(model.parameters(), lr=1e-3)."
        )
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise ValueError(
            f"optimizer is {type(optimizer).__name__}, which computes the loss several times in a "
            "step and needs a closure for that; the loop of fit takes one step for each loss. "
            "Choose another one, such as torch.optim.Adam."
        )


def metric_fits(metric: Any) -> None:
    """Refuse what cannot measure."""
    missing = [verb for verb in ("reset", "update", "compute") if not hasattr(metric, verb)]
    if missing or isinstance(metric, type):
        raise TypeError(
            f"metrics holds {metric!r}, but objects with reset(), update(y_hat, y) and compute() "
            "are expected, such as tutorial.metrics.Accuracy()."
        )


def names_differ(names: list[str]) -> None:
    """Refuse two values of one name: one would hide the other."""
    doubled = {name for name in names if [*names, "loss", "epoch"].count(name) > 1}
    if doubled:
        raise ValueError(
            f"metrics would report two values as {sorted(doubled)[0]!r}, but each name can stand "
            'once. Give one of them a name of its own, such as Accuracy(name="top1").'
        )


def loss_given(loss_fn: Any) -> None:
    """Refuse to measure without a loss."""
    if loss_fn is None:
        raise ValueError(
            "the model has no loss. Call model.prepare(loss=nn.CrossEntropyLoss()) before."
        )


def loss_fits(loss_fn: Any) -> None:
    """Refuse what cannot be called with predictions and labels."""
    if not callable(loss_fn):
        raise TypeError(
            f"loss is {loss_fn!r}, but a callable loss(y_hat, y) is expected, such as "
            "nn.CrossEntropyLoss()."
        )
    if isinstance(loss_fn, type):
        raise TypeError(
            f"loss is the class {loss_fn.__name__}, but an object is expected that can be called: "
            f"put brackets after it, {loss_fn.__name__}()."
        )


def loop_given(loop: Any) -> None:
    """Refuse a loop that cannot run."""
    if (
        loop is not None
        and not isinstance(loop, str)
        and not callable(loop)
        and not hasattr(loop, "source")
    ):
        raise TypeError(
            f"loop is {loop!r}, but a Program, its source as text, or a function is expected."
        )
    if isinstance(loop, str):
        try:
            compile(loop, "<loop>", "exec")
        except SyntaxError as error:
            raise ValueError(
                f"loop is not valid Python: line {error.lineno}: {error.msg}: "
                f"{(error.text or '').strip()!r}."
            ) from error


def a_batch_remains(name: str, samples: int, batch_size: int) -> None:
    """Refuse to drop the only batch."""
    if samples < batch_size:
        raise ValueError(
            f"{name} has {samples} samples, fewer than batch_size={batch_size}, and drop_last=True "
            "leaves out a short batch, so nothing is left. Make batch_size smaller."
        )


def data_given(name: str, data: Any) -> None:
    """Refuse what no batch can come from."""
    batches = hasattr(data, "__iter__")
    samples = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if isinstance(data, type | str | bytes | Mapping) or not (batches or samples):
        raise TypeError(
            f"{name} is {_kind(data)}, but a Dataset (with its length), a DataLoader or an "
            "iterable of batches (x, y) is expected, such as TensorDataset(images, labels)."
        )
    if isinstance(data, Sized) and _length(data) == 0:
        dropped = getattr(data, "drop_last", False)
        raise ValueError(
            f"{name} is empty (its length is 0), but at least one sample is expected."
            f"{' Its drop_last=True leaves out a short batch.' if dropped else ''}"
        )


def trainable(network: nn.Module, optimizer: Any, loss_fn: Any) -> None:
    """Refuse to train without an optimizer, a loss, or an optimizer that moves the network."""
    if optimizer is None:
        raise ValueError(
            "the model has no optimizer. Call model.prepare(optimizer=torch.optim.Adam("
            "model.parameters()), loss=nn.CrossEntropyLoss()) before training."
        )
    loss_given(loss_fn)
    if not any(weight.requires_grad for weight in network.parameters()):
        raise ValueError(
            "none of the network's parameters can learn: all are frozen, or there are none. Let "
            "some learn: network.requires_grad_(True)."
        )
    held = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    forgotten = [
        name
        for name, weight in network.named_parameters()
        if weight.requires_grad and id(weight) not in held
    ]
    if forgotten:
        raise ValueError(
            f"the optimizer does not hold {len(forgotten)} of the network's parameters "
            f"({', '.join(forgotten[:3])}{', ...' if len(forgotten) > 3 else ''}), so they would "
            "never learn. Make it with this network's model.parameters(), or freeze what is not "
            "to learn: weight.requires_grad_(False)."
        )


def length_needed(name: str, data: Any, why: str) -> None:
    """Refuse data without a length where the loop must know its last batch beforehand."""
    if isinstance(data, IterableDataset) or _length(data) is None:
        raise TypeError(
            f"{name} has no length (len({name}) fails), but {why} needs to know which batch is the "
            "last. Give a Dataset or a list of batches, or leave that option out."
        )


def passes_possible(name: str, data: Any, passes: int) -> None:
    """Refuse an iterator, which can be used once, for several passes."""
    if passes > 1 and not isinstance(data, DataLoader) and iter(data) is data:
        raise ValueError(
            f"{name} is an iterator, which is used up after one pass, but {passes} passes are to "
            "be made. Give something that can be read again, such as a list of batches."
        )


def rehearse(
    name: str,
    data: Any,
    fetch: str,
    network: nn.Module,
    loss_fn: Any,
    device: str,
    metrics: Iterable[Any] = (),
) -> None:
    """Send one or two samples through network, loss and metrics, and explain what fails.

    Nothing changes by it: the network is in evaluation mode, no gradient is kept, and chance goes
    on as if nothing had been drawn. An iterator is not touched, since a batch cannot be put back.
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with unchanged_randomness(), torch.set_grad_enabled(name == "train_data"):
            batch = first_samples(data, fetch)
            if batch is None:
                return
            if not isinstance(batch, list | tuple) or len(batch) != 2:
                raise ValueError(
                    f"{name} gives {_kind(batch)} for a batch, but a pair (x, y) of inputs and "
                    "labels is expected. Two tensors become pairs with TensorDataset(x, y)."
                )
            x, y = (part.to(device) if hasattr(part, "to") else part for part in batch)
            y_hat = _rehearse_network(name, network, x)
            labels_fit(name, y_hat, y, _all_labels(data), loss_fn)
            loss = _rehearse_loss(name, loss_fn, y_hat, y)
            _rehearse_metrics(name, metrics, y_hat, y)
    except Exception as error:
        error.add_note(f"(seen in a rehearsal with the first samples of {name}; nothing changed)")
        raise
    finally:
        for module, mode in modes.items():
            module.training = mode
    if not isinstance(loss, torch.Tensor) or loss.dim() != 0:
        raise ValueError(
            f"the loss function returns {_kind(loss)}, but one number is expected, a tensor of "
            'shape (). Let it average over the batch: reduction="mean", or loss.mean().'
        )
    if name == "train_data" and not loss.requires_grad:
        raise ValueError(
            "the loss does not depend on the network's weights, so nothing can be learned. "
            "Somewhere between them is a detach(), an item(), an argmax() or a torch.no_grad()."
        )


def first_samples(data: Any, fetch: str) -> Any:
    """A batch of the first one or two samples, or None where one cannot look without taking."""
    if isinstance(data, IterableDataset) or isinstance(
        getattr(data, "dataset", None), IterableDataset
    ):
        return None
    if isinstance(data, list | tuple):
        return data[0]
    if isinstance(data, DataLoader):
        if data.batch_size is None and data.batch_sampler is None:
            return None  # its sampler decides what an index is
        samples = [data.dataset[i] for i in range(min(2, len(data.dataset)))]  # type: ignore[arg-type]
        return data.collate_fn(samples)
    if fetch == "given":
        return None
    indices = list(range(min(2, len(data))))
    return data[indices] if fetch == "batches" else default_collate([data[i] for i in indices])


def labels_fit(name: str, y_hat: Any, y: Any, all_labels: Any, loss_fn: Any) -> None:
    """Refuse labels of which the loss would make something else than is meant."""
    if not isinstance(y_hat, torch.Tensor) or not isinstance(y, torch.Tensor):
        return
    options = vars(loss_fn) if isinstance(loss_fn, nn.Module) else {}
    kind = type(loss_fn) if isinstance(loss_fn, nn.Module) else loss_fn
    if isinstance(loss_fn, partial):
        kind, options = loss_fn.func, loss_fn.keywords
    if kind in BY_SHAPE:
        _labels_of_one_shape(name, y_hat, y)
    if kind in BY_INDEX:
        _labels_by_index(name, y_hat, y, all_labels, options.get("ignore_index", -100))


def _labels_of_one_shape(name: str, y_hat: torch.Tensor, y: torch.Tensor) -> None:
    if y_hat.shape == y.shape:
        return
    fix = "Let the network's last layer give as many numbers as a label has."
    if y_hat.squeeze().shape == y.squeeze().shape:
        fix = "y.unsqueeze(1) adds an axis to the labels, y_hat.squeeze(1) in forward drops one."
    raise ValueError(
        f"{name}: the labels of {len(y)} samples have shape {_shape(y)}, but the predictions "
        f"{_shape(y_hat)}; the loss would compare every label with every prediction. {fix}"
    )


def _labels_by_index(
    name: str, y_hat: torch.Tensor, y: torch.Tensor, all_labels: Any, ignored: int
) -> None:
    whole = not y.is_floating_point()
    if y_hat.dim() < 2:
        raise ValueError(
            f"{name}: the predictions have shape {_shape(y_hat)}, but a score for every class is "
            "expected, shape (N, classes). For one score a sample: nn.BCEWithLogitsLoss()."
        )
    if y.shape == y_hat.shape:  # probabilities of the classes
        if whole:
            raise ValueError(
                f"{name}: the labels have shape {_shape(y)} and {y.dtype}: one-hot? Class indices "
                "are expected, y.argmax(1), or probabilities, y.float()."
            )
        return
    if y.dim() == y_hat.dim() and y.shape[1] == 1:
        raise ValueError(
            f"{name}: the labels of {len(y)} samples have shape {_shape(y)}, but class indices of "
            f"shape {_shape(y)[:1] + _shape(y)[2:]} are expected. Drop the axis: y.squeeze(1)."
        )
    if y.dtype not in (torch.int64, torch.uint8):
        raise ValueError(
            f"{name}: the labels are {y.dtype}, but class indices are expected as torch.int64. "
            "Convert them: y.long()."
        )
    classes = y_hat.shape[1]
    labels = y if all_labels is None else all_labels
    wrong = labels[((labels < 0) | (labels >= classes)) & (labels != ignored)]
    if wrong.numel():
        raise ValueError(
            f"{name}: there is a label {int(wrong[0])}, but the network gives scores for "
            f"{classes} classes, so labels from 0 to {classes - 1} are expected. Number the "
            "classes from 0, or give the last layer more outputs."
        )


def _rehearse_network(name: str, network: nn.Module, x: Any) -> Any:
    weight = next((p for p in network.parameters() if p.is_floating_point()), None)
    try:
        return network(x)
    except Exception as error:
        fix = "Compare them with what the first layer expects."
        if not isinstance(x, torch.Tensor):
            fix = "Make a tensor of them: torch.as_tensor(x)."
        elif weight is not None and x.dtype != weight.dtype and "type" in str(error):
            fix = f"The weights are {weight.dtype}: convert the inputs, x.to({weight.dtype})."
        raise ValueError(
            f"{name}: the network cannot take its inputs, {_kind(x)}: {error}. {fix}"
        ) from error


def _rehearse_loss(name: str, loss_fn: Any, y_hat: Any, y: Any) -> Any:
    try:
        return loss_fn(y_hat, y)
    except Exception as error:
        whole = isinstance(y, torch.Tensor) and not y.is_floating_point()
        fix = " Convert the labels: y.float()." if whole and "type" in str(error) else ""
        raise ValueError(
            f"{name}: the loss cannot compare the predictions, {_kind(y_hat)}, with the labels, "
            f"{_kind(y)}: {error}.{fix}"
        ) from error


def _rehearse_metrics(name: str, metrics: Iterable[Any], y_hat: Any, y: Any) -> None:
    for metric in copy.deepcopy(list(metrics)):
        try:
            metric.reset()
            metric.update(y_hat.detach(), y)
        except Exception as error:
            raise ValueError(
                f"{name}: {type(metric).__name__} cannot measure the predictions, {_kind(y_hat)}, "
                f"by the labels, {_kind(y)}: {error}"
            ) from error


def _all_labels(data: Any) -> torch.Tensor | None:
    """All labels at once, where they lie together; else the first ones must do."""
    labels: Any = None
    if isinstance(data, DataLoader):
        plain = data.collate_fn in (default_collate, default_convert)
        labels = _all_labels(data.dataset) if plain else None
    elif type(data) is Subset:
        labels = _all_labels(data.dataset)
        labels = None if labels is None else labels[list(data.indices)]
    elif isinstance(data, list | tuple):  # of batches
        parts = [batch[1] for batch in data if isinstance(batch, list | tuple)]
        if all(isinstance(part, torch.Tensor) for part in parts):
            labels = torch.cat([part.flatten() for part in parts])
    elif type(data) is TensorDataset:
        labels = data.tensors[1]
    elif type(data).__module__.startswith(("torchvision.", "tutorial.")):
        labels = getattr(data, "targets", None) if data.target_transform is None else None
    return labels if isinstance(labels, torch.Tensor) else None


def _length(data: Any) -> int | None:
    try:
        return len(data)
    except TypeError:
        return None


def _shape(tensor: torch.Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def _kind(value: Any) -> str:
    """What a value is, in a few words."""
    if value is None or isinstance(value, str | bytes | int | float):
        return repr(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {_shape(value)} and {value.dtype}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"
