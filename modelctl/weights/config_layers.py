"""How does each layer look back, says a config.json, and what does a layer with a state keep?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelctl.resolved import Unknown
from modelctl.weights.shape import Mixer, State

Config = Mapping[str, Any]

_WORDS: Mapping[str, Mixer] = {
    "full_attention": "full",
    "attention": "full",
    "global_attention": "full",
    "sliding_attention": "sliding",
    "sliding_window_attention": "sliding",
    "chunked_attention": "chunked",
    "linear_attention": "state",
    "mamba": "state",
    "mamba2": "state",
    "conv": "state",
    "short_conv": "state",
    "moe": "none",
    "mlp": "none",
}
"""What configs call a layer → what it is."""

_ALTERNATING: Mapping[str, int] = {"gemma2": 2, "gemma3_text": 6, "gemma3": 6, "cohere2": 4,
                                   "gpt_oss": 2, "gemma3n_text": 5, "olmo3": 4, "exaone4": 4,
                                   "gemma4_text": 6}  # fmt: skip
"""Every how many layers one is full, where the config does not say it."""

_WIDTHS = {"float32": 4, "float16": 2, "bfloat16": 2}
_STATE_ONLY = {"mamba", "mamba2", "falcon_mamba"}


def mixers(text: Config, kind: str, layers: int) -> tuple[Mixer, ...] | Unknown:
    """One word a layer, from the config's own list or from the rule of its architecture."""
    if kind in _STATE_ONLY:
        return _all("state", layers)
    if kind == "falcon_h1":
        return _all("both", layers)
    pattern = text.get("hybrid_override_pattern")
    if isinstance(pattern, str):
        words: Mapping[str, Mixer] = {"M": "state", "*": "full", "-": "none", "E": "none"}
        if set(pattern) - set(words):
            return Unknown("hybrid_override_pattern has a layer of an unknown kind")
        return tuple(words[letter] for letter in pattern)
    named = text.get("layer_types") or text.get("layers_block_type")
    if isinstance(named, list) and len(named) == layers:
        unknown = sorted({str(name) for name in named} - set(_WORDS))
        if unknown:
            return Unknown(f"no facts about layers called {unknown[0]}")
        found = tuple(_WORDS[name] for name in named)
        if "sliding" in found and not text.get("sliding_window"):
            return tuple("full" if word == "sliding" else word for word in found)
        return found
    return _by_rule(text, kind, layers)


def _by_rule(text: Config, kind: str, layers: int) -> tuple[Mixer, ...] | Unknown:
    if kind == "jamba":
        period = _whole(text, "attn_layer_period", 8)
        offset = _whole(text, "attn_layer_offset", 4)
        return tuple("full" if n % period == offset else "state" for n in range(layers))
    if kind in ("lfm2", "lfm2_moe"):
        full = text.get("full_attn_idxs")
        if not isinstance(full, list):
            return Unknown("config.json says of no layer whether it is attention")
        return tuple("full" if n in full else "state" for n in range(layers))
    if "full_attention_interval" in text or kind.startswith(("qwen3_next", "qwen3_5")):
        every = _whole(text, "full_attention_interval", 4)
        return tuple("full" if (n + 1) % every == 0 else "state" for n in range(layers))
    if kind in ("llama4", "llama4_text"):
        return _llama4(text, layers)
    window = text.get("sliding_window")
    if kind in _ALTERNATING and window:
        every = _whole(text, "sliding_window_pattern", _ALTERNATING[kind])
        return tuple("full" if (n + 1) % every == 0 else "sliding" for n in range(layers))
    if not window or text.get("use_sliding_window") is False:
        return _all("full", layers)
    if "max_window_layers" in text:
        # transformers, Qwen2Config; without `use_sliding_window` the window is not used.
        first = layers
        if text.get("use_sliding_window") is True:
            first = _whole(text, "max_window_layers", layers)
        return tuple("sliding" if n >= first else "full" for n in range(layers))
    # vllm/engine/arg_utils.py: a window without a list of layers holds for all of them.
    return _all("sliding", layers)


def _all(word: Mixer, layers: int) -> tuple[Mixer, ...]:
    return (word,) * layers


def _llama4(text: Config, layers: int) -> tuple[Mixer, ...]:
    """transformers, Llama4TextConfig: every fourth layer has no rotary positions and is full."""
    rotary = text.get("no_rope_layers")
    every = _whole(text, "no_rope_layer_interval", 4)
    if isinstance(rotary, list) and len(rotary) == layers:
        return tuple("chunked" if uses else "full" for uses in rotary)
    return tuple("full" if (n + 1) % every == 0 else "chunked" for n in range(layers))


def state_of(text: Config, kind: str) -> State | Unknown | None:
    """Sizes as vLLM 0.32's mamba_utils.py computes them for one GPU."""
    if "linear_num_value_heads" in text:
        keys = _whole(text, "linear_num_key_heads", 0) * _whole(text, "linear_key_head_dim", 0)
        heads = _whole(text, "linear_num_value_heads", 0)
        width = _whole(text, "linear_value_head_dim", 0)
        return State(
            channels=2 * keys + heads * width,
            kernel=_whole(text, "linear_conv_kernel_dim", 4),
            heads=heads,
            rows=width,
            columns=_whole(text, "linear_key_head_dim", 0),
            kind="delta",
            width=_WIDTHS.get(str(text.get("mamba_ssm_dtype"))),
        )
    if kind in ("lfm2", "lfm2_moe"):
        hidden = _whole(text, "conv_dim", _whole(text, "hidden_size", 0))
        return State(hidden, _whole(text, "conv_L_cache", 3), 0, 0, 0, "convolution")
    if kind in ("mamba", "falcon_mamba", "jamba"):
        width = _whole(text, "intermediate_size", 0)
        if kind == "jamba":
            width = _whole(text, "mamba_expand", 2) * _whole(text, "hidden_size", 0)
        columns = _whole(text, "mamba_d_state", _whole(text, "state_size", 16))
        kernel = _whole(text, "mamba_d_conv", _whole(text, "conv_kernel", 4))
        return State(width, kernel, heads=width, rows=1, columns=columns, kind="mamba")
    heads = _whole(text, "mamba_n_heads", _whole(text, "mamba_num_heads", 0))
    heads = heads or (_whole(text, "num_heads", 0) if kind == "mamba2" else 0)
    if not heads:
        return None
    rows = _whole(text, "mamba_d_head", _whole(text, "mamba_head_dim", 0))
    rows = rows or _whole(text, "head_dim", 0)
    columns = _whole(text, "mamba_d_state", _whole(text, "ssm_state_size", 0))
    columns = columns or _whole(text, "state_size", 128)
    groups = _whole(text, "mamba_n_groups", _whole(text, "n_groups", 1))
    kernel = _whole(text, "mamba_d_conv", _whole(text, "conv_kernel", 4))
    if not rows:
        return Unknown("config.json has no width of the state's heads")
    # vllm/model_executor/models/config.py: Nemotron-H keeps 32 bit unless its config says less.
    asked = text.get("mamba_ssm_cache_dtype", "float32" if kind == "nemotron_h" else None)
    channels = heads * rows + 2 * groups * columns
    return State(channels, kernel, heads, rows, columns, width=_WIDTHS.get(str(asked)))


def _whole(config: Config, name: str, otherwise: int) -> int:
    value = config.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
