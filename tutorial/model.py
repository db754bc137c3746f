"""`Model`: the high level. It remembers the parts and chooses options; it holds no loop."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tutorial import checks
from tutorial.call import Call, decide, look_at_batch, report_of
from tutorial.device import choose_fused, get_device
from tutorial.distributed import process_group
from tutorial.distributed.shard import shard_weights
from tutorial.history import History
from tutorial.inputs.objective import Measures
from tutorial.inputs.spec import specs_of
from tutorial.loop.names import reserved_names
from tutorial.parameters import (
    DEFAULT_BATCH_SIZE,
    BatchSize,
    BatchSizes,
    Count,
    Directory,
    File,
    Positive,
    Verbosity,
    Workers,
    checked,
    short,
)
from tutorial.precision import Precision, PrecisionName
from tutorial.saving import checkpoint
from tutorial.saving.parts import Parts, modules_in
from tutorial.tracebacks import misnamed, readable
from tutorial.unroll.program import Program

Loop = Program | str | Callable[..., Any]


@readable
class Model:
    """A network together with its optimizer, loss and metrics, ready to train.

    Every call below writes out the plain PyTorch loop for this very call and runs it; `unroll`
    shows the loop.

    Args:
        network: the network to train. It is moved to `get_device()`.
        inputs: what a batch holds, where a look at the data does not tell: an InputSpec for each
            input, a list or a dict of them. Their names stand in the loop, and choose the keys of a
            dict; of a tuple, inputs come first, then labels, and what is beyond them is left out.
            Where inputs alone name all parts in their order, forward gets those that it names.
        labels: the same for the labels; [] says that there are none. A part that is both has one
            name in both.
        shard: of several processes, each keeps only its part of every weight, of its gradient and
            of the optimizer's numbers (torch's FSDP2): for a network that is too large for one
            device.
        check: look at the first batch of a call before it runs, so that what does not fit is
            refused before anything is trained. False leaves that out: a batch is then (x, y), or
            what inputs and labels say.

    Attributes:
        stop_training: a callback sets it to True to end the training.
        history: what the last fit returned; after an error, what there was until then.

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
        self,
        network: nn.Module,
        inputs: Any = None,
        labels: Any = None,
        shard: bool = False,
        check: bool = True,
    ) -> None:
        checks.made_of_class("network", network, "...")
        if not isinstance(network, nn.Module):
            raise TypeError(
                f"network is {short(network)}, but an nn.Module is expected, such as "
                "nn.Sequential(nn.Flatten(), nn.Linear(784, 10))."
            )
        if not hasattr(network, "_parameters"):
            raise TypeError(
                f"network is a {type(network).__name__} that can hold no layers: its __init__ must "
                "begin with super().__init__()."
            )
        checked(Model.__init__, locals())
        self.world_size = process_group.join()
        self.device = get_device()
        checks.on_a_device(network)
        self.network = network.to(self.device)
        self.inputs, self.labels = specs_of("inputs", inputs), specs_of("labels", labels)
        checks.specs_differ(self.inputs or (), self.labels or (), reserved_names())
        if self.world_size > 1:
            process_group.broadcast_parameters(self.network)
        self.check = check
        self.sharded = shard and self.world_size > 1
        if self.sharded:
            shard_weights(self.network)
        self.optimizer: torch.optim.Optimizer | None = None
        self.measures = Measures(None, None, self.device)
        self.precision = Precision()
        self.stop_training = False
        self.called_with: Any = None  # InputSpecs, as the network is called; once data was seen
        self.history: History | None = None
        # What took part in the last fit: `save` writes their state.
        self.callbacks: list[Any] = []
        self.schedulers: list[Any] = []
        self.stateful = Parts({"network": self.network})
        self.loaded: dict[str, Any] = {}  # the state of schedulers that `load` has read
        self._seen = Seen()

    def prepare(
        self,
        optimizer: torch.optim.Optimizer | None = None,
        loss: Any = None,
        metrics: Any = None,
        precision: PrecisionName = "32",
    ) -> None:
        """Choose how to learn (optimizer), what to improve (loss) and what to report (metrics).

        May be called again, to replace all three. Where the optimizer has a fused implementation
        for the device, and you left the choice open, that one is used: it is much faster.

        Args:
            optimizer: any torch.optim optimizer that holds the network's parameters.
            loss: a callable: loss(y_hat, y) is the mean over a batch, a tensor of shape (). Of
                several outputs and labels, a parameter gets the one of its name, and target, label
                or y the labels: loss(mu, target, var); the rest goes in order, outputs, then
                labels: loss(y_hat_0, y_hat_1, y_0, y_1). One parameter may take a whole dict,
                loss(outputs, labels). It may return several losses, in a list or a dict; they are
                summed, but {"loss": total, "kl": kl} says what to train on. Or a list or dict
                of callables, one for each output. A batch counts in the mean as much as the loss
                averaged over: its samples, the labels that are not ignored, the sum of their class
                weights; a sum, reduction="sum", is divided by the samples. Of torch's losses this
                is known, and any other is asked: its loss of the first batch is compared with those
                of two parts. One that averages over something else, such as tokens, returns a tuple
                (loss, weight): the mean, and over how much; weight is a number or a tensor of shape
                () without a gradient. If it does not, a warning says so.
            metrics: one metric or a list: tutorial.metrics, torchmetrics, or any object with
                reset(), update(y_hat, y) and compute(). Of several outputs it measures the one that
                it can; if that is not clear, a dict from the output's name (or number) to its
                metrics says it, or a list of lists.
                What compute() gives is reported if it is a number, or a dict of numbers. Anything
                else, such as a matrix or a curve, is only in what `evaluate` returns. Where it
                raises an error as there is too little data, such as of one class, the value is nan.
            precision: '32'; or mixed, 'bf16-mixed' (bfloat16) or '16-mixed' (float16, with scaled
                gradients); or 'bf16', where the weights are bfloat16, too. See `Precision`.

        Raises:
            TypeError: one of them is not of its kind.
            ValueError: two values would be reported under one name; the optimizer needs a closure
                (LBFGS); there is no such precision.
        """
        checked(Model.prepare, locals())
        if optimizer is not None:
            checks.optimizer_fits(optimizer)
        computing = Precision(precision, self.device)
        measures = Measures(loss, metrics, self.device)
        checks.specs_differ(
            self.inputs or (),
            self.labels or (),
            reserved_names() | measures.loss_fns.keys() | measures.metrics.keys(),
        )
        if optimizer is not None:  # first: where warnings are errors, too, this changes nothing
            checks.warn_foreign_parameters(self.network, optimizer, modules_in(measures.loss_fns))
        self.measures = measures
        parts = {"network": self.network, "optimizer": optimizer, **measures.loss_fns}
        self.stateful = Parts(parts, (), self.stateful)
        if self.precision.name == "bf16" != computing.name:
            self.network.float()
        computing.cast(self.network, optimizer)
        if optimizer is not None:
            choose_fused(optimizer, self.network, scaled=computing.scaler is not None)
        self.optimizer = optimizer
        self.precision = computing
        self._seen = Seen()

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

    @property
    def parts(self) -> dict[str, Any]:
        """What else has a state, such as a loss that learns, by the code that leads to it."""
        return self.stateful.found()

    @property
    def attributes(self) -> dict[str, Any]:
        """Plain attributes that have changed in the training, such as a counter in the network."""
        changed = self.stateful.attributes()
        self.stateful.warn_of_losses()
        return changed

    @property
    def kept_workers(self) -> list[str]:
        """The loaders of the call whose workers run, and stay until it ends."""
        return self.stateful.kept_workers()

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """A Model is no network: it has one."""
        raise TypeError(
            "a Model cannot be called; its network can: model.network(x) gives the outputs of a "
            "batch, and model.predict_batch(x) does so in evaluation mode, without gradients."
        )

    def __repr__(self) -> str:
        losses = list(self.measures.loss_fns.values())
        shown = [type(self.network).__name__]
        if self.optimizer is not None:
            shown.append(f"optimizer={type(self.optimizer).__name__}")
        if losses:
            kinds = [getattr(loss, "__name__", type(loss).__name__) for loss in losses]
            shown.append(f"loss={', '.join(kinds)}" if len(kinds) == 1 else f"losses={kinds}")
        if values := self.measures.values():
            shown.append(f"metrics=[{', '.join(name for name, _, _ in values)}]")
        return f"Model({', '.join(shown)}, device={self.device})"

    def parameters(self) -> Iterator[nn.Parameter]:
        """The network's parameters, for the optimizer."""
        return self.network.parameters()

    # ---- over whole data sets

    def fit(
        self,
        train_data: Any,
        eval_data: Any = None,
        batch_size: BatchSizes = DEFAULT_BATCH_SIZE,
        epochs: Count = 1,
        eval_freq: Count = 1,
        log_freq: Count = 10,
        save_dir: Directory | None = None,
        save_freq: Count = 1,
        verbose: Verbosity = 1,
        drop_last: bool = False,
        shuffle: bool = True,
        num_workers: Workers = 0,
        callbacks: Any = None,
        accumulate_grad_batches: Count = 1,
        num_iters: Count | None = None,
        clip_grad_norm: Positive | None = None,
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
                a dict, a NamedTuple or an object, of which forward and the loss get what they name.
                The next five options on batches count only for a Dataset.
            eval_data: the same, to evaluate on after epochs.
            batch_size: samples in a batch, at least 1; or a pair: for training, for evaluation.
            epochs: passes over train_data, at least 1.
            eval_freq: evaluate after every so many epochs; always after the last one.
            log_freq: steps between two lines, where lines are printed.
            save_dir: a directory for checkpoints: 0.pt after the first epoch, ..., and final.pt.
            save_freq: epochs from one checkpoint to the next.
            verbose: 0 silent; 1 a progress bar, or a line for each epoch where the output is not a
                terminal; 2 a line for every log_freq steps.
            drop_last: leave out the last batch of an epoch if it is short.
            shuffle: a new random order in each epoch; `tutorial.seed` repeats it.
            num_workers: processes that load data; 0 loads in this one.
            callbacks: a tutorial.callbacks.Callback, or a list of them.
            accumulate_grad_batches: batches whose gradients are averaged into one update, over what
                the loss averages over; so k small batches act as one large one.
            num_iters: end after so many training steps, if not before.
            clip_grad_norm: shorten the gradient of an update to this length, if it is longer.
            resume: go on from the newest checkpoint in save_dir, as if the training had never
                broken off; start from scratch if there is none. Give it from the first time on,
                and a training can be killed and started again at any moment: the result is the
                same, bit for bit; also if more epochs, more steps (num_iters) or more patience are
                asked for than before. Another schedule is refused, other settings are named.
                `epochs` counts those that are done. Only what workers that stay
                (persistent_workers=True) have drawn for themselves begins again.
            compile: let torch.compile make the network faster; its first steps are slow.
            loop: a loop of your own to run instead: a Program, source text, or a function. Epochs,
                batches and the other options are then what your loop says.

        Returns:
            The History: the loss of each step, and the means of each epoch.

        Raises:
            ValueError, TypeError: an argument does not fit; nothing was trained.
        """
        history: History = self._run("fit", locals())
        return history

    def evaluate(
        self,
        eval_data: Any,
        batch_size: BatchSize = DEFAULT_BATCH_SIZE,
        log_freq: Count = 10,
        verbose: Verbosity = 1,
        num_workers: Workers = 0,
        callbacks: Any = None,
        num_iters: Count | None = None,
    ) -> dict[str, Any]:
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
            A model without a loss reports the metrics alone. What is no number comes as the metric
            gives it: {..., 'multiclass_confusion_matrix': tensor([[...]])}.

        Raises:
            ValueError, TypeError: an argument does not fit.
        """
        result: dict[str, Any] = self._run("evaluate", locals())
        return result

    def predict(
        self,
        test_data: Any,
        batch_size: BatchSize = DEFAULT_BATCH_SIZE,
        num_workers: Workers = 0,
        stack_outputs: bool = False,
        verbose: Verbosity = 1,
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
        return self._run("predict", locals())

    # ---- over one batch

    def train_batch(self, inputs: Any, labels: Any = None, update: bool = True) -> dict[str, float]:
        """Train on one batch.

        Args:
            inputs: x, a tensor (N, ...); several in a list or a dict.
            labels: y, a tensor (N, ...); several in a list or a dict.
            update: take the step; False only adds this batch's gradients to those that are there.

        Returns:
            The batch's mean loss and its metrics, before the step: {'loss': 2.31, 'acc': 0.125}. If
            all its labels are to be ignored, the loss is 0, and no step is taken.

        Raises:
            ValueError: the model has no optimizer or no loss, or the batch does not fit.
        """
        result: dict[str, float] = self._run("train_batch", locals())
        return result

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
        result: dict[str, float] = self._run("eval_batch", locals())
        return result

    def predict_batch(self, inputs: Any) -> Any:
        """The network's outputs for one batch.

        Args:
            inputs: x, a tensor (N, ...); several in a list or a dict.

        Returns:
            A list with a tensor (N, ...) for each output of the network; a dict, if the network
            returns one. On the CPU, without gradients.
        """
        return self._run("predict_batch", locals())

    def _run(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """Check the arguments, decide what can be decided, run the loop."""
        call = Call.of(METHODS[method], arguments)
        program = decide(self, call)
        if not call.over_one_batch:
            return program.run(report_of(call, program.hooks))
        try:
            return program.run()
        except (IndexError, RuntimeError, ValueError):
            look_at_batch(self, call)
            raise

    # ---- save and load

    def save(self, path: File, training: bool = True) -> Any:
        """Write to a file what was learned: all that a training needs to go on from here.

        The file is never half-written: an earlier one is replaced in one piece, or left as it was.
        `torch.load(path, weights_only=True)` opens it without this library: a dict with the
        state_dicts 'network', 'optimizer', 'scaler' and 'schedulers' (those that there are);
        'parts', the state of what else has one, such as a loss that learns or a generator of the
        data, by the code that leads to it: 'train_data.generator'; 'attributes', those that have
        changed: 'network.steps'; and 'random', the state of Python's, NumPy's and PyTorch's own
        random generators. What changes and no file can hold is named in a warning.

        Args:
            path: where to write; the ending .pt is added, missing directories are made.
            training: False exports the network alone, for use without this library and without
                its source: as path.pt2 (torch.export) and path.onnx (ONNX). The size of a batch
                stays free. What the inputs look like is known from Model(inputs=...), or from the
                data that the model has seen.

        Returns:
            The path, with its ending; for an export a list of them.

        Raises:
            OSError: the file cannot be written.
            ValueError: the network cannot be exported; or a state_dict holds an object that
                `torch.load(weights_only=True)` does not read back.
        """
        path = Path(checked(Model.save, locals())["path"])
        if training:
            checks.writable("path", checkpoint.with_ending(path), is_file=True)
            return checkpoint.write(path, checkpoint.state_of(self))
        from tutorial.saving.export import export

        return export(self.network, self._inputs_to("save(training=False)"), path)

    def load(self, path: File, skip_mismatch: bool = False, reset_optimizer: bool = False) -> None:
        """Go on from a file that `save` wrote.

        Args:
            path: the file, with or without its ending.
            skip_mismatch: load the weights that fit and warn of the others, instead of refusing
                all. The optimizer then starts from scratch, since its state is of other weights.
            reset_optimizer: load the weights only.

        With an optimizer, all that belongs to its training is loaded, too: the scaler, the random
        state (so that shuffling and dropout go on as they would have), what else has a state, and
        the schedulers: those of the last fit, or else of the next.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: the file is damaged or does not fit; nothing was changed.
        """
        path = Path(checked(Model.load, locals())["path"])
        checkpoint.load_into(self, checkpoint.read(path), skip_mismatch, reset_optimizer)

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

    def unroll(self, method: str, *args: Any, depth: str = "loop", **kwargs: Any) -> Program:
        """Write out, without running it, the plain PyTorch loop that a call would run.

        Args:
            method: 'fit', 'evaluate', 'predict', 'train_batch', 'eval_batch' or 'predict_batch'.
            *args: the same arguments as that method's.
            depth: how far: "loop"; "optimizer": its step is arithmetic on tensors; "gradients":
                so are the network, the losses and backward, layer by layer.
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
        if not isinstance(method, str) or method not in METHODS:
            raise ValueError(
                f"method is {short(method)}, but one of {', '.join(METHODS)} is expected."
            )
        if wrong := misnamed(METHODS[method], kwargs):
            raise wrong
        bound = inspect.signature(METHODS[method]).bind(self, *args, **kwargs)
        bound.apply_defaults()
        program = decide(self, Call.of(METHODS[method], bound.arguments))
        program.remember()
        program.as_html = at_all_depths
        if depth == "loop":
            return program
        from tutorial.depth.depths import at_depth  # its tracer takes its time to import

        return at_depth(program, depth)


def at_all_depths(program: Program) -> str:
    """A program as HTML, with a control for the depth."""
    from tutorial.depth.shown import shown  # as above

    return shown(program)


class Seen(dict[Any, Any]):
    """What dry runs have found of data and batches; it does not go into a pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Seen, ()


METHODS: dict[str, Callable[..., Any]] = {
    method.__name__: method
    for method in (
        *(Model.fit, Model.evaluate, Model.predict),
        *(Model.train_batch, Model.eval_batch, Model.predict_batch),
    )
}
