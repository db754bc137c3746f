"""The loops as they stand in their files; and that each option has its places."""

import ast
import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

import tutorial as tl
from tutorial import device
from tutorial.distributed import process_group, shard, split
from tutorial.loop import fit
from tutorial.loop.layers import LAYERS, PLACES
from tutorial.loop.names import TOOLS, reserved_names
from tutorial.unroll.unroll import defaults, unroll

FOLDER = Path(fit.__file__).parent


def parts() -> dict:
    tl.seed(3)
    network = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    data = TensorDataset(torch.randn(130, 4), torch.randint(3, (130,)))
    x, y = data[:5]
    named = dict.fromkeys(("train_data", "eval_data", "test_data"), data)
    return {
        "network": network, "optimizer": optimizer, "loss_fn": nn.CrossEntropyLoss(),
        "x": x, "y": y, **named,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("file", "name", "result"),
    [
        ("fit", "fit", "(step_losses, rows)"), ("evaluate", "evaluate", "result"),
        ("predict", "predict", "outputs"), ("one_batch", "train_batch", "result"),
        ("one_batch", "eval_batch", "result"), ("one_batch", "predict_batch", "outputs"),
    ],
)  # fmt: skip
def test_a_loop_runs_as_it_stands_and_its_program_does_the_same(
    file: str, name: str, result: str, capsys
) -> None:
    function: Callable = getattr(import_module(f"tutorial.loop.{file}"), name)
    here, there = parts(), TOOLS | parts()
    tl.seed(4)
    given = function(**{key: here[key] for key in inspect.signature(function).parameters})
    printed = capsys.readouterr().out
    tl.seed(4)
    exec(unroll(name, ()), there)
    assert repr(eval(result, there)) == repr(given)
    assert capsys.readouterr().out == printed
    for a, b in zip(here["network"].parameters(), there["network"].parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_training_loop_is_one_screen() -> None:
    source = inspect.getsource(fit.fit).replace(f'    """{fit.fit.__doc__}"""\n', "")
    assert len(source.splitlines()) <= 25  # with `def` and `return`
    assert max(map(len, source.splitlines())) <= 100
    assert "if " not in source.replace("if (step + 1) % LOG_FREQ == 0", "")  # decides nothing


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_can_be_read_alone(name: str) -> None:
    """It is a module that Python reads, with one sentence on what the option does."""
    module = import_module(f"tutorial.loop.layers.{name}")
    assert module.__doc__
    assert module.__doc__.splitlines()[0].endswith((".", ":"))
    assert len(inspect.getsource(module).splitlines()) <= 200


def test_all_layers_are_in_the_list() -> None:
    files = {path.stem for path in (FOLDER / "layers").glob("*.py")} - {"__init__"}
    assert set(LAYERS) == files
    assert not files & PLACES.keys()  # else `from tutorial.loop.layers import fit` gives a file


def options_read(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id.isupper()}


def test_every_option_changes_something() -> None:
    read = {name for path in FOLDER.rglob("*.py") for name in options_read(path)}
    rules = (FOLDER.parent / "unroll/specialize.py").read_text(encoding="utf-8")
    for option in defaults():
        assert option in read - {"NONE"} or f'"{option}"' in rules or option == "NONE", option


def test_what_the_loop_uses_is_no_name_for_an_input() -> None:
    assert {"network", "loss_fn", "rows", "torch", "print", "scaler", "step"} <= reserved_names()
    assert not {"x", "y", "image", "clip", "save", "label_smoothing"} & reserved_names()


def test_a_variable_of_the_loop_hides_no_function_that_a_script_may_carry() -> None:
    """A script has the source of what its loop and its callbacks call, beside the loop's lines."""
    modules = [device, process_group, shard, split]
    carried = {name for module in modules for name in vars(module) if not name.startswith("_")}
    assigned = {
        node.id
        for path in FOLDER.rglob("*.py")
        for function in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    assert assigned & (carried | TOOLS.keys()) == set()
