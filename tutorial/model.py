"""`Model`: the high level. It remembers the parts and chooses options; it holds no loop."""

import inspect
import time
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import IterableDataset

from tutorial import checks
from tutorial.device import get_device, has_room, set_random_state
from tutorial.display import choose
from tutorial.display.report import Report
from tutorial.distributed import process_group
from tutorial.distributed.shard import parts_of, shard_weights
from tutorial.history import History
from tutorial.inputs.data_source import fetch_of, steps_in, tensors_in
from tutorial.inputs.dry_run import Seen, rehearse
from tutorial.inputs.objective import Measures
from tutorial.inputs.spec import specs_of
from tutorial.inputs.structure import first_two, in_hand, pieces, take_apart
from tutorial.precision import Precision
from tutorial.saving import checkpoint
from tutorial.unroll.hooks import Wiring, wire
from tutorial.unroll.program import Program
from tutorial.unroll.specialize import Code, reserved_names

Loop = Program | str | Callable[..., Any]


class Model:
    """A network together with its optimizer, loss and metrics, ready to train.

    Every call below writes out the plain PyTorch loop for this very call and runs it; `unroll`
    shows the loop.

    Args:
        network: the network to train. It is moved to `get_device()`.
        inputs: what a batch holds, where a look at the data does not tell: an InputSpec for each
            input, a list or a dict of them. Their names stand in the loop.
        labels: the same for the labels.
        shard: of several processes, each keeps only its part of every weight, of its gradient and
            of the optimizer's numbers (torch's FSDP2): for a network that is too large for one
            device.

    Attributes:
        stop_training: a callback sets it to True to end the training.

    Raises:
        TypeError: network is not an nn.Module, or inputs or labels are not InputSpecs.
        ValueError: two of them have one name, or one that the loop uses itself.

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

    def __init__(
        self, network: nn.Module, inputs: Any = None, labels: Any = None, shard: bool = False
    ) -> None:
        if not isinstance(network, nn.Module):
            raise TypeError(
                f"network is {network!r}, but an nn.Module is expected, such as "
                "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))."
            )
        checks.yes_or_no(shard=shard)
        self.processes = process_group.join()
        self.device = get_device()
        self.network = network.to(self.device)
        self.inputs, self.labels = specs_of("inputs", inputs), specs_of("labels", labels)
        checks.specs_differ([*(self.inputs or ()), *(self.labels or ())], reserved_names())
        if self.processes > 1:
            process_group.begin_alike(self.network)
        self.sharded = shard and self.processes > 1
        if self.sharded:
            shard_weights(self.network)
        self.optimizer: torch.optim.Optimizer | None = None
        self.measures = Measures(None, None, self.device)
        self.precision = Precision()
        self.stop_training = False
        self.called_with: Any = None  # InputSpecs, as the network is called; once data was seen
        # What took part in the last fit: `save` writes their state.
        self.callbacks: list[Any] = []
        self.schedulers: list[Any] = []
        self.generators: list[torch.Generator] = []
        self.loaded: dict[str, Any] = {}  # the state of schedulers that `load` has read
        self._watch: Any = None
        self._seen: dict[Any, Seen] = {}  # of batches for train_batch and the like

    def prepare(
        self,
        optimizer: torch.optim.Optimizer | None = None,
        loss: Any = None,
        metrics: Any = None,
        precision: str = "32",
    ) -> None:
        """Choose how to learn (optimizer), what to improve (loss) and what to report (metrics).

        May be called again, to replace all three. Where the optimizer has a fused implementation
        for the device, and you left the choice open, that one is used: it is much faster.

        Args:
            optimizer: any torch.optim optimizer that holds the network's parameters.
            loss: a callable: loss(y_hat, y) is the mean over a batch, a tensor of shape (). With
                several outputs and labels it gets them all: loss(y_hat_0, y_hat_1, y_0, y_1). It
                may return several losses, in a list or a dict; they are summed. Or a list or dict
                of callables, one for each output; there a batch counts by its samples even where a
                loss has class weights, so that these means depend a little on the batch size.
            metrics: one metric or a list: tutorial.metrics, torchmetrics, or any object with
                reset(), update(y_hat, y) and compute(). For several outputs a dict from the
                output's name (or number) to its metrics, or a list of lists.
            precision: '32'; or mixed, 'bf16-mixed' (bfloat16) or '16-mixed' (float16, with scaled
                gradients); or 'bf16', where the weights are bfloat16, too. See `Precision`.

        Raises:
            TypeError: one of them is not of its kind.
            ValueError: two values would be reported under one name; the optimizer needs a closure
                (LBFGS); there is no such precision.
        """
        if optimizer is not None:
            checks.optimizer_fits(optimizer)
        computing = Precision(precision, self.device)
        measures = Measures(loss, metrics, self.device)
        checks.specs_differ(
            [*(self.inputs or ()), *(self.labels or ())],
            reserved_names() | measures.loss_fns.keys() | measures.metrics.keys(),
        )
        self.measures = measures
        if (
            self.precision.name == "bf16" != computing.name
        ):  # only now: a refused call changes nothing
            self.network.float()
        computing.cast(self.network, optimizer)
        if optimizer is not None:
            choose_fused(optimizer, scaled=computing.scaler is not None)
            checks.only_the_networks(self.network, optimizer, self.measures.loss_fns)
            if self._watch is not None:
                self._watch.remove()
            self._watch = checks.watch_hand_loops(optimizer, self.network)
        self.optimizer = optimizer
        self.precision = computing
        self._seen = {}

    @property
    def loss_fn(self) -> Any:
        """The loss; of several, one for each output, a dict by their variables in the loop."""
        losses = self.measures.loss_fns
        return losses.get("loss_fn") if len(losses) < 2 else losses

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics by their variables in the loop."""
        return self.measures.metrics

    @property
    def scaler(self) -> torch.amp.GradScaler | None:
        """The GradScaler, where the precision is '16-mixed'."""
        return self.precision.scaler

    def __repr__(self) -> str:
        losses = list(self.measures.loss_fns.values())
        shown = [type(self.network).__name__]
        if self.optimizer is not None:
            shown.append(f"optimizer={type(self.optimizer).__name__}")
        if losses:
            kinds = [getattr(loss, "__name__", type(loss).__name__) for loss in losses]
            shown.append(f"loss={', '.join(kinds)}" if len(kinds) == 1 else f"losses={kinds}")
        if self.measures.values:
            shown.append(f"metrics=[{', '.join(name for name, _, _ in self.measures.values)}]")
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
        save_dir: str | Path | None = None,
        save_freq: int = 1,
        verbose: int = 1,
        drop_last: bool = False,
        shuffle: bool = True,
        num_workers: int = 0,
        callbacks: Any = None,
        accumulate_grad_batches: int = 1,
        num_iters: int | None = None,
        clip_grad_norm: float | None = None,
        resume: bool = False,
        compile: bool = False,
        loop: Loop | None = None,
    ) -> History:
        """Train the network on train_data.

        Ctrl-C (in a notebook: the stop button) ends the training after the step that runs; the
        History so far is returned, and the model can go on from there.

        Args:
            train_data: a Dataset of pairs (x, y), a DataLoader, or an iterable of batches (x, y).
                In place of x and y there may be several tensors: (x_0, x_1, y), ((x_0, x_1), y), or
                a dict. The next five options on batches count only for a Dataset.
            eval_data: the same, to evaluate on after epochs.
            batch_size: samples in a batch, at least 1; or a pair: for training, for evaluation.
            epochs: passes over train_data, at least 1.
            eval_freq: evaluate after every so many epochs; always after the last one.
            log_freq: steps between two lines, where lines are printed.
            save_dir: a folder for checkpoints: 0.pt after the first epoch, ..., and final.pt.
            save_freq: epochs from one checkpoint to the next.
            verbose: 0 silent; 1 a progress bar, or a line for each epoch where the output is not a
                terminal; 2 a line for every log_freq steps.
            drop_last: leave out the last batch of an epoch if it is short.
            shuffle: a new random order in each epoch; `tutorial.seed` repeats it.
            num_workers: processes that load data; 0 loads in this one.
            callbacks: a tutorial.callbacks.Callback, or a list of them.
            accumulate_grad_batches: batches whose gradients are averaged, over their samples, into
                one update; so k small batches act as one large one.
            num_iters: end after so many training steps, if not before.
            clip_grad_norm: shorten the gradient of an update to this length, if it is longer.
            resume: go on from the newest checkpoint in save_dir, as if the training had never
                broken off; begin anew if there is none. Give it from the first time on, and a
                training can be killed and started again at any moment: the result is the same, bit
                for bit. `epochs` counts those that are done.
            compile: let torch.compile make the network faster; its first steps are slow.
            loop: a loop of your own to run instead: a Program, source text, or a function. Epochs,
                batches and the other options are then what your loop says.

        Returns:
            The History: the loss of each step, and the means of each epoch.

        Raises:
            ValueError, TypeError: an argument does not fit; nothing was trained.
        """
        call = types.SimpleNamespace(**{k: v for k, v in locals().items() if k != "self"})
        program = self._fit(call)
        history: History = program.run(self._display(call.verbose, call.log_freq))
        return history

    def _fit(self, call: types.SimpleNamespace) -> Program:
        checks.trainable(self.network, self.optimizer, self.measures.loss_fns)
        for name in ("epochs", "eval_freq", "log_freq", "save_freq", "accumulate_grad_batches"):
            checks.whole_number(name, getattr(call, name), 1)
        checks.whole_number("num_iters", call.num_iters, 1, none=True)
        checks.positive("clip_grad_norm", call.clip_grad_norm)
        checks.folder_fits("save_dir", call.save_dir)
        checks.yes_or_no(shuffle=call.shuffle, drop_last=call.drop_last, compile=call.compile)
        checks.resumable(call.resume, call.save_dir, call.train_data)
        sizes = checks.batch_sizes(call.batch_size)
        for size in sizes:
            checks.whole_number("batch_size", size, 1)
        fetch, seen = self._look("train_data", call.train_data, call, sizes[0], call.drop_last)
        checks.passes_possible("train_data", call.train_data, call.epochs)
        if call.accumulate_grad_batches > 1:
            checks.length_needed("train_data", call.train_data, "accumulate_grad_batches")
        options: dict[str, Any] = {
            "EPOCHS": call.epochs,
            "NUM_ITERS": call.num_iters,
            "ACCUMULATE_GRAD_BATCHES": call.accumulate_grad_batches,
            "CLIP_GRAD_NORM": call.clip_grad_norm,
            "TRAIN_LOADING": fetch,
            "TRAIN_SPLIT": "none" if self.processes == 1 else "strided",
            "BATCH_SIZE": sizes[0],
            "SHUFFLE": bool(call.shuffle) and not isinstance(call.train_data, IterableDataset),
            "DROP_LAST": bool(call.drop_last),
            "EVAL_DATA": call.eval_data is not None,
            "COMPILE": call.compile,
        }
        data = {"train_data": call.train_data}
        if call.eval_data is not None:
            eval_fetch, eval_seen = self._look("eval_data", call.eval_data, call, sizes[1])
            checks.forms_agree(seen.form, eval_seen.form)
            options["EVAL_LOADING"] = eval_fetch
            options["EVAL_SPLIT"] = self._share(eval_fetch)
            options["EVAL_BATCH_SIZE"] = sizes[1]
            options["EVAL_FREQ"] = call.eval_freq
            checks.passes_possible("eval_data", call.eval_data, call.epochs)
            data["eval_data"] = call.eval_data
        wiring = self._wire(
            call, sizes[0], epochs=call.epochs, evaluates=call.eval_data is not None
        )
        if call.resume:
            folder = wiring.folder() or call.save_dir
            first = process_group.is_first()
            found = checkpoint.newest(folder, self, wiring) if first else None
            path, saved = process_group.from_first(found)
            wiring.params["start"] = path is None
            if path is not None:
                options["RESUME"] = str(path)
                options["FIRST_EPOCH"] = checkpoint.first_epoch(
                    saved["fit"], call.epochs, call.num_iters
                )
                data["set_random_state"] = set_random_state
        self._restore_schedulers(wiring)
        return self._program("fit", call, options, data, seen, wiring)

    def evaluate(
        self,
        eval_data: Any,
        batch_size: int = 64,
        log_freq: int = 10,
        verbose: int = 1,
        num_workers: int = 0,
        callbacks: Any = None,
        num_iters: int | None = None,
    ) -> dict[str, float]:
        """Measure the network on eval_data; nothing is learned.

        Args:
            eval_data: a Dataset of pairs (x, y), a DataLoader, or an iterable of batches (x, y),
                as in `fit`.
            batch_size: samples in a batch; the result does not depend on it.
            log_freq: as in `fit`.
            verbose: as in `fit`.
            num_workers: as in `fit`.
            callbacks: as in `fit`.
            num_iters: look at so many batches only.

        Returns:
            The mean loss over all samples and the metrics: {'loss': 0.0945, 'acc': 0.9711}. Several
            losses come each under its own name, after their sum: {'loss': ..., 'loss_0': ..., ...}.
            A model without a loss reports the metrics alone.

        Raises:
            ValueError, TypeError: an argument does not fit.
        """
        call = types.SimpleNamespace(**{k: v for k, v in locals().items() if k != "self"})
        program = self._evaluate(call)
        result: dict[str, float] = program.run(self._display(call.verbose, call.log_freq))
        return result

    def _evaluate(self, call: types.SimpleNamespace) -> Program:
        checks.measurable(self.measures.loss_fns, self.metrics)
        checks.whole_number("num_iters", call.num_iters, 1, none=True)
        fetch, seen = self._look("eval_data", call.eval_data, call, call.batch_size)
        options = {
            "EVAL_LOADING": fetch,
            "EVAL_SPLIT": self._share(fetch),
            "EVAL_BATCH_SIZE": call.batch_size,
            "NUM_ITERS": call.num_iters,
        }
        wiring = self._wire(call, call.batch_size, evaluates=True)
        return self._program("evaluate", call, options, {"eval_data": call.eval_data}, seen, wiring)

    def predict(
        self,
        test_data: Any,
        batch_size: int = 64,
        num_workers: int = 0,
        stack_outputs: bool = False,
        verbose: int = 1,
        callbacks: Any = None,
    ) -> Any:
        """The network's outputs for test_data, in its order.

        Args:
            test_data: a Dataset, a DataLoader or an iterable of batches, of pairs (x, y) or of x
                alone. Labels are not looked at.
            batch_size: samples in a batch.
            num_workers: as in `fit`.
            stack_outputs: join the batches: one tensor with a row for every sample.
            verbose: as in `fit`.
            callbacks: as in `fit`.

        Returns:
            A list with an item for each output of the network: a tuple with a tensor for each
            batch; with stack_outputs one tensor (N, ...). If the network returns a dict, so does
            this. On the CPU, without gradients.

        Raises:
            ValueError, TypeError: an argument does not fit.
        """
        call = types.SimpleNamespace(**{k: v for k, v in locals().items() if k != "self"})
        program = self._predict(call)
        return program.run(self._display(call.verbose, log_freq=10))

    def _predict(self, call: types.SimpleNamespace) -> Program:
        checks.yes_or_no(stack_outputs=call.stack_outputs)
        fetch, seen = self._look("test_data", call.test_data, call, call.batch_size)
        options = {
            "TEST_LOADING": fetch,
            "TEST_SPLIT": self._share(fetch),
            "BATCH_SIZE": call.batch_size,
            "STACK_OUTPUTS": call.stack_outputs,
        }
        wiring = self._wire(call, call.batch_size)
        return self._program("predict", call, options, {"test_data": call.test_data}, seen, wiring)

    # ---- over one batch

    def train_batch(self, inputs: Any, labels: Any = None, update: bool = True) -> dict[str, float]:
        """Train on one batch.

        Args:
            inputs: x, a tensor (N, ...); several in a list or a dict.
            labels: y, a tensor (N, ...); several in a list or a dict.
            update: take the step; False only adds this batch's gradients to those that are there.

        Returns:
            The batch's mean loss and its metrics, before the step: {'loss': 2.31, 'acc': 0.125}.

        Raises:
            ValueError: the model has no optimizer or no loss, or the batch does not fit.
        """
        call = types.SimpleNamespace(inputs=inputs, labels=labels, update=update)
        result: dict[str, float] = self._run_on_batch(self._train_batch(call), call)
        return result

    def _train_batch(self, call: types.SimpleNamespace) -> Program:
        checks.trainable(self.network, self.optimizer, self.measures.loss_fns)
        checks.yes_or_no(update=call.update)
        return self._batch_program("train_batch", call, {"UPDATE": call.update})

    def eval_batch(self, inputs: Any, labels: Any = None) -> dict[str, float]:
        """Measure the network on one batch.

        Args:
            inputs: x, a tensor (N, ...); several in a list or a dict.
            labels: y, a tensor (N, ...); several in a list or a dict.

        Returns:
            The batch's mean loss and its metrics.

        Raises:
            ValueError: the model has no loss and no metric, or the batch does not fit.
        """
        call = types.SimpleNamespace(inputs=inputs, labels=labels)
        result: dict[str, float] = self._run_on_batch(self._eval_batch(call), call)
        return result

    def _eval_batch(self, call: types.SimpleNamespace) -> Program:
        checks.measurable(self.measures.loss_fns, self.metrics)
        return self._batch_program("eval_batch", call, {})

    def predict_batch(self, inputs: Any) -> Any:
        """The network's outputs for one batch.

        Args:
            inputs: x, a tensor (N, ...); several in a list or a dict.

        Returns:
            A list with a tensor (N, ...) for each output of the network; a dict, if the network
            returns one. On the CPU, without gradients.
        """
        call = types.SimpleNamespace(inputs=inputs)
        return self._run_on_batch(self._predict_batch(call), call)

    def _predict_batch(self, call: types.SimpleNamespace) -> Program:
        return self._batch_program("predict_batch", call, {})

    def _batch_program(
        self, method: str, call: types.SimpleNamespace, options: dict[str, Any]
    ) -> Program:
        batch = in_hand(call.inputs, getattr(call, "labels", None))
        predicting = method == "predict_batch"
        form = take_apart(batch, self.network, self.inputs, self.labels, predicting)
        key = (predicting, form, *(signature_of(part) for _, part in pieces("", batch)))
        if key not in self._seen:  # the first batch of its kind
            name = "test_data" if predicting else "the batch"
            self._seen[key] = rehearse(name, [first_two(batch)], "as_is", self)
        seen = self._seen[key]
        flat = replace(seen, form=replace(seen.form, batch="(x, y)"))  # it has its parts already
        return self._program(method, call, options, form.unpack(batch), flat)

    def _run_on_batch(self, program: Program, call: types.SimpleNamespace) -> Any:
        try:
            return program.run()
        except (IndexError, RuntimeError, ValueError):  # say why, in better words if there are some
            name = "the batch" if hasattr(call, "labels") else "test_data"
            batch = in_hand(call.inputs, getattr(call, "labels", None))
            rehearse(name, [batch], "as_is", self)
            raise

    # ---- save and load

    def save(self, path: str | Path, training: bool = True) -> Any:
        """Write to a file what was learned: all that a training needs to go on from here.

        The file is never half-written: an earlier one is replaced in one piece, or left as it was.
        `torch.load(path, weights_only=True)` opens it without this library: a dict with the
        state_dicts 'network', 'optimizer', 'scaler' and 'schedulers' (those that there are), and
        'random', all chance.

        Args:
            path: where to write; the ending .pt is added, missing folders are made.
            training: False exports the network alone, for use without this library and without
                its source: as path.pt2 (torch.export) and path.onnx (ONNX). The size of a batch
                stays free. What the inputs look like is known from Model(inputs=...), or from the
                data that the model has seen.

        Returns:
            The path, with its ending; for an export a list of them.

        Raises:
            OSError: the file cannot be written.
            ValueError: the network cannot be exported.
        """
        checks.yes_or_no(training=training)
        if training:
            return checkpoint.write(path, checkpoint.state_of(self))
        from tutorial.saving.export import export

        return export(self.network, self._inputs_to("save(training=False)"), path)

    def load(
        self, path: str | Path, skip_mismatch: bool = False, reset_optimizer: bool = False
    ) -> None:
        """Go on from a file that `save` wrote.

        Args:
            path: the file, with or without its ending.
            skip_mismatch: load the weights that fit and warn of the others, instead of refusing
                all. The optimizer then begins anew, since its memory is of other weights.
            reset_optimizer: load the weights only.

        With an optimizer, all that belongs to its training is loaded as well: the scaler, chance
        (so that shuffling and dropout go on as they would have), and the schedulers: those of the
        last fit, or else of the next.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged or does not fit; nothing was changed.
        """
        checks.yes_or_no(skip_mismatch=skip_mismatch, reset_optimizer=reset_optimizer)
        state = checkpoint.read(path)
        kept = None if reset_optimizer or self.optimizer is None else state.get("optimizer")
        if self.optimizer is not None and kept is not None:
            checkpoint.check_optimizer(self.optimizer, kept)
        fitted = checkpoint.load_network(self.network, state["network"], skip_mismatch)
        if self.optimizer is None or kept is None or not fitted:
            return
        self.optimizer.load_state_dict(parts_of(kept, self.optimizer))
        if self.scaler is not None and "scaler" in state:
            self.scaler.load_state_dict(state["scaler"])
        if "random" in state:
            set_random_state(state["random"])
        self.loaded = {}
        if "schedulers" in state:
            self.loaded = {"schedulers": state["schedulers"], "groups": kept["param_groups"]}
        if self.loaded and len(self.schedulers) == len(self.loaded["schedulers"]):
            for scheduler, saved in zip(self.schedulers, self.loaded["schedulers"], strict=True):
                scheduler.load_state_dict(saved)
            self.loaded = {}

    def summary(self, input_size: Any = None, dtype: Any = None) -> dict[str, int]:
        """Print the network's layers, with the shapes of their outputs and their parameters.

        Args:
            input_size: the shape of the input, the batch first: (1, 28, 28) or (None, 784); several
                in a list, or in a dict by keyword. Without it: what Model(inputs=...) says, or what
                the data was.
            dtype: the input's type, such as 'int64'; float32 if left out.

        Returns:
            {'total_params': ..., 'trainable_params': ...}, each parameter counted once.

        Raises:
            ValueError: the network cannot take such an input; the layers up to the one that failed
                are shown.
        """
        from tutorial.display.summary import summary

        sizes = self._inputs_to("summary()") if input_size is None else input_size
        return summary(self.network, sizes, dtype)

    def _inputs_to(self, call: str) -> Any:
        """What the inputs look like, for a call that has no data."""
        if self.called_with:
            return self.called_with
        if self.inputs:
            return list(self.inputs)
        raise ValueError(
            f"{call}: what the inputs look like is not known yet. Say it, "
            "Model(network, inputs=InputSpec((None, 1, 28, 28))), or let the model see data: fit, "
            "evaluate or predict."
        )

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
                y_hat = network(x)
            outputs = [y_hat]
            <BLANKLINE>
        """
        if method not in METHODS:
            raise ValueError(f"method is {method!r}, but one of {', '.join(METHODS)} is expected.")
        bound = inspect.signature(getattr(self, method)).bind(*args, **kwargs)
        bound.apply_defaults()
        program: Program = getattr(self, f"_{method}")(types.SimpleNamespace(**bound.arguments))
        program.remember()
        return program

    def _look(
        self, name: str, data: Any, call: types.SimpleNamespace, size: Any, drop_last: bool = False
    ) -> tuple[str, Seen]:
        """Check the data of a role; see how its batches are made, and what they hold."""
        checks.data_given(name, data)
        checks.whole_number("batch_size", size, 1)
        checks.whole_number("num_workers", call.num_workers, 0)
        checks.whole_number("log_freq", getattr(call, "log_freq", 1), 1)
        checks.whole_number("verbose", call.verbose, 0)
        checks.shared_by_us(name, data, self.processes)
        fetch = fetch_of(data)
        seen = rehearse(name, data, fetch, self)
        if drop_last and fetch != "as_is" and not isinstance(data, IterableDataset):
            checks.a_batch_remains(name, len(data), size)
        tensors = tensors_in(data) if call.num_workers == 0 else None
        if tensors is not None and has_room(self.device, tensors):
            fetch = "in_memory"  # which are kept on the device
        return fetch, seen

    def _share(self, fetch: str) -> str:
        """What of the data that it evaluates or predicts is one process's: see loops.py."""
        # With parts of weights, all processes must take as many steps.
        alone = self.processes == 1 or self.sharded or fetch == "as_is"
        return "none" if alone else "contiguous"

    def _display(self, verbose: int, log_freq: int) -> Report:
        """Who is told how a call goes: of several processes, that of the first one."""
        return choose(verbose if process_group.is_first() else 0, log_freq)

    def _wire(
        self,
        call: types.SimpleNamespace,
        batch_size: int,
        epochs: int | None = None,
        evaluates: bool = False,
    ) -> Wiring:
        """Sort out the callbacks of a call."""
        data = next(value for name, value in vars(call).items() if name.endswith("_data"))
        train_data = getattr(call, "train_data", None)
        save_dir = getattr(call, "save_dir", None)
        params = {
            "epochs": epochs,
            "steps": steps_in(data, batch_size, getattr(call, "drop_last", False)),
            "batch_size": batch_size,
            "verbose": call.verbose,
            "metrics": self.measures.names(),
            "evaluates": evaluates,
            "began": time.time(),
            "save_dir": None if save_dir is None else str(save_dir),
        }
        wiring = wire(call.callbacks, params, train_data, getattr(call, "save_freq", 1))
        if wiring.bar is not None:
            call.verbose, call.log_freq = wiring.bar.verbose, wiring.bar.log_freq
        return wiring

    def _restore_schedulers(self, wiring: Wiring) -> None:
        """Give new schedulers the state that `load` has read."""
        schedulers, states = wiring.schedulers.values(), self.loaded.get("schedulers", ())
        if schedulers and len(schedulers) == len(states):
            for scheduler, state in zip(schedulers, states, strict=True):
                scheduler.load_state_dict(state)
            assert self.optimizer is not None
            groups = zip(self.optimizer.param_groups, self.loaded["groups"], strict=True)
            scheduled = ("lr", "momentum", "betas", *checkpoint.NOTED_BY_SCHEDULERS)
            for group, saved in groups:  # a new scheduler has set them anew
                group.update({key: saved[key] for key in scheduled if key in saved})
            self.loaded = {}

    def _program(
        self,
        method: str,
        call: types.SimpleNamespace,
        options: dict[str, Any],
        data: dict[str, Any],
        seen: Seen,
        wiring: Wiring | None = None,
    ) -> Program:
        """The program of a call: its options, and what its names stand for."""
        wiring = wiring or Wiring()
        arguments = vars(call)
        loop = arguments.pop("loop", None)
        checks.loop_given(loop)
        self.called_with = seen.inputs or self.called_with
        together = self.processes > 1 and method in ("fit", "evaluate")
        if together:
            checks.metrics_add_up(self.metrics)
        measured, means = self.measures.options(seen.form, seen.parts, together)
        options |= {
            **seen.form.options(),
            **(measured if "predict" not in method else {}),
            **wiring.options(),
            "NUM_WORKERS": arguments.get("num_workers", 0),
            "LOG_FREQ": arguments.get("log_freq", 10),
            "DEVICE": self.device,
            "DEVICE_TYPE": self.device.partition(":")[0],
            "AUTOCAST": self.precision.mixed,
            "AUTOCAST_DTYPE": Code(str(self.precision.dtype)),
            "GRAD_SCALER": self.scaler is not None,
            "DISTRIBUTED": self.processes > 1,
            "SHARDED": self.sharded,
            "FIND_UNUSED_PARAMETERS": seen.unused,
            "HAS_BUFFERS": any(True for _ in self.network.buffers()),
            "FLUSH_DENORMAL": method == "fit" and self.device == "cpu",
        }
        names = {
            "network": self.network,
            "optimizer": self.optimizer,
            **self.measures.loss_fns,
            **self.measures.metrics,
            **means,
            **wiring.schedulers,
            "scaler": self.scaler,
            **wiring.callbacks,
            "model": self,
            **data,
        }
        names = {name: value for name, value in names.items() if value is not None}
        return Program(method, title_of(method, arguments), options, names, loop, wiring)


