"""What does a token cost to make? Bytes that are read and parameters that are computed with."""

from __future__ import annotations

from dataclasses import replace

from modelctl.fit.cache import cache_of
from modelctl.fit.speed import Load
from modelctl.fit.types import MemoryInputs, VllmInputs
from modelctl.fit.weights import parts_of
from modelctl.resolved import Unknown
from modelctl.weights.config_scheme import PLAIN, named, scheme_of
from modelctl.weights.config_shape import shape_of
from modelctl.weights.facts import ModelFacts

_WIDTH = 2
"""Bytes of a parameter that is not quantized: what their number is told by."""


def load_of(inputs: MemoryInputs, model: ModelFacts) -> Load | Unknown:
    """What one copy of the model reads and computes, on all its GPUs together."""
    if not isinstance(inputs, VllmInputs):
        return Unknown("the speed of llama.cpp is not computed")
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


_FAR, _MORE = 2**17, 2**16
"""Tokens at which all windows are full, and by how many more the growth is told."""
