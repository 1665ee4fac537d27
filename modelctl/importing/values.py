"""What may a value be in a program that is only read? Python's own, or what reading cannot know."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct, field

Value = Any
"""str, int, float, bool, None, list, tuple, dict, or one of the classes below."""

LONGEST_TEXT = 50_000
"""Characters of one string. More is not read: no command line is that long."""
LONGEST_LIST = 5_000


class Unread(Struct, frozen=True):
    """What reading alone cannot know: why, as the end of a sentence, and the line.

    `variable` is the one of the environment that it is.
    """

    why: str
    line: int
    variable: str = ""


class Ref(Struct, frozen=True):
    """A name of a module that is not read: `modal.Image`, `sys.executable`."""

    name: str


class Called(Struct, frozen=True):
    """A call of something that is not read: `modal.Volume.from_name("x")`.

    `name` is dotted, with the calls that it hangs on: `modal.App.server`. `on` is the call whose
    result's method this is.
    """

    name: str
    args: tuple[Value, ...]
    options: Mapping[str, Value]
    line: int
    on: Called | None = None

    @property
    def last(self) -> str:
        return self.name.rpartition(".")[2]


class Bound(Struct, frozen=True):
    """A method of a value of Python's own, before its call: `" ".join`."""

    on: Value
    name: str


class Instance(Struct, eq=False):
    """`self` of a class of the file: its methods, and what they put into it."""

    methods: Mapping[str, Defined]
    attributes: dict[str, Value] = field(default_factory=dict)


class Defined(Struct, frozen=True, eq=False):
    """A function or a class of the file, with what it is decorated with, the innermost last.

    `scopes` are the names around it; `owner` is the instance of a method.
    """

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    decorators: tuple[Value, ...]
    scopes: tuple[dict[str, Value], ...]
    owner: Instance | None = None


class FromEnvironment:
    """Mixed into a value that is the default of a variable of the environment."""

    variables: frozenset[str]


class _Text(str, FromEnvironment):
    __slots__ = ("variables",)


class _Whole(int, FromEnvironment):
    pass


class _Number(float, FromEnvironment):
    pass


_MARKED: Mapping[type, type] = {str: _Text, int: _Whole, float: _Number}


def marked(value: Value, variables: frozenset[str]) -> Value:
    """The same value, which follows from the defaults of these variables."""
    kind = next((k for k in _MARKED if type(value) in (k, _MARKED[k])), None)
    if not variables or kind is None:
        return value
    made = _MARKED[kind](value)
    made.variables = variables
    return made


def variables_of(value: Value) -> frozenset[str]:
    if isinstance(value, FromEnvironment):
        return value.variables
    found: frozenset[str] = frozenset()
    for inner in _inside(value):
        found |= variables_of(inner)
    return found


def _inside(value: Value) -> Iterable[Value]:
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, dict):
        return value.values()
    return ()


class Holes:
    """Strings with a part that is not known: the part is written as one character and a number."""

    _HOLE = re.compile("\ue000(\\d+)\ue001")

    def __init__(self) -> None:
        self._unread: list[Unread] = []

    def write(self, unread: Unread) -> str:
        self._unread.append(unread)
        return f"\ue000{len(self._unread) - 1}\ue001"

    def read(self, text: str) -> Unread | None:
        """Why a text is not known; None for one that is."""
        for match in self._HOLE.finditer(text):
            number = int(match[1])
            if number < len(self._unread):
                return self._unread[number]
        return None


def clean(text: str) -> str:
    """A file's own text as it can be written, without the characters of holes."""
    text = text.encode("utf-8", "replace").decode()
    return text.replace("\ue000", "").replace("\ue001", "")


def size(value: Value) -> int:
    """How much there is of a value, counted up to LONGEST_LIST and a little more."""
    count, stack = 0, [value]
    while stack and count <= LONGEST_LIST:
        here = stack.pop()
        count += 1 + (len(here) // 100 if isinstance(here, str) else 0)
        stack.extend(list(_inside(here))[: LONGEST_LIST + 1])
    return count


def copied(value: Value) -> Value:
    """A value that somebody else may change."""
    if isinstance(value, list):
        return [copied(item) for item in value]
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    return value


def kept(value: Value, line: int) -> Value:
    """A copy of a name's value, as far as it has an end."""
    return copied(value) if size(value) <= LONGEST_LIST else Unread("it has no end", line)


def targets(node: ast.AST) -> Iterator[str]:
    """The names that are bound anywhere in a statement."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id
