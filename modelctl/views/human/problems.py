"""How does a problem read? Its place, the line with a caret, the sentence, the way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from modelctl.assess.bill import Bill
from modelctl.diagnostics import Diagnostic, Severity
from modelctl.views.human import money
from modelctl.views.human.words import counted, first, printable, wrapped
from modelctl.views.paint import Paint

MOST_TOLD = 1_000
_PROJECT = "modelctl.yaml"
"""It is no spec, and is not counted as one."""
_COLOUR = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOT_CHECKED: "cyan"}


def diagnostics(found: Iterable[Diagnostic], *, paint: Paint, width: int) -> str:
    """One after another; of thousands the first, and how many there are beside them."""
    every = list(found)
    shown, rest = first(every, MOST_TOLD)
    told = [diagnostic(d, paint=paint, width=width) for d in shown]
    if rest:
        told.append(f"… and {len(rest):,} more; validate --output json has them all")
    return "\n\n".join(told)


def diagnostic(found: Diagnostic, *, paint: Paint, width: int) -> str:
    """The place, the code, the line with a caret, the sentence, and the way out."""
    place = found.place
    where = f"{printable(place.file)}:{place.line}:{place.column} " if place else ""
    environments = f" ({', '.join(found.environments)})" if found.environments else ""
    colour = _COLOUR[found.severity]
    lines = [
        f"{paint(where, 'bold')}{paint(found.severity.value, colour)} {found.code}{environments}"
    ]
    if place and place.text.strip():
        lines += _snippet(found, paint, width, colour)
    else:
        lines += wrapped(found.message, width)
    for label, text in (("", found.detail), ("help: ", found.hint)):
        if text:
            lines += wrapped(label + text, width, paint(label, "cyan") if label else "", label)
    return "\n".join(lines)


def _snippet(found: Diagnostic, paint: Paint, width: int, colour: str) -> list[str]:
    place = found.place
    assert place is not None
    gutter = len(str(place.line))
    bar = f"{' ' * gutter} {paint('|', 'blue')}"
    room = width - gutter - 3
    part, column = _cut(place.text, place.column - 1, room)
    source = printable(part)
    carets = "^" * max(1, min(place.width, len(source) - column))
    lines = [bar, f"{paint(str(place.line), 'blue')} {paint('|', 'blue')} {source}".rstrip()]
    under = f"{bar} {' ' * column}{paint(carets, colour)}"
    if column + len(carets) + 1 + len(found.message) <= room:
        lines.append(f"{under} {found.message}")
    else:
        lines.append(under)
        lines += wrapped(found.message, width)
    return [*lines, bar] if found.detail or found.hint else lines


def _cut(source: str, column: int, room: int) -> tuple[str, int]:
    """The part of a long line around the caret, and the caret's column in it."""
    if len(source) <= room:
        return source, column
    start = max(0, min(column - room // 3, len(source) - room))
    part = source[start : start + room]
    if start:
        part = "…" + part[1:]
    if start + room < len(source):
        part = part[:-1] + "…"
    return part, column - start


def validation(
    found: Sequence[Diagnostic],
    *,
    specs: int,
    environments: Sequence[str],
    seconds: float,
    paint: Paint,
    width: int,
    bills: Sequence[Bill] = (),
    unread: int = 0,
) -> str:
    """Every problem, what all but the `unread` specs cost, then one line that counts."""
    parts = [*summary(found, specs, environments), f"{seconds:.2f} s"]
    errors = any(d.severity is Severity.ERROR for d in found)
    warnings = any(d.severity is Severity.WARNING for d in found)
    colour = "red" if errors else "yellow" if warnings else "green"
    body = diagnostics(found, paint=paint, width=width)
    counted_up = paint(" · ".join(parts), colour)
    parts = [body, money.bills(bills, paint=paint, width=width, unread=unread), counted_up]
    return "\n\n".join(part for part in parts if part)


def summary(found: Sequence[Diagnostic], specs: int, environments: Sequence[str]) -> list[str]:
    """`2 errors, 1 warning` · `3 of 41 specs` · `staging, prod`"""
    errors = sum(d.severity is Severity.ERROR for d in found)
    warnings = sum(d.severity is Severity.WARNING for d in found)
    unchecked = len(found) - errors - warnings
    counting = [d for d in found if d.severity is not Severity.NOT_CHECKED]
    places = {d.place.file for d in counting if d.place and d.code != "lock/unreadable"}
    files = sum(not file.endswith(_PROJECT) for file in places)
    if errors or warnings:
        parts = [counts(found), f"{files} of {counted(specs, 'spec')}"]
    else:
        parts = [f"{counted(specs, 'spec')} {'is' if specs == 1 else 'are'} valid"]
        if unchecked:
            parts.append(f"{unchecked} not checked")
    if names := [e for e in environments if e]:
        parts.append(", ".join(names))
    return parts


def sentence(found: Diagnostic) -> str:
    """`contxt: no such field`: as it reads where the line is not there to be seen."""
    environments = f" ({', '.join(found.environments)})" if found.environments else ""
    field = f"{found.path}: " if found.path and found.path not in found.message else ""
    return f"{field}{found.message}{environments}"


def counts(found: Sequence[Diagnostic]) -> str:
    """`2 errors, 1 warning, 3 not checked`"""
    errors = sum(d.severity is Severity.ERROR for d in found)
    warnings = sum(d.severity is Severity.WARNING for d in found)
    unchecked = len(found) - errors - warnings
    said = [counted(errors, "error")] if errors else []
    said += [counted(warnings, "warning")] if warnings else []
    said += [f"{unchecked} not checked"] if unchecked else []
    return ", ".join(said)
