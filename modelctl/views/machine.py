"""How do results read to a program? JSON with `"format": 1`, fields as the documentation says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import to_builtins

from modelctl.resolved import Unknown
from modelctl.views.escaped import dumped

if TYPE_CHECKING:
    from modelctl.apply import Outcome
    from modelctl.assess.bill import Bill
    from modelctl.assess.rows import Report, Row
    from modelctl.byhand.told import Told
    from modelctl.diagnostics import Diagnostic
    from modelctl.fit.types import Interval
    from modelctl.plan import Change, FieldChange, Plan
    from modelctl.record import Hold
    from modelctl.surplus import Shelf
    from modelctl.views.results import Result, Stopped
    from modelctl.views.rows import StatusRow

FORMAT = 1

_GIB, _COUNT, _USD = 3, 2, 6
"""How many digits after the point an estimate is told with; tokens have none."""


def dump(data: Mapping[str, object]) -> str:
    return dumped({"format": FORMAT, **data}, indent=2)


def text(result: Result) -> str:
    """The result of validate, plan, apply or status."""
    from modelctl.views.results import Applied, Planned, Standing, Validated

    match result:
        case Validated():
            return validation(result.diagnostics, result.bills)
        case Planned():
            return plan(result.plan, result.found)
        case Applied():
            return outcomes(result.planned.plan, result.outcomes, result.planned.found)
        case Standing():
            return status(result.rows, result.modal_environment, paid=result.paid)
        case _:
            return stopped(result)


def stopped(result: Stopped) -> str:
    """There is no plan, no outcome, no status: why, and what the command exits with."""
    said = {"message": result.message, "hint": result.hint} if result.message else None
    return dump(
        {
            "environment": result.environment,
            "exit_code": result.code,
            "error": said,
            "diagnostics": [diagnostic(d) for d in result.diagnostics],
        }
    )


def diagnostic(found: Diagnostic) -> dict[str, object]:
    place = found.place
    return {
        "severity": found.severity.value,
        "code": found.code,
        "message": found.message,
        "hint": found.hint,
        "detail": found.detail,
        "file": place.file if place else None,
        "line": place.line if place else None,
        "column": place.column if place else None,
        "path": found.path,
        "environments": list(found.environments),
    }


def validation(found: Sequence[Diagnostic], bills: Sequence[Bill] = ()) -> str:
    return dump(
        {"diagnostics": [diagnostic(d) for d in found], "cost": [_bill(bill) for bill in bills]}
    )


def _bill(bill: Bill) -> dict[str, object]:
    """USD an hour: `value` on the first GPU of each list, `low` and `high` over the lists."""
    return {
        "environment": bill.environment,
        "paid": bill.paid,
        "prices": bill.words,
        "keep_warm_usd_per_hour": _spread(bill.first, bill.warm),
        "at_max_usd_per_hour": _spread(bill.first_at_most, bill.at_most),
        "no_max": list(bill.unlimited),
        "no_price": list(bill.unpriced),
        "budget": to_builtins(bill.limits),
    }


def _spread(value: float, ends: tuple[float, float]) -> dict[str, float]:
    return {"value": value, "low": ends[0], "high": ends[1]}


def plan_data(result: Plan) -> dict[str, object]:
    from modelctl.plan import HOURS_A_MONTH, Action, beyond_limits
    from modelctl.views.human.changes import notes

    return {
        "environment": result.environment,
        "changes": [_change(c) for c in result.changes],
        "summary": {action.value: result.count(action) for action in Action},
        "cost": {
            "paid": result.paid,
            "prices": result.prices,
            "usd_per_hour_before": result.warm_before,
            "usd_per_hour_after": result.warm_after,
            "usd_per_month_after": result.warm_after * HOURS_A_MONTH,
            "usd_per_hour_of_other_apps": result.others,
            "usd_per_hour_at_max": result.at_max,
            "apps_without_max": list(result.without_max),
            "budget": to_builtins(result.limits),
        },
        "denied": list(beyond_limits(result)),
        "notes": notes(result),
    }


def plan(result: Plan, found: Sequence[Diagnostic] = ()) -> str:
    """`found` is what the specs are warned of, and what they name and the environment lacks."""
    return dump({**plan_data(result), "diagnostics": [diagnostic(d) for d in found]})


def fit(report: Report) -> str:
    return dump(
        {
            "name": report.name,
            "model": report.model,
            "environment": report.environment,
            "context": _known(report.context),
            "rows": [_fit_row(row) for row in report.rows],
            "ways": list(report.ways),
            "cheapest": None
            if report.cheapest is None
            else {"gpu": report.cheapest[0], "usd_per_hour": report.cheapest[1]},
            "break_even": report.break_even,
            "boot_seconds_assumed": report.boot_seconds,
            "prices": report.prices,
            "keep_warm_usd_per_hour": _ends(report.warm),
            "at_max_usd_per_hour": _ends(report.at_most),
        }
    )


def _fit_row(row: Row) -> dict[str, object]:
    found: dict[str, object] = {"key": row.key, "gpu": row.gpu, "count": row.count}
    memory, speed = row.memory, row.speed
    if isinstance(memory, Unknown):
        found |= {"verdict": "unknown", "reason": memory.reason}
        found |= dict.fromkeys(("weights_gib", "kv_gib", "kv_tokens", "max_sequences"))
    else:
        found |= {
            "verdict": memory.verdict,
            "reason": memory.reason,
            "measured": memory.measured,
            "boot": memory.boot,
            "usable_gib": _rounded(memory.usable, _GIB),
            "budget_gib": _rounded(memory.budget, _GIB),
            "weights_gib": _estimate(memory.weights, _GIB),
            "kv_gib": _estimate(memory.cache, _GIB),
            "other_gib": {name: _estimate(part, _GIB) for name, part in memory.other.items()},
            "kv_tokens": _estimate(memory.tokens, 0),
            "max_sequences": _estimate(memory.full, _COUNT),
            "max_sequences_typical": _estimate(memory.typical, _COUNT),
            "largest_context": memory.largest_context,
        }
    if not isinstance(speed, Unknown):
        found["tokens_per_second"] = {
            "predicted": _estimate(speed.predicted, _COUNT),
            "bound": _rounded(speed.bound, _COUNT),
            "single": _estimate(speed.single, _COUNT),
            "requests": speed.requests,
            "prompt_tokens": speed.request.prompt,
            "output_tokens": speed.request.output,
        }
    found["usd_per_hour"] = _rounded(_known(row.usd_per_hour), _USD)
    found["usd_per_million_tokens"] = _rounded(row.usd_per_million, _USD)
    return found


def _estimate(found: Interval | None, digits: int) -> dict[str, float | None] | None:
    """Of what is left where nothing is left, an end may be below nothing: it is none then."""
    if found is None:
        return None
    ends = {"value": found.value, "low": found.low, "high": found.high}
    return {name: _rounded(max(0.0, end), digits) for name, end in ends.items()}


def _rounded(value: float | None, digits: int) -> float | None:
    """Without digits a whole number."""
    return None if value is None else round(value, digits or None)


def _ends(found: tuple[float, float] | Unknown) -> dict[str, float] | None:
    return None if isinstance(found, Unknown) else {"low": found[0], "high": found[1]}


def _known(value: float | Unknown) -> float | None:
    return None if isinstance(value, Unknown) else value


def weights(shelves: Sequence[Shelf]) -> str:
    return dump(
        {
            "weights": [
                {
                    "source": shelf.weights.source,
                    "commit": shelf.weights.commit,
                    "path": shelf.weights.prefix,
                    "files": shelf.weights.files,
                    "bytes": shelf.weights.size,
                    "complete": shelf.weights.complete,
                    "changed_at": shelf.weights.newest.isoformat(),
                    "apps": list(shelf.apps),
                    "named": shelf.named,
                }
                for shelf in shelves
            ]
        }
    )


def outcomes(result: Plan, ended: Sequence[Outcome], found: Sequence[Diagnostic] = ()) -> str:
    return dump(
        {
            **plan_data(result),
            "diagnostics": [diagnostic(d) for d in found],
            "outcomes": [
                {
                    "name": o.name,
                    "action": o.action.value,
                    "result": o.result.value,
                    "version": o.version,
                    "tried": o.tried,
                    "failure": o.failure.value if o.failure else None,
                    "needs_person": o.needs_person,
                    "url": o.url,
                    "detail": o.detail,
                    "lines": list(o.lines),
                    "seconds": round(o.seconds, 3),
                }
                for o in ended
            ],
        }
    )


def status(rows: Sequence[StatusRow], environment: str, *, paid: bool) -> str:
    apps = [to_builtins(row) for row in rows]
    return dump({"environment": environment, "paid": paid, "apps": apps})


def history(rows: Sequence[Told], name: str, environment: str, hold: Hold | None) -> str:
    return dump(
        {
            "name": name,
            "environment": environment,
            "hold": to_builtins(hold),
            "events": [
                {
                    "at": row.at,
                    "who": row.who,
                    "commit": row.commit,
                    "did": row.did,
                    "version": row.version,
                    "is": row.is_,
                    "lives": row.lives,
                    "result": row.result,
                    "why": row.why,
                    "fields": [{"path": p, "before": b, "after": a} for p, b, a in row.fields],
                }
                for row in rows
            ],
        }
    )


def difference(name: str, first: int, second: int, fields: Sequence[FieldChange]) -> str:
    said = [{"path": f.path, "before": f.before, "after": f.after} for f in fields]
    return dump({"name": name, "from": first, "to": second, "fields": said})


def _change(change: Change) -> dict[str, object]:
    return {
        "name": change.name,
        "action": change.action.value,
        "does": change.does.value,
        "reasons": list(change.reasons),
        "impact": list(change.impact),
        "hold": to_builtins(change.hold) if change.hold else None,
        "fields": [{"path": f.path, "before": f.before, "after": f.after} for f in change.fields],
        "cost": {
            "usd_per_hour_before": change.cost.before,
            "usd_per_hour_after": change.cost.after,
            "usd_per_hour_on_dearest": change.cost.dearest,
            "usd_per_hour_at_max": change.cost.at_max,
        },
        "version": change.version,
        "url": change.url,
    }
