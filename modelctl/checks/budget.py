"""Does it cost more than the spec says it may?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from modelctl.assess.cost import HOURS_A_MONTH, NO_MAX
from modelctl.checks.case import Case, Rule, doubtful, unchecked, wrong
from modelctl.engines.base import Finding
from modelctl.resolved import Unknown


def keep_warm(case: Case) -> Iterator[Finding]:
    budget, warm = case.spec.budget, case.assessed.cost.warm
    if budget is None or (budget.usd_per_hour is None and budget.usd_per_month is None):
        return
    count = case.spec.keep_warm or 0
    if isinstance(warm, Unknown):
        yield unchecked(("budget",), "budget/keep-warm", f"what keep_warm costs: {warm.reason}")
        return
    asked = (
        ("usd_per_hour", budget.usd_per_hour, 1, "an hour"),
        ("usd_per_month", budget.usd_per_month, HOURS_A_MONTH, "a month"),
    )
    for field, limit, hours, unit in asked:
        if limit is not None and warm * hours > limit:
            yield wrong(
                ("budget", field),
                "budget/keep-warm",
                f"keep_warm {count} costs ${warm * hours:,.2f} {unit}{on_first(case)}; "
                f"the budget is ${limit:,.2f}",
                f"keep_warm: {int(limit / (warm * hours / count))}, "
                "or a cheaper GPU first in the list",
            )
        elif limit is not None and (dearest := _dearest(case, warm, hours)) is not None:
            key, cost = dearest
            if cost > limit:
                yield doubtful(
                    ("budget", field),
                    "budget/may-exceed",
                    f"where no {first_key(case)} is free, keep_warm {count} may run on {key} and "
                    f"cost ${cost:,.2f} {unit}; the budget is ${limit:,.2f}",
                    f"{field}: {_rounded_up(cost)}, or the list without {key}",
                )


def at_most(case: Case) -> Iterator[Finding]:
    budget, cost = case.spec.budget, case.assessed.cost.at_most
    if budget is None or budget.usd_per_hour_at_max is None:
        return
    limit, field = budget.usd_per_hour_at_max, "usd_per_hour_at_max"
    most = case.resolved.scaling.max_containers
    if isinstance(cost, Unknown):
        yield unchecked(
            ("budget", field),
            "budget/at-max",
            f"what the endpoint costs at most: {cost.reason}",
            "scaling: {max: N}" if cost is NO_MAX else "",
        )
    elif cost > limit:
        yield wrong(
            ("budget", field),
            "budget/at-max",
            f"{most} containers cost ${cost:,.2f} an hour{on_first(case)}; "
            f"the budget is ${limit:,.2f}",
            "a smaller scaling.max, or a cheaper GPU first in the list",
        )
    elif (dearest := _dearest(case, cost, 1)) is not None and dearest[1] > limit:
        yield doubtful(
            ("budget", field),
            "budget/may-exceed",
            f"where no {first_key(case)} is free, {most} containers may run on {dearest[0]} and "
            f"cost ${dearest[1]:,.2f} an hour; the budget is ${limit:,.2f}",
            f"{field}: {_rounded_up(dearest[1])}, or the list without {dearest[0]}",
        )


def first_key(case: Case) -> str:
    """The GPU that plans count with: the one that Modal tries first."""
    return case.assessed.cost.variants[0].key


def on_first(case: Case) -> str:
    """` on H100, the first of the list`"""
    variants, key = case.assessed.cost.variants, first_key(case)
    if key == "cpu":
        return " on the CPU"
    others = len({v.usd_per_hour for v in variants}) > 1
    return f" on {key}, the first of the list" if others else f" on {key}"


def _dearest(case: Case, cost: float, hours: float) -> tuple[str, float] | None:
    """The dearest GPU of the list and what the same costs there; None where that is the first."""
    found = case.assessed.cost
    first, dearest = found.first, found.dearest
    if isinstance(first, Unknown) or dearest is None or isinstance(dearest.usd_per_hour, Unknown):
        return None
    if not first or dearest.usd_per_hour <= first:
        return None
    return dearest.key, cost * hours * dearest.usd_per_hour / first


def _rounded_up(cost: float) -> str:
    return f"{math.ceil(cost * 100) / 100:.2f}"


RULES: tuple[Rule, ...] = (keep_warm, at_most)
