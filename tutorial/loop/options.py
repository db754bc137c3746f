"""Options: what a call decides before its loop begins.

An argument of a call is the option of the same name in capitals; the others follow from the call's
data, network and callbacks. The values here are the defaults, with which the loops run as they
stand.
"""

from dataclasses import dataclass
from typing import Any


class Code(str):
    """A piece of code as an option's value, such as the name of a metric's variable."""

    __slots__ = ()


@dataclass(frozen=True)
class WrittenAs:
    """An option's value together with the code that it came from: 3, written as N_EPOCHS.

    The value decides what stays of the program; where it is put in, the code stands for it.
    """

    value: Any
    code: str


NONE: tuple[Any, ...] = ()
METHOD = "fit"  # the method of Model that was called

# ---- arguments

BATCH_SIZE = EVAL_BATCH_SIZE = 64  # samples in a batch
EPOCHS = 1  # passes over the training data
EVAL_DATA = False  # is there data to evaluate on while training?
EVAL_FREQ = 1  # evaluate after every so many epochs, and after the last
LOG_FREQ = 10  # print at every so many steps
DROP_LAST = False  # leave out a short last batch
SHUFFLE = True  # a new order in each epoch
NUM_WORKERS = 0  # processes that load data; 0: this one
ACCUMULATE_GRAD_BATCHES = 1  # batches that share one update
NUM_ITERS: int | None = None  # at most so many steps, all epochs together
CLIP_GRAD_NORM: float | None = None  # the largest norm of an update's gradient
RESUME: str | None = None  # the checkpoint to go on from
COMPILE = False  # let torch.compile make the network faster
STACK_OUTPUTS = False  # predict: one tensor instead of one for each batch
UPDATE = True  # train_batch: make the step, or only add up gradients

# ---- data

# How batches are made: from tensors "in_memory", "per_batch", "per_sample"; or given "as_is".
TRAIN_LOADING = EVAL_LOADING = TEST_LOADING = "per_sample"
LAST_UNKNOWN = False  # may the training data have another length than it says, or none?
# What each rank gets: all data ("none"), a "strided" part of every batch, or a "contiguous" part.
TRAIN_SPLIT = EVAL_SPLIT = TEST_SPLIT = "none"
UNPACK: str | None = None  # how a batch is unpacked, if not as (x, y)
UNPACK_OUTPUT: str | None = None  # how the network's output is unpacked, if it is not one tensor
NETWORK_CALL: str | None = None  # how the network is called, if not as network(x)
LOSS_CALL: str | None = None  # how loss_fn is called, if not with all outputs, then all labels
SAMPLES: str | None = None  # a batch's number of samples, if not len(x)
LABELS_UNKNOWN = False  # predict: only the loop will see whether there are labels in a batch
OUTPUTS = "one"  # predict: "one" tensor, "several", or "named" ones in a dict
OUTPUT_NAMES: tuple[str, ...] = ()

# ---- losses and metrics

METRICS = NONE  # (object with reset(), update(...) and compute(); what it compares: output, label)
# What is reported: (name, metric, its part or None, may it be undefined?).
VALUES, OTHER_VALUES = NONE, NONE  # numbers; what is none
# "none", "one", one "weighed" (loss_fn gives its weight, too), "several" that loss_fn gives at
# once, or "each" output has its own.
LOSSES = "one"
TOTAL_LOSS = 0.0  # the sum of several losses
LOSS_REDUCTION = "mean"  # over what a batch counts, a "sum" over its samples, "neither", "unknown"
BATCH_WEIGHT: str | None = None  # what a batch counts in the mean, if not its number of samples
AN_OUTPUT = Code("y_hat")  # what the network returns, or a part of that
WEIGHT_MAY_BE_ZERO = False  # may there be batches with nothing to learn from?
LOSSES_WEIGH = False  # does each of several losses average over something else?
LOSS_WEIGHTS = NONE  # what that is, if not samples: (its weight, code, loss, output, may it be 0?)
TOTAL_MEAN = 0.0  # the sum of the means of several losses
LOSS_FNS = NONE  # (loss, its loss_fn, what that compares: output, label)

# ---- callbacks and schedulers

CALLBACKS, CHECKPOINTS = NONE, NONE  # those that may end the training; those that save
STATEFUL_CALLBACKS = NONE  # those that go on from a checkpoint: (index, callback)
ON_TRAIN_BEGIN = ON_TRAIN_END = ON_EPOCH_BEGIN = ON_EPOCH_END = NONE  # callbacks with this hook
ON_TRAIN_BATCH_BEGIN = ON_TRAIN_BATCH_END = ON_EVAL_BATCH_BEGIN = ON_EVAL_BATCH_END = NONE
ON_EVAL_BEGIN = ON_EVAL_END = ON_PREDICT_BEGIN = ON_PREDICT_END = NONE
ON_PREDICT_BATCH_BEGIN = ON_PREDICT_BATCH_END = NONE
SCHEDULERS, STEP_SCHEDULERS, EPOCH_SCHEDULERS = NONE, NONE, NONE  # all: (index, scheduler)
FIRST_EPOCH = 0  # where a resumed training begins
# What else goes on from a checkpoint: (code that loads a state, its key); (attribute, kind, key).
PARTS, ATTRIBUTES = NONE, NONE
KEPT_WORKERS = NONE  # loaders whose workers had been started, and stay

# ---- where and how

DEVICE, DEVICE_TYPE = "cpu", "cpu"  # where the network is: "cuda:0", which is a "cuda"
AUTOCAST, AUTOCAST_DTYPE = False, Code("torch.bfloat16")  # mixed precision: forward in 16 bits
OPTIMIZER_MODES = False  # has the optimizer a train() and an eval(), as a network has?
GRAD_SCALER = False  # float16: scale the loss, so that small gradients do not become 0
# All weights and buffers: those of a loss, too, where it learns or has some.
WEIGHTS: Any = Code("network.parameters()")
BUFFERS: Any = Code("network.buffers()")
LEARNING_LOSSES = NONE  # the losses that have weights of their own
DISTRIBUTED = False  # do several processes train together?
SHARDED = False  # are the weights sharded across them?
FIND_UNUSED_PARAMETERS = False  # are there weights on which the loss does not depend?
HAS_BUFFERS = False  # has the network buffers, such as batch norm's running statistics?
FLUSH_DENORMAL = False  # let a CPU count numbers below 1e-38 as 0
REPORT = False  # True: tell `report`; False: print, as a textbook does
