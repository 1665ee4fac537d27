"""How is a plane started by hand? ``python -m modelctl.local --state-dir DIR``, until Ctrl-C."""

import argparse
import asyncio
import logging
import os
import sqlite3
import sys
from pathlib import Path
from typing import TextIO

from aiohttp.http_exceptions import HttpProcessingError

from modelctl.local.plane import hold_lock, serve

log = logging.getLogger("modelctl.local")

LOG_LIMIT = 8 << 20  # bytes; above that the older half of plane.log goes
_CHECKED_EVERY = 200  # lines


def _without_clients_words(record: logging.LogRecord) -> bool:
    """A malformed request is a line: its own words may hold a secret."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.INFO, "INFO"
        record.msg, record.args = "a malformed request was refused", ()
    return True


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m modelctl.local",
        description="Serve a Modal-compatible control plane on this machine.",
    )
    parser.add_argument("--state-dir", type=Path, required=True, help="where its state lives")
    state_dir = parser.parse_args().state_dir.absolute()
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        handlers=[_Bounded(state_dir / "plane.log")],
    )
    # asyncio and grpclib report at INFO what only their authors need.
    for noisy in ("asyncio", "grpclib", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("aiohttp.server").addFilter(_without_clients_words)
    os.umask(0o077)
    state_dir.mkdir(parents=True, exist_ok=True)
    state_dir.chmod(0o700)
    if hold_lock(state_dir) is None:
        log.error("A local control plane already runs in %s.", state_dir)
        return 1
    try:
        asyncio.run(serve(state_dir))
    except (OSError, sqlite3.Error) as error:
        log.error("The local control plane cannot work in %s: %s.", state_dir, error)
        return 1
    return 0


class _Bounded(logging.StreamHandler[TextIO]):
    """Writes to standard error; where that is the plane's log it stays below the limit."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._lines = 0

    def emit(self, record: logging.LogRecord) -> None:
        if self._lines % _CHECKED_EVERY == 0:
            shorten(self._path, self.stream.fileno(), LOG_LIMIT)
        self._lines += 1
        super().emit(record)


def shorten(path: Path, descriptor: int, limit: int) -> None:
    """Drops the older half of a file, open to append to, once it is above the limit."""
    about = os.fstat(descriptor)
    if about.st_size <= limit or not path.exists() or not os.path.samestat(about, path.stat()):
        return
    with path.open("rb") as file:
        file.seek(about.st_size - limit // 2)
        kept = file.read().partition(b"\n")[2]
    os.ftruncate(descriptor, 0)
    os.write(descriptor, kept)


if __name__ == "__main__":
    sys.exit(main())
