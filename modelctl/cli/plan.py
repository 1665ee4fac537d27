"""modelctl plan: what would apply do, and why?"""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit
from modelctl.cli.reports import Reports, reporting
from modelctl.cli.rules import Rules, look, rules

if TYPE_CHECKING:
    from modelctl.cli.pipeline import Prepared
    from modelctl.diagnostics import Diagnostic
    from modelctl.plan import Plan, Seen
    from modelctl.platform.types import Platform


@click.command("plan")
@rules
@reporting("plan")
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 2 when there is something to do."
)
@click.option("-o", "file", type=click.Path(dir_okay=False), metavar="FILE",
              help="Save the plan, for apply --plan.")  # fmt: skip
@click.option("--base", metavar="REF",
              help="Compare with the specs of another commit, and ask Modal nothing.")  # fmt: skip
@click.option("--diff", is_flag=True, help="Show how the code of each app changes.")
def command(
    rules: Rules,
    output: str,
    report: tuple[str, ...],
    detailed_exitcode: bool,
    file: str | None,
    base: str | None,
    diff: bool,
) -> int:
    """Show what apply would do, and why. Changes nothing."""
    reports = Reports("plan", output, report, rules.selection)
    with reports.told():
        if base is not None:
            given = {"-o": file, "--refresh": rules.refresh, "--prune": rules.prune}
            given |= {"--retry": rules.retry, "--override-hold": rules.override_hold}
            if unfit := [option for option, value in given.items() if value]:
                raise click.UsageError(
                    f"--base looks at no environment: leave out {', '.join(unfit)}"
                )
        result, code = _plan(rules.prepared(), rules, reports, base, file, diff=diff)
        return Exit.CHANGES if detailed_exitcode and result.pending and not code else code


def _plan(
    ready: Prepared,
    asked: Rules,
    reports: Reports,
    base: str | None,
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
        unlocked = asked.allow_unlocked
        result, seen = plan_against(base, ready, asked.templates, allow_unlocked=unlocked)
    else:
        platform = platform_for(ready.chosen, ready.project)
        result, seen = asyncio.run(_look(platform, ready, asked))
        lacking = missing_of_all(ready, result, seen, platform)
    if file is not None:
        write_plan(file, result, seen, ready, asked.saved_as(ready.chosen))
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


async def _look(platform: Platform, ready: Prepared, asked: Rules) -> tuple[Plan, Seen]:
    from modelctl.cli.seeing import say_under_way

    await platform.open()
    found = await look(platform, ready, asked)
    await say_under_way(platform, ready.project.name, found[0])
    return found
