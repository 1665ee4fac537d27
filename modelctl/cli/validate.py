"""modelctl validate: is everything right, as far as can be known offline?"""

from __future__ import annotations

import time

import click

from modelctl.cli.exits import of_diagnostics
from modelctl.cli.options import Selection, policy_option, selection
from modelctl.cli.reports import Reports, reporting


@click.command("validate")
@selection
@reporting("validate")
@policy_option
@click.option("--new-since", metavar="REF", help="Only what was not there at this commit of git.")
def command(
    what: tuple[str, ...],
    env: str | None,
    local: bool,
    labels: tuple[str, ...],
    output: str,
    report: tuple[str, ...],
    policy: str | None,
    new_since: str | None,
) -> int:
    """Find every problem of every spec, offline.

    WHAT is paths or names of specs; all of specs/ if left out. Without --env, each spec is checked
    in all its environments, and a thing is said once.
    """
    chosen = Selection(what, env, local, labels)
    reports = Reports("validate", output, report, chosen)
    with reports.told():
        return _validate(chosen, reports, policy, new_since)


def _validate(
    chosen: Selection, reports: Reports, policy: str | None, new_since: str | None
) -> int:
    began = time.perf_counter()
    from modelctl.cli.pipeline import check_all, project_here
    from modelctl.diagnostics import Rejected, error, has_errors

    try:
        checked = check_all(chosen, project_here(policy), hashed=False)
    except Rejected as wrong:  # the project file itself
        if reports.human:
            raise
        from modelctl.views.results import Validated

        code = of_diagnostics(d.code for d in wrong.diagnostics if d.is_error)
        return reports.give(Validated(wrong.diagnostics), code)
    if not checked.files and not has_errors(checked.diagnostics):
        raise Rejected([error("spec/none-chosen", "there is no spec to validate here")])
    diagnostics = checked.diagnostics
    if new_since is not None:
        from modelctl.cli.since import brought_since

        diagnostics = brought_since(new_since, chosen, diagnostics, checked.project)
    bills = checked.bills
    if any(d.code == "spec/undeclared-environment" and d.place is None for d in diagnostics):
        bills = ()  # what is not there costs nothing
    seconds = time.perf_counter() - began
    if reports.human:
        from modelctl.cli.said import say
        from modelctl.views.human import problems
        from modelctl.views.paint import for_stream

        paint, width = for_stream()
        say(
            problems.validation(
                diagnostics,
                specs=len(checked.files),
                environments=checked.environments,
                seconds=seconds,
                paint=paint,
                width=width,
                bills=bills,
                unread=checked.unread,
            )
        )
    code = of_diagnostics(d.code for d in diagnostics if d.is_error)
    if not reports.wanted:
        return code
    from modelctl.views.results import Validated

    names = checked.environments
    return reports.give(Validated(diagnostics, checked.files, names, seconds, bills), code)
