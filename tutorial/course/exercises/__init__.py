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

attempt.py    runs an answer; what ends it early becomes a finding
registry.py   which exercises there are
verdict.py    what a check found
record.py     what a loop does, measured: each forward pass, loss, gradient and step
compare.py    two loops side by side: where the first one differs from the second
lesson_01.py  ... lesson_13.py: the checks of each lesson
'''

import inspect
from typing import Any

import torch

from tutorial.checks import kind_of
from tutorial.course.exercises.attempt import NO_ANSWER, Attempt
from tutorial.course.exercises.registry import Exercise, Kind, named
from tutorial.course.exercises.verdict import Open, Right, Verdict, Wrong
from tutorial.course.progress import noted
from tutorial.device import unchanged_randomness
from tutorial.tracebacks import readable


@readable
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
    verdict.findings = found(exercise, answer)
    return noted(verdict)


def found(exercise: Exercise, answer: Any) -> list[Open | Right | Wrong]:
    """What is found of an answer."""
    if answer is None or answer is ...:
        return [NO_ANSWER]
    if unlike := why_unlike(exercise.kind, answer):
        return [Wrong(unlike)]
    with unchanged_randomness(), torch.enable_grad():
        torch.manual_seed(0)
        return Attempt(answer).findings(exercise)


def why_unlike(kind: Kind, answer: Any) -> str:
    """Why the answer is not of the kind that is asked for."""
    a_class = isinstance(answer, type)
    fits = {
        "function": callable(answer) and not a_class,
        "class": a_class,
        "number": isinstance(answer, int | float) and not isinstance(answer, bool),
    }
    if fits[kind]:
        return ""
    hint = {
        "function": "write it with def"
        if a_class
        else "give the function itself, without calling it",
        "class": "write it with class"
        if inspect.isfunction(answer)
        else "give the class itself, not an object of it",
        "number": "take it out, .item()"
        if isinstance(answer, torch.Tensor)
        else "give the number that you found",
    }
    return f"the answer is {kind_of(answer)}, but a {kind} is expected: {hint[kind]}"
