"""What do we remember of an app beside Modal's truth? A small record each, and an index of all.

Both live in the Volume `modelctl-<project>` of the environment. It is a memory, not a state: if it
is lost or cannot be understood, plan says "earlier spec unknown" and goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct, to_builtins
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


class Files(Protocol):
    """Where the record is kept: the part of the platform that reads and writes small files."""

    async def read(self, volume: str, path: str) -> bytes | None: ...

    async def write(self, volume: str, files: Mapping[str, bytes]) -> None: ...


class Entry(Struct, frozen=True):
    """What the index holds of one app: enough to see that nothing has to be done.

    `version` is the one that this digest was deployed as: a digest is believed only while the live
    version is still that one. `condemned` is why that version failed its gate, "" where it passed:
    it is not tried again as it is. `protect` holds although the spec is gone. `weights` are the
    folders of the weights' Volume that the versions since the app's creation read, by version: what
    a roll-back may need. None where that was not written down yet.
    """

    app_id: str
    version: int
    digest: str
    scaling: Scaling
    url: str | None = None
    condemned: str = ""
    protect: bool = False
    usd_per_hour: float | None = None
    weights: Weights | None = None


class Index(Struct, frozen=True):
    apps: Mapping[str, Entry]


class AppRecord(Struct, frozen=True):
    """All that is remembered of one app: read only when something about it changes."""

    entry: Entry
    fields: Fields
    text: str


def volume_of(project: str | None) -> str:
    """One Volume a project; without a name, one that no project's name can be."""
    return f"modelctl-{project}" if project else "modelctl.default"


def path_of(name: str) -> str:
    return f"apps/{name}.json"


def encode_index(index: Index) -> bytes:
    return _dump({"format": FORMAT, "apps": {n: to_builtins(e) for n, e in index.apps.items()}})


def decode_index(content: bytes | None) -> Index | None:
    """None where there is none, or where it cannot be understood (a later format, a torn file)."""
    data = _parse(content)
    if data is None:
        return None
    try:
        return Index({name: _entry(value) for name, value in data["apps"].items()})
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def encode_app(record: AppRecord) -> bytes:
    return _dump(
        {
            "format": FORMAT,
            "entry": to_builtins(record.entry),
            "fields": dict(record.fields),
            "text": record.text,
        }
    )


def decode_app(content: bytes | None) -> AppRecord | None:
    data = _parse(content)
    if data is None:
        return None
    try:
        return AppRecord(_entry(data["entry"]), dict(data["fields"]), str(data["text"]))
    except (KeyError, TypeError, ValueError):
        return None


async def read_index(files: Files, project: str | None) -> Index | None:
    return decode_index(await files.read(volume_of(project), INDEX))


async def read_app(files: Files, project: str | None, name: str) -> AppRecord | None:
    return decode_app(await files.read(volume_of(project), path_of(name)))


async def remember(
    files: Files,
    project: str | None,
    index: Index | None,
    changed: Mapping[str, AppRecord],
    gone: frozenset[str] = frozenset(),
) -> Index:
    """Write the changed records and the index in one commit; returns the index that is there then.

    Repeating it does nothing.
    """
    before = index.apps if index else {}
    apps = {n: e for n, e in before.items() if n not in gone}
    changed = {
        name: replace(record, entry=_with_earlier(record.entry, before.get(name)))
        for name, record in changed.items()
    }
    apps.update({name: record.entry for name, record in changed.items()})
    contents = {path_of(name): encode_app(record) for name, record in changed.items()}
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
    return Entry(
        app_id=data["app_id"],
        version=data["version"],
        digest=data["digest"],
        scaling=Scaling(**data["scaling"]),
        url=data.get("url"),
        condemned=str(data.get("condemned", "")),
        protect=bool(data.get("protect", False)),
        usd_per_hour=data.get("usd_per_hour"),
        weights=_weights(data.get("weights")),
    )


def _weights(data: Any) -> Weights | None:
    if data is None:
        return None
    return tuple((int(version), tuple(map(str, folders))) for version, folders in data)


def _dump(data: object) -> bytes:
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False).encode()


def _parse(content: bytes | None) -> dict[str, Any] | None:
    if content is None:
        return None
    try:
        data = json.loads(content)
    except ValueError:
        return None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return None
    return data
