"""How does a plan read? One line a change; then what changes in it, and what it costs."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from modelctl.plan import DEPLOYS, HOURS_A_MONTH, Action, Change, FieldChange, Plan
from modelctl.resolved import NO_LIMITS
from modelctl.views.alike import Shown, shown
from modelctl.views.human import money
from modelctl.views.human.words import counted, plain, printable, wrapped
from modelctl.views.paint import Paint

SYMBOLS = {
    Action.CREATE: ("+", "green"),
    Action.IN_PLACE: ("~", "yellow"),
    Action.REDEPLOY: ("±", "yellow"),
    Action.RECREATE: ("±", "yellow"),
    Action.DELETE: ("-", "red"),
    Action.DRIFT: ("!", "yellow"),
    Action.HELD: ("‖", "dim"),
    Action.BLOCKED: ("×", "red"),
    Action.FOREIGN: ("×", "red"),
}


LOST = (
    "Nothing is recorded of this environment's apps any more: earlier specs are unknown, and "
    "whether somebody held an app, or protected one that has no spec."
)


def action_words(action: Action) -> str:
    return action.value.replace("-", " ")


def plan(result: Plan, *, paint: Paint, width: int) -> str:
    """One line an app that changes, or all that change in the same way; the fields of each, what it
    costs, and one summary line."""
    rows = shown(c for c in result.changes if c.action is not Action.UNCHANGED)
    lines = [f"{paint(result.where, 'bold')} · {counted(len(result.changes), 'app')}", ""]
    for note in notes(result):
        lines += [*wrapped(printable(note), width), ""]
    column = min(40, max((len(row.change.name) for row in rows), default=0) + 2)
    for row in rows:
        lines += _plan_line(row.change, column, paint, width) + _names(row, width)
    unchanged = result.count(Action.UNCHANGED)
    if unchanged:
        lines += [*([""] if rows else []), f"  {unchanged} unchanged"]
    for row in rows:
        lines += _block(row, column, paint, width)
    if cost := _costs(result, paint, width):
        lines += ["", *cost]
    lines += ["", *textwrap.wrap(plan_summary(result), width)]
    return "\n".join(lines)


def notes(result: Plan) -> list[str]:
    """What is to be known before the changes are read."""
    return [*([LOST] if result.lost else []), *result.notes]


def _costs(result: Plan, paint: Paint, width: int) -> list[str]:
    """What keep-warm costs a month, before and after, and everything at its max; [] for nothing."""
    most = any(c.cost.at_max is not None for c in result.changes)
    lines = []
    if result.warm_after or result.warm_before or result.limits != NO_LIMITS:
        lines += money.indented("Warm cost", warm(result), width)
    if most:
        lines += money.indented("At most", at_most(result), width)
    if lines and not result.paid:
        lines.insert(0, money.NOT_PAID)
    if lines:
        lines += [paint(line, "dim") for line in money.indented("", whose_prices(result), width)]
    return lines


def whose_prices(result: Plan) -> str:
    return f"on the first GPU of each list, computed from {result.prices or 'list prices'}"


def warm(result: Plan) -> str:
    """`$7,064 → $10,596 a month (+$3,532 chat-8b); budget $12,000 a month`"""
    before, after = result.warm_before, result.warm_after
    now = f"${after * HOURS_A_MONTH:,.0f}"
    if before is not None and before != after:
        now = f"${before * HOURS_A_MONTH:,.0f} → {now}"
    words = f"{now} a month"
    moved = [
        (c.name, d) for c in result.changes if (d := (c.cost.after or 0) - (c.cost.before or 0))
    ]
    if before is not None and moved:
        parts = [f"{'+' if d > 0 else '-'}${abs(d) * HOURS_A_MONTH:,.0f} {n}" for n, d in moved]
        words += f" ({money.named('', parts)})"
    dearest = sum(max(c.cost.dearest or 0, c.cost.after or 0) for c in result.changes)
    if dearest + result.others > after:
        words += f", ${(dearest + result.others) * HOURS_A_MONTH:,.0f} on the dearest GPUs"
    if result.others:
        words += f", ${result.others * HOURS_A_MONTH:,.0f} of it of apps not in this plan"
    return words + money.budget(result.limits)


def at_most(result: Plan) -> str:
    """`$61.00 an hour with every app at its max`"""
    limit = result.limits.usd_per_hour_at_max
    words = f"${result.at_max or 0:,.2f} an hour with every app at its max"
    words += money.named("; no scaling.max, so no most: ", result.without_max)
    words += money.named("; without what stays of ", not_counted(result))
    return words + ("" if limit is None else f"; budget ${limit:,.2f} an hour")


def not_counted(result: Plan) -> list[str]:
    """Apps of ours that go on living as they are, and of which no most is known."""
    return [
        c.name
        for c in result.changes
        if c.cost.at_max is None
        and (c.action is Action.BLOCKED or c.left)
        and (c.version is not None or c.cost.before is not None)
    ]


def plan_summary(result: Plan) -> str:
    found = Counter(c.left or c.action for c in result.changes)
    order = [*Action, *sorted(what for what in found if not isinstance(what, Action))]
    counts = [
        f"{found[what]} {action_words(what) if isinstance(what, Action) else what}"
        for what in order
        if what is not Action.UNCHANGED and found[what]
    ]
    return f"Plan: {', '.join(counts)}." if counts else "Nothing to do."


def _plan_line(change: Change, column: int, paint: Paint, width: int) -> list[str]:
    symbol, colour = SYMBOLS[change.action]
    head = f"  {paint(symbol, colour)} {change.name:<{column}}"
    said = reason(change)
    words = f"{action_words(change.action):<11}"
    room = width - 4 - column - 11
    wrapped = textwrap.wrap(said, max(20, room), break_on_hyphens=False) or [""]
    if _many(change, column, width):
        wrapped = [*change.reasons, f"{len(change.fields)} fields, below"]
    lines = [f"{head}{words}{wrapped[0]}".rstrip()]
    if len(change.name) >= column:  # on a line of its own, so that nothing is moved
        lines = [head.rstrip(), (" " * (4 + column) + words + wrapped[0]).rstrip()]
    return lines + [" " * (4 + column + 11) + line for line in wrapped[1:]]


def _names(row: Shown, width: int) -> list[str]:
    return textwrap.wrap(
        printable(", ".join(row.names)), width, initial_indent=" " * 6, subsequent_indent=" " * 6,
        break_on_hyphens=False,
    )  # fmt: skip


def reason(change: Change) -> str:
    """Why, and what changes, in one sentence."""
    parts = [arrow(field) for field in change.fields]
    if change.action is Action.DRIFT and change.reasons:
        parts = []  # the reasons say them, with what lives
    if change.action is Action.CREATE:
        parts = list(change.impact)
    return printable(", ".join([*change.reasons, *parts]))


def _block(row: Shown, column: int, paint: Paint, width: int) -> list[str]:
    """The fields of an app where they are many, and what a new version means to its users."""
    change = row.change
    impact = change.impact if change.does in DEPLOYS - {Action.CREATE} else ()
    many = len(change.fields) > 1 or _many(change, column, width)
    if not (impact or many) or change.action is Action.BLOCKED:
        return []
    title = [paint(line, "bold") for line in textwrap.wrap(row.title, width)]
    lines = ["", *title, *field_lines(change.fields, width)]
    if impact:
        lines += textwrap.wrap(
            printable("; ".join(impact)), width, initial_indent="  ", subsequent_indent="  "
        )
    return lines


def _many(change: Change, column: int, width: int) -> bool:
    """Whether the fields would not read well beside the app's name."""
    return bool(change.fields) and len(reason(change)) > 2 * max(20, width - 15 - column)


