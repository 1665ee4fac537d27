"""How does an app's history read? A row a thing that happened, the newest first."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from modelctl.byhand.told import Told
from modelctl.plan import FieldChange
from modelctl.views.human.changes import arrow, field_lines
from modelctl.views.human.words import printable
from modelctl.views.paint import Paint

_BY = 16
_ROOM = 40
"""What happened stands below its row where there are fewer columns for it beside it."""


def history(
    rows: Sequence[Told],
    name: str,
    where: str,
    held: str,
    *,
    paint: Paint,
    width: int,
    was: str = "",
) -> str:
    """`held` is what holds now, `was` where to read of it under an earlier name; "" for nothing."""
    lines = [f"{paint(name, 'bold')} · {where}"]
    for above in (f"held: {held}" if held else "", was):
        lines += textwrap.wrap(printable(above), width, initial_indent="  ", subsequent_indent="  ")
    if not rows:
        return "\n".join([*lines, "", "  nothing is known of it"])
    heads = ("", "when (UTC)", "by", "commit", "")
    cells = [
        (_version(r), _when(r.at), _cut(printable(r.who)), printable(r.commit) or "-") for r in rows
    ]
    widths = [max(len(line[i]) for line in [heads, *cells]) + 2 for i in range(4)]
    lines += ["", paint(_row(heads, widths), "dim")]
    beside = 2 + sum(widths)
    below = width - beside < _ROOM
    indent = 2 + widths[0] if below else beside
    for row, cell in zip(rows, cells, strict=True):
        said = textwrap.wrap(_said(row), max(20, width - indent), break_on_hyphens=False)
        first = _row((*cell, "" if below else said[0]), widths)
        lines.append(paint(first, "red") if row.result == "failed" else first)
        lines += [" " * indent + line for line in (said if below else said[1:])]
    return "\n".join(lines)


def difference(
    name: str, first: int, second: int, changes: Sequence[FieldChange], *, paint: Paint, width: int
) -> str:
    head = f"{paint(name, 'bold')} · v{first} → v{second}"
    return "\n".join([head, *(field_lines(changes, width) or ["  the same spec"])])


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [f"{cell:<{width}}" for cell, width in zip(cells, [*widths, 0], strict=True)]
    return ("  " + "".join(padded)).rstrip()


def _version(row: Told) -> str:
    if row.version is None:
        return "-"
    return f"v{row.version}{' lives' if row.lives else ''}"


def _when(at: str) -> str:
    return f"{at[:10]} {at[11:16]}" if at else "-"


def _cut(text: str) -> str:
    return text if len(text) <= _BY else text[: _BY - 1] + "…"


def _said(row: Told) -> str:
    """`deployed: context 2048 → 4096`, `failed: could not boot: no such file`."""
    did = "failed" if row.did == "tried" else row.did
    fields = ", ".join(arrow(FieldChange(*field)) for field in row.fields)
    why = f'"{row.why}"' if row.why and row.result == "done" else row.why
    more = "; ".join(filter(None, (why, fields)))
    return printable(f"{did}: {more}" if more else did)
