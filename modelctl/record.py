"""What do we remember of an app beside Modal's truth? A small record each, and an index of all.

Both live in the Volume `modelctl-<project>` of the environment. It is a memory, not a state: if it
is lost or cannot be understood, plan says "earlier spec unknown" and goes on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct, ValidationError, convert, to_builtins
from msgspec.structs import replace

from modelctl.resolved import Scaling

FORMAT = 1
INDEX = "index.json"

Fields = Mapping[str, object]
"""What a spec says, flat: `{"backend.version": "0.32.0", "gpu[0].type": "H100"}`."""


Weights = tuple[tuple[int, tuple[str, ...]], ...]
"""Versions with the folders that they read, in order: `((3, ("/org/repo/commit/",)),)`."""

VERSIONS = 20
"""Of how many versions of an app the weights are kept."""

EVENTS = 100
"""How many events of an app are kept."""

SPOKEN = 5
"""Of how many digests of an app the spec and the text are kept, the latest first."""


class Files(Protocol):
    """Where the record is kept: the part of the platform that reads and writes small files."""

    async def read(self, volume: str, path: str) -> bytes | None: ...

    async def write(self, volume: str, files: Mapping[str, bytes]) -> None: ...

    async def listed(self, volume: str, folder: str) -> Mapping[str, int]: ...


class Hold(Struct, frozen=True):
    """What a person did by hand, and apply leaves as it is.

    `keeps` says what: the version, so that nothing is deployed, or the scaling alone. `did` is what
    was done ("rolled back to v6"). Times are ISO 8601 in UTC; `until` is None for "until released".
    """

    keeps: Literal["version", "scaling"]
    who: str
    why: str
    at: str
    until: str | None
    did: str


class Condemned(Struct, frozen=True):
    """A digest that failed its gate, as which version and why: not deployed again as it is."""

    digest: str
    version: int
    why: str


class Event(Struct, frozen=True):
    """Something that was done to an app, or tried. `did` is a verb for people: "deployed".

    `why` is why it ended as it did, or what a person gave as the reason. `fields` are what changed
    in the spec: path, before, after. `commit` is of the specs, with `+` where not all of it was
    committed.
    """

    at: str
    who: str
    commit: str
    did: str
    version: int | None = None
    result: str = "done"
    why: str = ""
    fields: tuple[tuple[str, Any, Any], ...] = ()


OF_LOCK = " (modelctl.lock)"
"""How a field ends whose value the spec leaves to the lock; older records have none."""


class Spoken(Struct, frozen=True):
    """What was deployed under a digest: the spec in its own words, the text, the App's tags."""

    digest: str
    fields: Fields
    text: str
    tags: Mapping[str, str]


class Entry(Struct, frozen=True):
    """What the index holds of one app: enough to see that nothing has to be done.

    `version` is the one that this digest was deployed as: a digest is believed only while the live
    version is still that one. `again` is the version whose digest it is, where it came back by a
    roll-back. `condemned` is the digest that failed last. `unproven` is why what lives has not
    passed its gate, "" where it has: the next apply looks again. `good` is the last version that
    passed, with its digest. `protect` holds although the spec is gone. `weights` are the folders of
    the weights' Volume that the versions since the app's creation read, by version: what a
    roll-back may need. None where that was not written down yet. `lost`: the record was, and with
    it whether the app is protected or held; nobody deletes it for want of a spec.
    """

    app_id: str
    version: int
    digest: str
    scaling: Scaling
    url: str | None = None
    condemned: Condemned | None = None
    protect: bool = False
    usd_per_hour: float | None = None
    weights: Weights | None = None
    unproven: str = ""
    good: tuple[int, str] | None = None
    again: int | None = None
    hold: Hold | None = None
    commit: str = ""
    lost: bool = False


class Index(Struct, frozen=True):
    """`rebuilt`: it was lost or torn, and is read from the apps' own records."""

    apps: Mapping[str, Entry]
    rebuilt: bool = False


class AppRecord(Struct, frozen=True):
    """All that is remembered of one app: read only when something about it changes.

    `spoken` and `events` begin with the latest. What lives is the one with the entry's digest.
    """

    entry: Entry
    spoken: tuple[Spoken, ...] = ()
    events: tuple[Event, ...] = ()

    def of(self, digest: str) -> Spoken | None:
        return next((one for one in self.spoken if one.digest == digest), None)

    @property
    def fields(self) -> Fields | None:
        """What lives, in its spec's words; None where that was not written down."""
        lives = self.of(self.entry.digest)
        return lives.fields if lives else None

    def after(self, entry: Entry, spoken: Spoken | None, *events: Event) -> AppRecord:
        """The same with what happened since."""
        kept = [one for one in self.spoken if spoken is None or one.digest != spoken.digest]
        # What lives and what was good is never pushed out by what was tried since.
        needed = {entry.digest, entry.good[1] if entry.good else ""}
        first = [spoken] if spoken is not None else []
        room = SPOKEN - len(first) - sum(one.digest in needed for one in kept)
        found = []
        for one in kept:
            if one.digest in needed or room > 0:
                found.append(one)
                room -= one.digest not in needed
        return AppRecord(entry, (*first, *found), (*reversed(events), *self.events)[:EVENTS])


