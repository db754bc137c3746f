"""One topic, one file: what its options change in the loop.

A layer is a block of the loop once more, with `...` for what stays as it is. New lines stand
beside the lines that they go with. What replaces lines stands between their neighbours; `pass`
there takes them out. A line that is repeated may get a comment of its own. An `if` or a `with`
around lines holds them. Inside an expression the dots are what stood there:
`scaler.scale(...).backward()`.

    ...                                                     # the loop, up to
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)     # a new line, before
    optimizer.step()                                        # this one
    ...                                                     # and the rest of it

Each layer says where it belongs and when it is on: `@fit_step(CLIP_GRAD_NORM is not None)`. It is
written against the plain loop, and its parameters are the loop's variables. Where two options
change the same lines, one layer names the other: in an `if`, in its condition, or in `takes_in`.
unroll/weave.py makes one function of the loop and the layers that are on; what is unclear it
refuses.

denormals.py    numbers that slow a CPU down
loading.py      how batches come from the data
optimizer_modes.py  an optimizer that trains at other weights than it gives
checkpoints.py  to go on from here, should the training break off
means.py        what a batch counts in a mean, if not its samples
limits.py       num_iters: end after so many steps
callbacks.py    called at their hooks; they may end the training
resume.py       go on from a checkpoint
report.py       a display in place of print
distributed.py  several processes train together
device.py       on a GPU
losses.py       several losses, or none
precision.py    mixed precision: the forward pass in 16 bits
accumulate.py   several small batches make one large one
clip.py         no update's gradient is longer than this
schedule.py     the learning rate changes while training
evaluation.py   evaluate while training
other_values.py  what a metric gives that is no number, such as a matrix
compiled.py     torch.compile
outputs.py      predict: several outputs; one tensor for all batches
gradients.py    train_batch(update=False): only add up gradients
"""

from collections.abc import Callable
from typing import Any, TypeVar

Layer = TypeVar("Layer", bound=Callable[..., Any])

# The layers, in the order in which their lines stand where two put some at the same place.
LAYERS = (
    *(
        "denormals",
        "loading",
        "optimizer_modes",
        "checkpoints",
        "limits",
        "callbacks",
        "resume",
        "report",
    ),
    "means",
    *("distributed", "device", "losses", "precision", "accumulate", "clip", "schedule"),
    *("evaluation", "other_values", "compiled", "outputs", "gradients"),
)

# The places where a layer can belong: a function of the loop, and the way to a block inside of it.
PLACES: dict[str, tuple[str, ...]] = {
    "fit": ("fit",),
    "fit_epoch": ("fit", "for epoch"),
    "fit_step": ("fit", "for epoch", "for step"),
    "evaluate": ("evaluate",),
    "evaluate_pass": ("evaluation_pass",),
    "evaluate_step": ("evaluation_pass", "with torch.no_grad()", "for step"),
    "predict": ("predict",),
    "predict_step": ("predict", "with torch.no_grad()", "for step"),
    "train_batch": ("train_batch",),
    "eval_batch": ("eval_batch",),
    "predict_batch": ("predict_batch",),
}


def fit(when: object, takes_in: tuple[str, ...] = ()) -> Callable[[Layer], Layer]:
    """Mark a function as a layer of `fit`. It does nothing when it runs: the weaver reads the file.

    Args:
        when: the layer is on where this condition on the options holds.
        takes_in: of an `if` or `with` around lines: the layers whose lines beside its first and
            last line belong inside, too.
    """
    return lambda layer: layer


fit_epoch = fit_step = evaluate = evaluate_pass = evaluate_step = fit
predict = predict_step = train_batch = eval_batch = predict_batch = fit
