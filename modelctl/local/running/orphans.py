"""Who ends what a killed supervisor leaves behind? The plane, which adopts it.

A supervisor ends all that its container started, unless it is killed itself. On Linux the plane is
the subreaper above the supervisors: whatever one of them leaves becomes the plane's own child. It
is told from what the plane started on purpose by its session, for a container has one of its own.
"""

import asyncio
import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from modelctl.local import leftovers

_PR_SET_CHILD_SUBREAPER = 36
_PAUSE = 0.01
_PATIENCE = 500  # pauses
_LINUX = sys.platform.startswith("linux")


class Orphans:
    """Knows the supervisors that live, and ends what others left."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self._supervisors: set[int] = set()
        self._killed: set[int] = set()
        if _LINUX:
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def supervised(self, pid: int) -> None:
        """A supervisor was started."""
        self._supervisors.add(pid)

    async def after(self, pid: int, task_id: str, code: int) -> None:
        """A container's supervisor ended: so does what it could not end itself."""
        self._supervisors.discard(pid)
        if not _LINUX:  # a supervisor there reaches its container's process group only
            await asyncio.to_thread(leftovers.end, self.mark, task_id)
        elif code < 0:
            for _ in range(_PATIENCE):
                if not self._end_adopted():
                    return
                await asyncio.sleep(_PAUSE)

    def _end_adopted(self) -> bool:
        """Kills every adopted process, takes note of the dead; whether there were any.

        Those that they leave in turn are adopted next, so this is to be repeated.
        """
        living = False
        for pid in _children():
            if pid in self._supervisors:
                continue
            state, session = _state(pid)
            if state == "Z":
                self._bury(pid)
            elif session not in ("", str(os.getsid(0))) and not _supervises(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self._killed.add(pid)
                living = True
        return living

    def _bury(self, pid: int) -> None:
        # A supervisor that has only just been started may end before it is known as one; its exit
        # code is awaited elsewhere. What is still there a second later is nobody else's.
        if pid in self._killed:
            self._killed.discard(pid)
            _reap(pid)
        else:
            asyncio.get_running_loop().call_later(1.0, _reap, pid)


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):  # somebody else was faster
        os.waitpid(pid, os.WNOHANG)


def _children() -> list[int]:
    me = os.getpid()
    try:
        return [int(pid) for pid in Path(f"/proc/{me}/task/{me}/children").read_text().split()]
    except OSError:  # a kernel without it
        return []


def _state(pid: int) -> tuple[str, str]:
    """The process's state letter and its session; empty if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[3]


def _supervises(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return True  # gone
    return any(word.endswith(b"/supervise.py") for word in words[:5])
