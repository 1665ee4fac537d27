"""What does a token cost to make? Bytes that are read and parameters that are computed with."""

from __future__ import annotations

from msgspec.structs import replace

from modelctl.fit import llama_speed
from modelctl.fit.cache import cache_of
from modelctl.fit.speed import Load
from modelctl.fit.types import LlamaInputs, MemoryInputs
from modelctl.fit.weights import parts_of
from modelctl.resolved import Unknown
from modelctl.weights.config_scheme import PLAIN, named, scheme_of
from modelctl.weights.config_shape import shape_of
from modelctl.weights.facts import ModelFacts
from modelctl.weights.gguf_layers import Keys
from modelctl.weights.shape import Header

_WIDTH = 2
"""Bytes of a parameter that is not quantized: what their number is told by."""


def load_of(inputs: MemoryInputs, model: ModelFacts) -> Load | Unknown:
    """What one copy of the model reads and computes, on all its GPUs together."""
    if isinstance(inputs, LlamaInputs):
        return _of_a_gguf(inputs, model)
    if isinstance(model.config, Unknown):
        return model.config
    if inputs.task != "generate":
        return Unknown(f"a model that does {inputs.task} writes no tokens")
    shape, scheme = shape_of(model.config), scheme_of(model.config)
    if inputs.quantization is not None and scheme == PLAIN:
        scheme = named(inputs.quantization)
    if isinstance(shape, Unknown):
        return shape
    if isinstance(scheme, Unknown):
        return scheme
    alone = replace(inputs, tensor=1, pipeline=1, data=1, sequences=1)
    layout = cache_of(shape, alone)
    if isinstance(layout, Unknown):
        return layout
    parts = parts_of(shape, scheme, alone)
    plain = parts_of(shape, PLAIN, replace(alone, dtype="auto"))
    head = parts.head or parts.embedding
    experts = shape.experts
    share = experts.active / experts.count if experts else 0.0
    grown = layout.bytes_for(_FAR + _MORE) - layout.bytes_for(_FAR)
    kv = grown / _MORE
    made = plain.layers + plain.experts * share + (plain.head or plain.embedding)
    return Load(
        dense=parts.layers + head,
        parameters=made / _WIDTH,
        kv=kv,
        bits=8 * _WIDTH * (parts.layers + parts.experts) / (plain.layers + plain.experts),
        experts=parts.experts,
        count=experts.count if experts else 0,
        active=experts.active if experts else 0,
        fixed=max(0.0, layout.bytes_for(_FAR) - kv * _FAR),
    )


def cards_at_work(inputs: MemoryInputs, count: int) -> int:
    """How many of a variant's cards read and compute for a token at the same time."""
    if isinstance(inputs, LlamaInputs) and inputs.split in ("layer", "none"):
        return 1  # one hands on to the next
    return max(1, count)


def at_once(inputs: MemoryInputs, asked: int) -> int:
    """How many of so many requests are answered at the same time; the others wait."""
    return min(asked, inputs.slots) if isinstance(inputs, LlamaInputs) else asked


def _of_a_gguf(inputs: LlamaInputs, model: ModelFacts) -> Load | Unknown:
    if isinstance(model.header, Unknown):
        return model.header
    if isinstance(model.tensors, Unknown):
        return model.tensors
    if inputs.pooled:
        return Unknown("a model that embeds writes no tokens")
    if inputs.by_hand:
        return Unknown(f"{inputs.by_hand} says what runs where, which is not followed")
    beside = inputs.gpu_layers is not None and inputs.gpu_layers <= _layers(model.header)
    if beside or inputs.cpu_expert_layers or not inputs.kv_on_gpu:
        return Unknown("a part of it runs on the CPU, whose speed is not computed")
    return llama_speed.load_of(model.header, model.tensors, inputs)


def _layers(header: Header) -> int:
    return Keys(header).of("block_count")


_FAR, _MORE = 2**17, 2**16
"""Tokens at which all windows are full, and by how many more the growth is told."""
