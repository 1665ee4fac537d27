"""How is a Volume mounted read-only, or inside another one? Bound in a mount namespace.

Runs between the supervisor and a container (``python -I -S read_only.py N HOW SOURCE PLACE ...
ARGV`` with N binds), enters a new mount namespace, binds each SOURCE to its PLACE, with HOW being
"ro" so that nothing can be written through it, and becomes the container. Outside, PLACE stays as
it is.

Linux only, and only where namespaces are permitted: without arguments it exits with 0 there.
Standard library only: it is started without site-packages.
"""

import ctypes
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from typing import NoReturn

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
# What a mount is remounted with must hold what it had: another namespace's limits stay.
_KEPT = {
    os.ST_NOSUID: 2,
    os.ST_NODEV: 4,
    os.ST_NOEXEC: 8,
    os.ST_NOATIME: 1024,
    os.ST_NODIRATIME: 2048,
    os.ST_RELATIME: 1 << 21,
}
_PROBE_TIMEOUT = 5.0


def argv(binds: Sequence[tuple[str, str, str]]) -> tuple[str, ...]:
    """What to put before a container's own command: how which folders are mounted where."""
    words = (word for bind in binds for word in bind)
    return (sys.executable, "-I", "-S", __file__, str(len(binds)), *words)


@lru_cache(maxsize=1)
def permitted() -> bool:
    """Whether a process of ours may mount: on Linux often, elsewhere never."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        probe = [sys.executable, "-I", "-S", __file__]
        return subprocess.run(probe, timeout=_PROBE_TIMEOUT, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _enter(libc: ctypes.CDLL) -> None:
    """Into a mount namespace of our own; in a user namespace too, where we are not privileged."""
    uid, gid = os.geteuid(), os.getegid()
    if not (uid == 0 and libc.unshare(_CLONE_NEWNS) == 0):
        _checked(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as out:  # noqa: PTH123 - pathlib is slow to import
                out.write(text)
    _checked(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))


def _bind(libc: ctypes.CDLL, how: str, source: str, place: str) -> None:
    _checked(libc.mount(os.fsencode(source), os.fsencode(place), None, _MS_BIND, None))
    if how != "ro":
        return
    seen = os.statvfs(place).f_flag
    kept = sum(flag for shown, flag in _KEPT.items() if seen & shown)
    flags = _MS_BIND | _MS_REMOUNT | _MS_RDONLY | kept
    _checked(libc.mount(None, os.fsencode(place), None, flags, None))


def main(arguments: list[str]) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount.argtypes = (*(ctypes.c_char_p,) * 3, ctypes.c_ulong, ctypes.c_char_p)
    return become(libc, arguments) if arguments else probe(libc)


def become(libc: ctypes.CDLL, arguments: list[str]) -> NoReturn:
    count = 3 * int(arguments[0])
    words, container = arguments[1 : 1 + count], arguments[1 + count :]
    _enter(libc)
    for how, source, place in zip(words[::3], words[1::3], words[2::3], strict=True):
        _bind(libc, how, source, place)
    os.chdir(os.getcwd())  # noqa: PTH109 - what was mounted over it is seen from here on
    os.execv(container[0], container)  # noqa: S606 - the container's own command


def probe(libc: ctypes.CDLL) -> int:
    """0 where all of this works; tried in a child, whose namespace alone changes."""
    with tempfile.TemporaryDirectory() as folder:
        child = os.fork()
        if child == 0:
            try:
                _enter(libc)
                _bind(libc, "ro", folder, folder)
                os._exit(0 if os.statvfs(folder).f_flag & os.ST_RDONLY else 1)
            except OSError:
                os._exit(1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
