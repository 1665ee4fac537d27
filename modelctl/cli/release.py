"""modelctl release: what does the next apply do to what was held?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from modelctl.cli.by_hand import Asked, Hand, alone, changes_one, hand, looked
from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection
from modelctl.cli.said import aside, say

if TYPE_CHECKING:
    from modelctl.cli.pipeline import Prepared


@click.command("release")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@changes_one
def command(
    names: tuple[str, ...],
    env: str | None,
    local: bool,
    yes: bool,
    confirm: str | None,
    wait: float,
) -> int:
    """Let the next apply do as the spec says again. Shows what that will be."""
    from modelctl.cli.pipeline import prepare_sound
    from modelctl.diagnostics import Rejected

    asked = Asked(env, local, yes, confirm, wait)
    ready: Prepared | None = None
    try:
        ready, _ = prepare_sound(Selection(names, env, local))
    except Rejected:  # a spec that is gone or wrong is no reason to keep what a person lets go
        aside("what the next apply does is not known: modelctl validate says why")
    return asyncio.run(_released(hand(names[0], asked), names, ready))


async def _released(at: Hand, names: tuple[str, ...], ready: Prepared | None) -> Exit:
    from modelctl.byhand.doing import release
    from modelctl.plan.holding import words
    from modelctl.views.human.words import printable, wrapped
    from modelctl.views.paint import for_stream

    _, width = for_stream()
    for name in names:
        found = await looked(at, name, gone=True)
        if found.entry.hold is None:
            say(f"· {name}  nothing was held")
            continue
        before = words(found.entry.hold)
        async with alone(at, found, "release", f"Release {name} in the") as (again, job):
            await release(again, job)
        say("\n".join([f"✔ {name}  released", *wrapped(printable(f"it was {before}"), width)]))
    if ready is not None:
        await _next_apply(at, ready)
    return Exit.DONE


async def _next_apply(at: Hand, ready: Prepared) -> None:
    from modelctl.cli.seeing import see_and_plan
    from modelctl.views.human import changes
    from modelctl.views.paint import for_stream

    result, _ = await see_and_plan(
        at.platform,
        ready.desired,
        ready.project.name,
        whole_project=False,
        refresh=True,
        bill=ready.bill,
    )
    paint, width = for_stream()
    say("\nThe next apply, with the specs that are here:\n")
    say(changes.plan(result, paint=paint, width=width))
