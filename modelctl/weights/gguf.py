"""What does the header of a GGUF file say? Read with bounds, so that no file can hurt the reader.

The layout is ggml's own (docs/gguf.md of ggml-org/ggml): magic, version, number of tensors, number
of key/values, then the key/values. Tensors are not read.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAGIC = b"GGUF"
MAX_PAIRS = 100_000
MAX_KEY_BYTES = 65_535
MAX_TEXT_BYTES = 8 * 2**20
MAX_ARRAY = 10_000_000
MAX_HEADER_BYTES = 512 * 2**20
MAX_NESTING = 2

_STRING, _ARRAY = 8, 9
_TOKENS = "tokenizer.ggml.tokens"
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

# llama.cpp's llama_ftype, as `general.file_type` has it.
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
}  # fmt: skip

Scalar = bool | int | float | str


class NotGguf(Exception):
    """The file cannot be read as GGUF; the text is the sentence that says why."""


@dataclass(frozen=True)
class ArrayLength:
    """An array is only counted: a vocabulary has 100,000 entries that nobody asks for."""

    length: int


@dataclass(frozen=True)
class GgufHeader:
    """The keys up to the vocabulary where that is enough, and all of them where it is not."""

    version: int
    tensors: int
    values: Mapping[str, Scalar | ArrayLength]

    def text(self, key: str) -> str | None:
        value = self.values.get(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> int | None:
        value = self.values.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def architecture(self) -> str | None:
        return self.text("general.architecture")

    @property
    def name(self) -> str | None:
        return self.text("general.name")

    @property
    def context_length(self) -> int | None:
        return self.number(f"{self.architecture}.context_length")

    @property
    def layers(self) -> int | None:
        return self.number(f"{self.architecture}.block_count")

    @property
    def vocabulary(self) -> int | None:
        tokens = self.values.get(_TOKENS)
        if isinstance(tokens, ArrayLength):
            return tokens.length
        return self.number(f"{self.architecture}.vocab_size")

    @property
    def quantization(self) -> str | None:
        file_type = self.number("general.file_type")
        return None if file_type is None else FILE_TYPES.get(file_type)


def read_header(path: Path) -> GgufHeader:
    """The header of the file at `path`. Raises NotGguf with a sentence, OSError from the disk."""
    with path.open("rb") as file:
        return parse_header(file, size=path.stat().st_size)


def parse_header(file: BinaryIO, *, size: int) -> GgufHeader:
    return _Reader(file, min(size, MAX_HEADER_BYTES)).header()


def _enough(values: Mapping[str, Scalar | ArrayLength]) -> bool:
    """Whether all that anybody asks for was read before the vocabulary, as most files have it."""
    architecture = values.get("general.architecture")
    wanted = (f"{architecture}.context_length", f"{architecture}.block_count", "general.file_type")
    return all(key in values for key in wanted)


class _Reader:
    """Takes from the file what was promised, and stops at the bound that is given."""

    def __init__(self, file: BinaryIO, bound: int) -> None:
        self._file = file
        self._left = bound

    def header(self) -> GgufHeader:
        if self._left < len(MAGIC) or self._take(len(MAGIC)) != MAGIC:
            raise NotGguf("does not begin with the letters GGUF")
        version = self._number(_U32)
        if version not in (2, 3):
            # A file of the other byte order has its version in the upper bytes.
            raise NotGguf(f"is GGUF version {version}; versions 2 and 3 can be read")
        tensors, pairs = self._number(_U64), self._number(_U64)
        if pairs > MAX_PAIRS:
            raise NotGguf(f"says that it has {pairs} keys; no real file has more than {MAX_PAIRS}")
        values: dict[str, Scalar | ArrayLength] = {}
        for _ in range(pairs):
            key = self._text(MAX_KEY_BYTES)
            kind = self._number(_U32)
            if key == _TOKENS and kind == _ARRAY:
                item, length = self._array_head(nesting=0)
                values[key] = ArrayLength(length)
                if _enough(values):
                    break
                self._skip_items(item, length, nesting=0)
            else:
                values[key] = self._value(kind, nesting=0)
        return GgufHeader(version, tensors, values)

    def _value(self, kind: int, *, nesting: int) -> Scalar | ArrayLength:
        if kind == _STRING:
            return self._text(MAX_TEXT_BYTES)
        if kind == _ARRAY:
            return self._array(nesting)
        scalar = _SCALARS.get(kind)
        if scalar is None:
            raise NotGguf(f"has a value of the unknown type {kind}")
        value: Scalar = scalar.unpack(self._take(scalar.size))[0]
        return value

    def _array(self, nesting: int) -> ArrayLength:
        item, length = self._array_head(nesting)
        self._skip_items(item, length, nesting)
        return ArrayLength(length)

    def _array_head(self, nesting: int) -> tuple[int, int]:
        item, length = self._number(_U32), self._number(_U64)
        if length > MAX_ARRAY or nesting >= MAX_NESTING:
            raise NotGguf("has an array that is too large to be real")
        return item, length

    def _skip_items(self, item: int, length: int, nesting: int) -> None:
        scalar = _SCALARS.get(item)
        if scalar is not None:
            self._skip(scalar.size * length)
            return
        for _ in range(length):
            if item == _STRING:
                self._skip(self._number(_U64))
            else:
                self._value(item, nesting=nesting + 1)

    def _number(self, packed: struct.Struct) -> int:
        value: int = packed.unpack(self._take(packed.size))[0]
        return value

    def _text(self, at_most: int) -> str:
        length = self._number(_U64)
        if length > at_most:
            raise NotGguf(f"has a text of {length} bytes in its header")
        return self._take(length).decode("utf-8", errors="replace")

    def _skip(self, count: int) -> None:
        self._spend(count)
        if count <= 4096:
            # Short runs are read: seeking would throw the buffer away, once a token.
            self._exactly(count)
        else:
            self._file.seek(count, 1)

    def _take(self, count: int) -> bytes:
        self._spend(count)
        return self._exactly(count)

    def _exactly(self, count: int) -> bytes:
        found = self._file.read(count)
        if len(found) != count:
            raise NotGguf("ends in the middle of its header")
        return found

    def _spend(self, count: int) -> None:
        if count > self._left:
            raise NotGguf("ends in the middle of its header")
        self._left -= count
