"""modelctl apply: make what lives what the specs say."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit, worst
from modelctl.cli.options import (
    Selection,
    allow_unlocked_option,
    output,
    policy_option,
    prices_option,
    selection,
    templates_option,
)

if TYPE_CHECKING:
    from modelctl.apply import Outcome
    from modelctl.cli.pipeline import Prepared
    from modelctl.plan import Desired
    from modelctl.platform.types import Platform
    from modelctl.spec.wanted import ProjectFile

DEFAULT_WIDTH = 16


@click.command("apply")
@selection
@output("human", "json")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--retry", is_flag=True, help="Deploy versions again that failed as they are.")
@click.option(
    "--prune", is_flag=True, help="Delete this project's apps that have no spec any more."
)
@click.option("--width", type=click.IntRange(1, 64), default=DEFAULT_WIDTH, show_default=True,
              help="How many apps at once.")  # fmt: skip
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
    yes: bool,
    retry: bool,
    prune: bool,
    width: int,
    allow_unlocked: bool,
    policy: str | None,
    prices: str,
    templates: str | None,
) -> int:
    """Deploy what changed, wait until it answers, and report."""
    from modelctl.cli.pipeline import prepare
    from modelctl.cli.said import warnings
    from modelctl.cli.world import asked_prices, platform_for, proxy_token

    ready = prepare(
        Selection(what, env, local, labels),
        templates,
        allow_unlocked=allow_unlocked,
        policy=policy,
        prices=asked_prices(prices),
    )
    warnings(ready.diagnostics)
    return asyncio.run(
        _apply(
            platform_for(ready.chosen, ready.project),
            ready.desired,
            ready.project,
            token=proxy_token(ready.chosen, ready.project),
            whole_project=ready.chosen.everything,
            output=output,
            yes=yes,
            prune=prune,
            width=width,
            allow_unlocked=allow_unlocked,
            retry=retry,
            options=ready.chosen.options,
            ready=ready,
        )
    )


async def _apply(
    platform: Platform,
    desired: Sequence[Desired],
    project: ProjectFile,
    *,
    token: tuple[str, str] | None,
    whole_project: bool,
    output: str,
    yes: bool,
    prune: bool,
    width: int,
    allow_unlocked: bool,
    retry: bool,
    options: str,
    ready: Prepared | None = None,
) -> int:
    """`ready` says what may be spent, and what must be there."""
    from modelctl.apply import Gate, apply, forgotten
    from modelctl.cli.locking import list_files
    from modelctl.cli.said import say
    from modelctl.cli.seeing import (
        denied,
        missing_of_all,
        needs_of_all,
        see_and_plan,
        show_missing,
    )
    from modelctl.diagnostics import has_errors
    from modelctl.health import proxy_headers
    from modelctl.plan import Action
    from modelctl.record import remember
    from modelctl.views import machine
    from modelctl.views.human import changes
    from modelctl.views.paint import for_stream

    result, seen = await see_and_plan(
        platform,
        desired,
        project.name,
        whole_project=whole_project,
        allow_unlocked=allow_unlocked,
        retry=retry,
        prune=prune,
        bill=ready.bill if ready else None,
        needs=needs_of_all(ready) if ready else (),
    )
    lacking = missing_of_all(ready, result, seen, platform) if ready else []
    paint, columns = for_stream()
    human_reads = output == "human"
    if human_reads:
        say(changes.plan(result, paint=paint, width=columns))
        show_missing(lacking)
    refusal = denied(result)
    if refusal is not None or has_errors(lacking):
        if not human_reads:
            click.echo(machine.outcomes(result, (), lacking))
        return refusal or Exit.REJECTED
    idle = {Action.UNCHANGED, *(() if prune else (Action.DELETE,))}
    if all(c.action in idle for c in result.changes):
        if lost := forgotten(result, desired, seen.live.apps, seen.index):
            await remember(platform, project.name, seen.index, lost)
        if not human_reads:
            click.echo(machine.outcomes(result, (), lacking))
        return Exit.DONE
    if not yes:
        _confirm(platform.where)
    if human_reads:
        click.echo()
    from modelctl.cli.progress import progress

    began = time.monotonic()
    with progress(result) as tell:
        outcomes = await apply(
            result,
            desired,
            platform=platform,
            live=seen.live.apps,
            index=seen.index,
            project=project.name,
            gate=Gate(proxy_headers(*token) if token else None),
            list_files=list_files,
            prune=prune,
            width=width,
            tell=tell,
        )
    if human_reads:
        seconds = time.monotonic() - began
        text = changes.outcomes(outcomes, seconds, paint=paint, width=columns, options=options)
        say("\n" + text)
    else:
        click.echo(machine.outcomes(result, outcomes, lacking))
    return exit_code(outcomes)


def exit_code(outcomes: Sequence[Outcome]) -> Exit:
    """The one code for all that failed; what was never begun is rejected, not failed."""
    from modelctl.apply import Result
    from modelctl.plan import REFUSED

    failed = [o for o in outcomes if o.result is Result.FAILED]
    return worst(
        Exit.REJECTED
        if o.action in REFUSED
        else Exit.PERSON_NEEDED
        if o.needs_person
        else Exit.FAILED
        for o in failed
    )


def _confirm(where: str) -> None:
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal to ask on: say --yes")
    if not click.confirm(f"\nApply this to the {where}?", default=False, err=True):
        raise click.Abort
