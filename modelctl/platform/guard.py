"""May this call still be sent? It is asked right before each call that changes an app.

A process may be stopped for any time between two calls of one deployment. What it began must not
be published after somebody else took over, so the question is put at the last moment, where the
SDK hands a request to its connection. The SDK has no public place for that. Where a later one
lacks the private place too, calls are not asked about one by one, and everything else works.

The question is put in two steps. The first may take a while, for it may ask Modal, and several
calls of one deployment wait for it together. The second is a look at a clock in the thread that
sends, with nothing between it and the sending: a process that is stopped there was in one call, not
in all that had their answer and were not sent yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from modelctl.platform.types import Permission

CHANGES = frozenset(
    {
        *("AppCreate", "AppGetOrCreate", "AppPublish", "AppDeploy", "AppStop", "AppRollback"),
        *("AppRollover", "AppPromote", "AppSetTags", "FunctionCreate", "ClassCreate"),
        *("ContainerStop", "FunctionUpdateSchedulingParams", "VolumePutFiles", "VolumePutFiles2"),
        *("VolumeRemoveFile", "VolumeRemoveFile2"),
    }
)
"""The calls that change an app, or what is remembered of it. What a lease is kept with is none."""


class Guard:
    """What is asked before calls are sent. The SDK sends them in a thread of its own."""

    def __init__(self) -> None:
        self._asked: dict[object, tuple[Permission, asyncio.AbstractEventLoop]] = {}

    def ask(self, who: object, permission: Permission | None) -> None:
        """Await its `check` in this event loop before each such call; None: no longer."""
        if permission is None:
            self._asked.pop(who, None)
        else:
            self._asked[who] = (permission, asyncio.get_running_loop())

    async def before(self, method: str) -> None:
        """Return where the call may be sent now; the caller sends it without awaiting anything."""
        if method not in CHANGES:
            return
        while True:
            # Where a loop is closed, the command is over, and so are its changes.
            now = list(self._asked.values())  # another thread adds to it and takes away
            asked = [(permission, loop) for permission, loop in now if not loop.is_closed()]
            for permission, loop in asked:
                check = asyncio.run_coroutine_threadsafe(permission.check(), loop)
                await asyncio.wrap_future(check)
            if all(permission.holds() for permission, _ in asked):
                return


GUARD = Guard()
"""Of this process: it opens one workspace, with one connection for all its calls."""


def watch_connections() -> bool:
    """Have GUARD asked on every connection that the SDK opens from now on; whether that works."""
    from grpclib.events import SendRequest, listen
    from modal._utils import grpc_utils

    create: Any = getattr(grpc_utils, "create_channel", None)
    if isinstance(create, _Watched):
        return True
    if create is None:
        return False

    async def asked(event: SendRequest) -> None:
        await GUARD.before(event.method_name.rpartition("/")[2])

    def listening(channel: Any) -> Any:
        listen(channel, SendRequest, asked)
        return channel

    utils: Any = grpc_utils
    utils.create_channel = _Watched(create, listening)
    return True


class _Watched:
    """The SDK's function that makes a channel, and what is done with each that it makes."""

    def __init__(self, create: Callable[..., Any], listening: Callable[[Any], Any]) -> None:
        self._create = create
        self._listening = listening

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self._listening(self._create(*arguments, **named))
