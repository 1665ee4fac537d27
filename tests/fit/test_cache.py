"""The KV cache of models that people deploy, by hand: layers into groups, groups into blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modelctl.fit.cache import CacheLayout, cache_of
from modelctl.fit.types import GIB, Draft, VllmInputs
from modelctl.resolved import Unknown
from modelctl.weights.shape import Latent, Shape, State

MODEL = Shape(
    hidden=4096,
    vocabulary=151936,
    layers=("full",) * 36,
    heads=32,
    kv_heads=8,
    head_dim=128,
    value_dim=128,
    intermediate=12288,
    tied=False,
)
RUN = VllmInputs(version=(0, 32), context=8192, batched_tokens=8192)

QWEN3_8B = MODEL
GEMMA_3_12B = replace(
    MODEL,
    layers=(("sliding",) * 5 + ("full",)) * 8,
    heads=16,
    head_dim=256,
    value_dim=256,
    window=1024,
)
GEMMA_3_4B = replace(
    GEMMA_3_12B, layers=((("sliding",) * 5 + ("full",)) * 6)[:34], heads=8, kv_heads=4
)
GPT_OSS_20B = replace(
    MODEL, layers=("sliding", "full") * 12, heads=64, head_dim=64, value_dim=64, window=128
)
LLAMA_4_SCOUT = replace(
    MODEL, layers=(("chunked",) * 3 + ("full",)) * 12, heads=40, kv_heads=8, chunk=8192
)
DEEPSEEK_R1 = replace(
    MODEL,
    layers=("full",) * 61,
    heads=128,
    kv_heads=128,
    latent=Latent(rank=512, rope=64, nope=128, value=128, query_rank=1536),
)
QWEN3_NEXT = replace(
    MODEL,
    layers=(("state",) * 3 + ("full",)) * 12,
    heads=16,
    kv_heads=2,
    head_dim=256,
    value_dim=256,
    state=State(channels=8192, kernel=4, heads=32, rows=128, columns=128, kind="delta"),
)
GRANITE_4_SMALL = replace(
    MODEL,
    layers=(("state",) * 9 + ("full",)) * 4,
    state=State(channels=8448, kernel=4, heads=128, rows=64, columns=128),
)
JAMBA_MINI = replace(
    MODEL,
    layers=(("state",) * 4 + ("full",) + ("state",) * 3) * 4,
    state=State(channels=8192, kernel=4, heads=8192, rows=1, columns=16, kind="mamba"),
)


def layout(shape: Shape, inputs: VllmInputs = RUN) -> CacheLayout:
    found = cache_of(shape, inputs)
    assert isinstance(found, CacheLayout)
    return found


def kinds(found: CacheLayout) -> list[tuple[str, int]]:
    """The groups as (kind, tokens of a block)."""
    return [(group.kind, group.block) for group in found.groups]


def test_a_plain_model_has_one_group_and_takes_the_same_for_each_token() -> None:
    found = layout(QWEN3_8B)
    assert kinds(found) == [("full", 16)]
    assert found.block_bytes == 16 * 144 * 1024
    assert found.bytes_for(40960) == 5.625 * GIB


def test_tensor_parallel_divides_kv_heads_until_each_gpu_has_one() -> None:
    pages = [layout(QWEN3_8B, replace(RUN, tensor=tensor)).block_bytes for tensor in (1, 2, 8, 16)]
    assert pages == [16 * 147456, 16 * 73728, 16 * 18432, 16 * 18432]


def test_the_fullest_pipeline_stage_says_how_many_blocks_there_are() -> None:
    # 36 layers over 5 stages: 7, 7, 7, 8, 7.
    assert layout(QWEN3_8B, replace(RUN, pipeline=5)).block_bytes == 8 * 16 * 4096


@pytest.mark.parametrize(
    ("kv_dtype", "of_a_token"),
    [
        ("auto", 8 * 2 * 128 * 2),
        ("fp8", 8 * 2 * 128),
        ("fp8_e5m2", 8 * 2 * 128),
        ("int8_per_token_head", 8 * 2 * (128 + 4)),
        ("int4_per_token_head", 8 * 2 * (64 + 4)),
        ("nvfp4", 8 * 2 * (64 + 8)),
    ],
)
def test_the_type_of_the_cache_says_what_a_token_takes(kv_dtype: str, of_a_token: int) -> None:
    found = layout(QWEN3_8B, replace(RUN, kv_dtype=kv_dtype))
    assert found.block_bytes == 36 * 16 * of_a_token


def test_a_type_that_no_table_has_is_unknown() -> None:
    assert cache_of(QWEN3_8B, replace(RUN, kv_dtype="turboquant_3bit_nc")) == Unknown(
        "how turboquant_3bit_nc lies in the KV cache is not known"
    )


def test_sliding_layers_are_cut_into_groups_as_large_as_that_of_the_full_ones() -> None:
    found = layout(GEMMA_3_12B)
    assert kinds(found) == [("sliding", 16)] * 5 + [("full", 16)]
    assert found.block_bytes == 8 * 131072


def test_what_a_window_holds_is_the_window_and_what_is_in_flight() -> None:
    found = layout(GEMMA_3_12B, replace(RUN, batched_tokens=2048))
    # Two batches of 2048 in flight: (1023 + 4096 + 15) // 16 + 1 blocks for each sliding group.
    assert found.blocks_for(131072) == 8192 + 5 * 321


def test_a_short_context_fills_no_window() -> None:
    assert layout(GEMMA_3_12B).blocks_for(8192) == 512 + 5 * 513


def test_a_last_group_may_have_places_to_spare() -> None:
    # 29 sliding layers in groups of 5: six of them.
    assert kinds(layout(GEMMA_3_4B)) == [("sliding", 16)] * 6 + [("full", 16)]


@pytest.mark.parametrize(
    ("shape", "gib", "tokens", "concurrency"),
    [(GEMMA_3_12B, 47.72, 130304, 15.88), (GEMMA_3_4B, 62.51, 468144, 57.05)],
)
def test_up_to_0_19_a_hybrid_logs_fewer_tokens_than_it_holds(
    shape: Shape, gib: float, tokens: int, concurrency: float
) -> None:
    """Logged by vLLM 0.19.0 on an H100, for 8,192 tokens; GiB are rounded to two places."""
    fit = layout(shape, replace(RUN, version=(0, 19))).fit(gib * GIB, 8192)
    assert fit.logged_tokens((0, 19)) == pytest.approx(tokens, rel=1e-4)
    assert fit.concurrency == pytest.approx(concurrency, rel=4e-4)
    assert fit.logged_tokens((0, 32)) == fit.tokens == int(fit.concurrency * 8192)


def test_gpt_oss_has_two_groups_of_twelve() -> None:
    found = layout(GPT_OSS_20B)
    assert kinds(found) == [("sliding", 16), ("full", 16)]
    assert found.block_bytes == 12 * 16 * 2048


def test_a_draft_of_one_layer_pads_both_groups_instead_of_cutting_one() -> None:
    found = layout(GPT_OSS_20B, replace(RUN, draft=Draft("eagle3", tokens=3, layers=1)))
    assert kinds(found) == [("sliding", 16), ("full", 16)]
    assert found.block_bytes == 13 * 16 * 2048


def test_chunked_layers_hold_a_chunk_and_what_is_in_flight() -> None:
    found = layout(LLAMA_4_SCOUT, replace(RUN, tensor=8))
    assert kinds(found) == [("chunked", 16)] * 3 + [("full", 16)]
    assert found.block_bytes == 12 * 16 * 512
    assert found.blocks_for(131072) == 8192 + 3 * (8192 + 2 * 8192) // 16


def test_without_the_hybrid_manager_all_layers_keep_everything() -> None:
    found = layout(LLAMA_4_SCOUT, replace(RUN, hybrid_cache=False))
    assert kinds(found) == [("full", 16)]
    assert found.block_bytes == 48 * 16 * 4096


def test_latents_are_whole_on_every_gpu() -> None:
    for tensor in (1, 8, 16):
        found = layout(DEEPSEEK_R1, replace(RUN, tensor=tensor))
        assert kinds(found) == [("latent", 64)]
        assert found.block_bytes == 61 * 64 * 576 * 2


def test_blocks_grow_until_one_holds_a_state() -> None:
    found = layout(QWEN3_NEXT)
    # 8192 channels times 3, and 32 matrices of 128 by 128: 1,097,728 bytes in blocks of 2,048 a
    # token.
    assert kinds(found) == [("state", 544)] * 3 + [("full", 544)]
    assert found.block_bytes == 12 * 544 * 2048
    assert found.blocks_for(262144) == 482 + 3 * 2


def test_a_granite_hybrid_keeps_a_third_state_with_prefix_caching() -> None:
    found = layout(GRANITE_4_SMALL)
    assert kinds(found) == [("state", 528)] * 9 + [("full", 528)]
    assert found.blocks_for(131072) == 249 + 9 * 3
    plain = layout(GRANITE_4_SMALL, replace(RUN, prefix_caching=False))
    assert plain.blocks_for(131072) == 249 + 9


def test_a_jamba_has_small_states() -> None:
    found = layout(JAMBA_MINI)
    assert kinds(found) == [("state", 80)] * 7 + [("full", 80)]
    assert found.block_bytes == 4 * 80 * 4096


def test_the_largest_context_is_the_last_that_the_engine_would_start_with() -> None:
    for shape in (QWEN3_8B, GEMMA_3_12B, QWEN3_NEXT):
        found = layout(shape)
        longest = found.largest_context(8 * GIB)
        assert found.least_for(longest) <= 8 * GIB < found.least_for(longest + 1)
    assert layout(QWEN3_8B).largest_context(8 * GIB, at_most=40960) == 40960
    assert layout(QWEN3_8B).largest_context(0) == 0


def test_what_keeps_nothing_needs_nothing() -> None:
    found = layout(replace(MODEL, layers=("none",) * 24))
    assert found.bytes_for(512) == 0
    assert found.fit(GIB, 512).concurrency == float("inf")
    assert found.largest_context(0, at_most=512) == 512


@pytest.mark.parametrize(
    ("shape", "inputs", "reason"),
    [
        (replace(GEMMA_3_12B, window=None), RUN, "its layers slide, and the window is not known"),
        (
            replace(QWEN3_NEXT, state=None),
            RUN,
            "its layers keep a state, and how large it is is not known",
        ),
        (QWEN3_NEXT, replace(RUN, tensor=3), "32 state heads do not divide by 3 GPUs"),
        (QWEN3_8B, replace(RUN, pipeline=37), "36 layers do not make 37 stages"),
    ],
)
def test_what_is_missing_is_said(shape: Shape, inputs: VllmInputs, reason: str) -> None:
    assert cache_of(shape, inputs) == Unknown(reason)
