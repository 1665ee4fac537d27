"""What is the value of an expression, as far as reading tells?"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from modelctl.importing import calls
from modelctl.importing.calls import NotKnown, is_plain, text_of, truth
from modelctl.importing.values import (
    LONGEST_LIST,
    LONGEST_TEXT,
    Bound,
    Called,
    Defined,
    Holes,
    Instance,
    Ref,
    Unread,
    Value,
    clean,
    copied,
    marked,
    size,
    variables_of,
)

Scopes = tuple[dict[str, Value], ...]
"""The names that may be used somewhere: the module's first, the innermost last."""

STEPS = 200_000
"""Expressions that are looked at; a file that needs more is none that serves a model."""
CHARACTERS = 5_000_000
"""Of all values that are put together."""
_DEPTH = 100

_STARTS = frozenset(
    {
        *(f"subprocess.{name}" for name in ("Popen", "run", "call", "check_call", "check_output")),
        *(f"os.{name}" for name in ("system", "execv", "execve", "execvp", "execvpe", "popen")),
        *("asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell"),
    }
)
_ENVIRONMENT = ("os.environ.get", "os.getenv", "os.environ.setdefault")
# What may be looked up in Python itself without an import.
_BUILTINS = frozenset(
    "str int float bool len min max list tuple dict sorted range print".split()  # noqa: SIM905
)


