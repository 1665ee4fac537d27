"""What does a workspace say of itself: its name, what it pays, and which Secrets it has?"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from modelctl.platform.errors import speaking_of
from modelctl.platform.types import Billed

if TYPE_CHECKING:
    import modal


async def name() -> str:
    """The workspace that the credentials are of."""
    import modal

    with speaking_of("asking for the workspace's name"):
        workspace = modal.Workspace.from_context()
        await workspace.hydrate.aio()
        return workspace.name or ""


async def rates() -> Mapping[str, float]:
    """The workspace's own prices by Modal's names, in USD; what Modal is about to drop is left out.

    Names and units are not documented: they are taken to be USD a second.
    """
    import modal

    with speaking_of("asking for the workspace's prices"):
        found = await modal.Workspace.from_context().billing.rates.aio()
        return {name: float(found[name]) for name in found}


async def secret_names(environment: str) -> frozenset[str]:
    """The names of the Secrets of an environment."""
    import modal

    with speaking_of("listing the Secrets"):
        found = await modal.Secret.objects.list.aio(environment_name=environment)
    return frozenset(secret.name for secret in found if secret.name)


async def billed(
    environment: modal.Environment, since: datetime, until: datetime, *, hourly: bool
) -> tuple[Billed, ...]:
    """The bill of an environment's apps; only whole intervals are told of, so it is asked for up to
    the end of the one that has begun."""
    length = timedelta(hours=1) if hourly else timedelta(days=1)
    epoch = datetime.fromtimestamp(0, UTC)
    begun = epoch + (until - epoch) // length * length
    with speaking_of("asking what the apps cost"):
        items = await environment.billing.report.aio(
            start=since,
            end=begun + length,
            resolution="h" if hourly else "d",
            tag_names=["*"],
        )
    return tuple(
        Billed(item.description, item.interval_start, float(item.cost), dict(item.tags))
        for item in items
    )