def volume_of(project: str | None) -> str:
    """One Volume a project; without a name, one that no project's name can be."""
    return f"modelctl-{project}" if project else "modelctl.default"


def path_of(name: str) -> str:
    return f"apps/{name}.json"


def encode_index(index: Index) -> bytes:
    """It is written again with each few apps, so a large fleet's must cost little."""
    written = msgspec.json.encode({"format": FORMAT, "apps": dict(index.apps)}, order="sorted")
    return msgspec.json.format(written, indent=1)


def decode_index(content: bytes | None) -> Index | None:
    """None where there is none, or where it cannot be understood (a later format, a torn file)."""
    data = _parse(content)
    if data is None:
        return None
    try:
        return Index({name: _entry(value) for name, value in data["apps"].items()})
    except (KeyError, TypeError, AttributeError, ValidationError):
        return None


def encode_app(record: AppRecord) -> bytes:
    return _dump({"format": FORMAT, **to_builtins(record)})


def decode_app(content: bytes | None) -> AppRecord | None:
    data = _parse(content)
    if data is None:
        return None
    try:
        if "spoken" not in data:  # as it was first written
            entry = _entry(data["entry"])
            return AppRecord(entry, (Spoken(entry.digest, data["fields"], data["text"], {}),))
        return convert(data, AppRecord)
    except (KeyError, TypeError, ValidationError):
        return None


async def read_index(files: Files, project: str | None) -> Index | None:
    """The index; where it is lost or torn, what the apps' own records say. None without any."""
    volume = volume_of(project)
    index = decode_index(await files.read(volume, INDEX))
    if index is not None:
        return index
    # A lost index is rare: then one more call says whether there is anything to read it from.
    names = sorted(await recorded(files, project))
    records = await asyncio.gather(*(read_app(files, project, name) for name in names))
    found = {n: r.entry for n, r in zip(names, records, strict=True) if r is not None}
    apps = {name: entry for name, entry in found.items() if entry.app_id}
    return Index(apps, rebuilt=True) if apps else None


async def recorded(files: Files, project: str | None) -> frozenset[str]:
    """The apps that anything is written down of, those that are gone too."""
    try:
        found = await files.listed(volume_of(project), "apps")
    except LookupError:  # no Volume: nothing was ever written
        return frozenset()
    return frozenset(path.removesuffix(".json") for path in found)


async def read_app(files: Files, project: str | None, name: str) -> AppRecord | None:
    return decode_app(await files.read(volume_of(project), path_of(name)))


async def remember(
    files: Files,
    project: str | None,
    index: Index | None,
    changed: Mapping[str, AppRecord],
    gone: Mapping[str, AppRecord] | None = None,
) -> Index:
    """Write the changed records and the index in one commit; returns the index that is there then.

    What was recorded of an app that is `gone` stays, but speaks of no app any more. Repeating it
    does nothing.
    """
    before = index.apps if index else {}
    gone = gone or {}
    apps = {n: e for n, e in before.items() if n not in gone}
    changed = {
        name: replace(record, entry=_with_earlier(record.entry, before.get(name)))
        for name, record in changed.items()
    }
    apps.update({name: record.entry for name, record in changed.items()})
    left = {n: replace(r, entry=replace(r.entry, app_id="")) for n, r in gone.items()}
    contents = {path_of(n): encode_app(r) for n, r in {**changed, **left}.items()}
    after = Index(apps)
    await files.write(volume_of(project), {**contents, INDEX: encode_index(after)})
    return after


def _with_earlier(entry: Entry, before: Entry | None) -> Entry:
    """The same with what earlier versions of this app read; a new app begins with its own."""
    if before is None or before.app_id != entry.app_id or entry.weights is None:
        return entry
    versions = {**dict(before.weights or ()), **dict(entry.weights)}
    return replace(entry, weights=tuple(sorted(versions.items())[-VERSIONS:]))


def _entry(data: Mapping[str, Any]) -> Entry:
    said = data.get("condemned")
    if isinstance(said, str):  # as it was first written: of the version that lived
        failed = {"digest": data["digest"], "version": data["version"], "why": said}
        data = {**data, "condemned": failed if said else None}
    return convert(data, Entry)


def _dump(data: object) -> bytes:
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False).encode()


def _parse(content: bytes | None) -> dict[str, Any] | None:
    if content is None:
        return None
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return None
    return data
