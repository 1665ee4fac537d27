"""What does Modal know of an app's versions, and how does an earlier one come back?

The SDK has no public call for these; its command line (`modal app history`, `rollback`, `rollover`)
sends the same messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from modelctl.platform.errors import speaking_of
from modelctl.platform.types import Deployment


@cache
def _caller() -> Any:
    """A function that sends one message by its method's name, in the SDK's own event loop."""
    from modal._utils.async_utils import synchronizer
    from modal.client import _Client

    async def call(method: str, message: Any) -> Any:
        client = await _Client.from_env()
        return await getattr(client._stub, method)(message)

    return synchronizer.create_blocking(call, "call", __name__)


async def send(method: str, **fields: object) -> Any:
    """The answer to a message of Modal's protocol, by its method's name."""
    from modal_proto import api_pb2

    message = getattr(api_pb2, f"{method}Request")(**fields)
    return await _caller().aio(method, message)


async def history(name: str, app_id: str) -> Sequence[Deployment]:
    """Every version of the app, the newest first."""
    with speaking_of(f"reading the history of {name}"):
        answer = await send("AppDeploymentHistory", app_id=app_id)
    return tuple(
        Deployment(
            version=one.version,
            at=datetime.fromtimestamp(one.deployed_at, UTC) if one.deployed_at else None,
            by=one.deployed_by,
            tag=one.tag,
            rollback_of=one.rollback_version or None,
            commit=one.commit_info.commit_hash[:7],
            dirty=one.commit_info.dirty,
        )
        for one in sorted(answer.app_deployment_histories, key=lambda one: -one.version)
    )


async def roll_back(name: str, app_id: str, version: int) -> None:
    """Make this earlier version the next one."""
    with speaking_of(f"rolling {name} back to v{version}"):
        await send("AppRollback", app_id=app_id, version=version)


async def roll_over(name: str, app_id: str) -> None:
    """Replace the containers, as the next version of the same."""
    with speaking_of(f"restarting {name}"):
        await send("AppRollover", app_id=app_id)
