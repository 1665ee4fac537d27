"""How are counts, times and long sentences written?"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def first(found: Sequence[_T], most: int) -> tuple[Sequence[_T], Sequence[_T]]:
    """So many of them, and the rest; which is never one alone: it fits where "1 more" would."""
    end = len(found) if len(found) <= most + 1 else most
    return found[:end], found[end:]


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def lasting(seconds: float) -> str:
    """About how long, in one unit: `40 s`, `6 min`, `2 h`, `3 d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def wrapped(text: str, width: int, painted: str = "", label: str = "") -> list[str]:
    lines = textwrap.wrap(
        text, width - 2, break_long_words=False, break_on_hyphens=False,
        subsequent_indent=" " * len(label),
    )  # fmt: skip
    if painted and lines:
        lines[0] = painted + lines[0][len(label) :]
    return [f"  {line}" for line in lines]


def plain(value: object) -> str:
    """A value as a spec would say it: 1000 also where it was read as a number with a fraction."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return f"{value:.0f}"
    return str(value)


def tokens(count: int) -> str:
    """`32k` for 32,768; other lengths as they are."""
    return f"{count // 1024}k" if count % 1024 == 0 else f"{count:,}"


def printable(text: str) -> str:
    """A source line with each character in one column, so that carets stand under their text."""
    return "".join(c if c.isprintable() else ("�" if c != "\t" else " ") for c in text)
