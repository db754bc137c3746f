'''Exercises: `tl.check("name", answer)` says at once what is right, and where it first goes wrong.

How to write an exercise
------------------------

1. Its check, in lesson_NN.py: a generator that yields `Right("...")` for each thing that is as it
   should be, and `Wrong("...")` for the first that is not. The check ends there, so what stands
   below may rely on what stands above. An answer that raises needs no care: `check` tells of it.

       @exercise(
           "my_mean",                           # a name that no other exercise has
           question="Which numbers ...?",       # the hints of tl.hint("my_mean"), of which neither
           nudge="Add up ...",                  # has a line of the solution
       )
       def my_mean(answer: Any) -> Findings:
           """The mean of some numbers."""
           if answer([1.0, 2.0, 6.0]) == 2.0:
               yield Wrong("the mean of 1, 2 and 6 is not 2: is that the median?")
           ...
           yield Right("the mean of three numbers")

   A message names the place in the student's terms, and asks a question rather than give the
   solution away. What it says is measured, by running the answer; the student's source is not read.

2. A loop and the right one are run from the same state: `record` notes what it does,
   `training_fault` or `evaluation_fault` say where the two first part, and `mean_fault` explains a
   wrong mean. lesson_01.py has both.

3. The exercise itself, at the end of the lesson's .py. First, once in each lesson, a code cell
   with the tag "exercises": it has all imports and data that the exercises need, so that they can
   be done and graded without the lesson before. Then, for each exercise, three cells:

       # %% [markdown]
       # ### Exercise 1: a mean
       # ...

       # %% nbgrader={"cell_type": "code", "grade": false, "grade_id": "my_mean_answer", \
       #              "locked": false, "schema_version": 3, "solution": true, "task": false}
       def my_mean(numbers):
           ### BEGIN SOLUTION
           return sum(numbers) / len(numbers)
           ### END SOLUTION

       # %% nbgrader={"cell_type": "code", "grade": true, "grade_id": "my_mean", "locked": true, \
       #              "points": 2, "schema_version": 3, "solution": false, "task": false}
       ### BEGIN HIDDEN TESTS
       tl.check("my_mean", my_mean).require()
       assert my_mean([4.0, 6.0]) == 5.0
       ### END HIDDEN TESTS
       tl.check("my_mean", my_mean)

   (The metadata stand in one line. A graded cell writes nothing to stderr: nbgrader counts that as
   failed, so `verbose=0`.)

4. Its tests, in tests/exercises/test_lesson_NN.py: `SOLUTIONS`, and `WRONG` with at least three
   typical wrong answers and a piece of the message of each. See test_lesson_01.py.

The files
---------

registry.py   which exercises there are
verdict.py    what a check found
record.py     what a loop does, measured: each forward pass, loss, gradient and step
compare.py    two loops side by side: where the first one differs from the second
lesson_01.py  ... lesson_13.py: the checks of each lesson
'''

import sys
import traceback
from typing import Any

import torch

from tutorial.course.exercises.registry import Exercise, named
from tutorial.course.exercises.verdict import Verdict, Wrong
from tutorial.course.progress import noted
from tutorial.device import unchanged_randomness


def check(name: str, answer: Any) -> Verdict:
    """Check an answer to an exercise. A wrong answer is no error.

    The random state and PyTorch's settings stay as they were.

    Args:
        name: the exercise's, as the lesson gives it.
        answer: what the lesson asks for: a function, a class or a number.

    Returns:
        A Verdict, which shows what is right, and the first thing that is not. As a truth value, it
        is whether all is right.

    Raises:
        ValueError: there is no exercise of this name.

    Example:
        >>> check("number_of_steps", lambda samples, batch_size, epochs: samples // batch_size)
        number_of_steps: not yet
          ✗ 100 samples in batches of 32: 4 steps, not 3. Is the short last batch forgotten?
    """
    exercise = named(name)
    verdict = Verdict(name)
    unlike = _unlike(exercise, answer)
    if unlike:
        verdict.findings.append(Wrong(unlike))
        return noted(verdict)
    with unchanged_randomness(), torch.enable_grad():
        torch.manual_seed(0)
        try:
            for finding in exercise.find(answer):
                verdict.findings.append(finding)
                if isinstance(finding, Wrong):
                    break
        except NotImplementedError:
            verdict.findings.append(Wrong("there is no answer yet: write it in the cell above"))
        except Exception as error:
            verdict.findings.append(Wrong(_stopped(error)))
    return noted(verdict)


def _unlike(exercise: Exercise, answer: Any) -> str:
    """Why the answer is not of the kind that is asked for."""
    if answer is None or answer is ...:
        return "there is no answer yet: write it in the cell above"
    fits = {
        "function": callable(answer) and not isinstance(answer, type),
        "class": isinstance(answer, type),
        "number": isinstance(answer, int | float) and not isinstance(answer, bool),
    }
    if fits[exercise.kind]:
        return ""
    hint = {
        "function": "give the function itself, without calling it",
        "class": "give the class itself, not an object of it",
        "number": "give the number that you found",
    }
    return f"the answer is {answer!r:.60}, but a {exercise.kind} is expected: {hint[exercise.kind]}"


def _stopped(error: Exception) -> str:
    """An error in the answer: what it is, and in which line."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    ours = __file__.removesuffix("__init__.py")
    theirs = [
        f for f in frames if not f.filename.startswith(ours) and "-packages" not in f.filename
    ]
    where = f" in the line `{theirs[-1].line}`" if theirs and theirs[-1].line else ""
    return f"your code stopped{where}: {type(error).__name__}: {error}"
