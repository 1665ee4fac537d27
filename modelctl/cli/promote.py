"""modelctl promote: is it good here, and shall it live there?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection, confirm_option, output, wait_option
from modelctl.cli.said import aside

if TYPE_CHECKING:
    from modelctl.cli.pipeline import Prepared
    from modelctl.platform.types import Details


@click.command("promote")
@click.argument("what", nargs=-1, required=True, metavar="SPEC...")
@click.option("--from", "here", required=True, metavar="ENV", help="Where it lives and is good.")
@click.option("--to", "there", required=True, metavar="ENV", help="Where it is applied.")
@output("human", "json")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@confirm_option
@wait_option
@click.pass_context
def command(
    context: click.Context,
    what: tuple[str, ...],
    here: str,
    there: str,
    output: str,
    yes: bool,
    confirm: str | None,
    wait: float,
) -> int:
    """Apply to one environment what is proven in another: the same model, lock and engine.

    What lives in --from has to be what the spec says there now, to have passed its gate, and to
    answer. Then it is modelctl apply SPEC --env TO, with its plan and its gate.
    """
    from modelctl.cli import apply
    from modelctl.cli.failures import say_error
    from modelctl.cli.pipeline import prepare

    if here == there:
        raise click.UsageError(f"--from and --to are both {here}")
    first, second = prepare(Selection(what, here)), prepare(Selection(what, there))
    found = asyncio.run(_doubts(first, second))
    for sentence in found:
        say_error(sentence)
    if found:
        return Exit.REJECTED
    if output == "human":
        names = ", ".join(one.name for one in first.desired)
        aside(f"{names}: good in {here}, with the model and the engine that {there} asks for")
    ended = context.invoke(
        apply.command, what=what, env=there, output=output, yes=yes, confirm=confirm, wait=wait
    )
    return int(ended)


async def _doubts(first: Prepared, second: Prepared) -> list[str]:
    from modelctl.byhand.promoting import doubts
    from modelctl.cli.seeing import see_and_plan
    from modelctl.cli.world import platform_for
    from modelctl.plan import entry_of

    here, there = first.chosen.env or "", second.chosen.env or ""
    platform = platform_for(first.chosen, first.project)
    await platform.open()
    result, seen = await see_and_plan(
        platform, first.desired, first.project.name, whole_project=False, refresh=True
    )
    wanted = {one.name: one for one in second.desired}
    changes = {change.name: change for change in result.changes}
    found = []
    for one in first.desired:
        if one.name not in wanted:
            found.append(f"the spec of {one.name} is not for {there}: see its only")
            continue
        app = seen.live.apps.get(one.name)
        entry = entry_of(app, seen.index) if app else None
        said = doubts(one, wanted[one.name], changes[one.name], entry, here, there)
        details = seen.details.get(one.name)
        if not said and details is not None:
            said = await _silent(one.name, details, first)
        found += said
    found += [
        f"the spec of {name} is not for {here}: see its only"
        for name in wanted
        if name not in changes
    ]
    return found


async def _silent(name: str, details: Details, ready: Prepared) -> tuple[str, ...]:
    """What sleeps is not woken, and what wants a token that is not here is not asked."""
    from modelctl.cli.world import proxy_token
    from modelctl.health import UNAUTHORIZED, health, http_get, proxy_headers

    here = ready.chosen.env
    if not details.containers or not details.url:
        aside(f"{name} is asleep in {here}: not asked whether it answers")
        return ()
    token = proxy_token(ready.chosen, ready.project)
    status = await health(details.url, proxy_headers(*token) if token else {}, ask=http_get)
    if status == UNAUTHORIZED and token is None:
        aside(
            f"{name} in {here} was not asked whether it answers: MODELCTL_PROXY_TOKEN_ID and "
            "MODELCTL_PROXY_TOKEN_SECRET are not set"
        )
        return ()
    said = f"HTTP {status}" if status else "no answer"
    return () if status == 200 else (f"{name} in {here} is not healthy ({said})",)
