"""Into how many equal parts can a model be cut: its heads, its vocabulary, its blocks of FP8?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modelctl.resolved import Unknown
from modelctl.weights.config import inner, number

# vllm/transformers_utils/model_arch_config_convertor.py (0.32), and what attribute maps add.
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_KV_HEADS = (
    "num_key_value_heads",
    "n_head_kv",
    "num_kv_heads",
    "multi_query_group_num",
    "num_attention_groups",
)
_EXPERT_WIDTH = ("moe_intermediate_size", "expert_ffn_hidden_size")
# vllm/model_executor/layers/vocab_parallel_embedding.py: DEFAULT_VOCAB_PADDING_SIZE
_PADDED_TO = 64
# vllm/model_executor/layers/fused_moe/oracle/fp8.py: refine_fp8_moe_block_shape (0.32)
_SMALLEST_BLOCK = 32
_OF_THE_MLP = ("mlp", "down_proj", "gate_proj", "up_proj", "experts")

Against = Callable[[int], str]
"""What stands against a number of GPUs, "" for nothing; what is not known never does."""


def against_cutting(config: Mapping[str, Any]) -> Against:
    """Of the attention heads, the KV heads (or copies of one) and the vocabulary."""
    decoder = not config.get("is_encoder_decoder")
    heads, shared = number(config, *_HEADS), number(config, *_KV_HEADS)
    vocabulary = number(config, "vocab_size")
    latent = isinstance(number(config, "kv_lora_rank"), int)

    def against(parts: int) -> str:
        if not decoder:
            return ""
        if isinstance(heads, int) and heads % parts:
            return f"{heads} attention heads cannot be shared out among {parts} GPUs"
        uneven = isinstance(shared, int) and shared > 0 and shared % parts and parts % shared
        if uneven and not latent:
            return f"{shared} KV heads cannot be shared out among {parts} GPUs"
        if isinstance(vocabulary, int):
            padded = math.ceil(vocabulary / _PADDED_TO) * _PADDED_TO
            if padded % parts:
                size = f"{vocabulary:,} tokens"
                if padded != vocabulary:
                    size += f", padded to {padded:,},"
                return f"a vocabulary of {size} cannot be shared out among {parts} GPUs"
        return ""

    return against


def against_cutting_blocks(config: Mapping[str, Any], *, whole_experts: bool) -> Against:
    """Of the blocks that have a scale each, in FP8: a part holds whole ones.

    vLLM cuts the blocks of experts, but none of them into less than 32 columns; `whole_experts`
    are not cut at all (vLLM 0.32: validate_fp8_block_shape, refine_fp8_moe_block_shape).
    """
    block = _block(config)
    hidden = number(config, "hidden_size")
    experts, dense = number(config, *_EXPERT_WIDTH), number(config, "intermediate_size")

    def against(parts: int) -> str:
        if block is None or parts == 1:
            return ""
        what, width = ("experts", experts) if isinstance(experts, int) else ("an MLP", dense)
        if not isinstance(width, int) or width % parts or (what == "experts" and whole_experts):
            return ""
        part = width // parts
        finer = math.gcd(block, part, hidden) if isinstance(hidden, int) else block
        if part % block == 0 or (what == "experts" and finer >= _SMALLEST_BLOCK):
            return ""
        return (
            f"{what} of {width:,} columns, with a scale for each {block}, cannot be shared out "
            f"among {parts} GPUs"
        )

    return against


def _block(config: Mapping[str, Any]) -> int | None:
    """Columns of a block; None where weights have other scales, or some of the MLP has none."""
    said = config.get("quantization_config") or inner(config).get("quantization_config")
    if not isinstance(said, Mapping) or said.get("quant_method") != "fp8":
        return None
    size, left_out = said.get("weight_block_size"), said.get("modules_to_not_convert")
    if isinstance(left_out, Sequence) and any(str(name).endswith(_OF_THE_MLP) for name in left_out):
        return None
    if not isinstance(size, Sequence) or len(size) != 2 or size[0] != size[1]:
        return None
    return size[0] if isinstance(size[0], int) and size[0] > 0 else None


def cannot_cut(config: Mapping[str, Any] | Unknown, parts: int, *, whole_experts: bool) -> str:
    """The first of all that stands against it."""
    if isinstance(config, Unknown):
        return ""
    blocks = against_cutting_blocks(config, whole_experts=whole_experts)
    return against_cutting(config)(parts) or blocks(parts)
