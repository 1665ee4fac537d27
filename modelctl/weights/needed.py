"""Which files of a repository does an engine need? Everything else is never fetched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from modelctl.resolved import RemoteFile, Unknown

Purpose = Literal["model", "gguf", "adapter", "tokenizer", "draft"]
"""What a source is for: `gguf` is one file of llama.cpp's, the others are folders."""

_SHARD = re.compile(r"-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf$", re.IGNORECASE)
_SIDE = (".json", ".jinja", ".model", ".txt", ".tiktoken")


@dataclass(frozen=True)
class Needed:
    """`first` is the file that llama.cpp is given, "" for a folder, Unknown where none is clear."""

    files: tuple[RemoteFile, ...]
    first: str | Unknown = ""


def needed(
    files: Sequence[RemoteFile],
    purpose: Purpose,
    *,
    file: str | None = None,
    mmproj: str | None = None,
    remote_code: bool = False,
) -> Needed:
    """The part of a listing that serves a purpose. `file` and `mmproj` are globs of GGUF files."""
    if purpose == "gguf":
        return _gguf(files, file, mmproj)
    top = [f for f in files if "/" not in f.path]
    wanted = [f for f in top if f.path.endswith(_SIDE) and not _is_index(f.path)]
    if remote_code:
        wanted += [f for f in files if f.path.endswith(".py")]
    if purpose != "tokenizer":
        wanted += _weights(top)
    return Needed(tuple(sorted(wanted, key=lambda f: f.path)))


def candidates(paths: Iterable[str], file: str | None) -> list[str]:
    """The GGUF files that a glob may mean, a split one by its first part; no projectors."""
    found = []
    for path in paths:
        shard = _SHARD.search(path)
        if not path.lower().endswith(".gguf") or (shard and int(shard["part"]) != 1):
            continue
        if (file is None and "mmproj" not in path.lower()) or (file and fnmatchcase(path, file)):
            found.append(path)
    return sorted(found)


def _gguf(files: Sequence[RemoteFile], file: str | None, mmproj: str | None) -> Needed:
    found = candidates((f.path for f in files), file)
    if len(found) != 1:
        return Needed((), Unknown(f"{len(found)} GGUF files match {file or '*.gguf'}"))
    first = found[0]
    shard = _SHARD.search(first)
    stem = first[: shard.start()] if shard else None
    parts = [
        f
        for f in files
        if f.path == first
        or (stem is not None and f.path.startswith(f"{stem}-") and _SHARD.search(f.path))
        or (mmproj is not None and fnmatchcase(f.path, mmproj))
    ]
    return Needed(tuple(sorted(parts, key=lambda f: f.path)), first)


def _weights(files: Sequence[RemoteFile]) -> list[RemoteFile]:
    """Safetensors with their index, or the older format where there are none."""
    for suffix, index in ((".safetensors", ".safetensors.index.json"), (".bin", ".bin.index.json")):
        found = [f for f in files if f.path.endswith(suffix)]
        named = [f for f in found if not f.path.startswith("consolidated")]
        if found:
            return (named or found) + [f for f in files if f.path.endswith(index)]
    return []


def _is_index(path: str) -> bool:
    return path.endswith(".index.json")
