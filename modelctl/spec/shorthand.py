"""What does a short form stand for? `backend: vllm` is `backend: {name: vllm}`; places stay."""

from __future__ import annotations

import re

from modelctl.spec.kinds import Kind, LeafKind, ListKind, NamedKind, ShapeKind
from modelctl.spec.models import Gpu
from modelctl.spec.tree import Entry, Mapping, Node, Scalar, Sequence, is_null

ONE_FOR_MANY = frozenset({"gpu", "only", "served_as"})
"""List fields that may be written as their one element."""

_TYPE_AND_COUNT = re.compile(r"(?P<type>[^:]+):(?P<count>[0-9]{1,4})")


def expand(node: Node, kind: Kind, field: str = "") -> Node:
    """The long form of `node`, which stands at a field of this kind. What fits no form stays."""
    if isinstance(kind, LeafKind) or is_null(node):
        return node
    if isinstance(kind, ShapeKind):
        return _shape(node, kind)
    if isinstance(kind, ListKind):
        if field in ONE_FOR_MANY and not isinstance(node, Sequence):
            node = Sequence((node,), node.place)
        if isinstance(node, Sequence) and not isinstance(kind.item, LeafKind):
            return Sequence(tuple(expand(item, kind.item) for item in node.items), node.place)
        return node
    return _named(node, kind, field)


def _shape(node: Node, kind: ShapeKind) -> Node:
    if isinstance(node, Scalar) and kind.short is not None:
        node = Mapping({kind.short: Entry(node.place, node)}, node.place)
    if not isinstance(node, Mapping):
        return node
    if kind.shape is Gpu:
        node = _type_and_count(node)
    fields = kind.fields
    entries = {}
    for key, entry in node.entries.items():
        inner = fields.get(key)
        if inner is None or isinstance(inner, LeafKind):
            entries[key] = entry
        else:
            entries[key] = Entry(entry.key_place, expand(entry.node, inner, key))
    return Mapping(entries, node.place)


def _type_and_count(node: Mapping) -> Mapping:
    """`L40S:2` is the type L40S and the count 2; a count that stands beside it is left to parse."""
    entry = node.entries.get("type")
    if entry is None or "count" in node.entries or not isinstance(entry.node, Scalar):
        return node
    written = entry.node
    match = _TYPE_AND_COUNT.fullmatch(written.raw)
    if match is None or not isinstance(written.value, str):
        return node
    split = dict(node.entries)
    split["type"] = Entry(
        entry.key_place, Scalar(match["type"], written.raw, written.plain, written.place)
    )
    split["count"] = Entry(
        entry.key_place, Scalar(int(match["count"]), match["count"], True, written.place)
    )
    return Mapping(split, node.place)


def _named(node: Node, kind: NamedKind, field: str) -> Node:
    if field == "secrets":
        return _secrets(node)
    if not isinstance(node, Mapping) or isinstance(kind.value, LeafKind):
        return node
    return Mapping(
        {key: Entry(e.key_place, expand(e.node, kind.value)) for key, e in node.entries.items()},
        node.place,
    )


def _secrets(node: Node) -> Node:
    """A list of names, or names with one key or a list of keys."""
    if isinstance(node, Scalar):
        node = Sequence((node,), node.place)
    if isinstance(node, Sequence):
        names = [
            item for item in node.items if isinstance(item, Scalar) and isinstance(item.value, str)
        ]
        if len(names) != len(node.items):
            return node
        return Mapping(
            {name.raw: Entry(name.place, Sequence((), name.place)) for name in names}, node.place
        )
    return Mapping(
        {
            key: Entry(e.key_place, Sequence((e.node,), e.node.place))
            if isinstance(e.node, Scalar) and not is_null(e.node)
            else e
            for key, e in node.entries.items()
        },
        node.place,
    )
