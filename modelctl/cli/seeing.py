"""What is live, what is remembered, and what does that make the plan? Few calls, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from modelctl.assess.bill import Bill
from modelctl.cli.exits import Exit
from modelctl.cli.said import aside
from modelctl.plan import (
    Desired,
    Plan,
    Seen,
    beyond_limits,
    changed_digests,
    plan,
    unsettled,
)
from modelctl.platform.types import Platform
from modelctl.record import read_app, read_index
from modelctl.resolved import NO_LIMITS


async def see(
    platform: Platform,
    desired: Sequence[Desired],
    project: str | None,
    *,
    all_apps: bool,
    thorough: bool = False,
) -> Seen:
    """The list and the index in one round; details and records only where these leave a doubt."""
    live, index = await asyncio.gather(platform.observe(), read_index(platform, project))
    doubtful = unsettled(live, index, desired, all_apps=all_apps, thorough=thorough)
    changed = changed_digests(live, index, desired)
    details, records = await asyncio.gather(
        asyncio.gather(*(platform.details(app) for app in doubtful)),
        asyncio.gather(*(read_app(platform, project, name) for name in changed)),
    )
    return Seen(
        live=live,
        index=index,
        details={app.name: d for app, d in zip(doubtful, details, strict=True)},
        records={n: r for n, r in zip(changed, records, strict=True) if r is not None},
    )


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
    bill: Bill | None = None,
) -> tuple[Plan, Seen]:
    """`bill` says what may be spent, and by whose prices."""
    await platform.open()
    seen = await see(platform, desired, project, all_apps=whole_project, thorough=thorough or prune)
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
        limits=bill.limits if bill else NO_LIMITS,
        prices=bill.words if bill else "",
    )
    return result, seen


def denied(result: Plan) -> Exit | None:
    """Say what the plan would cost more than may be spent; None where it would not."""
    sentences = beyond_limits(result)
    for sentence in sentences:
        aside(f"error: {sentence}")
    if not sentences:
        return None
    aside("help: fewer kept warm, a cheaper GPU first in a list, or a larger budget in the policy")
    return Exit.DENIED
