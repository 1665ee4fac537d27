"""Which version is gone back to? The last good one before this, or the one that was asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from modelctl.byhand.types import Found, Refusal
from modelctl.platform.types import Deployment
from modelctl.record import Event

_DIGEST = re.compile(r"[0-9a-f]{32}")
_VERSION = re.compile(r"v?([1-9][0-9]{0,8})")
_NAMED = 10
_CLOCKS = timedelta(minutes=5)
"""How far the clock that wrote the record may be behind Modal's."""


class Back(Struct, frozen=True):
    """A version to go back to: its number, its digest (None: not deployed by modelctl), and the
    commit that its spec was of."""

    version: int
    digest: str | None
    commit: str


def number(text: str | None) -> int | None:
    """`v6` and `6` are 6; raises Refusal for what is no version."""
    if text is None:
        return None
    if (match := _VERSION.fullmatch(text)) is None:
        raise Refusal(f"{text} is no version", "versions are v1, v2 and so on: modelctl history")
    return int(match[1])


def chosen(found: Found, wanted: int | None, *, force: bool = False) -> Back:
    """Raises Refusal where there is none to go back to, or not this one."""
    name, live = found.app.name, found.app.version
    past = {one.version: one for one in found.history}
    events = of_this_life(found.record.events, found.history)
    origin = origins(found.history, events)
    failed = _failed(found, events)
    here = digest_of(live, origin, past) or found.entry.digest
    if wanted is None:
        left, passed = _left(origin, past), []
        for version in sorted(past, reverse=True):
            digest = digest_of(version, origin, past)
            known = digest not in (None, here) and origin[version] in past
            if version >= live or not known or _bad(origin[version], digest, failed):
                continue
            if digest not in left:
                return _back(origin[version], digest, past, events)
            passed.append(f"v{origin[version]}")
        if passed:
            raise Refusal(
                f"each good version of {name} before v{live} was left by a roll-back",
                f"say which one: {', '.join(dict.fromkeys(passed))}",
            )
        raise Refusal(
            f"no good version of {name} is known before v{live}",
            f"modelctl history {name} shows what there is; say which one",
        )
    if wanted not in past:
        there = ", ".join(f"v{v}" for v in sorted(past, reverse=True)[:_NAMED])
        raise Refusal(f"{name} has no version v{wanted}", f"it has {there}")
    digest = digest_of(wanted, origin, past)
    if wanted == live or origin[wanted] == origin[live] or (digest and digest == here):
        as_ = "" if wanted == live else f", as v{live}"
        raise Refusal(f"v{wanted} of {name} lives already{as_}")
    why = _bad(origin[wanted], digest, failed)
    if why and not force:
        raise Refusal(f"v{wanted} of {name} failed: {why}", "say --force to go back to it")
    return _back(origin[wanted], digest, past, events)


def of_this_life(events: Sequence[Event], history: Sequence[Deployment]) -> tuple[Event, ...]:
    """The events since the app was created: an earlier one of its name had versions of its own."""
    ages = [one.at for one in history if one.at is not None]
    born = min(ages) - _CLOCKS if ages else None
    kept: list[Event] = []
    for event in events:
        if event.did in ("destroyed", "deleted") or (born and _time(event.at) < born):
            break
        kept.append(event)
    return tuple(kept)


def origins(history: Sequence[Deployment], events: Sequence[Event]) -> Mapping[int, int]:
    """Version → the one that its text was deployed as: itself, unless it came back or was
    restarted."""
    restarted = {event.version for event in events if event.did == "restarted"}
    found: dict[int, int] = {}
    for one in sorted(history, key=lambda one: one.version):
        before = one.rollback_of
        if before is None and one.version in restarted:
            before = one.version - 1
        found[one.version] = one.version if before is None else found.get(before, before)
    return found


def digest_of(
    version: int, origin: Mapping[int, int], past: Mapping[int, Deployment]
) -> str | None:
    """None where modelctl did not deploy it."""
    one = past.get(origin.get(version, version))
    return one.tag if one is not None and _DIGEST.fullmatch(one.tag) else None


def _left(origin: Mapping[int, int], past: Mapping[int, Deployment]) -> frozenset[str]:
    """The digests that a roll-back left and nothing brought back since: deploying or naming one
    again takes that back."""
    found: set[str] = set()
    for version in sorted(past):
        if past[version].rollback_of is not None:
            found.add(digest_of(version - 1, origin, past) or "")
        if version == origin[version] or past[version].rollback_of is not None:
            found.discard(digest_of(version, origin, past) or "")
    return frozenset(found)


class _Failed(Struct, frozen=True):
    versions: Mapping[int, str]
    digests: Mapping[str, str]


def _failed(found: Found, events: Sequence[Event]) -> _Failed:
    """What never passed its gate, and why; what did since then is none of it."""
    entry = found.entry
    digests = {entry.condemned.digest: entry.condemned.why} if entry.condemned else {}
    if entry.unproven:
        digests[entry.digest] = entry.unproven
    good = entry.good[0] if entry.good else None
    versions = {
        event.version: event.why
        for event in events
        if event.result == "failed" and event.version is not None and event.version != good
    }
    return _Failed(versions, digests)


def _bad(version: int, digest: str | None, failed: _Failed) -> str:
    """Why it failed, "" where it did not."""
    return failed.versions.get(version) or failed.digests.get(digest or "", "")


def _back(
    version: int, digest: str | None, past: Mapping[int, Deployment], events: Sequence[Event]
) -> Back:
    said = next((e.commit for e in events if e.did == "deployed" and e.version == version), None)
    one = past.get(version)
    if said is None:
        said = f"{one.commit}{'+' if one.dirty else ''}" if one is not None else ""
    return Back(version, digest, said)


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:  # of no clock that we know
        return datetime.max.replace(tzinfo=UTC)
