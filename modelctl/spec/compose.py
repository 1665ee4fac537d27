"""What tree does a YAML text stand for? Nodes are composed, never constructed: no tag runs code."""

from __future__ import annotations

import re
from typing import Any

import yaml
from msgspec import Struct, field

from modelctl.diagnostics import Diagnostic, Place, error, warning
from modelctl.masked import mask
from modelctl.spec import scalars
from modelctl.spec.quoting import quote
from modelctl.spec.syntax import syntax_problem
from modelctl.spec.tree import Entry, Mapping, Node, Scalar, Sequence, Value

DEEPEST = 60
MOST_NODES = 10_000
MOST_ALIASED = 5_000
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_STR = "tag:yaml.org,2002:str"
_LONG_LEAD = re.compile(rf"^[ \t?:-]{{{DEEPEST - 1}}}", re.MULTILINE)

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # the base is chosen at run time: libyaml's if there
    """Composes only. What a plain scalar means is decided by `scalars`, so tags stay as written."""

    def resolve(self, *_: object) -> str:
        return ""

    def descend_resolver(self, *_: object) -> None: ...

    def ascend_resolver(self) -> None: ...


class _Composer(Struct):
    file: str
    lines: list[str]
    found: list[Diagnostic] = field(default_factory=list)
    nodes: int = 0
    aliased: int = 0
    seen: set[int] = field(default_factory=set)
    open: set[int] = field(default_factory=set)

    def place(self, node: Any) -> Place:
        start, end = node.start_mark, node.end_mark
        text = self.lines[start.line] if start.line < len(self.lines) else ""
        stop = end.column if end.line == start.line else len(text.rstrip())
        return Place(self.file, start.line + 1, start.column + 1, max(1, stop - start.column), text)

    def say(self, code: str, message: str, hint: str, place: Place) -> None:
        self.found.append(error(code, message, hint=hint, place=place))

    def node(self, node: Any, depth: int, aliased: bool) -> Node:
        identity = id(node)
        scalar = isinstance(node, yaml.ScalarNode)
        again = identity in self.seen
        if again or aliased:
            self.aliased += 1
        self.nodes += 1
        if self.aliased > MOST_ALIASED or self.nodes > MOST_NODES:
            raise _Stop(
                "yaml/alias-bomb" if self.aliased > MOST_ALIASED else "yaml/too-many",
                f"aliases in this file expand to more than {MOST_ALIASED:,} values"
                if self.aliased > MOST_ALIASED
                else f"this file holds more than {MOST_NODES:,} values",
                "write out what is meant, or use defaults in modelctl.yaml"
                if self.aliased > MOST_ALIASED
                else "one file holds one spec",
                self.place(node),
            )
        self.seen.add(identity)
        if scalar:
            return self.scalar(node)
        if identity in self.open:
            raise _Stop(
                "yaml/recursive-alias", "this alias contains itself",
                "write out what is meant", self.place(node),
            )  # fmt: skip
        if _looks_like_template(node):
            return self.unquoted_template(node)
        self.tag(node)
        self.open.add(identity)
        built: Node
        if isinstance(node, yaml.SequenceNode):
            items = tuple(self.node(item, depth + 1, again or aliased) for item in node.value)
            built = Sequence(items, self.place(node))
        else:
            built = self.mapping(node, depth, again or aliased)
        self.open.discard(identity)
        return built

    def mapping(self, node: Any, depth: int, aliased: bool) -> Mapping:
        entries: dict[str, Entry] = {}
        for key, value in node.value:
            place = self.place(key)
            if not isinstance(key, yaml.ScalarNode):
                self.say("yaml/key", "a key is a text, not a list or a mapping", "", place)
                continue
            name = key.value
            if name == "<<" and not key.style:
                self.say(
                    "yaml/merge-key", "merge keys (<<) are not supported",
                    "write the fields out, or put them under defaults in modelctl.yaml", place,
                )  # fmt: skip
                continue
            self.tag(key)
            if not name:
                self.say("yaml/key", "this key is empty", "give it a name", place)
                continue
            if name in entries:
                first = entries[name].key_place.line
                self.say(
                    "yaml/duplicate-key",
                    f"{quote(name)} is here twice; the first is on line {first}",
                    "keep one of them",
                    place,
                )
                continue
            entries[name] = Entry(place, self.node(value, depth + 1, aliased))
        return Mapping(entries, self.place(node))

    def unquoted_template(self, node: Any) -> Scalar:
        """`{{ x }}` without quotes, which YAML takes for a mapping whose key is a mapping."""
        place = self.place(node)
        self.say(
            "spec/template-syntax",
            "modelctl does not expand templates",
            "write the value itself; what differs by environment goes under environments",
            place,
        )
        raw = place.text[place.column - 1 : place.column - 1 + place.width]
        return Scalar(raw, raw, True, place)

    def tag(self, node: Any) -> None:
        tag = node.tag
        if not tag or tag in ("!", _STR):
            return
        place = self.place(node)
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        self.say(
            "yaml/tag", f"the tag {quote(shown)} is not allowed; nothing in a spec is run",
            "take the tag away; quotes make a value text", place,
        )  # fmt: skip

    def scalar(self, node: Any) -> Scalar:
        self.tag(node)
        raw, place = node.value, self.place(node)
        if node.style or node.tag:
            return Scalar(raw, raw, False, place)
        value: Value
        try:
            value = scalars.resolve(raw)
        except scalars.NotANumber as why:
            hint = "another number, or quotes where it is meant as text"
            self.say("yaml/number", str(why), hint, place)
            return Scalar(raw, raw, True, place)
        if isinstance(value, str):
            other = scalars.surprise(raw)
            if other is not None:
                self.found.append(warning("yaml/ambiguous", other[0], hint=other[1], place=place))
        octal = scalars.ambiguous_octal(raw) if value is not None and raw[0] in "+-0" else None
        if octal is not None:
            self.say("yaml/ambiguous", octal[0], octal[1], place)
        return Scalar(value, raw, True, place)


