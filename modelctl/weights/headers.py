"""What do the headers of a source's weights say? Of the files that specs mean, several at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct, field

from modelctl.resolved import RemoteFile, Selection
from modelctl.weights import gguf, safetensors
from modelctl.weights.at_once import at_once
from modelctl.weights.lock import Locked, LockedGguf
from modelctl.weights.needed import needed
from modelctl.weights.shape import TensorRow
from modelctl.weights.tensors import BrokenFile, Read, Tensor, grouped

AT_ONCE = 8
_WITH_WEIGHTS = ("model", "draft")

Open = Callable[[RemoteFile], Read]


class BrokenWeights(Exception):
    """A file that a spec means and that no engine could load: `model.safetensors is cut: …`."""


class Headers(Struct, frozen=True):
    """The same as in the lock: `tensors` is None where there are no safetensors to read."""

    tensors: tuple[TensorRow, ...] | None = None
    gguf: Mapping[str, LockedGguf] = field(default_factory=dict)


class Meant(Struct, frozen=True):
    """Whose headers are wanted: safetensors, and GGUF models by the first file of each."""

    safetensors: tuple[RemoteFile, ...]
    gguf: Mapping[str, tuple[RemoteFile, ...]]


def meant(files: Sequence[RemoteFile], selections: Iterable[Selection]) -> Meant:
    """What the selections mean of a listing. Where it has weights twice, vLLM's choice is read."""
    weights: tuple[RemoteFile, ...] = ()
    models: dict[str, tuple[RemoteFile, ...]] = {}
    for wanted in sorted(selections, key=lambda selection: selection.key):
        found = needed(files, wanted)
        if wanted.purpose == "gguf" and isinstance(found.first, str):
            # Without the projector, which is a model of its own.
            models[found.first] = needed(files, Selection("gguf", wanted.file)).files
        elif wanted.purpose in _WITH_WEIGHTS and not weights:
            weights = tuple(
                file
                for file in found.files
                if file.path.endswith(".safetensors") and "/" not in file.path
            )
    return Meant(weights, models)


def lacking(locked: Locked, selections: Iterable[Selection]) -> bool:
    """Whether a lock was written without a header that this modelctl would have read."""
    wanted = meant(locked.files, selections)
    unread = bool(wanted.safetensors) and locked.tensors is None
    return unread or bool(wanted.gguf.keys() - locked.gguf.keys())


def read_headers(
    files: Sequence[RemoteFile], selections: Iterable[Selection], open_: Open
) -> Headers:
    """Read what is meant. Raises BrokenWeights, and whatever reading raises."""
    wanted = meant(files, selections)
    parts = [*wanted.safetensors, *(part for model in wanted.gguf.values() for part in model)]
    found = _read_all(parts, open_)
    tensors = [tensor for file in wanted.safetensors for tensor in _tensors(found[file])]
    return Headers(
        _grouped(wanted.safetensors[0].path, tensors) if wanted.safetensors else None,
        {first: _joined(first, model, found) for first, model in wanted.gguf.items()},
    )


def _read_all(
    parts: Sequence[RemoteFile], open_: Open
) -> dict[RemoteFile, gguf.Gguf | list[Tensor]]:
    if len(parts) < 2:
        return {file: _read(file, open_) for file in parts}
    return dict(zip(parts, at_once(lambda file: _read(file, open_), parts, AT_ONCE), strict=True))


def _read(file: RemoteFile, open_: Open) -> gguf.Gguf | list[Tensor]:
    try:
        if file.path.endswith(".safetensors"):
            return safetensors.read_tensors(open_(file), file.size)
        return gguf.read_gguf(open_(file), file.size)
    except BrokenFile as problem:
        raise BrokenWeights(f"{file.path} {_said(problem)}") from problem


def _said(problem: BrokenFile) -> str:
    """What is read of a file that calls itself GGUF is said of GGUF."""
    return f"is no GGUF file: it {problem}" if isinstance(problem, gguf.NotGguf) else str(problem)


def _tensors(found: gguf.Gguf | list[Tensor]) -> Sequence[Tensor]:
    return found.tensors if isinstance(found, gguf.Gguf) else found


def _grouped(path: str, tensors: Iterable[Tensor]) -> tuple[TensorRow, ...]:
    try:
        return grouped(tensors)
    except BrokenFile as problem:
        raise BrokenWeights(f"{path} {problem}") from problem


def _joined(
    first: str, parts: Sequence[RemoteFile], found: Mapping[RemoteFile, gguf.Gguf | list[Tensor]]
) -> LockedGguf:
    """A model in several files: the first has the keys, each has tensors of its own."""
    files = {file.path: found[file] for file in parts}
    head = files[first]
    assert isinstance(head, gguf.Gguf)
    tensors = [tensor for one in files.values() for tensor in _tensors(one)]
    return LockedGguf(head.header, _grouped(first, tensors))
