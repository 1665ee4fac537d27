"""How is a checkpoint quantized, says its config.json: how many bytes does a parameter take?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelctl.resolved import Unknown
from modelctl.weights.config import inner
from modelctl.weights.shape import Scheme

Config = Mapping[str, Any]

PLAIN = Scheme("none", 2.0)
"""16 bit: what an unquantized checkpoint takes once it is loaded."""

_CACHE_KEYS = ("kv_cache_scheme", "kv_cache_quant_algo")
_SCALE = 2.0
"""Bytes of a group's scale in the model's type."""


def scheme_of(config: Config) -> Scheme | Unknown:
    said = _section(config)
    if said is None:
        return PLAIN if _width(config) is None else Scheme("none", _width(config) or 2.0)
    method = str(said.get("quant_method", said.get("quant_algo", ""))).lower()
    read = _READERS.get(method.replace("-", "_"))
    if read is None:
        return Unknown(f"no facts about the quantization {method or 'that it names'}")
    return read(said)


def named(method: str) -> Scheme | Unknown:
    """What weights take after the engine has quantized them with this method while loading."""
    found = _ONLINE.get(method.lower().replace("-", "_"))
    return found or Unknown(f"no facts about quantizing to {method} while loading")


def cache_type_of(config: Config) -> str:
    """The type that the checkpoint asks for its KV cache, in vLLM's words; `auto` for its own.

    Source: vllm/utils/torch_utils.py (get_kv_cache_quant_algo_string) and
    vllm/model_executor/layers/attention/attention.py, 0.32.0.
    """
    said = _section(config) or {}
    method = str(said.get("quant_method", "")).lower()
    inside = said.get("quantization")
    parts = [part for part in (inside, said) if isinstance(part, Mapping)]
    for asked in (part.get(name) for name in _CACHE_KEYS for part in parts):
        if isinstance(asked, Mapping):
            bits, floats = asked.get("num_bits"), asked.get("type") == "float"
            if floats and bits == 8:
                return "fp8"
            if floats and bits == 4 and method.startswith("modelopt"):
                return "nvfp4"
        if isinstance(asked, str) and method.startswith("modelopt"):
            return {"FP8": "fp8", "NVFP4": "nvfp4"}.get(asked.upper(), "auto")
    return "auto"


def packed(bits: float, group: int, zeros: bool = False) -> float:
    """Bytes of a parameter of `bits`, with a 16 bit scale (and a packed zero) for each group."""
    if group <= 0:
        return bits / 8
    return bits / 8 + (_SCALE + (bits / 8 if zeros else 0)) / group


BLOCK_FP8 = 1 + 4 / (128 * 128)
"""A byte, and a 32 bit scale for each 128 by 128."""
MXFP4 = 0.5 + 1 / 32
MXFP8 = 1 + 1 / 32
NVFP4 = 0.5 + 1 / 16
BNB4 = 0.5 + 4 / 64
"""bitsandbytes: scales of 8 bit for 64 each, that vLLM keeps as 32 bit once they are read: 2.70 GiB
of Qwen3-4B, logged by 0.18 (benchmarks/data/fifth.jsonl)."""

_ONLINE: Mapping[str, Scheme] = {
    "fp8": Scheme("fp8", 1.0),
    "fp8_per_tensor": Scheme("fp8", 1.0),
    "fp8_per_channel": Scheme("fp8", 1.0),
    "fp8_per_block": Scheme("fp8", BLOCK_FP8),
    "int8_per_channel_weight_only": Scheme("int8", 1.0),
    "experts_int8": Scheme("experts_int8", 2.0, experts=1.0),
    "mxfp8": Scheme("mxfp8", MXFP8),
    "mxfp4": Scheme("mxfp4", 2.0, experts=MXFP4),
    "nvfp4_per_token": Scheme("nvfp4", NVFP4),
    "bitsandbytes": Scheme("bitsandbytes", BNB4),
}


def _section(config: Config) -> Config | None:
    for part in (config, inner(config)):
        for name in ("quantization_config", "compression_config"):
            found = part.get(name)
            if isinstance(found, Mapping) and found:
                return found
    return None


def _width(config: Config) -> float | None:
    for part in (inner(config), config):
        said = str(part.get("dtype") or part.get("torch_dtype") or "")
        if said.endswith(("bfloat16", "float16", "half", "float32")):
            # vLLM loads float32 checkpoints at 16 bit unless it is told otherwise.
            return 2.0
    return None


def _whole(section: Config, name: str, otherwise: int) -> int:
    value = section.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def _left_out(section: Config) -> list[str]:
    found: list[str] = []
    for name in ("ignore", "modules_to_not_convert", "ignored_layers", "exclude_modules"):
        said = section.get(name)
        if isinstance(said, list):
            found += [str(value) for value in said]
    return found


def _attention(left_out: Iterable[str]) -> float | None:
    """2.0 where attention stays at 16 bit in most layers."""
    hits = [name for name in left_out if "attn" in name and not name.endswith("kv_b_proj")]
    layers = {part for name in hits for part in name.split(".") if part.isdigit()}
    patterns = any("*" in name or not any(p.isdigit() for p in name.split(".")) for name in hits)
    return 2.0 if patterns or len(layers) > 8 else None


def _fp8(section: Config) -> Scheme:
    block = section.get("weight_block_size")
    return Scheme("fp8", BLOCK_FP8 if block else 1.0, _attention(_left_out(section)))


def _groups(section: Config) -> Scheme:
    bits, group = _whole(section, "bits", 4), _whole(section, "group_size", 128)
    method = str(section.get("quant_method", "gptq"))
    zeros = method == "awq" or section.get("sym") is False
    head = packed(bits, group, zeros) if section.get("lm_head") is True else None
    return Scheme(method, packed(bits, group, zeros), _attention(_left_out(section)), head=head)


def _compressed(section: Config) -> Scheme | Unknown:
    found = section.get("config_groups")
    inside = found.values() if isinstance(found, Mapping) else ()
    groups = [group for group in inside if isinstance(group, Mapping)]
    weights = [g["weights"] for g in groups if isinstance(g.get("weights"), Mapping)]
    if not weights:
        return Unknown("its config_groups do not say how weights are quantized")
    said = weights[0]
    bits, group = _whole(said, "num_bits", 8), _whole(said, "group_size", 0)
    form = str((groups[0].get("format") or section.get("format")) or "")
    if "nvfp4" in form or (bits == 4 and said.get("type") == "float" and group == 16):
        each = NVFP4
    elif bits == 4 and said.get("type") == "float":
        each = MXFP4
    elif said.get("strategy") == "block" or said.get("block_structure"):
        each = BLOCK_FP8
    else:
        each = packed(bits, group, said.get("symmetric") is False)
    return Scheme("compressed-tensors", each, _attention(_left_out(section)))


def _mxfp4(_: Config) -> Scheme:
    return Scheme("mxfp4", 2.0, experts=MXFP4)


def _bitsandbytes(section: Config) -> Scheme:
    eight = section.get("load_in_8bit") is True and section.get("load_in_4bit") is not True
    return Scheme("bitsandbytes", 1.0 if eight else BNB4)


def _modelopt(section: Config) -> Scheme | Unknown:
    inside = section.get("quantization")
    section = inside if isinstance(inside, Mapping) else section
    algorithm = str(section.get("quant_algo", "")).upper()
    each = {"FP8": 1.0, "NVFP4": NVFP4, "MXFP8": MXFP8, "FP8_PB_WO": BLOCK_FP8}.get(algorithm)
    if each is None:
        return Unknown(f"no facts about ModelOpt's {algorithm or 'unnamed'} quantization")
    return Scheme("modelopt", each, _attention(_left_out(section)))


_READERS = {
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "gptq": _groups,
    "gptq_marlin": _groups,
    "awq": _groups,
    "awq_marlin": _groups,
    "auto_round": _groups,
    "autoround": _groups,
    "intel/auto_round": _groups,
    "compressed_tensors": _compressed,
    "mxfp4": _mxfp4,
    "gpt_oss_mxfp4": _mxfp4,
    "bitsandbytes": _bitsandbytes,
    "modelopt": _modelopt,
    "modelopt_fp4": _modelopt,
}
