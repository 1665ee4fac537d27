"""How is an app scaled past its spec, and is that something that Modal takes?"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from modelctl.byhand.types import Refusal
from modelctl.plan import FieldChange
from modelctl.plan.drift import scaling_differences
from modelctl.resolved import Scaling

_IDLE = (2, 3600)
"""Seconds that app.server of modal 1.6.4 takes."""


class Wish(Struct, frozen=True):
    """What is to be another; None stays as it is. Copies of the model, requests, seconds."""

    keep_warm: int | None = None
    most: int | None = None
    buffer: int | None = None
    target: float | None = None
    idle: float | None = None


def scaled(now: Scaling, wish: Wish, nodes: int = 1) -> Scaling:
    """Modal counts containers, a person copies of the model, each on so many hosts."""
    given = {
        "min_containers": None if wish.keep_warm is None else wish.keep_warm * nodes,
        "max_containers": None if wish.most is None else wish.most * nodes,
        "buffer_containers": None if wish.buffer is None else wish.buffer * nodes,
        "target_concurrency": wish.target,
        "scaledown_window": None if wish.idle is None else round(wish.idle),
    }
    found = replace(now, **{name: value for name, value in given.items() if value is not None})
    warm, most = found.min_containers // nodes, (found.max_containers or 0) // nodes
    if most and warm > most:
        way = f"say --max {warm} too" if wish.most is None else "say a larger --max"
        raise Refusal(f"keep_warm {warm} is more than max {most}", way)
    if wish.idle is not None and not _IDLE[0] <= found.scaledown_window <= _IDLE[1]:
        raise Refusal(f"an idle time of {found.scaledown_window} s: Modal takes 2 s to 1 h")
    return found


def differences(before: Scaling, after: Scaling) -> tuple[FieldChange, ...]:
    return tuple(
        FieldChange(change.path, _whole(change.before), _whole(change.after))
        for change in scaling_differences(before, after)
    )


def _whole(value: object) -> object:
    """A target as it was typed: 999, not 999.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def held(recorded: Scaling, now: Scaling, after: Scaling) -> tuple[FieldChange, ...]:
    """What the hold speaks of: this change, and what somebody set past modelctl since the last."""
    since = {change.path: change for change in differences(recorded, after)}
    return tuple(({change.path: change for change in differences(now, after)} | since).values())


def did(changes: tuple[FieldChange, ...]) -> str:
    """`scaled to keep_warm 5, max 8`."""
    return "scaled to " + ", ".join(
        f"{change.path.removeprefix('scaling.').removeprefix('concurrency.')} "
        f"{'none' if change.after is None else change.after}"
        for change in changes
    )
