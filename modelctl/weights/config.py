"""What does a checkpoint's config.json say? The values worth keeping, and the facts in them."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

from modelctl.resolved import Unknown

MAX_TEXT = 200
MAX_ITEMS = 256
MAX_NESTING = 6
"""compressed-tensors has the width of its weights at the fourth level."""
_LEFT_OUT = object()
QUANT_CONFIG = "hf_quant_config.json"
_NOISE = {"id2label", "label2id", "task_specific_params", "transformers_version", "_name_or_path"}

SENTENCE_CONFIGS = tuple(
    f"sentence_{model}_config.json"
    for model in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""Where sentence-transformers keeps the length that a model was trained with."""

ENCODER, TOKENIZER = "sentence_bert_config", "tokenizer_config"
"""Under which of our own keys the values of those two other files are kept."""

# vllm/transformers_utils/model_arch_config_convertor.py (0.32), derive_max_model_len_and_key.
_LENGTHS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "max_target_positions",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
)
# vllm/config/model.py (0.32), _get_and_verify_max_len: those whose factor is in the length already.
_ALREADY_SCALED = {"su", "longrope", "llama3", "default", "mrope"}
_YARN = {"yarn", "deepseek_yarn", "deepseek_llama_scaling"}
_INNER = ("text_config", "llm_config", "language_config", "thinker_config")
_UNSAID = Unknown("not in config.json")


LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
ADAPTER_RANK = "r"
"""What an adapter's adapter_config.json calls its rank."""
_NUMBER = 2
"""Bytes of one number at 16 bit."""


def cache_per_token(config: Mapping[str, Any]) -> int | Unknown:
    """What the KV cache takes for one token at 16 bit, in bytes: all layers, keys and values.

    Sliding windows take less; what is said here is never too little.
    """
    layers = number(config, *LAYERS)
    if isinstance(layers, Unknown):
        return layers
    latent, rope = number(config, "kv_lora_rank"), number(config, "qk_rope_head_dim")
    if isinstance(latent, int) and isinstance(rope, int):
        return layers * (latent + rope) * _NUMBER
    heads = number(config, "num_attention_heads", "n_head")
    if isinstance(heads, Unknown):
        return heads
    shared, width = number(config, "num_key_value_heads"), number(config, "head_dim")
    if isinstance(width, Unknown):
        hidden = number(config, "hidden_size", "n_embd")
        if isinstance(hidden, Unknown) or heads < 1:
            return _UNSAID
        width = hidden // heads
    return layers * (heads if isinstance(shared, Unknown) else shared) * width * 2 * _NUMBER


