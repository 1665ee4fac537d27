"""modelctl status: is it in sync, is it healthy, what runs where?"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click
from msgspec.structs import replace

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection, selection
from modelctl.cli.reports import Reports, reporting

if TYPE_CHECKING:
    from modelctl.assess import Assessed
    from modelctl.cli.pipeline import Broken, Prepared
    from modelctl.loglines import Said
    from modelctl.plan import Change, Seen
    from modelctl.platform.types import Details, LiveApp, Platform
    from modelctl.views.rows import StatusRow

NO_SPEC = "no spec"
_TAIL = 200
_CARDS = 3


@click.command("status")
@selection
@reporting("status")
def command(
    what: tuple[str, ...],
    env: str | None,
    local: bool,
    labels: tuple[str, ...],
    output: str,
    report: tuple[str, ...],
) -> int:
    """Is it in sync, is it healthy, what runs where? Asks each app.

    Specs with errors hide no other: their apps are shown without what they should be.
    """
    reports = Reports("status", output, report, Selection(what, env, local, labels))
    with reports.told():
        return _status(reports)


def _status(reports: Reports) -> int:
    from modelctl.cli.pipeline import prepare_sound
    from modelctl.cli.said import aside
    from modelctl.cli.world import platform_for, proxy_token

    ready, broken = prepare_sound(reports.chosen)
    platform = platform_for(ready.chosen, ready.project)
    rows = asyncio.run(_rows(platform, ready, proxy_token(ready.chosen, ready.project)))
    rows = [_without_spec(row, broken) for row in rows]
    if reports.human:
        from modelctl.cli.said import say
        from modelctl.views.human import standing
        from modelctl.views.paint import for_stream

        paint, width = for_stream()
        say(standing.status(rows, platform.where, paint=paint, width=width, paid=platform.paid))
    for spec in broken:
        errors = "1 error" if spec.errors == 1 else f"{spec.errors} errors"
        aside(f"{spec.file} has {errors}, so that what it asks for is not compared")
    if broken:
        aside("help: modelctl validate")
    code = Exit.REJECTED if broken else Exit.DONE
    if not reports.wanted:
        return code
    from modelctl.cli.reports import places
    from modelctl.views.results import Standing

    wrong = {spec.file: spec.errors for spec in broken}
    environment = "+".join(ready.chosen.overlays)
    found = Standing(
        rows,
        platform.environment,
        platform.where,
        environment,
        wrong,
        places(ready),
        platform.paid,
    )
    return reports.give(found, code)


def _without_spec(row: StatusRow, broken: Sequence[Broken]) -> StatusRow:
    """Whether there is no spec is not known of an app whose spec may be the broken one."""
    if row.sync != NO_SPEC or not broken:
        return row
    if any(spec.name == row.name for spec in broken):
        return replace(row, sync="spec is wrong")
    unread = any(not spec.name for spec in broken)
    return replace(row, sync="not known") if unread else row


async def _rows(
    platform: Platform, ready: Prepared, token: tuple[str, str] | None
) -> list[StatusRow]:
    from modelctl.cli.seeing import say_under_way, see_and_plan
    from modelctl.health import proxy_headers
    from modelctl.plan import Action
    from modelctl.platform.placed import placed

    await platform.open()
    result, seen = await see_and_plan(
        platform,
        ready.desired,
        ready.project.name,
        whole_project=ready.chosen.everything,
        thorough=True,
        refresh=True,
    )
    await say_under_way(platform, ready.project.name, result)
    headers = proxy_headers(*token) if token else {}
    assessed = {wanted.name: found for wanted, found in ready.specs}

    async def one(change: Change) -> StatusRow:
        foreign = change.action is Action.FOREIGN
        details = None if foreign else seen.details.get(change.name)
        several = details is not None and len(details.gpus) > 1
        health, got = await asyncio.gather(
            _health(details, headers),
            placed(details.containers if details and several else ()),
        )
        waits = None
        if details and health == "starting":
            waits = await _waiting(platform, seen.live.apps[change.name])
        return row_of(change, seen, details, health, waits, assessed.get(change.name), got)

    return list(await asyncio.gather(*(one(change) for change in result.changes)))


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


async def _waiting(platform: Platform, app: LiveApp) -> tuple[str, datetime.datetime] | None:
    """What its containers wait for, and since when, as far as its log says that."""
    from modelctl.loglines import read, waiting
    from modelctl.platform.types import PlatformError

    lines: list[Said] = []
    try:
        async for entry in platform.logs(app, tail=_TAIL, follow=False):
            # What waited before this version was deployed waits no more, and nobody says so.
            if app.deployed_at is None or entry.at >= app.deployed_at:
                lines += read(entry)
    except PlatformError:
        return None
    return waiting(lines)


def row_of(
    change: Change,
    seen: Seen,
    details: Details | None,
    health: str,
    waits: tuple[str, datetime.datetime] | None,
    assessed: Assessed | None,
    got: Mapping[str, str],
) -> StatusRow:
    """`waits` is what its containers wait for, and since when; `got` is the GPU of each, where the
    app asks for one of several and Modal says it."""
    from modelctl.plan import Action, entry_of
    from modelctl.views.human.words import lasting
    from modelctl.views.rows import StatusRow

    app = seen.live.apps.get(change.name)
    entry = entry_of(app, seen.index) if app else None
    if entry is not None and app is not None and entry.version != app.version:
        entry = None
    if waits is not None:
        since = datetime.datetime.fromisoformat(seen.now) - waits[1]
        health = f"waiting {lasting(max(0.0, since.total_seconds()))}"
    # It answers, and what its gate asked it answered wrong, or nobody saw that to the end.
    doubt = entry.unproven if entry is not None and not change.verify else ""
    unproven = (f"not proven: {doubt}",) if doubt else ()
    health = "not proven" if doubt and health == "healthy" else health
    quiet = {Action.CREATE, Action.UNCHANGED, Action.DELETE}
    return StatusRow(
        name=change.name,
        sync=_sync(change),
        health=health,
        live=_live(details, got),
        version=change.version,
        url=(details.url if details else None) or change.url,
        gpus=details.gpus if details else (),
        container_ids=details.containers if details else (),
        again=entry.again if entry else None,
        commit=entry.commit if entry else "",
        usd_per_hour=_burns(details, assessed, got),
        waiting_for=waits[0] if waits else "",
        waiting_since=waits[1] if waits else None,
        reasons=(() if change.action in quiet else change.reasons) + unproven,
        hold=change.hold,
    )


def _sync(change: Change) -> str:
    from modelctl.plan import Action

    if change.verify and change.action is not Action.DRIFT:
        return "not proven"
    return {
        Action.CREATE: "not deployed",
        Action.UNCHANGED: "in sync",
        Action.DELETE: NO_SPEC,
        Action.FOREIGN: "foreign",
        Action.BLOCKED: "blocked",
        Action.HELD: "held",
        Action.DRIFT: "drifted",
    }.get(change.action, "out of date")


def _live(details: Details | None, got: Mapping[str, str]) -> str:
    """`2 of 2..8 H100`: what its containers got, else what it asks for."""
    if details is None or details.scaling is None:
        return "-"
    most = details.scaling.max_containers
    of = f"{details.scaling.min_containers}..{'∞' if most is None else most}"
    asked = details.gpus
    card = " or ".join(asked) if len(asked) < _CARDS else f"{asked[0]} or others"
    if details.containers and all(container in got for container in details.containers):
        card = ", ".join(sorted(set(got.values())))
    return f"{len(details.containers)} of {of} {card}".rstrip()


def _burns(
    details: Details | None, assessed: Assessed | None, got: Mapping[str, str]
) -> float | None:
    """USD an hour of what runs, where it asks for what its spec does: on what it got, else on the
    first of the list."""
    from modelctl.resolved import Unknown

    if details is None:
        return None
    if not details.containers:
        return 0.0
    if assessed is None or assessed.resolved.placement.gpus != details.gpus:
        return None
    cost, total = assessed.cost, 0.0
    for container in details.containers:
        price = cost.of(got[container]) if container in got else cost.first
        price = cost.first if isinstance(price, Unknown) else price
        if isinstance(price, Unknown):
            return None
        total += price
    return total
