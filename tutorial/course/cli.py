"""The command `tutorial`: a call's loop, lessons for students, points for what they hand in."""

import argparse
import ast
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tutorial.course.changes import OTHER_ARGUMENTS, marked_loop
from tutorial.course.grading.grade import Result, can_isolate, grade
from tutorial.course.grading.marks import UNSHIELDED, as_csv, as_html
from tutorial.course.grading.release import find_lessons, for_students, read
from tutorial.course.grading.sandbox import GB, Limits
from tutorial.model import METHODS


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: what stands behind `tutorial`; None: what the command line has.

    Returns:
        0 if all went well, 1 if something was left undone, 2 if it was asked for wrongly.
    """
    options = parsed(sys.argv[1:] if arguments is None else arguments)
    try:
        return int(options.run(options))
    except (ValueError, OSError) as error:
        print(f"tutorial: {error}", file=sys.stderr)
        return 2


def parsed(arguments: list[str]) -> argparse.Namespace:
    """What was asked for; an option may stand anywhere."""
    flags = [argument for argument in arguments if argument == "--changes"]
    return parser().parse_args([*(a for a in arguments if a not in flags), *flags])


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    main_parser = argparse.ArgumentParser(
        prog="tutorial",
        description="The loop of a call; and the lessons of `tutorial`, for a course.",
        epilog="tutorial loop --help and so on tell more.",
    )
    commands = main_parser.add_subparsers(required=True, metavar="COMMAND")
    loop = commands.add_parser(
        "loop",
        help="print the loop that a call runs",
        description="Print the plain PyTorch loop of a call, for data in tensors and one metric. "
        "No model is needed, and nothing is run.",
        epilog="Example: tutorial loop fit eval_data=test_data clip_grad_norm=1.0 --changes. "
        f"Beside the method's own arguments: {', '.join(OTHER_ARGUMENTS)}.",
    )
    loop.add_argument("method", choices=METHODS, help="a method of Model")
    loop.add_argument("arguments", nargs="*", metavar="NAME=VALUE", help="an argument of the call")
    loop.add_argument(
        "--changes",
        action="store_true",
        help="show which argument adds (+), takes out (-) or moves (>) a line",
    )
    loop.set_defaults(run=print_loop)
    student = commands.add_parser(
        "student",
        help="write the lessons for students: without solutions",
        description="Write lessons as notebooks in which the solutions and the hidden tests of the "
        "exercises are left out. A file that is there already is never changed.",
        epilog="Example: tutorial student 1 2 --to course",
    )
    student.add_argument(
        "lessons", nargs="*", metavar="LESSON", help="number or name, such as 1; default: all"
    )
    student.add_argument(
        "--to", type=Path, default=Path(), metavar="DIRECTORY", help="where to; default: here"
    )
    student.add_argument(
        "--self-study",
        action="store_true",
        help="in no course: what is solved is noted beside them, and tl.hint shows, in the end, a "
        "solution",
    )
    student.set_defaults(run=write_for_students)
    grade = commands.add_parser(
        "grade",
        help="give points for what students hand in",
        description="Run every notebook below a directory, each in a process of its own with "
        "limits and, where Linux allows it, without a network and with all files read-only. Write "
        "the points to grades.csv and grades.html.",
        epilog="It has one directory for each student, or one file for each. "
        "Example: tutorial grade handed_in --seconds 60",
    )
    grade.add_argument("directory", type=Path, metavar="DIRECTORY", help="the submissions")
    grade.add_argument(
        "--to", type=Path, metavar="DIRECTORY", help="where the report goes; default: there, too"
    )
    grade.add_argument(
        "--lessons", type=Path, metavar="DIRECTORY", help="lessons with solutions of your own"
    )
    least = {"seconds": 1.0, "memory": 0.1, "jobs": 1}
    for name, default, text in (
        ("seconds", 120.0, "of time for each submission"),
        ("memory", 3.0, "GB of memory for each"),
        ("jobs", 1, "how many run at the same time"),
    ):
        grade.add_argument(
            f"--{name}",
            type=number(type(default), least[name]),
            default=default,
            metavar="N",
            help=f"{text}; default: {default:g}",
        )
    grade.set_defaults(run=grade_directory)
    return main_parser


def number(kind: type[float], least: float) -> Callable[[str], float]:
    """What turns a string into a number that is large enough, or says what is wrong with it."""

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least {least:g}")
        return value

    return convert


def print_loop(options: argparse.Namespace) -> int:
    """`tutorial loop`: the loop of a call; with --changes, before each line what changes it."""
    pairs = list(map(parsed_argument, options.arguments))
    arguments = dict(pairs)
    if len(arguments) < len(pairs):
        raise ValueError("loop: an argument is given twice; give each once.")
    lines = marked_loop(options.method, arguments)
    for name in arguments:
        if not any(name in line.names for line in lines):
            print(f"tutorial: {name} changes no line of this loop.", file=sys.stderr)
    width = max((len(", ".join(line.names)) for line in lines), default=0)
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    for line in lines:
        if options.changes:
            names = ", ".join(line.names)
            text = f"{bold}{line.code}{plain}" if line.names else line.code
            print(f"{names:>{width}} {line.change} {text}".rstrip())
        elif line.change != "-":
            print(line.code)
    return 0


def parsed_argument(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as Python reads it; what it cannot read is a string."""
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise ValueError(
            f"loop: {text!r} is no argument; write it without blanks, as clip_grad_norm=1.0. "
            "`tutorial loop --help` has more."
        )
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def write_for_students(options: argparse.Namespace) -> int:
    """`tutorial student`: a notebook for each lesson; 1 if one could not be written."""
    options.to.mkdir(parents=True, exist_ok=True)
    left = 0
    for lesson in find_lessons(options.lessons):
        path = options.to / lesson.name
        notebook = for_students(read(lesson), options.self_study)
        text = json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
            print(f"{path}: written")
        except FileExistsError:
            left = 1
            print(f"{path}: is there already, and was left as it is", file=sys.stderr)
    if left:
        print("Choose another directory with --to, or move these files away.", file=sys.stderr)
    return left


def grade_directory(options: argparse.Namespace) -> int:
    """`tutorial grade`: the points of a directory."""
    limits = Limits(seconds=options.seconds, memory=int(options.memory * GB))
    isolated = can_isolate(limits)
    if not isolated:
        print(UNSHIELDED, file=sys.stderr)
    results = grade(options.directory, options.lessons, limits, options.jobs, isolated, tell)
    to = options.to or options.directory
    to.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("grades.csv", as_csv(results)),
        ("grades.html", as_html(results, isolated)),
    ):
        (to / name).write_text(text, encoding="utf-8")
        print(f"{to / name}: written")
    return 0


def tell(result: Result) -> None:
    """A line for a submission that is done."""
    print(f"{result.file}: {result.points:g} of {result.of:g} {result.remark}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
