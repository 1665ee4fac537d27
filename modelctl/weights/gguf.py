"""What does the header of a GGUF file say? Read with bounds, so that no file can hurt the reader.

The layout is ggml's own (docs/gguf.md of ggml-org/ggml): magic, version, number of tensors, number
of key/values, the key/values, then a row a tensor; the data follows, and is not read.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping

from msgspec import Struct

from modelctl.facts import ggml
from modelctl.weights.shape import Header
from modelctl.weights.tensors import BrokenFile, CutFile, Read, Tensor

MAGIC = b"GGUF"
MAX_PAIRS = 100_000
MAX_KEY_BYTES = 65_535
MAX_TEXT_BYTES = 8 * 2**20
MAX_ARRAY = 10_000_000
MAX_HEADER_BYTES = 512 * 2**20
MAX_NESTING = 2
MAX_TENSORS = 1_000_000
MAX_SIDES = 8
MAX_KEPT = 1024
"""Entries of an array that are kept: one a layer is what memory follows from."""
MAX_KEPT_TEXT = 200
FIRST, MOST = 256 * 2**10, 4 * 2**20
"""Bytes that are read at once: more each time, because a vocabulary is most of a header."""

_STRING, _ARRAY = 8, 9
_SCALARS = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_U32, _U64 = _SCALARS[4], _SCALARS[10]
_WHOLE = {0, 1, 2, 3, 4, 5, 7, 10, 11}
_CUT = "ends in the middle of its header"
_ALIGNMENT = 32

# llama.cpp's llama_ftype, as `general.file_type` has it.
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip

Scalar = bool | int | float | str
Value = Scalar | tuple[int, ...]

TOKENS = "tokenizer.ggml.tokens"
_KEPT = {"general.architecture", "general.name", "general.type", "general.file_type", TOKENS}


class NotGguf(BrokenFile):
    """The file cannot be read as GGUF; the text is the sentence that says why."""


class Gguf(Struct, frozen=True):
    """The keys with their values, and the tensors in the file's order.

    An array of whole numbers that is about as long as there are layers is there in full. Of any
    other there is its length alone: a vocabulary has 100,000 entries that nobody asks for.
    """

    version: int
    values: Mapping[str, Value]
    tensors: tuple[Tensor, ...]

    @property
    def header(self) -> Header:
        """What memory follows from, and what the model is called."""
        architecture = f"{self.values.get('general.architecture')}."
        return {
            key: value
            for key, value in self.values.items()
            if (key.startswith(architecture) or key in _KEPT)
            and not (isinstance(value, str) and len(value) > MAX_KEPT_TEXT)
            and not (isinstance(value, float) and not math.isfinite(value))
        }


def text(header: Header, key: str) -> str | None:
    value = header.get(key)
    return value if isinstance(value, str) else None


def number(header: Header, key: str) -> int | None:
    value = header.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def architecture(header: Header) -> str | None:
    return text(header, "general.architecture")


def context_length(header: Header) -> int | None:
    return number(header, f"{architecture(header)}.context_length")


def layers(header: Header) -> int | None:
    return number(header, f"{architecture(header)}.block_count")


def vocabulary(header: Header) -> int | None:
    tokens = number(header, TOKENS)
    return number(header, f"{architecture(header)}.vocab_size") if tokens is None else tokens


def quantization(header: Header) -> str | None:
    file_type = number(header, "general.file_type")
    return None if file_type is None else FILE_TYPES.get(file_type)


def read_gguf(read: Read, size: int) -> Gguf:
    """The header of a file of `size` bytes. Raises NotGguf, or CutFile where data is missing."""
    reader = _Reader(read, min(size, MAX_HEADER_BYTES))
    found = reader.file()
    end = _end_of_data(found, reader.place)
    if end > size:
        raise CutFile(f"is cut: its header speaks of {end:,} bytes and it has {size:,}")
    return Gguf(found.version, found.values, tuple(tensor for tensor, _ in found.tensors))


class _Raw(Struct, frozen=True):
    version: int
    values: Mapping[str, Value]
    tensors: list[tuple[Tensor, int]]
    """Each with the place where its data begins, after the header."""


def _end_of_data(found: _Raw, place: int) -> int:
    said = found.values.get("general.alignment")
    alignment = said if isinstance(said, int) and 0 < said <= 2**20 else _ALIGNMENT
    data = -(-place // alignment) * alignment
    types = ggml.ggml_types()
    ends = [
        data + offset + types[kind].bytes_of(math.prod(shape))
        for (_, kind, shape), offset in found.tensors
        if kind in types
    ]
    return max(ends, default=place)


class _Reader:
    """Takes from the file what was promised, and stops at the bound that is given."""

    def __init__(self, read: Read, bound: int) -> None:
        self._read = read
        self._bound = bound
        self._buffer = b""
        self._begin = 0
        self._at = 0
        self._step = FIRST

    @property
    def place(self) -> int:
        """How far into the file it is."""
        return self._begin + self._at

    def file(self) -> _Raw:
        if self._bound < len(MAGIC) or self._take(len(MAGIC)) != MAGIC:
            raise NotGguf("does not begin with the letters GGUF")
        version = self._number(_U32)
        if version not in (2, 3):
            # A file of the other byte order has its version in the upper bytes.
            raise NotGguf(f"is GGUF version {version}; versions 2 and 3 can be read")
        tensors, pairs = self._number(_U64), self._number(_U64)
        if pairs > MAX_PAIRS:
            raise NotGguf(f"says that it has {pairs} keys; no real file has more than {MAX_PAIRS}")
        if tensors > MAX_TENSORS:
            raise NotGguf(
                f"says that it has {tensors} tensors; no real file has more than {MAX_TENSORS}"
            )
        values: dict[str, Value] = {}
        for _ in range(pairs):
            key = self._text(MAX_KEY_BYTES)
            kind = self._number(_U32)
            values[key] = self._value(kind, nesting=0)
        return _Raw(version, values, [self._tensor() for _ in range(tensors)])

    def _tensor(self) -> tuple[Tensor, int]:
        name, sides = self._text(MAX_KEY_BYTES), self._number(_U32)
        if sides > MAX_SIDES:
            raise NotGguf(f"has a tensor of {sides} dimensions")
        shape = tuple(self._number(_U64) for _ in range(sides))
        kind, offset = self._number(_U32), self._number(_U64)
        known = ggml.numbered().get(kind)
        return (name, known.name if known else f"TYPE_{kind}", shape), offset

    def _value(self, kind: int, *, nesting: int) -> Value:
        if kind == _STRING:
            return self._text(MAX_TEXT_BYTES)
        if kind == _ARRAY:
            return self._array(nesting)
        scalar = _SCALARS.get(kind)
        if scalar is None:
            raise NotGguf(f"has a value of the unknown type {kind}")
        value: Scalar = scalar.unpack(self._take(scalar.size))[0]
        return value

    def _array(self, nesting: int) -> Value:
        """Its numbers, or how many entries it has."""
        item, length = self._number(_U32), self._number(_U64)
        if length > MAX_ARRAY or nesting >= MAX_NESTING:
            raise NotGguf("has an array that is too large to be real")
        scalar = _SCALARS.get(item)
        if item in _WHOLE and scalar is not None and length <= MAX_KEPT:
            return tuple(int(n) for (n,) in scalar.iter_unpack(self._take(scalar.size * length)))
        if scalar is not None:
            self._skip(scalar.size * length)
        elif item == _STRING:
            self._skip_texts(length)
        else:
            for _ in range(length):
                self._value(item, nesting=nesting + 1)
        return length

    def _skip_texts(self, count: int) -> None:
        """Over a vocabulary, as far as the buffer goes in one go."""
        unpack, head = _U64.unpack_from, _U64.size
        while count:
            at, buffer = self._at, self._buffer
            last = len(buffer) - head
            while count and at <= last:
                after = at + head + unpack(buffer, at)[0]
                if after > len(buffer):
                    break
                at = after
                count -= 1
            self._at = at
            if count:
                self._skip(self._number(_U64))
                count -= 1

    def _number(self, packed: struct.Struct) -> int:
        value: int = packed.unpack(self._take(packed.size))[0]
        return value

    def _text(self, at_most: int) -> str:
        length = self._number(_U64)
        if length > at_most:
            raise NotGguf(f"has a text of {length} bytes in its header")
        return self._take(length).decode("utf-8", errors="replace")

    def _skip(self, count: int) -> None:
        if self.place + count > self._bound:
            raise CutFile(_CUT)
        if self._at + count <= len(self._buffer):
            self._at += count
        else:
            self._begin, self._buffer, self._at = self.place + count, b"", 0

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > len(self._buffer):
            self._fill(count)
            end = count
        found = self._buffer[self._at : end]
        self._at = end
        return found

    def _fill(self, count: int) -> None:
        """Read on, so that the next `count` bytes are in the buffer, which begins with them."""
        if self.place + count > self._bound:
            raise CutFile(_CUT)
        have = self._buffer[self._at :]
        start = self._begin + len(self._buffer)
        end = min(self._bound, max(start + self._step, self.place + count))
        self._begin, self._at = self.place, 0
        self._buffer = have + self._read(start, end)
        self._step = min(2 * self._step, MOST)
        if len(self._buffer) < count:
            raise CutFile(_CUT)
