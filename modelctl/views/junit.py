"""How does a result read to what draws test results? JUnit's XML: an app, or a spec, is a test.

The shape is that of Jenkins, which GitLab, Azure, Buildkite and others read too.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from modelctl.apply import Outcome
from modelctl.apply import Result as Ended
from modelctl.diagnostics import Diagnostic, Severity
from modelctl.plan import REFUSED, Action, Change, beyond_limits
from modelctl.views.human import changes, ended, standing
from modelctl.views.human.problems import sentence
from modelctl.views.human.words import counted
from modelctl.views.results import Applied, Planned, Result, Standing, Stopped, Validated
from modelctl.views.rows import StatusRow

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write: https://www.w3.org/TR/xml/#charsets"""


class Problem(Struct, frozen=True):
    """`kind` is failure or error; `type` is what groups them: a diagnostic's code, an action."""

    message: str
    type: str
    text: str = ""
    kind: str = "failure"


class Case(Struct, frozen=True):
    """One test. `skipped` says why it was not run; `out` is what it printed."""

    name: str
    seconds: float = 0.0
    problems: tuple[Problem, ...] = ()
    skipped: str = ""
    out: str = ""


def written(result: Result) -> str:
    """One suite, with the command and the environment for a name."""
    match result:
        case Validated():
            return _xml("validate", "", _validated(result), result.seconds)
        case Planned():
            said = changes.notes(result.plan)
            return _xml("plan", result.environment, _planned(result), 0.0, said)
        case Applied():
            cases = _applied(result) if result.outcomes else _planned(result.planned)
            said = changes.notes(result.planned.plan)
            return _xml("apply", result.planned.environment, cases, result.seconds, said)
        case Standing():
            return _xml("status", result.environment, _standing(result), 0.0)
        case _:
            return _xml(result.command, result.environment, [_stopped(result)], 0.0)


def _xml(
    command: str,
    environment: str,
    cases: Sequence[Case],
    seconds: float,
    notes: Sequence[str] = (),
) -> str:
    """`notes` are of no test alone."""
    name = " ".join(filter(None, ("modelctl", command, environment)))
    counts = {
        "tests": str(len(cases)),
        "failures": str(_having("failure", cases)),
        "errors": str(_having("error", cases)),
    }
    suites = ET.Element("testsuites", {"name": _clean(name), **counts})
    skipped = {"skipped": str(sum(bool(c.skipped) for c in cases))}
    time = {"time": f"{seconds:.3f}"}
    suite = ET.SubElement(suites, "testsuite", {"name": _clean(name), **counts, **skipped, **time})
    for case in cases:
        at = {
            "name": _clean(case.name),
            "classname": f"modelctl.{command}",
            "time": f"{case.seconds:.3f}",
        }
        one = ET.SubElement(suite, "testcase", at)
        if case.skipped:
            ET.SubElement(one, "skipped", {"message": _clean(case.skipped)})
        for problem in case.problems:
            said = {"message": _clean(problem.message), "type": _clean(problem.type)}
            ET.SubElement(one, problem.kind, said).text = _clean(problem.text or problem.message)
        if case.out:
            ET.SubElement(one, "system-out").text = _clean(case.out)
    if notes:
        ET.SubElement(suite, "system-out").text = _clean("\n\n".join(notes))
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode")


def _having(kind: str, cases: Iterable[Case]) -> int:
    return sum(any(problem.kind == kind for problem in case.problems) for case in cases)


def _clean(text: str) -> str:
    return _NOT_XML.sub("�", text)


# -- validate: a spec is a test, and so is any other file with a problem


def _validated(result: Validated) -> list[Case]:
    found: dict[str, list[Diagnostic]] = {file: [] for file in result.files}
    for one in result.diagnostics:
        found.setdefault(one.place.file if one.place else "project", []).append(one)
    return [
        Case(
            file,
            problems=tuple(_problem(d) for d in said if d.is_error),
            out="\n\n".join(_whole(d) for d in said if not d.is_error),
        )
        for file, said in found.items()
    ]


def _problem(found: Diagnostic) -> Problem:
    return Problem(sentence(found), found.code, _whole(found))


def _whole(found: Diagnostic) -> str:
    place = found.place
    where = f"{place.file}:{place.line}:{place.column}: " if place else ""
    hint = f"help: {found.hint}" if found.hint else ""
    first = f"{where}{found.severity.value} {found.code}"
    return "\n".join(part for part in (first, sentence(found), found.detail, hint) if part)


# -- plan: an app is a test


