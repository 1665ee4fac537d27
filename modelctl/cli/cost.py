"""modelctl cost: what did it cost, against what plan said?"""

from __future__ import annotations

import asyncio
import datetime
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import Duration, Selection, output, selection

if TYPE_CHECKING:
    from modelctl.assess import Assessed
    from modelctl.platform.types import Billed, LiveApp, Platform
    from modelctl.record import Entry
    from modelctl.spec.wanted import ProjectFile
    from modelctl.views.spent import Spending, Spent

_HOUR, _DAY = 3600, 86_400
_BY_THE_HOUR = 3 * _DAY
"""Seconds up to which Modal is asked hour by hour: it tells of whole intervals."""


@click.command("cost")
@selection
@click.option(
    "--since", type=Duration(), default="30d", metavar="DURATION", show_default=True,
    help="How far back: 12h, 7d, 30d.",
)  # fmt: skip
@output("human", "json")
def command(
    what: tuple[str, ...],
    env: str | None,
    local: bool,
    labels: tuple[str, ...],
    since: float,
    output: str,
) -> int:
    """Show what apps did cost, by Modal's own bill, against what plan said.

    WHAT is paths or names of specs; every app of the project if left out, also those that live no
    more. Without --env, every environment of the project.
    """
    from modelctl.cli.pipeline import must_be_declared, project_here
    from modelctl.cli.said import say
    from modelctl.views import machine, spent
    from modelctl.views.paint import for_stream

    project = project_here()
    must_be_declared(env, project)
    start, until, hourly = _span(since, datetime.datetime.now(datetime.UTC))
    chosen = Selection(what, env, local, labels)
    names = None if chosen.everything else _named(chosen, project)
    found = asyncio.run(_everywhere(chosen, project, names, start, until, hourly=hourly))
    if output == "json":
        click.echo(machine.dump(dict(spent.data(found, start, until))))
    else:
        paint, width = for_stream()
        say(spent.text(found, start, until, paint=paint, width=width))
    return Exit.TRY_AGAIN if all(one.not_asked for one in found) else Exit.DONE


def _span(
    seconds: float, now: datetime.datetime
) -> tuple[datetime.datetime, datetime.datetime, bool]:
    """From the beginning of an hour or a day until now; and whether hours are counted."""
    hourly = seconds <= _BY_THE_HOUR
    length = _HOUR if hourly else _DAY
    start = int(now.timestamp() - seconds) // length * length
    return datetime.datetime.fromtimestamp(start, datetime.UTC), now, hourly


def _named(chosen: Selection, project: ProjectFile) -> frozenset[str]:
    from modelctl.cli.pipeline import load_chosen
    from modelctl.diagnostics import Rejected, error

    specs, diagnostics = load_chosen(chosen, project)
    wrong = [d for d in diagnostics if d.is_error]
    if not specs:
        raise Rejected(wrong or [error("spec/none-chosen", "no spec has these labels")])
    return frozenset(wanted.name for wanted in specs)


async def _everywhere(
    chosen: Selection,
    project: ProjectFile,
    names: frozenset[str] | None,
    start: datetime.datetime,
    until: datetime.datetime,
    *,
    hourly: bool,
) -> list[Spending]:
    """Each environment that is meant; of one that cannot be asked, why."""
    from modelctl.cli.world import platform_for
    from modelctl.platform.types import PlatformError
    from modelctl.views.spent import Spending

    declared = list(project.project.environments or {})
    everywhere: list[str | None] = [*declared] if declared and not chosen.local else [None]
    found = []
    for name in [chosen.env] if chosen.env else everywhere:
        here = Selection((), name, chosen.local)
        platform = platform_for(here, project)
        try:
            await platform.open()
            wanted = _wanted(here, project)
            found.append(
                await _one(name or "", platform, project.name, names, wanted, start, until,
                           hourly=hourly)
            )  # fmt: skip
        except PlatformError as problem:
            why = "; ".join(filter(None, (problem.message, problem.hint)))
            found.append(Spending(name or "", platform.where, not_asked=why))
    return found


