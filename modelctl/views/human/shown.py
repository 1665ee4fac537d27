"""How does a spec in full read? As YAML that means the same, each value with its origin."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from modelctl.views.escaped import dumped
from modelctl.views.human.words import plain
from modelctl.views.paint import Paint


def spec(
    fields: Mapping[str, Any], origin: Callable[[tuple[str | int, ...]], str], *, paint: Paint
) -> str:
    """A spec as YAML, each value with where it comes from: it can be saved and used as it is."""
    lines = list(_yaml_lines(fields, (), 0))
    column = min(48, max(len(text) for text, _ in lines) + 2)
    return "\n".join(
        text if path is None else f"{text + '  ':<{column}}{paint('# ' + origin(path), 'dim')}"
        for text, path in lines
    )


_YamlLine = tuple[str, tuple[str | int, ...] | None]


def _yaml_lines(value: Any, path: tuple[str | int, ...], depth: int) -> Iterator[_YamlLine]:
    indent = "  " * depth
    for key, item in value.items():
        here = (*path, key)
        if isinstance(item, Mapping) and item:
            yield f"{indent}{_scalar(key)}:", None
            yield from _yaml_lines(item, here, depth + 1)
        elif isinstance(item, list) and item and all(isinstance(x, Mapping) and x for x in item):
            yield f"{indent}{_scalar(key)}:", None
            for number, entry in enumerate(item):
                inner = list(_yaml_lines(entry, (*here, number), depth + 2))
                yield f"{indent}  - {inner[0][0].lstrip()}", inner[0][1]
                yield from inner[1:]
        else:
            # What an engine is told is told as it was written: it may tell 1 from 1.0.
            number = isinstance(item, float) and "args" not in here
            yield f"{indent}{_scalar(key)}: {plain(item) if number else _scalar(item)}", here


def _scalar(value: Any) -> str:
    """One value as YAML on one line, quoted where a reader could take it for something else."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and not _LOOKS_TYPED.fullmatch(value):
        return value
    return dumped(value)


_PLAIN = re.compile(r"[A-Za-z0-9./_][A-Za-z0-9./_@+~ -]*(?::/{0,2}[A-Za-z0-9./_@+~-]+)*")
_LOOKS_TYPED = re.compile(
    r"(?i)y|n|yes|no|on|off|true|false|null|~|[-+.]?[0-9][0-9_.:eE+-]*|0[xob][0-9a-f]+|.* | .*"
)