def _planned(result: Planned) -> list[Case]:
    found = _by_app(result)
    cases = [_change(c, found.pop(c.name, [])) for c in result.plan.changes]
    cases += [_said_of(name, said) for name, said in found.items()]
    if denied := beyond_limits(result.plan):
        cases.append(Case("budget", problems=tuple(Problem(why, "denied") for why in denied)))
    return cases


def _by_app(result: Planned) -> dict[str, list[Diagnostic]]:
    """What specs are warned of and what is missing, by the app whose spec it is; by another file,
    and what is missing by "environment", where there is none."""
    names = {place.file: name for name, place in result.places.items()}
    found: dict[str, list[Diagnostic]] = {}
    for one in result.lacking:
        name = names.get(one.place.file, "environment") if one.place else "environment"
        found.setdefault(name, []).append(one)
    for one in result.warnings:
        name = names.get(one.place.file, one.place.file) if one.place else "project"
        found.setdefault(name, []).append(one)
    return found


def _change(change: Change, found: Sequence[Diagnostic]) -> Case:
    words = changes.action_words(change.action)
    case = _said_of(change.name, found)
    refused: tuple[Problem, ...] = ()
    if change.action in REFUSED:
        refused = (Problem(", ".join(change.reasons), change.action.value),)
    said = ": ".join(filter(None, (words, changes.reason(change))))
    return Case(
        change.name,
        problems=(*refused, *case.problems),
        skipped=said if change.action is Action.HELD and not case.problems else "",
        out="\n\n".join(filter(None, (said, case.out))),
    )


def _said_of(name: str, found: Sequence[Diagnostic]) -> Case:
    return Case(
        name,
        problems=tuple(_problem(d) for d in found if d.is_error),
        out="\n\n".join(_whole(d) for d in found if not d.is_error),
    )


# -- apply: what became of an app


def _applied(result: Applied) -> list[Case]:
    found = {name: _said_of(name, said) for name, said in _by_app(result.planned).items()}
    cases = []
    for outcome in result.outcomes:
        case, said = _outcome(outcome, result.options), found.pop(outcome.name, None)
        out = "\n\n".join(part for part in (case.out, said.out if said else "") if part)
        cases.append(replace(case, out=out))
    return [*cases, *found.values()]


def _outcome(outcome: Outcome, options: str) -> Case:
    detail = outcome.detail or outcome.result.value
    problems: tuple[Problem, ...] = ()
    if outcome.result is Ended.FAILED:
        lines = [f"last lines of {ended.whose_lines(outcome)}:"] if outcome.lines else []
        step = ended.next_step(outcome, options)
        text = [detail, *lines, *outcome.lines, *([f"next: {step}"] if step else [])]
        kind = outcome.failure.value if outcome.failure else outcome.action.value
        problems = (Problem(detail, kind, "\n".join(text)),)
    left = outcome.result in {Ended.SKIPPED, Ended.HELD}
    url = f"{outcome.url}/v1" if outcome.url and outcome.result is Ended.DONE else ""
    version = f"v{outcome.version}" if outcome.version and outcome.result is Ended.DONE else ""
    words = " ".join(filter(None, (changes.action_words(outcome.action), version)))
    return Case(
        outcome.name,
        outcome.seconds,
        problems,
        detail if left else "",
        "\n".join(part for part in (f"{words}: {detail}", url) if part),
    )


# -- status: is it healthy, and what its spec says?

_UNHEALTHY = re.compile(r"HTTP \d+|no answer")
_WRONG = frozenset({"drifted", "blocked", "foreign"})


def _standing(result: Standing) -> list[Case]:
    cases = [_row(row) for row in result.rows]
    for file, errors in result.broken.items():
        message = f"it has {counted(errors, 'error')}, so that what it asks for is not compared"
        cases.append(Case(file, problems=(Problem(message, "spec"),)))
    return cases


def _row(row: StatusRow) -> Case:
    said = (f"{row.sync}, {row.health}", row.live, *standing.notes(row), row.url or "")
    text = "\n".join(part for part in said if part)
    problems = []
    if _UNHEALTHY.fullmatch(row.health):
        problems.append(Problem(row.health, "health", text))
    if row.sync in _WRONG:
        problems.append(Problem(", ".join([row.sync, *row.reasons]), "sync", text))
    return Case(row.name, problems=tuple(problems), out=text)


# -- where there is no result


def _stopped(result: Stopped) -> Case:
    if result.diagnostics:
        found = [_problem(d) for d in result.diagnostics if d.severity is Severity.ERROR]
    else:
        text = f"{result.message}\nhelp: {result.hint}" if result.hint else result.message
        found = [Problem(result.message, "could not go on", text, "error")]
    return Case(f"modelctl {result.command}", problems=tuple(found))
