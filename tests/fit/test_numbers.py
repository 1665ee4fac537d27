"""Is what vLLM takes instead of bfloat16 counted on the GPUs that have none?"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from modelctl.facts import gpus
from modelctl.fit.memory import memory_of
from modelctl.fit.types import Memory, VllmInputs
from modelctl.weights.facts import ModelFacts
from tests.checks import real_models as models
from tests.checks.judging import judged, said
from tests.checks.real_specs import GEMMA2, QWEN25_05B, spec

RUN = VllmInputs(version=(0, 32), context=8192)
GEMMA = models.locked(GEMMA2, *models.of_transformers("gemma2"))
QWEN = models.locked(QWEN25_05B, models.QWEN25_05B)


def on(card: str, model: ModelFacts, inputs: VllmInputs = RUN) -> Memory:
    found = memory_of(inputs, model, gpus.gpus()[card])
    assert isinstance(found, Memory)
    return found


@pytest.mark.parametrize(("model", "dtype"), [(GEMMA, "float32"), (QWEN, "float16")])
def test_a_card_without_bfloat16_holds_what_is_taken_instead(model: ModelFacts, dtype: str) -> None:
    assert on("T4", model) == on("T4", model, replace(RUN, dtype=dtype))
    assert on("L4", model) == on("L4", model, replace(RUN, dtype="bfloat16"))


def test_float32_takes_twice_the_weights_and_twice_the_cache() -> None:
    narrow = on("T4", GEMMA, replace(RUN, dtype="float16"))
    # What is left over in the allocator's blocks does not double.
    assert on("T4", GEMMA).weights.value == pytest.approx(2 * narrow.weights.value, rel=0.02)
    assert on("T4", GEMMA).need == pytest.approx(2 * narrow.need)


def test_the_rule_and_the_arithmetic_say_the_same() -> None:
    assert said(judged(spec(GEMMA2, "T4", context=8192), GEMMA)) == [
        "gpu[0] warning fit/may-not-fit: google/gemma-2-2b-it in float32 may not fit a T4 at 8k "
        "context | T4:2",
        "gpu[0] warning gpu/no-bfloat16: the model is bfloat16 and a T4 has none: vLLM takes "
        "float32 there, which takes twice the memory | dtype: float32 says so for every GPU, or "
        "L4 or A10 or L40S or A100-40GB",
    ]
