"""What of a spec with mistakes can still be checked? The spec without the values that are wrong."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from modelctl.diagnostics import Diagnostic
from modelctl.spec.merge import without_nulls
from modelctl.spec.models import Spec
from modelctl.spec.parse import build
from modelctl.spec.tree import Entry, Mapping, Node, Scalar, Sequence, at

Spot = tuple[str, int, int]


def sound_part(merged: Mapping, found: Iterable[Diagnostic]) -> tuple[Mapping, Spec] | None:
    """The tree and model of what `found` says nothing about; None where too little is left.

    A list keeps its sound items, each with the index that it has in the file.
    """
    fields = {_spot(d) for d in found if d.is_error and d.code == "spec/unknown-field"}
    values = {_spot(d) for d in found if d.is_error and d.code != "spec/unknown-field"}
    left = _mapping(merged, fields, values)
    if at(left, ("model", "source")) is None:
        return None
    left = without_nulls(left)
    try:
        return left, build(left, Spec)
    except ValidationError:  # what is wrong stands elsewhere: nothing can be said of the rest
        return None


def _spot(diagnostic: Diagnostic) -> Spot | None:
    place = diagnostic.place
    return (place.file, place.line, place.column) if place else None


def _mapping(tree: Mapping, fields: set[Spot | None], values: set[Spot | None]) -> Mapping:
    entries = {}
    for key, entry in tree.entries.items():
        place = entry.key_place
        if (place.file, place.line, place.column) in fields:
            continue
        node = _sound(entry.node, fields, values)
        if node is not None:
            entries[key] = entry if node is entry.node else Entry(place, node)
    return Mapping(entries, tree.place)


def _sound(node: Node, fields: set[Spot | None], values: set[Spot | None]) -> Node | None:
    place = node.place
    if isinstance(node, Mapping):
        kept = _mapping(node, fields, values)
        return node if _size(kept) == _size(node) else kept
    if (place.file, place.line, place.column) in values:
        return None
    if isinstance(node, Scalar):
        return node
    kept_items = [i for i, item in enumerate(node.items) if _whole(item, fields, values)]
    if len(kept_items) == len(node.items):
        return node
    items = tuple(node.items[i] for i in kept_items)
    return Sequence(items, node.place, tuple(kept_items)) if items else None


def _whole(node: Node, fields: set[Spot | None], values: set[Spot | None]) -> bool:
    kept = _sound(node, fields, values)
    return kept is not None and _size(kept) == _size(node)


def _size(node: Node) -> int:
    if isinstance(node, Mapping):
        return 1 + sum(_size(entry.node) for entry in node.entries.values())
    if isinstance(node, Sequence):
        return 1 + sum(_size(item) for item in node.items)
    return 1
