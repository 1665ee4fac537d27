"""Which tensors are in a safetensors file? Its header says so, and whether the file is whole.

The layout is the library's own: eight bytes with the header's length, the header as JSON, the data.
The library refuses a file that does not end where its last tensor does.
"""

from __future__ import annotations

import json
from typing import Any

from modelctl.weights.tensors import BrokenFile, CutFile, Read, Tensor

FIRST = 128 * 2**10
"""What is read at once: most headers are smaller."""
MAX_HEADER = 100_000_000
"""Bytes; the library takes no more (safetensors 0.6: MAX_HEADER_SIZE)."""
_LENGTH = 8
_POINTER = b"version https://git-lfs"


def read_tensors(read: Read, size: int) -> list[Tensor]:
    """The tensors of a file of `size` bytes. Raises BrokenFile with the sentence's end."""
    first = read(0, min(size, FIRST))
    if first.startswith(_POINTER):
        raise BrokenFile("is a pointer of Git LFS, and the weights are not there")
    length = int.from_bytes(first[:_LENGTH], "little")
    if len(first) < _LENGTH or not 2 <= length <= MAX_HEADER:
        raise BrokenFile("is no safetensors file")
    end = _LENGTH + length
    if end > size:
        raise CutFile(f"ends in the middle of its header, at {size:,} of {end:,} bytes")
    if end > len(first):
        first += read(len(first), end)
    if len(first) < end:
        raise CutFile(f"ends in the middle of its header, at {len(first):,} of {end:,} bytes")
    tensors, data = _parsed(first[_LENGTH:end])
    if end + data > size:
        raise CutFile(f"is cut: its header speaks of {end + data:,} bytes and it has {size:,}")
    if end + data < size:
        raise BrokenFile(f"has {size:,} bytes, of which its header knows {end + data:,}")
    return tensors


def _parsed(text: bytes) -> tuple[list[Tensor], int]:
    """The tensors, and where the data of the last one ends."""
    try:
        header = json.loads(text)
        if not isinstance(header, dict):
            raise TypeError
        header.pop("__metadata__", None)
        found = [_tensor(name, entry) for name, entry in header.items()]
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise BrokenFile("is no safetensors file") from problem
    return [tensor for tensor, _ in found], max((end for _, end in found), default=0)


def _tensor(name: str, entry: Any) -> tuple[Tensor, int]:
    dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    if not isinstance(dtype, str) or not whole or begin > end:
        raise ValueError
    return (name, dtype, tuple(shape)), end