def _looks_like_template(node: Any) -> bool:
    if not (isinstance(node, yaml.MappingNode) and node.flow_style and node.value):
        return False
    key = node.value[0][0]
    outer, inner = node.start_mark, key.start_mark
    return isinstance(key, yaml.MappingNode) and (inner.line, inner.column) == (
        outer.line,
        outer.column + 1,
    )


class _Stop(Exception):
    """Reading on makes no sense."""

    def __init__(self, code: str, message: str, hint: str, place: Place) -> None:
        self.diagnostic = error(code, message, hint=hint, place=place)
        super().__init__(message)


def compose(text: str, file: str) -> tuple[Node | None, list[Diagnostic]]:
    """The tree of `text`, or None where there is none, and every problem of the text itself."""
    lines = _LINE_BREAK.split(mask(text))
    composer = _Composer(file, lines)
    try:
        _refuse_depth(text, file, lines)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
        if root is None:
            return None, []
        return composer.node(root, 0, False), composer.found
    except yaml.MarkedYAMLError as problem:
        return None, [syntax_problem(problem, file, lines)]
    except _Stop as stop:
        return None, [*composer.found, stop.diagnostic]


def _refuse_depth(text: str, file: str, lines: list[str]) -> None:
    """Composing is recursive, so nesting is counted first, over events, which are not.

    Counting costs a second reading; it is spared where the text has too few brackets and too
    little indentation to nest deeply.
    """
    shallow = len(text) < DEEPEST or (
        text.count("[") + text.count("{") < DEEPEST and not _LONG_LEAD.search(text)
    )
    if shallow:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                mark: Any = event.start_mark
                line, column = mark.line, mark.column
                raise _Stop(
                    "yaml/too-deep",
                    f"this is nested deeper than {DEEPEST} levels",
                    "no field of a spec is",
                    Place(file, line + 1, column + 1, 1, lines[line] if line < len(lines) else ""),
                )  # fmt: skip
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
