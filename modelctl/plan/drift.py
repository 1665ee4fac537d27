"""What was done to an app past modelctl, or left half done? Modal's own history tells."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import fields

from modelctl.plan.looking import entry_of
from modelctl.plan.types import FieldChange, Seen
from modelctl.platform.types import Deployment, LiveApp
from modelctl.rendered import TAG_DIGEST
from modelctl.resolved import Scaling

_DIGEST = re.compile(r"[0-9a-f]{32}")

SCALING_FIELDS = {
    "min_containers": "keep_warm",
    "max_containers": "scaling.max",
    "buffer_containers": "scaling.buffer",
    "scaledown_window": "scaling.idle_timeout",
    "scaleup_window": "scaling.scaleup_window",
    "target_concurrency": "concurrency.target",
}
"""What the autoscaler changes in place → the spec's word for it."""


class Lives(Struct, frozen=True):
    """What lives: its digest, None where nobody can know, and the sentence that says how it came
    to be where modelctl did not record it. `by_hand`: not by modelctl."""

    digest: str | None
    why: str = ""
    by_hand: bool = False


def lives(app: LiveApp, seen: Seen) -> Lives:
    """The digest tag of an app is believed last: a roll-back may leave it as it was."""
    entry = entry_of(app, seen.index)
    if entry is not None and entry.version == app.version:
        return Lives(entry.digest)
    past = seen.histories.get(app.name, ())
    latest = next((one for one in past if one.version == app.version), None)
    before = f", v{entry.version} was recorded" if entry else ""
    if latest is None:
        details = seen.details.get(app.name)
        digest = details.tags.get(TAG_DIGEST) if details else None
        if entry is None:
            return Lives(digest)
        return Lives(None, f"v{app.version} lives{before}: deployed by hand, or not to the end")
    who = f" by {latest.by}" if latest.by else ""
    if latest.rollback_of is not None:
        to = next((one for one in past if one.version == latest.rollback_of), None)
        if entry is None:
            return Lives(_digest(to))
        why = f"rolled back{who} to v{latest.rollback_of} past modelctl"
        return Lives(_digest(to), f"{why} (v{app.version} lives{before})", by_hand=True)
    digest = _digest(latest)
    if digest is None:
        of = f" at {latest.commit}" if latest.commit else ""
        why = f"v{app.version} was deployed{who}{of} without modelctl{before}"
        return Lives(None, why, by_hand=entry is not None)
    if entry is None:
        return Lives(digest)
    return Lives(digest, f"v{app.version} lives{before}: an apply did not finish")


def _digest(deployment: Deployment | None) -> str | None:
    return deployment.tag if deployment and _DIGEST.fullmatch(deployment.tag) else None


def scaling_differences(before: Scaling | None, after: Scaling) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(SCALING_FIELDS[f.name], _spoken(f.name, before), _spoken(f.name, after))
        for f in fields(Scaling)
        if getattr(before, f.name, None) != getattr(after, f.name)
    )


def _spoken(name: str, scaling: Scaling | None) -> object:
    """As a spec says it: 300 seconds are `5m`."""
    value = getattr(scaling, name, None)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or not name.endswith("_window"):
        return value
    return f"{value // 60}m" if value % 60 == 0 else f"{value}s"


def drifted(changes: Sequence[FieldChange], wanted: str = "spec") -> tuple[str, ...]:
    """`live scaling.max 12, spec 4: apply sets 4`. `wanted` is who says what it should be: what a
    person set is `held`."""
    return tuple(
        f"live {c.path} {_said(c.before)}, {wanted} {_said(c.after)}: apply "
        + ("takes it away" if c.after is None else f"sets {c.after}")
        for c in changes
    )


def _said(value: object) -> str:
    return "none" if value is None else str(value)
