"""What is live, what is remembered, and what does that make the plan? Few calls, side by side."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelctl.assess.bill import Bill
from modelctl.checks.existing import Need, There, missing, needs_of
from modelctl.cli.exits import Exit
from modelctl.cli.failures import say_error
from modelctl.cli.said import aside
from modelctl.cli.who import now
from modelctl.diagnostics import Diagnostic
from modelctl.plan import (
    DEPLOYS,
    Action,
    Desired,
    Plan,
    Seen,
    beyond_limits,
    changed_digests,
    plan,
    settled,
    unsettled,
)
from modelctl.platform.types import (
    CredentialsRefused,
    Details,
    LiveApp,
    NotThere,
    Platform,
    PlatformError,
    Refused,
)
from modelctl.record import read_app, read_index
from modelctl.resolved import NO_LIMITS

if TYPE_CHECKING:
    from modelctl.cli.pipeline import Prepared


async def see(
    platform: Platform,
    desired: Sequence[Desired],
    project: str | None,
    *,
    all_apps: bool,
    thorough: bool = False,
    refresh: bool = False,
    needs: Sequence[Need] = (),
) -> Seen:
    """The list and the index in one round; details and records only where these leave a doubt, of
    every app where `refresh` asks for it. With them come the names of all Secrets and Volumes,
    where there is a need of any.
    """
    kinds = {need.kind for need in needs}
    live, index, secrets, volumes = await asyncio.gather(
        platform.observe(),
        read_index(platform, project),
        _names(platform.secrets) if "Secret" in kinds else _nobody_asked(),
        _names(lambda: platform.volumes("")) if "Volume" in kinds else _nobody_asked(),
    )
    doubtful = unsettled(
        live, index, desired, all_apps=all_apps, thorough=thorough, refresh=refresh
    )
    # What the index knows at another version: Modal's own history says how it came to be.
    unknown = [app for app in doubtful if not settled(app, index)]
    changed = changed_digests(live, index, desired)
    details, histories, records = await asyncio.gather(
        asyncio.gather(*(_details(platform, app) for app in doubtful)),
        asyncio.gather(*(platform.history(app) for app in unknown)),
        asyncio.gather(*(read_app(platform, project, name) for name in changed)),
    )
    found = {app.name: d for app, d in zip(doubtful, details, strict=True) if d is not None}
    gone = {app.name for app in doubtful} - set(found)
    return Seen(
        live=replace(live, apps={n: app for n, app in live.apps.items() if n not in gone}),
        index=index,
        details=found,
        records={n: r for n, r in zip(changed, records, strict=True) if r is not None},
        histories={app.name: tuple(h) for app, h in zip(unknown, histories, strict=True)},
        now=now(),
        secrets=secrets,
        volumes=volumes,
    )


async def _details(platform: Platform, app: LiveApp) -> Details | None:
    """None where the app went away while all were asked."""
    try:
        return await platform.details(app)
    except NotThere:
        return None


async def _names(ask: Callable[[], Awaitable[Iterable[str]]]) -> frozenset[str] | None:
    """None where these credentials may deploy, but not list."""
    with suppress(CredentialsRefused, Refused):
        return frozenset(await ask())
    return None


async def _nobody_asked() -> None:
    return None


async def see_and_plan(
    platform: Platform,
    desired: Sequence[Desired],
    project: str | None,
    *,
    whole_project: bool,
    allow_unlocked: bool = True,
    retry: bool = False,
    prune: bool = False,
    thorough: bool = False,
    refresh: bool = False,
    override_hold: bool = False,
    bill: Bill | None = None,
    needs: Sequence[Need] = (),
    left_out: frozenset[str] = frozenset(),
) -> tuple[Plan, Seen]:
    """`bill` says what may be spent, and by whose prices; `needs` what must be there. The platform
    is open."""
    seen = await see(
        platform,
        desired,
        project,
        all_apps=whole_project,
        thorough=thorough or prune,
        refresh=refresh,
        needs=needs,
    )
    result = plan(
        desired,
        seen,
        project=project,
        where=platform.where,
        whole_project=whole_project,
        capabilities=platform.capabilities(),
        allow_unlocked=allow_unlocked,
        retry=retry,
        prune=prune,
        override_hold=override_hold,
        left_out=left_out,
        limits=bill.limits if bill else NO_LIMITS,
        prices=bill.words if bill else "",
        paid=platform.paid,
    )
    return result, seen


async def say_under_way(platform: Platform, project: str | None, result: Plan) -> None:
    """Say whose lease was not given back: what looks unfinished may be what it is at."""
    from modelctl.lease import holder

    if not result.pending:
        return
    with suppress(PlatformError):  # a word of help, which nothing else waits for
        if (claim := await holder(platform, project)) is not None:
            aside(
                f"note: {claim.owner} took the lease at {claim.at} and has not given it back; what "
                f"its {claim.what or 'apply'} is still at may look unfinished here"
            )


def needs_of_all(ready: Prepared) -> tuple[Need, ...]:
    return tuple(need for w, a in ready.specs for need in needs_of(w, a.resolved))


def missing_of_all(
    ready: Prepared, result: Plan, seen: Seen, platform: Platform
) -> list[Diagnostic]:
    """What the specs name and the environment does not have."""
    local = ready.chosen.local
    there = There(
        platform.where,
        seen.secrets,
        seen.volumes,
        options="" if local else f"--env {platform.environment} ",
        before='eval "$(modelctl local env)", then ' if local else "",
    )
    today = datetime.datetime.now(datetime.UTC).date()
    actions = {change.name: change.action for change in result.changes}
    return [
        found
        for wanted, assessed in ready.specs
        if (action := actions.get(wanted.name)) is not Action.FOREIGN
        for found in missing(
            wanted,
            assessed.resolved,
            there,
            deploys=action in DEPLOYS or action is Action.BLOCKED,
            today=today,
        )
    ]


def show_missing(found: Sequence[Diagnostic]) -> None:
    if not found:
        return
    from modelctl.views.human import problems
    from modelctl.views.paint import for_stream

    paint, width = for_stream(err=True)
    aside("\n" + problems.diagnostics(found, paint=paint, width=width))


_CHEAPER = "fewer kept warm, a cheaper GPU first in a list, or a larger budget in the policy"


def denied(result: Plan) -> Exit | None:
    """Say what the plan would cost more than may be spent; None where it would not."""
    sentences = beyond_limits(result)
    for number, sentence in enumerate(sentences, 1):
        say_error(sentence, _CHEAPER if number == len(sentences) else "")
    if not sentences:
        return None
    return Exit.DENIED
