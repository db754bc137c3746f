"""The command `tutorial`, as a teacher types it."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tutorial as tl
from tutorial.course.cli import main
from tutorial.course.grading.grade import Result, Score
from tutorial.course.grading.marks import UNSHIELDED, as_csv, as_html
from tutorial.course.grading.release import (
    find_lessons,
    graded,
    parsed,
    read,
    source_of,
    without_solutions,
)

LESSON = find_lessons(["1"])[0].name


def test_help_names_the_commands() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "tutorial.course.cli", "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "loop" in said
    assert "student" in said
    assert "grade" in said


# ---- loop


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["loop", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_loop_of_a_call_is_that_of_a_model(data, more_data, make_model, capsys) -> None:
    model = make_model(tl.metrics.Accuracy())
    for arguments in (
        {"epochs": 3},
        {"clip_grad_norm": 1.0, "accumulate_grad_batches": 4, "shuffle": False},
        {"eval_freq": 2, "num_iters": 7, "batch_size": (32, 70), "drop_last": True},
    ):
        written = [f"{name}={value}" for name, value in arguments.items()]
        program = model.unroll("fit", data, more_data, **arguments)
        assert shown(capsys, "fit", "eval_data=more_data", *written) == str(program).splitlines()
    program = model.unroll("predict", data, stack_outputs=True)
    assert shown(capsys, "predict", "stack_outputs=True") == str(program).splitlines()
    program = model.unroll("fit", data, more_data, callbacks=tl.callbacks.EarlyStopping())
    given = ("eval_data=more_data", "callbacks=EarlyStopping")
    assert shown(capsys, "fit", *given) == str(program).splitlines()


def test_each_change_of_the_loop_is_marked_with_its_argument(capsys) -> None:
    arguments = ("clip_grad_norm=1.0", "--changes", "accumulate_grad_batches=4")
    lines = shown(capsys, "fit", *arguments)
    at = max(map(len, re.findall(r"^ *[\w, ]+(?= [+>-] )", "\n".join(lines), re.MULTILINE))) + 3
    marks = {line[at:].split("#")[0].strip(): line[: at - 1].strip() for line in lines}
    clipped = marks["nn.utils.clip_grad_norm_(network.parameters(), 1.0)"]
    assert clipped == "clip_grad_norm, accumulate_grad_batches +"
    assert marks["(loss * len(x)).backward()"] == "accumulate_grad_batches +"
    assert marks["loss.backward()"] == "accumulate_grad_batches -"
    assert marks["optimizer.step()"] == "accumulate_grad_batches >"
    assert marks["y_hat = network(x)"] == ""
    plain = shown(capsys, "fit", "clip_grad_norm=1.0", "accumulate_grad_batches=4")
    assert [line[at:] for line in lines if line[at - 2] != "-"] == plain


def test_what_an_argument_takes_out_is_shown(capsys) -> None:
    lines = shown(capsys, "train_batch", "update=False", "--changes")
    assert [line.split("#")[0].strip() for line in lines if line.startswith("update")] == [
        "update - optimizer.step()",
        "update - optimizer.zero_grad()",
    ]


def test_arguments_outside_of_the_call_change_its_loop_too(capsys) -> None:
    lines = shown(capsys, "fit", "precision=16-mixed", "device=cuda", "--changes")
    assert any("precision +" in line and "scaler.update()" in line for line in lines)
    assert any("device +" in line and 'x.to("cuda:0")' in line for line in lines)
    assert "dist.all_reduce(totals)" in "\n".join(shown(capsys, "fit", "processes=4"))
    assert "    scheduler.step()" in "\n".join(shown(capsys, "fit", "scheduler=epoch"))
    resumed = shown(capsys, "fit", "save_dir=ck", "epochs=3", "resume=True")
    assert 'saved = torch.load("ck/0.pt"' in "\n".join(resumed)
    assert "for epoch in range(1, 3):" in resumed


def test_an_argument_that_changes_nothing_is_named(capsys) -> None:
    assert main(["loop", "fit", "save_freq=2"]) == 0
    assert "save_freq changes no line of this loop" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["epochs=0"], "epochs is 0, but an integer of at least 1 is expected"),
        (
            ["clip=1"],
            "no argument 'clip'; perhaps clip_grad_norm is meant; it has train_data",
        ),
        (["epochs"], "'epochs' is no argument; write it without blanks, as clip_grad_norm=1.0"),
        (["epochs=3", "epochs=4"], "an argument is given twice"),
        (["resume=True"], "Give the directory and more epochs"),
        (["callbacks=EarlyStoping"], "there is no callback 'EarlyStoping'; there are"),
        (["precision=O1"], "precision is 'O1', but one of 32, bf16-mixed, bf16, 16-mixed"),
    ],
)
def test_a_call_that_cannot_be_made_is_explained(arguments, said, capsys) -> None:
    assert main(["loop", "fit", *arguments]) == 2
    assert said in capsys.readouterr().err


# ---- student


def test_students_get_the_lesson_without_solutions(tmp_path: Path) -> None:
    assert main(["student", "1", "--to", str(tmp_path / "new" / "course")]) == 0
    notebook = read(tmp_path / "new" / "course" / LESSON)
    texts = [source_of(cell) for cell in notebook["cells"]]
    assert not any("### BEGIN" in text or "### END" in text for text in texts)
    assert sum(text.endswith("raise NotImplementedError()") for text in texts) == 3
    assert 'tl.check("evaluate_by_hand", evaluate_by_hand)' in texts
    assert texts[-1] == "tl.progress()"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert list(graded(notebook)) == ["number_of_steps", "train_one_epoch", "evaluate_by_hand"]


def test_a_students_work_is_never_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / LESSON).write_text("hours of work")
    assert main(["student", "--to", str(tmp_path)]) == 1
    assert (tmp_path / LESSON).read_text() == "hours of work"
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in find_lessons([])}
    assert "is there already, and was left as it is" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["student", "99"], "There is no lesson '99'. There are: 01_train"),
        (["grade", "nowhere"], "nowhere is not a directory"),
        (["grade", ".", "--seconds", "0"], "'0' is not a number of at least 1"),
        (["grade", ".", "--jobs", "many"], "'many' is not a number of at least 1"),
        (["grade", ".", "--memory", "inf"], "'inf' is not a number of at least 0.1"),
        ([], "COMMAND"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(arguments)
    except SystemExit as stopped:  # argparse
        code = int(stopped.code or 0)
    assert code == 2
    assert said in capsys.readouterr().err


def test_marks_that_do_not_fit_are_refused() -> None:
    for source, said in (
        ("### BEGIN SOLUTION\na = 1", "has no ### END SOLUTION"),
        ("a = 1\n### END SOLUTION", "without ### BEGIN SOLUTION"),
        ("### BEGIN SOLUTION\n### BEGIN SOLUTION", "stands twice"),
    ):
        with pytest.raises(ValueError, match=said):
            without_solutions(source)


def test_what_is_no_notebook_is_refused() -> None:
    for text, said in (
        ("{}", "no list of cells"),
        ('{"cells": [1]}', "one of its cells"),
        ('{"cells": [{"source": 1}]}', "source is not a string"),
        ('{"cells": [{"source": [1]}]}', "source is not a string"),
        ("\xff", "decode"),
    ):
        with pytest.raises(ValueError, match=said):
            parsed(text.encode("latin-1"))


# ---- grade


def test_a_course_from_end_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handed_in, course = tmp_path / "handed in", tmp_path / "course"
    main(["student", "1", "--to", str(course)])
    notebook = read(course / LESSON)
    for cell in notebook["cells"]:  # this student has done the first exercise
        text = source_of(cell)
        if text.startswith("def number_of_steps"):
            cell["source"] = f"{text.partition('#')[0]}return -(-samples // batch_size) * epochs"
    for student, text in (("ada", json.dumps(notebook)), ("bob", (course / LESSON).read_text())):
        (handed_in / student).mkdir(parents=True)
        (handed_in / student / LESSON).write_text(text)
    assert main(["grade", str(handed_in), "--jobs", "2", "--to", str(tmp_path)]) == 0
    rows = list(csv.DictReader((tmp_path / "grades.csv").read_text().splitlines()))
    assert [(row["student"], row["points"], row["of"]) for row in rows] == [
        ("ada", "1", "7"),
        ("bob", "0", "7"),
    ]
    assert "there is no answer yet" in (tmp_path / "grades.html").read_text()
    assert f"ada/{LESSON}: 1 of 7" in capsys.readouterr().out


EVIL = "<script>alert(1)</script>"


def test_the_page_shows_texts_as_texts_and_needs_no_other_file() -> None:
    score = Score(EVIL, 0, 1, f"{EVIL} & more")
    page = as_html([Result(EVIL, EVIL, EVIL, [score], output=EVIL, remark=EVIL)], isolated=True)
    assert "<script" not in page
    assert "src=" not in page and "href=" not in page and "url(" not in page
    assert page.count("&lt;script&gt;") >= 6
    assert UNSHIELDED not in page


def test_the_page_says_when_nothing_was_shut_in() -> None:
    assert "Time, memory and output were limited, but" in as_html([], isolated=False)


def test_a_name_is_no_formula_in_a_spreadsheet() -> None:
    text = as_csv([Result('=HYPERLINK("x")', "-1+2.ipynb")])
    assert text.splitlines()[1] == '"\'=HYPERLINK(""x"")",\'-1+2.ipynb,,0,0,'