def field_lines(changes: Sequence[FieldChange], width: int) -> list[str]:
    """One field a line, as far as it fits."""
    column = min(width // 2 - 2, max((len(c.path) for c in changes), default=0) + 2)
    lines = []
    for change in changes:
        text = " → ".join(values(change))
        wrapped = textwrap.wrap(text, max(20, width - 2 - column)) or [""]
        if len(change.path) + 2 > column:
            lines.append(f"  {change.path}")
            lines.append(" " * (2 + column) + wrapped[0])
        else:
            lines.append(f"  {change.path:<{column}}{wrapped[0]}")
        lines += [" " * (2 + column) + line for line in wrapped[1:]]
    return lines


def arrow(change: FieldChange) -> str:
    """`context 2048 → 4096`."""
    return f"{change.path} {' → '.join(values(change))}"


def values(change: FieldChange) -> tuple[str, str]:
    """Before and after, each short enough for a line, and begun where they begin to differ."""
    before, after = value_words(change.before), value_words(change.after)
    differ = (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b)
    same = next(differ, min(len(before), len(after)))
    skipped = same - _LEAD if max(len(before), len(after)) > _LONGEST and same > 2 * _LEAD else 0
    return _cut(before, skipped), _cut(after, skipped)


_LONGEST = 60
_LEAD = 12
"""Characters that are kept of what two long values have in common."""


def _cut(text: str, skipped: int) -> str:
    text = f"…{text[skipped:]}" if skipped else text
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def value_words(value: object) -> str:
    return printable(plain(value))