def _wanted(chosen: Selection, project: ProjectFile) -> dict[str, Assessed]:
    """What the specs of an environment ask for now, of those that are right."""
    from modelctl.cli.pipeline import check_all
    from modelctl.diagnostics import Rejected

    try:
        checked = check_all(chosen, project, hashed=False)
    except Rejected:  # nothing is planned then, and what was recorded is all there is
        return {}
    wrong = {spec.name for spec in checked.broken}
    return {wanted.name: found for wanted, found in checked.specs if wanted.name not in wrong}


async def _one(
    environment: str,
    platform: Platform,
    project: str | None,
    names: frozenset[str] | None,
    wanted: Mapping[str, Assessed],
    start: datetime.datetime,
    until: datetime.datetime,
    *,
    hourly: bool,
) -> Spending:
    from modelctl.record import read_index
    from modelctl.rendered import TAG_PROJECT
    from modelctl.views.spent import Spending

    billed, live, index = await asyncio.gather(
        platform.billed(start, until, hourly=hourly),
        platform.observe(),
        read_index(platform, project),
    )
    entries = index.apps if index is not None else {}
    ours: dict[str, list[Billed]] = defaultdict(list)
    others = 0.0
    for item in billed:
        own = item.tags.get(TAG_PROJECT) == project if project else item.app in entries
        if not own and item.app not in entries:
            others += item.usd
        elif names is None or item.app in names:
            ours[item.app].append(item)
    # What is kept warm and was not billed is planned all the same.
    for name in entries:
        if name in live.apps and (names is None or name in names):
            ours.setdefault(name, [])
    began = await _beginnings(platform, {n: live.apps[n] for n in ours if n in live.apps})
    apps = [
        spent_of(name, items, entries.get(name), wanted.get(name), began.get(name), start, until)
        for name, items in sorted(ours.items())
    ]
    return Spending(environment, platform.where, tuple(apps), others, paid=platform.paid)


async def _beginnings(
    platform: Platform, apps: Mapping[str, LiveApp]
) -> dict[str, datetime.datetime]:
    """When each app that lives was first deployed."""
    histories = await asyncio.gather(*(platform.history(app) for app in apps.values()))
    found = {}
    for name, history in zip(apps, histories, strict=True):
        times = [one.at for one in history if one.at is not None]
        if times:
            found[name] = min(times)
    return found


def spent_of(
    name: str,
    items: list[Billed],
    entry: Entry | None,
    wanted: Assessed | None,
    began: datetime.datetime | None,
    start: datetime.datetime,
    until: datetime.datetime,
) -> Spent:
    from modelctl.views.spent import Spent

    usd = sum(item.usd for item in items)
    if began is None:
        return Spent(name, usd, note="lives no more")
    warm, note = (None, "") if entry is None else _planned(entry, wanted)
    if warm is None:
        return Spent(name, usd, note="no price was written down when it was deployed")
    hours = max(0.0, (until - max(began, start)).total_seconds() / _HOUR)
    note = note or ("" if warm else "scale to zero")
    return Spent(name, usd, warm * hours if warm else None, warm, hours, note)


def _planned(entry: Entry, wanted: Assessed | None) -> tuple[float | None, str]:
    """USD an hour of what is to be kept warm, and what is not as it is planned."""
    from modelctl.cli.who import now
    from modelctl.plan.holding import active

    # What a person holds, or failed, the next apply leaves as it is.
    if wanted is None or entry.condemned is not None or active(entry, now()) is not None:
        return entry.usd_per_hour, ""
    keeps, keeps_then = entry.scaling.min_containers, wanted.resolved.scaling.min_containers
    usd = wanted.warm_usd_per_hour
    if keeps == keeps_then or usd is None:
        return entry.usd_per_hour, ""
    return usd, f"keep_warm {keeps} → {keeps_then} is not applied yet"
