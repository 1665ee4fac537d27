"""modelctl validate: is everything right, as far as can be known offline?"""

from __future__ import annotations

import time

import click

from modelctl.cli.exits import of_diagnostics
from modelctl.cli.options import Selection, output, policy_option, selection


@click.command("validate")
@selection
@output("human", "json")
@policy_option
@click.option("--new-since", metavar="REF", help="Only what was not there at this commit of git.")
def command(
    what: tuple[str, ...],
    env: str | None,
    local: bool,
    labels: tuple[str, ...],
    output: str,
    policy: str | None,
    new_since: str | None,
) -> int:
    """Find every problem of every spec, offline.

    WHAT is paths or names of specs; all of specs/ if left out. Without --env, each spec is checked
    in all its environments, and a thing is said once.
    """
    began = time.perf_counter()
    from modelctl.cli.pipeline import check_all, project_here
    from modelctl.diagnostics import Rejected, error, has_errors
    from modelctl.views.paint import for_stream

    try:
        checked = check_all(Selection(what, env, local, labels), project_here(policy), hashed=False)
    except Rejected as wrong:  # the project file itself
        if output != "json":
            raise
        from modelctl.views import machine

        click.echo(machine.validation(wrong.diagnostics))
        return of_diagnostics(d.code for d in wrong.diagnostics if d.is_error)
    if not checked.files and not has_errors(checked.diagnostics):
        raise Rejected([error("spec/none-chosen", "there is no spec to validate here")])
    diagnostics = checked.diagnostics
    if new_since is not None:
        from modelctl.cli.since import brought_since

        diagnostics = brought_since(
            new_since, Selection(what, env, local, labels), diagnostics, checked.project
        )
    if output == "json":
        from modelctl.views import machine

        click.echo(machine.validation(diagnostics, checked.bills))
    else:
        from modelctl.cli.said import say
        from modelctl.views.human import problems

        paint, width = for_stream()
        say(
            problems.validation(
                diagnostics,
                specs=checked.files,
                environments=checked.environments,
                seconds=time.perf_counter() - began,
                paint=paint,
                width=width,
                bills=checked.bills,
            )
        )
    return of_diagnostics(d.code for d in diagnostics if d.is_error)
