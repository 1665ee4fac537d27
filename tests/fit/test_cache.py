"""The KV cache of models that people deploy, by hand: layers into groups, groups into blocks."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from modelctl.fit.cache import CacheLayout, cache_of, states_of
from modelctl.fit.cache_layers import stages
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


def test_the_token_at_hand_is_in_the_window() -> None:
    found = layout(replace(GEMMA_3_12B, window=1025), replace(RUN, batched_tokens=2048))
    # 1024 before it and 4096 in flight: 320 whole blocks, and one for where the window begins.
    assert found.blocks_for(131072) == 8192 + 5 * 321


def test_a_short_context_fills_no_window() -> None:
    assert layout(GEMMA_3_12B).blocks_for(8192) == 512 + 5 * 513


def test_a_last_group_may_have_places_to_spare() -> None:
    # 29 sliding layers in groups of 5: six of them.
    assert kinds(layout(GEMMA_3_4B)) == [("sliding", 16)] * 6 + [("full", 16)]


KIMI_VL = replace(DEEPSEEK_R1, layers=("full",) * 27)
QWEN_3_5_4B = replace(
    QWEN3_NEXT,
    layers=(("state",) * 3 + ("full",)) * 8,
    kv_heads=4,
    state=State(8192, 4, 32, 128, 128, kind="delta", width=4),
)
GEMMA_2_9B = replace(GEMMA_3_12B, layers=("sliding", "full") * 21, window=4096)


@pytest.mark.parametrize(
    ("shape", "run", "gib", "tokens", "concurrency"),
    [
        (GEMMA_3_12B, {}, 47.72, 130304, 15.88),
        (GEMMA_3_4B, {}, 62.51, 468144, 57.05),
        (GEMMA_2_9B, {}, 54.12, 168880, 20.6),
        (LLAMA_4_SCOUT, {"tensor": 4}, 16.75, 365968, 44.68),
        (GPT_OSS_20B, {"tensor": 2}, 59.32, 2591776, 316.07),
        (GPT_OSS_20B, {"tensor": 4}, 66.57, 5817056, 709.4),
        (KIMI_VL, {}, 41.32, 1426368, 174.12),
        (KIMI_VL, {"tensor": 2}, 54.78, 1890896, 230.82),
        (
            QWEN_3_5_4B,
            {"version": (0, 29), "context": 32768, "batched_tokens": 2048},
            9.1,
            267842,
            8.17,
        ),
    ],
)
def test_what_real_engines_logged(
    shape: Shape, run: dict[str, Any], gib: float, tokens: int, concurrency: float
) -> None:
    """By vLLM 0.19.0 on H100s for 8,192 tokens, but for the last; GiB are rounded to 0.01."""
    inputs = replace(RUN, **{"version": (0, 19), **run})
    fit = layout(shape, inputs).fit(gib * GIB, inputs.context)
    assert fit.logged_tokens(inputs.version) == pytest.approx(tokens, rel=0.003 / gib + 1e-3)
    assert fit.concurrency == pytest.approx(concurrency, rel=0.006 / gib + 1e-3)


def test_up_to_0_20_a_hybrid_logs_fewer_tokens_than_it_holds() -> None:
    found = layout(GEMMA_3_12B)
    fit = found.fit(48 * GIB, 131072)
    assert fit.logged_tokens((0, 20)) == 48 * 1024 // 6 * 16
    assert fit.logged_tokens((0, 21)) == fit.tokens == int(fit.concurrency * 131072) == 472424


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
        assert kinds(found) == [("latent", 16)]
        assert found.block_bytes == 61 * 16 * 576 * 2


def test_blocks_grow_until_one_holds_a_state() -> None:
    found = layout(QWEN3_NEXT)
    # 8192 channels times 3, and 32 matrices of 128 by 128: 1,097,728 bytes in blocks of 2,048 a
    # token.
    assert kinds(found) == [("state", 544)] * 3 + [("full", 544)]
    assert found.block_bytes == 12 * 544 * 2048
    assert found.blocks_for(262144) == 482 + 3 * 2


@pytest.mark.parametrize(("version", "told", "prefixes"), [
    ((0, 25), None, False), ((0, 25), True, True), ((0, 32), None, True), ((0, 32), False, False),
])  # fmt: skip
def test_a_hybrid_caches_prefixes_where_its_version_does_or_is_told_to(
    version: tuple[int, int], told: bool | None, prefixes: bool
) -> None:
    found = layout(QWEN3_NEXT, replace(RUN, version=version, prefix_caching=told))
    (states,) = {group.states for group in found.groups if group.kind == "state"}
    assert states == (2 if prefixes else 1)


def test_mamba_with_prefixes_kept_the_state_of_every_block_up_to_0_27() -> None:
    every = layout(GRANITE_4_SMALL, replace(RUN, version=(0, 27)))
    state, full = (next(g for g in every.groups if g.kind == k) for k in ("state", "full"))
    assert state.blocks_for(8192, 0) == full.blocks_for(8192, 0) > 3
    later = layout(GRANITE_4_SMALL, replace(RUN, version=(0, 28)))
    assert next(g for g in later.groups if g.kind == "state").blocks_for(8192, 0) == 2


def test_before_0_10_a_window_kept_everything() -> None:
    """Gemma 3 27B on eight T4, vLLM 0.8.2: 65,552 tokens of 3.88 GiB."""
    old = layout(GEMMA_3_12B, replace(RUN, version=(0, 9)))
    assert [group.kind for group in old.groups] == ["full"]
    assert len(layout(GEMMA_3_12B, replace(RUN, version=(0, 10))).groups) > 1


def test_a_granite_hybrid_keeps_a_third_state_with_prefix_caching() -> None:
    found = layout(GRANITE_4_SMALL)
    assert kinds(found) == [("state", 528)] * 9 + [("full", 528)]
    assert found.blocks_for(131072) == 249 + 9 * 3
    plain = layout(GRANITE_4_SMALL, replace(RUN, prefix_caching=False))
    assert plain.blocks_for(131072) == 249 + 9


def test_each_sequence_has_a_block_for_its_states_where_whole_steps_are_captured() -> None:
    found, run = layout(QWEN3_NEXT), replace(RUN, version=(0, 19), sequences=256)
    assert found.least_for_states(256) == 256 * found.block_bytes
    assert layout(QWEN3_8B).least_for_states(256) == 0
    assert states_of(run) == 256
    off: tuple[dict[str, Any], ...] = (
        {"eager": True},
        {"whole_graphs": False},
        {"task": "embed"},
        {"version": (0, 18)},
    )
    for without in off:
        assert states_of(replace(run, **without)) == 0


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


GEMMA_4 = replace(GEMMA_3_12B, kv_heads=16, full_kv_heads=4, full_head_dim=512)
FALCON_H1 = replace(
    MODEL, layers=("both",) * 44, kv_heads=2, state=State(4096 + 2 * 256, 4, 32, 128, 256)
)
LFM_2 = replace(
    MODEL,
    layers=(("state",) * 2 + ("full",)) * 8,
    head_dim=64,
    value_dim=64,
    state=State(channels=2048, kernel=3, heads=0, rows=0, columns=0, kind="convolution"),
)
KIMI_LINEAR = replace(
    DEEPSEEK_R1,
    layers=(("state",) * 3 + ("full",)) * 6,
    state=State(
        channels=3 * 4096, kernel=4, heads=32, rows=128, columns=128, kind="delta", width=4
    ),
)
MAMBA_2 = replace(MODEL, layers=("state",) * 64, state=GRANITE_4_SMALL.state)


def test_full_layers_with_heads_of_their_own_hold_more_tokens_in_a_block() -> None:
    # 16 KiB a token in a sliding layer, 8 KiB in a full one.
    found = layout(GEMMA_4)
    assert kinds(found) == [("sliding", 16)] * 5 + [("full", 32)]
    assert found.block_bytes == 8 * 16 * 16384


def test_a_layer_with_attention_and_a_state_is_in_two_groups() -> None:
    found = layout(FALCON_H1)
    # 4608 channels times 3, and 32 matrices of 128 by 256: 2,124,800 bytes, 1,024 a token.
    assert kinds(found) == [("full", 2080), ("state", 2080)]
    assert found.block_bytes == 44 * 2080 * 1024


def test_a_short_convolution_fits_into_the_usual_block() -> None:
    found = layout(LFM_2)
    assert kinds(found) == [("state", 16)] * 2 + [("full", 16)]
    assert found.block_bytes == 8 * 16 * 2048


def test_latents_beside_states_come_in_blocks_of_128() -> None:
    # 12,288 channels times 3, and 32 matrices of 128 by 128 in 32 bit: 2,170,880 bytes, 1,152 a
    # token: 1,885 tokens.
    found = layout(KIMI_LINEAR)
    assert kinds(found) == [("state", 1920)] * 3 + [("latent", 1920)]
    assert found.block_bytes == 6 * 1920 * 1152


def test_what_is_left_over_goes_to_the_middle_stages() -> None:
    assert stages(7, 3) == (0, 0, 1, 1, 1, 2, 2)
    assert stages(11, 4) == (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3)


def test_a_model_without_attention_keeps_one_state_of_its_own_size() -> None:
    found = layout(MAMBA_2)
    assert found.block_bytes == 64 * (8448 * 3 * 2 + 128 * 64 * 128 * 2)
    assert found.blocks_for(1) == found.blocks_for(1_000_000) == 1


def test_a_state_is_shared_by_gpus_and_its_groups_are_copied() -> None:
    found = layout(MAMBA_2, replace(RUN, tensor=4))
    # One group of 2 * 128 channels becomes four.
    assert found.block_bytes == 64 * ((8192 + 4 * 256) // 4 * 3 * 2 + 32 * 64 * 128 * 2)


def test_a_state_may_be_wider_than_the_model() -> None:
    usual = layout(MAMBA_2).block_bytes
    told = layout(MAMBA_2, replace(RUN, state_dtype="float32")).block_bytes
    assert told - usual == 64 * 128 * 64 * 128 * 2


def test_a_draft_keeps_a_longer_convolution_and_a_state_for_each_guess() -> None:
    found = layout(QWEN3_NEXT, replace(RUN, draft=Draft("mtp", tokens=2, layers=1)))
    # 13 full layers and 36 with a state.
    assert kinds(found) == [("state", 560)] * 3 + [("full", 560)]
    assert found.block_bytes == 13 * 560 * 2048
    assert found.blocks_for(262144) == 469 + 3 * 4


def test_a_draft_with_heads_of_its_own_is_in_the_one_group_of_a_plain_model() -> None:
    shape = replace(MODEL, layers=("full",), kv_heads=2)
    found = layout(QWEN3_8B, replace(RUN, draft=Draft("draft_model", 4, layers=1, shape=shape)))
    assert kinds(found) == [("full", 16)]
    assert found.block_bytes == 36 * 65536 + 16384


@pytest.mark.parametrize(
    ("run", "batches"),
    [
        ({}, 2),
        ({"version": (0, 25)}, 1),
        ({"pipeline": 2}, 3),
        ({"async_scheduling": False}, 1),
        ({"task": "embed"}, 1),
        ({"draft": Draft("eagle3", 3, layers=1)}, 2),
        ({"draft": Draft("ngram", 3)}, 1),
    ],
)
def test_how_many_batches_a_window_has_to_bear(run: dict[str, Any], batches: int) -> None:
    assert layout(GEMMA_3_12B, replace(RUN, **run)).in_flight == batches * 8192


def test_what_versions_do_otherwise() -> None:
    early = replace(RUN, version=(0, 13))
    assert kinds(layout(LLAMA_4_SCOUT, early)) == [("full", 16)]
    # Twelve and sixteen: less than 1.5 times as many.
    uneven = replace(GPT_OSS_20B, layers=("sliding",) * 12 + ("full",) * 16)
    assert len(layout(uneven, replace(RUN, version=(0, 17))).groups) == 3
    assert len(layout(uneven).groups) == 2
    assert layout(GRANITE_4_SMALL, replace(RUN, version=(0, 25))).blocks_for(528) == 1 + 9
    assert layout(GRANITE_4_SMALL, replace(RUN, version=(0, 31))).blocks_for(528) == 1 + 9 * 2
    assert layout(QWEN3_8B, replace(RUN, version=(0, 28))).held_back == 0
    assert layout(QWEN3_8B).held_back == layout(QWEN3_8B).block_bytes
