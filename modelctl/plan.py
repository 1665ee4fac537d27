"""What has to change, and why? Pure: from what is wanted, what lives, and what is remembered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from modelctl.platform.types import Capabilities, Details, Live, LiveApp
from modelctl.record import AppRecord, Fields, Index
from modelctl.rendered import TAG_DIGEST, TAG_PROJECT, Rendered
from modelctl.resolved import NO_LIMITS, Limits, Scaling


class Action(StrEnum):
    CREATE = "create"
    IN_PLACE = "in-place"
    REDEPLOY = "redeploy"
    RECREATE = "recreate"
    DELETE = "delete"
    UNCHANGED = "unchanged"
    BLOCKED = "blocked"
    FOREIGN = "foreign"


HOURS_A_MONTH = 730
REFUSED = frozenset({Action.BLOCKED, Action.FOREIGN})
DEPLOYS = frozenset({Action.CREATE, Action.REDEPLOY, Action.RECREATE})


class Desired(Struct, frozen=True):
    """An app as it should be: its text, and what its spec says in the spec's own words."""

    rendered: Rendered
    fields: Fields
    usd_per_hour: float | None = None
    dearest_usd_per_hour: float | None = None
    usd_per_hour_at_max: float | None = None

    @property
    def name(self) -> str:
        return self.rendered.name


class FieldChange(Struct, frozen=True):
    """None: nothing was, or is, said."""

    path: str
    before: object
    after: object


class Cost(Struct, frozen=True):
    """What keep-warm costs an hour, USD, on the first GPU of the list; None where unknown.

    `dearest` is `after` on the dearest of the list, `at_max` with every container that may run.
    """

    before: float | None
    after: float | None
    dearest: float | None = None
    at_max: float | None = None


