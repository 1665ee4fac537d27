"""What does PyTorch's allocator hand out for tensors of so many bytes? As rules and logs say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from benchmarks.fit_rows import row_of
from modelctl.fit.allocator import beyond, handed_out
from modelctl.fit.types import GIB
from modelctl.fit.weights import by_shape
from modelctl.resolved import Unknown

MIB = 2**20
LIMIT = 20 * MIB


@pytest.mark.parametrize(
    ("sizes", "all_divided", "large_ones_whole"),
    [
        ([1], 512, 512),
        ([MIB], MIB, MIB),
        ([6 * MIB] * 3, 18 * MIB, 18 * MIB),  # of one block of 20 MiB; the rest stays free
        ([9 * MIB + MIB // 2] * 2, 20 * MIB, 20 * MIB),  # and where it is 1 MiB, it is not
        ([11 * MIB], 12 * MIB, 12 * MIB),
        ([10 * MIB + MIB // 2], 10 * MIB + MIB // 2, 10 * MIB + MIB // 2),
        ([52 * MIB + MIB // 2], 52 * MIB + MIB // 2, 54 * MIB),
        ([52 * MIB + MIB // 2, MIB + MIB // 4], 54 * MIB, 55 * MIB + MIB // 4),
    ],
)
def test_blocks_and_what_is_left_of_them(
    sizes: list[int], all_divided: int, large_ones_whole: int
) -> None:
    assert handed_out(tuple(sizes), None) == all_divided
    assert handed_out(tuple(sizes), LIMIT) == large_ones_whole


@given(st.lists(st.integers(1, 64 * MIB), max_size=60), st.sampled_from([None, LIMIT]))
def test_each_tensor_has_its_bytes_and_at_most_a_step_more(
    sizes: list[int], split: int | None
) -> None:
    """A step is 2 MiB; a block of 20 MiB that smaller ones leave is never counted whole."""
    total = handed_out(tuple(sizes), split)
    assert sum(sizes) <= total <= sum(sizes) + len(sizes) * 2 * MIB


@pytest.mark.parametrize(
    ("version", "logged"),
    [
        # Of second.jsonl and third.jsonl: 28 layers of 7B, from 0.21 on with more left over.
        ("0.13.0", 14.2488),
        ("0.23.0", 14.29),
    ],
)
def test_a_version_that_divides_no_large_block_counts_more(version: str, logged: float) -> None:
    config = {
        "hidden_size": 3584,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "vocab_size": 152064,
        "qkv_bias": True,
    }
    row = row_of({"model": "Qwen2.5-7B", "config": config, "vllm_version": version})
    assert not isinstance(row.shape, Unknown)
    assert not isinstance(row.scheme, Unknown)
    exact = by_shape(row.shape, row.scheme, row.inputs).value
    more = beyond(row.shape, row.scheme, row.inputs)
    assert (exact + more) / GIB == pytest.approx(logged, abs=0.005)
    assert exact / GIB < logged - 0.04


def test_half_of_the_layers_leave_half_over() -> None:
    config = {
        "hidden_size": 2560,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "head_dim": 128,
        "num_key_value_heads": 8,
        "intermediate_size": 9728,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    }
    row = row_of({"model": "Qwen3-4B", "config": config, "vllm_version": "0.12.0"})
    assert not isinstance(row.shape, Unknown)
    assert not isinstance(row.scheme, Unknown)
    whole = beyond(row.shape, row.scheme, row.inputs)
    half = beyond(row.shape, row.scheme, replace(row.inputs, pipeline=2))
    assert whole == pytest.approx(36 * 3 * MIB / 2, rel=0.01)
    assert half == pytest.approx(whole / 2, rel=0.01)