def kept(config: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values, without long lists and names: what arithmetic may need of a config.

    null is a value: a window of null is none, and one that is not there is the engine's default.
    """
    found = {name: _plain(value, 1) for name, value in config.items() if name not in _NOISE}
    return {name: value for name, value in found.items() if value is not _LEFT_OUT}


def gathered(paths: Container[str], read: Callable[[str], Any]) -> dict[str, Any]:
    """What is worth keeping of config.json and of the files beside it that change what it means.

    An adapter has its rank alone. `read` gives a file's JSON, or None where it has none.
    """

    def section(path: str) -> Mapping[str, Any]:
        found = read(path) if path in paths else None
        return found if isinstance(found, dict) else {}

    said = section("config.json")
    if not said:
        rank = section("adapter_config.json").get(ADAPTER_RANK)
        return {ADAPTER_RANK: rank} if isinstance(rank, int) else {}
    found = kept(said)
    if not said.get("quantization_config"):
        found = _with_modelopt(found, section(QUANT_CONFIG))
    sentence = next((name for name in SENTENCE_CONFIGS if name in paths), "")
    for ours, path, value in (
        (ENCODER, sentence, "max_seq_length"),
        (TOKENIZER, "tokenizer_config.json", "model_max_length"),
    ):
        length = section(path).get(value)
        if isinstance(length, int):
            found[ours] = {value: length}
    return found


def _with_modelopt(config: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The same with what hf_quant_config.json says, which vLLM reads where config.json has none.

    NVIDIA's ModelOpt wrote it there until its version 0.29.
    """
    section = said.get("quantization")
    if not isinstance(section, Mapping):
        return config
    return {**config, "quantization_config": kept({**section, "quant_method": "modelopt"})}


def architecture(config: Mapping[str, Any]) -> str | Unknown:
    named = config.get("architectures")
    return named[0] if isinstance(named, list) and named and isinstance(named[0], str) else _UNSAID


def quantization(config: Mapping[str, Any]) -> str | Unknown:
    """The method that the checkpoint was quantized with; its number type where it was not."""
    for section in (config, inner(config)):
        said = section.get("quantization_config") or section.get("compression_config")
        if isinstance(said, Mapping):
            method = said.get("quant_method")
            return method if isinstance(method, str) else _UNSAID
    dtype = config.get("dtype") or config.get("torch_dtype")
    dtype = dtype or inner(config).get("dtype") or inner(config).get("torch_dtype")
    return dtype if isinstance(dtype, str) else _UNSAID


def inner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The language model's part, where the model has others (images, audio)."""
    for name in _INNER:
        # Asking an ABC about None is slow, and most configurations have none of these.
        if name in config and isinstance(section := config[name], Mapping):
            return inner(section)
    return config


def number(config: Mapping[str, Any], *names: str) -> int | Unknown:
    """The first of these keys that holds a whole number, in the language model's part."""
    for section in (inner(config), config):
        for name in names:
            value = section.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return value
    return _UNSAID


def context_length(config: Mapping[str, Any]) -> int | Unknown:
    """The longest request that the checkpoint was made for, in tokens, as vLLM works it out.

    Unknown where engines may read the same file differently: nothing is refused for a guess.
    """
    encoder = config.get(ENCODER)
    if isinstance(encoder, Mapping) and isinstance(encoder.get("max_seq_length"), int):
        return int(encoder["max_seq_length"])
    language = inner(config)
    own = _length(language.get("model_max_length"))
    known = [own] if own else [n for name in _LENGTHS if (n := _length(language.get(name)))]
    if not known:
        return _UNSAID
    length = min(known)
    tokenizer = config.get(TOKENIZER)
    if isinstance(tokenizer, Mapping) and config.get("position_embedding_type") == "absolute":
        length = min(length, _length(tokenizer.get("model_max_length")) or length)
    return _scaled(length, language)


def _scaled(length: int, config: Mapping[str, Any]) -> int | Unknown:
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    if not isinstance(scaling, Mapping) or "gemma3" in str(config.get("model_type")):
        return length
    layers = [part for part in scaling.values() if isinstance(part, Mapping)] or [scaling]
    for part in layers:
        kind, factor = part.get("rope_type") or part.get("type"), part.get("factor")
        if kind is None or kind in _ALREADY_SCALED or not isinstance(factor, int | float):
            continue
        if kind not in _YARN:
            return int(length * factor)
        original = _length(part.get("original_max_position_embeddings"))
        if not original or int(original * factor) != length:
            return Unknown(f"config.json scales its {length:,} tokens by {kind}")
    return length


def _length(value: Any) -> int | None:
    """Tokenizers write 1e30 for "no limit"."""
    real = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**9
    return value if real else None


def _plain(value: Any, depth: int) -> Any:
    """The value, or _LEFT_OUT where it is not worth a line."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else _LEFT_OUT
    if isinstance(value, list):
        short = len(value) <= MAX_ITEMS and all(
            v is None or isinstance(v, bool | int | float | str) for v in value
        )
        return value if short else _LEFT_OUT
    if isinstance(value, Mapping) and depth < MAX_NESTING and len(value) <= MAX_ITEMS:
        found = {k: _plain(v, depth + 1) for k, v in value.items() if k not in _NOISE}
        return {k: v for k, v in found.items() if v is not _LEFT_OUT}
    return _LEFT_OUT
