# SPDX-License-Identifier: MIT
"""What notebooks and terminals show. Every text is made harmless here: names of files are whatever somebody wrote, and
names of sources and help texts whatever a VMM did."""

from html import escape
from typing import Iterable, Sequence

ROWS_MOST = 1000


def printable(text: str) -> str:
    """Without control characters, and such as no encoding has."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """An HTML table of texts, of ROWS_MOST rows at most."""
    parts = ["<table>"]
    if caption:
        parts.append(f"<caption>{_cell(caption)}</caption>")
    parts.append("<thead><tr>" + "".join(f"<th>{_cell(cell)}</th>" for cell in head) + "</tr></thead><tbody>")
    for i, row in enumerate(rows):
        if i == ROWS_MOST:
            parts.append(f'<tr><td colspan="{len(head)}">and more</td></tr>')
            break
        parts.append("<tr>" + "".join(f"<td>{_cell(cell)}</td>" for cell in row) + "</tr>")
    return "".join(parts) + "</tbody></table>"


def _cell(text: str) -> str:
    return escape(printable(text))
