"""What is live, what is remembered, and what does that make the plan? Few calls, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from modelctl.plan import Desired, Plan, Seen, changed_digests, plan, unsettled
from modelctl.platform.types import Platform
from modelctl.record import read_app, read_index


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
) -> tuple[Plan, Seen]:
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
    )
    return result, seen
