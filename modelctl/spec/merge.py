"""What holds when several layers speak? Mappings merge, lists replace, nulls take back."""

from __future__ import annotations

from collections.abc import Sequence as Many

from msgspec import Struct

from modelctl.diagnostics import Place
from modelctl.spec.tree import Entry, Mapping, Node, Sequence, at, is_null
from modelctl.spec.wanted import Path_


class Layer(Struct, frozen=True):
    """What one voice says, in long form, and its name: `spec`, `project defaults`, …"""

    name: str
    tree: Mapping


def merge(layers: Many[Layer]) -> Mapping:
    """All layers as one tree without nulls. Leaves keep their places; `layers` is not empty."""
    merged = layers[0].tree
    for layer in layers[1:]:
        merged = over(merged, layer.tree)
    return without_nulls(merged)


def over(below: Mapping, above: Mapping) -> Mapping:
    """`above` merged over `below`. Nulls stay: what comes next may say more."""
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        lower = entries.get(key)
        if lower and isinstance(entry.node, Mapping) and isinstance(lower.node, Mapping):
            entries[key] = Entry(entry.key_place, over(lower.node, entry.node))
        else:
            entries[key] = entry
    return Mapping(entries, above.place)


def without_nulls(tree: Mapping) -> Mapping:
    """What nulls took back is gone. A null in a list stays: nothing stands below it."""
    entries = {}
    for key, entry in tree.entries.items():
        if is_null(entry.node):
            continue
        node = _clean(entry.node)
        entries[key] = entry if node is entry.node else Entry(entry.key_place, node)
    return Mapping(entries, tree.place)


def _clean(node: Node) -> Node:
    if isinstance(node, Mapping):
        return without_nulls(node)
    if isinstance(node, Sequence) and any(
        isinstance(item, Mapping | Sequence) for item in node.items
    ):
        return Sequence(tuple(_clean(item) for item in node.items), node.place, node.written)
    return node


class TreeOrigins(Struct, frozen=True, eq=False):
    """Where the values of a merged tree come from: the last layer that has a path wrote it."""

    layers: tuple[Layer, ...]
    merged: Mapping
    root: Place
    """Where to point for what nobody wrote: the top of the spec's file."""

    def place(self, path: Path_, *, key: bool = False) -> Place:
        node: Node = self.merged
        found = self.root
        for part in path:
            if isinstance(node, Mapping) and isinstance(part, str) and part in node.entries:
                entry = node.entries[part]
                node = entry.node
                found = entry.key_place if key else node.place
            elif (
                isinstance(node, Sequence) and isinstance(part, int) and 0 <= part < len(node.items)
            ):
                node = node.items[part]
                found = node.place
            else:
                break
        return found

    def written(self, path: Path_) -> Path_:
        """The same path with the indices that its list items have in the file."""
        node: Node | None = self.merged
        found: list[str | int] = []
        for part in path:
            inside = None
            if isinstance(node, Mapping) and isinstance(part, str) and part in node.entries:
                inside = node.entries[part].node
            elif isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
                inside = node.items[part]
                part = node.written[part] if node.written else part  # noqa: PLW2901
            found.append(part)
            node = inside
        return tuple(found)

    def said(self, path: Path_) -> bool:
        return at(self.merged, path) is not None

    def layer(self, path: Path_) -> str:
        path = tuple(path)
        while path and not self.said(path):
            path = path[:-1]
        if not path:
            return ""
        for layer in reversed(self.layers):
            if at(layer.tree, path) is not None:
                return layer.name
        return ""
