"""Golden programs: what each layer alone, and each interaction of options, makes of the loop.

Each is a file in golden/, to be read in a review: no source shows these combinations. To write them
anew after a change that is meant: `pytest tests/test_golden.py --write-golden`; then look at
the difference.
"""

import ast
import itertools
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tutorial.loop.layers import LAYERS
from tutorial.loop.options import Code
from tutorial.unroll.unroll import defaults, unroll
from tutorial.unroll.weave import Layer, all_layers

FOLDER = Path(__file__).parent / "golden"


def codes(*names: str) -> tuple[Code, ...]:
    return tuple(map(Code, names))


def metric(output: str = "y_hat", label: str = "y") -> dict[str, Any]:
    return {
        "METRICS": ((Code("accuracy"), Code(output), Code(label)),),
        "VALUES": (("acc", Code("accuracy"), None, False),),
    }


ACCURACY = metric()
TWO_OUTPUTS = {
    "y_hat": codes("y_hat_0", "y_hat_1"),
    "UNPACK_OUTPUT": Code("(y_hat_0, y_hat_1)"),
    "OUTPUTS": "several",
}
EACH = {
    **TWO_OUTPUTS, "LOSSES": "each", "TOTAL_LOSS": Code("loss_0 + loss_1"),
    "LOSS_FNS": (
        codes("loss_0", "loss_fn_0", "y_hat_0", "y"), codes("loss_1", "loss_fn_1", "y_hat_1", "y"),
    ),
}  # fmt: skip
EACH_WEIGHS = {
    **EACH, "LOSSES_WEIGH": True,
    "TOTAL_MEAN": Code("loss_0_mean.compute() + loss_1_mean.compute()"),
    "LOSS_WEIGHTS": (
        (*codes("loss_0_weight", "loss_fn_0.weight[y].sum().item()", "loss_0", "y_hat_0"), False),
        (*codes("loss_1_weight", "(y != -100).count_nonzero().item()", "loss_1", "y_hat_1"), True),
    ),
    "METRICS": (
        codes("loss_0_mean", "loss_0", "loss_0_weight"),
        codes("loss_1_mean", "loss_1", "loss_1_weight"),
    ),
}  # fmt: skip
AT_ONCE = {
    "LOSSES": "several", "losses": codes("loss_0", "loss_1"),
    "TOTAL_LOSS": Code("loss_0 + loss_1"),
}  # fmt: skip
NO_LOSS = {"LOSSES": "none", **ACCURACY}
GPU = {"DEVICE": "cuda:0", "DEVICE_TYPE": "cuda"}
HALF = {"AUTOCAST": True, "AUTOCAST_DTYPE": Code("torch.bfloat16")}
SCALED = {"AUTOCAST": True, "AUTOCAST_DTYPE": Code("torch.float16"), "GRAD_SCALER": True}
RANKS = {"DISTRIBUTED": True, "TRAIN_LOADING": "in_memory", "TRAIN_SPLIT": "strided"}
LABELLED = {"BATCH_WEIGHT": Code("(y != -100).count_nonzero().item()"), "WEIGHT_MAY_BE_ZERO": True}
WEIGHED = {
    "LOSSES": "weighed", "BATCH_WEIGHT": Code("batch_weight"), "WEIGHT_MAY_BE_ZERO": True,
}  # fmt: skip
NEITHER = {"LOSS_REDUCTION": "neither"}
UNKNOWN = {"LOSS_REDUCTION": "unknown"}
SUM = {"LOSS_REDUCTION": "sum"}
EVAL = {"EVAL_DATA": True, "EVAL_LOADING": "in_memory"}
EVAL_RANKS = {"DISTRIBUTED": True, "EVAL_LOADING": "in_memory", "EVAL_SPLIT": "contiguous"}
MATRIX = {
    "METRICS": ((Code("confusion_matrix"), Code("y_hat"), Code("y")),),
    "OTHER_VALUES": (("confusion_matrix", Code("confusion_matrix"), None, False),),
}
CORRELATION = {
    "METRICS": ((Code("correlation"), Code("y_hat"), Code("y")),),
    "VALUES": (("correlation", Code("correlation"), None, True),),
}
STEP = {"SCHEDULERS": ((0, Code("scheduler")),), "STEP_SCHEDULERS": codes("scheduler")}
EPOCH = {"SCHEDULERS": ((0, Code("scheduler")),), "EPOCH_SCHEDULERS": codes("scheduler")}
STOPS = {"CALLBACKS": codes("early_stopping"), "ON_EVAL_END": codes("early_stopping")}


