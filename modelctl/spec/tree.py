"""What does a YAML file hold? Mappings, sequences and scalars, each with its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from modelctl.diagnostics import Place

Path_ = tuple[str | int, ...]
"""A field's path: `("gpu", 1, "count")`, shown as `gpu[1].count`."""

Value = None | bool | int | float | str


class Scalar(Struct, frozen=True):
    """A leaf. `raw` is the text as written, without quotes; `plain` says that it had none."""

    value: Value
    raw: str
    plain: bool
    place: Place


class Entry(Struct, frozen=True):
    """A key's place and what stands under it."""

    key_place: Place
    node: Node


class Mapping(Struct, frozen=True):
    entries: dict[str, Entry]
    place: Place

    def get(self, key: str) -> Node | None:
        entry = self.entries.get(key)
        return entry.node if entry else None


class Sequence(Struct, frozen=True):
    """`written` has each item's index in the file where wrong items were taken out; else empty."""

    items: tuple[Node, ...]
    place: Place
    written: tuple[int, ...] = ()


Node = Mapping | Sequence | Scalar


def is_null(node: Node | None) -> bool:
    return isinstance(node, Scalar) and node.value is None


def child(node: Node, part: str | int) -> Node | None:
    if isinstance(node, Mapping) and isinstance(part, str):
        return node.get(part)
    if isinstance(node, Sequence) and isinstance(part, int) and 0 <= part < len(node.items):
        return node.items[part]
    return None


def at(node: Node, path: Path_) -> Node | None:
    """What stands at exactly this path; None where nothing does."""
    found: Node | None = node
    for part in path:
        if found is None:
            return None
        found = child(found, part)
    return found


def data(node: Node) -> Any:
    """The tree as dicts, lists and scalars."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Mapping):
        return {key: data(entry.node) for key, entry in node.entries.items()}
    return [data(item) for item in node.items]


def scalars(node: Node, path: Path_ = ()) -> Iterator[tuple[Path_, Scalar]]:
    """Every leaf with its path, in the order of the file."""
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, Mapping):
        for key, entry in node.entries.items():
            yield from scalars(entry.node, (*path, key))
    else:
        for index, item in enumerate(node.items):
            yield from scalars(item, (*path, index))


def from_data(value: Any, place: Place) -> Node:
    """A tree of plain data that came from no file: every leaf stands at `place`."""
    if isinstance(value, dict):
        return Mapping({str(k): Entry(place, from_data(v, place)) for k, v in value.items()}, place)
    if isinstance(value, list | tuple):
        return Sequence(tuple(from_data(item, place) for item in value), place)
    return Scalar(value, str(value), False, place)


def show_path(path: Path_) -> str:
    """`("gpu", 1, "count")` → `gpu[1].count`."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            shown += f".{part}" if shown else part
    return shown
