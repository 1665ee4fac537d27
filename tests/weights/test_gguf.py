"""Is a GGUF header read, and does no file, however made, do harm?"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl.weights.gguf import ArrayLength, NotGguf, parse_header, read_header


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
    pair("tokenizer.ggml.tokens", 9, array(8, 3, text("a") + text("bb") + text("c" * 9000))),
    pair("tokenizer.ggml.scores", 9, array(6, 3, bytes(12))),
    pair("nested", 9, array(9, 2, array(0, 2, b"ab") + array(0, 1, b"c"))),
]


def file(pairs: list[bytes] = PAIRS, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, 7, len(pairs)) + b"".join(pairs)


def read(content: bytes) -> str:
    try:
        parse_header(io.BytesIO(content), size=len(content))
    except NotGguf as problem:
        return str(problem)
    return ""


def test_what_a_header_says() -> None:
    header = parse_header(io.BytesIO(file()), size=len(file()))
    assert header.tensors == 7
    assert header.architecture == "llama"
    assert header.name == "Tiny"
    assert header.quantization == "Q4_K_M"
    assert header.context_length == 8192
    assert header.layers == 30
    assert header.vocabulary == 3
    assert header.values["tokenizer.ggml.tokens"] == ArrayLength(3)
    assert header.values["flag"] is True


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
@settings(max_examples=300, deadline=None)
def test_no_file_does_harm(tail: bytes, position: int, byte: int) -> None:
    broken = bytearray(file())
    broken[position] = byte
    for content in (b"GGUF" + tail, bytes(broken)):
        stream = io.BytesIO(content + b"rest of the file" * 100)
        try:
            parse_header(stream, size=len(content))
        except NotGguf as problem:
            assert str(problem)
        assert stream.tell() <= len(content)


def test_a_file_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(file() + bytes(1000))
    assert read_header(path).architecture == "llama"


def test_what_comes_after_the_vocabulary_is_not_read() -> None:
    """A vocabulary is most of a header: where all else is known before it, reading stops."""
    known = file([*PAIRS[:5], pair("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 50_000))])
    stream = io.BytesIO(known)
    assert parse_header(stream, size=len(known)).vocabulary == 50_000
