"""Which value does each flag of a command line have? Read back from the words, by their meaning."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from msgspec import Struct

from modelctl.facts.flags import FlagTable
from modelctl.resolved import Flag, Word

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kKmMgGtT]?)")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_YES, _NO = ("true", "on", "enabled", "1"), ("false", "off", "disabled", "0")


class Said(Struct, frozen=True, dict=True):
    """What was said of each flag, under its main name; of one that is said twice, the last.

    True is a flag that stands alone, False one that was turned off.
    """

    values: Mapping[str, str | bool]

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        return value if isinstance(value, str) else None

    def whole(self, name: str) -> int | None:
        """A whole number, also with a suffix: 8k is 8,000 and 8K is 8,192, as vLLM reads it."""
        text = self.text(name)
        if text is None:
            return None
        if text.removeprefix("-").isdecimal():
            return int(text)
        match = _SIZE.fullmatch(text)
        if match is None:
            return None
        number, suffix = match.groups()
        base = 1000 if suffix.islower() else 1024
        return int(float(number) * base ** _POWERS[suffix.lower()])

    def number(self, name: str) -> float | None:
        try:
            return float(self.text(name) or "")
        except ValueError:
            return None

    def yes(self, name: str) -> bool | None:
        """True or False where it was said, in any of an engine's words; None elsewhere."""
        value = self.values.get(name)
        if isinstance(value, str):
            word = value.lower()
            return True if word in _YES else False if word in _NO else None
        return value

    @cached_property
    def _nested(self) -> bool:
        return any("." in key for key in self.values)

    def mapping(self, name: str) -> Mapping[str, Any]:
        """A document in JSON; empty where it is none. `name.key` sets one of its keys."""
        found: dict[str, Any] = _document(self.text(name))
        if not self._nested:
            return found
        for key, value in self.values.items():
            head, _, inner = key.partition(".")
            if head == name and inner:
                found[inner] = _plain(value)
        return found


def said(flags: Iterable[Flag], table: FlagTable | None) -> Said:
    """`flags` as they stand on the command line; `table` knows which spellings mean the same.

    Without a table each flag goes by the name that is written.
    """
    values: dict[str, str | bool] = {}
    for flag in flags:
        words = [_written(word) for word in flag]
        name, joined, value = words[0].partition("=")
        rest = [value] if joined else words[1:]
        head, dot, inner = name.partition(".")
        match = table.find(head) if table else None
        main = head.lstrip("-") if match is None else match.fact.name
        if rest:
            values[f"{main}{dot}{inner}"] = " ".join(rest)
        elif match is not None:
            values[main] = not match.negated
        else:
            values[main.removeprefix("no-")] = not main.startswith("no-")
    return Said(values)


def _written(word: Word) -> str:
    return word if isinstance(word, str) else f"{word.before}{word.path}{word.after}"


def _document(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _plain(value: str | bool) -> Any:
    if isinstance(value, bool):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
