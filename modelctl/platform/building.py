"""What do the images of a deployment print while they are built?

The SDK hands each line to the process's output manager, which drops it unless somebody prints. It
has no public place for one's own; where a later SDK lacks the private one too, nothing is shown,
and everything else works.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from modelctl.platform.errors import without_tokens

LAST = 20
"""How many lines are kept for who asks why a build failed."""

_BUILD: ContextVar[Build | None] = ContextVar("build", default=None)
"""Of the deployment that is under way. What the SDK does for it, in its own thread, inherits it."""


class Build:
    """The last lines that were printed, without what looks like a secret."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._progress = progress
        self._lines: deque[str] = deque(maxlen=LAST)
        self._begun = ""

    @property
    def lines(self) -> tuple[str, ...]:
        return (*self._lines, *([_clean(self._begun)] if self._begun.strip() else []))[-LAST:]

    def printed(self, text: str) -> None:
        """A piece of the log: it may hold several lines, and end in the middle of one."""
        *whole, self._begun = (self._begun + text).replace("\r", "\n").split("\n")
        for line in filter(None, map(_clean, whole)):
            self._lines.append(line)
            self._loop.call_soon_threadsafe(self._progress, line)


def _clean(line: str) -> str:
    return without_tokens(line.rstrip())


@contextmanager
def watched(progress: Callable[[str], None]) -> Iterator[Build]:
    """Each line that the images of what is deployed inside print is handed to `progress`."""
    _listen()
    build = Build(progress)
    token = _BUILD.set(build)
    try:
        yield build
    finally:
        _BUILD.reset(token)


def _listen() -> None:
    try:
        from modal._output.manager import DisabledOutputManager
        from modal.output import OutputManager
    except ImportError:
        return
    if type(OutputManager.get()) is not DisabledOutputManager:
        return  # ours is there, or somebody else's

    class Listening(DisabledOutputManager):
        async def put_streaming_log(self, log: Any, prefix: str = "") -> None:  # noqa: ARG002
            if (build := _BUILD.get()) is not None:
                build.printed(log.data)

    OutputManager._set(Listening())
