"""How does a result read in GitHub Actions? The log, then annotations at the lines of the specs.

Workflow commands: https://docs.github.com/en/actions/reference/workflow-commands. GitHub shows ten
annotations of each kind of a step: what matters most comes first, and the tenth counts the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from modelctl.apply import Result as Ended
from modelctl.diagnostics import Diagnostic, Place, Severity
from modelctl.plan import REFUSED, Action, beyond_limits
from modelctl.views.human import changes, ended, problems, standing
from modelctl.views.human.words import counted
from modelctl.views.inert import inert
from modelctl.views.paint import Paint
from modelctl.views.results import Applied, Planned, Result, Standing, Stopped, Validated
from modelctl.views.rows import StatusRow

MOST = 10
_WIDTH = 120
_LONG = 40
"""Lines of a part of the log that is folded."""

_KINDS: Mapping[Severity, str] = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.NOT_CHECKED: "notice",
}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Annotation(Struct, frozen=True):
    """One workflow command: `kind` is error, warning or notice."""

    kind: str
    title: str
    message: str
    place: Place | None = None


def written(result: Result) -> str:
    """What goes to standard output."""
    return "\n".join([*_log(result), *annotated(_annotations(result))])


# -- the log


def _log(result: Result) -> Iterator[str]:
    plain = Paint()
    match result:
        case Validated():
            if result.diagnostics:
                shown = problems.diagnostics(result.diagnostics, paint=plain, width=_WIDTH)
                yield from _part(problems.counts(result.diagnostics), shown)
            yield inert(
                " · ".join(
                    problems.summary(result.diagnostics, len(result.files), result.environments)
                )
            )
        case Planned():
            yield from _plan(result)
        case Applied():
            if not result.outcomes:
                yield from _plan(result.planned)
                return
            for one in result.outcomes:
                if one.lines:
                    yield from _part(
                        f"{one.name}: last lines of {ended.whose_lines(one)}",
                        "\n".join(one.lines),
                        always=True,
                    )
            yield from _part(
                ended.counts(result.outcomes),
                ended.outcomes(
                    result.outcomes,
                    result.seconds,
                    paint=plain,
                    width=_WIDTH,
                    options=result.options,
                ),
            )
        case Standing():
            yield from _part(
                counted(len(result.rows), "app"),
                standing.status(
                    result.rows, result.where, paint=plain, width=_WIDTH, paid=result.paid
                ),
            )
        case Stopped():
            return  # standard error says it


def _plan(result: Planned) -> Iterator[str]:
    title = changes.plan_summary(result.plan)
    yield from _part(title, changes.plan(result.plan, paint=Paint(), width=_WIDTH))
    if result.lacking:
        shown = problems.diagnostics(result.lacking, paint=Paint(), width=_WIDTH)
        yield from _part(problems.counts(result.lacking), shown)


def _part(title: str, text: str, *, always: bool = False) -> Iterator[str]:
    """Text of the log, in a group where it is long."""
    text = inert(_CONTROL.sub("", text))
    if not always and text.count("\n") < _LONG:
        yield text
        return
    yield f"::group::{_data(title)}"
    yield text
    yield "::endgroup::"


# -- annotations


def _annotations(result: Result) -> list[Annotation]:
    match result:
        case Validated():
            return [_of(d) for d in result.diagnostics]
        case Planned():
            return [*_of_plan(result), *map(_of, result.lacking), *map(_of, result.warnings)]
        case Applied():
            failed = [
                Annotation(
                    "error",
                    f"{o.name} failed" if o.action not in REFUSED else f"{o.name} is refused",
                    _lines(o.detail, f"next: {said}" if (said := _next(result, o.name)) else ""),
                    result.planned.places.get(o.name),
                )
                for o in result.outcomes
                if o.result is Ended.FAILED
            ]
            plan = result.planned
            known = {note.title.split()[0] for note in failed}
            rest = [a for a in _of_plan(plan) if a.title.split()[0] not in known]
            return [*failed, *rest, *map(_of, plan.lacking), *map(_of, plan.warnings)]
        case Standing():
            wrong = [
                Annotation(
                    "error",
                    "not compared",
                    f"the spec has {counted(errors, 'error')}, so that what it asks for is not "
                    "compared: run modelctl validate",
                    Place(file),
                )
                for file, errors in result.broken.items()
            ]
            return wrong + [a for row in result.rows if (a := _of_row(row, result))]
        case _:
            return _of_stopped(result)


def _of(found: Diagnostic) -> Annotation:
    help_ = f"help: {found.hint}" if found.hint else ""
    return Annotation(
        _KINDS[found.severity],
        found.code,
        _lines(problems.sentence(found), found.detail, help_),
        found.place,
    )


def _of_plan(result: Planned) -> Iterator[Annotation]:
    for why in beyond_limits(result.plan):
        yield Annotation("error", "denied", why)
    for change in result.plan.changes:
        place, why = result.places.get(change.name), ", ".join(change.reasons)
        if change.action in REFUSED:
            yield Annotation("error", f"{change.name} is {change.action.value}", why, place)
        elif change.action is Action.DRIFT:
            yield Annotation("warning", f"{change.name} has drifted", why, place)
        elif change.action is Action.HELD:
            yield Annotation("notice", f"{change.name} is held", why, place)


def _of_row(row: StatusRow, result: Standing) -> Annotation | None:
    """A warning: status says how it is, and what is wrong with an app is no error of its own."""
    if standing.quiet(row):
        return None
    message = _lines(f"{row.sync}, {row.health}", *row.reasons)
    return Annotation("warning", row.name, message, result.places.get(row.name))


def _of_stopped(result: Stopped) -> list[Annotation]:
    if result.diagnostics:
        return [_of(d) for d in result.diagnostics]
    help_ = f"help: {result.hint}" if result.hint else ""
    return [Annotation("error", f"modelctl {result.command}", _lines(result.message, help_))]


def _next(result: Applied, name: str) -> str:
    outcome = next(o for o in result.outcomes if o.name == name)
    return ended.next_step(outcome, result.options)


def _lines(*parts: str) -> str:
    return "\n".join(part for part in parts if part)


def annotated(found: Iterable[Annotation]) -> list[str]:
    """The commands, errors first; of more than ten of a kind nine, and how many more there are."""
    found = list(found)
    lines = []
    for kind in _KINDS.values():
        of_kind = [a for a in found if a.kind == kind]
        shown = of_kind if len(of_kind) <= MOST else of_kind[: MOST - 1]
        lines += [_command(a) for a in shown]
        if more := len(of_kind) - len(shown):
            words = f"{counted(more, f'more {kind}')}: the step's summary and its log have them all"
            lines.append(_command(Annotation(kind, "modelctl", words)))
    return lines


def _command(one: Annotation) -> str:
    properties: Sequence[tuple[str, object]] = (("title", one.title),)
    if one.place is not None:
        at = one.place
        end = at.column + max(1, at.width) - 1
        properties = (
            ("file", at.file),
            ("line", at.line),
            ("col", at.column),
            ("endColumn", end),
            *properties,
        )
    said = ",".join(f"{name}={_property(str(value))}" for name, value in properties)
    return f"::{one.kind} {said}::{_data(one.message)}"


def _data(text: str) -> str:
    """After `escapeData` of GitHub's own toolkit."""
    text = _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return text.replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    """After `escapeProperty` of GitHub's own toolkit."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")
