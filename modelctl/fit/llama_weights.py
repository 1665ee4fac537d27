"""Where do the weights of a GGUF model lie? In layers that move to a GPU one by one, and beside."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from modelctl.facts.ggml import ggml_types
from modelctl.resolved import Unknown
from modelctl.weights.gguf_layers import Keys, Layers, layers_of
from modelctl.weights.shape import Header, TensorRow

_INPUTS = ("token_embd.", "position_embd.", "token_types.", "per_layer_token_embd.")
"""What is looked up, never multiplied: llama.cpp leaves it in main memory."""


class Weights(Struct, frozen=True):
    """Bytes, without what guesses ahead. `layers` and `experts` have one number a layer.

    `output` comes after the last layer; `tied` is the size of an embedding that is the output's
    matrix too, which a GPU has a second copy of.
    """

    layers: tuple[float, ...]
    experts: tuple[float, ...]
    output: float
    embedding: float
    tied: float


class GgufModel(Struct, frozen=True):
    header: Header
    layers: Layers
    weights: Weights
    vocabulary: int


def model_of(header: Header, tensors: Sequence[TensorRow]) -> GgufModel | Unknown:
    layers = layers_of(header)
    if isinstance(layers, Unknown):
        return layers
    weights = _weights(header, layers, tensors)
    if isinstance(weights, Unknown):
        return weights
    return GgufModel(header, layers, weights, _vocabulary(header, tensors))


def _weights(header: Header, layers: Layers, tensors: Sequence[TensorRow]) -> Weights | Unknown:
    """Sorted by where they lie. Rows are of several layers: each weighs what they do on average."""
    keys = Keys(header)
    count, guessing = len(layers.rows), len(layers.drafting)
    blocks = experts = output = embedding = 0.0
    tied, has_output = 0.0, False
    for row in tensors:
        kind = ggml_types().get(row.dtype)
        if kind is None:
            return Unknown(f"how many bytes a tensor of type {row.dtype} takes is not known")
        size = float(kind.bytes_of(math.prod(row.shape)) * row.count)
        if row.name.startswith("blk."):
            if ".nextn." in row.name:
                continue  # loaded only to guess ahead
            if row.count == count + guessing:
                size *= count / row.count
            blocks, experts = (
                (blocks, experts + size) if "_exps." in row.name else (blocks + size, experts)
            )
        elif row.name.startswith(_INPUTS):
            embedding += size
            tied = size if row.name.startswith("token_embd.weight") else tied
        else:
            output += size
            has_output = has_output or row.name == "output.weight"
    lead = min(count - 1, keys.of("leading_dense_block_count"))
    sparse = [0.0 if n < lead else experts / (count - lead) for n in range(count)]
    if has_output or all(row.mixer == "none" for row in layers.rows):
        tied = 0.0
    return Weights((blocks / count,) * count, tuple(sparse), output, embedding, tied)


def _vocabulary(header: Header, tensors: Sequence[TensorRow]) -> int:
    for row in tensors:
        if row.name == "token_embd.weight" and len(row.shape) > 1:
            return row.shape[1]
    value = header.get("tokenizer.ggml.tokens")
    return value if isinstance(value, int) else Keys(header).of("vocab_size")
