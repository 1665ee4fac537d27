"""What does a token cost llama.cpp? Bytes that it reads for one, and what it multiplies."""

from __future__ import annotations

import math
from collections.abc import Sequence

from modelctl.fit.llama_cpp import bytes_per_token, of_a_type_unknown
from modelctl.fit.llama_weights import model_of
from modelctl.fit.speed import Load
from modelctl.fit.types import LlamaInputs
from modelctl.resolved import Unknown
from modelctl.weights.gguf_layers import Keys
from modelctl.weights.shape import Header, TensorRow

_LOOKED_UP = ("token_embd.", "position_embd.", "token_types.", "per_layer_token_embd.")
_STATE = 4


def load_of(header: Header, tensors: Sequence[TensorRow], inputs: LlamaInputs) -> Load | Unknown:
    if (unsized := of_a_type_unknown(inputs)) is not None:
        return unsized
    model = model_of(header, tensors)
    if isinstance(model, Unknown):
        return model
    keys, weights = Keys(header), model.weights
    count, active = keys.of("expert_count"), keys.of("expert_used_count")
    dense = sum(weights.layers) + weights.output + weights.tied
    experts = sum(weights.experts)
    many = few = 0.0
    for row in tensors:
        elements = float(math.prod(row.shape) * row.count)
        if "_exps." in row.name:
            few += elements
        elif not row.name.startswith(_LOOKED_UP):
            many += elements
    if weights.tied:
        many += keys.of("embedding_length") * model.vocabulary
    whole = many + few
    return Load(
        dense=dense,
        parameters=many + (few * active / count if count else few),
        kv=sum(bytes_per_token(layer, inputs) for layer in model.layers.rows),
        bits=8 * (dense + experts) / whole if whole else 0.0,
        experts=experts,
        count=count,
        active=active,
        fixed=float(sum(layer.state for layer in model.layers.rows) * _STATE),
    )
