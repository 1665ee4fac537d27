"""What does a saved plan hold, and is it still the plan? Names, digests and versions; no code."""

from __future__ import annotations

import json
from collections.abc import Sequence

from msgspec import Struct, ValidationError, convert, to_builtins
from msgspec.structs import replace

from modelctl.plan import LEFT_ALONE, Action, Change, Desired, Plan, Seen
from modelctl.platform.types import Stale
from modelctl.resolved import Scaling

FORMAT = 1


class Chosen(Struct, frozen=True):
    """What the plan was asked for: which specs, where, and under which rules."""

    what: tuple[str, ...] = ()
    env: str | None = None
    local: bool = False
    labels: tuple[str, ...] = ()
    prune: bool = False
    retry: bool = False
    override_hold: bool = False
    allow_unlocked: bool = False
    refresh: bool = False


class Step(Struct, frozen=True):
    """One app of the plan: what is done to it, to which version of which app, and what it becomes.

    `digest` is None for what is deleted; `app_id` and `version` for what is created.
    """

    name: str
    action: Action
    does: Action
    digest: str | None
    app_id: str | None
    version: int | None
    scaling: Scaling | None

    @property
    def touches(self) -> bool:
        return self.does not in LEFT_ALONE


class Saved(Struct, frozen=True):
    project: str | None
    environment: str
    where: str
    chosen: Chosen
    steps: tuple[Step, ...]
    made_at: str
    made_by: str
    format: int = FORMAT


class NotAPlan(Exception):
    """The file is not what `plan -o` writes; the message says why."""


def save(
    plan: Plan,
    seen: Seen,
    desired: Sequence[Desired],
    chosen: Chosen,
    *,
    project: str | None,
    now: str,
    who: str,
) -> Saved:
    digests = {d.name: d.rendered.digest for d in desired}
    steps = tuple(_step(change, digests.get(change.name), seen) for change in plan.changes)
    return Saved(project, plan.environment, plan.where, chosen, steps, now, who)


def _step(change: Change, digest: str | None, seen: Seen) -> Step:
    app = seen.live.apps.get(change.name)
    return Step(
        change.name,
        change.action,
        change.does,
        digest,
        app.app_id if app else None,
        app.version if app else None,
        change.scaling,
    )


def encode(saved: Saved) -> str:
    return json.dumps(to_builtins(saved), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def decode(content: bytes) -> Saved:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise NotAPlan("it is not JSON") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT or "steps" not in data:
        raise NotAPlan("it is not a plan, or one of another modelctl")
    try:
        return convert(data, Saved)
    except ValidationError as error:
        raise NotAPlan(str(error)) from error


def still_wanted(saved: Saved, desired: Sequence[Desired]) -> None:
    """Raises Stale where the specs, or modelctl, would make another app than was planned."""
    digests = {d.name: d.rendered.digest for d in desired}
    steps = {step.name: step.digest for step in saved.steps if step.digest is not None}
    moved = sorted(n for n in {*digests, *steps} if digests.get(n) != steps.get(n))
    scaled = {d.name: d.rendered.resolved.scaling for d in desired}
    moved += [
        step.name
        for step in saved.steps
        if step.touches
        and step.name not in moved
        and step.does is not Action.DELETE
        and step.scaling != scaled.get(step.name)
        and not _kept_by_hand(step)
    ]
    if moved:
        raise Stale(
            f"the specs are not those that the plan was made of: {', '.join(moved)}",
            "nothing was changed; plan again, or apply from the commit of the plan",
        )


def _kept_by_hand(step: Step) -> bool:
    """Its scaling is what a person holds, which is looked at with what lives."""
    return step.does in {Action.REDEPLOY, Action.RECREATE}


def still_true(saved: Saved, plan: Plan, seen: Seen) -> Plan:
    """The plan as it is now, of the apps that the saved one touches and no others.

    Raises Stale where one of these has moved since, and only then.
    """
    now = {change.name: change for change in plan.changes}
    moved = []
    for step in saved.steps:
        if not step.touches:
            continue
        change = now.get(step.name)
        if change is None or _step(change, step.digest, seen) != step:
            moved.append(step.name)
    if moved:
        raise Stale(
            f"what lives is not what the plan was made for: {', '.join(moved)}",
            f"nothing was changed; the plan is of {saved.made_at}: plan again",
        )
    touched = {step.name for step in saved.steps if step.touches}
    return replace(plan, changes=tuple(c for c in plan.changes if c.name in touched))
