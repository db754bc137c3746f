"""The points as a table for a spreadsheet, and as a page to read."""

import csv
import io
from collections.abc import Iterator, Sequence
from html import escape
from string import Template

from tutorial.course.grading.grade import Result

PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Points</title>
<style>
  :root { color-scheme: light dark;
          --line: light-dark(#ccc, #555); --soft: light-dark(#f4f4f4, #222);
          --good: light-dark(#1a6b1a, #7fd07f); --bad: light-dark(#a3261f, #ff9a92); }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem;
         background: light-dark(#fff, #111); color: light-dark(#111, #eee); }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; }
  th, td { text-align: left; padding: 0.3rem 0.7rem; border-bottom: 1px solid var(--line);
           vertical-align: top; overflow-wrap: anywhere; }
  th { white-space: nowrap; }
  td.n, th.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
  pre { background: var(--soft); padding: 0.7rem; overflow: auto; max-height: 20rem;
        margin: 0.3rem 0; white-space: pre-wrap; }
  details { border: 1px solid var(--line); border-radius: 6px; padding: 0.5rem 0.9rem;
            margin: 0.6rem 0; }
  summary { cursor: pointer; }
  .good { color: var(--good); } .bad { color: var(--bad); }
  .note { background: var(--soft); border-left: 4px solid var(--bad); padding: 0.5rem 1rem; }
</style>
<h1>Points</h1>
$note
<div class="scroll"><table>
<thead><tr><th>student<th>lesson<th class="n">points<th>remark</tr></thead>
<tbody>
$rows
</tbody></table></div>
<h2>Exercise by exercise</h2>
$details
</html>
""")
UNSHIELDED = (
    "This machine does not let a submission be shut in with its own files, processes and network. "
    "Time, memory and output were limited, but the code could read and write this user's files and "
    "use the network. To be safe, grade on Linux where `unshare` works, or in a container."
)


def as_csv(results: Sequence[Result]) -> str:
    """A row for each submission: the sum, and then a column for each exercise.

    Example:
        >>> from tutorial.course.grading.grade import Score
        >>> points = [Score("steps", 1, 1), Score("train", 0, 3)]
        >>> print(as_csv([Result("ada", "ada.ipynb", "01_train", points)]))
        student,file,lesson,points,of,remark,steps,train
        ada,ada.ipynb,01_train,1,4,,1,0
    """
    names = list(dict.fromkeys(score.exercise for r in results for score in r.scores))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["student", "file", "lesson", "points", "of", "remark", *names])
    for r in results:
        points = {score.exercise: f"{score.points:g}" for score in r.scores}
        texts = [_plain(value) for value in (r.student, r.file, r.lesson)]
        sums = [f"{r.points:g}", f"{r.of:g}", _plain(r.remark.strip())]
        table.writerow([*texts, *sums, *(points.get(name, "") for name in names)])
    return text.getvalue()


def as_html(results: Sequence[Result], isolated: bool) -> str:
    """A page that needs no script and no other file, for light and dark screens.

    Args:
        results: in the order in which they are to stand.
        isolated: were the submissions shut in? If not, the page says so.
    """
    note = "" if isolated else f'<p class="note">{escape(UNSHIELDED)}</p>'
    rows = "\n".join(
        f"<tr><td>{escape(r.student)}<td>{escape(r.lesson)}"
        f'<td class="n">{r.points:g} of {r.of:g}<td>{escape(r.remark)}</tr>'
        for r in results
    )
    details = "\n".join("".join(_details(r)) for r in results)
    return PAGE.substitute(note=note, rows=rows, details=details)


def _details(r: Result) -> Iterator[str]:
    title = f"{r.student}, {r.lesson or r.file}: {r.points:g} of {r.of:g}"
    yield f"<details><summary>{escape(title)}</summary>"
    yield f"<p>{escape(r.file)}. {escape(r.remark)}</p>"
    yield '<div class="scroll"><table>'
    for score in r.scores:
        look = "good" if score.points == score.of else "bad"
        yield f"<tr><th>{escape(score.exercise)}"
        yield f'<td class="n {look}">{score.points:g} of {score.of:g}</tr>'
        if score.message:
            yield f'<tr><td colspan="2"><pre>{escape(score.message)}</pre></tr>'
    yield "</table></div>"
    if r.output:
        yield f"<details><summary>what it printed</summary><pre>{escape(r.output)}</pre></details>"
    yield "</details>"


def _plain(text: str) -> str:
    """Text that a spreadsheet does not read as a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
