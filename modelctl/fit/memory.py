"""Does this model fit this GPU, run like this? Each engine's arithmetic, behind one door."""

from __future__ import annotations

from functools import lru_cache

from msgspec.structs import replace

from modelctl.facts.gpus import Gpu
from modelctl.fit import llama_cpp, vllm
from modelctl.fit.numbers import with_numbers
from modelctl.fit.types import Memory, MemoryInputs, VllmInputs
from modelctl.resolved import Unknown
from modelctl.weights.facts import ModelFacts


def memory_of(
    inputs: MemoryInputs, model: ModelFacts, card: Gpu, *, largest: bool = False
) -> Memory | Unknown:
    """What one card of the variant holds. Unknown where the model's shape is.

    `largest` looks for the largest context that fits too, which can take longer than all the rest.
    """
    found: Memory | Unknown
    if isinstance(inputs, VllmInputs) and inputs.offload:
        return Unknown(f"{inputs.offload} keeps weights in main memory, and how many is not known")
    if isinstance(inputs, VllmInputs):
        inputs = with_numbers(inputs, model, card)
        found = vllm.memory(_checkpoint(model), inputs, card, largest=largest)
    elif isinstance(model.header, Unknown):
        return model.header
    elif isinstance(model.tensors, Unknown):
        return model.tensors
    else:
        found = llama_cpp.memory(
            model.header, model.tensors, inputs, card.usable_gib, largest=largest
        )
    if not isinstance(found, Unknown) and found.verdict == "unknown":
        return Unknown(found.reason)
    return found


def on_cpu(inputs: MemoryInputs, model: ModelFacts, asked: float | None) -> Memory | Unknown:
    """What it takes of main memory, of which `asked` GiB are asked for, None for none said."""
    if isinstance(inputs, VllmInputs):
        return Unknown("what vLLM takes of a CPU's memory is not computed")
    if isinstance(model.header, Unknown):
        return model.header
    if isinstance(model.tensors, Unknown):
        return model.tensors
    found = llama_cpp.memory(model.header, model.tensors, inputs, asked, largest=False)
    if isinstance(found, Unknown) or asked is not None:
        return found
    whole = found.weights + found.cache
    for part in found.other.values():
        whole = whole + part
    return replace(found, usable=whole.value, budget=whole.value)


@lru_cache(maxsize=64)
def _checkpoint(model: ModelFacts) -> vllm.Model:
    """Read once, however many GPUs are asked about."""
    return vllm.model_of(model.config, model.tensors)
