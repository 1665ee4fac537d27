"""What tree does a YAML text stand for? Nodes are composed, never constructed: no tag runs code."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from modelctl.diagnostics import Diagnostic, Place, error, warning
from modelctl.spec import scalars
from modelctl.spec.quoting import mask, quote
from modelctl.spec.tree import Entry, Mapping, Node, Scalar, Sequence, Value

DEEPEST = 60
MOST_NODES = 50_000
MOST_ALIASED = 10_000
_LINE_BREAK = re.compile("\r\n|[\r\n\x85\u2028\u2029]")
_STR = "tag:yaml.org,2002:str"
_FLOW_OPEN = re.compile(r"[\[{]")
_LONG_LEAD = re.compile(r"^[ \t?:-]{%d}" % (DEEPEST - 1), re.MULTILINE)

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]  # the base is chosen at run time: libyaml's if there
    """Composes only. What a plain scalar means is decided by `scalars`, so tags stay as written."""

    def resolve(self, kind: object, value: object, implicit: object) -> str:
        return ""

    def descend_resolver(self, node: object, index: object) -> None: ...

    def ascend_resolver(self) -> None: ...


@dataclass
class _Composer:
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
                self.complex_key(key, place)
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
                    "yaml/duplicate-key", f"{quote(name)} is here twice; the first is on line {first}",
                    "keep one of them", place,
                )  # fmt: skip
                continue
            entries[name] = Entry(place, self.node(value, depth + 1, aliased))
        return Mapping(entries, self.place(node))

    def complex_key(self, key: Any, place: Place) -> None:
        if place.text[place.column - 2 : place.column] == "{{":
            self.say(
                "spec/template-syntax", "modelctl does not expand templates",
                "write the value itself; what differs by environment goes under environments", place,
            )  # fmt: skip
            return
        self.say("yaml/key", "a key is one word or text, not a list or a mapping", "", place)

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
            self.say("yaml/number", str(why), 'quotes make it text', place)
            return Scalar(raw, raw, True, place)
        if isinstance(value, str):
            other = scalars.surprise(raw)
            if other is not None:
                self.found.append(warning("yaml/ambiguous", other[0], hint=other[1], place=place))
        octal = scalars.ambiguous_octal(raw) if value is not None and raw[0] in "+-0" else None
        if octal is not None:
            self.say("yaml/ambiguous", octal[0], octal[1], place)
        return Scalar(value, raw, True, place)


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
        return None, [_syntax(problem, file, lines)]
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
                line, column = event.start_mark.line, event.start_mark.column
                raise _Stop(
                    "yaml/too-deep", f"this is nested deeper than {DEEPEST} levels", "no field of a spec is",
                    Place(file, line + 1, column + 1, 1, lines[line] if line < len(lines) else ""),
                )  # fmt: skip
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


_SENTENCES: tuple[tuple[str, str, str], ...] = (
    ("expected a single document", "a second document begins here", "one file holds one spec: split at ---"),
    ("mapping values are not allowed", "a colon cannot stand here", "a value that holds ': ' is written in quotes; or the line before is indented wrongly"),
    ("could not find expected ':'", "a key without a colon, or a value that goes on unexpectedly", "write key: value"),
    ("cannot start any token", "this character cannot begin a value", "put the value in quotes"),
    ("unexpected end of stream", "the file ends inside quotes", "close the quotes"),
    ("unexpected document indicator", "--- stands inside quotes", "close the quotes"),
    ("undefined alias", "this alias names no anchor before it", "a value that begins with * is written in quotes"),
    ("expected alphabetic or numeric character", "a name is missing after & or *", "a value that begins with & or * is written in quotes"),
    ("did not find expected alphabetic", "a name is missing after & or *", "a value that begins with & or * is written in quotes"),
    ("duplicate anchor", "this anchor is there already", "give it another name"),
    ("found duplicate anchor", "this anchor is there already", "give it another name"),
    ("expected ',' or ']'", "this list is not closed: a comma or ] is missing", "a value that holds , [ ] { or } is written in quotes"),
    ("expected ',' or '}'", "this mapping is not closed: a comma or } is missing", "a value that holds , [ ] { or } is written in quotes"),
    ("did not find expected '-' indicator", "this line does not belong to the list above", "indent it as the other entries are"),
    ("did not find expected key", "this does not belong to the mapping above", "indent it as its neighbours are, and close quotes and brackets"),
    ("block sequence entries are not allowed", "a list entry (- ) cannot begin here", "put it on a line of its own"),
    ("block mapping", "this line is indented unlike its neighbours", "indent it as they are"),
    ("unknown escape character", "no such escape in double quotes", "write \\\\ for a backslash, or use single quotes"),
    ("escape", "no such escape in double quotes", "write \\\\ for a backslash, or use single quotes"),
    ("did not find expected node content", "a value is missing here", "a value that begins with , ] } or % is written in quotes"),
    ("tag", "a tag (!) cannot be read", "a value that begins with ! is written in quotes"),
    ("directive", "a line that begins with % is a directive", "put the value in quotes"),
    ("did not find expected <document start>", "this does not belong to what stands above", "a file is one mapping of key: value"),
    ("indentation", "a tab or wrong indentation", "indent with spaces"),
)  # fmt: skip


def _syntax(problem: yaml.MarkedYAMLError, file: str, lines: list[str]) -> Diagnostic:
    mark = problem.problem_mark or problem.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    if line >= len(lines) or (line == len(lines) - 1 and not lines[line] and line > 0):
        line = len(lines) - 1
        while line > 0 and not lines[line].strip():
            line -= 1
        column = max(0, len(lines[line].rstrip()) - 1)
    text = lines[line]
    said = f"{problem.problem} {problem.context or ''}".lower()
    context = (problem.context or "").lower()
    place = Place(file, line + 1, column + 1, 1, text)
    if "flow" in context and "{{" in text:
        column = text.index("{{")
        return error(
            "spec/template-syntax", "modelctl does not expand templates",
            hint="write the value itself; what differs by environment goes under environments",
            place=Place(file, line + 1, column + 1, 2, text),
        )  # fmt: skip
    if "\t" in text[: column + 1] and not text[: column + 1].strip():
        tab = text.index("\t")
        return error(
            "yaml/tab", "a tab cannot indent YAML", hint="indent with spaces",
            place=Place(file, line + 1, tab + 1, 1, text),
        )  # fmt: skip
    for fragment, message, hint in _SENTENCES:
        if fragment in said:
            code = "yaml/several-documents" if "single document" in fragment else "yaml/syntax"
            return error(code, message, hint=hint, place=place)
    return error("yaml/syntax", "this is not YAML", hint="check quotes, brackets and indentation", place=place)
