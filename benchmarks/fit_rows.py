"""What does a row of the measured format say? Its shape, scheme and run, in modelctl's types."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from modelctl.facts.gpus import choice
from modelctl.fit.types import Draft, VllmInputs
from modelctl.resolved import Unknown
from modelctl.weights import config_scheme
from modelctl.weights.config_layers import mixers, state_of
from modelctl.weights.config_vision import image_tower, vision_parameters
from modelctl.weights.shape import Experts, Latent, Mixer, Scheme, Shape, State

DEFAULT_UTILIZATION = 0.9
"""Of --gpu-memory-utilization, up to vLLM 0.23; 0.92 after that."""


USUAL_POSITIONS = 40_960
"""Tokens that many models since 2024 can be asked for."""
QWEN3_VOCABULARY = 151_936
GEMMA_POSITIONS = 131_072
GEMMA_4_12B = 3840
"""Its width: it reads images without an encoder."""


_NOTHING: Mixer = "none"
"""What a layer keeps that reads another one's cache."""


@dataclass(frozen=True)
class Card:
    name: str
    usable_gib: float


@dataclass(frozen=True)
class Row:
    """One start-up. `shape` and `scheme` are Unknown where the row does not say them."""

    said: Mapping[str, Any]
    shape: Shape | Unknown
    scheme: Scheme | Unknown
    inputs: VllmInputs
    usable: float | None
    gpu: str

    @property
    def card(self) -> Card | None:
        """None where nothing says how much memory the GPU has."""
        return Card(self.gpu, self.usable) if self.usable else None

    @property
    def model(self) -> str:
        return str(self.said.get("config_of") or self.said["model"])

    @property
    def status(self) -> str:
        return str(self.said["status"])

    def number(self, name: str) -> float | None:
        value = self.said.get(name)
        return float(value) if isinstance(value, int | float) else None


def read(file: Path) -> list[Row]:
    """The rows of vLLM: those of llama.cpp say too little of how it was run."""
    lines = file.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    return [row_of(row) for row in rows if row.get("engine") == "vllm"]


def row_of(said: Mapping[str, Any]) -> Row:
    config = said.get("config")
    shape: Shape | Unknown = Unknown("no config")
    if isinstance(config, Mapping):
        try:
            shape = shape_of(config, said.get("mm"))
        except (KeyError, TypeError, ValueError) as problem:
            shape = Unknown(f"its config says too little: {problem}")
    version = version_of(said.get("vllm_version"))
    return Row(
        said=said,
        shape=shape,
        scheme=scheme_of(said, config or {}),
        inputs=VllmInputs(
            version=version,
            context=int(said.get("max_model_len") or 8192),
            dtype=str(said.get("dtype") or "auto"),
            kv_dtype=str(said.get("kv_cache_dtype") or "auto"),
            tensor=int(said.get("tp") or 1),
            pipeline=int(said.get("pp") or 1),
            data=int(said.get("dp") or 1),
            expert=bool(said.get("enable_expert_parallel")),
            utilization=said.get("gpu_memory_utilization")
            or (0.92 if version >= (0, 20) else DEFAULT_UTILIZATION),
            sequences=said.get("max_num_seqs"),
            batched_tokens=said.get("max_num_batched_tokens"),
            eager=bool(said.get("enforce_eager")),
            # A log that says no sequences does not say that nobody did: they are not held to it.
            whole_graphs=said.get("max_num_seqs") is not None,
            prefix_caching=said.get("prefix_caching"),
            multimodal=reads_images(said),
            image_share=0.0 if said.get("skip_mm_profiling") else 1.0,
            card=str(said.get("gpu") or ""),
            draft=draft_of(said),
            adapters=int(said.get("max_loras") or 1) if said.get("enable_lora") else 0,
            adapter_rank=int(said.get("max_lora_rank") or 16),
            compiled_before=str(said.get("compile_cache") or "").startswith("warm"),
            task="embed" if "embed" in str(said["model"]).lower() else "generate",
        ),
        usable=said.get("total_gib") or usable_of(str(said.get("gpu") or "")),
        gpu=str(said.get("gpu") or "unknown"),
    )


