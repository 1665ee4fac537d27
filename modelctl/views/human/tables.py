"""How does a table read? Columns as wide as their cells; the last one ends where the line does."""

from __future__ import annotations

from collections.abc import Sequence

from modelctl.views.paint import Paint


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    paint: Paint,
    width: int,
    right: Sequence[str] = (),
    whole: bool = False,
) -> str:
    """Lines with two spaces between columns; the columns named in `right` end at their right.

    `whole` keeps all of the last column: what is there to be copied.
    """
    columns = range(len(heads))
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in columns]
    room = width - sum(widths[:-1]) - 2 * (len(heads) - 1)

    def line(cells: Sequence[str]) -> str:
        if not whole:
            cells = [*cells[:-1], _cut(cells[-1], max(8, room))]
        padded = [
            cells[i].rjust(widths[i]) if heads[i] in right else cells[i].ljust(widths[i])
            for i in columns
        ]
        return "  ".join(padded).rstrip()

    return "\n".join([paint(line(heads), "dim"), *(line(row) for row in rows)])


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"
