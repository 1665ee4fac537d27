"""How does a container end when it must, with everything that it started?

Runs as a small process between the plane and a container (``python -I -S supervise.py ARGV...``).
The plane holds the other end of standard input: when it closes, because the plane wants the end now
or was itself killed, every descendant is killed. When the container's main process exits, what it
left behind is killed too, and so is everything when a relay of its network ends: nobody would reach
the container. SIGTERM and SIGINT are passed on to the main process alone.

Standard library only: it is started without site-packages to come up in milliseconds.
"""

import ctypes
import os
import select
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_RELAY = b"modelctl-relay\n"  # as isolate.py names them


def _prctl() -> Callable[[int, int], int]:
    if not sys.platform.startswith("linux"):
        return lambda *_: 0
    call: Callable[[int, int], int] = ctypes.CDLL(None).prctl
    return call


def _spawn(argv: list[str], prctl: Callable[[int, int], int]) -> int:
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setsid()  # a group of its own, so that one signal reaches all of it
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(128 + signal.SIGKILL)
        for caught in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(caught, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execvp(argv[0], argv)  # noqa: S606 - there is no shell to want
    except OSError as error:
        os.write(2, f"cannot start {argv[0]}: {error}\n".encode())
    os._exit(127)


def _children() -> list[int]:
    """Direct children; orphaned descendants become ours because we are their subreaper."""
    try:
        listed = os.open(f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY)
    except OSError:
        return []
    try:
        return [int(pid) for pid in os.read(listed, 1 << 20).split()]
    finally:
        os.close(listed)


def _next_dead() -> int:
    """A child that has ended and can still be looked at; -1, for any, where none can be."""
    if not sys.platform.startswith("linux"):
        return -1
    found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return found.si_pid if found else -1


def _was_relay(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/comm", "rb") as name:  # noqa: PTH123 - pathlib is slow to import
            return name.read() == _RELAY
    except OSError:
        return False


def _kill(pid: int, group: bool = False) -> None:
    try:
        if group:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # it is gone, or no longer ours


def _end_all(main: int) -> None:
    """Kills the group, then level by level whatever had left the group."""
    _kill(main, group=True)
    while True:
        for pid in _children():
            _kill(pid)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def main(argv: list[str]) -> int:
    prctl = _prctl()
    prctl(_PR_SET_CHILD_SUBREAPER, 1)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for caught in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(caught, lambda *_: None)
    container = _spawn(argv, prctl)
    while True:
        ready, _, _ = select.select([0, wake_read], [], [])
        if wake_read in ready:
            for number in os.read(wake_read, 512):
                if number in (signal.SIGTERM, signal.SIGINT):
                    try:
                        os.kill(container, number)
                    except ProcessLookupError:
                        continue
            while True:
                try:
                    dead = _next_dead()
                    relay = _was_relay(dead)
                    pid, status = os.waitpid(dead, os.WNOHANG)
                except ChildProcessError:
                    return 0
                if relay:
                    os.write(2, b"The container ends: a relay of its network has ended.\n")
                    _end_all(container)
                    return 128 + signal.SIGKILL
                if pid == container:
                    _end_all(container)
                    code = os.waitstatus_to_exitcode(status)
                    return code if code >= 0 else 128 - code
                if pid == 0:
                    break
        if 0 in ready and not os.read(0, 512):
            _end_all(container)
            return 128 + signal.SIGKILL


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
