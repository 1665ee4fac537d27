"""In which numbers does vLLM compute on this card, where nobody says it?"""

from __future__ import annotations

from msgspec.structs import replace

from modelctl.facts.gpus import Gpu
from modelctl.facts.vllm import instead_of_bfloat16
from modelctl.fit.types import VllmInputs
from modelctl.resolved import Unknown
from modelctl.weights.facts import ModelFacts


def with_numbers(inputs: VllmInputs, model: ModelFacts, card: Gpu) -> VllmInputs:
    """The same run, with what vLLM takes instead of bfloat16 on a card that has none filled in."""
    if inputs.dtype != "auto" or isinstance(model.config, Unknown):
        return inputs
    if model.quantization != "bfloat16":
        return inputs
    kind, release = str(model.config.get("model_type")), ".".join(map(str, inputs.version))
    instead = instead_of_bfloat16(kind, release, card.compute_capability)
    return inputs if instead is None else replace(inputs, dtype=instead)
