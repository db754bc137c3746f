"""Two runs beside each other, as HTML."""

from html import escape
from typing import Any


def comparison_html(comparison: Any) -> str:
    """The verdict."""
    return f"<p>{escape(comparison.verdict())}</p>"
