"""The first page keeps its word: its code runs, its loop is the loop, its map shows every room."""

import ast
import re
from pathlib import Path

import pytest
import torch

import tutorial

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def test_the_loop_on_the_first_page_is_what_unroll_prints() -> None:
    names: dict = {}
    code = BLOCKS[0].replace("model.fit(train_data, epochs=5)", "").replace("print(", "shown = (")
    exec(code, names)
    assert str(names["shown"]) == BLOCKS[1]


def test_what_the_first_page_does_with_a_loop_works(
    data, make_model, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = {"model": make_model(tutorial.metrics.Accuracy()), "train_data": data}
    exec(BLOCKS[2], names)
    assert (tmp_path / "my_fit.py").exists()
    assert len(names["history"].step_losses) == 3


def test_the_last_layer_on_the_first_page_is_what_unroll_prints() -> None:
    names: dict = {}
    model, _ = BLOCKS[0].split("model.fit(")
    exec(model + BLOCKS[3].replace("print(step)", "shown = str(step)"), names)
    assert BLOCKS[4] in names["shown"]


def mapped(text: str | None) -> set[str]:
    """The files and folders that a map names."""
    return set(re.findall(r"^ *([\w./]+) {2,}\S", text or "", flags=re.MULTILINE))


ROOMS = [path.parent for path in (ROOT / "tutorial").rglob("__init__.py")]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_the_map_of_a_room_shows_every_file(room: Path) -> None:
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in room.iterdir()
        if path.name not in ("__pycache__", "__init__.py", "py.typed")
    }
    module = ast.parse((room / "__init__.py").read_text(encoding="utf-8"))
    shown = {name for name in mapped(ast.get_docstring(module)) if name.endswith((".py", "/"))}
    python = {name for name in there if name.endswith((".py", "/"))}
    python -= {name for name in python if re.match(r"lesson_(?!01)", name)}  # one line for all
    assert shown - there == set()
    if len(python) > 1:
        assert python - shown == set()


def test_the_first_page_shows_the_rooms() -> None:
    top = {name.rstrip("/") for name in mapped(README) if name.endswith((".py", "/"))}
    there = {path.name for path in (ROOT / "tutorial").iterdir() if path.is_dir()}
    assert there - {"__pycache__"} <= top


def test_every_command_of_the_first_page_is_a_make_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"`make (\w+)`", README):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_what_the_first_page_says_of_fit_works(
    data, more_data, make_model, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = make_model(tutorial.metrics.Accuracy())
    names = {"model": model, "train_data": data, "eval_data": more_data, "torch": torch}
    exec(BLOCKS[5], names)
    assert len(names["history"].rows) >= 3
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv", "checkpoints"}
    again = dict(names)
    with pytest.warns(UserWarning, match="there is nothing to train"):
        exec(BLOCKS[5], again)  # it is over
    assert again["history"].step_losses == names["history"].step_losses
