"""What is the model at this path? Its files, sizes and hashes; hashes are remembered."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from modelctl.resolved import LocalFile
from modelctl.weights.tensors import Read

PART = re.compile(r"-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf$")
_CHUNK = 8 * 2**20
# Nothing of a model, and some of it changes by itself.
_LEFT_OUT = {".git", ".cache", "__pycache__", ".DS_Store", "Thumbs.db"}


class LocalModel(Struct, frozen=True):
    """A file, the parts of one, or a folder.

    `digest` is the file's sha256, or one over the paths and hashes of several.

    `root` is what `files` are relative to: the file's folder, or the folder itself.
    """

    root: Path
    files: tuple[LocalFile, ...]
    digest: str

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def files_of(path: Path) -> list[Path]:
    """The files that belong to a model, in an order that does not depend on the disk.

    One part of a split GGUF stands for all of them.
    """
    if path.is_file():
        part = PART.search(path.name)
        if part is None:
            return [path]
        stem, parts = path.name[: part.start()], part["parts"]
        return sorted(path.parent.glob(f"{glob.escape(stem)}-[0-9]*-of-{parts}.gguf"))
    return sorted(_walk(path), key=lambda file: file.relative_to(path).as_posix())


def reader(file: Path) -> Read:
    """Reads parts of the file. Raises OSError."""

    def read(start: int, end: int) -> bytes:
        with file.open("rb") as opened:
            opened.seek(start)
            return opened.read(end - start)

    return read


def examine(path: Path, cache: HashCache | None = None) -> LocalModel:
    """Hash the model at `path`. Raises OSError where it cannot be read."""
    cache = cache or HashCache(default_cache_folder())
    root = path.parent if path.is_file() else path
    files = tuple(
        LocalFile(file.relative_to(root).as_posix(), file.stat().st_size, cache.sha256(file))
        for file in files_of(path)
    )
    return LocalModel(root, files, _digest(path, files))


def default_cache_folder() -> Path:
    """`$XDG_CACHE_HOME/modelctl`, or where that is when it is not set."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base else Path.home() / ".cache") / "modelctl"


class HashCache:
    """Remembers hashes by (real path, size, time of change, inode): gigabytes are read once.

    A cache that cannot be read or written is no error: it is only slower.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "sha256"

    def sha256(self, file: Path) -> str:
        real = file.resolve()
        before = real.stat()
        stamp: list[str | int] = [
            str(real),
            before.st_size,
            before.st_mtime_ns,
            before.st_ino,
        ]
        entry = self._folder / hashlib.sha256(json.dumps(stamp).encode()).hexdigest()
        known = self._read(entry, stamp)
        if known is not None:
            return known
        found = _hash(real)
        after = real.stat()
        if (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
            self._write(entry, stamp, found)
        return found

    @staticmethod
    def _read(entry: Path, stamp: list[str | int]) -> str | None:
        try:
            found = json.loads(entry.read_text(encoding="utf-8"))
            sha256 = found["sha256"]
            known = found["stamp"] == stamp and len(bytes.fromhex(sha256)) == 32
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return str(sha256) if known else None

    def _write(self, entry: Path, stamp: list[str | int], sha256: str) -> None:
        import tempfile

        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", dir=self._folder, delete=False
            ) as written:
                json.dump({"stamp": stamp, "sha256": sha256}, written)
            Path(written.name).replace(entry)
        except OSError:
            return


def _hash(file: Path) -> str:
    hashing = hashlib.sha256()
    with file.open("rb", buffering=0) as opened:
        while chunk := opened.read(_CHUNK):
            hashing.update(chunk)
    return hashing.hexdigest()


def _digest(path: Path, files: tuple[LocalFile, ...]) -> str:
    if path.is_file() and len(files) == 1:
        return files[0].sha256
    hashing = hashlib.sha256()
    for file in files:
        hashing.update(json.dumps([file.path, file.sha256]).encode() + b"\n")
    return hashing.hexdigest()


def _walk(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        if entry.name in _LEFT_OUT:
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from _walk(entry)
        elif entry.is_file():
            yield entry
