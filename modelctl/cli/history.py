"""modelctl history: who did what to an app, when, and why?"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection, output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelctl.platform.types import Deployment, Platform
    from modelctl.record import AppRecord, Hold


@click.command("history")
@click.argument("name")
@click.option("--env", metavar="NAME", help="The environment of the project.")
@click.option("--local", is_flag=True, help="Use the local control plane.")
@click.option("--diff", nargs=2, metavar="vA vB", help="Show how the specs of two versions differ.")
@output("human", "json")
def command(
    name: str, env: str | None, local: bool, diff: tuple[str, str] | None, output: str
) -> int:
    """Show who did what to an app, when, from which commit, and why.

    Modal's own history of its versions, with what was written down of each: also what made no
    version, what failed, and what was done past modelctl.
    """
    from modelctl.byhand.told import between, told
    from modelctl.byhand.versions import number
    from modelctl.cli.pipeline import declared_environment, project_here
    from modelctl.cli.said import say
    from modelctl.cli.world import platform_for
    from modelctl.plan.holding import words
    from modelctl.views import machine
    from modelctl.views.human import history
    from modelctl.views.paint import for_stream

    first, second = (number(one) or 0 for one in diff or ("1", "1"))
    project = project_here()
    chosen = declared_environment(Selection((name,), env, local), project)
    platform = platform_for(chosen, project)
    past, record, live, hold = asyncio.run(_looked(platform, project.name, name, chosen.options))
    paint, width = for_stream()
    if diff is not None:
        fields = between(name, past, record, first, second)
        if output == "json":
            click.echo(machine.difference(name, first, second, fields))
        else:
            say(history.difference(name, first, second, fields, paint=paint, width=width))
        return Exit.DONE
    rows = told(past, record, live)
    if output == "json":
        click.echo(machine.history(rows, name, platform.environment, hold))
    else:
        held = words(hold) if hold else ""
        was = _was(record, chosen)
        say(history.history(rows, name, platform.where, held, paint=paint, width=width, was=was))
    return Exit.DONE


def _was(record: AppRecord, chosen: Selection) -> str:
    """Where to read of it under the name that it had before, as its specs said; "" without."""
    names = (one.fields.get("renamed_from") for one in record.spoken)
    earlier = next((name for name in names if name), None)
    if earlier is None:
        return ""
    line = " ".join(filter(None, ("modelctl history", str(earlier), chosen.options)))
    return f"it was {earlier}: {line} says what came before"


async def _looked(
    platform: Platform, project: str | None, name: str, options: str
) -> tuple[Sequence[Deployment], AppRecord, int | None, Hold | None]:
    """Of an app that lives no more, what was written down."""
    from modelctl.byhand.looking import look
    from modelctl.byhand.types import NotOurs, Refusal
    from modelctl.cli.who import now
    from modelctl.platform.types import NotThere
    from modelctl.record import read_app

    await platform.open()
    try:
        found, _ = await look(platform, project, name, now(), options=options)
    except NotOurs as theirs:
        raise Refusal(f"the history of {name} is not this project's: {theirs.whose}") from None
    except NotThere:
        record = await read_app(platform, project, name)
        if record is None:
            raise
        return (), record, None, None
    return found.history, found.record, found.app.version, found.hold
