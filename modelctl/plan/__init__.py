"""What has to change, and why? Pure: from what is wanted, what lives, and what is remembered."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from modelctl.plan.compare import Asked, change_of
from modelctl.plan.holding import active, words
from modelctl.plan.looking import changed_digests, entry_of, owner, settled, unsettled
from modelctl.plan.types import (
    DEPLOYS,
    HOURS_A_MONTH,
    LEFT_ALONE,
    NEEDS_PRUNE,
    REFUSED,
    Action,
    Change,
    Cost,
    Desired,
    FieldChange,
    Plan,
    Seen,
)
from modelctl.platform.types import Capabilities, LiveApp
from modelctl.rendered import TAG_PROJECT
from modelctl.resolved import NO_LIMITS, Limits

__all__ = [
    "DEPLOYS",
    "HOURS_A_MONTH",
    "LEFT_ALONE",
    "REFUSED",
    "Action",
    "Change",
    "Cost",
    "Desired",
    "FieldChange",
    "Plan",
    "Seen",
    "beyond_limits",
    "changed_digests",
    "entry_of",
    "owner",
    "plan",
    "settled",
    "unsettled",
]


def plan(
    desired: Sequence[Desired],
    seen: Seen,
    *,
    project: str | None,
    where: str,
    whole_project: bool,
    capabilities: Capabilities,
    allow_unlocked: bool = False,
    retry: bool = False,
    prune: bool = False,
    override_hold: bool = False,
    limits: Limits = NO_LIMITS,
    prices: str = "",
    left_out: frozenset[str] = frozenset(),
    paid: bool = True,
) -> Plan:
    """Compare. `whole_project` is true where `desired` is everything that the project has: only
    then an app without a spec is one to delete. `allow_unlocked` lets models of the Hub and of
    buckets be deployed whose content nothing pins; `retry` lets versions that failed be deployed
    again as they are; `override_hold` takes back what a person keeps as it is. The specs of
    `left_out` leave this environment out."""
    asked = Asked(project, capabilities, retry, override_hold)
    changes = [_pinned(change_of(d, seen, asked), d, allow_unlocked) for d in desired]
    if project is not None:
        changes += _deletions(desired, seen, asked, left_out, whole=whole_project, prune=prune)
    found = tuple(_left_alone_costs_nothing_new(change) for change in sorted(changes, key=_order))
    others = _others({change.name for change in found}, seen)
    gone = _gone(desired, seen) if whole_project and project is not None else ()
    lost = seen.index is None and any(
        not owner(app, seen, project) for app in seen.live.apps.values()
    )
    environment = seen.live.environment
    return Plan(environment, where, found, others, limits, prices, gone, lost, paid=paid)


def _left_alone_costs_nothing_new(change: Change) -> Change:
    """What apply leaves alone costs what it did."""
    if change.action not in {*REFUSED, Action.HELD}:
        return change
    most = change.cost.at_max if change.action is Action.HELD else None
    return replace(change, cost=Cost(change.cost.before, change.cost.before, None, most))


def _gone(desired: Sequence[Desired], seen: Seen) -> tuple[str, ...]:
    """Deleted without a word in the index, or stopped by hand after their specs were deleted."""
    wanted = {d.name for d in desired}
    known = seen.index.apps if seen.index else {}
    return tuple(sorted(set(known) - wanted - set(seen.live.apps)))


def _others(looked_at: set[str], seen: Seen) -> float:
    """What the project's apps that are not part of this plan cost an hour, as recorded."""
    entries = seen.index.apps if seen.index else {}
    return sum(
        entries[app.name].usd_per_hour or 0
        for app in seen.live.apps.values()
        if app.name in entries and app.name not in looked_at and settled(app, seen.index)
    )


def beyond_limits(result: Plan) -> tuple[str, ...]:
    """What the plan would make all apps together cost more than may be spent, and more than now."""
    if result.warm_before is not None and result.warm_after <= result.warm_before:
        return ()
    asked = (
        (result.limits.usd_per_hour, 1, "an hour"),
        (result.limits.usd_per_month, HOURS_A_MONTH, "a month"),
    )
    return tuple(
        f"keep_warm of all apps would cost ${result.warm_after * hours:,.2f} {unit}, "
        f"${result.others * hours:,.2f} of it of apps that are not in this plan; the policy allows "
        f"${limit:,.2f}"
        for limit, hours, unit in asked
        if limit is not None and result.warm_after * hours > limit
    )


def _order(change: Change) -> tuple[bool, str]:
    """By name; deletions come last, as they do in apply."""
    return change.action is Action.DELETE, change.name


def _pinned(change: Change, desired: Desired, allow_unlocked: bool) -> Change:
    """A model that may be another one tomorrow is not deployed unless somebody says so."""
    if allow_unlocked or change.does not in DEPLOYS:
        return change
    why = tuple(
        f"{weights.source} is not pinned: run modelctl lock, or say --allow-unlocked"
        for weights in desired.rendered.resolved.sources
        if weights.kind not in ("local", "volume") and not _COMMIT.fullmatch(weights.revision or "")
    )
    blocked = replace(change, action=Action.BLOCKED, reasons=why, impact=(), drifted_to=None)
    return blocked if why else change


_COMMIT = re.compile(r"[0-9a-f]{40}")


def _deletions(
    desired: Sequence[Desired],
    seen: Seen,
    asked: Asked,
    left_out: frozenset[str],
    *,
    whole: bool,
    prune: bool,
) -> list[Change]:
    """Apps of this project that no spec has, and those whose spec has another name now.

    They are known by the mark on them, or by the index at the very version that lives.
    """
    wanted = {d.name for d in desired}
    renamed = {d.renamed_from: d.name for d in desired if d.renamed_from}
    found = []
    for app in seen.live.apps.values():
        new_name = renamed.get(app.name)
        if app.name in wanted or not (whole or new_name) or not _ours(app, seen, asked.project):
            continue
        entry = entry_of(app, seen.index)
        hold = None if asked.override_hold else active(entry, seen.now)
        protected = entry is not None and entry.protect
        lost = seen.index is None or (entry is not None and entry.lost)
        asked_for = (prune or new_name is not None) and not lost
        gone = "its spec leaves this environment out (only)"
        gone = gone if app.name in left_out else "not in specs"
        reasons = _why_deleted(gone, new_name, prune, protected=protected, lost=lost)
        before = entry.usd_per_hour if entry else None
        goes = asked_for and not protected and hold is None
        found.append(
            Change(
                app.name,
                Action.DELETE if hold is None else Action.HELD,
                reasons if hold is None else (*reasons, words(hold)),
                cost=Cost(before, 0.0 if goes else before),
                version=app.version,
                protected=protected,
                hold=hold,
                asked_for=asked_for,
                after=new_name,
            )
        )
    return found


def _ours(app: LiveApp, seen: Seen, project: str | None) -> bool:
    details = seen.details.get(app.name)
    if details is not None:
        return details.tags.get(TAG_PROJECT) == project
    return settled(app, seen.index)


def _why_deleted(
    gone: str, new_name: str | None, prune: bool, *, protected: bool, lost: bool
) -> tuple[str, ...]:
    gone = f"renamed to {new_name}" if new_name is not None else gone
    if protected:
        return (f"{gone}, and protected",)
    if lost:
        why = "whether it was protected or held was lost with the record"
        return (f"{gone}; {why}: modelctl destroy takes it away",)
    if new_name is not None:
        return (f"renamed to {new_name}: deleted once that one serves", "its URL goes away")
    return (gone,) if prune else (f"{gone} {NEEDS_PRUNE}",)
