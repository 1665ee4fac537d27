"""Which apps go first? Those of the first wave, then, when these are healthy, the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from modelctl.plan import Action, Change, Desired, Plan


class Wave(Struct, frozen=True):
    """`number` of `count`, from 1; `name` is its selector, "" for what no selector names."""

    number: int
    count: int
    name: str
    changes: tuple[Change, ...]


def in_waves(
    plan: Plan, wanted: Mapping[str, Desired], selectors: Sequence[str]
) -> tuple[Wave, ...]:
    """The changes that are not deletions, in the order of `selectors`; the rest comes last.

    An app is in the first wave that names it. Waves without an app are left out.
    """
    groups: dict[str, list[Change]] = {selector: [] for selector in (*selectors, "")}
    for change in plan.changes:
        if change.name in wanted and change.does is not Action.DELETE:
            groups[wave_of(wanted[change.name], selectors)].append(change)
    found = [(name, tuple(changes)) for name, changes in groups.items() if changes]
    return tuple(
        Wave(number, len(found), name, changes) for number, (name, changes) in enumerate(found, 1)
    )


def wave_of(desired: Desired, selectors: Sequence[str]) -> str:
    """`tier=canary` names those with that label, `canary` those whose spec says rollout.wave."""
    resolved = desired.rendered.resolved
    for selector in selectors:
        key, equals, value = selector.partition("=")
        label = resolved.labels.get(key.strip())
        if resolved.rollout.wave == selector or (equals and label == value.strip()):
            return selector
    return ""
