"""Which commit is deployed? Read once for all deployments of a process, without a password."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

_USER = re.compile(r"//[^/\s]*@")


def read_git_once() -> None:
    """Let the deployments of this process share what the SDK reads of the git checkout.

    It starts four git processes for each deployment, to record commit and author in the app's
    history; in one process the answer is always the same. A user and a password in the remote's
    address, as CI checkouts have them, would be stored by Modal: they are taken out. Where a later
    SDK has no such function, nothing is changed.
    """
    import modal.runner

    runner: Any = modal.runner
    read = getattr(runner, "get_git_commit_info", None)
    if read is not None and not isinstance(read, _Once):
        runner.get_git_commit_info = _Once(read)


class _Once:
    """An asynchronous function whose first answer serves every caller."""

    def __init__(self, function: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        self._function = function
        self._answer: asyncio.Task[Any] | None = None

    async def __call__(self) -> Any:
        if self._answer is None:
            self._answer = asyncio.create_task(self._read())
        return await asyncio.shield(self._answer)

    async def _read(self) -> Any:
        info = await self._function()
        if getattr(info, "repo_url", ""):
            info.repo_url = _USER.sub("//", info.repo_url)
        return info
