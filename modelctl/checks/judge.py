"""What is said of the findings? Each gets its place; then the project's rules and pardons apply."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from modelctl.assess import Assessed
from modelctl.checks import (
    arguments,
    attention,
    batch,
    beside,
    budget,
    codes,
    endpoint,
    engine,
    fit,
    flag_bounds,
    flag_fields,
    gpu,
    hardware,
    image,
    model,
    mounts,
    parallel,
    policy,
    ranks,
    resources,
    rollout,
    scaling,
    secrets,
    snapshot,
    sources,
    template,
    variables,
    words,
)
from modelctl.checks.case import Case, Rule, case_of, wrong
from modelctl.diagnostics import Diagnostic, Severity, in_order
from modelctl.engines.base import Finding
from modelctl.spec.models import Allow
from modelctl.spec.quoting import visible
from modelctl.spec.wanted import Wanted, show_path
from modelctl.weights.facts import ModelFacts

RULES: tuple[Rule, ...] = (
    *gpu.RULES,
    *hardware.RULES,
    *parallel.RULES,
    *sources.RULES,
    *model.RULES,
    *template.RULES,
    *engine.RULES,
    *batch.RULES,
    *attention.RULES,
    *arguments.RULES,
    *flag_fields.RULES,
    *flag_bounds.RULES,
    *beside.RULES,
    *ranks.RULES,
    *scaling.RULES,
    *resources.RULES,
    *endpoint.RULES,
    *snapshot.RULES,
    *fit.RULES,
    *image.RULES,
    *mounts.RULES,
    *words.RULES,
    *variables.RULES,
    *secrets.RULES,
    *budget.RULES,
    *rollout.RULES,
    *codes.RULES,
)
"""What the project's `rules` and a spec's `allow` have a say in; `policy.RULES` come after."""

# The source line of such a finding holds the value that nobody should print.
_NOT_SHOWN = {"env/looks-like-a-secret", "args/looks-like-a-secret", "secrets/in-the-open"}


def check(
    wanted: Wanted, assessed: Assessed, facts: ModelFacts, *, today: datetime.date
) -> list[Diagnostic]:
    """All that the rules say about one spec in one environment, in the file's order."""
    case = case_of(wanted, assessed, facts)
    found = _worth_saying([finding for rule in RULES for finding in rule(case)])
    kept = [*_pardoned(found, wanted, today), *_allow_itself(wanted)]
    denied = [finding for rule in policy.RULES for finding in rule(case)]
    located = (_located(finding, wanted) for finding in (*_ruled(kept, wanted), *denied))
    return in_order(dict.fromkeys(located))


def ruled(found: Iterable[Finding], wanted: Wanted, today: datetime.date) -> list[Diagnostic]:
    """What was found later, with its place, after the project's rules and the spec's pardons."""
    kept = _ruled(_pardoned(found, wanted, today), wanted)
    return in_order(_located(finding, wanted) for finding in kept)


def _worth_saying(found: list[Finding]) -> list[Finding]:
    """Of a spec that is wrong anyway, nobody asks why its memory could not be counted."""
    if not any(finding.severity is Severity.ERROR for finding in found):
        return found
    return [finding for finding in found if finding.code != "fit/not-checked"]


def _located(finding: Finding, wanted: Wanted) -> Diagnostic:
    place = wanted.origins.place(finding.path, key=finding.key)
    if finding.code in _NOT_SHOWN or secrets.shows_a_secret(finding.path, place.text):
        place = replace(place, text="")
    return Diagnostic(
        severity=finding.severity,
        code=finding.code,
        message=visible(secrets.hidden(finding.message)),
        hint=visible(secrets.hidden(finding.hint)),
        place=place,
        path=visible(secrets.hidden(show_path(wanted.origins.written(finding.path)))),
        detail=visible(secrets.hidden(finding.detail)),
    )


def _ruled(findings: Iterable[Finding], wanted: Wanted) -> Iterator[Finding]:
    """The project's `rules`: a code's severity, or off."""
    rules = wanted.project.project.rules or {}
    for finding in findings:
        rule = rules.get(finding.code)
        if rule == "off":
            continue
        yield finding if rule is None else replace(finding, severity=Severity(rule))


def _pardoned(
    findings: Iterable[Finding], wanted: Wanted, today: datetime.date
) -> Iterator[Finding]:
    """The spec's `allow`: what is known and accepted is not said, until its last day."""
    allow = wanted.spec.allow or {}
    for finding in findings:
        pardon = allow.get(finding.code)
        if pardon is None or not pardon.reason:
            yield finding
            continue
        until = _last_day(pardon)
        if until is not None and until < today:
            hint = f"{finding.hint}; " if finding.hint else ""
            yield replace(finding, hint=f"{hint}it was allowed until {until.isoformat()}")


def _allow_itself(wanted: Wanted) -> Iterator[Finding]:
    for code, pardon in (wanted.spec.allow or {}).items():
        if not pardon.reason:
            yield wrong(
                ("allow", code),
                "allow/no-reason",
                f"allowing {code} needs a reason",
                f"allow: {{{code}: {{reason: why it is right here}}}}",
            )
        if pardon.until is not None and _last_day(pardon) is None:
            yield wrong(
                ("allow", code, "until"),
                "allow/no-date",
                f"{pardon.until} is no day of the calendar",
                "until: 2027-01-31",
            )


def _last_day(pardon: Allow) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(pardon.until) if pardon.until else None
    except ValueError:
        return None


__all__ = ["RULES", "Case", "check"]
