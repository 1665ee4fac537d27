"""Is a safetensors file known by its header, and is one that no engine could load refused?"""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.resolved import RemoteFile, Selection
from modelctl.weights.headers import BrokenWeights, Headers, lacking, read_headers
from modelctl.weights.local import reader
from modelctl.weights.lock import Locked
from modelctl.weights.safetensors import FIRST, read_tensors
from modelctl.weights.shape import TensorRow
from modelctl.weights.tensors import BrokenFile, grouped
from tests.hub.models import make_llama
from tests.hub.sparse import QWEN3_8B, QWEN3_30B_A3B, make_checkpoint, size_of, tensors
from tests.weights.test_gguf import bounded
from tests.weights.test_gguf import file as gguf


def stored(header: object, data: int = 0) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


ONE = {"a.0.w": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}}


def refusal(content: bytes) -> str:
    with pytest.raises(BrokenFile) as problem:
        read_tensors(bounded(content), len(content))
    return str(problem.value)


def test_names_types_and_shapes_are_read_and_the_notes_are_not() -> None:
    content = stored({"__metadata__": {"format": "pt"}, **ONE}, 12)
    assert read_tensors(bounded(content), len(content)) == [("a.0.w", "BF16", (2, 3))]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is no safetensors file"),
        (b"<!doctype html><html>", "is no safetensors file"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
            "is a pointer of Git LFS, and the weights are not there",
        ),
        (stored(ONE, 11), "is cut: its header speaks of 90 bytes and it has 89"),
        (stored(ONE, 13), "has 91 bytes, of which its header knows 90"),
        (stored(ONE)[:30], "ends in the middle of its header, at 30 of 78 bytes"),
        (stored([1]), "is no safetensors file"),
        (stored({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 0]}}),
         "is no safetensors file"),
        (stored({"a": {"dtype": "F32", "shape": [1]}}), "is no safetensors file"),
        (struct.pack("<Q", 100_000) + b"[" * 100_000, "is no safetensors file"),
    ],
)  # fmt: skip
def test_what_no_engine_could_load(content: bytes, sentence: str) -> None:
    assert refusal(content) == sentence


@given(st.binary(max_size=300))
def test_no_content_is_too_strange(tail: bytes) -> None:
    for content in (tail, struct.pack("<Q", len(tail)) + tail):
        try:
            read_tensors(bounded(content), len(content))
        except BrokenFile as problem:
            assert str(problem)


def test_a_header_that_is_longer_than_the_first_read_is_read_on() -> None:
    many = {
        f"layers.{n}.w": {"dtype": "F32", "shape": [1], "data_offsets": [4 * n, 4 * n + 4]}
        for n in range(3000)
    }
    content = stored(many, 12_000)
    asked: list[tuple[int, int]] = []

    def read(start: int, end: int) -> bytes:
        asked.append((start, end))
        return content[start:end]

    assert grouped(read_tensors(read, len(content))) == (
        TensorRow("layers.*.w", "F32", (1,), 3000),
    )
    assert asked == [(0, FIRST), (FIRST, len(content) - 12_000)]


def read_folder(folder: Path, *wanted: Selection) -> Headers:
    files = [RemoteFile(f.name, f.stat().st_size) for f in sorted(folder.iterdir())]
    return read_headers(files, wanted, lambda file: reader(folder / file.path))


