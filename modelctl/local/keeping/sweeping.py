"""Which files of the state directory does nothing refer to? What a killed plane left, old uploads.

It runs beside the plane that serves, so only what is older than that plane is looked at.
"""

import base64
import logging
import os
import re
import shutil
import sqlite3
from collections.abc import Container, Iterator
from contextlib import closing, suppress
from pathlib import Path

from modelctl.local.keeping.content import PARTIAL
from modelctl.local.keeping.function_calls import KEEP

log = logging.getLogger(__name__)

_PARTIAL = re.compile(re.escape(PARTIAL) + r"[0-9a-f]{16}")
_VOLUME = re.compile(r"vo-[A-Za-z0-9]{22}")
_BLOB = re.compile(rb"bl-[A-Za-z0-9]{22}")
_IN_BASE64 = re.compile(rb'"\$b": "([A-Za-z0-9+/=]*)"')
_NO_REFERENCES = ("calls", "logs", "requests", "samples")
"""Tables that only tell what happened."""


def sweep(state_dir: Path, volumes: Container[str], *, began: float, now: float) -> int:
    """Removes them; how many there were.

    `began` is when this plane began by the machine's clock, `now` the time by the plane's own.
    """
    left = [*_lost_volumes(state_dir, volumes), *_partials(state_dir, began)]
    left += _old_blobs(state_dir, now - KEEP)
    for path in left:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
    if left:
        log.info("removed %d files and folders that nothing refers to", len(left))
    return len(left)


def _lost_volumes(state_dir: Path, volumes: Container[str]) -> Iterator[Path]:
    """Folders of Volumes that are gone. A new one's record is there before its folder."""
    for entry in _scan(state_dir / "volumes"):
        if _VOLUME.fullmatch(entry.name) and entry.name not in volumes:
            yield Path(entry.path)


def _partials(state_dir: Path, began: float) -> Iterator[Path]:
    """What was being written when the writer was killed."""
    folders = [state_dir / name for name in ("blobs", "files", "volumes")]
    while folders:
        for entry in _scan(folders.pop()):
            with suppress(OSError):  # it went while we looked
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif (
                    _PARTIAL.fullmatch(entry.name)
                    and entry.stat(follow_symlinks=False).st_mtime < began - 1.0
                ):
                    yield Path(entry.path)


def _old_blobs(state_dir: Path, before: float) -> list[Path]:
    """Uploads from before that time, with their hashes, that no record names."""
    old = []
    for entry in _scan(state_dir / "blobs"):
        with suppress(OSError):
            if (
                _BLOB.fullmatch(entry.name.removesuffix(".sha256").encode())
                and entry.stat(follow_symlinks=False).st_mtime < before
            ):
                old.append(Path(entry.path))
    if not old:
        return []
    try:
        named = _named_blobs(state_dir / "state.db")
    except sqlite3.Error as error:
        log.warning("old uploads stay, for the records cannot be read: %s", error)
        return []
    return [path for path in old if path.stem not in named]


def _named_blobs(database: Path) -> set[str]:
    """All ids of blobs that stand anywhere in the records, in messages within them too."""
    found: set[bytes] = set()
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            if table in _NO_REFERENCES:
                continue
            for row in db.execute(f'SELECT * FROM "{table}"'):  # noqa: S608 - one of our own
                for value in row:
                    if isinstance(value, str | bytes):
                        found |= _in(value.encode() if isinstance(value, str) else value)
    return {blob.decode() for blob in found}


def _in(data: bytes) -> set[bytes]:
    found = set(_BLOB.findall(data))
    for packed in _IN_BASE64.findall(data):
        found.update(_BLOB.findall(base64.b64decode(packed)))
    return found


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []  # it went while we looked, or cannot be read
