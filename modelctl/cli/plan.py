"""modelctl plan: what would apply do, and why?"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import (
    Selection,
    allow_unlocked_option,
    override_hold_option,
    policy_option,
    prices_option,
    selection,
    templates_option,
)
from modelctl.cli.reports import Reports, reporting

if TYPE_CHECKING:
    from modelctl.cli.pipeline import Prepared
    from modelctl.diagnostics import Diagnostic
    from modelctl.plan import Plan, Seen
    from modelctl.platform.types import Platform
    from modelctl.saved import Chosen


@click.command("plan")
@selection
@reporting("plan")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 when there is something to do."
)
@click.option("--refresh", is_flag=True, help="Read every app: what was scaled or tagged by hand.")
@click.option("-o", "file", type=click.Path(dir_okay=False), metavar="FILE",
              help="Save the plan, for apply --plan.")  # fmt: skip
@click.option("--base", metavar="REF",
              help="Compare with the specs of another commit, and ask Modal nothing.")  # fmt: skip
@click.option("--prune", is_flag=True, help="Plan to delete apps that have no spec any more.")
@click.option("--retry", is_flag=True, help="Plan to deploy versions again that failed.")
@click.option("--diff", is_flag=True, help="Show how the code of each app changes.")
@override_hold_option
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
    report: tuple[str, ...],
    detailed_exitcode: bool,
    refresh: bool,
    file: str | None,
    base: str | None,
    prune: bool,
    retry: bool,
    diff: bool,
    override_hold: bool,
    allow_unlocked: bool,
    policy: str | None,
    prices: str,
    templates: str | None,
) -> int:
    """Show what apply would do, and why. Changes nothing."""
    reports = Reports("plan", output, report, Selection(what, env, local, labels))
    with reports.told():
        from modelctl.cli.pipeline import prepare
        from modelctl.cli.world import asked_prices
        from modelctl.saved import Chosen

        if base is not None:
            given = {"-o": file, "--refresh": refresh, "--prune": prune, "--retry": retry}
            given["--override-hold"] = override_hold
            if unfit := [option for option, value in given.items() if value]:
                raise click.UsageError(
                    f"--base looks at no environment: leave out {', '.join(unfit)}"
                )
        ready = prepare(
            reports.chosen,
            templates,
            allow_unlocked=allow_unlocked,
            policy=policy,
            prices=asked_prices(prices),
        )
        here = ready.chosen
        asked = Chosen(
            what, here.env, here.local, labels, prune, retry, override_hold, allow_unlocked, refresh
        )
        result, code = _plan(ready, asked, reports, base, templates, file, diff=diff)
        return Exit.CHANGES if detailed_exitcode and result.pending and not code else code


def _plan(
    ready: Prepared,
    asked: Chosen,
    reports: Reports,
    base: str | None,
    templates: str | None,
    file: str | None,
    *,
    diff: bool,
) -> tuple[Plan, int]:
    """The plan, and the exit code for what must not be done of it."""
    from modelctl.cli.base import plan_against
    from modelctl.cli.reports import planned
    from modelctl.cli.said import aside, warnings
    from modelctl.cli.saving import write_plan
    from modelctl.cli.seeing import denied, missing_of_all
    from modelctl.cli.world import platform_for
    from modelctl.diagnostics import has_errors
    from modelctl.plan import REFUSED

    warnings(ready.diagnostics)
    lacking: list[Diagnostic] = []
    if base is not None:
        result, seen = plan_against(base, ready, templates, allow_unlocked=asked.allow_unlocked)
    else:
        platform = platform_for(ready.chosen, ready.project)
        result, seen = asyncio.run(_look(platform, ready, asked))
        lacking = missing_of_all(ready, result, seen, platform)
    if file is not None:
        write_plan(file, result, seen, ready, asked)
        aside(f"saved; to carry it out: modelctl apply --plan {shlex.quote(file)}")
    if reports.human:
        _show(result, seen, ready, lacking, diff=diff)
    code: int = Exit.DONE
    if has_errors(lacking) or any(change.action in REFUSED for change in result.changes):
        code = Exit.REJECTED
    refusal = denied(result)
    code = code if refusal is None else refusal
    if reports.wanted:
        code = reports.give(planned(ready, result, lacking), code)
    return result, code


def _show(
    result: Plan, seen: Seen, ready: Prepared, lacking: Sequence[Diagnostic], *, diff: bool
) -> None:
    from modelctl.cli.said import say
    from modelctl.cli.seeing import show_missing
    from modelctl.views.human import changes, code
    from modelctl.views.paint import for_stream

    paint, width = for_stream()
    say(changes.plan(result, paint=paint, width=width))
    if diff:
        say(code.differences(ready.desired, seen.records, paint=paint))
    show_missing(lacking)


async def _look(platform: Platform, ready: Prepared, chosen: Chosen) -> tuple[Plan, Seen]:
    from modelctl.cli.seeing import needs_of_all, say_under_way, see_and_plan

    await platform.open()
    found = await see_and_plan(
        platform,
        ready.desired,
        ready.project.name,
        whole_project=ready.chosen.everything,
        allow_unlocked=chosen.allow_unlocked,
        retry=chosen.retry,
        prune=chosen.prune,
        refresh=chosen.refresh,
        override_hold=chosen.override_hold,
        bill=ready.bill,
        needs=needs_of_all(ready),
        left_out=ready.left_out,
    )
    await say_under_way(platform, ready.project.name, found[0])
    return found
