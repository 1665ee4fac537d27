"""What does a page say of what validate and plan warn of? Sentence, place, way out."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from modelctl.diagnostics import Diagnostic, Severity
from modelctl.views.human.words import counted

_TONES = {Severity.ERROR: "bad", Severity.WARNING: "some", Severity.NOT_CHECKED: "calm"}
_SIGNS = {Severity.ERROR: "×", Severity.WARNING: "!", Severity.NOT_CHECKED: "?"}
_MOST = 160
"""A source line longer than this is shown from before its caret."""


class Problem(Struct, frozen=True):
    """`before`, `marked` and `behind` are the source line, parted where the caret stands."""

    severity: str
    sign: str
    tone: str
    code: str
    message: str
    detail: str
    hint: str
    place: str
    line: int
    before: str
    marked: str
    behind: str
    environments: tuple[str, ...]


def of(found: Sequence[Diagnostic]) -> tuple[Problem, ...]:
    """Errors first, then warnings, then what was not checked."""
    order = list(Severity)
    return tuple(_problem(d) for d in sorted(found, key=lambda d: order.index(d.severity)))


def counts(found: Sequence[Diagnostic]) -> tuple[str, ...]:
    """`2 warnings`, `3 not checked`."""
    numbers = {s: sum(d.severity is s for d in found) for s in Severity}
    return tuple(
        f"{number} not checked" if s is Severity.NOT_CHECKED else counted(number, s.value)
        for s, number in numbers.items()
        if number
    )


def _problem(found: Diagnostic) -> Problem:
    place = found.place
    text = place.text if place else ""
    start = place.column - 1 if place else 0
    end = start + (place.width if place else 0)
    first = max(0, start - _MOST // 2)
    behind = text[end : end + _MOST]
    return Problem(
        severity=found.severity.value,
        sign=_SIGNS[found.severity],
        tone=_TONES[found.severity],
        code=found.code,
        message=found.message,
        detail=found.detail,
        hint=found.hint,
        place=f"{place.file}:{place.line}:{place.column}" if place else "",
        line=place.line if place else 0,
        before=("…" if first else "") + text[first:start],
        marked=text[start:end][:_MOST],
        behind=behind + ("…" if end + _MOST < len(text) else ""),
        environments=found.environments,
    )
