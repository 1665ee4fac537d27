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
    at = hand(names[0], Asked(env, local, yes, confirm, wait))
    ready, unknown = _specs(names, env, local=local)
    if unknown:
        aside(
            f"what the next apply does to {', '.join(unknown)} is not known: "
            "modelctl validate says why"
        )
    return asyncio.run(_released(at, names, ready, unknown))


def _specs(
    names: tuple[str, ...], env: str | None, *, local: bool
) -> tuple[Prepared | None, tuple[str, ...]]:
    """The specs of these apps; of all where one is gone, and whose spec may be a broken one.

    A spec that is gone or wrong is no reason to keep what a person lets go.
    """
    from modelctl.cli.pipeline import prepare_sound
    from modelctl.diagnostics import Rejected

    for what in (names, ()):
        try:
            ready, broken = prepare_sound(Selection(what, env, local))
        except Rejected:
            continue
        known = {wanted.name for wanted in ready.desired}
        wrong = {spec.name for spec in broken}
        unread = {name for name in names if name in wrong or "" in wrong}
        return ready, tuple(name for name in names if name in unread - known)
    return None, names


async def _released(
    at: Hand, names: tuple[str, ...], ready: Prepared | None, unknown: tuple[str, ...]
) -> Exit:
    from modelctl.byhand.doing import release
    from modelctl.plan.holding import words
    from modelctl.views.human.words import printable, wrapped
    from modelctl.views.paint import for_stream

    _, width = for_stream()
    protected = set()
    for name in names:
        found = await looked(at, name, gone=True)
        if found.entry.protect:
            protected.add(name)
        if found.entry.hold is None:
            say(f"· {name}  nothing was held")
            continue
        before = words(found.entry.hold)
        async with alone(at, found, "release", f"Release {name} in the") as (again, job):
            await release(again, job)
        say("\n".join([f"✔ {name}  released", *wrapped(printable(f"it was {before}"), width)]))
    if ready is not None:
        known = {wanted.name for wanted in ready.desired}
        for name in names:
            if name not in known and name not in unknown:
                say("\n".join(wrapped(_without_spec(name, ready, name in protected), width)))
        if known & set(names):
            await _next_apply(at, names, ready)
    return Exit.DONE


def _without_spec(name: str, ready: Prepared, protected: bool) -> str:
    new = next((one.name for one in ready.desired if one.renamed_from == name), None)
    if protected:
        why = f"renamed to {new}" if new else "not in specs"
        return f"{name}: {why}, and protected: no apply deletes it"
    if new is not None:
        return f"{name}: renamed to {new}: the next apply deletes it once that one serves"
    return f"{name}: not in specs: modelctl apply --prune deletes it"


async def _next_apply(at: Hand, names: tuple[str, ...], ready: Prepared) -> None:
    from modelctl.cli.seeing import see_and_plan
    from modelctl.plan import Action
    from modelctl.views.human import changes
    from modelctl.views.human.words import counted, wrapped
    from modelctl.views.paint import for_stream

    result, seen = await see_and_plan(
        at.platform,
        [wanted for wanted in ready.desired if wanted.name in names],
        ready.project.name,
        whole_project=False,
        refresh=True,
        bill=ready.bill,
    )
    paint, width = for_stream()
    say("\nThe next apply, with the specs that are here:\n")
    say(changes.plan(result, paint=paint, width=width))
    for change in result.changes:
        details = seen.details.get(change.name)
        warm = details.scaling.min_containers if details and details.scaling else 0
        if change.action is Action.BLOCKED and warm:
            stays = f"{counted(warm, 'container')} stay" + ("s" if warm == 1 else "")
            say("\n".join(wrapped(f"{change.name}: {stays} until an apply of it goes on", width)))
