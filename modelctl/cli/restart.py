"""modelctl restart: does it help to begin again?"""

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
    time_limits,
    why_option,
    within_option,
)

if TYPE_CHECKING:
    from modelctl.apply.watching import Within
    from modelctl.cli.by_hand import Hand
    from modelctl.cli.exits import Exit


@click.command("restart")
@click.argument("name")
@why_option
@within_option
@changes_one
def command(
    name: str,
    why: str,
    within: str,
    env: str | None,
    local: bool,
    yes: bool,
    confirm: str | None,
    wait: float,
) -> int:
    """Replace an app's containers by fresh ones of the same version.

    They roll: the old ones answer until the new ones do. Nothing is held, because what lives is
    what lived before. An app that sleeps is not woken.
    """
    limits = time_limits(within)
    at = hand(name, Asked(env, local, yes, confirm, wait))
    return asyncio.run(_restarted(at, name, limits, why))


async def _restarted(at: Hand, name: str, limits: Within, why: str) -> Exit:
    from modelctl.byhand.doing import restart

    found = await looked(at, name)
    async with alone(at, found, "restart", f"Restart {name} in the") as (again, job):
        done = await restart(again, limits, job, why)
    awake = bool(found.details.containers or found.scaling.min_containers)
    words = (
        "serves, with fresh containers" if awake else "sleeps; its next container is a fresh one"
    )
    return ended(done, at, words)
