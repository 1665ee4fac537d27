"""modelctl apply: make what lives what the specs say."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from modelctl.cli.exits import Exit, worst
from modelctl.cli.options import confirm_option, wait_option
from modelctl.cli.reports import Reports, reporting
from modelctl.cli.rules import Rules, look, rules
from modelctl.cli.said import aside

if TYPE_CHECKING:
    from modelctl.apply import Outcome, Stop
    from modelctl.cli.pipeline import Prepared
    from modelctl.lease import Lease
    from modelctl.plan import Plan, Seen
    from modelctl.platform.types import Platform
    from modelctl.saved import Saved

DEFAULT_WIDTH = 16


class Asked(Struct, frozen=True):
    """What the command line says beside which specs are meant."""

    reports: Reports
    rules: Rules
    yes: bool = False
    confirm: str | None = None
    width: int = DEFAULT_WIDTH
    wait: float = 0.0
    token: tuple[str, str] | None = None
    saved: Saved | None = None

    @property
    def human(self) -> bool:
        return self.reports.human


@click.command("apply")
@rules
@reporting("apply")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@confirm_option
@click.option("--width", type=click.IntRange(1, 64), default=DEFAULT_WIDTH, show_default=True,
              help="How many apps at once.")  # fmt: skip
@wait_option
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(exists=True, dir_okay=False),
    help="Carry out what plan -o FILE saved, and nothing else.",
)
def command(
    rules: Rules,
    output: str,
    report: tuple[str, ...],
    yes: bool,
    confirm: str | None,
    width: int,
    wait: float,
    plan_file: str | None,
) -> int:
    """Deploy what changed, wait until it answers, and report."""
    reports = Reports("apply", output, report, rules.selection, changes=True)
    with reports.told():
        from modelctl.cli.said import warnings
        from modelctl.cli.saving import read_plan
        from modelctl.cli.world import platform_for, proxy_token
        from modelctl.saved import still_wanted

        saved = read_plan(plan_file, rules) if plan_file else None
        if saved is not None:
            rules = rules.as_saved(saved.chosen)
            reports.chosen = rules.selection
        ready = rules.prepared()
        warnings(ready.diagnostics)
        if saved is not None:
            still_wanted(saved, ready.desired)
        asked = Asked(
            reports=reports,
            rules=rules,
            yes=yes or saved is not None,
            confirm=confirm,
            width=width,
            wait=wait,
            token=proxy_token(ready.chosen, ready.project),
            saved=saved,
        )
        return asyncio.run(_apply(platform_for(ready.chosen, ready.project), ready, asked))


async def _apply(platform: Platform, ready: Prepared, asked: Asked) -> int:
    """Look; where there is something to do, take the lease, look again, and do it."""
    from modelctl.apply import forgotten
    from modelctl.cli import changing
    from modelctl.lease import LeaseHeld
    from modelctl.plan import LEFT_ALONE, Action
    from modelctl.platform.types import Stale

    await platform.open()
    result, seen = await _look(platform, ready, asked)
    refusal = _show(result, seen, ready, asked, platform)
    if refusal is not None:
        return refusal
    idle = {Action.UNCHANGED, Action.HELD}
    if all(
        c.action in idle or (c.action is Action.DELETE and not c.asked_for) for c in result.changes
    ):
        if result.gone or forgotten(result, ready.desired, seen):
            # Somebody else who applies now writes it down as well.
            with suppress(LeaseHeld):
                async with changing.alone(platform, ready.project, "apply") as lease:
                    again, seen = await _look(platform, ready, asked)
                    if again == result:
                        await _carry_out(result, seen, platform, ready, asked, lease)
        return _give(result, (), seen, ready, platform, asked, Exit.DONE)
    if any(c.action not in LEFT_ALONE for c in result.changes):
        said = changing.declared(ready.chosen, ready.project)
        changing.confirm(
            "Apply this to the",
            platform.where,
            yes=asked.yes,
            named=asked.confirm,
            said=said,
            env=ready.chosen.env or platform.environment,
        )
    async with changing.alone(platform, ready.project, "apply", asked.wait) as lease:
        again, seen = await _look(platform, ready, asked)
        if again != result:
            moved = "what lives has changed since the plan was made"
            if not asked.yes:
                raise Stale(f"{moved}: nothing was changed", "run modelctl apply again")
            aside(f"{moved}; it is now:")
            result = again
            refusal = _show(result, seen, ready, asked, platform)
            if refusal is not None:
                return refusal
        began = time.monotonic()
        outcomes, interrupted = await _carry_out(result, seen, platform, ready, asked, lease)
    seconds = time.monotonic() - began
    if asked.human:
        _print_human(outcomes, seconds, ready)
    code = Exit.INTERRUPTED if interrupted else exit_code(outcomes)
    return _give(result, outcomes, seen, ready, platform, asked, code, seconds)


async def _look(platform: Platform, ready: Prepared, asked: Asked) -> tuple[Plan, Seen]:
    from modelctl.saved import still_true

    result, seen = await look(platform, ready, asked.rules)
    return (still_true(asked.saved, result, seen) if asked.saved else result), seen


def _show(
    result: Plan, seen: Seen, ready: Prepared, asked: Asked, platform: Platform
) -> int | None:
    """Print the plan; the exit code where it must not be carried out."""
    from modelctl.cli.said import say
    from modelctl.cli.seeing import denied, missing_of_all, show_missing
    from modelctl.diagnostics import has_errors
    from modelctl.views.human import changes
    from modelctl.views.paint import for_stream

    lacking = missing_of_all(ready, result, seen, platform)
    if asked.human:
        paint, columns = for_stream()
        say(changes.plan(result, paint=paint, width=columns))
        show_missing(lacking)
    refusal = denied(result) or (Exit.REJECTED if has_errors(lacking) else None)
    return None if refusal is None else _give(result, (), seen, ready, platform, asked, refusal)


async def _carry_out(
    result: Plan,
    seen: Seen,
    platform: Platform,
    ready: Prepared,
    asked: Asked,
    lease: Lease,
) -> tuple[tuple[Outcome, ...], bool]:
    """The outcomes, and whether somebody interrupted."""
    from modelctl.apply import By, Gate, Stop, apply
    from modelctl.cli import changing, who
    from modelctl.cli.locking import list_files
    from modelctl.cli.progress import progress
    from modelctl.health import proxy_headers

    if asked.human:
        click.echo()
    stop = Stop()
    with progress(result) as tell, _interrupts(stop):
        outcomes = await apply(
            result,
            ready.desired,
            platform=platform,
            seen=seen,
            project=ready.project.name,
            by=By(who.who(), who.commit(ready.project.root), who.now),
            gate=Gate(proxy_headers(*asked.token) if asked.token else None),
            list_files=list_files,
            width=asked.width,
            tell=tell,
            waves=changing.waves(ready.chosen, ready.project),
            check=lease.check,
            stop=stop,
        )
    return outcomes, stop.soon.is_set()


@contextmanager
def _interrupts(stop: Stop) -> Iterator[None]:
    """Ctrl-C, or the end of a CI job: once finishes what is under way, twice ends at once."""
    loop = asyncio.get_running_loop()

    def asked() -> None:
        first = not stop.soon.is_set()
        stop.asked()
        if first:
            aside("interrupted: what is under way is finished; once more stops at once")

    caught = (signal.SIGINT, signal.SIGTERM)
    for one in caught:
        loop.add_signal_handler(one, asked)
    try:
        yield
    finally:
        for one in caught:
            loop.remove_signal_handler(one)


def _print_human(outcomes: Sequence[Outcome], seconds: float, ready: Prepared) -> None:
    from modelctl.cli.said import say
    from modelctl.views.human import ended
    from modelctl.views.paint import for_stream

    paint, columns = for_stream()
    options = ready.chosen.options
    say("\n" + ended.outcomes(outcomes, seconds, paint=paint, width=columns, options=options))


def _give(
    result: Plan,
    outcomes: Sequence[Outcome],
    seen: Seen,
    ready: Prepared,
    platform: Platform,
    asked: Asked,
    code: int,
    seconds: float = 0.0,
) -> int:
    """Write what came of it wherever that was asked for; the exit code."""
    if not asked.reports.wanted:
        return code
    from modelctl.cli.reports import planned
    from modelctl.cli.seeing import missing_of_all
    from modelctl.views.results import Applied

    plan = planned(ready, result, missing_of_all(ready, result, seen, platform))
    return asked.reports.give(Applied(plan, outcomes, seconds, ready.chosen.options), code)


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
        else Exit.TRY_AGAIN
        if o.again
        else Exit.FAILED
        for o in failed
    )
