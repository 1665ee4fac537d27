"""What does a call of Python's own give, without running it? Only what builds a command line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

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
    size,
)


class NotKnown(Exception):
    """This call gives what reading alone cannot know."""


PLAIN = (str, int, float, bool, type(None))

_TEXT: Mapping[str, Callable[..., Any]] = {
    name: getattr(str, name)
    for name in (
        "lower", "upper", "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "replace",
        "removeprefix", "removesuffix", "startswith", "endswith", "title", "partition",
        "rpartition", "capitalize",
    )
}  # fmt: skip


def is_plain(value: Value) -> bool:
    return isinstance(value, PLAIN)


def text_of(value: Value, holes: Holes) -> str:
    """What `str()` gives, with a hole where that is not known."""
    if isinstance(value, Unread):
        return holes.write(value)
    if is_plain(value):
        return str(value)
    if isinstance(value, Ref) and value.name == "sys.executable":
        return "python"
    if isinstance(value, list | tuple | dict) and size(value) <= LONGEST_LIST:
        return str(value)
    if isinstance(value, Called):
        return holes.write(Unread(f"{value.name}() is not read", value.line))
    if isinstance(value, Bound) and isinstance(value.on, Called):
        return holes.write(Unread(f"{value.on.name}() is not read", value.on.line))
    return holes.write(Unread("it is worked out when it runs", 0))


def of_module(name: str, args: Sequence[Value], options: Mapping[str, Value], holes: Holes) -> Any:
    """A function by its dotted name; raises NotKnown, also for what it does not know."""
    match name, args:
        case "str", [value]:
            return text_of(value, holes)
        case "str", []:
            return ""
        case ("int" | "float" | "bool") as kind, [value] if is_plain(value):
            return {"int": int, "float": float, "bool": bool}[kind](value)
        case "len", [str() | list() | tuple() | dict() as value]:
            return len(value)
        case ("min" | "max") as kind, _ if args and all(type(a) in (int, float) for a in args):
            return {"min": min, "max": max}[kind](args)
        case ("list" | "tuple") as kind, [list() | tuple() | dict() as value]:
            return list(value) if kind == "list" else tuple(value)
        case "dict", []:
            return dict(options)
        case "dict", [dict() as value]:
            return {**value, **options}
        case "sorted", [list() | tuple() as value] if all(isinstance(v, str) for v in value):
            return sorted(value)
        case "range", _ if args and all(type(a) is int for a in args):
            found = range(*args)
            if len(found) > LONGEST_LIST:
                raise NotKnown
            return list(found)
        case "json.dumps", [value] if size(value) <= LONGEST_LIST:
            return json.dumps(value, default=lambda inner: text_of(inner, holes))
        case "json.loads", [str() as value]:
            return json.loads(value)
        case "shlex.split", [str() as value]:
            return shlex.split(value)
        case "shlex.join", [list() | tuple() as value]:
            return glued((quoted(text_of(word, holes), holes) for word in value), " ")
        case "shlex.quote", [str() as value]:
            return quoted(value, holes)
        case (("pathlib.Path" | "pathlib.PurePosixPath" | "os.path.join"), _) if args:
            return joined([text_of(part, holes) for part in args])
        case _:
            raise NotKnown


def quoted(word: str, holes: Holes) -> str:
    return word if holes.read(word) else shlex.quote(word)


def joined(parts: Sequence[str]) -> str:
    """As a path is joined: what begins with a slash begins anew."""
    path = ""
    for part in parts:
        path = part if part.startswith("/") or not path else f"{path.rstrip('/')}/{part}"
    return path


def of_text(text: str, name: str, args: Sequence[Value], options: Mapping[str, Value],
            holes: Holes) -> Any:  # fmt: skip
    if name == "join" and len(args) == 1 and isinstance(args[0], list | tuple):
        return glued((text_of(part, holes) for part in args[0]), text)
    if name == "replace" and len(text) * max(len(str(arg)) for arg in args) > 100 * LONGEST_TEXT:
        raise NotKnown
    if name == "format":
        return _formatted(text, args, options, holes)
    if name == "encode" and not args:
        return text
    if name in ("as_posix", "resolve", "absolute", "expanduser") and not args:
        return text
    if name in _TEXT and all(is_plain(arg) for arg in args) and not options:
        return _TEXT[name](text, *args)
    raise NotKnown


def _formatted(text: str, args: Sequence[Value], options: Mapping[str, Value], holes: Holes) -> str:
    """Only `{}`, `{0}` and `{name}`: a width could make a text of any length."""
    counted = iter(args)
    made, at = [], 0
    try:
        for match in re.finditer(r"\{\{|\}\}|\{(\w*)\}", text):
            name = match[1]
            made.append(text[at : match.start()])
            at = match.end()
            if name is None:
                made.append(match[0][0])
            elif not name:
                made.append(text_of(next(counted), holes))
            else:
                value = args[int(name)] if name.isdigit() else options[name]
                made.append(text_of(value, holes))
    except (KeyError, IndexError, StopIteration) as problem:
        raise NotKnown from problem
    return glued([*made, text[at:]])


def of_list(here: list[Value], name: str, args: Sequence[Value]) -> Any:
    """These change the list, as the program would."""
    match name, args:
        case "append", [value]:
            here.append(value)
        case "extend", [list() | tuple() as more]:
            here.extend(more)
        case "insert", [int() as index, value]:
            here.insert(index, value)
        case "copy", []:
            return list(here)
        case _:
            raise NotKnown
    if len(here) > LONGEST_LIST:
        del here[LONGEST_LIST:]
    return None


def of_mapping(here: dict[Any, Value], name: str, args: Sequence[Value],
               options: Mapping[str, Value]) -> Any:  # fmt: skip
    match name, args:
        case "get", [key, *default] if is_plain(key):
            return here.get(key, default[0] if default else None)
        case "items", []:
            return [tuple(item) for item in here.items()]
        case "keys", []:
            return list(here)
        case "values", []:
            return list(here.values())
        case "copy", []:
            return dict(here)
        case "update", [dict() as more]:
            here.update(more)
        case "update", []:
            here.update(options)
        case "setdefault", [key, value] if is_plain(key):
            return here.setdefault(key, value)
        case _:
            raise NotKnown
    return None


def operated(operator: str, left: Value, right: Value, holes: Holes) -> Any:
    """`left operator right`, within bounds: no text or number of any size."""
    unknown = (Unread, Called, Ref)
    match operator:
        case "Add" if isinstance(left, str) and isinstance(right, (str, *unknown)):
            return left + text_of(right, holes)
        case "Add" if isinstance(left, unknown) and isinstance(right, str):
            return text_of(left, holes) + right
        case "Add" if isinstance(left, list) and isinstance(right, list | tuple):
            return [*left, *right]
        case "Add" if isinstance(left, tuple) and isinstance(right, tuple):
            return (*left, *right)
        case "BitOr" if isinstance(left, dict) and isinstance(right, dict):
            return {**left, **right}
        case "Mod" if isinstance(left, str):
            return _percent(left, right, holes)
        case "Div" if isinstance(left, str) and isinstance(right, str):
            return joined([left, right])
        case "Mult" if isinstance(left, str | list | tuple) and type(right) is int:
            if right * len(left) > LONGEST_LIST:
                raise NotKnown
            return left * right
    if not (isinstance(left, int | float) and isinstance(right, int | float)):
        raise NotKnown
    return _number(operator, left, right)


def _number(operator: str, left: float, right: float) -> float:
    if abs(left) > 2**64 or abs(right) > 2**64 or operator not in _NUMBERS:
        raise NotKnown
    if operator in ("Pow", "LShift") and not 0 <= right <= 64:
        raise NotKnown
    made: float = _NUMBERS[operator](left, right)
    return made


_NUMBERS: Mapping[str, Callable[[Any, Any], Any]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mult": lambda a, b: a * b,
    "Div": lambda a, b: a / b,
    "FloorDiv": lambda a, b: a // b,
    "Mod": lambda a, b: a % b,
    "Pow": lambda a, b: a**b,
    "LShift": lambda a, b: int(a) << int(b),
}


def _percent(text: str, value: Value, holes: Holes) -> str:
    """`"%s:%d" % (…)`, without widths."""
    values = list(value) if isinstance(value, tuple) else [value]
    pieces = re.split(r"%([sd%])", text)
    made = [pieces[0]]
    for kind, after in zip(pieces[1::2], pieces[2::2], strict=True):
        if kind != "%" and not values:
            raise NotKnown
        made += ["%" if kind == "%" else text_of(values.pop(0), holes), after]
    if values or any("%" in piece for piece in pieces[0::2]):
        raise NotKnown
    return glued(made)


def glued(parts: Iterable[str], between: str = "") -> str:
    """Raises NotKnown where it would be longer than any command line."""
    kept, length = [], 0
    for part in parts:
        kept.append(part)
        length += len(part) + len(between)
        if length > LONGEST_TEXT:
            raise NotKnown
    return between.join(kept)


def truth(value: Value) -> bool | None:
    """None where it is not known."""
    if isinstance(value, Unread | Called | Ref):
        return None
    if isinstance(value, Defined | Instance):
        return True
    return bool(value)
