"""What does llama.cpp hold while it computes? The largest set of results that live at once.

ggml plans one graph for a full batch and reuses what is done with, so that the buffer is that of
its fullest step. The sums below are those steps, as ggml-alloc lays them out.
"""

from __future__ import annotations

from msgspec import Struct

from modelctl.fit.types import Interval, LlamaInputs
from modelctl.weights.gguf_layers import Keys, Layers
from modelctl.weights.shape import Header

_FLOAT, _HALF = 4, 2


class Cells(Struct, frozen=True):
    """Tokens of the cache that one stream has, in full layers and in windowed ones."""

    streams: int
    full: int
    windowed: int


def compute_buffer(
    header: Header, layers: Layers, inputs: LlamaInputs, cells: Cells, vocabulary: int
) -> Interval:
    """Bytes. Exact to some percent for attention, half as certain where layers have states."""
    keys = Keys(header)
    tokens = batch_of(inputs)
    tokens = -(-tokens // inputs.slots) * inputs.slots
    hidden, heads = keys.of("embedding_length"), keys.of("attention.head_count")
    query = heads * keys.of("attention.key_length", hidden // max(1, heads))
    latent = 0
    if keys.has("attention.key_length_mla"):
        wide, query = keys.of("attention.key_length"), heads * keys.of("attention.key_length_mla")
        latent = 2 * heads * wide + query + 3 * hidden + 3 * wide
    step = max(
        latent,
        _mlp(keys, hidden, query),
        _states(keys, hidden),
        0 if inputs.pooled else 2 * hidden + vocabulary * _outputs(inputs, tokens) / tokens,
    )
    values = step * tokens * _FLOAT
    seen = _seen(layers, cells, tokens)
    if not inputs.flash_attention and seen:
        widest = max(cells.full, cells.windowed) if any(r.keys for r in layers.rows) else tokens
        cached = max(row.keys + row.values for row in layers.rows)
        scores = heads * tokens * widest
        around = latent or 4 * hidden + query + cached
        values = max(values, (scores + tokens * around) * _FLOAT)
    masks = seen * tokens * (_HALF if inputs.flash_attention else _FLOAT)
    total = values + masks
    doubt = 0.5 if any(row.state for row in layers.rows) else 0.15
    return Interval(total, total * (1 - doubt), total * (1 + doubt))


def batch_of(inputs: LlamaInputs) -> int:
    """Tokens of the largest step."""
    return max(1, min(inputs.context, inputs.batch, inputs.ubatch))


def _outputs(inputs: LlamaInputs, tokens: int) -> int:
    return min(tokens, inputs.outputs or inputs.batch)


def _seen(layers: Layers, cells: Cells, tokens: int) -> int:
    """How many tokens the masks of attention have a column for."""
    mixers = {row.mixer for row in layers.rows}
    if mixers == {"none"}:
        return tokens
    full = cells.full if mixers & {"full", "both"} else 0
    return full + (cells.windowed if mixers & {"sliding", "chunked"} else 0)


def _mlp(keys: Keys, hidden: int, query: int) -> float:
    """Elements of a token while the widest MLP of the model runs."""
    width = keys.of("feed_forward_length")
    if keys.architecture == "bert" or keys.architecture.startswith(("gpt", "phi2", "falcon")):
        plain = width + 3 * hidden if keys.of("expert_count") == 0 else 0
    else:
        plain = 3 * width + 3 * hidden + query
    if not keys.of("expert_count"):
        return plain
    active = keys.of("expert_used_count")
    each = active * keys.of("expert_feed_forward_length", width)
    mixed = max(3 * each + 3 * hidden + query, each + 2 * active * hidden + 3 * hidden)
    return max(mixed, plain) if keys.of("leading_dense_block_count") else mixed


def _states(keys: Keys, hidden: int) -> float:
    """Elements of a token in a state-space or linear-attention layer."""
    inner = keys.of("ssm.inner_size")
    if inner:
        return 6 * inner + hidden + 3 * keys.of("ssm.group_count", 1) * keys.of("ssm.state_size")
    return 8 * hidden if keys.has("shortconv.l_cache") or keys.has("wkv.head_size") else 0
