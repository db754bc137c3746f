"""The course: lessons, exercises, grading, and the command `tutorial`.

cli.py       the command `tutorial`
changes.py   a call's loop without a model, and which argument changes which line
lessons.py   the lessons, as their notebooks tell of them
progress.py  which exercises are solved: noted beside the lessons, and shown
hints.py     hints, one for each call; in the end a solution, but never in a course
exercises/   check: what of an answer is right, and where it first goes wrong
grading/     lessons without solutions, and points for what students hand in
"""
