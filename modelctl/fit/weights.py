"""How many bytes of weights lie on one GPU? From the tensors, or from a shape where none are known.

What is divided and what lies whole on every GPU is as vLLM 0.32's layers load it.
"""

from __future__ import annotations

from msgspec import Struct

from modelctl.facts.memory import mxfp4_padding
from modelctl.fit.types import Interval, VllmInputs
from modelctl.weights.config_scheme import MXFP4
from modelctl.weights.shape import Scheme, Shape

PLAIN_BYTES = {"float32": 4, "float": 4}
"""Bytes of one unquantized number; 2 for every other type."""

_SURE, _HARDLY = 0.01, 0.25
"""How far off, either way: what follows from the shape, and what reads images."""


class Parts(Struct, frozen=True):
    """Bytes on the fullest GPU, by what they are."""

    layers: float
    experts: float
    embedding: float
    head: float
    vision: float
    copies: float
    tables: float

    @property
    def total(self) -> float:
        return sum(
            (
                self.layers,
                self.experts,
                self.embedding,
                self.head,
                self.vision,
                self.copies,
                self.tables,
            )
        )


def by_shape(shape: Shape, scheme: Scheme, inputs: VllmInputs) -> Interval:
    """By arithmetic: what each layer's matrices take on the GPU that has most of them."""
    parts = parts_of(shape, scheme, inputs)
    sure = parts.total - parts.vision
    low = sure * (1 - _SURE) + parts.vision * (1 - _HARDLY)
    whole = parts.vision * (inputs.tensor - 1) if inputs.tensor > 1 else 0.0
    high = sure * (1 + _SURE) + parts.vision * (1 + _HARDLY) + whole
    if not inputs.multimodal:
        high += shape.vision * 2
    ahead = _ahead(shape, parts, inputs)
    return Interval(parts.total, low, high) + Interval(ahead, 0.0, ahead * 1.25)


def _ahead(shape: Shape, parts: Parts, inputs: VllmInputs) -> float:
    """Layers of the checkpoint that guess ahead: each like one of the model's, and two widths put
    together to one. They are no less precise than the others."""
    draft = inputs.draft
    if draft is None or not draft.of_the_checkpoint:
        return 0.0
    one = parts.layers / max(1, len(shape.layers))
    if shape.experts is not None:
        one += parts.experts / max(1, shape.experts.layers)
    return draft.layers * (one + 2 * shape.hidden * shape.hidden * 2 / inputs.tensor)


def parts_of(shape: Shape, scheme: Scheme, inputs: VllmInputs) -> Parts:
    tensor = inputs.tensor
    plain = PLAIN_BYTES.get(inputs.dtype, 2)
    linear = scheme.linear if scheme.method != "none" else plain
    attention = linear if scheme.attention is None else scheme.attention
    each = linear if scheme.experts is None else scheme.experts
    stage = stage_of(shape, inputs.pipeline)
    layers = stage * (
        _attention(shape, attention, plain, tensor)
        + _states(shape, attention, plain, tensor)
        + _dense(shape, linear, plain, tensor)
        + _norms(shape) * plain
    )
    experts = stage * _experts(shape, each, linear, plain, inputs)
    rows = padded(shape.vocabulary, 64)
    embedding = (
        rows * shape.hidden * plain / tensor + shape.other * plain / tensor + shape.whole * plain
    )
    head = 0.0 if shape.tied else rows * shape.hidden * (scheme.head or plain) / tensor
    if inputs.task != "generate":
        head = 0.0
    if inputs.pipeline > 1:
        # The first stage has the embedding, the last the head: the fuller one counts.
        embedding, head = max(embedding, head or embedding), 0.0
    return Parts(
        layers=layers,
        experts=experts,
        embedding=embedding,
        head=head,
        # What reads no images is not loaded: `_mark_tower_model`,
        # vllm/model_executor/models/interfaces.py, 0.32.0; by nearly all models.
        vision=shape.vision * 2 / tensor if inputs.multimodal else 0.0,
        copies=stage * copies_of(shape, tensor),
        tables=shape.rotary * plain,
    )


