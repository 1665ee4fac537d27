"""modelctl status: is it in sync, is it healthy, what runs where?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection, output, selection

if TYPE_CHECKING:
    from modelctl.cli.pipeline import Broken
    from modelctl.plan import Change, Desired
    from modelctl.platform.types import Details, LiveApp, Platform
    from modelctl.views.rows import StatusRow

NO_SPEC = "no spec"


@click.command("status")
@selection
@output("human", "json")
def command(
    what: tuple[str, ...], env: str | None, local: bool, labels: tuple[str, ...], output: str
) -> int:
    """Is it in sync, is it healthy, what runs where? Asks each app.

    Specs with errors hide no other: their apps are shown without what they should be.
    """
    from modelctl.cli.pipeline import prepare_sound
    from modelctl.cli.said import aside
    from modelctl.cli.world import platform_for, proxy_token

    ready, broken = prepare_sound(Selection(what, env, local, labels))
    platform = platform_for(ready.chosen, ready.project)
    rows = asyncio.run(
        _rows(
            platform,
            ready.desired,
            ready.project.name,
            token=proxy_token(ready.chosen, ready.project),
            whole_project=ready.chosen.everything,
        )
    )
    rows = [_without_spec(row, broken) for row in rows]
    if output == "json":
        from modelctl.views import machine

        click.echo(machine.status(rows, platform.environment))
    else:
        from modelctl.cli.said import say
        from modelctl.views.human import standing
        from modelctl.views.paint import for_stream

        paint, _ = for_stream()
        say(standing.status(rows, platform.where, paint=paint))
    for spec in broken:
        errors = "1 error" if spec.errors == 1 else f"{spec.errors} errors"
        aside(f"{spec.file} has {errors}, so that what it asks for is not compared")
    if broken:
        aside("help: modelctl validate")
    return Exit.REJECTED if broken else Exit.DONE


def _without_spec(row: StatusRow, broken: Sequence[Broken]) -> StatusRow:
    """Whether there is no spec is not known of an app whose spec may be the broken one."""
    if row.sync != NO_SPEC or not broken:
        return row
    if any(spec.name == row.name for spec in broken):
        return replace(row, sync="spec is wrong")
    unread = any(not spec.name for spec in broken)
    return replace(row, sync="not known") if unread else row


async def _rows(
    platform: Platform,
    desired: Sequence[Desired],
    project: str | None,
    *,
    token: tuple[str, str] | None,
    whole_project: bool,
) -> list[StatusRow]:
    from modelctl.cli.seeing import see_and_plan
    from modelctl.health import proxy_headers
    from modelctl.plan import Action

    await platform.open()
    result, seen = await see_and_plan(
        platform, desired, project, whole_project=whole_project, thorough=True, refresh=True
    )
    ours = [
        c for c in result.changes if c.name in seen.live.apps and c.action is not Action.FOREIGN
    ]
    details = dict(
        zip(
            (c.name for c in ours),
            await asyncio.gather(*(_details(platform, seen.live.apps[c.name]) for c in ours)),
            strict=True,
        )
    )
    headers = proxy_headers(*token) if token else {}
    health = await asyncio.gather(*(_health(details.get(c.name), headers) for c in result.changes))
    return [
        _row(change, details.get(change.name), said)
        for change, said in zip(result.changes, health, strict=True)
    ]


async def _details(platform: Platform, app: LiveApp) -> Details | None:
    """None where the app went away, or cannot be read, while all are asked: the others count."""
    from modelctl.platform.types import NotThere, Refused

    try:
        return await platform.details(app)
    except (NotThere, Refused):
        return None


async def _health(details: Details | None, headers: Mapping[str, str]) -> str:
    """Asked only where a container is live: asking a sleeping one would wake it."""
    from modelctl.health import health, http_get

    if details is None or details.scaling is None:
        return "-"  # not deployed, or gone meanwhile
    if not details.containers:
        return "starting" if details.scaling.min_containers else "asleep"
    status = await health(details.url or "", headers, ask=http_get)
    if status == 200:
        return "healthy"
    if status == 401:
        return "not asked (no token)"
    return f"HTTP {status}" if status else "no answer"


def _row(change: Change, details: Details | None, health: str) -> StatusRow:
    from modelctl.plan import Action
    from modelctl.views.rows import StatusRow

    sync = {
        Action.CREATE: "not deployed",
        Action.UNCHANGED: "in sync",
        Action.DELETE: NO_SPEC,
        Action.FOREIGN: "foreign",
        Action.BLOCKED: "blocked",
    }.get(change.action, "out of date")
    scaling = details.scaling if details else None
    live = "-"
    if details and scaling:
        most = scaling.max_containers if scaling.max_containers is not None else "∞"
        live = f"{len(details.containers)} of {scaling.min_containers}..{most}"
    if details and scaling and not scaling_in_sync(change, details):
        sync = "drifted"
    return StatusRow(
        name=change.name,
        sync=sync,
        health=health,
        live=live,
        version=change.version,
        url=(details.url if details else None) or change.url,
        gpus=details.gpus if details else (),
        container_ids=details.containers if details else (),
    )


def scaling_in_sync(change: Change, details: Details) -> bool:
    from modelctl.plan import Action

    wanted = change.scaling
    return change.action is not Action.UNCHANGED or wanted is None or details.scaling == wanted