def recorder(*moments: str) -> dict[str, Any]:
    hooks = {f"ON_{moment}": codes("recorder") for moment in moments}
    return {"CALLBACKS": codes("recorder"), **hooks}


LEARNS = {
    "WEIGHTS": Code("[*network.parameters(), *loss_fn.parameters()]"),
    "BUFFERS": Code("loss_fn.buffers()"),
    "LEARNING_LOSSES": codes("loss_fn"),
}


FIT_HOOKS = [
    *("TRAIN_BEGIN", "TRAIN_END", "EPOCH_BEGIN", "EPOCH_END"),
    *("TRAIN_BATCH_BEGIN", "TRAIN_BATCH_END"),
]
EVAL_HOOKS = ["EVAL_BEGIN", "EVAL_END", "EVAL_BATCH_BEGIN", "EVAL_BATCH_END"]
PREDICT_HOOKS = ["PREDICT_BEGIN", "PREDICT_END", "PREDICT_BATCH_BEGIN", "PREDICT_BATCH_END"]

# The first word of a name is the method; the rest names the options.
CASES: dict[str, dict[str, Any]] = {
    "fit plain": ACCURACY,
    "fit may be undefined": CORRELATION,
    "evaluate other values": MATRIX,
    "evaluate other values, report": {**MATRIX, "REPORT": True},
    "evaluate other values, distributed": {**MATRIX, **EVAL_RANKS},
    "eval_batch other values": MATRIX,
    "train_batch other values": MATRIX,
    "fit denormals": {"FLUSH_DENORMAL": True},
    "fit optimizer modes": {"OPTIMIZER_MODES": True},
    "fit optimizer modes, checkpoints, evaluation": {
        "OPTIMIZER_MODES": True, **EVAL, "CHECKPOINTS": codes("model_checkpoint"),
    },
    "evaluate optimizer modes": {"OPTIMIZER_MODES": True},
    "predict optimizer modes": {"OPTIMIZER_MODES": True},
    "train_batch optimizer modes": {"OPTIMIZER_MODES": True},
    "predict_batch optimizer modes": {"OPTIMIZER_MODES": True},
    "fit loading per batch": {"TRAIN_LOADING": "per_batch"},
    "fit loading as is": {"TRAIN_LOADING": "as_is"},
    "fit loading drop last, workers": {"DROP_LAST": True, "NUM_WORKERS": 2},
    "fit checkpoints": {"CHECKPOINTS": codes("model_checkpoint")},
    "fit limits": {"NUM_ITERS": 100},
    "fit callbacks": {**recorder(*FIT_HOOKS, *EVAL_HOOKS), **EVAL},
    "fit callbacks, no step": recorder("EPOCH_END"),
    "fit resume": {"RESUME": "saved/3.pt", "FIRST_EPOCH": 4, "EPOCHS": 9},
    "fit report": {**ACCURACY, **EVAL, "REPORT": True},
    "fit distributed": {**RANKS, **ACCURACY},
    "fit device": GPU,
    "fit losses each": EACH,
    "fit losses at once": AT_ONCE,
    "fit precision bf16-mixed": HALF,
    "fit precision 16-mixed": SCALED,
    "fit accumulate": {"ACCUMULATE_GRAD_BATCHES": 4},
    "fit clip": {"CLIP_GRAD_NORM": 1.0},
    "fit schedule step": STEP,
    "fit schedule epoch": EPOCH,
    "fit evaluation": {**EVAL, **ACCURACY},
    "fit compiled": {"COMPILE": True},
    "fit accumulate, clip, schedule": {
        "ACCUMULATE_GRAD_BATCHES": 4, "CLIP_GRAD_NORM": 1.0, **STEP,
    },
    "fit accumulate, last unknown": {
        "ACCUMULATE_GRAD_BATCHES": 4, "LAST_UNKNOWN": True, "TRAIN_LOADING": "as_is", **EVAL,
    },
    "fit accumulate, limits": {"ACCUMULATE_GRAD_BATCHES": 4, "NUM_ITERS": 100},
    "fit accumulate, 16-mixed": {"ACCUMULATE_GRAD_BATCHES": 4, **SCALED},
    "fit accumulate, distributed": {"ACCUMULATE_GRAD_BATCHES": 4, **RANKS},
    "fit clip, accumulate, a loss that learns": {
        "CLIP_GRAD_NORM": 1.0, "ACCUMULATE_GRAD_BATCHES": 4, **LEARNS,
    },
    "fit distributed, buffers, a loss that learns": {**RANKS, "HAS_BUFFERS": True, **LEARNS},
    "fit clip, schedule, 16-mixed": {"CLIP_GRAD_NORM": 1.0, **STEP, **SCALED},
    "fit evaluation, limits": {**EVAL, "NUM_ITERS": 100, "EVAL_FREQ": 2, "EPOCHS": 9},
    "fit evaluation, callbacks": {**EVAL, "EVAL_FREQ": 2, "EPOCHS": 9, **STOPS},
    "fit evaluation, distributed": {**EVAL, **RANKS, **EVAL_RANKS, **ACCURACY},
    "fit distributed, report": {**RANKS, **EVAL, **EVAL_RANKS, **ACCURACY, "REPORT": True},
    "fit distributed, device": {**RANKS, **GPU},
    "fit distributed, callbacks": {
        **RANKS, **recorder("TRAIN_BATCH_BEGIN", "TRAIN_BATCH_END"),
    },
    "fit distributed, buffers": {**RANKS, "HAS_BUFFERS": True},
    "fit distributed, sharded": {**RANKS, "SHARDED": True},
    "fit distributed, unused": {**RANKS, "FIND_UNUSED_PARAMETERS": True},
    "fit distributed, per sample": {**RANKS, "TRAIN_LOADING": "per_sample"},
    "fit resume, all": {
        "RESUME": "saved/3.pt", **SCALED, **EPOCH, **STOPS,
        "PARTS": (
            (Code("train_data.generator.set_state"), "train_data.generator"),
            (Code("loss_fn.load_state_dict"), "loss_fn"),
        ),
        "ATTRIBUTES": (
            (Code("train_data.rng.bit_generator.state"), "parts", "train_data.rng"),
            (Code("network.steps"), "attributes", "network.steps"),
        ),
        "KEPT_WORKERS": codes("train_data"),
        "STATEFUL_CALLBACKS": ((0, Code("early_stopping")),),
    },
    "fit resume, distributed": {"RESUME": "saved/3.pt", **RANKS},
    "fit resume, sharded": {"RESUME": "saved/3.pt", **RANKS, "SHARDED": True},
    "fit device, 16-mixed, clip": {**GPU, **SCALED, "CLIP_GRAD_NORM": 1.0},
    "fit loss call": {**TWO_OUTPUTS, "LOSS_CALL": Code("loss_fn(y_hat_0, y, y_hat_1)"), **EVAL},
    "fit two inputs": {
        **metric('y_hat', 'batch["label"]'), "UNPACK": Code("batch"),
        "x": codes('batch["image"]', 'batch["text"]'), "y": codes('batch["label"]'),
    },
    "fit means": {"BATCH_WEIGHT": Code("loss_fn.weight[y].sum().item()"), **EVAL},
    "fit means labelled": {**LABELLED, **EVAL},
    "fit means labelled, callbacks": {
        **LABELLED, "SAMPLES": Code("len(y)"), **recorder("TRAIN_BATCH_END"),
    },
    "fit means labelled, report": {**LABELLED, "REPORT": True},
    "fit means labelled, accumulate": {**LABELLED, "ACCUMULATE_GRAD_BATCHES": 4},
    "fit means labelled, distributed": {**LABELLED, **RANKS},
    "fit means labelled, distributed, accumulate": {
        **LABELLED, **RANKS, "ACCUMULATE_GRAD_BATCHES": 4,
    },
    "fit means labelled, 16-mixed, clip, schedule": {
        **LABELLED, **SCALED, **STEP, "CLIP_GRAD_NORM": 1.0,
    },
    "fit means of each": EACH_WEIGHS,
    "fit means weighed": {**WEIGHED, **EVAL},
    "fit means weighed, two outputs": {
        **WEIGHED, **TWO_OUTPUTS, "BATCH_WEIGHT": Code("batch_weight.item()"),
        "AN_OUTPUT": Code("y_hat_0"),
    },
    "fit means neither": {**NEITHER, **EVAL},
    "fit means neither, accumulate": {**NEITHER, "ACCUMULATE_GRAD_BATCHES": 4},
    "fit means unknown": {**UNKNOWN, **EVAL},
    "fit means sum": {**SUM, **EVAL},
    "fit means sum, device": {**SUM, **EVAL, **GPU},
    "fit means sum, accumulate": {**SUM, "ACCUMULATE_GRAD_BATCHES": 4},
    "fit means sum, distributed": {**SUM, **RANKS},
    "evaluate means weighed": WEIGHED,
    "evaluate means of each": EACH_WEIGHS,
    "evaluate means labelled, sum": {**LABELLED, **SUM, "LOSSES": "one"},
    "evaluate plain": ACCURACY,
    "evaluate loading": {"EVAL_LOADING": "per_batch"},
    "evaluate limits": {"NUM_ITERS": 100},
    "evaluate callbacks": recorder(*EVAL_HOOKS),
    "evaluate report": {**ACCURACY, "REPORT": True},
    "evaluate distributed": {**EVAL_RANKS, **ACCURACY},
    "evaluate distributed, report": {**EVAL_RANKS, "REPORT": True},
    "evaluate device": GPU,
    "evaluate precision": HALF,
    "evaluate losses each": EACH,
    "evaluate losses at once": AT_ONCE,
    "evaluate losses none": NO_LOSS,
    "evaluate losses none, device": {**NO_LOSS, **GPU},
    "evaluate losses none, distributed": {**NO_LOSS, **EVAL_RANKS},
    "predict plain": {},
    "predict loading": {"TEST_LOADING": "in_memory"},
    "predict labels unknown": {"LABELS_UNKNOWN": True, "UNPACK": Code("x")},
    "predict callbacks": recorder(*PREDICT_HOOKS),
    "predict report": {"REPORT": True},
    "predict distributed": {
        "DISTRIBUTED": True, "TEST_LOADING": "in_memory", "TEST_SPLIT": "contiguous",
    },
    "predict device": GPU,
    "predict precision": HALF,
    "predict outputs stacked": {"STACK_OUTPUTS": True},
    "predict outputs several": TWO_OUTPUTS,
    "predict outputs several, stacked": {**TWO_OUTPUTS, "STACK_OUTPUTS": True},
    "predict outputs named, device": {
        "y_hat": codes('y_hat["digit"]', 'y_hat["parity"]'), "UNPACK_OUTPUT": Code("y_hat"),
        "OUTPUTS": "named", "OUTPUT_NAMES": ("digit", "parity"), **GPU,
    },
    "train_batch plain": ACCURACY,
    "train_batch gradients": {"UPDATE": False},
    "train_batch device": {**GPU, **ACCURACY},
    "train_batch precision": HALF,
    "train_batch 16-mixed": SCALED,
    "train_batch 16-mixed, gradients": {**SCALED, "UPDATE": False},
    "train_batch losses each": EACH,
    "train_batch losses at once": AT_ONCE,
    "train_batch distributed": {"DISTRIBUTED": True},
    "train_batch distributed, gradients": {"DISTRIBUTED": True, "UPDATE": False},
    "train_batch distributed, sharded": {"DISTRIBUTED": True, "SHARDED": True, "UPDATE": True},
    "train_batch means labelled": {**LABELLED, "UPDATE": True},
    "train_batch means weighed": WEIGHED,
    "train_batch means sum": {**SUM, **ACCURACY},
    "train_batch means sum, distributed": {
        **SUM, "DISTRIBUTED": True, "SHARDED": False, "UPDATE": True,
    },
    "eval_batch plain": ACCURACY,
    "predict_batch plain": {},
    "predict_batch device": GPU,
    "predict_batch precision": HALF,
    "predict_batch outputs named": {
        "y_hat": codes('y_hat["digit"]', 'y_hat["parity"]'), "UNPACK_OUTPUT": Code("y_hat"),
        "OUTPUTS": "named", "OUTPUT_NAMES": ("digit", "parity"),
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_golden_program(case: str, request: pytest.FixtureRequest) -> None:
    program = unroll(case.split()[0], tuple(CASES[case].items()))
    path = FOLDER / f"{case.replace(',', '').replace(' ', '_')}.txt"
    if request.config.getoption("--write-golden"):
        path.write_text(program, encoding="utf-8")
    assert path.exists(), "write it with `pytest tests/test_golden.py --write-golden`, and read it"
    assert program == path.read_text(encoding="utf-8")


def on(case: str) -> list[Layer]:
    """The layers that are on in a case."""
    options = defaults() | {"METHOD": case.split()[0]} | CASES[case]
    return [layer for layer in all_layers() if layer.is_on(options)]


def test_each_layer_has_a_golden_program() -> None:
    shown = {id(layer) for case in CASES for layer in on(case)}
    assert [layer.name for layer in all_layers() if id(layer) not in shown] == []


def options_in(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} & defaults().keys()


def interactions() -> set[tuple[str, ...]]:
    """Pairs of options that a layer names: in a condition with `and`, or in a test inside of it."""
    pairs: set[tuple[str, ...]] = set()
    for name in LAYERS:
        source = files("tutorial.loop.layers").joinpath(f"{name}.py").read_text(encoding="utf-8")
        for layer in (node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)):
            conditions = [mark.args[0] for mark in layer.decorator_list]
            tests = [n.test for n in ast.walk(layer) if isinstance(n, ast.If | ast.IfExp)]
            for when in conditions:
                if isinstance(when, ast.BoolOp) and isinstance(when.op, ast.And):
                    pairs |= set(itertools.combinations(sorted(options_in(when)), 2))
                for option, test in itertools.product(options_in(when), tests):
                    pairs |= {tuple(sorted((option, other))) for other in options_in(test)}
    return {pair for pair in pairs if pair[0] != pair[1] and "LOG_FREQ" not in pair}


def test_each_interaction_has_a_golden_program() -> None:
    named = [sorted({*options, "METHOD"}) for options in CASES.values()]
    together = {pair for names in named for pair in itertools.combinations(names, 2)}
    assert interactions() - together == set(), "each pair needs a case in CASES with both"


def test_no_golden_program_is_left_over() -> None:
    names = {f"{case.replace(',', '').replace(' ', '_')}.txt" for case in CASES}
    assert {path.name for path in FOLDER.iterdir()} == names