METHODS = ("fit", "evaluate", "predict", "train_batch", "eval_batch", "predict_batch")


def title_of(method: str, arguments: dict[str, Any]) -> str:
    """The call as one would type it: data by its name, and each option that is not the default."""
    parts = []
    for name, parameter in inspect.signature(getattr(Model, method)).parameters.items():
        if name not in arguments or name in ("self", "verbose"):
            continue
        if parameter.default is parameter.empty:
            parts.append(name)
        elif arguments[name] is not parameter.default and name in ("eval_data", "callbacks"):
            parts.append(f"{name}={name}")
        elif arguments[name] is not parameter.default and name == "labels":
            parts.append(name)
        elif arguments[name] != parameter.default:
            parts.append(f"{name}={arguments[name]!r}")
    return f"model.{method}({', '.join(parts)})"


def choose_fused(optimizer: torch.optim.Optimizer, scaled: bool = False) -> None:
    """Use the optimizer's fused implementation, if there is one and the choice was left open.

    Not for momentum with a scaled loss: where its first step overflows, and so is left out, torch's
    fused SGD goes on with a momentum that was never set.
    """
    for group in optimizer.param_groups:
        open_choice = group.get("fused", False) is None and not group.get("foreach")
        others = group.get("differentiable") or group.get("capturable")
        others = others or (scaled and group.get("momentum"))
        devices = {weight.device.type for weight in group["params"] if weight.is_floating_point()}
        if open_choice and not others and devices <= {"cpu", "cuda", "mps"} and len(devices) == 1:
            group["fused"] = True
            # As its constructor does: a GradScaler leaves the scale to the fused implementation.
            optimizer._step_supports_amp_scaling = True  # type: ignore[attr-defined]


def signature_of(part: Any) -> Any:
    """What makes batches alike: the shape of a sample, and its type."""
    return (part.shape[1:], part.dtype) if isinstance(part, torch.Tensor) else type(part)
