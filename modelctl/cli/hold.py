"""modelctl hold: what shall no apply touch for now?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from modelctl.cli.by_hand import (
    Asked,
    alone,
    changes_one,
    ended,
    hand,
    looked,
    new_hold,
    said_why,
    until_option,
)

if TYPE_CHECKING:
    from modelctl.cli.by_hand import Hand
    from modelctl.cli.exits import Exit
    from modelctl.record import Hold


@click.command("hold")
@click.argument("name")
@click.option(
    "--why", required=True, callback=said_why, metavar="TEXT", help="The reason, for the others."
)
@until_option
@changes_one
def command(
    name: str,
    why: str,
    until: str | None,
    env: str | None,
    local: bool,
    yes: bool,
    confirm: str | None,
    wait: float,
) -> int:
    """Keep an app as it is until it is released.

    Applies deploy, scale and delete it no more; each plan says so, with the reason.
    """
    kept = new_hold("version", "held", why, until)
    at = hand(name, Asked(env, local, yes, confirm, wait))
    return asyncio.run(_held(at, name, kept))


async def _held(at: Hand, name: str, kept: Hold) -> Exit:
    from modelctl.byhand.doing import hold
    from modelctl.byhand.holding import joined

    found = await looked(at, name)
    question = f"Hold {name} at v{found.app.version} in the"
    async with alone(at, found, "hold", question) as (again, job):
        done = await hold(again, joined(again.hold, kept), job)
    return ended(done, at, "is held", following=f"modelctl release {name}")
