"""Does it cost more than the spec says it may?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.assess.cost import HOURS_A_MONTH
from modelctl.checks.case import Case, Rule, unchecked, wrong
from modelctl.engines.base import Finding
from modelctl.resolved import Unknown


def keep_warm(case: Case) -> Iterator[Finding]:
    budget, warm = case.spec.budget, case.assessed.cost.warm
    if budget is None or (budget.usd_per_hour is None and budget.usd_per_month is None):
        return
    count = case.resolved.scaling.min_containers
    if isinstance(warm, Unknown):
        yield unchecked(("budget",), "budget/keep-warm", f"what keep_warm costs: {warm.reason}")
        return
    asked = (
        ("usd_per_hour", budget.usd_per_hour, warm, "an hour"),
        ("usd_per_month", budget.usd_per_month, warm * HOURS_A_MONTH, "a month"),
    )
    for field, limit, cost, unit in asked:
        if limit is not None and cost > limit:
            yield wrong(
                ("budget", field),
                "budget/keep-warm",
                f"keep_warm {count} costs ${cost:,.2f} {unit}; the budget is ${limit:,.2f}",
                f"keep_warm: {int(limit / (cost / count))}, or a cheaper GPU first in the list",
            )


def at_most(case: Case) -> Iterator[Finding]:
    budget, cost = case.spec.budget, case.assessed.cost.at_most
    if budget is None or budget.usd_per_hour_at_max is None:
        return
    limit = budget.usd_per_hour_at_max
    if isinstance(cost, Unknown):
        yield unchecked(
            ("budget", "usd_per_hour_at_max"),
            "budget/at-max",
            f"what the endpoint costs at most: {cost.reason}",
            "scaling: {max: N}",
        )
    elif cost > limit:
        most = case.resolved.scaling.max_containers
        yield wrong(
            ("budget", "usd_per_hour_at_max"),
            "budget/at-max",
            f"{most} containers cost ${cost:,.2f} an hour; the budget is ${limit:,.2f}",
            "a smaller scaling.max, or a cheaper GPU first in the list",
        )


RULES: tuple[Rule, ...] = (keep_warm, at_most)
