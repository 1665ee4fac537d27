"""modelctl rollback: which version serves instead, and until when?"""

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
    time_limits,
    until_option,
    why_option,
    within_option,
)

if TYPE_CHECKING:
    from modelctl.apply.watching import Within
    from modelctl.cli.by_hand import Hand
    from modelctl.cli.exits import Exit
    from modelctl.record import Hold


@click.command("rollback")
@click.argument("name")
@click.argument("version", required=False, metavar="[vN]")
@why_option
@until_option
@click.option("--force", is_flag=True, help="Go back to a version that failed, too.")
@within_option
@changes_one
def command(
    name: str,
    version: str | None,
    why: str,
    until: str | None,
    force: bool,
    within: str,
    env: str | None,
    local: bool,
    yes: bool,
    confirm: str | None,
    wait: float,
) -> int:
    """Have an earlier version serve again, and hold it.

    Without vN: the last good one before the version that lives. Its scaling is today's. Applies
    leave it alone until it is released.
    """
    from modelctl.byhand.versions import number

    asked = Asked(env, local, yes, confirm, wait)
    wanted = number(version)
    kept = new_hold("version", "", why, until)
    limits = time_limits(within)
    return asyncio.run(_rolled_back(hand(name, asked), name, wanted, kept, limits, force=force))


async def _rolled_back(
    at: Hand, name: str, wanted: int | None, kept: Hold, limits: Within, *, force: bool
) -> Exit:
    from msgspec.structs import replace

    from modelctl.byhand.doing import roll_back
    from modelctl.byhand.holding import joined
    from modelctl.byhand.looking import refuse_without_weights
    from modelctl.byhand.versions import chosen
    from modelctl.cli.weights import VOLUME

    found = await looked(at, name)
    back = chosen(found, wanted, force=force)
    await refuse_without_weights(at.platform, found, back, VOLUME)
    hold = joined(found.hold, replace(kept, did=f"rolled back to v{back.version}"))
    question = f"Roll {name} back from v{found.app.version} to v{back.version} in the"
    async with alone(at, found, "rollback", question) as (again, job):
        done = await roll_back(again, back, hold, limits, job)
    return ended(done, at, "serves", following=f"modelctl release {name}")
