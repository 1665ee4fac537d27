"""Does a GGUF model fit on a GPU, on several, or in main memory? By llama.cpp's own layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from modelctl.fit.llama_cpp import buffers_of, cells_of, memory
from modelctl.fit.llama_weights import GgufModel, model_of
from modelctl.fit.types import EVERY_LAYER, GIB, Draft, LlamaInputs, Memory
from modelctl.resolve import resolve
from modelctl.resolved import Unknown
from modelctl.weights.gguf_layers import Layers, layers_of
from modelctl.weights.read import model_facts
from modelctl.weights.shape import Header, Shape, TensorRow
from tests.render.apps import SMOLLM2, wanted

L4, A10, T4, H100 = 22.0, 22.1, 14.6, 79.2
"""GiB that a program may use, about."""


def header(architecture: str = "llama", **said: Any) -> Header:
    values: dict[str, Any] = {
        "context_length": 131072,
        "embedding_length": 8192,
        "block_count": 80,
        "feed_forward_length": 28672,
        "attention.head_count": 64,
        "attention.head_count_kv": 8,
        **{key.replace("__", "."): value for key, value in said.items()},
    }
    own = {f"{architecture}.{key}": value for key, value in values.items() if value is not None}
    return {"general.architecture": architecture, "tokenizer.ggml.tokens": 128256, **own}


LLAMA_70B = header()
TENSORS = (
    TensorRow("blk.*.attn_norm.weight", "F32", (8192,), 160),
    TensorRow("blk.*.attn_q.weight", "Q4_K", (8192, 8192), 160),
    TensorRow("blk.*.attn_k.weight", "Q4_K", (8192, 1024), 160),
    TensorRow("blk.*.ffn_up.weight", "Q4_K", (8192, 28672), 240),
    TensorRow("output.weight", "Q6_K", (8192, 128256), 1),
    TensorRow("output_norm.weight", "F32", (8192,), 1),
    TensorRow("token_embd.weight", "Q4_K", (8192, 128256), 1),
)
ONE = LlamaInputs(context=8192, slots=1, outputs=1, gpu_layers=EVERY_LAYER)


def of(inputs: LlamaInputs = ONE, usable: float = H100, said: Header = LLAMA_70B) -> Memory:
    found = memory(said, TENSORS, inputs, usable)
    assert isinstance(found, Memory)
    return found


def model(said: Header = LLAMA_70B) -> GgufModel:
    found = model_of(said, TENSORS)
    assert isinstance(found, GgufModel)
    return found


def layers(said: Header) -> Layers:
    found = layers_of(said)
    assert isinstance(found, Layers)
    return found


def mixers(said: Header) -> list[str]:
    return [row.mixer for row in layers(said).rows]


def test_what_a_70b_takes_of_one_gpu() -> None:
    found = of()
    assert found.verdict == "fits"
    assert found.weights.value == pytest.approx(36.66, abs=0.01)  # the embedding stays outside
    assert found.cache.value == 8192 * 80 * 2 * 8 * 128 * 2 / GIB
    assert found.other["compute"].value == pytest.approx(0.23, abs=0.01)
    assert (found.tokens, found.full) == (found.tokens, found.typical)
    assert found.need == found.cache.value
    assert found.largest_context == 131072


def test_it_does_not_fit_where_the_least_that_it_may_take_is_too_much() -> None:
    found = of(usable=L4)
    assert found.verdict == "does not fit"
    parts = "weights 36.7 + cache 2.5 + other 0.7 = 39.9"
    assert found.reason == f"{parts}, usable 22.0 GiB per GPU"
    assert found.largest_context is None


def test_it_may_fit_where_only_the_most_that_it_may_take_is_too_much() -> None:
    found = of(usable=40.0)
    assert found.verdict == "may fit"
    assert found.reason == (
        "weights 36.7 + cache 2.5 + other 1.5 = up to 40.6, usable 40.0 GiB per GPU"
    )


def test_on_a_cpu_the_sum_that_is_said_is_more_than_was_asked_for() -> None:
    alone = replace(ONE, gpus=0, gpu_layers=0)
    whole = of(alone, 100.0)
    most = whole.weights.high + whole.cache.high + sum(o.high for o in whole.other.values())
    expected = most - sum(o.high - o.value for o in whole.other.values())
    doubtful, sure = of(alone, (expected + most) / 2), of(alone, 20.0)
    assert (doubtful.verdict, sure.verdict) == ("may fit", "may fit")
    assert f"= up to {most:.1f}, and the container asks for" in doubtful.reason
    assert f"= {expected:.1f}, and the container asks for 20.0 GiB" in sure.reason


def test_several_gpus_hold_a_group_of_layers_each() -> None:
    two = replace(ONE, gpus=2)
    assert of(two, L4).verdict == "fits"
    parts = buffers_of(model(), two).gpus
    whole = buffers_of(model(), ONE).gpus[0]
    assert len(parts) == 2
    assert sum(part.weights for part in parts) == pytest.approx(whole.weights)
    assert sum(part.cache for part in parts) == pytest.approx(whole.cache)
    # 41 of 81 layers on the first one, the output being the last
    assert parts[0].cache == whole.cache * 41 / 80


def test_shares_say_who_holds_how_much() -> None:
    parts = buffers_of(model(), replace(ONE, gpus=2, shares=(3.0, 1.0))).gpus
    assert parts[0].cache / (parts[0].cache + parts[1].cache) == pytest.approx(61 / 80)


def test_slices_hold_the_same_everywhere_and_rows_leave_the_cache_on_the_first() -> None:
    sliced = buffers_of(model(), replace(ONE, gpus=4, split="tensor")).gpus
    assert len({(part.weights, part.cache) for part in sliced}) == 1
    rows = buffers_of(model(), replace(ONE, gpus=4, split="row")).gpus
    assert [part.cache > 0 for part in rows] == [True, False, False, False]


def test_layers_that_are_left_out_lie_in_main_memory() -> None:
    some = buffers_of(model(), replace(ONE, gpu_layers=21))
    whole = buffers_of(model(), ONE)
    assert some.gpus[0].cache == whole.gpus[0].cache * 20 / 80
    assert some.host.cache == whole.gpus[0].cache * 60 / 80
    # the output is the first thing that goes to the GPU
    one = buffers_of(model(), replace(ONE, gpu_layers=1))
    assert one.gpus[0].weights == 128256 * 8192 / 256 * 210 + 8192 * 4


def test_llama_cpp_left_to_itself_puts_there_what_fits() -> None:
    found = of(replace(ONE, gpu_layers=None), L4)
    assert found.verdict == "may fit"
    assert found.reason == "41 of 80 layers fit on the GPU, the CPU computes the others"
    assert of(replace(ONE, gpu_layers=None)).verdict == "fits"


def test_experts_of_the_first_layers_can_stay_in_main_memory() -> None:
    said = header("qwen3moe", block_count=4, expert_count=128, expert_used_count=8)
    rows = (*TENSORS[4:], TensorRow("blk.*.ffn_up_exps.weight", "Q4_K", (8192, 768, 128), 12))
    found = model_of(said, rows)
    assert isinstance(found, GgufModel)
    all_there = buffers_of(found, ONE).gpus[0].weights
    three = buffers_of(found, replace(ONE, cpu_expert_layers=3))
    experts = 8192 * 768 * 128 * 12 / 256 * 144
    assert all_there - three.gpus[0].weights == experts * 3 / 4
    none = buffers_of(found, replace(ONE, cpu_expert_layers=EVERY_LAYER))
    assert all_there - none.gpus[0].weights == experts


def test_main_memory_is_what_was_asked_for_and_may_be_more() -> None:
    cpu = replace(ONE, gpus=0, gpu_layers=0)
    assert of(cpu, 64.0).verdict == "fits"
    small = of(cpu, 16.0)
    assert small.verdict == "may fit"
    parts = "weights 37.2 + cache 2.5 + other 0.4 = 40.1"
    assert small.reason == f"{parts}, and the container asks for 16.0 GiB"


def test_a_quantized_cache_takes_what_its_blocks_take() -> None:
    full, small = of(), of(replace(ONE, k_type="q8_0", v_type="q4_0"))
    assert small.cache.value == full.cache.value * (34 / 32 + 18 / 32) / 4


def test_each_slot_has_a_cache_of_its_own_unless_they_share_one() -> None:
    four = replace(ONE, context=32768, slots=4)
    assert cells_of(layers(LLAMA_70B), four).full == 8192
    assert of(four).cache == of(replace(four, unified=True)).cache
    assert of(four).full is not None
    assert of(four).need == of().need


def test_a_tied_embedding_is_twice_there_with_a_gpu() -> None:
    rows = tuple(row for row in TENSORS if row.name != "output.weight")
    tied = model_of(LLAMA_70B, rows)
    assert isinstance(tied, GgufModel)
    embedding = 128256 * 8192 / 256 * 144
    beside = buffers_of(tied, ONE)
    assert beside.host.weights == embedding
    alone = buffers_of(tied, replace(ONE, gpus=0, gpu_layers=0)).host.weights
    assert alone + embedding == beside.gpus[0].weights + beside.host.weights


WINDOWED = [
    ("gemma3", {"attention__sliding_window": 1024}, 6, 5),
    ("gemma3", {}, 6, 6),
    ("gemma2", {}, 2, 1),
    ("gpt-oss", {"attention__sliding_window": 128}, 2, 1),
    ("cohere2", {"attention__sliding_window": 4096}, 4, 3),
    ("llama4", {}, 4, 3),
    ("llama4", {"attention__sliding_window": 0}, 4, 4),
    ("phi3", {"attention__sliding_window": 2047}, 4, 4),
    ("smallthinker", {"attention__sliding_window": 9}, 4, 0),
]


@pytest.mark.parametrize(("name", "said", "period", "full"), WINDOWED)
def test_which_layers_have_a_window(
    name: str, said: dict[str, Any], period: int, full: int
) -> None:
    found = mixers(header(name, **said))
    plain = [number for number, mixer in enumerate(found) if mixer == "full"]
    if full == period:
        assert len(plain) == len(found)
    else:
        assert plain == [n for n in range(len(found)) if n % period == full]


def test_a_window_is_kept_with_room_for_a_step() -> None:
    said = header("gemma3", attention__sliding_window=1024)
    inputs = LlamaInputs(context=32768, slots=4, outputs=4)
    assert cells_of(layers(said), inputs).windowed == 1536
    assert cells_of(layers(said), replace(inputs, unified=True)).windowed == 4608
    assert cells_of(layers(said), replace(inputs, windowed=False)).windowed == 8192


def test_layers_with_a_state_take_the_same_for_any_length() -> None:
    said = header(
        "qwen3next",
        block_count=48,
        ssm__conv_kernel=4,
        ssm__inner_size=4096,
        ssm__state_size=128,
        ssm__group_count=16,
    )
    rows = layers(said).rows
    assert [row.mixer for row in rows[:4]] == ["state", "state", "state", "full"]
    assert rows[0].state == 3 * (4096 + 2 * 16 * 128) + 128 * 4096
    assert rows[0].keys == rows[3].state == 0
    both = layers(header("falcon-h1", ssm__conv_kernel=4, ssm__inner_size=64)).rows[0]
    assert (both.mixer, both.keys, both.state) == ("both", 1024, 192)


def test_lists_of_the_header_are_taken_layer_by_layer() -> None:
    said = header("nemotron_h", block_count=3, attention__head_count_kv=(0, 8, 0))
    listed = {**said, "nemotron_h.feed_forward_length": (0, 0, 12288)}
    assert mixers(listed) == ["state", "full", "none"]
    said = header("gemma4", block_count=4, attention__sliding_window=512)
    listed = {
        **said,
        "gemma4.attention.sliding_window_pattern": (1, 1, 0, 1),
        "gemma4.attention.shared_kv_layers": 1,
        "gemma4.attention.key_length_swa": 256,
    }
    found = layers(listed).rows
    assert [row.mixer for row in found] == ["sliding", "sliding", "full", "none"]
    assert [row.keys for row in found] == [2048, 2048, 1024, 0]


def test_latents_are_kept_once() -> None:
    said = header(
        "deepseek2",
        attention__head_count_kv=1,
        attention__key_length=576,
        attention__value_length=512,
        attention__key_length_mla=192,
        attention__value_length_mla=128,
    )
    row = layers(said).rows[0]
    assert (row.keys, row.values) == (576, 0)


def test_layers_that_guess_ahead_are_no_part_of_the_model_until_they_guess() -> None:
    said = header("glm4moe", block_count=81, nextn_predict_layers=1)
    assert len(layers(said).rows) == 80
    assert "draft" not in of(said=said).other
    guessing = of(replace(ONE, draft=Draft("draft-mtp", 1, 0, 1)), said=said)
    assert guessing.other["draft"].value == 8192 * 2 * 8 * 128 * 2 / GIB


def test_a_draft_model_whose_shape_is_known_has_a_cache_of_that_width() -> None:
    small = Shape(1024, 128256, ("full",) * 16, 16, 8, 64, 64, 4096, tied=True)
    found = of(replace(ONE, draft=Draft("draft-simple", 3, GIB, 16, small)))
    assert found.other["draft"].value == 1 + 8192 * 16 * 8 * 128 * 2 / GIB


def test_what_stands_beside_the_model_is_counted() -> None:
    found = of(replace(ONE, adapters=GIB, projector=2 * GIB, draft=Draft("draft-simple", 3, GIB)))
    assert found.other["adapters"].value == 1
    assert found.other["projector"].low >= 2
    assert found.other["draft"].low == 1


def test_what_is_not_known_is_said() -> None:
    assert memory({"general.architecture": "tomorrow"}, TENSORS, ONE, H100) == Unknown(
        "what the layers of tomorrow keep in llama.cpp is not known"
    )
    odd = (*TENSORS, TensorRow("blk.*.odd", "Q9_Z", (8192,), 80))
    assert memory(LLAMA_70B, odd, ONE, H100) == Unknown(
        "how many bytes a tensor of type Q9_Z takes is not known"
    )
    nowhere = memory(LLAMA_70B, TENSORS, ONE, None)
    assert isinstance(nowhere, Memory)
    assert nowhere.verdict == "unknown"


@given(
    context=st.integers(1, 2**18),
    slots=st.integers(1, 16),
    gpus=st.integers(0, 8),
    split=st.sampled_from(["layer", "row", "tensor"]),
    unified=st.booleans(),
)
def test_more_context_never_takes_less(
    context: int, slots: int, gpus: int, split: Any, unified: bool
) -> None:
    here = replace(ONE, context=context, slots=slots, gpus=gpus, split=split, unified=unified)
    if gpus == 0:
        here = replace(here, gpu_layers=0)
    less = memory(LLAMA_70B, TENSORS, here, H100, largest=False)
    more = memory(LLAMA_70B, TENSORS, replace(here, context=context + 4096), H100, largest=False)
    assert isinstance(less, Memory)
    assert isinstance(more, Memory)
    assert less.cache.value <= more.cache.value
    if gpus < 2:  # Of several, another one may be the fullest.
        assert less.weights == more.weights
    assert less.other["compute"].low <= less.other["compute"].value <= less.other["compute"].high
    worse = ("fits", "may fit", "does not fit")
    assert worse.index(less.verdict) <= worse.index(more.verdict)


@given(usable=st.floats(30, 200), slots=st.integers(1, 8))
def test_the_largest_context_fits_and_a_larger_one_does_not_surely(
    usable: float, slots: int
) -> None:
    here = replace(ONE, slots=slots, outputs=slots)
    largest = of(here, usable).largest_context
    if largest is not None:
        there = replace(here, context=largest * slots)
        assert of(there, usable).verdict == "fits"
    if largest is None or largest < 131072:
        beyond = replace(here, context=((largest or 0) + 256) * slots)
        assert of(beyond, usable).verdict != "fits"


def test_from_a_spec_and_a_file_to_what_it_takes(gguf: Path) -> None:
    spec = wanted({**SMOLLM2, "gpu": [{"type": "T4"}], "context": 2048, "max_sequences": 4})
    facts = model_facts(str(gguf), gguf.parent, gguf.parent, hashed=False)
    assert not isinstance(facts.header, Unknown)
    assert not isinstance(facts.tensors, Unknown)
    inputs = resolve(spec, facts).variants[0].memory
    assert isinstance(inputs, LlamaInputs)
    found = memory(facts.header, facts.tensors, inputs, T4)
    assert isinstance(found, Memory)
    assert (found.verdict, found.largest_context) == ("fits", 8192)
    assert found.cache.value * 1024 == 2048 * 4 * 30 * 2 * 192 * 2 / 2**20
    assert isinstance(facts.size, int)
    assert found.weights.value == pytest.approx(facts.size / GIB, rel=0.05)
