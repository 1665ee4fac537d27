"""What does a page say of money? Each app and all of them, before and after, and the budget."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from modelctl.plan import HOURS_A_MONTH, Action, Change, Plan
from modelctl.views.human.changes import not_counted
from modelctl.views.page.apps import KINDS, Kind
from modelctl.views.page.words import Figure, hourly, monthly, signed


class Line(Struct, frozen=True):
    """USD of keep_warm, None where it is not known. `at_max`: with every container that may run."""

    name: str
    kind: Kind | None
    before: Figure | None
    after: Figure | None
    month_before: Figure | None
    month_after: Figure | None
    delta: str
    at_max: Figure | None


class Budget(Struct, frozen=True):
    """A limit and what is spent of it, drawn: `before`, `after` and `limit` in per cent."""

    what: str
    limit: str
    spent: str
    share: int
    before: float | None
    after: float
    at: float
    over: bool


class Money(Struct, frozen=True):
    lines: tuple[Line, ...]
    same: tuple[Line, ...]
    same_total: Line | None
    others: Line | None
    total: Line
    without_max: tuple[str, ...]
    left_out: tuple[str, ...]
    dearest: Figure | None
    budgets: tuple[Budget, ...]
    prices: str
    any: bool


def of(result: Plan) -> Money:
    shown = [c for c in result.changes if c.action is not Action.UNCHANGED]
    same = [c for c in result.changes if c.action is Action.UNCHANGED]
    at_max = result.at_max
    dearest = result.others + sum(
        max(c.cost.dearest or 0, c.cost.after or 0) for c in result.changes
    )
    total = _line("All apps", None, result.warm_before, result.warm_after, at_max)
    warm = [c for c in same if c.cost.after or c.cost.at_max]
    others = result.others
    return Money(
        lines=tuple(_of_app(c) for c in shown if c.cost.after or c.cost.before or c.cost.at_max),
        same=tuple(_of_app(c) for c in warm),
        same_total=_together(warm, f"{len(same)} unchanged") if warm else None,
        others=_line("Apps not in this plan", None, others, others, None) if others else None,
        total=total,
        without_max=result.without_max,
        left_out=tuple(not_counted(result)),
        dearest=monthly(dearest, HOURS_A_MONTH) if dearest > result.warm_after + 1e-9 else None,
        budgets=tuple(_budgets(result, at_max or 0.0)),
        prices=result.prices or "list prices",
        any=bool(result.warm_after or result.warm_before or at_max is not None),
    )


def _of_app(change: Change) -> Line:
    cost, kind = change.cost, KINDS.get(change.action)
    before = 0.0 if change.action is Action.CREATE else cost.before
    return _line(change.name, kind, before, cost.after, cost.at_max)


def _together(found: Sequence[Change], name: str) -> Line:
    known = [c.cost.before for c in found if c.cost.before is not None]
    before = sum(known) if len(known) == len(found) else None
    after = sum(c.cost.after or 0 for c in found)
    most = [c.cost.at_max for c in found if c.cost.at_max is not None]
    return _line(name, None, before, after, sum(most) if most else None)


def _line(
    name: str, kind: Kind | None, before: float | None, after: float | None, at_max: float | None
) -> Line:
    difference = 0.0
    if before is not None and (after is not None or (kind and kind.word == "delete")):
        difference = ((after or 0) - before) * HOURS_A_MONTH
    return Line(
        name=name,
        kind=kind,
        before=None if before is None else hourly(before),
        after=None if after is None else hourly(after),
        month_before=None if before is None else monthly(before, HOURS_A_MONTH),
        month_after=None if after is None else monthly(after, HOURS_A_MONTH),
        delta=signed(difference) if round(difference) else "",
        at_max=None if at_max is None else hourly(at_max),
    )


def _budgets(result: Plan, at_max: float) -> list[Budget]:
    limits, before, after = result.limits, result.warm_before, result.warm_after
    month = HOURS_A_MONTH
    found = []
    if limits.usd_per_month is not None:
        was = None if before is None else before * month
        found.append(_budget("Warm, a month", limits.usd_per_month, was, after * month, 0))
    if limits.usd_per_hour is not None:
        found.append(_budget("Warm, an hour", limits.usd_per_hour, before, after, 2))
    if limits.usd_per_hour_at_max is not None:
        found.append(_budget("At most, an hour", limits.usd_per_hour_at_max, None, at_max, 2))
    return found


def _budget(what: str, limit: float, before: float | None, after: float, digits: int) -> Budget:
    whole = max(limit, after, before or 0, 1e-9)

    def place(usd: float) -> float:
        return round(100 * max(0.0, usd) / whole, 3)

    return Budget(
        what=what,
        limit=f"${limit:,.{digits}f}",
        spent=f"${after:,.{digits}f}",
        share=round(100 * after / limit) if limit else 100,
        before=None if before is None else place(before),
        after=place(after),
        at=place(limit),
        over=after > limit,
    )
