"""Do all specs of one environment together stay within what policies let them cost?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.assess.bill import Bill
from modelctl.assess.cost import HOURS_A_MONTH
from modelctl.diagnostics import Diagnostic, Place, error
from modelctl.resolved import Limits
from modelctl.spec.project_models import Policy
from modelctl.spec.tree import Mapping
from modelctl.spec.wanted import ProjectFile

_NAMED = 3


def limits_of(project: ProjectFile) -> Limits:
    """The least of what the policies allow."""
    budgets = [policy.budget for _, policy in project.policies if policy.budget is not None]

    def least(field: str) -> float | None:
        said = [value for b in budgets if (value := getattr(b, field)) is not None]
        return min(said, default=None)

    return Limits(least("usd_per_hour"), least("usd_per_month"), least("usd_per_hour_at_max"))


def check_together(bill: Bill, project: ProjectFile) -> list[Diagnostic]:
    """What no spec exceeds by itself, and all of them do."""
    trees: list[tuple[str, Mapping | None, tuple[str, ...]]]
    trees = [("the project's policy", project.tree, ("policy", "budget"))]
    if project.outside is not None:
        trees.append((f"the policy of {project.outside.file}", project.outside.tree, ("budget",)))
    places = {whose: (tree, path) for whose, tree, path in trees}
    found: list[Diagnostic] = []
    for whose, policy in project.policies:
        tree, path = places[whose]
        for field, message, hint in _exceeded(bill, whose, policy):
            place = _place(tree, (*path, field))
            found.append(
                error(
                    "policy/budget", message, hint=hint, place=place, path=".".join((*path, field))
                )
            )
    return found


def _exceeded(bill: Bill, whose: str, policy: Policy) -> Iterator[tuple[str, str, str]]:
    budget = policy.budget
    if budget is None or len(bill.parts) < 2:
        return
    where = f" of {bill.environment}" if bill.environment else ""
    dearest = sorted(bill.parts, key=lambda part: -part[1])
    warm = f"keep_warm of all specs{where} costs"
    most = f"all containers of all specs{where} cost"
    asked = (
        ("usd_per_hour", budget.usd_per_hour, 1, warm, bill.first, "an hour"),
        ("usd_per_month", budget.usd_per_month, HOURS_A_MONTH, warm, bill.first, "a month"),
        ("usd_per_hour_at_max", budget.usd_per_hour_at_max, 1, most, bill.first_at_most, "an hour"),
    )
    for field, limit, hours, what, cost, unit in asked:
        if limit is None or cost * hours <= limit:
            continue
        alone = max((part for _, part in bill.parts), default=0.0)
        if what is warm and alone * hours > limit:
            continue  # said of that spec
        named = [f"{name} ${part * hours:,.2f}" for name, part in dearest[:_NAMED] if part]
        hint = "a smaller scaling.max" if what is most else f"the most: {', '.join(named)}"
        yield (
            field,
            f"{what} ${cost * hours:,.2f} {unit}, on the first GPU of each list; "
            f"{whose} allows ${limit:,.2f}",
            hint,
        )


def _place(tree: Mapping | None, path: tuple[str, ...]) -> Place | None:
    place = None
    for name in path:
        if tree is None or name not in tree.entries:
            return place
        entry = tree.entries[name]
        place = entry.node.place
        tree = entry.node if isinstance(entry.node, Mapping) else None
    return place
