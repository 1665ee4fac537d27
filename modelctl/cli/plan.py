"""modelctl plan: what would apply do, and why?"""

from __future__ import annotations

import asyncio

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import (
    Selection,
    allow_unlocked_option,
    output,
    policy_option,
    prices_option,
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
@policy_option
@prices_option
@templates_option
def command(
    what: tuple[str, ...],
    env: str | None,
    local: bool,
    labels: tuple[str, ...],
    output: str,
    detailed_exitcode: bool,
    allow_unlocked: bool,
    policy: str | None,
    prices: str,
    templates: str | None,
) -> int:
    """Show what apply would do, and why. Changes nothing."""
    from modelctl.cli.pipeline import prepare
    from modelctl.cli.said import say, warnings
    from modelctl.cli.seeing import (
        denied,
        missing_of_all,
        needs_of_all,
        see_and_plan,
        show_missing,
    )
    from modelctl.cli.world import asked_prices, platform_for
    from modelctl.diagnostics import has_errors
    from modelctl.plan import REFUSED

    ready = prepare(
        Selection(what, env, local, labels),
        templates,
        allow_unlocked=allow_unlocked,
        policy=policy,
        prices=asked_prices(prices),
    )
    warnings(ready.diagnostics)
    platform = platform_for(ready.chosen, ready.project)
    result, seen = asyncio.run(
        see_and_plan(
            platform,
            ready.desired,
            ready.project.name,
            whole_project=ready.chosen.everything,
            allow_unlocked=allow_unlocked,
            bill=ready.bill,
            needs=needs_of_all(ready),
        )
    )
    lacking = missing_of_all(ready, result, seen, platform)
    if output == "json":
        from modelctl.views import machine

        click.echo(machine.plan(result, lacking))
    else:
        from modelctl.views.human import changes
        from modelctl.views.paint import for_stream

        paint, width = for_stream()
        say(changes.plan(result, paint=paint, width=width))
        show_missing(lacking)
    if (refusal := denied(result)) is not None:
        return refusal
    if has_errors(lacking) or any(change.action in REFUSED for change in result.changes):
        return Exit.REJECTED
    return Exit.CHANGES if detailed_exitcode and result.pending else Exit.DONE
