"""How is a named file written? A link in its place is replaced, never written through."""

from __future__ import annotations

import os
from pathlib import Path

_DEVICES = (Path("/dev"), Path("/proc"))


def put(file: Path, content: bytes) -> None:
    """Write `content` to `file`. What is no regular file, /dev/stdout say, is written as it is.

    Raises an OSError that names `file`.
    """
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
