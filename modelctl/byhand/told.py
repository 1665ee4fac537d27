"""What became of an app? Modal's history of its versions, and what was written down of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from modelctl.byhand.types import Refusal
from modelctl.byhand.versions import digest_of, of_this_life, origins
from modelctl.plan import FieldChange
from modelctl.plan.compare import differences
from modelctl.platform.types import Deployment
from modelctl.record import AppRecord, Event

_MADE = ("deployed", "rolled back", "restarted")


_ENDS = ("destroyed", "deleted", "found gone")
_STOPPED = "stopped past modelctl after this"


class Told(Struct, frozen=True):
    """One thing that happened. `at` is ISO 8601 in UTC, "" where nobody knows; `version` is None
    for what made none. `is_` is the version whose text it is, where that is an earlier one.
    `fields` are path, before, after."""

    at: str
    who: str
    commit: str
    did: str
    version: int | None
    result: str = "done"
    why: str = ""
    fields: tuple[tuple[str, Any, Any], ...] = ()
    is_: int | None = None
    lives: bool = False


def told(
    history: Sequence[Deployment], record: AppRecord | None, live: int | None
) -> tuple[Told, ...]:
    """The newest first. Modal knows of versions that nobody wrote down, the record of what made
    no version, and of apps of this name that are gone."""
    events = record.events if record else ()
    here = of_this_life(events, history) if history else ()
    origin = origins(history, here)
    left = list(events)
    rows = _stopped(events, lives=live is not None)
    for one in history:
        event = next((e for e in here if e.version == one.version and e.did in _MADE), None)
        if event is not None:
            left.remove(event)
        rows.append(_made(one, event, origin.get(one.version, one.version), live))
    rows += [_of(event) for event in left]
    return tuple(sorted(rows, key=lambda row: (row.at, row.version or 0), reverse=True))


def _stopped(events: Sequence[Event], *, lives: bool) -> list[Told]:
    """The ends that nobody wrote down: an app was created while one of its name had not ended, or
    lives no more. The time of the last that is known stands for when."""
    found = []
    ended = not lives
    for event in events:  # the newest first
        if ended and event.did not in _ENDS:
            found.append(Told(event.at, "-", "", _STOPPED, event.version))
        ended = event.did == "deployed" and event.version == 1
    return found


def _made(one: Deployment, event: Event | None, origin: int, live: int | None) -> Told:
    at = f"{one.at:%Y-%m-%dT%H:%M:%SZ}" if one.at is not None else ""
    again = origin if origin != one.version else None
    if event is not None:
        row = _of(event, again)
        return Told(
            max(row.at, at), row.who, row.commit, row.did, one.version, row.result, row.why,
            row.fields, again, one.version == live,
        )  # fmt: skip
    commit = f"{one.commit}{'+' if one.dirty else ''}"
    if one.rollback_of is not None:
        did = f"rolled back to v{one.rollback_of} past modelctl"
    else:
        ours = digest_of(one.version, {}, {one.version: one}) is not None
        did = "deployed" if ours else "deployed without modelctl"
    return Told(at, one.by, commit, did, one.version, is_=again, lives=one.version == live)


def _of(event: Event, again: int | None = None) -> Told:
    did = f"rolled back to v{again}" if event.did == "rolled back" and again else event.did
    return Told(
        event.at, event.who, event.commit, did, event.version, event.result, event.why,
        event.fields,
    )  # fmt: skip


def between(
    name: str, history: Sequence[Deployment], record: AppRecord, first: int, second: int
) -> tuple[FieldChange, ...]:
    """What the specs of two versions say differently. Raises Refusal where one is not recorded."""
    past = {one.version: one for one in history}
    origin = origins(history, of_this_life(record.events, history))
    known = {
        version: spoken.fields
        for version in past
        if (spoken := record.of(digest_of(version, origin, past) or "")) is not None
    }
    for version in (first, second):
        if version not in past:
            raise Refusal(f"{name} has no version v{version}")
        if version not in known:
            there = ", ".join(f"v{v}" for v in sorted(known, reverse=True))
            hint = f"those of {there} are" if there else ""
            raise Refusal(f"the spec of v{version} of {name} is not recorded any more", hint)
    return differences(known[first], known[second])
