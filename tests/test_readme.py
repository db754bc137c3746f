"""The first page keeps its word: its code runs, its loop is the loop, its map shows every file."""

import re
from pathlib import Path

import pytest
import torch

import tutorial

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)


def files_and_folders() -> set[str]:
    """What stands in tutorial/, by the names that a map uses."""
    return {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "tutorial").iterdir()
        if path.name not in ("__pycache__", "py.typed")
    }


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


@pytest.mark.parametrize("where", ["README.md", "tutorial/__init__.py"])
def test_the_map_shows_every_file(where: str) -> None:
    text = README if where == "README.md" else tutorial.__doc__
    mapped = set(re.findall(r"^\s+([\w./]+)\s{2,}\S", text, flags=re.MULTILINE))
    expected = files_and_folders() - (set() if where == "README.md" else {"__init__.py"})
    assert mapped & (expected | {"__init__.py"}) >= expected
    gone = {name for name in mapped if name.endswith((".py", "/"))} - files_and_folders()
    assert not gone


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
    exec(BLOCKS[3], names)
    assert len(names["history"].rows) >= 3
    assert {path.name for path in tmp_path.iterdir()} == {"log.csv", "checkpoints"}
    again = dict(names)
    exec(BLOCKS[3], again)  # it is over: nothing is trained again
    assert again["history"].step_losses == names["history"].step_losses
