"""How does money read? Dollars an hour and a month, as a range where the GPU list makes it one."""

from __future__ import annotations

from collections.abc import Sequence

from modelctl.assess.bill import Bill
from modelctl.assess.cost import HOURS_A_MONTH
from modelctl.resolved import NO_LIMITS, Limits
from modelctl.views.human.words import counted, first, wrapped
from modelctl.views.paint import Paint

_LABEL = 12
_NAMED = 3

NOT_PAID = "On Modal this would cost (here it costs nothing):"


def hourly(least: float, most: float) -> str:
    """`$3.96 to $7.81 an hour`"""
    return f"{_range(f'${least:,.2f}', f'${most:,.2f}')} an hour"


def monthly(least: float, most: float) -> str:
    """What so much an hour costs in a month: `$2,888 to $5,703 a month`"""
    low, high = least * HOURS_A_MONTH, most * HOURS_A_MONTH
    return f"{_range(f'${low:,.0f}', f'${high:,.0f}')} a month"


def _range(least: str, most: str) -> str:
    return least if least == most else f"{least} to {most}"


def with_figures(found: Sequence[Bill]) -> list[Bill]:
    """Those that are worth a line; what is not paid is none beside what is."""
    shown = [b for b in found if b.paid] or list(found)
    shown = [b for b in shown if b.parts or b.unpriced]
    if any(b.warm[1] or b.at_most[1] or b.unpriced or b.limits != NO_LIMITS for b in shown):
        return shown
    return []  # nothing is kept warm, and nothing is limited: there is no figure to show


def bills(found: Sequence[Bill], *, paint: Paint, width: int, unread: int = 0) -> str:
    """What keep_warm and what everything at its max costs, a line an environment; "" for none."""
    shown = with_figures(found)
    if not shown:
        return ""
    column = max(len(b.environment) for b in shown) + 2 if len(shown) > 1 else 0
    lines = _labelled("Warm cost", [(b.environment, warm(b)) for b in shown], column, width)
    lines += _labelled("At most", [(b.environment, most(b)) for b in shown], column, width)
    note = f"computed from {shown[0].words}"
    if unread:
        note = f"without {counted(unread, 'spec')} with errors, {note}"
    if any(b.warm[0] != b.warm[1] or b.at_most[0] != b.at_most[1] for b in shown):
        note += ", from the cheapest to the dearest GPU of each list"
    first = [] if shown[0].paid else [NOT_PAID]
    return "\n".join([*first, *lines, *(paint(line, "dim") for line in indented("", note, width))])


def _labelled(label: str, rows: Sequence[tuple[str, str]], column: int, width: int) -> list[str]:
    lines: list[str] = []
    for name, text in rows:
        beginning = f"{'' if lines else label:<{_LABEL}}"
        lines += indented(f"{beginning}{name if column else '':<{column}}", text, width)
    return lines


def indented(label: str, text: str, width: int, column: int = _LABEL) -> list[str]:
    """`text` beside its label, and below its own beginning where it is longer than the line."""
    label = f"{label:<{column}}"
    parts = wrapped(text, max(30, width - len(label) + 2))
    words = [part.removeprefix("  ") for part in parts]
    return [(label if not i else " " * len(label)) + word for i, word in enumerate(words)]


def warm(bill: Bill) -> str:
    least, dearest = bill.warm
    said = (
        f"{hourly(least, dearest)}, {monthly(least, dearest)}" if dearest else "$0, scale to zero"
    )
    return said + budget(bill.limits) + _unpriced(bill)


def most(bill: Bill) -> str:
    limit = bill.limits.usd_per_hour_at_max
    without = named("no scaling.max, so no most: ", bill.unlimited)
    if len(bill.unlimited) == len(bill.parts) and bill.parts:
        said = "no limit: " + ("no spec has" if len(bill.parts) > 1 else "there is no")
        said += " scaling.max"
    else:
        said = hourly(*bill.at_most) + (f"; {without}" if without else "")
    return said + ("" if limit is None else f"; budget ${limit:,.2f} an hour") + _unpriced(bill)


def budget(limits: Limits) -> str:
    """`; budget $12,000 a month`, as it was said."""
    said = []
    if limits.usd_per_hour is not None:
        said.append(f"${limits.usd_per_hour:,.2f} an hour")
    if limits.usd_per_month is not None:
        said.append(f"${limits.usd_per_month:,.0f} a month")
    return f"; budget {' and '.join(said)}" if said else ""


def _unpriced(bill: Bill) -> str:
    return f"; {named('no price is known: ', bill.unpriced)}" if bill.unpriced else ""


def named(words: str, names: Sequence[str]) -> str:
    """The words and the first names; "" where there are none."""
    if not names:
        return ""
    shown, rest = first(names, _NAMED)
    more = f" and {len(rest)} more" if rest else ""
    return f"{words}{', '.join(shown)}{more}"
