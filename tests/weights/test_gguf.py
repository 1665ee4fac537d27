"""Is a GGUF header read, and does no file, however made, do harm?"""

from __future__ import annotations

import struct
from pathlib import Path

import gguf as theirs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl.facts.ggml import ggml_types
from modelctl.weights import gguf
from modelctl.weights.gguf import MAX_KEPT, Gguf, read_gguf
from modelctl.weights.local import reader
from modelctl.weights.tensors import BrokenFile, Read
from tests.examples import examples


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def array(kind: int, length: int, values: bytes) -> bytes:
    return struct.pack("<IQ", kind, length) + values


PAIRS = [
    pair("general.architecture", 8, text("llama")),
    pair("general.name", 8, text("Tiny")),
    pair("general.file_type", 4, struct.pack("<I", 15)),
    pair("llama.context_length", 4, struct.pack("<I", 8192)),
    pair("llama.block_count", 10, struct.pack("<Q", 30)),
    pair("llama.rope", 6, struct.pack("<f", 1.5)),
    pair("flag", 7, b"\x01"),
    pair("llama.attention.head_count_kv", 9, array(5, 3, struct.pack("<3i", 8, 8, 0))),
    pair("tokenizer.ggml.tokens", 9, array(8, 3, text("a") + text("bb") + text("c" * 9000))),
    pair("tokenizer.ggml.scores", 9, array(6, 3, bytes(12))),
    pair("nested", 9, array(9, 2, array(0, 2, b"ab") + array(0, 1, b"c"))),
]


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    sides = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + sides + struct.pack("<IQ", kind, offset)


TENSORS = [
    tensor("token_embd.weight", (64, 3), 12, 0),
    *(tensor(f"blk.{layer}.attn_norm.weight", (8,), 0, 160 + 32 * layer) for layer in range(2)),
]
DATA = 160 + 2 * 32


def file(
    pairs: list[bytes] = PAIRS,
    version: int = 3,
    tensors: list[bytes] = TENSORS,
    data: int | None = None,
) -> bytes:
    """A whole file; `data` is how many bytes come after its header."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(pairs))
    head += b"".join(pairs) + b"".join(tensors)
    aligned = head + bytes(-len(head) % 32)
    return aligned + bytes((DATA if tensors else 0) if data is None else data)


def parse(content: bytes, size: int | None = None) -> Gguf:
    whole = len(content) if size is None else size
    return read_gguf(lambda start, end: content[start:end], whole)


def read(content: bytes) -> str:
    try:
        parse(content)
    except BrokenFile as problem:
        return str(problem)
    return ""


def test_what_a_header_says() -> None:
    found = parse(file())
    header = found.header
    assert gguf.architecture(header) == "llama"
    assert gguf.text(header, "general.name") == "Tiny"
    assert gguf.quantization(header) == "Q4_K_M"
    assert gguf.context_length(header) == 8192
    assert gguf.layers(header) == 30
    assert gguf.vocabulary(header) == 3
    assert found.values["flag"] is True
    assert header == {
        "general.architecture": "llama",
        "general.name": "Tiny",
        "general.file_type": 15,
        "llama.context_length": 8192,
        "llama.block_count": 30,
        "llama.rope": 1.5,
        "llama.attention.head_count_kv": (8, 8, 0),
        "tokenizer.ggml.tokens": 3,
    }
    assert found.tensors == (
        ("token_embd.weight", "Q4_K", (64, 3)),
        ("blk.0.attn_norm.weight", "F32", (8,)),
        ("blk.1.attn_norm.weight", "F32", (8,)),
    )


def test_a_long_array_is_its_length() -> None:
    def heads(count: int) -> gguf.Value:
        array_ = pair("llama.heads", 9, array(4, count, struct.pack("<I", 2) * count))
        return parse(file([*PAIRS[:1], array_])).header["llama.heads"]

    assert heads(MAX_KEPT) == (2,) * MAX_KEPT
    assert heads(MAX_KEPT + 1) == MAX_KEPT + 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "does not begin with the letters GGUF"),
        (b"PK\x03\x04....", "does not begin with the letters GGUF"),
        (b"GGUF", "ends in the middle of its header"),
        (file()[:100], "ends in the middle of its header"),
        (file(version=1), "is GGUF version 1; versions 2 and 3 can be read"),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 0, 10**18),
            f"says that it has {10**18} keys; no real file has more than 100000",
        ),
        (
            b"GGUF" + struct.pack("<IQQ", 3, 10**18, 0),
            f"says that it has {10**18} tensors; no real file has more than 1000000",
        ),
        (file(tensors=[tensor("t", (1,) * 9, 0, 0)]), "has a tensor of 9 dimensions"),
        (
            file()[:-1],
            f"is cut: its header speaks of {len(file()):,} bytes and it has {len(file()) - 1:,}",
        ),
        (file([pair("k", 99, b"")]), "has a value of the unknown type 99"),
        (
            file([text("k") + struct.pack("<IQ", 8, 2**60)]),
            f"has a text of {2**60} bytes in its header",
        ),
        (file([pair("k", 9, array(4, 2**60, b""))]), "has an array that is too large to be real"),
        (
            file([pair("k", 9, array(9, 1, array(9, 1, array(9, 1, b""))))]),
            "has an array that is too large to be real",
        ),
        (
            file([pair("k", 9, array(8, 5, struct.pack("<Q", 2**62)))]),
            "ends in the middle of its header",
        ),
    ],
)
def test_what_is_no_gguf(content: bytes, sentence: str) -> None:
    assert read(content) == sentence


@given(st.binary(max_size=200), st.integers(0, len(file()) - 1), st.integers(0, 255))
@settings(max_examples=examples(300), deadline=None)
def test_no_file_does_harm(tail: bytes, position: int, byte: int) -> None:
    broken = bytearray(file())
    broken[position] = byte
    for content in (b"GGUF" + tail, bytes(broken)):
        try:
            read_gguf(bounded(content), len(content))
        except BrokenFile as problem:
            assert str(problem)


def bounded(content: bytes) -> Read:
    """Nothing is asked for beyond the end."""

    def part(start: int, end: int) -> bytes:
        assert 0 <= start <= end <= len(content)
        return content[start:end]

    return part


def test_the_place_where_a_read_ends_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = parse(file())
    for step in (1, 3, 17, 200):
        monkeypatch.setattr("modelctl.weights.gguf.FIRST", step)
        monkeypatch.setattr("modelctl.weights.gguf.MOST", step)
        assert parse(file()) == whole


@pytest.mark.full
def test_a_real_file_is_read_as_its_own_library_reads_it(gguf: Path) -> None:
    found = read_gguf(reader(gguf), gguf.stat().st_size)
    assert found.tensors == tuple(
        (tensor.name, tensor.tensor_type.name, tuple(int(side) for side in tensor.shape))
        for tensor in theirs.GGUFReader(gguf).tensors
    )
    assert found.values["tokenizer.ggml.tokens"] == 49152


@pytest.mark.parametrize("kind", sorted(theirs.GGML_QUANT_SIZES))
def test_every_type_of_the_library_is_known_with_its_size(
    kind: theirs.GGMLQuantizationType,
) -> None:
    known = ggml_types()[kind.name]
    assert (known.number, known.block, known.size) == (kind, *theirs.GGML_QUANT_SIZES[kind])
