"""What lies in a repository of the loopback Hub? Files, their hashes, and their commit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LFS_SUFFIXES = (".safetensors", ".bin", ".gguf", ".pt", ".pth", ".onnx", ".h5")
LFS_BYTES = 10 * 2**20
MOST_HASHED = 2**30
_CHUNK = 2**20


@dataclass(frozen=True)
class Stored:
    """One file: its bytes in memory, or a file on disk (which may be sparse)."""

    path: str
    source: bytes | Path

    @cached_property
    def size(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    @cached_property
    def lfs(self) -> bool:
        return self.path.endswith(LFS_SUFFIXES) or self.size > LFS_BYTES

    @cached_property
    def sha256(self) -> str:
        return self._hashed(hashlib.sha256())

    @cached_property
    def git_sha1(self) -> str:
        """What git calls the blob: for a file in LFS, that of its pointer."""
        if self.lfs:
            pointer = f"oid sha256:{self.sha256}\nsize {self.size}\n"
            pointer = f"version https://git-lfs.github.com/spec/v1\n{pointer}"
            return hashlib.sha1(b"blob %d\0" % len(pointer) + pointer.encode()).hexdigest()
        return self._hashed(hashlib.sha1(b"blob %d\0" % self.size))

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.git_sha1

    def read(self, start: int, count: int) -> bytes:
        if isinstance(self.source, bytes):
            return self.source[start : start + count]
        with self.source.open("rb") as file:
            file.seek(start)
            return file.read(count)

    def _hashed(self, hashing: hashlib._Hash) -> str:
        # A checkpoint of holes is never fetched: its header stands for all of it.
        end = self.size if self.size <= MOST_HASHED else 16 * _CHUNK
        for start in range(0, end, _CHUNK):
            hashing.update(self.read(start, _CHUNK))
        return hashing.hexdigest()

    def sibling(self, *, blobs: bool) -> dict[str, object]:
        """As the Hub lists it in a repository."""
        listed: dict[str, object] = {"rfilename": self.path}
        if blobs:
            listed |= {"size": self.size, "blobId": self.git_sha1}
            if self.lfs:
                listed["lfs"] = {"sha256": self.sha256, "size": self.size, "pointerSize": 134}
        return listed


def stored(files: Mapping[str, bytes | str | Path] | Path) -> dict[str, Stored]:
    """The files of a repository: from a folder, or by path as bytes, text or a file's path."""
    if isinstance(files, Path):
        files = {
            file.relative_to(files).as_posix(): file for file in files.rglob("*") if file.is_file()
        }
    return {
        path: Stored(path, source.encode() if isinstance(source, str) else source)
        for path, source in sorted(files.items())
    }


def commit_of(repo: str, files: Mapping[str, Stored]) -> str:
    """The same content of the same repository is the same commit, on any machine."""
    listing = [[path, file.etag] for path, file in files.items()]
    return hashlib.sha1(json.dumps([repo, listing]).encode()).hexdigest()
