"""How do results read on a terminal? After ruff and rustc, terraform and kubectl."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from modelctl.apply import Outcome, Result
from modelctl.diagnostics import Diagnostic, Severity
from modelctl.plan import Action, Change, FieldChange, Plan
from modelctl.views.paint import Paint
from modelctl.views.rows import StatusRow

_COLOUR = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOT_CHECKED: "cyan"}
HOURS_A_MONTH = 730

_SYMBOLS = {
    Action.CREATE: ("+", "green"),
    Action.IN_PLACE: ("~", "yellow"),
    Action.REDEPLOY: ("±", "yellow"),
    Action.RECREATE: ("±", "yellow"),
    Action.DELETE: ("-", "red"),
    Action.BLOCKED: ("×", "red"),
    Action.FOREIGN: ("×", "red"),
}


def action_words(action: Action) -> str:
    return action.value.replace("-", " ")


def diagnostics(found: Iterable[Diagnostic], *, paint: Paint, width: int) -> str:
    return "\n\n".join(diagnostic(d, paint=paint, width=width) for d in found)


def diagnostic(found: Diagnostic, *, paint: Paint, width: int) -> str:
    """The place, the code, the line with a caret, the sentence, and the way out."""
    place = found.place
    where = f"{place.file}:{place.line}:{place.column} " if place else ""
    environments = f" ({', '.join(found.environments)})" if found.environments else ""
    colour = _COLOUR[found.severity]
    lines = [
        f"{paint(where, 'bold')}{paint(found.severity.value, colour)} {found.code}{environments}"
    ]
    if place and place.text.strip():
        lines += _snippet(found, paint, width, colour)
    else:
        lines += _wrapped(found.message, width)
    for label, text in (("", found.detail), ("help: ", found.hint)):
        if text:
            lines += _wrapped(label + text, width, paint(label, "cyan") if label else "", label)
    return "\n".join(lines)


def _snippet(found: Diagnostic, paint: Paint, width: int, colour: str) -> list[str]:
    place = found.place
    assert place is not None
    gutter = len(str(place.line))
    bar = f"{' ' * gutter} {paint('|', 'blue')}"
    room = width - gutter - 3
    source, column = _cut(_printable(place.text), place.column - 1, room)
    carets = "^" * max(1, min(place.width, len(source) - column))
    lines = [bar, f"{paint(str(place.line), 'blue')} {paint('|', 'blue')} {source}".rstrip()]
    under = f"{bar} {' ' * column}{paint(carets, colour)}"
    if column + len(carets) + 1 + len(found.message) <= room:
        lines.append(f"{under} {found.message}")
    else:
        lines.append(under)
        lines += _wrapped(found.message, width)
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


def _printable(text: str) -> str:
    """A source line with each character in one column, so that carets stand under their text."""
    return "".join(c if c.isprintable() else ("�" if c != "\t" else " ") for c in text)


def _wrapped(text: str, width: int, painted: str = "", label: str = "") -> list[str]:
    lines = textwrap.wrap(
        text, width - 2, break_long_words=False, break_on_hyphens=False,
        subsequent_indent=" " * len(label),
    )  # fmt: skip
    if painted and lines:
        lines[0] = painted + lines[0][len(label) :]
    return [f"  {line}" for line in lines]


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def validation(
    found: Sequence[Diagnostic],
    *,
    specs: int,
    environments: Sequence[str],
    seconds: float,
    paint: Paint,
    width: int,
) -> str:
    """Every problem, then one line that counts them."""
    errors = sum(d.severity is Severity.ERROR for d in found)
    warnings = sum(d.severity is Severity.WARNING for d in found)
    unchecked = len(found) - errors - warnings
    files = len({d.place.file for d in found if d.place and d.severity is not Severity.NOT_CHECKED})
    parts = []
    if errors or warnings:
        counts = [counted(errors, "error")] if errors else []
        counts += [counted(warnings, "warning")] if warnings else []
        if unchecked:
            counts.append(f"{unchecked} not checked")
        parts = [", ".join(counts), f"{files} of {counted(specs, 'spec')}"]
    else:
        parts = [f"{counted(specs, 'spec')} {'is' if specs == 1 else 'are'} valid"]
        if unchecked:
            parts.append(f"{unchecked} not checked")
    if names := [e for e in environments if e]:
        parts.append(", ".join(names))
    parts.append(f"{seconds:.2f} s")
    summary = " · ".join(parts)
    colour = "red" if errors else "yellow" if warnings else "green"
    body = diagnostics(found, paint=paint, width=width)
    return (f"{body}\n\n" if body else "") + paint(summary, colour)


def plan(result: Plan, *, paint: Paint, width: int) -> str:
    """One line an app that changes, the fields of each, what it costs, and one summary line."""
    shown = [c for c in result.changes if c.action is not Action.UNCHANGED]
    lines = [f"{paint(result.where, 'bold')} · {counted(len(result.changes), 'app')}", ""]
    column = min(40, max((len(c.name) for c in shown), default=0) + 2)
    for change in shown:
        lines += _plan_line(change, column, paint, width)
    unchanged = result.count(Action.UNCHANGED)
    if unchanged:
        lines += [*([""] if shown else []), f"  {unchanged} unchanged"]
    for change in shown:
        if len(change.fields) > 1 or _long(change, column, width):
            lines += ["", paint(change.name, "bold"), *_fields(change.fields, width)]
    costs = [c.cost.after for c in result.changes if c.cost.after]
    if costs:
        month = sum(costs) * HOURS_A_MONTH
        lines += ["", f"Warm cost   ${month:,.0f} a month, on the first GPU of each list"]
    lines += ["", plan_summary(result)]
    return "\n".join(lines)


def plan_summary(result: Plan) -> str:
    counts = [
        f"{result.count(action)} {action_words(action)}"
        for action in Action
        if action is not Action.UNCHANGED and result.count(action)
    ]
    return f"Plan: {', '.join(counts)}." if counts else "Nothing to do."


def _plan_line(change: Change, column: int, paint: Paint, width: int) -> list[str]:
    symbol, colour = _SYMBOLS[change.action]
    head = f"  {paint(symbol, colour)} {change.name:<{column}}"
    words = f"{action_words(change.action):<11}"
    reason = _reason(change)
    room = width - 4 - column - 11
    wrapped = textwrap.wrap(reason, max(20, room), break_on_hyphens=False) or [""]
    if len(wrapped) > 3:
        wrapped = [*wrapped[:2], f"{len(change.fields)} fields, below"]
    lines = [f"{head}{words}{wrapped[0]}".rstrip()]
    return lines + [" " * (4 + column + 11) + line for line in wrapped[1:]]


def _reason(change: Change) -> str:
    parts = [_arrow(field) for field in change.fields]
    return ", ".join([*change.reasons, *parts])


def _long(change: Change, column: int, width: int) -> bool:
    return len(_reason(change)) > 3 * max(20, width - 15 - column)


def _fields(changes: Sequence[FieldChange], width: int) -> list[str]:
    column = min(32, max(len(c.path) for c in changes) + 2) if changes else 0
    lines = []
    for change in changes:
        text = f"{_value(change.before)} → {_value(change.after)}"
        wrapped = textwrap.wrap(text, max(20, width - 2 - column)) or [""]
        lines.append(f"  {change.path:<{column}}{wrapped[0]}")
        lines += [" " * (2 + column) + line for line in wrapped[1:]]
    return lines


def _arrow(change: FieldChange) -> str:
    return f"{change.path} {_value(change.before)} → {_value(change.after)}"


def _value(value: object) -> str:
    if value is None:
        return "(default)"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def outcomes(result: Sequence[Outcome], seconds: float, *, paint: Paint, width: int) -> str:
    """What failed, whole; then every app's URL; then one line that counts."""
    blocks = [_failure(o, paint, width) for o in result if o.result is Result.FAILED]
    urls = [o for o in result if o.result is Result.DONE and o.url]
    if urls:
        column = max(len(o.name) for o in urls) + 2
        blocks.append("\n".join(f"  {o.name:<{column}}{o.url}/v1" for o in urls))
    names = {Result.DONE: "applied", Result.FAILED: "failed", Result.SKIPPED: "skipped",
             Result.UNCHANGED: "unchanged"}  # fmt: skip
    counts = [
        f"{count} {word}"
        for kind, word in names.items()
        if (count := sum(o.result is kind for o in result))
    ]
    failed = any(o.result is Result.FAILED for o in result)
    summary = f"{', '.join(counts) or 'nothing to do'} · {duration(seconds)}"
    blocks.append(paint(summary, "red" if failed else "green"))
    return "\n\n".join(blocks)


