"""What does a problem look like? A severity, a stable code, a sentence, a place, and a way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    NOT_CHECKED = "not checked"


class Place(Struct, frozen=True):
    """Where in a file something stands. Lines and columns count from 1, as editors do.

    `width` is how many characters the caret underlines; `text` is the whole source line, so that
    a view can draw it without opening the file again.
    """

    file: str
    line: int = 1
    column: int = 1
    width: int = 1
    text: str = ""


class Diagnostic(Struct, frozen=True):
    """One problem. `message` is the sentence at the caret, `detail` the arithmetic behind it.

    `path` is the field in the spec's own words (`gpu[1]`); `environments` names those in which
    the problem shows, and is empty where it shows in all of them.
    """

    severity: Severity
    code: str
    message: str
    hint: str = ""
    place: Place | None = None
    path: str = ""
    detail: str = ""
    environments: tuple[str, ...] = ()

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR


def error(
    code: str, message: str, *, hint: str = "", place: Place | None = None, path: str = ""
) -> Diagnostic:
    return Diagnostic(Severity.ERROR, code, message, hint=hint, place=place, path=path)


def warning(
    code: str, message: str, *, hint: str = "", place: Place | None = None, path: str = ""
) -> Diagnostic:
    return Diagnostic(Severity.WARNING, code, message, hint=hint, place=place, path=path)


class Rejected(Exception):
    """The input cannot be worked with. Carries every problem that was found, never only one."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("; ".join(d.message for d in self.diagnostics))


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    return any(d.is_error for d in diagnostics)


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By file, line and column, as a person would walk through them; fileless ones come first."""
    return sorted(
        diagnostics,
        key=lambda d: (
            (d.place.file, d.place.line, d.place.column) if d.place else ("", 0, 0),
            d.code,
            d.message,
        ),
    )


def said_once(
    found: Sequence[tuple[str, Diagnostic]], all_environments: Sequence[str]
) -> list[Diagnostic]:
    """Merge what was found per environment, so that one mistake is one diagnostic.

    `found` pairs an environment's name ("" where the project declares none) with a problem. A
    problem that shows in all environments names none of them.
    """
    seen: dict[Diagnostic, list[str]] = {}
    for environment, diagnostic in found:
        seen.setdefault(replace(diagnostic, environments=()), []).append(environment)
    merged = []
    for diagnostic, where in seen.items():
        everywhere = set(all_environments) <= set(where)
        names = () if everywhere else tuple(e for e in dict.fromkeys(where) if e)
        merged.append(replace(diagnostic, environments=names))
    return in_order(merged)
