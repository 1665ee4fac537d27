"""What shape does a config.json describe? One table of architectures, and what is special in each.

From the modeling and configuration files of transformers 5 and vLLM 0.32. An architecture that is
not in the table is Unknown: nothing is refused for a guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from modelctl.resolved import Unknown
from modelctl.weights.config import inner
from modelctl.weights.config_layers import mixers, state_of
from modelctl.weights.config_rotary import rotary_elements
from modelctl.weights.config_vision import image_tower, vision_parameters
from modelctl.weights.shape import Experts, Latent, Mixer, Shape

Config = Mapping[str, Any]


class Family(Struct, frozen=True):
    """What an architecture's config.json leaves out, because its code decides it.

    `tied` holds where the file does not say; the biases and `query_key_norm` likewise. `norms` is
    how many a layer has, beside those of queries and keys. `encoder` has no cache.
    """

    tied: bool = False
    gated: bool = True
    norms: int = 2
    query_key_norm: bool = False
    attention_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    encoder: bool = False
    positions: bool = False
    output_gate: bool = False


_LLAMA = Family()
_QWEN2 = Family(attention_bias=True)
_NORMED = Family(query_key_norm=True)
_GPT2 = Family(
    tied=True, gated=False, attention_bias=True, output_bias=True, mlp_bias=True, positions=True
)
_GATED = Family(query_key_norm=True, output_gate=True)
_BERT = Family(
    tied=True,
    gated=False,
    attention_bias=True,
    output_bias=True,
    mlp_bias=True,
    encoder=True,
    positions=True,
)

FAMILIES: Mapping[str, Family] = {
    **dict.fromkeys(
        (
            "llama", "mistral", "ministral", "mixtral", "phi3", "granite", "granitemoe",
            "granitemoeshared", "granitemoehybrid", "internlm3", "smollm3", "seed_oss", "glm",
            "deepseek_v2", "deepseek_v3", "deepseek", "kimi_k2", "minicpm", "olmo", "yi", "jamba",
            "falcon_h1", "llama4_text", "llama4", "exaone", "solar", "internlm2", "ernie4_5",
            "ernie4_5_moe", "hunyuan_v1_dense", "hunyuan_v1_moe", "bailing_moe", "bailing_moe_v2",
            "glm4_moe_lite", "aquila", "baichuan", "orion", "mellum", "helium", "phi3small",
            "mistral3", "ministral3", "mamba", "mamba2", "falcon_mamba",
        ),
        _LLAMA,
    ),
    **dict.fromkeys(("qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen2_vl_text",
                     "qwen2_5_vl_text", "qwen"), _QWEN2),
    **dict.fromkeys(
        (
            "qwen3", "qwen3_moe", "qwen3_vl_text", "qwen3_vl_moe_text", "qwen3_vl", "qwen3_vl_moe",
            "olmoe", "minimax_m2", "dots1",
        ),
        _NORMED,
    ),
    **dict.fromkeys(
        ("qwen3_next", "qwen3_5_text", "qwen3_5", "qwen3_5_moe", "qwen3_5_moe_text"), _GATED
    ),
    "lfm2": Family(tied=True, query_key_norm=True),
    "lfm2_moe": Family(tied=True, query_key_norm=True),
    "olmo2": Family(query_key_norm=True),
    "olmo3": Family(query_key_norm=True),
    "exaone4": Family(query_key_norm=True),
    "gemma": Family(tied=True),
    "gemma2": Family(tied=True, norms=4),
    "gemma3": Family(tied=True, norms=4, query_key_norm=True),
    "gemma3_text": Family(tied=True, norms=4, query_key_norm=True),
    "gemma3n_text": Family(tied=True, norms=4, query_key_norm=True),
    "gemma3n": Family(tied=True, norms=4, query_key_norm=True),
    "gemma4_text": Family(tied=True, norms=4, query_key_norm=True),
    "gemma4": Family(tied=True, norms=4, query_key_norm=True),
    "glm4": Family(norms=4),
    "glm4v_text": Family(norms=4),
    "glm4_moe": Family(),
    "glm4v_moe_text": Family(),
    "gpt_oss": Family(attention_bias=True, output_bias=True, mlp_bias=True),
    "cohere": Family(tied=True, norms=1),
    "cohere2": Family(tied=True, norms=1),
    "phi": Family(gated=False, norms=1, attention_bias=True, output_bias=True, mlp_bias=True),
    "phimoe": Family(attention_bias=True, output_bias=True),
    "nemotron": Family(gated=False),
    "nemotron_h": Family(gated=False, norms=1),
    "arcee": Family(gated=False),
    "apertus": Family(gated=False, query_key_norm=True),
    "starcoder2": Family(
        tied=True, gated=False, attention_bias=True, output_bias=True, mlp_bias=True
    ),
    "stablelm": Family(),
    "chatglm": Family(attention_bias=True),
    "falcon": Family(tied=True, gated=False),
    "gpt_neox": Family(gated=False, attention_bias=True, output_bias=True, mlp_bias=True),
    "gpt2": _GPT2,
    "gpt_bigcode": _GPT2,
    "opt": _GPT2,
    "bloom": Family(tied=True, gated=False, attention_bias=True, output_bias=True, mlp_bias=True),
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert"), _BERT),
    "nomic_bert": Family(tied=True, encoder=True),
    "modernbert": Family(tied=True, encoder=True),
}  # fmt: skip


MOST_LAYERS = 4096
"""Beyond what anybody makes: such a config.json is broken, and would be counted for minutes."""
_ATTENTION = {"full", "sliding", "chunked", "both"}


def shape_of(config: Config) -> Shape | Unknown:
    """Unknown names what is missing: an architecture, or a key of it."""
    text = inner(config)
    kind = text.get("model_type") or config.get("model_type")
    family = FAMILIES.get(str(kind))
    if family is None:
        return Unknown(f"no facts about the architecture {kind}" if kind else "no model_type")
    try:
        return _shape(config, text, str(kind), family)
    except _Missing as missing:
        return Unknown(f"config.json has no {missing}")


class _Missing(Exception):
    pass


def _shape(config: Config, text: Config, kind: str, family: Family) -> Shape | Unknown:
    hidden = _need(text, "hidden_size", "n_embd", "d_model")
    blocks = text.get("layers_block_type")
    layers = len(blocks) if isinstance(blocks, list) else 0
    layers = layers or _need(text, "num_hidden_layers", "n_layer", "num_layers", "n_layers")
    if layers > MOST_LAYERS:
        return Unknown(f"{layers:,} layers are more than any model has")
    words = mixers(text, kind, layers)
    if isinstance(words, Unknown):
        return words
    if family.encoder:
        words = _none(layers)
    heads = _number(text, "num_attention_heads", "n_head", "n_heads") or 0
    if heads == 0 and any(word in ("full", "sliding", "chunked") for word in words):
        raise _Missing("num_attention_heads")
    latent = _latent(text)
    head_dim = _number(text, "head_dim", "attention_head_dim", "kv_channels")
    head_dim = head_dim or (hidden // heads if heads else 0)
    kv_heads = _kv_heads(text, heads)
    shared = _number(text, "num_kv_shared_layers") or 0
    attentions = layers if family.encoder else None
    if shared:
        attentions = layers
        words = (*words[: layers - shared], *_none(shared))
    experts = _experts(text, kind, layers)
    full_head_dim = _number(text, "global_head_dim") or (512 if kind == "gemma4_text" else None)
    state = state_of(text, kind)
    if isinstance(state, Unknown):
        return state
    sizes = (heads, head_dim, kv_heads) if set(words) & _ATTENTION else ()
    if any(size < 1 for size in sizes) or (latent and min(latent.rank, latent.rope) < 1):
        return Unknown("config.json has sizes that no model has")
    if state and min(state.channels, state.heads, state.rows, state.columns, state.kernel - 1) < 0:
        return Unknown("config.json has sizes that no model has")
    return Shape(
        hidden=hidden,
        vocabulary=_need(text, "vocab_size", "padded_vocab_size"),
        layers=words,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        value_dim=(_number(text, "v_head_dim") if latent is None else None) or head_dim,
        intermediate=_intermediate(text, kind, hidden),
        tied=_tied(config, text, family),
        gated=family.gated,
        window=_number(text, "sliding_window") if "sliding" in words else None,
        chunk=_number(text, "attention_chunk_size") if "chunked" in words else None,
        latent=latent,
        state=state,
        experts=experts,
        query_key_norm=bool(text.get("use_qk_norm", text.get("qk_norm", family.query_key_norm))),
        norms=family.norms,
        attention_bias=_bias(text, family.attention_bias, "attention_bias", "qkv_bias", "use_bias",
                             "add_qkv_bias", "use_qkv_bias"),
        output_bias=_bias(text, family.output_bias, "attention_out_bias", "use_bias", "bias"),
        mlp_bias=_bias(text, family.mlp_bias, "mlp_bias", "use_bias"),
        vision=vision_parameters(config, hidden),
        tower=image_tower(config),
        full_kv_heads=_number(text, "num_global_key_value_heads"),
        full_head_dim=full_head_dim,
        other=_own_embeddings(text, layers),
        whole=_whole(text, kind, family, hidden, layers),
        output_gate=bool(text.get("attn_output_gate", family.output_gate)),
        rotary=rotary_elements(text, latent.rope if latent else head_dim, full_head_dim),
        dense=_dense(text, kind, layers, experts),
        attentions=attentions,
    )  # fmt: skip


def _none(layers: int) -> tuple[Mixer, ...]:
    word: Mixer = "none"
    return (word,) * layers


def _number(config: Config, *names: str) -> int | None:
    for name in names:
        value = config.get(name)
        if isinstance(value, list) and value and all(type(v) is int for v in value):
            value = max(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None


def _need(config: Config, *names: str) -> int:
    value = _number(config, *names)
    if value is None or value < 1:
        raise _Missing(names[0])
    return value


def _kv_heads(text: Config, heads: int) -> int:
    if text.get("multi_query") is True and not text.get("new_decoder_architecture"):
        return 1
    if text.get("multi_query_attention") is True:
        return _number(text, "multi_query_group_num") or 1
    return _number(text, "num_key_value_heads", "num_kv_heads") or heads


def _latent(text: Config) -> Latent | None:
    rank = _number(text, "kv_lora_rank")
    if rank is None or "qk_rope_head_dim" not in text:
        return None
    return Latent(
        rank=rank,
        rope=_need(text, "qk_rope_head_dim"),
        nope=_need(text, "qk_nope_head_dim"),
        value=_need(text, "v_head_dim"),
        query_rank=_number(text, "q_lora_rank"),
    )


def _intermediate(text: Config, kind: str, hidden: int) -> int:
    if kind in ("llama4", "llama4_text"):
        return _number(text, "intermediate_size_mlp") or 0
    width = _number(text, "intermediate_size", "ffn_hidden_size", "n_inner", "ffn_dim",
                    "shared_intermediate_size")  # fmt: skip
    if kind in ("lfm2",) and text.get("block_auto_adjust_ff_dim") and width:
        # transformers, models/lfm2/modeling_lfm2.py, Lfm2MLP.
        multiple = _number(text, "block_multiple_of") or 256
        scaled = int((text.get("block_ffn_dim_multiplier") or 1.0) * int(2 * width / 3))
        return multiple * -(-scaled // multiple)
    if kind == "qwen" and width:
        return width // 2
    if kind in ("mamba", "mamba2", "falcon_mamba"):
        return 0
    return 4 * hidden if width is None else width


def _tied(config: Config, text: Config, family: Family) -> bool:
    for section in (text, config):
        said = section.get("tie_word_embeddings")
        if isinstance(said, bool):
            return said
    return family.tied


def _bias(text: Config, otherwise: bool, *names: str) -> bool:
    for name in names:
        if isinstance(text.get(name), bool):
            return bool(text[name])
    return otherwise


def _experts(text: Config, kind: str, layers: int) -> Experts | None:
    count = _number(text, "num_experts", "n_routed_experts", "num_local_experts",
                    "moe_num_experts")  # fmt: skip
    if not count or count < 2:
        return None
    width = _number(text, "moe_intermediate_size", "expert_ffn_hidden_size")
    width = width or _need(text, "intermediate_size")
    shared = _number(text, "shared_expert_intermediate_size",
                     "moe_shared_expert_intermediate_size")  # fmt: skip
    if shared is None:
        number = _number(text, "n_shared_experts", "num_shared_experts", "num_shared_expert",
                         "moe_num_shared_experts") or 0  # fmt: skip
        shared = number * width
        if kind in ("granitemoeshared", "granitemoehybrid"):
            shared = _number(text, "shared_intermediate_size") or 0
        if kind in ("llama4", "llama4_text"):
            shared = width
    return Experts(
        count=count,
        active=_number(text, "num_experts_per_tok", "moe_topk", "moe_k", "num_experts_per_token",
                       "top_k_experts") or 1,
        width=width,
        shared=shared,
        layers=_sparse(text, kind, layers),
        hidden=_number(text, "moe_latent_size"),
    )  # fmt: skip


def _sparse(text: Config, kind: str, layers: int) -> int:
    """How many layers have experts."""
    pattern = text.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        return pattern.count("E")
    for name in ("mlp_layer_types", "layers_block_type"):
        kinds = text.get(name)
        if isinstance(kinds, list) and {"sparse", "moe"} & set(kinds):
            return kinds.count("sparse") + kinds.count("moe")
    if kind in ("llama4", "llama4_text"):
        named = text.get("moe_layers")
        return (
            len(named)
            if isinstance(named, list) and named
            else (layers // (_number(text, "interleave_moe_layer_step") or 1))
        )
    if kind == "jamba":
        period = _number(text, "expert_layer_period") or 2
        offset = _number(text, "expert_layer_offset") or 1
        return sum(1 for layer in range(layers) if layer % period == offset)
    start = _number(text, "first_k_dense_replace", "moe_layer_start_index", "num_dense_layers",
                    "first_k_dense") or 0  # fmt: skip
    dense = text.get("mlp_only_layers")
    only = set(dense) if isinstance(dense, list) else set()
    step = _number(text, "decoder_sparse_step", "moe_layer_interval", "moe_layer_freq") or 1
    if "decoder_sparse_step" in text:
        return sum(1 for n in range(layers) if n not in only and (n + 1) % step == 0)
    return sum(1 for n in range(start, layers) if n not in only and n % step == 0)


def _dense(text: Config, kind: str, layers: int, experts: Experts | None) -> int | None:
    """How many layers have an MLP of their own; None where all have that have no experts."""
    pattern = text.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        return pattern.count("-")
    blocks = text.get("layers_block_type")
    if isinstance(blocks, list) and "mlp" in blocks:
        return blocks.count("mlp")
    if kind in ("mamba", "mamba2", "falcon_mamba"):
        return 0
    if kind == "gemma4_text":
        # Layers that read another one's cache may have an MLP of twice the width.
        doubled = _number(text, "num_kv_shared_layers") or 0
        return layers + (doubled if text.get("use_double_wide_mlp") is True else 0)
    if kind == "granitemoehybrid" and experts:
        return 0
    return None


def _own_embeddings(text: Config, layers: int) -> int:
    """Gemma 3n and 4: a table for each layer beside the one for all."""
    width = _number(text, "hidden_size_per_layer_input") or 0
    rows = _number(text, "vocab_size_per_layer_input") or _need(text, "vocab_size")
    return width * layers * rows


def _whole(text: Config, kind: str, family: Family, hidden: int, layers: int) -> int:
    found = 0
    if family.positions:
        found += hidden * (_number(text, "max_position_embeddings", "n_positions") or 0)
        found += hidden * (_number(text, "type_vocab_size") or 0)
    found += 3 * hidden * layers * (_number(text, "hidden_size_per_layer_input") or 0)
    if kind.startswith("gemma3n"):
        ways = (_number(text, "altup_num_inputs") or 1) - 1
        found += 2 * layers * hidden * (_number(text, "laurel_rank") or 0)
        found += 2 * ways * hidden * hidden
    return found
