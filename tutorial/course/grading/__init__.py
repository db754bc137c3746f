"""The teacher's part: lessons without their solutions, and points for what students hand in.

release.py       a lesson without its solutions
grade.py         points for the notebooks in a directory
inside.py        what runs in a student's process
isolation.py     what this machine can hold such a process with
sandbox.py       a process that is held
subprocesses.py  a process and all that it started
marks.py         the points as a table, in HTML and CSV
"""