def test_rows_are_the_same_in_one_file_and_in_many(tmp_path: Path) -> None:
    one = make_checkpoint(tmp_path / "one", QWEN3_8B, tensors(QWEN3_8B))
    many = make_checkpoint(tmp_path / "many", QWEN3_8B, tensors(QWEN3_8B), shards=5)
    rows = read_folder(one, Selection()).tensors
    assert rows == read_folder(many, Selection()).tensors
    assert rows is not None
    assert [row.name for row in rows if row.count == 36] == [
        "model.layers.*.input_layernorm.weight",
        "model.layers.*.mlp.down_proj.weight",
        "model.layers.*.mlp.gate_proj.weight",
        "model.layers.*.mlp.up_proj.weight",
        "model.layers.*.post_attention_layernorm.weight",
        "model.layers.*.self_attn.k_norm.weight",
        "model.layers.*.self_attn.k_proj.weight",
        "model.layers.*.self_attn.o_proj.weight",
        "model.layers.*.self_attn.q_norm.weight",
        "model.layers.*.self_attn.q_proj.weight",
        "model.layers.*.self_attn.v_proj.weight",
    ]
    assert TensorRow("lm_head.weight", "BF16", (151936, 4096), 1) in rows
    assert size_of((r.name, r.dtype, r.shape) for r in rows for _ in range(r.count)) == (
        16_381_470_720
    )


def test_a_mixture_of_18000_tensors_is_a_few_rows(tmp_path: Path) -> None:
    config = QWEN3_30B_A3B
    folder = make_checkpoint(tmp_path, config, tensors(config, linear="F8_E4M3"), shards=3)
    rows = read_folder(folder, Selection()).tensors
    assert rows is not None
    assert len(rows) == 22
    assert (
        TensorRow("model.layers.*.mlp.experts.*.up_proj.weight", "F8_E4M3", (768, 2048), 6144)
        in rows
    )
    assert (
        TensorRow("model.layers.*.mlp.experts.*.up_proj.weight_scale_inv", "BF16", (6, 16), 6144)
        in rows
    )


def test_a_model_with_nothing_alike_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelctl.weights.tensors.MAX_ROWS", 2)
    with pytest.raises(BrokenFile, match="names 3 tensors that are not alike; no model is so"):
        grouped(("ab"[n % 2] * (n + 1), "F32", ()) for n in range(3))


def test_a_gguf_in_parts_has_the_tensors_of_all_and_the_keys_of_the_first(tmp_path: Path) -> None:
    for part in (1, 2):
        (tmp_path / f"m-0000{part}-of-00002.gguf").write_bytes(gguf())
    (tmp_path / "mmproj-f16.gguf").write_bytes(gguf()[:-1])
    wanted = Selection("gguf", "m*.gguf", "mmproj*")
    found = read_folder(tmp_path, wanted)
    assert found.tensors is None
    (first,) = found.gguf
    assert first == "m-00001-of-00002.gguf"
    assert found.gguf[first].header["llama.block_count"] == 30
    assert found.gguf[first].tensors == (
        TensorRow("blk.*.attn_norm.weight", "F32", (8,), 4),
        TensorRow("token_embd.weight", "Q4_K", (64, 3), 2),
    )


def test_the_file_that_is_broken_is_named(tmp_path: Path) -> None:
    make_llama(tmp_path, weights_in=2)
    shard = tmp_path / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(BrokenWeights, match=r"^model-00002-of-00002\.safetensors is cut: its head"):
        read_folder(tmp_path, Selection())
    with pytest.raises(BrokenWeights, match=r"^a\.gguf is no GGUF file: it does not begin with"):
        (tmp_path / "a.gguf").write_bytes(b"<html>")
        read_folder(tmp_path, Selection("gguf", "a.gguf"))


def test_only_headers_that_specs_mean_are_read_and_missed(tmp_path: Path) -> None:
    make_llama(tmp_path)
    (tmp_path / "m.gguf").write_bytes(gguf())
    assert read_folder(tmp_path, Selection("tokenizer"), Selection("adapter")) == Headers()
    files = tuple(RemoteFile(f.name, f.stat().st_size) for f in tmp_path.iterdir())
    bare = Locked("c" * 40, files)
    assert not lacking(bare, [Selection("tokenizer")])
    assert not lacking(Locked("c" * 40, (RemoteFile("pytorch_model.bin", 9),)), [Selection()])
    for wanted in (Selection(), Selection("draft"), Selection("gguf")):
        assert lacking(bare, [wanted])
        read = read_folder(tmp_path, wanted)
        assert not lacking(Locked("c" * 40, files, tensors=read.tensors, gguf=read.gguf), [wanted])
