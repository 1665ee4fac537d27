"""Which files of a repository does an engine need? Everything else is never fetched."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache

from msgspec import Struct

from modelctl.resolved import RemoteFile, Selection, Unknown
from modelctl.weights.sources import is_plain

_SHARD = re.compile(r"-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf$", re.IGNORECASE)
# Configurations, tokenizers and chat templates; indexes and params.json go with the weights.
_SIDE = re.compile(
    r"^(?!params\.json$)(?!.*\.index\.json$)[^/]+\.(json|jinja|model|txt|tiktoken|model\.v\d+)$"
    r"|^additional_chat_templates/[^/]+\.jinja$"
)
# The layers that sentence-transformers puts after a model: `1_Pooling/config.json`.
_PARTS = re.compile(r"^\d+_\w+/([^/]+\.(json|txt|model|safetensors|bin)|vocab\.bpe)$")
# The layout of Mistral's own: not that of Transformers, which has config.json and model-*.
_MISTRAL = re.compile(
    r"^(params\.json|consolidated[^/]*\.safetensors|consolidated\.safetensors\.index\.json)$"
)
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")
_NO_WEIGHTS = {"training_args.bin", "optimizer.bin", "scheduler.bin"}


MOST_NAMED = 8


class Needed(Struct, frozen=True):
    """`first` is the file that llama.cpp is given, "" for a folder, Unknown where none is clear."""

    files: tuple[RemoteFile, ...]
    first: str | Unknown = ""


def needed(files: Sequence[RemoteFile], wanted: Selection) -> Needed:
    """The part of a listing that serves a purpose: one GGUF model, or a folder."""
    return _needed(tuple(files), wanted)


@lru_cache(maxsize=1024)
def _needed(listed: tuple[RemoteFile, ...], wanted: Selection) -> Needed:
    files = [file for file in listed if is_plain(file.path)]
    if wanted.purpose == "gguf":
        return _gguf(files, wanted.file, wanted.mmproj)
    if wanted.purpose == "adapter":
        found = [f for f in files if f.path == "adapter_config.json"]
    else:
        found = [f for f in files if _SIDE.search(f.path) or _is_part(f.path, files)]
    if wanted.remote_code:
        found += [f for f in files if f.path.endswith(".py")]
    if wanted.purpose != "tokenizer":
        found += _weights([f for f in files if "/" not in f.path], wanted)
    return Needed(tuple(sorted(set(found), key=lambda f: f.path)))


def _is_part(path: str, files: Sequence[RemoteFile]) -> bool:
    """Of a layer's weights those in the older format only where there are no others."""
    folder, _, name = path.rpartition("/")
    if not _PARTS.search(path) or name in _NO_WEIGHTS:
        return False
    return not name.endswith(".bin") or not any(
        f.path.startswith(f"{folder}/") and f.path.endswith(".safetensors") for f in files
    )


def lacks(paths: Sequence[str], wanted: Selection) -> str:
    """`has no weights at its top (…): it has a/b.safetensors`; "" where nothing is missing."""
    if wanted.purpose in ("gguf", "tokenizer"):
        return ""
    files = [RemoteFile(path, 0) for path in paths]
    found = [file.path for file in needed(files, wanted).files]
    missing = ""
    if not any(path.endswith((".safetensors", ".bin")) for path in found):
        missing = "weights at its top (*.safetensors or *.bin)"
    if wanted.purpose == "adapter" and "adapter_config.json" not in found:
        missing = "adapter_config.json at its top"
    if not missing:
        return ""
    shown = sorted(paths, key=lambda path: (not path.endswith(_WEIGHTS), path))
    some = ", ".join(shown[:MOST_NAMED]) + (" …" if len(shown) > MOST_NAMED else "")
    return f"has no {missing}: it has {some}"


def candidates(paths: Iterable[str], file: str | None) -> list[str]:
    """The GGUF files that a glob may mean, a split one by its first part.

    Projectors are meant only where the glob says so.
    """
    found = []
    for path in paths:
        shard = _SHARD.search(path)
        if not path.lower().endswith(".gguf") or (shard and int(shard["part"]) != 1):
            continue
        if "mmproj" in path.lower() and "mmproj" not in (file or "").lower():
            continue
        if file is None or fnmatchcase(path, file):
            found.append(path)
    return sorted(found)


def _gguf(files: Sequence[RemoteFile], file: str | None, mmproj: str | None) -> Needed:
    paths = [f.path for f in files]
    found = candidates(paths, file)
    if len(found) != 1:
        return Needed((), Unknown(_unclear(found or candidates(paths, None), file, len(found))))
    first = found[0]
    parts = [
        f
        for f in files
        if belongs_to(f.path, first) or (mmproj is not None and fnmatchcase(f.path, mmproj))
    ]
    missing = missing_part(first, paths)
    return Needed(
        tuple(sorted(parts, key=lambda f: f.path)), Unknown(missing) if missing else first
    )


def belongs_to(path: str, file: str) -> bool:
    """Whether it is that GGUF file, or another part of it."""
    shard = _SHARD.search(file)
    stem = f"{file[: shard.start()]}-" if shard else ""
    return path == file or bool(stem and path.startswith(stem) and _SHARD.search(path))


def missing_part(first: str, paths: Iterable[str]) -> str:
    """`part 3 of 3 of m is missing`, of a split GGUF; "" where all are there."""
    shard = _SHARD.search(first)
    if shard is None:
        return ""
    stem, total = first[: shard.start()], int(shard["parts"])
    found = [(path, _SHARD.search(path)) for path in paths]
    there = {
        int(part["part"])
        for path, part in found
        if part and path[: part.start()] == stem and int(part["parts"]) == total
    }
    number = next((number for number in range(1, total + 1) if number not in there), None)
    return f"part {number} of {total} of {stem} is missing" if number is not None else ""


def _unclear(shown: Sequence[str], file: str | None, count: int) -> str:
    """`3 GGUF files match *.gguf: a.gguf, b.gguf, c.gguf`"""
    matching = f"{count or 'no'} GGUF file{'' if count == 1 else 's'} match"
    some = ", ".join(shown[:MOST_NAMED]) + (" …" if len(shown) > MOST_NAMED else "")
    return f"{matching} {file or '*.gguf'}" + (f": {some}" if some else "")


def _weights(files: Sequence[RemoteFile], wanted: Selection) -> list[RemoteFile]:
    """Safetensors with their index, or the older format where there are none.

    Mistral's repositories have the weights twice: where `params.json` is beside `consolidated`
    ones, these are what vLLM loads (0.32: get_config, DefaultModelLoader._prepare_weights).
    """
    stem = "adapter_model" if wanted.purpose == "adapter" else ""
    theirs = [f for f in files if not stem and _MISTRAL.search(f.path)]
    there = {f.path for f in theirs}
    consolidated = any(path.endswith(".safetensors") for path in there)
    chosen = wanted.layout == "mistral" or (wanted.layout == "" and "params.json" in there)
    if consolidated and chosen:
        return theirs
    for suffix in (".safetensors", ".bin"):
        found = [f for f in files if f.path.startswith(stem) and f.path.endswith(suffix)]
        found = [f for f in found if f.path not in _NO_WEIGHTS | there]
        if found:
            kept = {name for name in ("model", "pytorch_model", "adapter_model") if stem in name}
            indexes = {f"{name}{suffix}.index.json" for name in kept}
            found += [f for f in files if f.path in indexes]
            return found + (theirs if wanted.layout in ("both", "mistral") else [])
        if consolidated:
            return theirs
    return []
