"""modelctl plan: what would apply do, and why?"""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import (
    Selection,
    allow_unlocked_option,
    output,
    selection,
    templates_option,
)


@click.command("plan")
@selection
@output("human", "json")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 when there is something to do."
)
@allow_unlocked_option
@templates_option
def command(
    what: tuple[str, ...],
    env: str | None,
    local: bool,
    labels: tuple[str, ...],
    output: str,
    detailed_exitcode: bool,
    allow_unlocked: bool,
    templates: str | None,
) -> int:
    """Show what apply would do, and why. Changes nothing."""
    from modelctl.cli.pipeline import check_all, desired_apps, one_environment, project_here
    from modelctl.cli.said import say, warnings
    from modelctl.cli.seeing import see_and_plan
    from modelctl.cli.world import platform_for
    from modelctl.plan import REFUSED

    project = project_here()
    chosen = one_environment(Selection(what, env, local, labels), project)
    checked = check_all(chosen, project, hashed=True)
    desired = desired_apps(checked, Path(templates) if templates else None)
    warnings(checked.diagnostics)
    platform = platform_for(chosen, project)
    result, _ = asyncio.run(
        see_and_plan(
            platform,
            desired,
            project.name,
            whole_project=chosen.everything,
            allow_unlocked=allow_unlocked,
        )
    )
    if output == "json":
        from modelctl.views import machine

        click.echo(machine.plan(result))
    else:
        from modelctl.views.human import changes
        from modelctl.views.paint import for_stream

        paint, width = for_stream()
        say(changes.plan(result, paint=paint, width=width))
    if any(change.action in REFUSED for change in result.changes):
        return Exit.REJECTED
    return Exit.CHANGES if detailed_exitcode and result.pending else Exit.DONE
