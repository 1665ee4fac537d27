"""Does it fit under vLLM? Verdicts and sentences for models that people really tried."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as some
from msgspec.structs import replace

from modelctl.facts.gpus import Gpu, gpus
from modelctl.fit.overhead import (
    activation,
    adapters,
    cuda_graphs,
    embeddings,
    mixture,
    overhead,
    with_batch,
)
from modelctl.fit.tensors import by_tensors
from modelctl.fit.types import GIB, Draft, Interval, Memory, VllmInputs
from modelctl.fit.vllm import memory, model_of, weights
from modelctl.resolved import Unknown
from modelctl.weights.config_shape import shape_of
from modelctl.weights.shape import Shape, TensorRow, Tower

CHECKPOINTS: Mapping[str, Any] = json.loads(
    Path(__file__).with_name("checkpoints.json").read_text()
)
QWEN3_8B: Mapping[str, Any] = CHECKPOINTS["qwen3-8b"]["config"]
LLAMA_70B: Mapping[str, Any] = CHECKPOINTS["llama3-8b"]["config"] | {
    "hidden_size": 8192,
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "intermediate_size": 28672,
}
RUN = VllmInputs(version=(0, 32), context=32768)
H100, A100, L4, L40S, B200 = (gpus()[name] for name in ("H100", "A100-80GB", "L4", "L40S", "B200"))
NO_TENSORS = Unknown("not in modelctl.lock")


def fit(config: Mapping[str, Any] | Unknown, inputs: VllmInputs = RUN, card: Gpu = H100) -> Memory:
    return memory(model_of(config, NO_TENSORS), inputs, card)


def known(config: Mapping[str, Any]) -> Shape:
    found = shape_of(config)
    assert isinstance(found, Shape)
    return found


def test_a_small_model_fits_and_says_for_how_many() -> None:
    found = fit(QWEN3_8B)
    assert found.verdict == "fits"
    assert found.reason == ""
    assert found.need == pytest.approx(4.5, rel=0.001)
    assert found.full and found.typical and found.tokens
    assert 11 < found.full.value < 13
    assert found.typical.value == pytest.approx(found.full.value * 16, rel=0.01)
    assert found.tokens.value == pytest.approx(found.full.value * 32768, rel=0.01)
    assert found.tokens.low < found.tokens.value < found.tokens.high


def test_parts_add_up_to_the_budget() -> None:
    found = fit(QWEN3_8B)
    parts = found.weights.value + found.cache.value + sum(p.value for p in found.other.values())
    assert parts == pytest.approx(found.budget)
    assert found.budget == pytest.approx(H100.usable_gib * 0.92)
    assert set(found.other) == {"CUDA and communication", "activation", "CUDA graphs"}


def test_70b_in_16_bit_does_not_fit_one_a100() -> None:
    found = fit(LLAMA_70B, replace(RUN, context=8192), A100)
    assert found.verdict == "does not fit"
    assert found.reason == (
        "weights 131.4 + one request 2.5 + other 3.2 = 137.2, usable 72.9 GiB per GPU"
    )
    assert found.tokens == Interval(0.0, 0.0, 0.0)
    assert found.largest_context == 0


def test_70b_in_fp8_on_two_h100_fits() -> None:
    fp8 = LLAMA_70B | {"quantization_config": {"quant_method": "fp8"}}
    assert fit(fp8, replace(RUN, tensor=2)).verdict == "fits"
    assert fit(fp8, replace(RUN, context=8192)).verdict != "fits"


def test_a_context_past_the_cache_names_the_longest_that_fits() -> None:
    found = fit(QWEN3_8B, replace(RUN, context=131072), L4)
    assert found.verdict == "does not fit"
    assert found.largest_context is not None
    less = replace(RUN, context=found.largest_context)
    assert 8_000 < found.largest_context < 40_000
    assert fit(QWEN3_8B, less, L4).verdict == "fits"
    more = replace(RUN, context=found.largest_context + 16)
    assert fit(QWEN3_8B, more, L4).verdict == "may fit"


def test_weights_that_are_quantized_while_they_load_take_half() -> None:
    half = fit(QWEN3_8B, replace(RUN, quantization="fp8")).weights.value
    assert half == pytest.approx(fit(QWEN3_8B).weights.value * 0.58, rel=0.01)


def test_a_cache_of_8_bit_holds_twice_as_much() -> None:
    plain, half = fit(QWEN3_8B).tokens, fit(QWEN3_8B, replace(RUN, kv_dtype="fp8")).tokens
    assert plain and half
    assert half.value == pytest.approx(2 * plain.value, rel=0.001)


@pytest.mark.parametrize(
    "said",
    [
        {"quant_method": "modelopt", "quant_algo": "FP8", "kv_cache_quant_algo": "FP8"},
        {
            "quant_method": "compressed-tensors",
            "config_groups": {"group_0": {"weights": {"num_bits": 8, "type": "float"}}},
            "kv_cache_scheme": {"num_bits": 8, "type": "float"},
        },
    ],
)
def test_a_checkpoint_may_ask_for_a_cache_of_8_bit(said: dict[str, Any]) -> None:
    found = fit(QWEN3_8B | {"quantization_config": said})
    assert found.need == pytest.approx(4.5 / 2, rel=0.001)


def test_a_cache_whose_size_is_given_needs_room_beside_the_rest() -> None:
    given = fit(QWEN3_8B, replace(RUN, kv_bytes=20 * GIB))
    assert given.cache == Interval.exactly(20.0)
    assert given.verdict == "fits"
    assert fit(QWEN3_8B, replace(RUN, kv_bytes=4 * GIB)).verdict == "does not fit"
    most = fit(QWEN3_8B, replace(RUN, kv_bytes=70 * GIB))
    assert most.verdict == "does not fit"
    assert most.reason == (
        "weights 15.3 + the cache that is asked for 70.0 + other 2.0 = 87.3, usable 79.2 GiB per "
        "GPU"
    )


def test_more_than_the_driver_leaves_is_no_promise() -> None:
    found = fit(QWEN3_8B, replace(RUN, utilization=0.998))
    assert found.verdict == "may fit"
    assert found.reason == "the driver leaves less of the GPU than the engine asks for"


def test_nothing_is_said_of_an_architecture_without_facts() -> None:
    found = fit({"model_type": "brand_new"})
    assert (found.verdict, found.reason) == (
        "unknown",
        "no facts about the architecture brand_new",
    )


def test_nothing_is_said_of_what_is_not_locked() -> None:
    found = fit(Unknown("not in modelctl.lock"))
    assert (found.verdict, found.reason) == ("unknown", "not in modelctl.lock")


def test_tensors_alone_say_what_is_too_much() -> None:
    rows = (TensorRow("model.layers.*.mlp.up_proj.weight", "BF16", (65536, 16384), 64),)
    found = memory(model_of({"model_type": "brand_new"}, rows), RUN, H100)
    assert found.verdict == "does not fit"
    assert found.reason == "weights 128.0, usable 72.9 GiB per GPU"


def test_an_encoder_needs_no_cache() -> None:
    found = fit(
        CHECKPOINTS["bert"]["config"], VllmInputs(version=(0, 32), context=512, task="embed"), L4
    )
    assert found.verdict == "fits"
    assert found.tokens is None
    assert found.need == 0
    assert "CUDA graphs" not in found.other


@pytest.mark.parametrize(
    ("card", "sequences", "tokens"),
    [(H100, 1024, 8192), (A100, 256, 2048), (L40S, 256, 2048), (B200, 1024, 16384)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_what_vllm_batches_follows_from_the_card(card: Gpu, sequences: int, tokens: int) -> None:
    found = with_batch(RUN, card.usable_gib, card.name)
    assert (found.sequences, found.batched_tokens) == (sequences, tokens)


def test_what_a_spec_says_of_batches_stays() -> None:
    found = with_batch(replace(RUN, sequences=8, batched_tokens=512), 80.0, "H100")
    assert (found.sequences, found.batched_tokens) == (8, 512)


@pytest.mark.parametrize(
    ("version", "logged"),
    # Llama-3.3-70B in FP8 on two H100, and Qwen3-8B on one: what vLLM logged.
    [((0, 14), 4.84), ((0, 19), 1.96)],
)
def test_activation_is_near_what_was_logged(version: tuple[int, int], logged: float) -> None:
    inputs = VllmInputs(version, 8192, tensor=2, sequences=1024, batched_tokens=8192)
    found = activation(known(LLAMA_70B), inputs)
    assert found.value == pytest.approx(logged, rel=0.02)
    assert found.low < logged < found.high


def test_fewer_sequences_leave_more_for_the_cache() -> None:
    """1,024 of them choose among 3.5 copies of their logits; of 32 the MLP takes more."""
    few = fit(QWEN3_8B, replace(RUN, version=(0, 19), sequences=32)).cache.value
    most = fit(QWEN3_8B, replace(RUN, version=(0, 19))).cache.value
    assert few - most == pytest.approx(1.37, abs=0.01)


def test_experts_work_beside_the_layers_up_to_0_11_and_keep_their_room_from_0_12() -> None:
    """Qwen3-30B-A3B on an H100, vLLM 0.10.2: 5.58 GiB with 1,024 sequences, 1.44 with 256."""
    shape = known(CHECKPOINTS["qwen3-30b"]["config"])
    room = mixture(shape, replace(RUN, batched_tokens=8192)) / GIB
    for sequences, logged in ((1024, 5.58), (256, 1.44)):
        run = replace(RUN, version=(0, 10), sequences=sequences, batched_tokens=8192)
        value = activation(shape, run).value
        assert value == pytest.approx(logged, rel=0.05)
        more = activation(shape, replace(run, version=(0, 12))).value - value
        assert more == pytest.approx(room + 0.06)


def test_graphs_count_since_vllm_0_21_and_not_when_eager() -> None:
    def parts(**changes: Any) -> set[str]:
        return set(fit(QWEN3_8B, replace(RUN, **changes)).other)

    assert "CUDA graphs" in parts()
    assert "CUDA graphs" in parts(version=(0, 21))
    assert "CUDA graphs" not in parts(eager=True)
    assert "CUDA graphs" not in parts(version=(0, 20))


@pytest.mark.parametrize(
    ("config", "version", "counted"),
    [
        (QWEN3_8B, (0, 24), True),
        # vllm#49224: the second runner forgot its graphs, and took every dense model at first.
        (QWEN3_8B, (0, 25), False),
        (QWEN3_8B, (0, 28), False),
        (QWEN3_8B, (0, 29), True),
        (CHECKPOINTS["qwen3-30b"]["config"], (0, 25), True),
        (CHECKPOINTS["qwen3-next"]["config"], (0, 27), True),
    ],
)
def test_the_second_runner_counts_no_graphs_at_first(
    config: dict[str, Any], version: tuple[int, int], counted: bool
) -> None:
    inputs = with_batch(replace(RUN, version=version), H100.usable_gib, "H100")
    assert ("CUDA graphs" in overhead(known(config), inputs)) is counted


def test_the_second_runner_measures_no_sampling_of_the_likeliest() -> None:
    run = VllmInputs((0, 25), 8192, sequences=1024, batched_tokens=8192, eager=True)
    few, many = (
        activation(known(QWEN3_8B), replace(run, version=version)) for version in ((0, 25), (0, 24))
    )
    # The widest layer: 8,192 tokens by (3 x 12,288 + 2 x 4,096) x 2 bytes.
    assert few.value == pytest.approx(1.05 * 8192 * (3 * 12288 + 2 * 4096) * 2 / GIB)
    assert many.value > 2 * few.value


@pytest.mark.parametrize(
    ("card", "linked"),
    [("L40S", False), ("L4", False), ("A10G", False), ("T4", False), ("A100-80GB", True),
     ("H100", True), ("RTX-PRO-6000", True), ("unknown", True)],
)  # fmt: skip
def test_cards_that_nothing_links_need_less_to_talk(card: str, linked: bool) -> None:
    inputs = with_batch(replace(RUN, version=(0, 19), tensor=4), 44.0, card)
    found = overhead(known(LLAMA_70B), inputs)["CUDA and communication"]
    # Qwen2.5-72B on four L40S, vLLM 0.19: 0.2 GiB beside what PyTorch had; H100s have 2.1.
    assert found.value == (2.1 if linked else 0.3)


@pytest.mark.parametrize(
    ("version", "card", "gib"),
    [
        # openai/gpt-oss-120b on an H100: 61.29 GiB were logged with vLLM 0.25.1, 64.4 with 0.16.
        ((0, 25), "H100", 61.3),
        ((0, 25), "L40S", 66.1),
        ((0, 16), "H100", 64.4),
    ],
)
def test_kernels_of_mxfp4_round_up_as_the_card_needs_it(
    version: tuple[int, int], card: str, gib: float
) -> None:
    config = CHECKPOINTS["gpt_oss"]["config"] | {
        "num_hidden_layers": 36,
        "num_local_experts": 128,
        "quantization_config": {"quant_method": "mxfp4"},
    }
    run = with_batch(replace(RUN, version=version), 79.2, card)
    found = weights(model_of(config, NO_TENSORS), run)
    assert isinstance(found, Interval)
    assert found.value / GIB == pytest.approx(gib, rel=0.005)


def test_few_sequences_need_few_graphs() -> None:
    shape = known(QWEN3_8B)
    most, least = (
        cuda_graphs(shape, replace(RUN, sequences=count, batched_tokens=2048)).value
        for count in (256, 4)
    )
    assert most == pytest.approx(0.05 + 36 * 0.011)
    assert least < 0.1


def test_images_cost_what_their_encoder_is_measured_with() -> None:
    config = CHECKPOINTS["qwen2_5_vl"]["config"]
    assert "encoder" in fit(config).other
    assert "encoder" not in fit(config, replace(RUN, multimodal=False)).other


def test_the_largest_image_is_read_before_the_step_of_text_and_the_larger_peak_counts() -> None:
    """Qwen3.8-27B with 2,048 tokens a step: 1.86 GiB on an RTX 4090 under vLLM 0.28, eager; 1.74
    of them for images and 0.14 for text on another under 0.20."""
    tower = Tower("qwen3_5", width=1152, inner=4304, patch=16, each=1536, merge=2)
    shape = replace(known(QWEN3_8B), vision=1, tower=tower)
    run = replace(RUN, version=(0, 28), eager=True, batched_tokens=2048, sequences=2)

    def peaks(**how: Any) -> tuple[float, Interval]:
        found = overhead(shape, replace(run, **how))
        return found["activation"].value, found["encoder"]

    text, images = peaks()
    assert text + images.value == pytest.approx(1.85, rel=0.01)
    assert images.low < images.value < images.high
    wide, nothing = peaks(version=(0, 19), sequences=1024)
    assert wide > 2
    assert nothing.value == 0.0
    _, small = peaks(image_share=1 / 16)
    # Two of 1,024 tokens in a step of 2,048.
    assert text + small.value == pytest.approx(1.85 / 8, rel=0.01)
    assert peaks(image_share=0.0)[1].value == 0.0
    four, images = peaks(batched_tokens=65536)
    assert four + images.value == pytest.approx(1.85 * 4, rel=0.01)
    assert peaks(batched_tokens=65536, sequences=1)[1].value < images.value / 2
    # What the MLP widens is divided, unless each GPU reads images of its own.
    half, images = peaks(tensor=2)
    assert half + images.value == pytest.approx(1.85 * (1 - 4304 / 15136), rel=0.01)
    assert half + images.high > 1.85
    # What nobody measured is as the table says of all.
    other = replace(shape, tower=replace(tower, kind="internvl"))
    assert overhead(other, run)["encoder"] == Interval(0.5, 0.0, 2.0)
    assert overhead(shape, replace(run, version=(0, 16)))["encoder"] == Interval(0.5, 0.0, 1.5)


@given(
    version=some.sampled_from([(0, minor) for minor in range(6, 34)]),
    tokens=some.integers(1, 70_000),
    sequences=some.integers(1, 2048),
    tensor=some.sampled_from([1, 2, 4, 8]),
    share=some.floats(0, 2),
    runner=some.sampled_from([None, "v1", "v2"]),
)
def test_every_part_is_least_where_it_is_least(
    version: tuple[int, int],
    tokens: int,
    sequences: int,
    tensor: int,
    share: float,
    runner: Literal["v1", "v2"] | None,
) -> None:
    tower = Tower("qwen3_5", width=1152, inner=4304, patch=16, each=1536, merge=2)
    shape = replace(known(QWEN3_8B), vision=1, tower=tower)
    run = replace(RUN, version=version, batched_tokens=tokens, sequences=sequences, tensor=tensor,
                  image_share=share, runner=runner)  # fmt: skip
    for name, part in overhead(shape, run).items():
        assert 0 <= part.low <= part.value <= part.high, name


def test_a_run_of_text_alone_loads_nothing_that_reads_images() -> None:
    """gemma-4-26B-A4B-it-FP8-dynamic with --language-model-only: 24.72 GiB of its 26.67."""
    shape = known(CHECKPOINTS["gemma4-26b"]["config"])
    model = model_of(CHECKPOINTS["gemma4-26b"]["config"], NO_TENSORS)
    rows = (TensorRow("model.vision_tower.patch.weight", "BF16", (1024, 1024), 1),
            TensorRow("model.language_model.norm.weight", "BF16", (1024,), 1))  # fmt: skip
    alone = replace(RUN, multimodal=False)
    for found, tower in (
        ([weights(model, run) for run in (RUN, alone)], shape.vision * 2),
        ([by_tensors(rows, Unknown("no config"), None, run) for run in (RUN, alone)], 2 * 2**20),
    ):
        both, text = found
        assert isinstance(both, Interval)
        assert isinstance(text, Interval)
        assert both.value - text.value == pytest.approx(tower)
        assert text.low < text.value < both.value <= text.high  # not by every model


def test_who_may_read_no_image_compiles_with_the_embeddings() -> None:
    """gemma-4-26B-A4B-it on an L40S under vLLM 0.29, of text alone: 1.73 GiB, of them 1.38."""
    shape = known(CHECKPOINTS["gemma4-26b"]["config"])
    table = 262144 * 2816 * 2 / GIB
    run = replace(RUN, version=(0, 29), batched_tokens=2048, sequences=256, multimodal=False)
    assert embeddings(shape, run) == pytest.approx(table)
    assert embeddings(shape, replace(run, multimodal=True)) == 0
    assert overhead(shape, run)["activation"].value == pytest.approx(table)
    # Experts keep none of it beside the weights.
    eager = overhead(shape, replace(run, eager=True))["CUDA and communication"]
    assert (overhead(shape, run)["CUDA and communication"] - eager).value == pytest.approx(0.35)


def test_adapters_take_room_for_each_at_its_rank() -> None:
    shape = known(QWEN3_8B)
    one = adapters(shape, replace(RUN, adapters=1, adapter_rank=16)).value
    # 36 layers of rank 16: two thin matrices beside each of q, k, v, o, gate, up and down; and
    # beside the embeddings and the head, whose vocabulary is 152,000.
    assert one == pytest.approx(0.081 + 0.009, rel=0.01)
    reads = adapters(shape, replace(RUN, adapters=1, adapter_rank=16, task="embed")).value
    assert one - reads == pytest.approx(16 * 2 * (151936 + 4096) / GIB)
    assert adapters(shape, replace(RUN, adapters=4, adapter_rank=64)).value == one * 16


def test_what_may_not_fit_says_the_sum_that_does_not() -> None:
    found = fit(QWEN3_8B, replace(RUN, context=16384, sequences=256), L4)
    assert found.verdict == "may fit"
    total, usable = re.findall(r"= up to ([\d.]+), usable ([\d.]+) GiB per GPU", found.reason)[0]
    assert float(total) > float(usable)


def test_each_copy_of_the_model_has_a_cache_of_its_own() -> None:
    one, two = (fit(QWEN3_8B, replace(RUN, data=copies)) for copies in (1, 2))
    assert one.tokens and two.tokens and one.typical and two.typical
    assert two.tokens.value == 2 * one.tokens.value
    assert two.typical.low == 2 * one.typical.low
    assert two.cache == one.cache
    assert two.largest_context == one.largest_context


def test_copies_of_a_mixture_talk_to_each_other() -> None:
    def communication(config: Mapping[str, Any], copies: int) -> float:
        inputs = with_batch(replace(RUN, version=(0, 19), data=copies), 80.0, "H100")
        return overhead(known(config), inputs)["CUDA and communication"].value

    assert communication(CHECKPOINTS["qwen3-30b"]["config"], 2) == 2.1
    assert communication(QWEN3_8B, 2) == communication(QWEN3_8B, 1) == 0.25


@pytest.mark.parametrize("task", ["embed", "rerank"])
def test_what_reads_alone_has_graphs_of_pieces(task: Literal["embed", "rerank"]) -> None:
    inputs = with_batch(RUN, H100.usable_gib, "H100")
    whole = overhead(known(QWEN3_8B), inputs)["CUDA graphs"].value
    pieces = overhead(known(QWEN3_8B), replace(inputs, task=task))["CUDA graphs"].value
    assert 0.1 < pieces < whole


def test_a_compiled_run_of_text_holds_its_embeddings_again() -> None:
    """Qwen3-14B on an L40S, vLLM 0.28: of 1.75 GiB beside weights and cache 1.45 are those."""
    shape, table = known(QWEN3_8B), 151936 * 4096 * 2 / GIB
    run = with_batch(replace(RUN, version=(0, 28)), L40S.usable_gib, "L40S")
    found, eager = overhead(shape, run), overhead(shape, replace(run, eager=True))
    assert eager["activation"].value < 0.3
    assert found["activation"].value == pytest.approx(table)
    # It may keep them once more beside its weights, and does so on an RTX 5090.
    more = found["CUDA and communication"] - eager["CUDA and communication"]
    assert more.value == pytest.approx(0.05)
    most = found["CUDA and communication"].high - eager["CUDA and communication"].high
    assert most == pytest.approx(0.1 + table)
    halves = overhead(shape, replace(run, tensor=2))["activation"].value
    assert halves == pytest.approx(table / 2)
    assert overhead(shape, replace(run, version=(0, 24)))["activation"].value < 0.7
    for other in (replace(shape, full_head_dim=512), known(CHECKPOINTS["mixtral-8x7b"]["config"])):
        assert embeddings(other, run) == 0
    assert embeddings(shape, replace(run, dtype="float32")) == 2 * embeddings(shape, run)


def test_what_compiling_keeps_of_a_tied_model_is_gone_at_the_next_start() -> None:
    """Qwen3-4B on an RTX 4090, vLLM 0.27.1: 1.72 GiB beside weights and cache where it compiled,
    0.45 where it found what was compiled, 1.20 where it compiled with adapters."""

    def taken(shape: Shape, **how: Any) -> float:
        run = replace(RUN, version=(0, 27), batched_tokens=2048, sequences=256, **how)
        return sum(part.value for name, part in overhead(shape, run).items() if name != "adapters")

    untied = replace(known(QWEN3_8B), hidden=2560, intermediate=9728)
    tied = replace(untied, tied=True)
    assert taken(tied, card="RTX 4090") == pytest.approx(1.72, rel=0.03)
    assert taken(tied, card="RTX 4090", compiled_before=True) == pytest.approx(0.45, rel=0.05)
    # A log has 0.16 more, which is in `high`.
    assert taken(tied, card="RTX 4090", adapters=16) == pytest.approx(1.04, rel=0.01)
    assert taken(untied, card="RTX 4090") == taken(tied, card="RTX 4090", adapters=16)
    once, more = taken(untied, card="H100"), 151936 * 2560 * 2 / GIB
    assert taken(replace(untied, hidden=2560), card="RTX-PRO-6000") == once
    later = replace(RUN, version=(0, 28), batched_tokens=2048, sequences=256, card="RTX-PRO-6000")
    apart = replace(later, card="H100")
    kept = [overhead(untied, run)["CUDA and communication"] for run in (later, apart)]
    assert kept[0].value - kept[1].value == pytest.approx(more)
    assert kept[0].high == kept[1].high
    assert overhead(untied, replace(later, card="RTX 4090"))["CUDA and communication"] == kept[0]


def test_ways_of_guessing_that_the_second_runner_lacks_measure_as_the_first_does() -> None:
    run = with_batch(replace(RUN, eager=True), H100.usable_gib, "H100")
    plain, suffix = (
        activation(known(QWEN3_8B), replace(run, draft=draft)).value
        for draft in (None, Draft("suffix", 4, weights=0))
    )
    assert suffix > 2 * plain


def test_layers_of_the_checkpoint_that_guess_ahead_are_weights() -> None:
    config = CHECKPOINTS["glm4_moe"]["config"]
    ahead = replace(RUN, draft=Draft("mtp", 1, weights=0, layers=1))
    plain, guessing = (weights(model_of(config, NO_TENSORS), run) for run in (RUN, ahead))
    assert isinstance(plain, Interval) and isinstance(guessing, Interval)
    shape = known(config)
    assert shape.experts is not None
    experts = 3 * shape.hidden * shape.experts.width * shape.experts.count * 2
    assert guessing.value - plain.value > experts
    assert guessing.low == plain.low
    assert "draft" not in overhead(shape, with_batch(ahead, 80.0, "H100"))


def test_tensors_that_guess_ahead_are_loaded_where_the_engine_does() -> None:
    shape = known(QWEN3_8B)
    rows = [
        TensorRow("model.layers.*.mlp.up_proj.weight", "BF16", (12288, 4096), 36),
        TensorRow("mtp.layers.*.mlp.up_proj.weight", "BF16", (12288, 4096), 1),
    ]
    ahead = replace(RUN, draft=Draft("mtp", 1, weights=0, layers=1))
    plain, guessing = (by_tensors(rows, shape, None, run) for run in (RUN, ahead))
    assert isinstance(plain, Interval) and isinstance(guessing, Interval)
    assert guessing.value - plain.value == 12288 * 4096 * 2


def test_a_draft_takes_its_weights() -> None:
    run = with_batch(RUN, 80.0, "H100")
    eagle = Draft("eagle3", 3, weights=GIB // 2)
    found = overhead(known(QWEN3_8B), replace(run, draft=eagle))["draft"]
    assert found.value == 0.5
    guessed = overhead(known(QWEN3_8B), replace(run, draft=Draft("eagle3", 3, layers=1)))["draft"]
    assert guessed.low == 0 < guessed.value < guessed.high
    assert "draft" not in overhead(known(QWEN3_8B), replace(run, draft=Draft("ngram", 3)))


@given(
    context=some.integers(1, 200_000),
    tensor=some.sampled_from([1, 2, 4, 8]),
    utilization=some.floats(0.3, 0.97),
    card=some.sampled_from([H100, L4, L40S, B200]),
    name=some.sampled_from(sorted(CHECKPOINTS)),
)
def test_a_longer_context_never_fits_better_and_a_verdict_is_its_interval(
    context: int, tensor: int, utilization: float, card: Gpu, name: str
) -> None:
    inputs = VllmInputs((0, 32), context, tensor=tensor, utilization=utilization)
    found = fit(CHECKPOINTS[name]["config"], inputs, card)
    assert found.cache.low <= found.cache.value <= found.cache.high
    if found.verdict == "fits":
        assert found.cache.low >= found.need
    if found.verdict == "does not fit":
        assert found.cache.high < found.need or found.need == 0
        longer = fit(CHECKPOINTS[name]["config"], replace(inputs, context=2 * context), card)
        # Without a size of its own a batch is at most as long as all requests together.
        assert longer.verdict != "fits" or context * 1024 < 16384


@given(
    name=some.sampled_from(sorted(CHECKPOINTS)),
    wrong=some.lists(
        some.tuples(
            some.integers(0, 60),
            some.one_of(
                some.none(),
                some.integers(-3, 9000),
                some.text(max_size=4),
                some.lists(some.integers(-1, 5), max_size=3),
                some.floats(allow_nan=False),
            ),
        ),
        max_size=2,
    ),
    tensor=some.sampled_from([1, 2, 3, 8]),
    pipeline=some.sampled_from([1, 2, 5]),
)
def test_a_config_that_is_wrong_somewhere_has_a_verdict_all_the_same(
    name: str, wrong: list[tuple[int, Any]], tensor: int, pipeline: int
) -> None:
    config = dict(CHECKPOINTS[name]["config"])
    for place, value in wrong:
        config[sorted(config)[place % len(config)]] = value
    rows = tuple(TensorRow(n, "BF16", tuple(s), c) for n, s, c in CHECKPOINTS[name]["rows"])
    inputs = replace(RUN, tensor=tensor, pipeline=pipeline)
    for tensors in (rows, NO_TENSORS):
        found = memory(model_of(config, tensors), inputs, H100)
        assert found.verdict in ("fits", "may fit", "does not fit", "unknown")


def test_states_without_a_size_are_said_to_be_unknown() -> None:
    found = fit(CHECKPOINTS["mamba"]["config"] | {"intermediate_size": None})
    said = "its config does not say how large a layer's cache is"
    assert (found.verdict, found.reason) == ("unknown", said)


def test_a_draft_model_of_unknown_size_leaves_the_verdict_open() -> None:
    unknown = replace(RUN, draft=Draft("draft_model", 3, weights=None, layers=1))
    found = fit(QWEN3_8B, unknown)
    assert (found.verdict, found.reason) == ("unknown", "how large the draft is is not known")
    assert fit(QWEN3_8B, replace(RUN, draft=Draft("eagle3", 3, layers=1))).verdict == "fits"
