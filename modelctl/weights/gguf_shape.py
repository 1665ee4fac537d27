"""What shape does a GGUF model have? From its header, and from which tensors there are."""

from __future__ import annotations

from collections.abc import Sequence

from modelctl.resolved import Unknown
from modelctl.weights.gguf_layers import Keys, Layers, layers_of
from modelctl.weights.shape import Experts, Header, Latent, Shape, State, TensorRow

_DELTA = ("qwen3next", "qwen35", "qwen35moe")
_NORMS = ("attn_norm", "ffn_norm", "post_attention_norm", "post_ffw_norm", "attn_output_norm")


def gguf_shape(header: Header, tensors: Sequence[TensorRow]) -> Shape | Unknown:
    """Widths of a token's way through the model, as `shape_of` has them of a config.json."""
    layers = layers_of(header)
    if isinstance(layers, Unknown):
        return layers
    keys, names = Keys(header), {row.name for row in tensors}
    if keys.of("wkv.head_size"):
        return Unknown(f"the shape of {keys.architecture} is not known")
    hidden, heads = keys.of("embedding_length"), keys.of("attention.head_count")
    own = hidden // max(1, heads)
    plain = next((row for row in layers.rows if row.keys), None)
    wide = keys.of("attention.key_length", own)
    mixers = tuple(row.mixer for row in layers.rows)
    return Shape(
        hidden=hidden,
        vocabulary=_vocabulary(keys, tensors),
        layers=mixers,
        heads=heads,
        kv_heads=plain.keys // wide if plain and wide else 0,
        head_dim=wide,
        value_dim=keys.of("attention.value_length", own),
        intermediate=keys.of("feed_forward_length"),
        tied="output.weight" not in names,
        gated=_gated(keys, tensors),
        window=layers.window or None if "sliding" in mixers else None,
        chunk=layers.window or None if "chunked" in mixers else None,
        latent=_latent(keys),
        state=_state(keys),
        experts=_experts(keys, layers),
        query_key_norm=_has(names, "attn_q_norm.weight"),
        norms=max(1, sum(_has(names, f"{norm}.weight") for norm in _NORMS)),
        attention_bias=_has(names, "attn_q.bias") or _has(names, "attn_qkv.bias"),
        output_bias=_has(names, "attn_output.bias"),
        mlp_bias=_has(names, "ffn_up.bias"),
    )


def _has(names: set[str], ending: str) -> bool:
    return f"blk.*.{ending}" in names


def _gated(keys: Keys, tensors: Sequence[TensorRow]) -> bool:
    """A gate of its own, or one that lies in the matrix upwards (Phi, GLM)."""
    twice = 2 * keys.of("feed_forward_length")
    return any(
        row.name.startswith(("blk.*.ffn_gate.", "blk.*.ffn_gate_exps."))
        or (row.name == "blk.*.ffn_up.weight" and row.shape[-1] == twice)
        for row in tensors
    )


def _vocabulary(keys: Keys, tensors: Sequence[TensorRow]) -> int:
    found = (row.shape[1] for row in tensors if row.name == "token_embd.weight")
    return next(found, keys.of("vocab_size"))


def _latent(keys: Keys) -> Latent | None:
    rank, whole = keys.of("attention.kv_lora_rank"), keys.of("attention.key_length_mla")
    if not rank or not whole:
        return None
    rope = keys.of("rope.dimension_count")
    value = keys.of("attention.value_length_mla")
    return Latent(rank, rope, whole - rope, value, keys.of("attention.q_lora_rank") or None)


def _state(keys: Keys) -> State | None:
    hidden = keys.of("embedding_length")
    if keys.of("shortconv.l_cache"):
        return State(hidden, keys.of("shortconv.l_cache"), 0, 0, 0, kind="convolution")
    kernel, wide = keys.of("ssm.conv_kernel"), keys.of("kda.head_dim")
    if wide:
        heads = keys.of("attention.head_count")
        return State(3 * heads * wide, kernel or 4, heads, wide, wide, kind="delta")
    inner, size = keys.of("ssm.inner_size"), keys.of("ssm.state_size")
    if not inner:
        return None
    groups, ranks = keys.of("ssm.group_count"), keys.of("ssm.time_step_rank")
    if not groups:
        return State(inner, kernel, 1, inner, size, kind="mamba")
    heads = max(1, ranks)
    channels = inner + 2 * groups * size
    if keys.architecture in _DELTA:
        return State(channels, kernel, heads, inner // heads, size, kind="delta")
    return State(channels, kernel, heads, inner // heads, size, kind="mamba2")


def _experts(keys: Keys, layers: Layers) -> Experts | None:
    count = keys.of("expert_count")
    if not count:
        return None
    width = keys.of("expert_feed_forward_length", keys.of("feed_forward_length"))
    shared = keys.of("expert_shared_feed_forward_length")
    return Experts(
        count=count,
        active=keys.of("expert_used_count"),
        width=width,
        shared=shared or keys.of("expert_shared_count") * width,
        layers=len(layers.rows) - keys.of("leading_dense_block_count"),
    )
