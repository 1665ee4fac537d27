"""Which GPU did a container get, of those that its app asks for?

The SDK has no public call for it; its command line (`modal container`) sends the same message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from modelctl.platform.errors import speaking_of
from modelctl.platform.types import PlatformError
from modelctl.platform.versions import send


async def placed(containers: Iterable[str]) -> Mapping[str, str]:
    """`{"ta-1": "L40S:2"}`; without those of which Modal does not say it. The platform that they
    run on is open."""
    asked = tuple(containers)
    found = await asyncio.gather(*map(_gpu, asked))
    return {container: gpu for container, gpu in zip(asked, found, strict=True) if gpu}


async def _gpu(container: str) -> str:
    try:
        with speaking_of(f"asking for container {container}"):
            info = (await send("TaskGetInfo", task_id=container)).info
    except PlatformError:  # it is gone meanwhile
        return ""
    kind = info.gpu_config.gpu_type or info.gpu_type
    return f"{kind}:{info.gpu_config.count}" if info.gpu_config.count > 1 else kind
