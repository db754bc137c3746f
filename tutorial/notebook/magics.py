"""`%load_ext tutorial`: %%unroll, %%replay and %tl_check, for notebooks and IPython's terminal.

This is only IPython's part: options, display, messages. `tutorial.notebook.cell` does the work.
"""

# mypy: disable-error-code="no-untyped-call, untyped-decorator"
# (IPython has no types for these)

import re
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display
from IPython.utils.capture import capture_output

from tutorial.notebook.cell import (
    CellError,
    UnrolledCell,
    numpy_programs,
    prove,
    replay_cell,
    unroll_cell,
)
from tutorial.notebook.cell.show import AtDepths, SideBySide, Verdict

OPTIONS = r"^(--(depth|steps|call)\s+\S+\s*|--\S+\s*)+"  # before the code, on the line of a magic


class CellFailed(Exception):  # noqa: N818 - it was shown already, as the cell's own error
    """The cell itself ended with an error."""


@magics_class
class TutorialMagics(Magics):
    """What `%load_ext tutorial` adds."""

    shell: InteractiveShell

    @magic_arguments()
    @argument("--insert", action="store_true", help="put the unrolled cell into the next cell")
    @argument("--run", action="store_true", help="run both, and compare every bit")
    @argument("--diff", action="store_true", help="show both side by side")
    @argument("--depth", default="loop", help="how far: loop, optimizer, gradients, numpy")
    @no_var_expand
    @line_cell_magic
    def unroll(self, line: str, cell: str | None = None) -> None:
        """Show the cell with each call of a Model written out as the plain PyTorch that it runs.

        The cell is not run, unless you say --run. What a call needs from the lines before it is
        found out on copies; but nothing of your own is run for it: where your functions would be
        needed, or an effect, a message says so. For one line: %unroll model.fit(train_data)
        """
        name, source, options = read(self.unroll, line, cell)
        try:
            if options.run and options.depth != "loop":
                raise CellError(
                    "--run compares with the call itself, whose optimizer may take all weights "
                    f"at once. model.unroll(..., depth={options.depth!r}).verify() proves it."
                )
            if options.depth == "numpy" and not options.diff and not options.insert:
                display(*numpy_programs(source, self.shell.user_ns))
                return
            unrolled = unroll_cell(source, self.shell.user_ns, options.depth)
            self._show(unrolled, options)
            if options.run:
                display(Verdict(prove(unrolled, self.shell.user_ns, self._run, capture_output)))
        except CellError as error:
            raise UsageError(f"{name}: {error}") from None
        except CellFailed:
            return

    @magic_arguments()
    @argument("--steps", type=int, default=2, help="how many steps of the loop over the batches")
    @argument("--depth", default="loop", help="how far: loop, optimizer, gradients, numpy")
    @argument("--call", type=int, default=1, help="which of the cell's calls, from 1")
    @no_var_expand
    @line_cell_magic
    def replay(self, line: str, cell: str | None = None) -> None:
        """Show the first steps of the cell's call of a Model, line by line: forward, and back.

        They are run on copies, and the cell itself is not run: nothing moves. For one line:
        %replay model.fit(train_data)
        """
        name, source, options = read(self.replay, line, cell)
        names = self.shell.user_ns
        try:
            display(replay_cell(source, names, options.depth, options.steps, options.call))
        except CellError as error:
            raise UsageError(f"{name}: {error}") from None

    def _show(self, unrolled: UnrolledCell, options: Any) -> None:
        if options.diff:
            display(SideBySide(unrolled))
        if options.insert:
            self.shell.set_next_input(unrolled.source, replace=False)
        if not options.diff and not options.insert:
            at_depth = AtDepths(unrolled, self.shell.user_ns, options.depth)
            display(unrolled if options.depth == "loop" else at_depth)

    def _run(self, cell: str) -> None:
        """Run the cell as if there were no magic above it."""
        if not self.shell.run_cell(cell, store_history=False).success:
            raise CellFailed

    @line_magic
    def tl_check(self, line: str) -> None:
        """Check the answer to an exercise, as in: %tl_check my_exercise my_answer."""
        from tutorial.course.exercises import check

        name, _, answer = line.strip().partition(" ")
        if not answer.strip():
            raise UsageError(
                "%tl_check: give the name of an exercise and your answer, such as "
                "%tl_check momentum_step my_step"
            )
        value = self.shell.ev(answer)
        try:
            display(check(name, value))
        except ValueError as error:
            raise UsageError(f"%tl_check: {error}") from None


def read(magic: Any, line: str, cell: str | None) -> tuple[str, str, Any]:
    """What is written for a magic: its name, the code and the options.

    Raises:
        UsageError: something else is written there.
    """
    code = re.sub(OPTIONS, "", line.strip())
    options = parse_argstring(magic, line.strip().removesuffix(code))
    one = f"%{magic.__name__}"
    if cell is not None and code:
        raise UsageError(f"%{one}: {code} is no option; the code stands in the lines below.")
    if cell is None and not code:
        raise UsageError(f"{one}: give a call, such as {one} model.fit(train_data)")
    return (one, code, options) if cell is None else (f"%{one}", cell, options)


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Add the magics to a notebook or a terminal."""
    ipython.register_magics(TutorialMagics)