def stage_of(shape: Shape, pipeline: int) -> float:
    """Which share of the layers the fullest stage has."""
    count = len(shape.layers)
    return -(-count // pipeline) / count if count else 1.0


def padded(number: int, multiple: int) -> int:
    return multiple * -(-number // multiple)


def local_kv_heads(kv_heads: int, tensor: int) -> int:
    return max(1, kv_heads // tensor)


def _attention(shape: Shape, each: float, plain: int, tensor: int) -> float:
    kinds = shape.layers
    full = kinds.count("full") + kinds.count("both")
    narrow = kinds.count("sliding") + kinds.count("chunked")
    count = full + narrow if shape.attentions is None else shape.attentions
    if count == 0:
        return 0.0
    if shape.latent is not None:
        return count * _latent(shape, each, plain, tensor)
    wide = shape.full_head_dim or shape.head_dim
    if shape.full_head_dim is None and shape.full_kv_heads is None:
        return count * _heads(shape, shape.head_dim, shape.kv_heads, each, plain, tensor)
    # Layers that share a cache are of both kinds in the same proportion.
    share = count / (full + narrow) if full + narrow else 1.0
    return share * (
        full * _heads(shape, wide, shape.full_kv_heads or shape.kv_heads, each, plain, tensor)
        + narrow * _heads(shape, shape.head_dim, shape.kv_heads, each, plain, tensor)
    )


def _heads(
    shape: Shape, head_dim: int, kv_heads: int, each: float, plain: int, tensor: int
) -> float:
    value = shape.value_dim if head_dim == shape.head_dim else head_dim
    query = shape.heads * head_dim / tensor
    keys = local_kv_heads(kv_heads, tensor) * (head_dim + value)
    out = shape.heads * value / tensor
    if shape.output_gate:
        query *= 2
    biases = (query + keys) * shape.attention_bias + shape.hidden * shape.output_bias
    norms = 2 * head_dim if shape.query_key_norm else 0
    return shape.hidden * (query + keys + out) * each + (biases + norms) * plain


def _latent(shape: Shape, each: float, plain: int, tensor: int) -> float:
    latent = shape.latent
    assert latent is not None
    hidden, heads = shape.hidden, shape.heads / tensor
    wide = heads * (latent.nope + latent.rope)
    rank = latent.query_rank
    query = hidden * rank + rank * wide if rank else hidden * wide
    keys = hidden * (latent.rank + latent.rope) + latent.rank * heads * (latent.nope + latent.value)
    out = heads * latent.value * hidden
    return (query + keys + out) * each + ((rank or 0) + latent.rank) * plain


def copies_of(shape: Shape, tensor: int) -> float:
    """vLLM keeps what expands the latent in 16 bit too, split in two (mla_attention.py)."""
    latent = shape.latent
    if latent is None:
        return 0.0
    count = shape.layers.count("full") if shape.attentions is None else shape.attentions
    return count * latent.rank * shape.heads * (latent.nope + latent.value) * 2 / tensor


def _states(shape: Shape, each: float, plain: int, tensor: int) -> float:
    state = shape.state
    if state is None:
        return 0.0
    hidden, inner = shape.hidden, state.heads * state.rows
    convolution = state.channels * state.kernel
    if state.heads == 0:
        matrices = 4.0 * hidden * state.channels
    elif state.kind == "mamba":
        rank = -(-hidden // 16)
        matrices = 3.0 * hidden * inner + inner * (2 * rank + 3 * state.columns)
    else:
        gates = 2 if state.kind == "delta" else 1
        matrices = 1.0 * hidden * (state.channels + 2 * inner + gates * state.heads)
    count = shape.layers.count("state") + shape.layers.count("both")
    return count * (matrices * each + convolution * plain) / tensor


def _matrices(shape: Shape) -> int:
    return 3 if shape.gated else 2


def _dense(shape: Shape, each: float, plain: int, tensor: int) -> float:
    sparse = shape.experts.layers if shape.experts else 0
    count = len(shape.layers) - sparse if shape.dense is None else shape.dense
    width = shape.intermediate / tensor
    biases = (_matrices(shape) - 1) * width + shape.hidden if shape.mlp_bias else 0
    return count * (_matrices(shape) * shape.hidden * width * each + biases * plain)


def _experts(shape: Shape, each: float, linear: float, plain: int, inputs: VllmInputs) -> float:
    experts = shape.experts
    if experts is None:
        return 0.0
    ranks = inputs.tensor * inputs.data
    count = float(experts.count)
    hidden = float(experts.hidden or shape.hidden)
    width: float = experts.width / ranks
    if inputs.expert:
        width, count = float(experts.width), experts.count / ranks
    if each == MXFP4:
        hidden, width = map(float, mxfp4_sizes(int(hidden), width, inputs))
    routed = count * (
        _matrices(shape) * hidden * width * each
        + ((_matrices(shape) - 1) * width + shape.hidden) * plain * shape.mlp_bias
    )
    shared = _matrices(shape) * shape.hidden * experts.shared / inputs.tensor * linear
    router = float(shape.hidden * experts.count * plain)
    if experts.hidden is not None:
        router += 2 * shape.hidden * experts.hidden * linear
    return experts.layers * (routed + shared + router)


def mxfp4_sizes(hidden: int, width: float, inputs: VllmInputs) -> tuple[int, int]:
    """What the kernels round an expert's sizes up to."""
    of_hidden, of_width = mxfp4_padding(inputs.version, inputs.card)
    return padded(hidden, of_hidden), padded(int(width), of_width)


def _norms(shape: Shape) -> float:
    return len(shape.layers) * shape.norms * shape.hidden + shape.hidden
