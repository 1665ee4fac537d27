"""How are the figures read? A table for a terminal of 80 columns, two lines a row."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from benchmarks.result import Figure, Row

_WIDTHS = (24, 11, 11, 6, 16)
_HEAD = ("", "ours", "theirs", "ratio", "goal", "met")


def table(rows: Sequence[Row]) -> str:
    lines = [_line(*_HEAD)]
    for row in rows:
        lines += _block(row)
    missed = sum(not goal.met for row in rows for goal in row.goals)
    asked = sum(len(row.goals) for row in rows)
    lines += ["", f"{asked - missed} of {asked} goals met. Medians, and below them min–max."]
    return "\n".join(lines)


def _block(row: Row) -> list[str]:
    ours = (_median(row.ours), _range(row.ours))
    theirs = (_median(row.theirs), _range(row.theirs)) if row.theirs else ("", "")
    ratio = f"{_number(row.ratio)}×" if row.ratio is not None else ""
    columns = zip_longest(
        textwrap.wrap(row.what, _WIDTHS[0], subsequent_indent="  ") if _long(row) else (row.what,),
        ours if ours[1] else ours[:1],
        theirs if theirs[1] else theirs[:1],
        (ratio,),
        [goal.words for goal in row.goals],
        ["yes" if goal.met else "NO" for goal in row.goals],
        fillvalue="",
    )
    return [_line(*cells) for cells in columns]


def _long(row: Row) -> bool:
    return len(row.what) > _WIDTHS[0]


def _line(what: str, ours: str, theirs: str, ratio: str, goal: str, met: str) -> str:
    a, b, c, d, e = _WIDTHS
    cells = f"{what:<{a}} {ours:>{b}} {theirs:>{c}} {ratio:>{d}}  {goal:<{e}} {met}"
    return cells.rstrip()


def _median(figure: Figure) -> str:
    return f"{_number(figure.median)} {figure.unit}".rstrip()


def _range(figure: Figure) -> str:
    low, high = _number(min(figure.values)), _number(max(figure.values))
    return f"{low}–{high}" if low != high else ""


def _number(value: float) -> str:
    """Three digits that mean something: 0.83, 2.51, 12.4, 118."""
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
