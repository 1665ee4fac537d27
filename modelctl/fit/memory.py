"""Does this model fit this GPU, run like this? Each engine's arithmetic, behind one door."""

from __future__ import annotations

from modelctl.facts.gpus import Gpu
from modelctl.fit import llama_cpp, vllm
from modelctl.fit.types import Memory, MemoryInputs, VllmInputs
from modelctl.resolved import Unknown
from modelctl.weights.facts import ModelFacts


def memory_of(inputs: MemoryInputs, model: ModelFacts, card: Gpu) -> Memory | Unknown:
    """What one card of the variant holds. Unknown where the model's shape is."""
    found: Memory | Unknown
    if isinstance(inputs, VllmInputs):
        found = vllm.memory(vllm.model_of(model.config, model.tensors), inputs, card)
    elif isinstance(model.header, Unknown):
        return model.header
    elif isinstance(model.tensors, Unknown):
        return model.tensors
    else:
        found = llama_cpp.memory(model.header, model.tensors, inputs, card.usable_gib)
    if not isinstance(found, Unknown) and found.verdict == "unknown":
        return Unknown(found.reason)
    return found