def outcome_line(outcome: Outcome, *, paint: Paint) -> str:
    """The one line that says how an app ended."""
    marks = {Result.DONE: ("✔", "green"), Result.FAILED: ("✘", "red")}
    mark, colour = marks.get(outcome.result, ("·", "dim"))
    version = f" v{outcome.version}" if outcome.version and outcome.result is Result.DONE else ""
    detail = f"  {outcome.detail}" if outcome.detail else ""
    return (
        f"  {paint(mark, colour)} {outcome.name}  {action_words(outcome.action)}{version}{detail}"
        f"  {outcome.seconds:.1f} s"
    )


def _failure(outcome: Outcome, paint: Paint, width: int) -> str:
    lines = [f"{paint('✘', 'red')} {paint(outcome.name, 'bold')}"]
    lines += _wrapped(outcome.detail, width)
    if outcome.lines:
        lines.append("  last lines:")
        lines += [f"    {_printable(line)[: width - 4]}" for line in outcome.lines]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def status(rows: Sequence[StatusRow], where: str, *, paint: Paint) -> str:
    """One row an app: sync and health are two things. URLs below, where they can be copied."""
    if not rows:
        return f"{where}: no apps"
    heads = ("", "sync", "health", "live", "version")
    cells = [
        (r.name, r.sync, r.health, r.live, f"v{r.version}" if r.version else "-") for r in rows
    ]
    columns = [max(len(line[i]) for line in [heads, *cells]) + 2 for i in range(len(heads))]
    colours = {"in sync": "green", "healthy": "green", "asleep": "dim", "not deployed": "yellow"}
    lines = [
        paint(where, "bold"),
        "  " + "".join(f"{h:<{w}}" for h, w in zip(heads, columns, strict=True)).rstrip(),
    ]
    for line in cells:
        padded = [f"{c:<{w}}" for c, w in zip(line, columns, strict=True)]
        padded[1:3] = [
            paint(p, colours.get(c, "yellow")) for p, c in zip(padded[1:3], line[1:3], strict=True)
        ]
        lines.append("  " + "".join(padded).rstrip())
    urls = [r for r in rows if r.url]
    if urls:
        lines += ["", *(f"  {r.name:<{columns[0]}}{r.url}/v1" for r in urls)]
    return "\n".join(lines)


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
        elif isinstance(item, list) and item and isinstance(item[0], Mapping):
            yield f"{indent}{_scalar(key)}:", None
            for number, entry in enumerate(item):
                inner = list(_yaml_lines(entry, (*here, number), depth + 2))
                yield f"{indent}  - {inner[0][0].lstrip()}", inner[0][1]
                yield from inner[1:]
        else:
            yield f"{indent}{_scalar(key)}: {_scalar(item)}", here


def _scalar(value: Any) -> str:
    """One value as YAML on one line, quoted where a reader could take it for something else."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and not _LOOKS_TYPED.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)


_PLAIN = re.compile(r"[A-Za-z0-9./_][A-Za-z0-9./_@+~ -]*(?::/{0,2}[A-Za-z0-9./_@+~-]+)*")
_LOOKS_TYPED = re.compile(
    r"(?i)y|n|yes|no|on|off|true|false|null|~|[-+.]?[0-9][0-9_.:eE+-]*|0[xob][0-9a-f]+|.* | .*"
)
