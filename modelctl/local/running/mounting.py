"""How does an app find its files and Volumes at the paths that it names? By mounts of its own.

Runs before a container (``python -I -S mounting.py ROOT ARGV...``), enters a mount namespace in
which all that lies below ROOT appears below /, among what this machine has there, and becomes the
container. A folder that lacks a place to mount on is replaced by an empty one in memory, into which
everything that it held is mounted too.

Linux only, and only where namespaces are permitted: `python -I -S mounting.py` without arguments
exits with 0 there. Standard library only: it is started without site-packages.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import NoReturn

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_MOVE, _MS_REC, _MS_PRIVATE = 0x1000, 0x2000, 0x4000, 0x40000
_MNT_DETACH = 2
_WORKDIR = "/root"  # of Modal's containers

_libc = ctypes.CDLL(None, use_errno=True)


def _done(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def _unshare() -> None:
    """Into a mount namespace of our own; in a user namespace too, where we are not privileged."""
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0 or _libc.unshare(_CLONE_NEWNS) != 0:
        _done(_libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), "a mount namespace")
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as out:  # noqa: PTH123 - pathlib is slow to import
                out.write(text)
    _mount("none", "/", "", _MS_REC | _MS_PRIVATE)


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    arguments = [text.encode() for text in (source, target, kind)]
    _done(_libc.mount(*arguments, ctypes.c_ulong(flags), options.encode()), target)


def _bind(source: str, target: str) -> None:
    _mount(source, target, "", _MS_BIND | _MS_REC)


def _make_place(target: str, folder: bool) -> None:
    if folder:
        os.mkdir(target)  # noqa: PTH102
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))


def _make_room(real: str, missing: Iterable[tuple[str, bool]], space: str) -> None:
    """Replaces a folder by one in memory with what it held, and empty places besides."""
    os.makedirs(space)  # noqa: PTH103
    _mount("none", space, "tmpfs", 0, f"mode={os.stat(real).st_mode & 0o7777:o}")  # noqa: PTH116
    with suppress(PermissionError), os.scandir(real) as held:
        for entry in held:
            target = f"{space}/{entry.name}"
            with suppress(OSError):  # it vanished, or is nothing that can be mounted
                if entry.is_symlink():
                    os.symlink(os.readlink(entry.path), target)  # noqa: PTH115, PTH211
                    continue
                _make_place(target, entry.is_dir())
                _bind(entry.path, target)
    for name, folder in missing:
        _make_place(f"{space}/{name}", folder)
    if real != "/":
        _mount(space, real, "", _MS_MOVE)
        return
    os.chdir(space)
    _done(_libc.pivot_root(b".", b"."), "/")
    _done(_libc.umount2(b".", _MNT_DETACH), "/")
    os.chdir("/")


def _appear(laid: str, real: str, space: str) -> None:
    """What lies in the one folder appears in the other one, which exists."""
    names = sorted(os.listdir(laid))  # noqa: PTH208
    under = real.rstrip("/")
    missing = [
        (name, os.path.isdir(f"{laid}/{name}"))  # noqa: PTH112
        for name in names
        if not os.path.exists(f"{under}/{name}")  # noqa: PTH110
    ]
    if missing:
        _make_room(real, missing, space)
    new = {name for name, _ in missing}
    for name in names:
        source, target = f"{laid}/{name}", f"{under}/{name}"
        if name in new or _is_whole(source):
            _bind(os.path.realpath(source), target)
        else:
            _appear(source, target, f"{space}-{name}")


def _is_whole(source: str) -> bool:
    """A file or a Volume, which hides what was at its path; a folder's own entries appear in it."""
    if os.path.islink(source) or not os.path.isdir(source):  # noqa: PTH112, PTH114
        return True
    return bool(os.statvfs(source).f_flag & os.ST_RDONLY)  # a Volume too: bound there before us


def probe() -> int:
    """Whether mounts are permitted here, as an exit status."""
    try:
        _unshare()
        _mount("none", "/tmp", "tmpfs", 0)  # noqa: S108 - in a namespace that ends with us
    except OSError:
        return 1
    return 0


def main(arguments: list[str]) -> int:
    return become(arguments) if arguments else probe()


def become(arguments: list[str]) -> NoReturn:
    root, argv = arguments[0], arguments[1:]
    try:
        _unshare()
        _appear(root, "/", f"{root}.room")
        os.chdir(_WORKDIR)
    except OSError as error:
        os.write(2, f"The app's files and Volumes are below {root} only: {error}\n".encode())
    os.execvp(argv[0], argv)  # noqa: S606 - there is no shell to want


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
