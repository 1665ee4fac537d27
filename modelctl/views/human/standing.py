"""How does status read? Sync and health are two things; URLs stand where they can be copied."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from modelctl.views.human.words import printable
from modelctl.views.paint import Paint
from modelctl.views.rows import StatusRow

_HEADS = ("", "sync", "health", "live", "version")
_COLOURS = {
    "in sync": "green",
    "healthy": "green",
    "asleep": "dim",
    "held": "dim",
    "-": "dim",
    "blocked": "red",
    "foreign": "red",
    "no answer": "red",
}


def money_head(*, paid: bool) -> str:
    return "$/h now" if paid else "$/h on Modal"


def money_words(usd: float, *, paid: bool) -> str:
    return f"${usd:,.2f} an hour {'now' if paid else 'on Modal; here it costs nothing'}"


def status(
    rows: Sequence[StatusRow], where: str, *, paint: Paint, width: int = 80, paid: bool = True
) -> str:
    """One row an app, below it what is to be known of it; then URLs, where they can be copied."""
    if not rows:
        return f"{where}: no apps"
    cells = [(r.name, r.sync, r.health, r.live, version(r), _money(r.usd_per_hour)) for r in rows]
    heads = (*_HEADS, money_head(paid=paid))
    columns = [max(len(line[i]) for line in [heads, *cells]) + 2 for i in range(len(heads))]
    columns, apart = _narrowed(columns, width, min(len(row.name) for row in rows) + 2)
    lines = [paint(where, "bold"), _line(heads, columns)]
    for row, cell in zip(rows, cells, strict=True):
        name, *beside = cell
        if len(name) + 2 > columns[0]:  # on a line of its own, so that nothing is moved
            lines.append(f"  {name}")
            name = ""
        live = [cell[_LIVE]] if apart and cell[_LIVE] != "-" else []
        lines.append(_line((name, *beside), columns, paint))
        for said in [*live, *notes(row)]:
            indent = " " * (columns[0] + 2)
            lines += textwrap.wrap(
                printable(said), width, initial_indent=indent, subsequent_indent=indent,
                break_on_hyphens=False,
            )  # fmt: skip
    known = [row.usd_per_hour for row in rows if row.usd_per_hour is not None]
    if any(known):
        lines += ["", f"  {money_words(sum(known), paid=paid)}"]
    lines += _urls(rows, columns[0], width)
    return "\n".join(lines)


_LIVE = 3
_INDENT = 4


def _narrowed(columns: Sequence[int], width: int, shortest: int) -> tuple[list[int], bool]:
    """The columns as they fit: long names stand above their rows; and what runs of an app stands
    below where that is not enough, so that its column is empty."""
    names, *others = columns
    if apart := sum(others) + _INDENT - 2 > width:
        others[_LIVE - 1] = 0
    room = width - sum(others)
    return [min(names, room) if room >= shortest else _INDENT - 2, *others], apart


def _urls(rows: Sequence[StatusRow], column: int, width: int) -> list[str]:
    lines = [""]
    for row in rows:
        if not row.url:
            continue
        beside = f"  {row.name:<{column}}{row.url}/v1"
        whole = len(row.name) + 2 <= column and len(beside) <= width
        lines += [beside] if whole else [f"  {row.name}", f"{' ' * _INDENT}{row.url}/v1"]
    return lines if len(lines) > 1 else []


_QUIET_SYNC = frozenset({"in sync", "held", "no spec"})
_QUIET_HEALTH = frozenset({"healthy", "asleep", "-", "starting", "not asked (no token)"})


def quiet(row: StatusRow) -> bool:
    """Whether nobody needs to look at it."""
    return row.sync in _QUIET_SYNC and row.health in _QUIET_HEALTH


def _line(cells: Sequence[str], columns: Sequence[int], paint: Paint | None = None) -> str:
    """Names at the left, money at the right; sync and health in their colour."""
    cells = [c if w else "" for c, w in zip(cells, columns, strict=True)]
    padded = [f"{c:<{w}}" for c, w in zip(cells, columns, strict=True)]
    padded[-1] = f"{cells[-1]:>{columns[-1] - 2}}"
    if paint is not None:
        for i in (1, 2):
            padded[i] = paint(padded[i], _COLOURS.get(cells[i], "yellow"))
    return "  " + "".join(padded).rstrip()


def version(row: StatusRow) -> str:
    """`v12 8f3ab1e`, `v10 (is v8)`."""
    if not row.version:
        return "-"
    more = f" (is v{row.again})" if row.again else f" {row.commit}" if row.commit else ""
    return f"v{row.version}{more}"


def _money(usd: float | None) -> str:
    return "-" if usd is None else f"{usd:,.2f}"


def notes(row: StatusRow) -> list[str]:
    waits = [f"waiting for {_cards(row.waiting_for)}"] if row.waiting_for else []
    return [*waits, *row.reasons]


def _cards(asked: str) -> str:
    """`H100:2 or L40S` → `2 × H100 or L40S`."""
    return " or ".join(
        f"{count} × {kind}" if count else kind
        for kind, _, count in (one.partition(":") for one in asked.split(" or "))
    )
