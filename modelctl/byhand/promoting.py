"""Is what lives in one environment proven, and what the next one asks for?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from modelctl.plan import Action, Change, Desired
from modelctl.plan.holding import words
from modelctl.record import Entry
from modelctl.resolved import Resolved


def doubts(
    here: Desired, there: Desired, change: Change, entry: Entry | None, env: str, to: str
) -> tuple[str, ...]:
    """Why it cannot be promoted from `env`, where it is `here`, to `to`; () where it can.

    `change` is what apply would do to it in `env`.
    """
    return (
        *_unlike_its_spec(change, entry, env),
        *_unproven(here, change, entry, env),
        *_other_parts(here.rendered.resolved, there.rendered.resolved, env, to),
    )


def _unlike_its_spec(change: Change, entry: Entry | None, env: str) -> Iterator[str]:
    """What only its scaling keeps from its spec is the same version."""
    name = change.name
    first = f"modelctl apply {name} --env {env} first"
    if change.version is None:
        yield f"{name} does not live in {env}: {first}"
    elif change.hold is not None and change.hold.keeps == "version":
        yield f"{name} is held in {env}, {words(change.hold)}: release and apply it there first"
    elif change.action in (Action.BLOCKED, Action.FOREIGN):
        yield f"{name} is {change.action} in {env}: {'; '.join(change.reasons)}"
    elif change.verify and entry is not None and entry.unproven:
        return  # of the right version it is said that it was never good
    elif change.action not in (Action.UNCHANGED, Action.HELD):
        fields = ", ".join(f.path for f in change.fields)
        why = "; ".join(filter(None, (*change.reasons, fields)))
        yield f"{name} in {env} is not what its spec says now ({why}): {first}"
    elif entry is None:
        yield f"nobody wrote down how {name} came to live in {env}: {first}"


def _unproven(here: Desired, change: Change, entry: Entry | None, env: str) -> Iterator[str]:
    if entry is None or change.version is None or entry.digest != here.rendered.digest:
        return
    if entry.unproven:
        yield f"v{entry.version} of {here.name} in {env} was never good: {entry.unproven}"
    elif entry.good is None or entry.good[1] != entry.digest:
        yield f"v{entry.version} of {here.name} in {env} never passed its gate"


def _other_parts(here: Resolved, there: Resolved, env: str, to: str) -> Iterator[str]:
    """Overlays may ask for other GPUs and numbers, not for another model or engine."""
    name = here.name
    if (first := _engine(here)) != (second := _engine(there)):
        yield f"{name} runs {first} in {env} and {second} in {to}"
    elif here.image != there.image:
        yield f"the image of {name} in {to} is another one than in {env}"
    before, after = _reads(here), _reads(there)
    for first, second in zip_longest(before, after, fillvalue="nothing"):
        if first != second:
            yield f"{name} reads {first} in {env} and {second} in {to}"


def _engine(resolved: Resolved) -> str:
    return f"{resolved.server} {resolved.engine_version}"


def _reads(resolved: Resolved) -> tuple[str, ...]:
    """`hf://org/model at b968826d9c46`, a local model by its content."""
    said = (
        (weights.source, weights.revision or (weights.upload.prefix if weights.upload else ""))
        for weights in resolved.sources
    )
    return tuple(f"{s} at {r.strip('/')[:12]}" if r else s for s, r in said)
