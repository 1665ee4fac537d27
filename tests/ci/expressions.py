"""What does `${{ … }}` mean? GitHub's expressions, as far as this repository's files use them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][\w-]*)|(?P<sign>==|!=|&&|\|\||[!().,\[\]<>]))"
)
_INSIDE = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


class Wrong(Exception):
    """An expression that GitHub would refuse, or that is not known here."""


def truth(value: object) -> bool:
    return value not in (None, False, 0, "")


def text(value: object) -> str:
    """A value where text is needed."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def equal(left: object, right: object) -> bool:
    """Text is compared without case; other kinds as numbers, which is what GitHub does."""
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    if type(left) is type(right):
        return left == right
    return _number(left) == _number(right)


def _number(value: object) -> float:
    if value is None or value == "":
        return 0.0
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")


class _Reader:
    def __init__(self, source: str, contexts: Mapping[str, Any], functions: Mapping[str, Any]):
        self.tokens: list[tuple[str, str]] = []
        at = 0
        source = source.strip()
        while at < len(source):
            found = _TOKEN.match(source, at)
            if found is None or found.lastgroup is None:
                raise Wrong(f"{source!r} at {at}")
            self.tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self.contexts, self.functions = contexts, functions

    def next_is(self, *signs: str) -> bool:
        return bool(self.tokens) and self.tokens[0] in [("sign", sign) for sign in signs]

    def take(self, *signs: str) -> str:
        if signs and not self.next_is(*signs):
            raise Wrong(f"expected {signs}, found {self.tokens[:1]}")
        return self.tokens.pop(0)[1]

    def any_of(self) -> Any:
        value = self.all_of()
        while self.next_is("||"):
            self.take()
            other = self.all_of()
            value = value if truth(value) else other
        return value

    def all_of(self) -> Any:
        value = self.compared()
        while self.next_is("&&"):
            self.take()
            other = self.compared()
            value = other if truth(value) else value
        return value

    def compared(self) -> Any:
        value = self.single()
        while self.next_is("==", "!="):
            same = self.take() == "=="
            value = equal(value, self.single()) is same
        return value

    def single(self) -> Any:
        if self.next_is("!"):
            self.take()
            return not truth(self.single())
        if self.next_is("("):
            self.take()
            value = self.any_of()
            self.take(")")
            return value
        kind, word = self.tokens.pop(0)
        if kind == "text":
            return word[1:-1].replace("''", "'")
        if kind == "number":
            return float(word)
        if kind != "name":
            raise Wrong(f"{word} begins nothing")
        if self.next_is("("):
            return self.called(word)
        if word in ("true", "false", "null"):
            return {"true": True, "false": False, "null": None}[word]
        if word not in self.contexts:
            raise Wrong(f"there is no context {word} here")
        value = self.contexts[word]
        while self.next_is(".", "["):
            if self.take() == ".":
                key: Any = self.tokens.pop(0)[1]
            else:
                key = self.any_of()
                self.take("]")
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    def called(self, name: str) -> Any:
        if name not in self.functions:
            raise Wrong(f"there is no function {name} here")
        self.take("(")
        values = []
        while not self.next_is(")"):
            values.append(self.any_of())
            if self.next_is(","):
                self.take()
        self.take(")")
        return self.functions[name](*values)


FUNCTIONS: Mapping[str, Callable[..., Any]] = {"fromJSON": json.loads, "toJSON": json.dumps}


def evaluate(source: str, contexts: Mapping[str, Any], **functions: Callable[..., Any]) -> Any:
    reader = _Reader(source, contexts, {**FUNCTIONS, **functions})
    value = reader.any_of()
    if reader.tokens:
        raise Wrong(f"{source!r}: {reader.tokens} is left over")
    return value


def filled(template: object, contexts: Mapping[str, Any]) -> Any:
    """A value of a workflow file: one expression alone keeps its kind, within text it is text."""
    if not isinstance(template, str):
        return template
    if (alone := _INSIDE.fullmatch(template.strip())) and "${{" not in alone[1]:
        return evaluate(alone[1], contexts)
    return _INSIDE.sub(lambda found: text(evaluate(found[1], contexts)), template)
