"""`Model`: the high level. It remembers the parts and chooses options; it holds no loop."""

import copy
import inspect
import re
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from tutorial import checkpoint, checks
from tutorial.device import get_device, unchanged_randomness
from tutorial.display import choose
from tutorial.history import History
from tutorial.metrics import Metric
from tutorial.program import Program
from tutorial.unroll import Code

Loop = Program | str | Callable[..., Any]


class Model:
    """A network together with its optimizer, loss and metrics, ready to train.

    Every call below writes out the plain PyTorch loop for this very call and runs it; `unroll`
    shows the loop.

    Args:
        network: the network to train. It is moved to `get_device()`.

    Raises:
        TypeError: network is not an nn.Module.

    Example:
        >>> from torch.utils.data import TensorDataset
        >>> x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1])
        >>> model = Model(nn.Linear(1, 2))
        >>> model.prepare(torch.optim.SGD(model.parameters(), lr=1.0), nn.CrossEntropyLoss())
        >>> history = model.fit(TensorDataset(x, y), epochs=20, verbose=0)
        >>> len(history.step_losses)
        20
        >>> model.predict(TensorDataset(x, y), verbose=0, stack_outputs=True)[0].argmax(1)
        tensor([0, 1])
    """

    def __init__(self, network: nn.Module) -> None:
        if not isinstance(network, nn.Module):
            raise TypeError(
                f"network is {network!r}, but an nn.Module is expected, such as "
                "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))."
            )
        self.device = get_device()
        self.network = network.to(self.device)
        self.optimizer: torch.optim.Optimizer | None = None
        self.loss_fn: Callable[..., torch.Tensor] | None = None
        self.metrics: dict[str, Any] = {}  # by the name of the metric's variable in the loop
        self.values: tuple[tuple[str, Code, Any], ...] = ()  # (name, variable, part): see loops.py

    def prepare(
        self,
        optimizer: torch.optim.Optimizer | None = None,
        loss: Callable[..., torch.Tensor] | None = None,
        metrics: Any = None,
    ) -> None:
        """Choose how to learn (optimizer), what to improve (loss) and what to report (metrics).

        May be called again, to replace all three. Where the optimizer has a fused implementation
        for the device, and you left the choice open, that one is used: it is much faster.

        Args:
            optimizer: any torch.optim optimizer that holds the network's parameters.
            loss: a callable: loss(y_hat, y) is the mean over a batch, a tensor of shape ().
            metrics: one metric or a list: tutorial.metrics, torchmetrics, or any object with
                reset(), update(y_hat, y) and compute().

        Raises:
            TypeError: one of them is not of its kind.
            ValueError: two metrics have the same name; the optimizer needs a closure (LBFGS).
        """
        if optimizer is not None:
            checks.optimizer_fits(optimizer)
        if loss is not None:
            checks.loss_fits(loss)
        self.metrics, self.values = named_metrics(metrics, self.device)
        if optimizer is not None:
            choose_fused(optimizer)  # only now: a refused call changes nothing
        self.optimizer = optimizer
        self.loss_fn = loss.to(self.device) if isinstance(loss, nn.Module) else loss

    def __repr__(self) -> str:
        parts = {"optimizer": self.optimizer, "loss": self.loss_fn}
        shown = [type(self.network).__name__]
        for name, part in parts.items():
            if part is not None:
                shown.append(f"{name}={getattr(part, '__name__', type(part).__name__)}")
        if self.values:
            shown.append(f"metrics=[{', '.join(name for name, _, _ in self.values)}]")
        return f"Model({', '.join(shown)}, device={self.device})"

    def parameters(self) -> Iterator[nn.Parameter]:
        """The network's parameters, for the optimizer."""
        return self.network.parameters()

    # ---- over whole data sets

    def fit(
        self,
        train_data: Any,
        eval_data: Any = None,
        batch_size: int | Sequence[int] = 64,
        epochs: int = 1,
        eval_freq: int = 1,
        log_freq: int = 10,
        verbose: int = 1,
        drop_last: bool = False,
        shuffle: bool = True,
        num_workers: int = 0,
        accumulate_grad_batches: int = 1,
        num_iters: int | None = None,
        clip_grad_norm: float | None = None,
        loop: Loop | None = None,
    ) -> History:
        """Train the network on train_data.

        Ctrl-C (in a notebook: the stop button) ends the training after the step that runs; the
        History so far is returned, and the model can go on from there.

        Args:
            train_data: a Dataset of pairs (x, y), a DataLoader, or an iterable of batches (x, y).
                The next five options on batches count only for a Dataset.
            eval_data: the same, to evaluate on after epochs.
            batch_size: samples in a batch, at least 1; or a pair: for training, for evaluation.
            epochs: passes over train_data, at least 1.
            eval_freq: evaluate after every so many epochs; always after the last one.
            log_freq: steps between two lines, where lines are printed.
            verbose: 0 silent; 1 a progress bar, or a line for each epoch where the output is not a
                terminal; 2 a line for every log_freq steps.
            drop_last: leave out the last batch of an epoch if it is short.
            shuffle: a new random order in each epoch; `tutorial.seed` repeats it.
            num_workers: processes that load data; 0 loads in this one.
            accumulate_grad_batches: batches whose gradients are averaged, over their samples, into
                one update; so k small batches act as one large one.
            num_iters: end after so many training steps, if not before.
            clip_grad_norm: shorten the gradient of an update to this length, if it is longer.
            loop: a loop of your own to run instead: a Program, source text, or a function. Epochs,
                batches and the other options are then what your loop says.

        Returns:
            The History: the loss of each step, and the means of each epoch.

        Raises:
            ValueError, TypeError: an argument does not fit; nothing was trained.
        """
        call = types.SimpleNamespace(**{k: v for k, v in locals().items() if k != "self"})
        history: History = self._fit(call).run(choose(verbose, log_freq))
        return history

    def _fit(self, call: types.SimpleNamespace) -> Program:
        checks.trainable(self.network, self.optimizer, self.loss_fn)
        for name in ("epochs", "eval_freq", "log_freq", "accumulate_grad_batches"):
            checks.whole_number(name, getattr(call, name), 1)
        checks.whole_number("num_iters", call.num_iters, 1, none=True)
        checks.positive("clip_grad_norm", call.clip_grad_norm)
        checks.yes_or_no(shuffle=call.shuffle, drop_last=call.drop_last)
        sizes = checks.batch_sizes(call.batch_size)
        for size in sizes:
            checks.whole_number("batch_size", size, 1)
        fetch = self._fetch("train_data", call.train_data, call, sizes[0], call.drop_last)
        checks.passes_possible("train_data", call.train_data, call.epochs)
        if call.accumulate_grad_batches > 1:
            checks.length_needed("train_data", call.train_data, "accumulate_grad_batches")
        options: dict[str, Any] = {
            "EPOCHS": call.epochs,
            "NUM_ITERS": call.num_iters,
            "ACCUMULATE": call.accumulate_grad_batches,
            "CLIP": call.clip_grad_norm,
            "TRAIN_FETCH": fetch,
            "BATCH_SIZE": sizes[0],
            "SHUFFLE": bool(call.shuffle) and not isinstance(call.train_data, IterableDataset),
            "DROP_LAST": bool(call.drop_last),
            "EVALUATE": call.eval_data is not None,
        }
        data = {"train_data": call.train_data}
        if call.eval_data is not None:
            options["EVAL_FETCH"] = self._fetch("eval_data", call.eval_data, call, sizes[1])
            options["EVAL_BATCH_SIZE"] = sizes[1]
            options["EVAL_FREQ"] = call.eval_freq
            checks.passes_possible("eval_data", call.eval_data, call.epochs)
            data["eval_data"] = call.eval_data
        return self._program("fit", call, options, data)

    def evaluate(
        self,
        eval_data: Any,
        batch_size: int = 64,
        log_freq: int = 10,
        verbose: int = 1,
        num_workers: int = 0,
        num_iters: int | None = None,
    ) -> dict[str, float]:
        """Measure the network on eval_data; nothing is learned.

        Args:
            eval_data: a Dataset of pairs (x, y), a DataLoader, or an iterable of batches (x, y).
            batch_size: samples in a batch; the result does not depend on it.
            log_freq: as in `fit`.
            verbose: as in `fit`.
            num_workers: as in `fit`.
            num_iters: look at so many batches only.

        Returns:
            The mean loss over all samples and the metrics: {'loss': 0.0945, 'acc': 0.9711}.

        Raises:
            ValueError, TypeError: an argument does not fit.
        """
        call = types.SimpleNamespace(**{k: v for k, v in locals().items() if k != "self"})
        result: dict[str, float] = self._evaluate(call).run(choose(verbose, log_freq))
        return result

    def _evaluate(self, call: types.SimpleNamespace) -> Program:
        checks.loss_given(self.loss_fn)
        checks.whole_number("num_iters", call.num_iters, 1, none=True)
        fetch = self._fetch("eval_data", call.eval_data, call, call.batch_size)
        options = {
            "EVAL_FETCH": fetch,
            "EVAL_BATCH_SIZE": call.batch_size,
            "NUM_ITERS": call.num_iters,
        }
        return self._program("evaluate", call, options, {"eval_data": call.eval_data})

    def predict(
        self,
        test_data: Any,
        batch_size: int = 64,
        num_workers: int = 0,
        stack_outputs: bool = False,
        verbose: int = 1,
    ) -> list[Any]:
        """The network's outputs for test_data, in its order.

        Args:
            test_data: a Dataset, a DataLoader or an iterable of batches, of pairs (x, y) or of x
                alone. Labels are not looked at.
            batch_size: samples in a batch.
            num_workers: as in `fit`.
            stack_outputs: join the batches: one tensor with a row for every sample.
            verbose: as in `fit`.

        Returns:
            A list with one item, since the network has one output: a tuple with a tensor for each
            batch; with stack_outputs a tensor (N, ...). On the CPU, without gradients.

        Raises:
            ValueError, TypeError: an argument does not fit.
        """
        call = types.SimpleNamespace(**{k: v for k, v in locals().items() if k != "self"})
        outputs: list[Any] = self._predict(call).run(choose(verbose, log_freq=10))
        return outputs

    def _predict(self, call: types.SimpleNamespace) -> Program:
        checks.data_given("test_data", call.test_data)
        checks.whole_number("batch_size", call.batch_size, 1)
        checks.whole_number("num_workers", call.num_workers, 0)
        checks.whole_number("verbose", call.verbose, 0)
        fetch = fetch_of(call.test_data)
        with unchanged_randomness():
            first = checks.first_samples(call.test_data, fetch)
        options = {
            "TEST_FETCH": fetch,
            "BATCH_SIZE": call.batch_size,
            "NUM_WORKERS": call.num_workers,
            "STACK": bool(call.stack_outputs),
            "LABELS": first is None or isinstance(first, list | tuple),
        }
        return self._program("predict", call, options, {"test_data": call.test_data})

    # ---- over one batch

    def train_batch(self, inputs: Any, labels: Any, update: bool = True) -> dict[str, float]:
        """Train on one batch.

        Args:
            inputs: x, a tensor (N, ...).
            labels: y, a tensor (N, ...).
            update: take the step; False only adds this batch's gradients to those that are there.

        Returns:
            The batch's mean loss and its metrics, before the step: {'loss': 2.31, 'acc': 0.125}.

        Raises:
            ValueError: the model has no optimizer or no loss.
        """
        call = types.SimpleNamespace(inputs=inputs, labels=labels, update=update)
        return self._run_on_batch(self._train_batch(call), call)

    def _train_batch(self, call: types.SimpleNamespace) -> Program:
        checks.trainable(self.network, self.optimizer, self.loss_fn)
        options = {"UPDATE": bool(call.update)}
        return self._program("train_batch", call, options, {"x": call.inputs, "y": call.labels})

    def eval_batch(self, inputs: Any, labels: Any) -> dict[str, float]:
        """Measure the network on one batch.

        Args:
            inputs: x, a tensor (N, ...).
            labels: y, a tensor (N, ...).

        Returns:
            The batch's mean loss and its metrics.

        Raises:
            ValueError: the model has no loss.
        """
        call = types.SimpleNamespace(inputs=inputs, labels=labels)
        return self._run_on_batch(self._eval_batch(call), call)

    def _eval_batch(self, call: types.SimpleNamespace) -> Program:
        checks.loss_given(self.loss_fn)
        return self._program("eval_batch", call, {}, {"x": call.inputs, "y": call.labels})

    def _run_on_batch(self, program: Program, call: types.SimpleNamespace) -> dict[str, float]:
        try:
            result: dict[str, float] = program.run()
        except (IndexError, RuntimeError, ValueError):  # say why, in better words if there are some
            batch = [(call.inputs, call.labels)]
            checks.rehearse("the batch", batch, "given", self.network, self.loss_fn, self.device)
            raise
        return result

    def predict_batch(self, inputs: Any) -> list[torch.Tensor]:
        """The network's outputs for one batch.

        Args:
            inputs: x, a tensor (N, ...).

        Returns:
            A list with one item, since the network has one output: a tensor (N, ...).
        """
        outputs: list[torch.Tensor] = self._predict_batch(
            types.SimpleNamespace(inputs=inputs)
        ).run()
        return outputs

    def _predict_batch(self, call: types.SimpleNamespace) -> Program:
        return self._program("predict_batch", call, {}, {"x": call.inputs})

    # ---- save and load

    def save(self, path: str | Path) -> Path:
        """Write the network's weights and the optimizer's memory to a file.

        The file is never half-written: an earlier one is replaced in one piece, or left as it was.
        `torch.load(path, weights_only=True)` opens it without this library: a dict with the
        state_dicts 'network' and, if there is one, 'optimizer'.

        Args:
            path: where to write; the ending .pt is added, missing folders are made.

        Returns:
            The path, with its ending.

        Raises:
            OSError: the file cannot be written.
        """
        state = {"network": self.network.state_dict()}
        if self.optimizer is not None:
            state["optimizer"] = self.optimizer.state_dict()
        return checkpoint.write(path, state)

    def load(
        self, path: str | Path, skip_mismatch: bool = False, reset_optimizer: bool = False
    ) -> None:
        """Go on from a file that `save` wrote.

        Args:
            path: the file, with or without its ending.
            skip_mismatch: load the weights that fit and warn of the others, instead of refusing
                all. The optimizer then begins anew, since its memory is of other weights.
            reset_optimizer: load the weights only.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged or does not fit; nothing was changed.
        """
        state = checkpoint.read(path)
        kept = None if reset_optimizer else state.get("optimizer")
        if self.optimizer is not None and kept is not None:
            checkpoint.check_optimizer(self.optimizer, kept)
        fitted = checkpoint.load_network(self.network, state["network"], skip_mismatch)
        if self.optimizer is not None and kept is not None and fitted:
            self.optimizer.load_state_dict(kept)

    # ---- the loop itself

    def unroll(self, method: str, *args: Any, **kwargs: Any) -> Program:
        """Write out, without running it, the plain PyTorch loop that a call would run.

        Args:
            method: 'fit', 'evaluate', 'predict', 'train_batch', 'eval_batch' or 'predict_batch'.
            *args: the same arguments as that method's.
            **kwargs: the same arguments as that method's.

        Returns:
            A Program, which remembers the state of now: `print` it, `run` it, `save` it, and
            `verify` it.

        Raises:
            ValueError, TypeError: what the call itself would raise.

        Example:
            >>> model = Model(nn.Linear(1, 2))
            >>> print(model.unroll("predict_batch", torch.zeros(1, 1)))
            network.eval()  # dropout off; batch norm uses what it learned
            with torch.no_grad():
                outputs = [network(x)]
            <BLANKLINE>
        """
        if method not in METHODS:
            raise ValueError(f"method is {method!r}, but one of {', '.join(METHODS)} is expected.")
        bound = inspect.signature(getattr(self, method)).bind(*args, **kwargs)
        bound.apply_defaults()
        program: Program = getattr(self, f"_{method}")(types.SimpleNamespace(**bound.arguments))
        program.remember()
        return program

    def _fetch(
        self, name: str, data: Any, call: types.SimpleNamespace, size: Any, drop_last: bool = False
    ) -> str:
        """Check the data of a role, and say how its batches are made."""
        checks.data_given(name, data)
        checks.whole_number("batch_size", size, 1)
        checks.whole_number("num_workers", call.num_workers, 0)
        checks.whole_number("log_freq", call.log_freq, 1)
        checks.whole_number("verbose", call.verbose, 0)
        fetch = fetch_of(data)
        metrics = self.metrics.values()
        checks.rehearse(name, data, fetch, self.network, self.loss_fn, self.device, metrics)
        if drop_last and fetch != "given" and not isinstance(data, IterableDataset):
            checks.a_batch_remains(name, len(data), size)
        return fetch

    def _program(
        self,
        method: str,
        call: types.SimpleNamespace,
        options: dict[str, Any],
        data: dict[str, Any],
    ) -> Program:
        arguments = vars(call)
        loop = arguments.pop("loop", None)
        checks.loop_given(loop)
        options |= {
            "NUM_WORKERS": arguments.get("num_workers", 0),
            "LOG_FREQ": arguments.get("log_freq", 10),
            "METRICS": tuple(Code(name) for name in self.metrics),
            "VALUES": self.values,
            "DEVICE": self.device,
            "FLUSH_DENORMAL": method == "fit" and self.device == "cpu",
        }
        parts = {"network": self.network, "optimizer": self.optimizer, "loss_fn": self.loss_fn}
        names = {**parts, **self.metrics, **data}
        names = {name: value for name, value in names.items() if value is not None}
        return Program(method, title_of(method, arguments), options, names, loop)


