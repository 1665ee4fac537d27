"""How is a value written as Python, in the layout that `ruff format` gives at 100 columns?

Whatever is longer than its line is written one element a line with a trailing comma, which ruff
keeps; whatever fits has no trailing comma, and ruff leaves it on its line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

WIDTH = 100
INDENT = 4


class Rows(Struct, frozen=True):
    """A list or mapping that is always written one element a line, however short."""

    items: Sequence[Any] | Mapping[str, Any]


class Call(Struct, frozen=True):
    """A call by a name of our own; only its arguments are values from outside."""

    name: str
    args: tuple[Any, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [*self.name.removeprefix(".").split("."), *self.options]
        if not all(name.isidentifier() for name in names):
            raise ValueError(f"not a name that may be called: {self.name}")


class Joined(Struct, frozen=True):
    """A string put together at run time: literals, and names of our own that hold strings."""

    parts: tuple[str | Name, ...]


class Name(Struct, frozen=True):
    """A name of our own in the generated code."""

    text: str

    def __post_init__(self) -> None:
        if not self.text.isidentifier():
            raise ValueError(f"not a name: {self.text}")


class Chain(Struct, frozen=True):
    """Calls one after another, each on the result of the one before."""

    calls: tuple[Call, ...]


def quoted(text: str) -> str:
    """A string in ASCII: no character of a value can hide, turn or end a line."""
    body = ascii(text)
    quote, inner = body[0], body[1:-1]
    # ascii() escapes the quote that it chose only where the text has both.
    plain = inner.replace("\\'", "'") if quote == "'" else inner
    if text.count('"') > text.count("'"):
        return "'" + plain.replace("'", "\\'") + "'"
    return '"' + plain.replace('"', '\\"') + '"'


def flat(value: Any) -> str:
    """`value` on one line."""
    match value:
        case Rows(items=items):
            return flat(items)
        case Call(name=name, args=args, options=options):
            given = [*map(flat, args), *(f"{key}={flat(v)}" for key, v in options.items())]
            return f"{name}({', '.join(given)})"
        case Chain(calls=calls):
            return "".join(map(flat, calls))
        case Joined(parts=parts):
            return " + ".join(map(flat, parts))
        case Name(text=text):
            return text
        case str():
            return quoted(value)
        case bool() | None | int() | float():
            return repr(value)
        case Mapping():
            return "{" + ", ".join(f"{flat(k)}: {flat(v)}" for k, v in value.items()) + "}"
        case tuple():
            return "(" + ", ".join(map(flat, value)) + ("," if len(value) == 1 else "") + ")"
        case list():
            return "[" + ", ".join(map(flat, value)) + "]"
    raise TypeError(f"a {type(value).__name__} cannot be written as a literal")


def laid_out(value: Any, *, indent: int, before: int, after: int) -> str:
    """`value` on a line that has `before` columns in front of it and `after` behind it."""
    one_line = flat(value)
    if not isinstance(value, Rows) and before + len(one_line) + after <= WIDTH:
        return one_line
    inside = indent + INDENT
    match value:
        case Rows(items=items) if items:
            return _exploded(items, indent)
        case Call() if value.args or value.options:
            return _called(value, indent)
        case Chain(calls=calls) if _fluent(calls):
            links = [f"{calls[0].name}{_arguments(calls[0], inside)}"]
            links += [f"{call.name}{_arguments(call, inside)}" for call in calls[1:]]
            return _lines("(", links, ")", indent, separator="")
        case Chain(calls=calls):
            first, *rest = calls
            return _called(first, indent) + "".join(
                laid_out(call, indent=indent, before=indent + 1, after=1) for call in rest
            )
        case Mapping() | tuple() | list() if value:
            return _exploded(value, indent)
        case Joined(parts=parts):
            return _sum(parts, indent)
    return one_line


def assigned(value: Any, *, before: int) -> str:
    """`value` behind `NAME = `. A string that only fits in parentheses gets them."""
    text = laid_out(value, indent=0, before=before, after=0)
    too_long = before + len(text) > WIDTH
    if isinstance(value, Joined) and before + len(flat(value)) > WIDTH:
        one_line = flat(value)
        fits = INDENT + len(one_line) <= WIDTH
        return _lines("(", [one_line if fits else _sum(value.parts, INDENT)], ")", 0, separator="")
    if isinstance(value, str) and too_long and INDENT + len(text) <= WIDTH:
        return _lines("(", [text], ")", 0, separator="")
    return text


def _sum(parts: tuple[str | Name, ...], indent: int) -> str:
    """One operand a line, as is done inside brackets."""
    return ("\n" + " " * indent + "+ ").join(map(flat, parts))


def _exploded(value: Sequence[Any] | Mapping[str, Any], indent: int) -> str:
    inside = indent + INDENT
    if isinstance(value, Mapping):
        items = []
        for key, item in value.items():
            start = f"{flat(key)}: "
            text = laid_out(item, indent=inside, before=inside + len(start), after=1)
            items.append(start + text)
        return _lines("{", items, "}", indent)
    items = [laid_out(item, indent=inside, before=inside, after=1) for item in value]
    brackets = "()" if isinstance(value, tuple) else "[]"
    return _lines(brackets[0], items, brackets[1], indent)


def _called(call: Call, indent: int) -> str:
    inside = indent + INDENT
    items = [laid_out(arg, indent=inside, before=inside, after=1) for arg in call.args]
    for key, option in call.options.items():
        before = inside + len(key) + 1
        items.append(f"{key}={laid_out(option, indent=inside, before=before, after=1)}")
    return call.name + _lines("(", items, ")", indent)


def _arguments(call: Call, indent: int) -> str:
    text = laid_out(call, indent=indent, before=indent, after=0)
    return text.removeprefix(call.name)


def _fluent(calls: tuple[Call, ...]) -> bool:
    return len(calls) > 2


def _lines(
    opening: str, items: Sequence[str], closing: str, indent: int, separator: str = ","
) -> str:
    pad = "\n" + " " * (indent + INDENT)
    return (
        opening
        + "".join(f"{pad}{item}{separator}" for item in items)
        + "\n"
        + " " * indent
        + closing
    )


_ASSIGNMENT = re.compile(r"[A-Za-z_]+(: [a-z\[\], .]+)? = ")
_TOKEN = re.compile("\x00([0-9]+)\x00")


class Writer:
    """Stands in for values while a template is filled, and writes them once their column is known.

    The template gets a token a value; no value can look like one, since tokens hold a zero byte,
    which `quoted` never writes.
    """

    def __init__(self) -> None:
        self._values: list[Any] = []

    def token(self, value: Any) -> str:
        self._values.append(value)
        return f"\x00{len(self._values) - 1}\x00"

    def write(self, text: str) -> str:
        if "\x00" not in text:
            return text
        return "\n".join(map(self._line, text.split("\n")))

    def _line(self, line: str) -> str:
        tokens = list(_TOKEN.finditer(line))
        if len(tokens) != 1:
            return _TOKEN.sub(lambda token: flat(self._value(token)), line)
        token = tokens[0]
        start, end = line[: token.start()], line[token.end() :]
        value = self._value(token)
        if _ASSIGNMENT.fullmatch(start) and not end:
            return start + assigned(value, before=len(start))
        indent = len(line) - len(line.lstrip(" "))
        return start + laid_out(value, indent=indent, before=len(start), after=len(end)) + end

    def _value(self, token: re.Match[str]) -> Any:
        return self._values[int(token[1])]
