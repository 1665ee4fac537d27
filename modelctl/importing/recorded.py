"""Which spec is it that a record has flat? `{"gpu[0].type": "H100"}` → `{"gpu": [{"type": …}]}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelctl.importing.assemble import Imported
from modelctl.importing.draft import Note
from modelctl.importing.order import in_order
from modelctl.spec.kinds import Kind, LeafKind, ListKind, NamedKind, ShapeKind
from modelctl.spec.models import Spec

_INDEX = re.compile(r"(?P<head>.*?)\[(?P<index>\d{1,4})\](?:\.(?P<rest>.*))?", re.DOTALL)
_CONTENT = ".content"
"""How a record ends the name of what it says of a local model's files."""


def from_fields(
    name: str,
    fields: Mapping[str, object],
    notes: tuple[Note, ...],
    secrets: Mapping[str, list[str]],
) -> Imported:
    """The spec as it was applied, every overlay merged in.

    `secrets` are all that the app has: those without keys have no flat field.
    """
    root = ShapeKind(Spec)
    tree: dict[str, Any] = {"name": name}
    for path, value in fields.items():
        parts = _parts(path, root)
        if parts is not None and not (path.endswith(_CONTENT) and parts[0] == "model"):
            _put(tree, parts, value)
    if secrets:
        tree["secrets"] = {**secrets, **tree.get("secrets", {})}
    return Imported("", {key: _short(key, v) for key, v in in_order(tree).items()}, notes)


def _parts(path: str, kind: Kind) -> list[str | int] | None:
    """The path of a field; None for what is none. Names that people chose may have dots."""
    if not path:
        return []
    if isinstance(kind, ShapeKind):
        name = re.split(r"[.\[]", path)[0]
        inner = kind.fields.get(name)
        if inner is None:
            return None
        return _then(name, _parts(path[len(name) :].lstrip("."), inner))
    if isinstance(kind, ListKind):
        item = _INDEX.fullmatch(path)
        if item is None or item["head"]:
            return None
        return _then(int(item["index"]), _parts(item["rest"] or "", kind.item))
    if isinstance(kind, NamedKind):
        return _named(path, kind.value)
    return [path] if isinstance(kind, LeafKind) and path else None


def _named(path: str, kind: Kind) -> list[str | int] | None:
    if isinstance(kind, ShapeKind):
        for match in re.finditer(r"\.", path):
            rest = _parts(path[match.end() :], kind)
            if rest is not None:
                return [path[: match.start()], *rest]
        return None
    listed = re.fullmatch(r"(.*)\[(\d{1,4})\]", path, re.DOTALL)
    # A list of words, such as the keys of a Secret.
    return [path] if listed is None else [str(listed[1]), int(listed[2])]


def _then(part: str | int, rest: list[str | int] | None) -> list[str | int] | None:
    return None if rest is None else [part, *rest]


def _put(tree: dict[str, Any], parts: list[str | int], value: object) -> None:
    here: Any = tree
    following: list[str | int | None] = [*parts[1:], None]
    for part, after in zip(parts, following, strict=True):
        new: Any = value if after is None else [] if isinstance(after, int) else {}
        if isinstance(here, list):
            assert isinstance(part, int)
            if part >= len(here):
                here.append(new)
            here = here[min(part, len(here) - 1)]
        elif after is None:
            here[part] = value
        else:
            here = here.setdefault(part, new)


def _short(key: str, value: Any) -> Any:
    """`{"type": "L40S", "count": 2}` → `L40S:2`, and what else has a short form."""
    if key == "gpu" and isinstance(value, list):
        entries = [_entry(entry) for entry in value]
        return entries[0] if len(entries) == 1 and isinstance(entries[0], str) else entries
    if key == "secrets" and isinstance(value, Mapping) and not any(value.values()):
        return list(value)
    if key == "model" and isinstance(value, Mapping):
        names = value.get("served_as")
        if isinstance(names, list) and len(names) == 1:
            return {**value, "served_as": names[0]}
    return value


def _entry(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    kind, count = entry.get("type"), entry.get("count")
    written = kind if count in (None, 1) else f"{kind}:{count}"
    more = {name: said for name, said in entry.items() if name not in ("type", "count")}
    return {"type": written, **more} if more else written