class TooMuch(Exception):
    """The program is larger than what is followed; `line` is where that was."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class Started(Struct, frozen=True):
    """A process that the program starts: its words, or one text for a shell."""

    words: Value
    environment: Value
    line: int


class Applied(Struct, frozen=True):
    """A decorator that is called by hand: `app.server(…)(Server)`."""

    decorator: Called
    on: Value


class Expressions:
    """Values, and what calls leave behind: processes, variables, decorators that are called."""

    def __init__(self) -> None:
        self.started: list[Started] = []
        self.applied: list[Applied] = []
        self.variables: dict[str, Value] = {}
        self.holes = Holes()
        self._steps = 0
        self._characters = 0
        self._depth = 0

    def into(
        self, defined: Defined, args: Sequence[Value], options: Mapping[str, Value], line: int
    ) -> Value:
        """Follow a function of the file with what it is called with."""
        raise NotImplementedError

    def instance(self, defined: Defined) -> Instance:
        """A class with its body's names as the attributes of `self`."""
        raise NotImplementedError

    def assign(self, target: ast.expr, value: Value, scopes: Scopes) -> None:
        raise NotImplementedError

    def value(self, node: ast.expr, scopes: Scopes) -> Value:
        self.step(node)
        if self._depth > _DEPTH:
            return Unread("it is nested too deep", node.lineno)
        self._depth += 1
        try:
            found = self._value(node, scopes)
            self.spend(found, node)
            return found
        except NotKnown:
            return Unread("it is worked out when it runs", node.lineno)
        except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError):
            return Unread("it fails, or is none of Python's plain values", node.lineno)
        finally:
            self._depth -= 1

    def _value(self, node: ast.expr, scopes: Scopes) -> Value:
        match node:
            case ast.Constant():
                if isinstance(node.value, str):
                    return clean(node.value)
                if is_plain(node.value):
                    return node.value
            case ast.Name():
                return self._name(node, scopes)
            case ast.List() | ast.Tuple() | ast.Set():
                items = list(self._elements(node.elts, scopes))
                return tuple(items) if isinstance(node, ast.Tuple) else items
            case ast.Dict():
                return self._mapping(node, scopes)
            case ast.JoinedStr():
                return self._joined(node, scopes)
            case ast.BinOp():
                left, right = self.value(node.left, scopes), self.value(node.right, scopes)
                return self.operated(type(node.op).__name__, left, right, node)
            case ast.UnaryOp():
                operand = self.value(node.operand, scopes)
                if isinstance(node.op, ast.USub) and type(operand) in (int, float):
                    return -operand
                if isinstance(node.op, ast.Not) and (known := truth(operand)) is not None:
                    return not known
            case ast.BoolOp():
                return self._either(node, scopes)
            case ast.Compare():
                return self._compared(node, scopes)
            case ast.IfExp():
                known = truth(self.value(node.test, scopes))
                if known is not None:
                    return self.value(node.body if known else node.orelse, scopes)
            case ast.Attribute():
                return self._attribute(self.value(node.value, scopes), node.attr, node)
            case ast.Subscript():
                return self._item(node, scopes)
            case ast.Call():
                return self._call(node, scopes)
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
                return list(self._comprehended(node, scopes))
            case ast.Await():
                return self.value(node.value, scopes)
            case ast.NamedExpr():
                value = self.value(node.value, scopes)
                self.assign(node.target, value, scopes)
                return value
        raise NotKnown

    def _name(self, node: ast.Name, scopes: Scopes) -> Value:
        for scope in reversed(scopes):
            if node.id in scope:
                return scope[node.id]
        if node.id in _BUILTINS:
            return Ref(node.id)
        return Unread(f"{node.id} is not in the file", node.lineno)

    def _elements(self, nodes: Sequence[ast.expr], scopes: Scopes) -> Iterator[Value]:
        for node in nodes:
            if not isinstance(node, ast.Starred):
                yield self.value(node, scopes)
                continue
            more = self.value(node.value, scopes)
            if isinstance(more, list | tuple | dict):
                yield from more
            else:
                yield lost(more, node.lineno)

    def _mapping(self, node: ast.Dict, scopes: Scopes) -> dict[Any, Value]:
        made: dict[Any, Value] = {}
        for key, inner in zip(node.keys, node.values, strict=True):
            value = self.value(inner, scopes)
            if key is None:
                if isinstance(value, dict):
                    made.update(value)
                continue
            name = self.value(key, scopes)
            if is_plain(name):
                made[name] = value
        return made

    def _joined(self, node: ast.JoinedStr, scopes: Scopes) -> Value:
        parts: list[str] = []
        variables: frozenset[str] = frozenset()
        for piece in node.values:
            if isinstance(piece, ast.Constant):
                parts.append(clean(str(piece.value)))
                continue
            assert isinstance(piece, ast.FormattedValue)
            if piece.format_spec is not None or piece.conversion != -1:
                raise NotKnown
            value = self.value(piece.value, scopes)
            variables |= variables_of(value)
            parts.append(text_of(value, self.holes))
        return marked(calls.glued(parts), variables)

    def operated(self, operator: str, left: Value, right: Value, node: ast.AST) -> Value:
        try:
            made = calls.operated(operator, left, right, self.holes)
        except NotKnown:
            unknown = next((v for v in (left, right) if isinstance(v, Unread)), None)
            return unknown or Unread("it is worked out when it runs", getattr(node, "lineno", 1))
        return marked(made, variables_of(left) | variables_of(right))

    def _either(self, node: ast.BoolOp, scopes: Scopes) -> Value:
        value: Value = None
        for operand in node.values:
            value = self.value(operand, scopes)
            known = truth(value)
            if known is None:
                raise NotKnown
            if known is isinstance(node.op, ast.Or):
                return value
        return value

    def _compared(self, node: ast.Compare, scopes: Scopes) -> bool:
        left, right = self.value(node.left, scopes), self.value(node.comparators[0], scopes)
        if len(node.ops) > 1:
            raise NotKnown
        for side in (left, right):
            if not is_plain(side) and not isinstance(side, list | tuple | dict):
                raise NotKnown
        match node.ops[0]:
            case ast.Eq() | ast.Is():
                return bool(left == right)
            case ast.NotEq() | ast.IsNot():
                return bool(left != right)
            case ast.Gt():
                return bool(left > right)
            case ast.GtE():
                return bool(left >= right)
            case ast.Lt():
                return bool(left < right)
            case ast.LtE():
                return bool(left <= right)
            case ast.In():
                return left in right
            case ast.NotIn():
                return left not in right
        raise NotKnown

    def _attribute(self, on: Value, name: str, node: ast.expr) -> Value:
        if isinstance(on, Ref):
            return Ref(f"{on.name}.{name}")
        if isinstance(on, Instance):
            if name in on.attributes:
                return on.attributes[name]
            return on.methods.get(name, Unread(f"self.{name} is not in the file", node.lineno))
        if isinstance(on, Unread):
            return on
        if isinstance(on, Defined) and isinstance(on.node, ast.ClassDef):
            return self.instance(on).attributes.get(name, Unread("not an attribute", node.lineno))
        return Bound(on, name)

    def _item(self, node: ast.Subscript, scopes: Scopes) -> Value:
        on = self.value(node.value, scopes)
        if isinstance(node.slice, ast.Slice):
            parts = (node.slice.lower, node.slice.upper, node.slice.step)
            bounds = [None if part is None else self.value(part, scopes) for part in parts]
            if isinstance(on, str | list | tuple):
                return on[slice(*bounds)]
            raise NotKnown
        key = self.value(node.slice, scopes)
        if isinstance(on, Ref) and on.name == "os.environ":
            return Unread(f"the variable {key} is set where it runs", node.lineno, str(key))
        if isinstance(on, dict | list | tuple | str) and is_plain(key):
            return on[key]
        raise NotKnown

    def _comprehended(
        self,
        node: ast.ListComp | ast.GeneratorExp | ast.SetComp,
        scopes: Scopes,
    ) -> Iterator[Value]:
        inner = (*scopes, {})

        def over(generators: Sequence[ast.comprehension]) -> Iterator[Value]:
            if not generators:
                yield self.value(node.elt, inner)
                return
            here = self.value(generators[0].iter, inner)
            if not isinstance(here, list | tuple | dict):
                raise NotKnown
            for item in list(here):
                self.assign(generators[0].target, item, inner)
                tests = [truth(self.value(test, inner)) for test in generators[0].ifs]
                if None in tests:
                    raise NotKnown
                if all(tests):
                    yield from over(generators[1:])

        return over(node.generators)

    # Calls

    def _call(self, node: ast.Call, scopes: Scopes) -> Value:
        function = self.value(node.func, scopes)
        args = tuple(self._elements(node.args, scopes))
        options: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.value(keyword.value, scopes)
            if keyword.arg is not None:
                options[keyword.arg] = value
            elif isinstance(value, dict):
                options.update({str(key): inner for key, inner in value.items()})
        match function:
            case Defined():
                if isinstance(function.node, ast.ClassDef):
                    return self.instance(function)
                return self.into(function, args, options, node.lineno)
            case Ref():
                return self._module_call(function.name, args, options, node.lineno)
            case Bound(on=Called() as on, name=name):
                return _called(f"{on.name}.{name}", args, options, node.lineno, on)
            case Bound(on=Defined()):
                raise NotKnown  # .remote() of a function of the app, say
            case Bound(on=on, name=name):
                return self._method_call(on, name, args, options)
            case Called():
                if args:
                    self.applied.append(Applied(function, args[0]))
                return _called(f"{function.name}()", args, options, node.lineno, function)
            case Unread():
                return function
        raise NotKnown

    def _module_call(
        self, name: str, args: tuple[Value, ...], options: dict[str, Value], line: int
    ) -> Value:
        if name in _STARTS:
            self._start(name, args, options, line)
        if name in _ENVIRONMENT and args and isinstance(args[0], str):
            default = args[1] if len(args) > 1 else options.get("default")
            if name == "os.environ.setdefault":
                self.variables.setdefault(args[0], default)
            if default is None:
                return Unread(f"the variable {args[0]} is set where it runs", line, args[0])
            return marked(default, variables_of(default) | {args[0]})
        try:
            made = calls.of_module(name, args, options, self.holes)
        except NotKnown:
            return _called(name, args, options, line)
        return marked(made, frozenset().union(*map(variables_of, args)))

    def _method_call(
        self, on: Value, name: str, args: tuple[Value, ...], options: dict[str, Value]
    ) -> Value:
        if isinstance(on, str):
            made = calls.of_text(on, name, args, options, self.holes)
            return marked(made, frozenset().union(variables_of(on), *map(variables_of, args)))
        if isinstance(on, list):
            if name == "extend" and args and isinstance(args[0], Unread):
                on.append(args[0])
                return None
            return calls.of_list(on, name, args)
        if isinstance(on, dict):
            return calls.of_mapping(on, name, args, options)
        raise NotKnown

    def _start(
        self, name: str, args: tuple[Value, ...], options: dict[str, Value], line: int
    ) -> None:
        words = args[0] if args else options.get("args")
        if name.startswith("os.exec"):
            words = args[1] if len(args) > 1 else words
        elif name == "asyncio.create_subprocess_exec":
            words = list(args)
        environment = options.get("env")
        kept = list(words) if isinstance(words, list | tuple) else words
        self.started.append(Started(kept, copied(environment), line))

    def step(self, node: ast.AST) -> None:
        self._steps += 1
        if self._steps > STEPS:
            raise TooMuch(getattr(node, "lineno", 1))

    def spend(self, value: Value, node: ast.AST) -> None:
        """Raises NotKnown for what holds more than any command line, itself say."""
        if not isinstance(value, str | list | tuple | dict):
            return
        held = len(value) if isinstance(value, str) else size(value)
        self._characters += held
        if self._characters > CHARACTERS:
            raise TooMuch(getattr(node, "lineno", 1))
        if held > (LONGEST_TEXT if isinstance(value, str) else LONGEST_LIST):
            raise NotKnown


def _called(
    name: str,
    args: tuple[Value, ...],
    options: dict[str, Value],
    line: int,
    on: Called | None = None,
) -> Called:
    """What a list holds later is no part of the call."""
    kept = {name: copied(value) for name, value in options.items()}
    return Called(name, tuple(map(copied, args)), kept, line, on)


def lost(value: Value, line: int) -> Unread:
    return value if isinstance(value, Unread) else Unread("it is worked out when it runs", line)