METHODS = ("fit", "evaluate", "predict", "train_batch", "eval_batch", "predict_batch")


def title_of(method: str, arguments: dict[str, Any]) -> str:
    """The call as one would type it: data by its name, and each option that is not the default."""
    parts = []
    for name, parameter in inspect.signature(getattr(Model, method)).parameters.items():
        if name not in arguments or name in ("self", "verbose"):
            continue
        if parameter.default is parameter.empty:
            parts.append(name)
        elif arguments[name] is not parameter.default and arguments[name] != parameter.default:
            parts.append(f"{name}={name if name == 'eval_data' else repr(arguments[name])}")
    return f"model.{method}({', '.join(parts)})"


def fetch_of(data: Any) -> str:
    """How batches come from the data: see `loader` in loops.py."""
    whole = data
    while type(whole) is Subset:
        whole = whole.dataset
    if type(whole) is TensorDataset or getattr(whole, "whole_batches", False):
        return "batches"  # it takes a list of indices, and gives one batch
    if isinstance(data, DataLoader | list | tuple):
        return "given"
    if isinstance(data, Dataset) or (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        return "samples"
    return "given"


def choose_fused(optimizer: torch.optim.Optimizer) -> None:
    """Use the optimizer's fused implementation, if there is one and the choice was left open."""
    for group in optimizer.param_groups:
        open_choice = group.get("fused", False) is None and not group.get("foreach")
        others = group.get("differentiable") or group.get("capturable")
        devices = {weight.device.type for weight in group["params"] if weight.is_floating_point()}
        if open_choice and not others and devices <= {"cpu", "cuda", "mps"} and len(devices) == 1:
            group["fused"] = True


def named_metrics(
    metrics: Any, device: str
) -> tuple[dict[str, Any], tuple[tuple[str, Code, Any], ...]]:
    """The metrics by the names of their variables, and the values that they report."""
    listed = metrics if isinstance(metrics, list | tuple) else [metrics]
    variables: dict[str, Any] = {}
    values: list[tuple[str, Code, Any]] = []
    for metric in listed:
        if metric is None:
            continue
        checks.metric_fits(metric)
        kind = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(metric).__name__).lower()
        taken = [name for name in variables if name.rstrip("_0123456789") == kind]
        variable = Code(f"{kind}_{len(taken) + 1}" if taken else kind)
        variables[variable] = metric.to(device) if isinstance(metric, nn.Module) else metric
        values += [(name, variable, part) for name, part in reported_by(metric, kind)]
    checks.names_differ([name for name, _, _ in values])
    return variables, tuple(values)


def reported_by(metric: Any, kind: str) -> list[tuple[str, Any]]:
    """The names under which a metric reports, each with the part of its value that it means."""
    if isinstance(metric, Metric):
        names = metric.name()
        return [(names, None)] if isinstance(names, str) else [(n, i) for i, n in enumerate(names)]
    unused = copy.deepcopy(metric)  # torchmetrics: the form of its value tells
    unused.reset()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it was not updated yet
        try:
            value = unused.compute()
        except ZeroDivisionError:  # a mean over nothing: one number, then
            value = None
    if isinstance(value, Mapping):
        return [(name, name) for name in value]
    if isinstance(value, torch.Tensor) and value.dim() == 1:
        return [(f"{kind}_{i}", i) for i in range(len(value))]
    return [(kind, None)]
