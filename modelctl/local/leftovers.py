"""What still runs of a plane that is gone? Every process of this user that carries its mark.

A container's environment names the plane that started it, and what the container starts inherits
that. So whoever finds the plane and a container's supervisor killed can still end the engine, and
nobody else's: two planes side by side have two marks. Standard library only.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

MARK = "MODELCTL_PLANE"
_PATIENCE = 5.0  # seconds for the kernel to take away what was killed
_PAUSE = 0.005

_LINUX = sys.platform.startswith("linux")


def mark(state_dir: Path) -> str:
    """The value of the variable `MARK` in everything that the plane of this directory starts."""
    return hashlib.sha256(os.path.realpath(state_dir).encode()).hexdigest()[:16]


def carriers(value: str, task_id: str = "") -> set[int]:
    """The processes of the plane with this mark, or of one of its containers.

    What they started counts too, even if it runs with an empty environment.
    """
    entries = [f"{MARK}={value}"] + ([f"MODAL_TASK_ID={task_id}"] if task_id else [])
    parents, found = _processes(entries)
    parents.pop(os.getpid(), None)
    found.discard(os.getpid())
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def end(value: str, task_id: str = "") -> int:
    """Kills them, and returns once they are gone; how many there were."""
    ended: set[int] = set()
    deadline = time.monotonic() + _PATIENCE
    while (found := carriers(value, task_id)) and time.monotonic() < deadline:
        for pid in found:
            _kill(pid)
        ended |= found
        time.sleep(_PAUSE)
    return len(ended)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # gone in the meantime, or never ours


def _processes(entries: Collection[str]) -> tuple[dict[int, int], set[int]]:
    """The parent of each process of this user, and those whose environment has all entries."""
    return _from_proc(entries) if _LINUX else _from_ps(entries)


def _from_proc(entries: Collection[str]) -> tuple[dict[int, int], set[int]]:
    wanted = {entry.encode() for entry in entries}
    parents: dict[int, int] = {}
    found: set[int] = set()
    own = os.getuid()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid != own:
                continue
            stat = (process / "stat").read_bytes().rpartition(b")")[2].split()
            if stat[0] in (b"Z", b"X"):  # dead, and only waits for its parent to notice
                continue
            parents[int(process.name)] = int(stat[1])
            if wanted <= set((process / "environ").read_bytes().split(b"\0")):
                found.add(int(process.name))
        except OSError:
            continue  # it ended while we looked, or is nobody's business
    return parents, found


def _from_ps(entries: Collection[str]) -> tuple[dict[int, int], set[int]]:
    parents: dict[int, int] = {}
    found: set[int] = set()
    listed = subprocess.run(
        ["ps", "-axEww", "-o", "pid=,ppid=,uid=,stat=,command="],
        capture_output=True,
        check=False,
    )
    for line in listed.stdout.decode(errors="replace").splitlines():
        pid, parent, uid, state, *words = line.split()
        if int(uid) != os.getuid() or state.startswith("Z"):
            continue
        parents[int(pid)] = int(parent)
        if set(entries) <= set(words):
            found.add(int(pid))
    return parents, found
