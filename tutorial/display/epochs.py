"""The means of the epochs as a small table: the last ones, and the earlier ones folded away."""

from collections.abc import Mapping, Sequence
from html import escape

from tutorial.display.report import written

FEW = 3  # earlier ones, which there is no need to fold

Row = Mapping[str, float]

# It scrolls where it is too wide, by the keyboard, too.
BOX = '<div class="tutorial-epochs" role="group" aria-label="epochs" tabindex="0">'


def table(recent: Sequence[Row], earlier: Sequence[Row] = ()) -> str:
    """The table as HTML that needs no script.

    Args:
        recent: the rows of the last epochs.
        earlier: rows of epochs before them, folded away.
    """
    if not recent:
        return ""
    if len(earlier) <= FEW:
        recent, earlier = [*earlier, *recent], ()
    names = list(dict.fromkeys(name for row in [*earlier, *recent] for name in row))
    shown = rows_html(names, recent, "the last epochs" if earlier else "the epochs")
    if not earlier:
        return f"{BOX}{shown}</div>"
    numbers = [int(row["epoch"]) for row in earlier]
    apart = numbers[1] - numbers[0] if len(numbers) > 1 else 1
    title = f"epoch {numbers[0]}" if len(numbers) == 1 else f"epochs {numbers[0]} to {numbers[-1]}"
    title += f", 1 of {apart}" if apart > 1 else ""
    before = rows_html(names, earlier, title)
    return f"{BOX}<details><summary>{title}</summary>{before}</details>{shown}</div>"


def rows_html(names: Sequence[str], rows: Sequence[Row], title: str) -> str:
    """Some rows, under the names of their columns."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{cell(name, row)}</td>" for name in names) + "</tr>" for row in rows
    )
    return (
        f'<table aria-label="{title}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def cell(name: str, row: Row) -> str:
    """A number as the lines of a fit write it, or nothing."""
    if name not in row:
        return ""
    return f"{row[name]:.0f}" if name == "epoch" else written(row[name])