def reads_images(row: Mapping[str, Any]) -> bool:
    """Whether it may: not where a start is of text alone, or each kind is limited to none."""
    limits = row.get("limit_mm_per_prompt")
    said = limits if isinstance(limits, Mapping) else {}
    none = said.get("image") == said.get("video") == 0
    return not (row.get("language_model_only") or none or row.get("mm") is False)


def draft_of(row: Mapping[str, Any]) -> Draft | None:
    """A layer of the checkpoint that guesses ahead; of other drafts a row does not say enough."""
    said = row.get("speculative")
    if not isinstance(said, Mapping) or "mtp" not in str(said.get("method")):
        return None
    draft = str(said.get("model") or row["model"])
    if draft != row["model"] and "built-in" not in draft:
        return None
    return Draft("mtp", int(said.get("num_speculative_tokens") or 1), weights=0, layers=1)


def usable_of(gpu: str) -> float | None:
    """GiB as CUDA reports them, of cards that the table has or whose name says how many."""
    known = choice(gpu) or choice(gpu.removesuffix("-80GB")) or choice(gpu.replace("A800", "A100"))
    if known is not None:
        return known.card.usable_gib
    if gpu in ("RTX3090", "RTX4090", "RTX-3090", "RTX-4090"):
        return 23.6
    if gpu.startswith("A40 "):  # some of its 48 GB correct errors
        return 44.4
    said = re.search(r"(\d+) ?GB", gpu)
    return float(said[1]) * 0.985 if said else None


