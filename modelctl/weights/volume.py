"""What lies in a Volume, of what specs mean? Its files with sizes, and the facts in their headers.

Who writes a Volume decides what is in it: it is read to know the model, and pins nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from modelctl.resolved import RemoteFile, Selection
from modelctl.weights import config as configs
from modelctl.weights.hub import MAX_READ, Found, HubProblem, read_headers_of
from modelctl.weights.lock import Locked
from modelctl.weights.needed import lacks, needed
from modelctl.weights.sources import parse
from modelctl.weights.tensors import Read


def folder_of(source: str) -> str:
    """What has to be listed: `llama` for `volume://name/llama` and `volume://name/llama/m.gguf`."""
    return parse(source).folder


def selections_in(source: str, selections: Iterable[Selection]) -> frozenset[Selection]:
    """The same, with the file that the source itself names."""
    name = parse(source).file
    if not name:
        return frozenset(selections)
    return frozenset(replace(wanted, purpose="gguf", file=name) for wanted in selections)


def look_up(
    source: str,
    selections: Iterable[Selection],
    sizes: Mapping[str, int],
    open_: Callable[[str], Read],
) -> Found:
    """What specs mean of `sizes`, the files below the folder. Raises HubProblem."""
    wanted = selections_in(source, selections)
    listing = [RemoteFile(path, size) for path, size in sorted(sizes.items())]
    files = tuple(
        file
        for file in listing
        if any(file in needed(listing, selection).files for selection in wanted)
    )
    if not any(file.path.endswith((".safetensors", ".bin", ".gguf")) for file in files):
        raise HubProblem("wrong", f"it {_unclear(listing, wanted)}", "see modal volume ls")
    config = configs.gathered({file.path for file in files}, _reader_of(sizes, open_))
    headers = read_headers_of(source, files, wanted, lambda file: open_(file.path))
    digest = hashlib.sha256(json.dumps([[f.path, f.size] for f in files]).encode())
    locked = Locked(digest.hexdigest()[:40], files, None, config)
    return Found(replace(locked, tensors=headers.tensors, gguf=headers.gguf), source)


def _reader_of(sizes: Mapping[str, int], open_: Callable[[str], Read]) -> Callable[[str], Any]:
    def read(path: str) -> Any:
        if sizes[path] > MAX_READ:
            return None
        try:
            return json.loads(open_(path)(0, sizes[path]))
        except (ValueError, RecursionError):
            return None  # the engine will say what is wrong with it

    return read


def _unclear(listing: list[RemoteFile], wanted: Iterable[Selection]) -> str:
    for selection in wanted:
        first = needed(listing, selection).first
        if not isinstance(first, str):
            return f"is not clear which file is meant: {first.reason}"
        if said := lacks([file.path for file in listing], selection):
            return said
    return "has nothing that an engine could read"
