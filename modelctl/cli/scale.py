"""modelctl scale: how many containers shall there be, whatever the spec says?"""

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
    until_option,
    why_option,
)
from modelctl.cli.exits import Exit
from modelctl.cli.said import aside, say
from modelctl.spec.container_models import MOST_CONTAINERS

if TYPE_CHECKING:
    from modelctl.byhand.scaling import Wish
    from modelctl.cli.by_hand import Hand
    from modelctl.record import Hold
    from modelctl.resolved import Scaling


@click.command("scale")
@click.argument("name")
@click.option(
    "--keep-warm",
    type=click.IntRange(0, MOST_CONTAINERS),
    metavar="N",
    help="Containers kept running.",
)
@click.option(
    "--max",
    "most",
    type=click.IntRange(1, MOST_CONTAINERS),
    metavar="N",
    help="Containers at most.",
)
@click.option(
    "--buffer",
    type=click.IntRange(0, MOST_CONTAINERS),
    metavar="N",
    help="Idle ones beside busy ones.",
)
@click.option("--target", type=click.FloatRange(0, 1_000_000, min_open=True), metavar="N",
              help="Requests at once that a container is meant for.")  # fmt: skip
@click.option("--idle", metavar="DURATION", help="How long an idle container stays: 2s to 1h.")
@why_option
@until_option
@changes_one
def command(
    name: str,
    keep_warm: int | None,
    most: int | None,
    buffer: int | None,
    target: float | None,
    idle: str | None,
    why: str,
    until: str | None,
    env: str | None,
    local: bool,
    yes: bool,
    confirm: str | None,
    wait: float,
) -> int:
    """Scale an app in place, past its spec, and hold that.

    No new version, no new container of those that run. Applies deploy the app as before, and keep
    this scaling until it is released.
    """
    from modelctl.byhand.scaling import Wish
    from modelctl.spec.values import seconds

    stays = None if idle is None else seconds(idle)
    if idle is not None and stays is None:
        raise click.UsageError(f"--idle {idle} is no duration: 30s, 5m, 1h")
    wish = Wish(keep_warm, most, buffer, target, stays)
    if wish == Wish():
        raise click.UsageError("say what: --keep-warm, --max, --buffer, --target or --idle")
    kept = new_hold("scaling", "", why, until)
    at = hand(name, Asked(env, local, yes, confirm, wait))
    return asyncio.run(_scaled(at, name, wish, kept, _price(at, name)))


def _price(at: Hand, name: str) -> float | None:
    """USD an hour of one container, by its spec; None where that does not say."""
    from modelctl.cli.pipeline import check_all
    from modelctl.diagnostics import Rejected
    from modelctl.resolved import Unknown

    try:
        checked = check_all(at.chosen, at.project, hashed=False)
    except Rejected:
        return None
    found = next((a.cost.first for wanted, a in checked.specs if wanted.name == name), None)
    return None if isinstance(found, Unknown) else found


async def _scaled(at: Hand, name: str, wish: Wish, kept: Hold, price: float | None) -> Exit:
    from msgspec.structs import replace

    from modelctl.byhand.doing import scale
    from modelctl.byhand.holding import joined
    from modelctl.byhand.scaling import did, differences, held, scaled
    from modelctl.views.human.words import printable

    found = await looked(at, name)
    nodes = (found.fields(found.entry.digest) or {}).get("nodes", 1)
    after = scaled(found.scaling, wish, nodes if isinstance(nodes, int) else 1)
    changes = differences(found.scaling, after)
    fields = held(found.entry.scaling, found.scaling, after)
    if not changes and (found.hold is None or not fields):
        say(f"· {name}  is scaled so already; modelctl hold keeps it so")
        return Exit.DONE
    hold = joined(found.hold, replace(kept, did=did(fields)))
    condemned = found.entry.condemned
    if condemned is not None and condemned.digest == found.entry.digest:
        why = printable(condemned.why)
        aside(f"warning: v{found.app.version} failed: {why}; it runs all the same")
    if cost := _cost(found.scaling, after, price):
        say(f"  {cost}")
    async with alone(at, found, "scale", f"Scale {name} in the") as (again, job):
        usd = None if price is None else price * after.min_containers
        done = await scale(again, after, changes, hold, usd, job)
    return ended(done, at, "is scaled", following=f"modelctl release {name}")


def _cost(before: Scaling, after: Scaling, price: float | None) -> str:
    """`keep_warm $4.84 → $24.20 an hour, at most $38.72`; "" where no price is known."""
    if price is None:
        return ""
    most = after.max_containers
    at_most = "" if most is None else f", at most ${most * price:,.2f}"
    warm = [f"${scaling.min_containers * price:,.2f}" for scaling in (before, after)]
    return f"keep_warm {' → '.join(dict.fromkeys(warm))} an hour{at_most}"