def version_of(text: Any) -> tuple[int, int]:
    """Of a range ("0.12-0.16") the middle one; what is not said is what most rows ran."""
    said = re.match(r"\D*(\d+)\.(\d+)(?:-(\d+)\.(\d+)$)?", str(text or ""))
    if said is None or str(text).startswith("0.1.dev"):  # built from a clone without tags
        return (0, 19)
    major, minor = int(said[1]), int(said[2])
    return (major, minor if said[4] is None else (minor + int(said[4])) // 2)


def shape_of(config: Mapping[str, Any], images: bool | None = None) -> Shape | Unknown:
    """`images` is False where what reads them is not loaded, None where nobody says it.

    The measured format has key names of its own for what architectures call differently.
    """
    layers = int(config["num_hidden_layers"])
    heads = int(config["num_attention_heads"])
    head_dim = int(config.get("head_dim") or config["hidden_size"] // heads)
    bias = bool(config.get("expert_bias") or config.get("mlp_bias"))
    pattern = config.get("hybrid_override_pattern")
    state = state_of(config, "nemotron_h" if pattern else "")
    words = layers_of(config, layers)
    shared = int(config.get("num_kv_shared_layers") or 0)
    own = int(config.get("hidden_size_per_layer_input") or 0)
    # Gemma 4: experts lie beside an MLP of each layer, and layers that read another one's cache
    # may have one twice as wide.
    doubled = None
    if config.get("global_head_dim"):
        doubled = layers + (shared if config.get("use_double_wide_mlp") else 0)
    # Qwen3.5 asks for states of 32 bit in its config.json, Qwen3-Next does not.
    width = 4 if config["vocab_size"] > QWEN3_VOCABULARY else None
    return Shape(
        hidden=int(config["hidden_size"]),
        vocabulary=int(config["vocab_size"]),
        layers=(*words[: layers - shared], *(_NOTHING,) * shared),
        heads=heads,
        kv_heads=int(config.get("num_key_value_heads") or heads),
        head_dim=head_dim,
        value_dim=head_dim,
        intermediate=int(config.get("intermediate_size") or 0),
        tied=bool(config.get("tie_word_embeddings")),
        gated=str(config.get("mlp") or "swiglu") not in ("gelu2", "relu2", "mlp2"),
        window=config.get("sliding_window"),
        chunk=config.get("chunked_window"),
        latent=latent_of(config),
        state=replace(state, width=width) if isinstance(state, State) else None,
        experts=experts_of(config, layers),
        query_key_norm=bool(config.get("qk_norm")),
        norms=1 if config.get("one_norm") else int(config.get("norms_per_layer") or 2),
        attention_bias=bool(config.get("qkv_bias")),
        output_bias=bool(config.get("o_bias")),
        mlp_bias=bias,
        vision=_vision_of(config, images),
        tower=image_tower(towers_of(config, images)),
        full_kv_heads=config.get("num_global_key_value_heads"),
        full_head_dim=config.get("global_head_dim"),
        other=own * layers * int(config["vocab_size"]),
        whole=3 * int(config["hidden_size"]) * layers * own,
        output_gate="full_attention_interval" in config,
        rotary=rotary_of(config),
        dense=pattern.count("-") if pattern else doubled,
        attentions=layers if shared else None,
    )


def _vision_of(config: Mapping[str, Any], images: bool | None) -> int:
    if images is False:
        return 0
    said = config.get("vision_params")
    return int(said or vision_parameters(towers_of(config, images), config["hidden_size"]))


def towers_of(config: Mapping[str, Any], images: bool | None) -> Mapping[str, Any]:
    """The measured format leaves out encoders: those of the architecture that the row describes."""
    if "vision_config" in config:
        return config
    if images and config.get("global_head_dim") and config["hidden_size"] != GEMMA_4_12B:
        return _GEMMA_4_SMALL if config.get("hidden_size_per_layer_input") else _GEMMA_4
    if "full_attention_interval" in config and config["vocab_size"] > QWEN3_VOCABULARY:
        return (
            _QWEN_3_5_SMALL if config["hidden_size"] < 4096 and not _sparse(config) else _QWEN_3_5
        )
    return config


def _sparse(config: Mapping[str, Any]) -> bool:
    return bool(config.get("num_experts"))


def _tower(layers: int, width: int, inner: int, **keys: Any) -> dict[str, Any]:
    return {"num_hidden_layers": layers, "hidden_size": width, "intermediate_size": inner,
            "patch_size": 16, **keys}  # fmt: skip


_OF_GEMMA_4 = {"model_type": "gemma4_vision", "position_embedding_size": 10240}
_GEMMA_4 = {"vision_config": _tower(27, 1152, 4304, **_OF_GEMMA_4)}
_GEMMA_4_SMALL = {
    "vision_config": _tower(16, 768, 3072, **_OF_GEMMA_4),
    "audio_config": _tower(12, 1024, 4096, model_type="gemma4_audio"),
}
_OF_QWEN_3_5 = {"model_type": "qwen3_5", "spatial_merge_size": 2, "temporal_patch_size": 2}
_QWEN_3_5 = {"vision_config": _tower(27, 1152, 4304, **_OF_QWEN_3_5)}
_QWEN_3_5_SMALL = {"vision_config": _tower(24, 1024, 4096, **_OF_QWEN_3_5)}


def rotary_of(config: Mapping[str, Any]) -> int:
    """The measured format leaves out positions: those of the architecture that the row describes.

    Gemma 3 with images stretches 131,072 by 8 for its full layers, Gemma 4 has a table for each of
    two widths; Llama 4 Scout has 10,485,760.
    """
    if full := config.get("global_head_dim"):
        small = config.get("hidden_size_per_layer_input")
        return GEMMA_POSITIONS * (1 if small else 2) * int(config["head_dim"] + full)
    positions = int(config.get("max_position_embeddings") or USUAL_POSITIONS)
    if config.get("chunked_window"):
        positions = 10_485_760 if config.get("num_experts") == 16 else 1_048_576
    elif config.get("sliding_pattern") == [5, 1] and config.get("vision_params"):
        positions = GEMMA_POSITIONS * (8 + 1)
    return positions * int(config.get("qk_rope_head_dim") or config.get("head_dim") or 128)


def layers_of(config: Mapping[str, Any], layers: int) -> tuple[Mixer, ...]:
    if every := config.get("full_attention_interval"):
        return tuple("full" if (n + 1) % every == 0 else "state" for n in range(layers))
    if config.get("layer_types") or config.get("hybrid_override_pattern"):
        named = mixers(config, "", layers)
        if not isinstance(named, Unknown):
            return named
    local: Mixer = "chunked" if config.get("chunked_window") else "sliding"
    narrow, full = config.get("sliding_pattern") or (0, 0)
    if narrow + full:
        return tuple(local if n % (narrow + full) < narrow else "full" for n in range(layers))
    if config.get("sliding_window") or config.get("chunked_window"):
        return (local,) * layers
    everywhere: Mixer = "full"
    return (everywhere,) * layers


def latent_of(config: Mapping[str, Any]) -> Latent | None:
    if not config.get("kv_lora_rank"):
        return None
    return Latent(
        rank=config["kv_lora_rank"],
        rope=int(config["qk_rope_head_dim"]),
        nope=int(config["qk_nope_head_dim"]),
        value=int(config["v_head_dim"]),
        query_rank=config.get("q_lora_rank"),
    )


def experts_of(config: Mapping[str, Any], layers: int) -> Experts | None:
    if not config.get("num_experts"):
        return None
    pattern = config.get("hybrid_override_pattern")
    # Of the two Llama 4, that with 128 experts has them in every second layer.
    usual = 2 if config.get("chunked_window") and config["num_experts"] == 128 else 1
    step = int(config.get("moe_layer_step") or config.get("interleave_moe_layer_step") or usual)
    first = int(config.get("first_k_dense") or config.get("first_k_dense_replace") or 0)
    return Experts(
        count=config["num_experts"],
        active=int(config.get("num_experts_per_tok") or 1),
        width=int(config.get("moe_intermediate_size") or config["intermediate_size"]),
        shared=int(config.get("shared_expert_intermediate_size") or 0),
        layers=pattern.count("E") if pattern else (layers - first) // step,
        hidden=config.get("moe_latent_size"),
    )


def scheme_of(said: Mapping[str, Any], config: Mapping[str, Any]) -> Scheme | Unknown:
    method = str(said.get("quant") or config.get("native_quant") or "none").lower()
    if method == "int4" and "awq" in str(said["model"]).lower():
        method = "awq"
    group = int(said.get("group_size") or config.get("quant_group_size") or 128)
    if method in ("none", "bf16", "fp16", "bfloat16", "float16"):
        return config_scheme.PLAIN
    if "mxfp4" in method:
        dense = 2.0 if config.get("num_experts") else config_scheme.MXFP4
        return Scheme("mxfp4", dense, experts=config_scheme.MXFP4)
    if "nvfp4" in method or method in ("fp4", "w4a4"):
        return Scheme("nvfp4", config_scheme.NVFP4)
    if "bnb" in method or "bitsandbytes" in method or "nf4" in method:
        return Scheme("bitsandbytes", 1.0 if "8" in method else config_scheme.BNB4)
    if "awq" in method:
        return Scheme("awq", config_scheme.packed(4, group, zeros=True))
    if "fp8" in method or method in ("w8a8_fp8",):
        each = config_scheme.BLOCK_FP8 if "block" in method else 1.0
        return Scheme("fp8", each, 2.0 if "mlp_only" in method else None)
    if "8" in method:
        return Scheme("int8", 1.0)
    if "4" in method or "gptq" in method:
        return Scheme("gptq", config_scheme.packed(4, group))
    return Unknown(f"no facts about the quantization {method}")
