"""What does a token cost each engine, and which of a variant's cards work for it?"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from modelctl.fit.speed import Load
from modelctl.fit.types import EVERY_LAYER, LlamaInputs, VllmInputs
from modelctl.fit.work import at_once, cards_at_work, load_of
from modelctl.resolved import Unknown
from modelctl.weights.facts import ModelFacts
from tests.fit.test_llama_cpp import LLAMA_70B, TENSORS

GGUF = ModelFacts("hub", "gguf", header=LLAMA_70B, tensors=TENSORS)
ON_GPU = LlamaInputs(context=8192, slots=4, gpu_layers=EVERY_LAYER)


def test_a_gguf_is_read_whole_for_each_token_but_for_what_is_looked_up() -> None:
    load = load_of(ON_GPU, GGUF)
    assert isinstance(load, Load)
    q4 = 160 * 8192 * 8192 + 160 * 8192 * 1024 + 240 * 8192 * 28672
    output, norms = 8192 * 128256, 8192 * 161
    assert load.parameters == q4 + output + norms
    assert load.dense == q4 / 256 * 144 + output / 256 * 210 + norms * 4
    assert load.kv == 80 * 2 * 8 * 128 * 2


@pytest.mark.parametrize(
    ("inputs", "model", "reason"),
    [
        (ON_GPU, replace(GGUF, header=Unknown("not in modelctl.lock")), "not in modelctl.lock"),
        (ON_GPU, replace(GGUF, tensors=Unknown("not read")), "not read"),
        (replace(ON_GPU, pooled=True), GGUF, "a model that embeds writes no tokens"),
        (
            replace(ON_GPU, gpu_layers=80),  # the output stays behind
            GGUF,
            "a part of it runs on the CPU, whose speed is not computed",
        ),
        (
            replace(ON_GPU, cpu_expert_layers=2),
            GGUF,
            "a part of it runs on the CPU, whose speed is not computed",
        ),
        (
            replace(ON_GPU, kv_on_gpu=False),
            GGUF,
            "a part of it runs on the CPU, whose speed is not computed",
        ),
        (
            replace(ON_GPU, by_hand="--device none"),
            GGUF,
            "--device none says what runs where, which is not followed",
        ),
        (replace(ON_GPU, k_type="fp8"), GGUF, "llama.cpp has no KV cache of type fp8"),
    ],
)
def test_what_is_not_known_of_its_speed_is_said(
    inputs: LlamaInputs, model: ModelFacts, reason: str
) -> None:
    assert load_of(inputs, model) == Unknown(reason)


def test_layers_on_several_cards_are_computed_one_card_after_the_other() -> None:
    assert cards_at_work(replace(ON_GPU, gpus=2), 2) == 1
    assert cards_at_work(replace(ON_GPU, gpus=2, split="none"), 2) == 1
    assert cards_at_work(replace(ON_GPU, gpus=2, split="row"), 2) == 2
    assert cards_at_work(VllmInputs(version=(0, 32), context=8192), 2) == 2


def test_more_requests_than_slots_wait() -> None:
    assert (at_once(ON_GPU, 3), at_once(ON_GPU, 9)) == (3, 4)
    assert at_once(VllmInputs(version=(0, 32), context=8192), 9) == 9
