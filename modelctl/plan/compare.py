"""What has to change about one app, and why?"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from modelctl.plan.drift import SCALING_FIELDS, Lives, drifted, lives, scaling_differences
from modelctl.plan.holding import active, words
from modelctl.plan.impact import of_deployment, to_fetch
from modelctl.plan.looking import entry_of, owner, settled
from modelctl.plan.types import (
    DEPLOYS,
    Action,
    Change,
    Cost,
    Desired,
    FieldChange,
    Seen,
)
from modelctl.platform.types import Capabilities, Details, LiveApp
from modelctl.record import OF_LOCK, Entry, Fields, Hold
from modelctl.rendered import Rendered
from modelctl.resolved import Scaling


class Asked(Struct, frozen=True):
    """Under which rules is compared. `retry` deploys what failed as it is, `override_hold` what a
    person keeps back."""

    project: str | None
    capabilities: Capabilities
    retry: bool = False
    override_hold: bool = False


def change_of(desired: Desired, seen: Seen, asked: Asked) -> Change:
    app = seen.live.apps.get(desired.name)
    recorded = seen.index.apps.get(desired.name) if seen.index else None
    hold = None if asked.override_hold else active(recorded, seen.now)
    if app is None:
        return _absent(desired, recorded, hold, asked)
    if whose := owner(app, seen, asked.project):
        return Change(app.name, Action.FOREIGN, (whose,), version=app.version)
    entry = entry_of(app, seen.index)
    if entry is None:
        hold = None
    change = _Compared(desired, app, entry, seen, asked, hold).change()
    return _kept(change, hold) if hold is not None else change


class _Compared(Struct, frozen=True):
    """One app of ours that lives."""

    desired: Desired
    app: LiveApp
    entry: Entry | None
    seen: Seen
    asked: Asked
    hold: Hold | None

    @property
    def rendered(self) -> Rendered:
        return self.desired.rendered

    @property
    def details(self) -> Details | None:
        return self.seen.details.get(self.app.name)

    @property
    def scaling(self) -> Scaling:
        """What it should be scaled to: what a person set, while that is kept."""
        return self._scaling_held or self.rendered.resolved.scaling

    @property
    def _scaling_held(self) -> Scaling | None:
        held = self.hold is not None and self.hold.keeps == "scaling"
        return self.entry.scaling if held and self.entry is not None else None

    @property
    def same(self) -> Change:
        entry, details = self.entry, self.details
        return Change(
            self.app.name,
            Action.UNCHANGED,
            cost=cost_of(entry.usd_per_hour if entry else None, self.desired),
            version=self.app.version,
            url=(details.url if details else None) or (entry.url if entry else None),
            scaling=self.scaling,
        )

    def change(self) -> Change:
        found, digest = lives(self.app, self.seen), self.rendered.digest
        entry = self.entry
        if entry and entry.condemned and entry.condemned.digest == digest:
            if not self.asked.retry:
                return self._blocked(entry)
            # What lives would not be started again by the same version beside it.
            same = found.digest == digest
            return self._deployed(("failed before, tried again",), recreate=same)
        if found.digest == digest:
            change = self._same_version(found)
            return _as_drift(change) if found.by_hand else change
        if found.by_hand:
            return _as_drift(self._deployed((f"{found.why}; apply deploys it as the spec says",)))
        if found.why:
            return self._deployed((found.why,))
        record = self.seen.records.get(self.app.name)
        known = record.fields if record else None
        fields = self._said_otherwise(known) if known is not None else ()
        unsaid = "the app is rendered differently now" if known else "earlier spec unknown"
        return self._deployed(() if fields else (unsaid,), fields)

    def _said_otherwise(self, known: Fields) -> tuple[FieldChange, ...]:
        """What differs from the spec of before. A spec is silent about a default, which is a value
        all the same: what is scaled to is compared by what it was and will be."""
        fields = differences(known, self.desired.fields)
        if self.entry is None:
            return fields
        rest = [field for field in fields if field.path not in SCALING_FIELDS.values()]
        scaled = scaling_differences(self.entry.scaling, self.scaling)
        return tuple(sorted([*rest, *scaled], key=lambda field: field.path))

    def _blocked(self, entry: Entry) -> Change:
        condemned = entry.condemned
        assert condemned is not None
        serves = ""
        if entry.digest != condemned.digest:
            serves = f", v{self.app.version} serves"
            serves += f" (v{entry.again} again)" if entry.again else ""
        why = f"v{condemned.version} failed: {condemned.why}{serves}; change the spec, or --retry"
        return replace(self.same, action=Action.BLOCKED, reasons=(why,))

    def _same_version(self, found: Lives) -> Change:
        """Its digest is the wanted one: what is left are its scaling, its tags, and whether it was
        ever seen to work."""
        same, entry, details = self.same, self.entry, self.details
        reasons: tuple[str, ...] = ()
        if found.why:
            reasons = (f"{found.why}; its gate is passed through again",)
        elif entry is not None and entry.unproven:
            reasons = (f"{entry.unproven}; tried again",)
        live = details.scaling if details else None
        recorded = entry.scaling if entry else live
        if entry is not None and live is not None and not reasons and live != entry.scaling:
            return self._scaled_by_hand(live)
        fields = scaling_differences(recorded, self.scaling)
        if entry is not None and entry.protect != self.rendered.resolved.protect:
            said = FieldChange("protect", entry.protect, self.rendered.resolved.protect)
            fields = (said, *fields)
        if self._retagged():
            tagged = ("its tags were changed by hand: apply sets them again",)
            change = replace(same, action=Action.IN_PLACE, reasons=tagged, retags=True)
            return _as_drift(replace(change, fields=fields))
        if not fields and not reasons:
            return same
        return self._in_place(reasons, fields, recorded)

    def _scaled_by_hand(self, live: Scaling) -> Change:
        fields = scaling_differences(live, self.scaling)
        if not fields:  # somebody set by hand what the spec says now
            return self.same
        wanted = "held" if self._scaling_held is not None else "spec"
        return _as_drift(self._in_place(drifted(fields, wanted), fields, live))

    def _in_place(
        self, reasons: tuple[str, ...], fields: tuple[FieldChange, ...], before: Scaling | None
    ) -> Change:
        if _only_a_deploy_unsets(before, self.scaling):
            return self._deployed(reasons, fields)
        change = replace(self.same, fields=fields, reasons=reasons, verify=bool(reasons))
        missing = cannot_run(self.rendered, self.asked.capabilities)
        if missing and self.scaling.min_containers:
            return replace(change, action=Action.BLOCKED, reasons=(missing,), verify=False)
        impact = () if reasons else ("no new version, containers stay",)
        return replace(change, action=Action.IN_PLACE, impact=impact)

    def _retagged(self) -> bool:
        """Only what the index knows was tagged by modelctl, with what is rendered now."""
        details = self.details
        return (
            details is not None
            and settled(self.app, self.seen.index)
            and dict(details.tags) != dict(self.rendered.tags)
        )

    def _deployed(
        self,
        reasons: tuple[str, ...],
        fields: tuple[FieldChange, ...] = (),
        *,
        recreate: bool = False,
    ) -> Change:
        """A new version, unless this machine could not run the containers that it keeps warm."""
        change = replace(self.same, fields=fields)
        missing = cannot_run(self.rendered, self.asked.capabilities)
        if missing and self.scaling.min_containers:
            return replace(change, action=Action.BLOCKED, reasons=(missing,))
        resolved = self.rendered.resolved
        recreate = recreate or resolved.rollout.strategy == "recreate"
        return replace(
            change,
            action=Action.RECREATE if recreate else Action.REDEPLOY,
            reasons=reasons + ((missing,) if missing else ()),
            impact=of_deployment(resolved, self.scaling, self.entry, fields),
        )


def _absent(desired: Desired, recorded: Entry | None, hold: Hold | None, asked: Asked) -> Change:
    """It does not live: it never did, or somebody stopped it."""
    change = _created(desired, asked.capabilities)
    if recorded is None or change.action is Action.BLOCKED:
        return change
    stopped = f"v{recorded.version} was stopped past modelctl"
    if hold is not None and hold.keeps == "version":
        return replace(change, action=Action.HELD, reasons=(words(hold), stopped), hold=hold)
    condemned = recorded.condemned
    if condemned and condemned.digest == desired.rendered.digest and not asked.retry:
        why = f"v{condemned.version} failed: {condemned.why}; change the spec, or --retry"
        return replace(change, action=Action.BLOCKED, reasons=(why,))
    return _as_drift(replace(change, reasons=(f"{stopped}; apply creates it again",)))


def _created(desired: Desired, capabilities: Capabilities) -> Change:
    rendered = desired.rendered
    missing = cannot_run(rendered, capabilities)
    cost = cost_of(None, desired)
    if missing and rendered.resolved.scaling.min_containers:
        return Change(desired.name, Action.BLOCKED, (missing,), cost=cost)
    reasons = (_in_short(rendered), *((missing,) if missing else ()))
    impact = to_fetch(rendered.resolved, None)
    return Change(
        desired.name,
        Action.CREATE,
        reasons,
        cost=cost,
        scaling=rendered.resolved.scaling,
        impact=impact,
    )


def _as_drift(change: Change) -> Change:
    """What apply refuses to do stays refused."""
    if change.action is Action.BLOCKED:
        return change
    return replace(change, action=Action.DRIFT, drifted_to=change.action)


def _kept(change: Change, hold: Hold) -> Change:
    """What a person keeps is said in every plan, whatever else there is to do."""
    if hold.keeps == "version":
        waits = change.does in {*DEPLOYS, Action.IN_PLACE}
        more = ("the spec has changed since",) if waits and change.fields else ()
        return replace(
            change,
            action=Action.HELD,
            drifted_to=None,
            verify=False,
            reasons=(words(hold), *more),
            fields=(),
            impact=(),
            hold=hold,
        )
    if change.action is Action.UNCHANGED:
        return replace(change, action=Action.HELD, reasons=(words(hold),), hold=hold)
    kept = (*change.reasons, f"scaling kept: {words(hold)}")
    before = change.cost.before
    cost = replace(change.cost, after=before, dearest=None) if before is not None else change.cost
    return replace(change, reasons=kept, cost=cost, hold=hold)


def cost_of(before: float | None, desired: Desired) -> Cost:
    return Cost(
        before, desired.usd_per_hour, desired.dearest_usd_per_hour, desired.usd_per_hour_at_max
    )


def _only_a_deploy_unsets(before: Scaling | None, after: Scaling) -> bool:
    """The autoscaler can be given a target or a window, but not told to forget it."""
    return before is not None and any(
        getattr(before, name) is not None and getattr(after, name) is None
        for name in ("target_concurrency", "scaleup_window")
    )


def _in_short(rendered: Rendered) -> str:
    """`H100 or L40S:2, 1 kept warm`: what a new app is, in a few words."""
    resolved = rendered.resolved
    where = " or ".join(resolved.placement.gpus) or "CPU"
    warm = resolved.scaling.min_containers
    return f"{where}, {f'{warm} kept warm' if warm else 'scale to zero'}"


def cannot_run(rendered: Rendered, capabilities: Capabilities) -> str:
    command = rendered.resolved.command[0]
    if not capabilities.lacks(command):
        return ""
    return f"this machine cannot run it: there is no {command} here; put {command} on PATH" + (
        " or pip install 'modelctl[local]'" if command == "llama-server" else ""
    )


def differences(before: Fields, after: Fields) -> tuple[FieldChange, ...]:
    paths = sorted(set(before) | set(after))
    return tuple(
        FieldChange(path, before.get(path), after.get(path))
        for path in paths
        if before.get(path) != after.get(path)
        # What a record is silent about was not unset: it was not written down then.
        and (not path.endswith(OF_LOCK) or (path in before and path in after))
    )
