"""How is a named file written? A link in its place is replaced, never written through."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from modelctl.inside import NOT_WRITTEN, led_out_by, root_of

_DEVICES = (Path("/dev"), Path("/proc"))


class LedOut(OSError):
    """A link of the project is in the way of what is to be written; `hint` is the way out."""

    def __init__(self, link: Path, what: str) -> None:
        super().__init__(errno.ELOOP, f"{link} {NOT_WRITTEN}", str(link))
        self.hint = f"put a {what} itself there, or delete the link"


def keep_inside(path: Path, what: str = "folder") -> None:
    """Raise LedOut where a link below the project leads `path` out of it.

    Whoever types an absolute path, or one that is outside, chose it.
    """
    link = None if path.is_absolute() else led_out_by(path, root_of(Path.cwd()))
    if link is not None:
        raise LedOut(link, what)


def make_folder(folder: Path) -> None:
    """Make the folder that files are put into. Raises LedOut."""
    keep_inside(folder)
    folder.mkdir(parents=True, exist_ok=True)


def put(file: Path, content: bytes) -> None:
    """Write `content` to `file`. What is no regular file, /dev/stdout say, is written as it is.

    Raises an OSError that names `file`.
    """
    keep_inside(file.parent)
    if not file.is_symlink() or _is_device(file):
        file.write_bytes(content)
        return
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        # "x": a link of that name is not followed either.
        with beside.open("xb") as stream:
            stream.write(content)
        beside.replace(file)
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(file)) from problem
    finally:
        beside.unlink(missing_ok=True)


def _is_device(file: Path) -> bool:
    folder = Path(os.path.realpath(file.parent))
    # /dev/stdout is a link to a regular file where the shell sends the output into one.
    if any(folder.is_relative_to(devices) for devices in _DEVICES):
        return True
    return file.exists() and not file.is_file()
