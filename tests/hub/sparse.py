"""What does a large checkpoint look like, without its weights? True headers over files of holes."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Tensor = tuple[str, str, tuple[int, ...]]

BITS = {"F32": 32, "BF16": 16, "F16": 16, "F8_E4M3": 8, "U8": 8, "I8": 8, "I32": 32}

QWEN3_8B: Mapping[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "head_dim": 128,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "max_position_embeddings": 40960,
    "num_attention_heads": 32,
    "num_hidden_layers": 36,
    "num_key_value_heads": 8,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "vocab_size": 151936,
}
QWEN3_30B_A3B: Mapping[str, Any] = {
    **QWEN3_8B,
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "decoder_sparse_step": 1,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "mlp_only_layers": [],
    "moe_intermediate_size": 768,
    "norm_topk_prob": True,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
}


def tensors(config: Mapping[str, Any], *, linear: str = "BF16") -> Iterator[Tensor]:
    """Those of a Llama or Qwen3, with experts where the config has some.

    `linear` is the type of what stands between the embeddings; F8_E4M3 has a scale for each block
    of 128 by 128 beside it.
    """
    hidden, heads, width = config["hidden_size"], config["num_attention_heads"], config["head_dim"]
    shared = config["num_key_value_heads"]

    def matrix(name: str, rows: int, columns: int) -> Iterator[Tensor]:
        yield f"{name}.weight", linear, (rows, columns)
        if linear == "F8_E4M3":
            yield f"{name}.weight_scale_inv", "BF16", (-(-rows // 128), -(-columns // 128))

    def mlp(stem: str, inner: int) -> Iterator[Tensor]:
        yield from matrix(f"{stem}.gate_proj", inner, hidden)
        yield from matrix(f"{stem}.up_proj", inner, hidden)
        yield from matrix(f"{stem}.down_proj", hidden, inner)

    yield "model.embed_tokens.weight", "BF16", (config["vocab_size"], hidden)
    for number in range(config["num_hidden_layers"]):
        layer = f"model.layers.{number}"
        yield f"{layer}.input_layernorm.weight", "BF16", (hidden,)
        yield from matrix(f"{layer}.self_attn.q_proj", heads * width, hidden)
        yield from matrix(f"{layer}.self_attn.k_proj", shared * width, hidden)
        yield from matrix(f"{layer}.self_attn.v_proj", shared * width, hidden)
        yield from matrix(f"{layer}.self_attn.o_proj", hidden, heads * width)
        if str(config["model_type"]).startswith("qwen3"):
            yield f"{layer}.self_attn.q_norm.weight", "BF16", (width,)
            yield f"{layer}.self_attn.k_norm.weight", "BF16", (width,)
        yield f"{layer}.post_attention_layernorm.weight", "BF16", (hidden,)
        if "num_experts" in config:
            yield f"{layer}.mlp.gate.weight", "BF16", (config["num_experts"], hidden)
            for expert in range(config["num_experts"]):
                yield from mlp(f"{layer}.mlp.experts.{expert}", config["moe_intermediate_size"])
        else:
            yield from mlp(f"{layer}.mlp", config["intermediate_size"])
    yield "model.norm.weight", "BF16", (hidden,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", "BF16", (config["vocab_size"], hidden)


def size_of(found: Iterable[Tensor]) -> int:
    """The bytes of the tensors' data."""
    return sum(math.prod(shape) * BITS[dtype] // 8 for _, dtype, shape in found)


def make_checkpoint(
    folder: Path, config: Mapping[str, Any], found: Iterable[Tensor], *, shards: int = 1
) -> Path:
    """A repository's folder: as large as it says, and hardly a block on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    every = list(found)
    if shards == 1:
        write_holes(folder / "model.safetensors", every)
        return folder
    where: dict[str, str] = {}
    for number in range(shards):
        name = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        part = every[number::shards]
        write_holes(folder / name, part)
        where |= {tensor: name for tensor, _, _ in part}
    index = {"metadata": {"total_size": size_of(every)}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder


def write_holes(path: Path, found: Sequence[Tensor]) -> None:
    """A safetensors file with a true header, and nothing where its data would be."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, dtype, shape in found:
        begin, end = end, end + size_of([(name, dtype, shape)])
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)
