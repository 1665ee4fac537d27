"""Which tensors has a checkpoint? Those that differ in a number of their name alone are one row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from modelctl.weights.shape import TensorRow

MAX_ROWS = 20_000

Tensor = tuple[str, str, tuple[int, ...]]
"""A name, the type as the file writes it, and the shape as the file has it."""

Read = Callable[[int, int], bytes]
"""The bytes of a file from one place up to another; fewer where the file ends before."""


class BrokenFile(Exception):
    """A file that no engine could load; the text goes on after its name: `ends in …`."""


class CutFile(BrokenFile):
    """It was that kind of file, and a part of it is missing."""


def grouped(tensors: Iterable[Tensor]) -> tuple[TensorRow, ...]:
    """The rows in order of name, type and shape. Raises BrokenFile where nothing is alike."""
    counted = Counter((_starred(name), dtype, shape) for name, dtype, shape in tensors)
    if len(counted) > MAX_ROWS:
        raise BrokenFile(f"names {len(counted):,} tensors that are not alike; no model is so")
    return tuple(
        TensorRow(name, dtype, shape, counted[name, dtype, shape])
        for name, dtype, shape in sorted(counted)
    )


def _starred(name: str) -> str:
    """`model.layers.11.mlp.experts.3.up_proj.weight` → `model.layers.*.mlp.experts.*.up_proj…`."""
    return ".".join("*" if part.isdecimal() else part for part in name.split("."))
