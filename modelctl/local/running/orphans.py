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
_LOOK = 0.1
_LINUX = sys.platform.startswith("linux")


class Orphans:
    """Knows the supervisors that live, and ends what others left."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self._supervisors: set[int] = set()
        self._killed: set[int] = set()
        self._dead: set[int] = set()  # not by us, and not yet taken note of
        self._tasks: set[asyncio.Task[None]] = set()
        if _LINUX:
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)

    def watch(self, supervisor: asyncio.subprocess.Process, task_id: str) -> None:
        """Once this supervisor has ended, so does what it could not end itself.

        Its `wait` is of no use for that: it returns when the pipes are closed, and what has to be
        ended may hold them open.
        """
        task = asyncio.create_task(self._after(supervisor, task_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _after(self, supervisor: asyncio.subprocess.Process, task_id: str) -> None:
        self._supervisors.add(supervisor.pid)
        try:
            await _ended(supervisor)
            if not _LINUX:  # a supervisor there reaches its container's process group only
                await asyncio.to_thread(leftovers.end, self.mark, task_id)
            for _ in range(_PATIENCE):
                if not self._end_adopted():
                    break
                await asyncio.sleep(_PAUSE)
        finally:
            self._supervisors.discard(supervisor.pid)

    def _end_adopted(self) -> bool:
        """Kills every adopted process, takes note of the dead; whether anything was new.

        Those that they leave in turn are adopted next, so this is to be repeated.
        """
        news = False
        for pid in _children():
            if pid in self._supervisors:
                continue
            state, session = _state(pid)
            if state == "Z":
                news |= self._bury(pid)
            elif session not in ("", str(os.getsid(0))) and not _supervises(pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self._killed.add(pid)
                news = True
        return news

    def _bury(self, pid: int) -> bool:
        if not _over(pid):  # its other threads are still ending, and hold what is adopted next
            return True
        # A supervisor that has only just been started may end before it is known as one; its exit
        # code is awaited elsewhere. What is still there a second later is nobody else's.
        if pid in self._killed:
            self._reap(pid)
        elif pid not in self._dead:
            self._dead.add(pid)
            asyncio.get_running_loop().call_later(1.0, self._reap, pid)
        else:
            return False
        return True

    def _reap(self, pid: int) -> None:
        self._killed.discard(pid)
        self._dead.discard(pid)
        with suppress(ChildProcessError):  # somebody else was faster
            os.waitpid(pid, os.WNOHANG)


async def _ended(process: asyncio.subprocess.Process) -> None:
    try:
        handle = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # not Linux, or over already
        while process.returncode is None:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(_LOOK)
        return
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _over(pid: int) -> bool:
    """Whether a process that looks dead has ended with all of its threads."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


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