class Change(Struct, frozen=True):
    """What apply does to one app. `version` is the one that lives now, `scaling` what it should be
    scaled to where nothing else changes."""

    name: str
    action: Action
    reasons: tuple[str, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    cost: Cost = Cost(None, None)
    version: int | None = None
    url: str | None = None
    scaling: Scaling | None = None
    protected: bool = False


class Plan(Struct, frozen=True):
    """`others` is what keep-warm costs an hour of this project's apps that were not looked at.
    `limits` are those of all apps together; `prices` say whose prices these are."""

    environment: str
    where: str
    changes: tuple[Change, ...]
    others: float = 0.0
    limits: Limits = NO_LIMITS
    prices: str = ""

    @property
    def pending(self) -> bool:
        return any(c.action in {*DEPLOYS, Action.IN_PLACE, Action.DELETE} for c in self.changes)

    def count(self, action: Action) -> int:
        return sum(c.action is action for c in self.changes)

    @property
    def warm_before(self) -> float | None:
        """What keep-warm costs an hour now; None where that was not recorded of every app."""
        lived = [c.cost.before for c in self.changes if c.action is not Action.CREATE]
        known = [cost for cost in lived if cost is not None]
        return self.others + sum(known) if len(known) == len(lived) else None

    @property
    def warm_after(self) -> float:
        return self.others + sum(c.cost.after or 0 for c in self.changes)


class Seen(Struct, frozen=True):
    """What was read for a plan. `details` and `records` hold only the apps that needed them.

    `secrets` and `volumes` are the names that there are; None where nobody asked, or Modal would
    not say.
    """

    live: Live
    index: Index | None
    details: Mapping[str, Details]
    records: Mapping[str, AppRecord]
    secrets: frozenset[str] | None = None
    volumes: frozenset[str] | None = None


def unsettled(
    live: Live,
    index: Index | None,
    desired: Sequence[Desired],
    *,
    all_apps: bool,
    thorough: bool = False,
) -> list[LiveApp]:
    """The live apps that the list and the index cannot speak for: their tags must be read.

    These are wanted apps that the index does not know, or knows at another version. With
    `all_apps`, those to delete are looked for too: at another version than the index has, and,
    without an index or where `thorough` asks for it, all there are.
    """
    names = {d.name for d in desired}
    return [
        app
        for app in live.apps.values()
        if (
            app.name in names
            or (all_apps and (thorough or index is None or app.name in index.apps))
        )
        and not _settled(app, index)
    ]


def changed_digests(live: Live, index: Index | None, desired: Sequence[Desired]) -> list[str]:
    """The apps whose earlier spec is worth reading, because something about them changes."""
    if index is None:
        return []
    return [
        d.name
        for d in desired
        if d.name in live.apps
        and (entry := index.apps.get(d.name)) is not None
        and (entry.digest != d.rendered.digest or entry.scaling != d.rendered.resolved.scaling)
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
    limits: Limits = NO_LIMITS,
    prices: str = "",
) -> Plan:
    """Compare. `whole_project` is true where `desired` is everything that the project has: only
    then an app without a spec is one to delete. `allow_unlocked` lets models of the Hub and of
    buckets be deployed whose content nothing pins; `retry` lets versions that failed be deployed
    again as they are."""
    changes = [
        _held_back(_change(d, seen, project, capabilities, retry), d, allow_unlocked)
        for d in desired
    ]
    if whole_project and project is not None:
        changes += _deletions({d.name for d in desired}, seen, project, prune)
    found = tuple(_refused_costs_nothing_new(change) for change in sorted(changes, key=_order))
    others = _others({change.name for change in found}, seen)
    return Plan(seen.live.environment, where, found, others, limits, prices)


def _refused_costs_nothing_new(change: Change) -> Change:
    """What apply leaves alone costs what it did."""
    if change.action not in REFUSED:
        return change
    return replace(change, cost=Cost(change.cost.before, change.cost.before))


def _others(looked_at: set[str], seen: Seen) -> float:
    """What the project's apps that are not part of this plan cost an hour, as recorded."""
    entries = seen.index.apps if seen.index else {}
    return sum(
        entries[app.name].usd_per_hour or 0
        for app in seen.live.apps.values()
        if app.name in entries and app.name not in looked_at and _settled(app, seen.index)
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


def _held_back(change: Change, desired: Desired, allow_unlocked: bool) -> Change:
    """A model that may be another one tomorrow is not deployed unless somebody says so."""
    if allow_unlocked or change.action not in DEPLOYS:
        return change
    why = tuple(
        f"{weights.source} is not pinned: run modelctl lock, or say --allow-unlocked"
        for weights in desired.rendered.resolved.sources
        if weights.kind not in ("local", "volume") and not _COMMIT.fullmatch(weights.revision or "")
    )
    return replace(change, action=Action.BLOCKED, reasons=why) if why else change


_COMMIT = re.compile(r"[0-9a-f]{40}")


def _change(
    desired: Desired, seen: Seen, project: str | None, capabilities: Capabilities, retry: bool
) -> Change:
    rendered, name = desired.rendered, desired.name
    app = seen.live.apps.get(name)
    if app is None:
        return _created(desired, capabilities)
    if whose := owner(app, seen, project):
        return Change(name, Action.FOREIGN, (whose,), version=app.version)

    entry = seen.index.apps.get(name) if seen.index else None
    if entry is not None and entry.app_id != app.app_id:
        entry = None
    known = _settled(app, seen.index)
    record, details = seen.records.get(name), seen.details.get(name)
    url = (details.url if details else None) or (entry.url if entry else None)
    same = Change(
        name,
        Action.UNCHANGED,
        cost=_cost(entry.usd_per_hour if entry else None, desired),
        version=app.version,
        url=url,
        scaling=rendered.resolved.scaling,
    )
    if entry is not None and not known:
        why = (
            f"v{app.version} lives, v{entry.version} was recorded: somebody deployed or rolled "
            "back by hand, or an apply did not finish"
        )
        return _deployed(same, rendered, (why,), capabilities)
    digest = entry.digest if entry else (details.tags.get(TAG_DIGEST) if details else None)
    scaling = entry.scaling if entry else (details.scaling if details else None)
    fields = _differences(record.fields, desired.fields) if record else ()
    if digest != rendered.digest:
        unsaid = "the app is rendered differently now" if record else "earlier spec unknown"
        return _deployed(
            replace(same, fields=fields), rendered, () if fields else (unsaid,), capabilities
        )
    if entry is not None and entry.condemned:
        if retry:
            return _deployed(same, rendered, ("failed before, tried again",), capabilities)
        why = f"v{app.version} failed: {entry.condemned}; change the spec, or --retry"
        return replace(same, action=Action.BLOCKED, reasons=(why,))
    if entry is not None and entry.protect != rendered.resolved.protect:
        fields = fields or (
            FieldChange("protect", entry.protect, rendered.resolved.protect),
            *_scaling_differences(scaling, rendered.resolved.scaling),
        )
    elif scaling == rendered.resolved.scaling:
        return same
    fields = fields or _scaling_differences(scaling, rendered.resolved.scaling)
    if _only_a_deploy_unsets(scaling, rendered.resolved.scaling):
        return _deployed(replace(same, fields=fields), rendered, (), capabilities)
    missing = _cannot_run(rendered, capabilities)
    if missing and rendered.resolved.scaling.min_containers:
        return replace(same, action=Action.BLOCKED, reasons=(missing,), fields=fields)
    return replace(same, action=Action.IN_PLACE, fields=fields)


def _created(desired: Desired, capabilities: Capabilities) -> Change:
    rendered = desired.rendered
    missing = _cannot_run(rendered, capabilities)
    cost = _cost(None, desired)
    if missing and rendered.resolved.scaling.min_containers:
        return Change(desired.name, Action.BLOCKED, (missing,), cost=cost)
    reasons = (_in_short(rendered), *((missing,) if missing else ()))
    return Change(desired.name, Action.CREATE, reasons, cost=cost)


def _cost(before: float | None, desired: Desired) -> Cost:
    return Cost(
        before, desired.usd_per_hour, desired.dearest_usd_per_hour, desired.usd_per_hour_at_max
    )


def _left(before: float | None, deleted: bool) -> Cost:
    """What is deleted costs nothing more; what only could be, goes on."""
    return Cost(before, 0.0 if deleted else before)


def _deployed(
    change: Change, rendered: Rendered, reasons: tuple[str, ...], capabilities: Capabilities
) -> Change:
    """A new version, unless this machine could not run the containers that it keeps warm."""
    missing = _cannot_run(rendered, capabilities)
    if missing and rendered.resolved.scaling.min_containers:
        return replace(change, action=Action.BLOCKED, reasons=(missing,))
    recreate = rendered.resolved.rollout.strategy == "recreate"
    return replace(
        change,
        action=Action.RECREATE if recreate else Action.REDEPLOY,
        reasons=reasons + ((missing,) if missing else ()),
    )


def _only_a_deploy_unsets(before: Scaling | None, after: Scaling) -> bool:
    """The autoscaler can be given a target or a window, but not told to forget it."""
    return before is not None and any(
        getattr(before, name) is not None and getattr(after, name) is None
        for name in ("target_concurrency", "scaleup_window")
    )


def owner(app: LiveApp, seen: Seen, project: str | None) -> str:
    """ "" where the app is this project's, else the sentence that says whose it is.

    The mark on the app decides wherever it was read; the index speaks for the rest.
    """
    details = seen.details.get(app.name)
    if details is None:
        entry = seen.index.apps.get(app.name) if seen.index else None
        if entry is not None and entry.app_id == app.app_id:
            return ""
        return "nobody knows whose this app is"
    mark = details.tags.get(TAG_PROJECT)
    if mark == project and TAG_DIGEST in details.tags:
        return ""
    if mark:
        return f"the project {mark} has an app of this name"
    if TAG_DIGEST in details.tags:
        return "an app of this name was deployed by modelctl without a project"
    by = f" by {app.deployed_by}" if app.deployed_by else ""
    return f"an app of this name was deployed{by} without modelctl"


def _deletions(wanted: set[str], seen: Seen, project: str, prune: bool) -> list[Change]:
    """Apps of this project that no spec has: those whose mark says so, or that the index knows at
    the very version that lives."""
    known = seen.index.apps if seen.index else {}
    found = []
    for app in seen.live.apps.values():
        details = seen.details.get(app.name)
        marked = details is not None and details.tags.get(TAG_PROJECT) == project
        ours = marked if details is not None else _settled(app, seen.index)
        if app.name in wanted or not ours:
            continue
        entry = known.get(app.name)
        protected = entry is not None and entry.protect
        reason = "not in specs" if prune else "not in specs (needs --prune)"
        reason = "not in specs, and protected" if protected else reason
        found.append(
            Change(
                app.name,
                Action.DELETE,
                (reason,),
                cost=_left(entry.usd_per_hour if entry else None, prune and not protected),
                version=app.version,
                protected=protected,
            )
        )
    return found


def _settled(app: LiveApp, index: Index | None) -> bool:
    entry = index.apps.get(app.name) if index else None
    return entry is not None and entry.app_id == app.app_id and entry.version == app.version


def _in_short(rendered: Rendered) -> str:
    """`H100 or L40S:2, 1 kept warm`: what a new app is, in a few words."""
    resolved = rendered.resolved
    where = " or ".join(resolved.placement.gpus) or "CPU"
    warm = resolved.scaling.min_containers
    return f"{where}, {f'{warm} kept warm' if warm else 'scale to zero'}"


def _cannot_run(rendered: Rendered, capabilities: Capabilities) -> str:
    command = rendered.resolved.command[0]
    if not capabilities.lacks(command):
        return ""
    return f"this machine cannot run it: there is no {command} here; put {command} on PATH" + (
        " or pip install 'modelctl[local]'" if command == "llama-server" else ""
    )


def _differences(before: Fields, after: Fields) -> tuple[FieldChange, ...]:
    paths = sorted(set(before) | set(after))
    return tuple(
        FieldChange(path, before.get(path), after.get(path))
        for path in paths
        if before.get(path) != after.get(path)
    )


_SCALING_FIELDS = {
    "min_containers": "keep_warm",
    "max_containers": "scaling.max",
    "buffer_containers": "scaling.buffer",
    "scaledown_window": "scaling.idle_timeout",
    "scaleup_window": "scaling.scaleup_window",
    "target_concurrency": "concurrency.target",
}


def _scaling_differences(before: Scaling | None, after: Scaling) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(_SCALING_FIELDS[name], getattr(before, name, None), getattr(after, name))
        for name in Scaling.__struct_fields__
        if getattr(before, name, None) != getattr(after, name)
    )
