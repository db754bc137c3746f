"""What a check found: which parts of an answer are right, and the first that is not."""

from dataclasses import dataclass, field
from html import escape


@dataclass(frozen=True)
class Right:
    """Something that is as it should be."""

    text: str


@dataclass(frozen=True)
class Wrong:
    """Something that is not; the text says where, and asks a question that helps."""

    text: str


@dataclass(frozen=True)
class Open:
    """There is nothing to look at yet."""

    text: str


@dataclass
class Verdict:
    """What `check` returns; it is true if the answer is right.

    Attributes:
        name: the exercise.
        findings: what is right, in order; and then, if there is one, the first thing that is not.

    Example:
        >>> Verdict("steps", [Right("one epoch"), Wrong("two epochs: 938, not 1876")])
        steps: not yet
          ✓ one epoch
          ✗ two epochs: 938, not 1876
    """

    name: str
    findings: list[Open | Right | Wrong] = field(default_factory=list)

    def __bool__(self) -> bool:
        return all(isinstance(finding, Right) for finding in self.findings)

    @property
    def begun(self) -> bool:
        """Whether there is an answer to look at."""
        return not any(isinstance(finding, Open) for finding in self.findings)

    @property
    def title(self) -> str:
        """The name, and how it went."""
        return f"{self.name}: {'right' if self else 'not yet' if self.begun else 'not begun'}"

    @property
    def fault(self) -> str:
        """What is not right yet; nothing if all is."""
        return "" if self else self.findings[-1].text

    def require(self) -> None:
        """Raise an AssertionError, which says what is not right, unless all is."""
        if not self:
            raise AssertionError(repr(self))

    def __repr__(self) -> str:
        return "\n".join([self.title, *(f"  {mark(f)} {f.text}" for f in self.findings)])

    def _repr_html_(self) -> str:
        """The same in a notebook, in colours that read well on white and on black."""
        rows = "".join(
            f'<div style="padding-left:1.4em;text-indent:-1.4em">'
            f'<span style="color:{color(f)}">{mark(f)}</span> {escape(f.text)}</div>'
            for f in self.findings
        )
        edge = color(self.findings[-1]) if self.findings else color(Right(""))
        return (
            f'<div role="status" style="border-left:4px solid {edge};padding:0.2em 0.8em">'
            f"<strong>{escape(self.title)}</strong>{rows}</div>"
        )


def mark(finding: Open | Right | Wrong) -> str:
    """✓, ✗ or ○."""
    return {Right: "✓", Wrong: "✗", Open: "○"}[type(finding)]


def color(finding: Open | Right | Wrong) -> str:
    """Green or red; of what is not begun, the text's own."""
    return {Right: "#2f8f2f", Wrong: "#c2403a", Open: "currentColor"}[type(finding)]
