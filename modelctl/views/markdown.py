"""How does a result read in a pull request? One screen: what, a table, the money; the rest folded.

The first line names the command and the environment, so that the next run finds its comment again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from modelctl.apply import Outcome
from modelctl.apply import Result as Ended
from modelctl.assess.bill import Bill
from modelctl.assess.cost import HOURS_A_MONTH
from modelctl.diagnostics import Diagnostic, Severity
from modelctl.plan import Action, Change, FieldChange, Plan, beyond_limits
from modelctl.resolved import NO_LIMITS
from modelctl.views import marked
from modelctl.views.alike import Shown, shown
from modelctl.views.human import changes, ended, money, problems, standing
from modelctl.views.human.words import counted, duration, first, plain
from modelctl.views.marked import code, details, table, text
from modelctl.views.results import Applied, Planned, Result, Standing, Stopped, Validated
from modelctl.views.rows import StatusRow

_T = TypeVar("_T")

ROWS = 20
"""What a table has before the rest is folded."""

PROBLEMS = 10
_FIRST = (
    Action.BLOCKED,
    Action.FOREIGN,
    Action.DRIFT,
    Action.RECREATE,
    Action.REDEPLOY,
    Action.DELETE,
    Action.CREATE,
    Action.IN_PLACE,
    Action.HELD,
)
"""Where not all fit into the table, these are seen first."""


def written(result: Result, limit: int = marked.COMMENT_LIMIT) -> str:
    """The result as a comment of at most `limit` characters."""
    match result:
        case Validated():
            return _validated(result, limit)
        case Planned():
            return _planned(result, limit)
        case Applied():
            return _applied(result, limit)
        case Standing():
            return _standing(result, limit)
        case _:
            return _stopped(result, limit)


def _mark(command: str, environment: str) -> str:
    """Environments are named by people: what would end the comment stays out of it."""
    name = re.sub(r"[^\w.+-]", "", environment)
    return f"<!-- {' '.join(filter(None, ('modelctl:', command, name)))} -->"


def _head(command: str, title: str, environment: str, preposition: str, said: str) -> str:
    where = f" {preposition} {text(environment)}" if environment else ""
    return f"{_mark(command, environment)}\n### {title}{where}: {text(said)}"


def _shell(command: str, options: str = "") -> str:
    return f"run {code(' '.join(filter(None, ('modelctl', command, options))))} to see it all"


# -- plan


def _planned(result: Planned, limit: int) -> str:
    plan = result.plan
    said = changes.plan_summary(plan).removeprefix("Plan: ").rstrip(".")
    said = "nothing to do" if said.startswith("Nothing") else said
    head = [_head("plan", "Plan", result.environment, "for", said), *_plan_head(result)]
    option = _option(result.environment)
    return marked.document(head, _plan_sections(result), _shell("plan", option), limit)


def _option(environment: str) -> str:
    """`prod+local` → `--env prod --local`."""
    names = environment.split("+") if environment else []
    return " ".join("--local" if name == "local" else f"--env {name}" for name in names)


def _plan_head(result: Planned) -> list[str]:
    """What is seen without unfolding anything."""
    plan = result.plan
    unchanged = plan.count(Action.UNCHANGED)
    said = f"{plan.where} · {counted(len(plan.changes), 'app')}"
    parts = [text(f"{said}, {unchanged} unchanged" if unchanged else said)]
    parts += [f"> **Denied**: {text(why)}" for why in beyond_limits(plan)]
    parts += [text(note, 1000) for note in changes.notes(plan)]
    rows = _rows(plan)
    if rows:
        seen, _ = first(_most_important(rows), ROWS)
        parts.append(_change_table([row for row in rows if row in seen], plan))
    return [*parts, *_problems(result.lacking), _cost(plan)]


def _rows(plan: Plan) -> list[Shown]:
    return shown(c for c in plan.changes if c.action is not Action.UNCHANGED)


def _most_important(rows: Sequence[Shown]) -> list[Shown]:
    return sorted(rows, key=lambda row: _FIRST.index(row.change.action))


def _month(plan: Plan) -> str:
    """What heads the column of costs."""
    return "warm, a month" if plan.paid else "on Modal, a month"


def _change_table(rows: Sequence[Shown], plan: Plan) -> str:
    cells = [
        (
            changes.SYMBOLS[row.change.action][0],
            f"**{text(row.change.name)}**",
            changes.action_words(row.change.action),
            _what(row),
            _monthly(row.change),
        )
        for row in rows
    ]
    return table(("", "app", "action", "what", _month(plan)), cells, (_month(plan),))


def _what(row: Shown) -> str:
    """The reasons as text, then the fields as code, as many as read well in a cell."""
    change = row.change
    parts = [text(why) for why in change.reasons[:_FIELDS]]
    fields = () if change.action is Action.DRIFT and change.reasons else change.fields
    said = [_arrow(field) for field in fields]
    brief, rest = first(said, _FIELDS)
    parts += [*brief, f"{len(rest)} more"] if rest else brief
    if change.action is Action.CREATE:
        parts += [text(what) for what in change.impact]
    names = f"<br>{text(money.named('', row.names))}" if row.names else ""
    return ", ".join(parts) + names


_FIELDS = 3


def _arrow(field: FieldChange) -> str:
    before, after = changes.values(field)
    return f"{code(field.path)} {text(before)} → {text(after)}"


def _monthly(change: Change) -> str:
    """What keep-warm costs in a month, before and after; "?" where that was not recorded."""
    before, after = change.cost.before, change.cost.after
    now = _usd(f"{(after or 0.0) * HOURS_A_MONTH:,.0f}")
    if change.action is Action.CREATE or before == after:
        return "" if after is None else now
    was = "?" if before is None else _usd(f"{before * HOURS_A_MONTH:,.0f}")
    return f"{was} → {now}"


def _usd(figure: str) -> str:
    """A bare dollar sign could begin a formula."""
    return f"\\${figure}"


def _cost(plan: Plan) -> str:
    """What all apps cost, and of what budget; "" where nothing costs anything."""
    said = []
    if plan.warm_after or plan.warm_before or plan.limits != NO_LIMITS:
        said.append(f"**Warm cost** {text(changes.warm(plan), 1000)}")
    if any(c.cost.at_max is not None for c in plan.changes):
        said.append(f"**At most** {text(changes.at_most(plan), 1000)}")
    if not said:
        return ""
    if not plan.paid:
        said.insert(0, text(money.NOT_PAID))
    return "<br>\n".join([*said, f"<sub>{text(changes.whose_prices(plan))}</sub>"])


def _plan_sections(result: Planned) -> list[str]:
    plan = result.plan
    rows = _rows(plan)
    seen, rest = first(_most_important(rows), ROWS)
    found = [s for row in seen if (s := _change_section(row, result))]
    if rest:
        left = [row for row in rows if row in rest]
        found = _folded(left, "more changes", lambda rows: _change_table(rows, plan)) + found
        found += [s for row in rest if (s := _change_section(row, result))]
    _, lacking = first(result.lacking, PROBLEMS)
    found = _folded(lacking, "more problems", _problem_table) + found
    return found + _warnings(result.warnings)


def _change_section(row: Shown, result: Planned) -> str:
    """All fields of an app, what a new version means to its users, who holds it; of several, which
    they are."""
    change, body = row.change, []
    if change.fields:
        rows = [
            (code(f.path), code(plain(f.before), 300), code(plain(f.after), 300))
            for f in change.fields
        ]
        body.append(table(("field", "before", "after"), rows))
    if change.impact and change.action not in {Action.BLOCKED, Action.CREATE}:
        body.append(text("; ".join(change.impact), 1000))
    if (hold := change.hold) is not None:
        until = f" until {hold.until}" if hold.until else ""
        body.append(text(f"held by {hold.who}, {hold.why or 'no reason given'}{until}"))
    if row.names:
        body.append(_members(row, result))
    if not body:
        return ""
    if change.cost.at_max is not None:
        body.append(f"at most {_usd(f'{change.cost.at_max:,.2f}')} an hour")
    place = None if row.names else result.places.get(change.name)
    body += [f"spec: {code(place.file)}"] if place else []
    return details(row.title, "\n\n".join(body))


def _members(row: Shown, result: Planned) -> str:
    cells = []
    for change in row.apps:
        place = result.places.get(change.name)
        cells.append((text(change.name), code(place.file) if place else "", _monthly(change)))
    month = _month(result.plan)
    return table(("app", "spec", month), cells, (month,))


# -- problems


def _problems(found: Sequence[Diagnostic]) -> list[str]:
    return [_problem_table(first(found, PROBLEMS)[0])] if found else []


def _problem_table(found: Sequence[Diagnostic]) -> str:
    rows = [(_severity(d), _where(d), _sentence(d)) for d in found]
    return table(("", "where", "problem"), rows)


def _severity(found: Diagnostic) -> str:
    return f"**{found.severity.value}**" if found.is_error else found.severity.value


def _where(found: Diagnostic) -> str:
    return code(f"{found.place.file}:{found.place.line}") if found.place else ""


def _sentence(found: Diagnostic) -> str:
    said = f"{code(found.code)} {text(problems.sentence(found), 600)}"
    said += f"<br>{text(found.detail, 600)}" if found.detail else ""
    return said + (f"<br>help: {text(found.hint, 600)}" if found.hint else "")


def _folded(found: Sequence[_T], words: str, draw: Callable[[Sequence[_T]], str]) -> list[str]:
    """Tables of a few, so that a part of them can be left out."""
    parts = []
    while found:
        part, found = first(found, _AT_ONCE)
        parts.append(details(f"{len(part)} {words}", draw(part)))
    return parts


def _warnings(found: Sequence[Diagnostic]) -> list[str]:
    return _folded(found, "warning" if len(found) == 1 else "warnings", _problem_table)


_AT_ONCE = 25


# -- validate


def _validated(result: Validated, limit: int) -> str:
    found = sorted(result.diagnostics, key=lambda d: list(Severity).index(d.severity))
    counting = [d for d in found if d.severity is not Severity.NOT_CHECKED]
    unchecked = [d for d in found if d.severity is Severity.NOT_CHECKED]
    said = problems.summary(result.diagnostics, len(result.files), result.environments)
    head = [_head("validate", "Validate", "", "", " · ".join(said))]
    seen, rest = first(counting, ROWS)
    if seen:
        head.append(_problem_table(seen))
    head.append(_bills(result.bills))
    sections = _folded(rest, "more problems", _problem_table)
    sections += _folded(unchecked, "not checked", _problem_table)
    return marked.document(head, sections, _shell("validate"), limit)


def _bills(bills: Sequence[Bill]) -> str:
    """What each environment costs; "" where the terminal would say nothing of it either."""
    shown = money.with_figures(bills)
    if not shown:
        return ""
    rows = [
        (text(bill.environment), text(money.warm(bill), 600), text(money.most(bill), 600))
        for bill in shown
    ]
    parts = [] if shown[0].paid else [text(money.NOT_PAID)]
    parts.append(table(("environment", "warm cost", "at most"), rows))
    return "\n\n".join([*parts, f"<sub>computed from {text(shown[0].words)}</sub>"])


# -- apply


def _applied(result: Applied, limit: int) -> str:
    plan, outcomes = result.planned.plan, result.outcomes
    denied = beyond_limits(plan) or any(d.is_error for d in result.planned.lacking)
    said = "nothing was done" if denied and not outcomes else ended.counts(outcomes)
    said += f" · {duration(result.seconds)}" if outcomes else ""
    head = [_head("apply", "Apply", result.planned.environment, "to", said)]
    if not outcomes:
        whole = _shell("plan", _option(result.planned.environment))
        head += _plan_head(result.planned)
        return marked.document(head, _plan_sections(result.planned), whole, limit)
    shown = sorted(
        (o for o in outcomes if o.result is not Ended.UNCHANGED),
        key=lambda o: o.result is not Ended.FAILED,
    )
    unchanged = len(outcomes) - len(shown)
    head.append(text(f"{plan.where}{f' · {unchanged} unchanged' if unchanged else ''}"))
    seen, rest = first(shown, ROWS)
    if seen:
        head.append(_outcome_table(seen))
    head += [*_problems(result.planned.lacking), _cost(plan)]
    sections = [_failure(o, result.options) for o in shown if o.result is Ended.FAILED]
    if rest:
        sections += _folded(rest, "more apps", _outcome_table)
    if urls := [o for o in outcomes if o.url and o.result is Ended.DONE]:
        rows = [(text(o.name), code(f"{o.url}/v1", 300)) for o in urls]
        sections.append(details(counted(len(urls), "endpoint"), table(("app", "URL"), rows)))
    sections += _warnings(result.planned.warnings)
    whole = f"the log of {code('modelctl apply')} has it all"
    return marked.document(head, sections, whole, limit)


MARKS: Mapping[Ended, str] = {Ended.DONE: "✔", Ended.FAILED: "✘"}


def _outcome_table(shown: Sequence[Outcome]) -> str:
    rows = [
        (
            MARKS.get(o.result, "·"),
            f"**{text(o.name)}**",
            changes.action_words(o.action),
            _ended(o),
            f"{o.seconds:.1f} s",
        )
        for o in shown
    ]
    return table(("", "app", "action", "result", "took"), rows, ("took",))


def _ended(outcome: Outcome) -> str:
    version = f"v{outcome.version}" if outcome.version and outcome.result is Ended.DONE else ""
    said = ", ".join(filter(None, (version, outcome.detail)))
    return text(said or outcome.result.value)


def _failure(outcome: Outcome, options: str) -> str:
    body = [text(outcome.detail, 2000)]
    if outcome.lines:
        body += [f"last lines of {ended.whose_lines(outcome)}:", marked.block(outcome.lines)]
    if said := ended.next_step(outcome, options):
        body.append(f"next: {text(said)}")
    return details(f"{outcome.name} failed", "\n\n".join(body))


# -- status


def _standing(result: Standing, limit: int) -> str:
    rows = result.rows
    odd = [row for row in rows if not standing.quiet(row)]
    said = f"{counted(len(rows), 'app')}, {len(odd) or 'nothing'} to look at" if rows else "no apps"
    head = [_head("status", "Status", result.environment, "of", said), text(result.where)]
    head += [
        f"> {code(file)} has {counted(errors, 'error')}, so that what it asks for is not compared"
        for file, errors in result.broken.items()
    ]
    shown = [*odd, *(row for row in rows if row not in odd)]
    seen, rest = first(shown, ROWS)
    if seen:
        head.append(_status_table(seen, result))
    known = [row.usd_per_hour for row in rows if row.usd_per_hour is not None]
    now = standing.money_words(sum(known), paid=result.paid)
    head += [text(now)] if any(known) else []
    sections = []
    if rest:
        sections += _folded(rest, "more apps", lambda rows: _status_table(rows, result))
    if urls := [row for row in rows if row.url]:
        lines = [(text(row.name), code(f"{row.url}/v1", 300)) for row in urls]
        sections.append(details(counted(len(urls), "endpoint"), table(("app", "URL"), lines)))
    return marked.document(head, sections, _shell("status", _option(result.environment)), limit)


def _status_table(rows: Sequence[StatusRow], result: Standing) -> str:
    money_head = standing.money_head(paid=result.paid)
    heads = ("app", "sync", "health", "live", "version", money_head)
    cells = [
        (
            f"**{text(row.name)}**",
            "<br>".join(text(said) for said in (row.sync, *standing.notes(row))),
            text(row.health),
            text(row.live),
            text(standing.version(row)),
            "" if row.usd_per_hour is None else f"{row.usd_per_hour:,.2f}",
        )
        for row in rows
    ]
    return table(heads, cells, (money_head,))


# -- where there is no result

_DENIED = 3
"""What a command exits with where only a policy or a budget stands against it."""

TITLES: Mapping[str, tuple[str, str]] = {
    "validate": ("Validate", "of"),
    "plan": ("Plan", "for"),
    "apply": ("Apply", "to"),
    "status": ("Status", "of"),
}


def _stopped(result: Stopped, limit: int) -> str:
    title, preposition = TITLES[result.command]
    found = list(result.diagnostics)
    refused = "denied" if result.code == _DENIED else "rejected"
    said = f"{refused}, {problems.counts(found)}" if found else "it could not go on"
    head = [_head(result.command, title, result.environment, preposition, said)]
    head += [f"> {text(result.message, 4000)}"] if result.message else []
    head += [f"> help: {text(result.hint, 2000)}"] if result.hint else []
    seen, rest = first(found, ROWS)
    head += [_problem_table(seen)] if seen else []
    sections = _folded(rest, "more problems", _problem_table)
    return marked.document(head, sections, _shell("validate"), limit)
