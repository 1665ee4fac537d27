"""How are durations and sizes written? `90s`, `5m`, `2h`; `16GiB`; kept as seconds and bytes."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

_DURATION = re.compile(r"(?P<count>[0-9]+(?:\.[0-9]+)?)(?P<unit>ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(?P<count>[0-9]+(?:\.[0-9]+)?) ?(?P<unit>[KMGT]i?B)")
_BYTES = {
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
}  # fmt: skip


def seconds(text: str) -> float | None:
    """`"5m"` → `300.0`; None where the text is no duration."""
    match = _DURATION.fullmatch(text)
    return float(match["count"]) * _SECONDS[match["unit"]] if match else None


def size_bytes(text: str) -> int | None:
    """`"16GiB"` → `17179869184`; None where the text is no size."""
    match = _SIZE.fullmatch(text)
    return round(float(match["count"]) * _BYTES[match["unit"]]) if match else None


def duration_text(value: float) -> str:
    """`300.0` → `"5m"`: the largest unit that needs no fraction."""
    for unit in ("d", "h", "m", "s"):
        if value >= _SECONDS[unit] and value % _SECONDS[unit] == 0:
            return f"{value / _SECONDS[unit]:g}{unit}"
    return f"{value:g}s" if value >= 1 or not value else f"{value * 1000:g}ms"


def size_text(value: int) -> str:
    """`17179869184` → `"16GiB"`: the largest unit that needs no fraction."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if value and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return f"{value / _BYTES['MiB']:g}MiB"


def _read_duration(value: Any) -> float:
    found = seconds(value) if isinstance(value, str) else None
    if found is None:
        raise PydanticCustomError("duration", "a duration is written 90s, 5m or 2h")
    return found


def _read_size(value: Any) -> int:
    found = size_bytes(value) if isinstance(value, str) else None
    if found is None:
        raise PydanticCustomError("size", "a size is written with its unit, such as 16GiB")
    return found


def _schema_pattern(pattern: re.Pattern[str]) -> str:
    """The same pattern in JSON Schema's dialect, which has no named groups."""
    return "^" + re.sub(r"\?P<[a-z]+>", "?:", pattern.pattern) + "$"


Duration = Annotated[
    float,
    BeforeValidator(_read_duration),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": _schema_pattern(_DURATION), "examples": ["90s", "5m", "2h"]}
    ),
]
"""Seconds, written with a unit."""

DAY = r"^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])$"
"""How a day is written; whether the month has it, a rule looks."""

ADDRESS = r"^https?://[!-.0-~][!-~]*$"
"""How a server's address is written, with its scheme: an empty one would mean Amazon's."""

Size = Annotated[
    int,
    BeforeValidator(_read_size),
    PlainSerializer(size_text, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": _schema_pattern(_SIZE), "examples": ["512MiB", "16GiB"]}
    ),
]
"""Bytes, written with a unit."""
