"""The command `tutorial`: lessons for students, and points for what they hand in."""

import argparse
import json
import sys
from pathlib import Path

from tutorial.grading.lessons import find_lessons, for_students, read


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: what stands behind `tutorial`; None: what the command line has.

    Returns:
        0 if all went well, 1 if something was left undone, 2 if it was asked for wrongly.
    """
    options = parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except (ValueError, OSError) as error:
        print(f"tutorial: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """What the command understands."""
    main_parser = argparse.ArgumentParser(
        prog="tutorial",
        description="The lessons of `tutorial`, for a course.",
        epilog="tutorial student --help and so on tell more.",
    )
    commands = main_parser.add_subparsers(required=True, metavar="COMMAND")
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
        "--to", type=Path, default=Path(), metavar="FOLDER", help="where to; default: this folder"
    )
    student.set_defaults(run=write_for_students)
    return main_parser


def write_for_students(options: argparse.Namespace) -> int:
    """`tutorial student`: a notebook for each lesson; 1 if one could not be written."""
    options.to.mkdir(parents=True, exist_ok=True)
    left = 0
    for lesson in find_lessons(options.lessons):
        path = options.to / lesson.name
        text = json.dumps(for_students(read(lesson)), ensure_ascii=False, indent=1) + "\n"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
            print(f"{path}: written")
        except FileExistsError:
            left = 1
            print(f"{path}: is there already, and was left as it is", file=sys.stderr)
    if left:
        print("Choose another folder with --to, or move these files away.", file=sys.stderr)
    return left


if __name__ == "__main__":
    sys.exit(main())
