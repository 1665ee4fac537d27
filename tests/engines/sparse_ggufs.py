"""GGUF files with every tensor of a real model in its shape, and no data: a few MB on the disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

F32, F16, BF16 = (gguf.GGMLQuantizationType[name] for name in ("F32", "F16", "BF16"))


@dataclass(frozen=True)
class Tensor:
    """`shape` as ggml has it: the row's length first."""

    name: str
    shape: tuple[int, ...]
    kind: gguf.GGMLQuantizationType

    @property
    def size(self) -> int:
        block, each = gguf.GGML_QUANT_SIZES[self.kind]
        return int(np.prod(self.shape, dtype=np.int64)) // block * each


@dataclass(frozen=True)
class Model:
    architecture: str
    values: Mapping[str, Any]
    tensors: tuple[Tensor, ...]
    vocabulary: int


def write(model: Model, path: Path) -> Path:
    """The header as the `gguf` package writes it, and a hole for the data."""
    writer = gguf.GGUFWriter(path, model.architecture)
    for key, value in model.values.items():
        name = key.format(arch=model.architecture)
        if isinstance(value, bool):
            writer.add_bool(name, value)
        elif isinstance(value, int):
            writer.add_uint32(name, value)
        elif isinstance(value, float):
            writer.add_float32(name, value)
        elif isinstance(value, str):
            writer.add_string(name, value)
        else:
            writer.add_array(name, list(value))
    writer.add_tokenizer_model("llama")
    words = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    words += [f"w{number}" for number in range(model.vocabulary - len(words))]
    kinds = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2]
    kinds += [gguf.TokenType.BYTE] * 256
    kinds += [gguf.TokenType.NORMAL] * (model.vocabulary - len(kinds))
    writer.add_token_list(words)
    writer.add_token_scores([0.0] * model.vocabulary)
    writer.add_token_types(kinds)
    size = 0
    for tensor in model.tensors:
        # numpy's order of dimensions is the other way round
        shape = tuple(reversed(tensor.shape))
        writer.add_tensor_info(tensor.name, shape, np.dtype(np.float16), tensor.size, tensor.kind)
        size += -(-tensor.size // gguf.GGUF_DEFAULT_ALIGNMENT) * gguf.GGUF_DEFAULT_ALIGNMENT
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        start = path.stat().st_size
        start = -(-start // gguf.GGUF_DEFAULT_ALIGNMENT) * gguf.GGUF_DEFAULT_ALIGNMENT
        file.truncate(start + size)
    return path


def _blocks(layers: int, one: Iterable[tuple[str, tuple[int, ...], Any]]) -> list[Tensor]:
    rows = list(one)
    return [Tensor(f"blk.{n}.{name}", s, kind) for n in range(layers) for name, s, kind in rows]


def _ends(hidden: int, vocabulary: int, kind: Any, *, tied: bool) -> list[Tensor]:
    ends = [
        Tensor("token_embd.weight", (hidden, vocabulary), kind),
        Tensor("output_norm.weight", (hidden,), F32),
    ]
    return ends if tied else [*ends, Tensor("output.weight", (hidden, vocabulary), kind)]


def transformer(
    architecture: str,
    *,
    layers: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    head: int,
    intermediate: int,
    vocabulary: int,
    kind: gguf.GGMLQuantizationType = F16,
    tied: bool = False,
    normed: bool = False,
    around: bool = False,
    biased: bool = False,
    experts: int = 0,
    active: int = 0,
    sinks: bool = False,
    **more: Any,
) -> Model:
    """Attention and MLP in every layer: Llama and its kin.

    `normed` has norms of queries and keys, `around` norms after attention and MLP too.
    """
    block: list[tuple[str, tuple[int, ...], Any]] = [
        ("attn_norm.weight", (hidden,), F32),
        ("attn_q.weight", (hidden, heads * head), kind),
        ("attn_k.weight", (hidden, kv_heads * head), kind),
        ("attn_v.weight", (hidden, kv_heads * head), kind),
        ("attn_output.weight", (heads * head, hidden), kind),
    ]
    if biased:
        block += [
            ("attn_q.bias", (heads * head,), F32),
            ("attn_k.bias", (kv_heads * head,), F32),
            ("attn_v.bias", (kv_heads * head,), F32),
        ]
    if normed:
        block += [("attn_q_norm.weight", (head,), F32), ("attn_k_norm.weight", (head,), F32)]
    if around:
        block += [
            ("post_attention_norm.weight", (hidden,), F32),
            ("post_ffw_norm.weight", (hidden,), F32),
        ]
    if sinks:
        block += [
            ("post_attention_norm.weight", (hidden,), F32),
            ("attn_sinks.weight", (heads,), F32),
            ("attn_output.bias", (hidden,), F32),
            ("ffn_gate_inp.bias", (experts,), F32),
            ("ffn_gate_exps.bias", (intermediate, experts), F32),
            ("ffn_down_exps.bias", (hidden, experts), F32),
            ("ffn_up_exps.bias", (intermediate, experts), F32),
        ]
    else:
        block.append(("ffn_norm.weight", (hidden,), F32))
    if experts:
        block += [
            ("ffn_gate_inp.weight", (hidden, experts), F32),
            ("ffn_gate_exps.weight", (hidden, intermediate, experts), kind),
            ("ffn_down_exps.weight", (intermediate, hidden, experts), kind),
            ("ffn_up_exps.weight", (hidden, intermediate, experts), kind),
        ]
    else:
        block += [
            ("ffn_gate.weight", (hidden, intermediate), kind),
            ("ffn_down.weight", (intermediate, hidden), kind),
            ("ffn_up.weight", (hidden, intermediate), kind),
        ]
    values: dict[str, Any] = {
        "{arch}.context_length": 131072,
        "{arch}.embedding_length": hidden,
        "{arch}.block_count": layers,
        "{arch}.feed_forward_length": intermediate,
        "{arch}.attention.head_count": heads,
        "{arch}.attention.head_count_kv": kv_heads,
        "{arch}.attention.key_length": head,
        "{arch}.attention.value_length": head,
        "{arch}.attention.layer_norm_rms_epsilon": 1e-5,
        "{arch}.rope.dimension_count": head,
    }
    if experts:
        values |= {
            "{arch}.expert_count": experts,
            "{arch}.expert_used_count": active,
            "{arch}.expert_feed_forward_length": intermediate,
        }
    values |= {f"{{arch}}.{key.replace('__', '.')}": value for key, value in more.items()}
    tensors = [*_ends(hidden, vocabulary, kind, tied=tied), *_blocks(layers, block)]
    return Model(architecture, values, tuple(tensors), vocabulary)


def mamba(
    *, layers: int, hidden: int, inner: int, state: int, kernel: int, vocabulary: int
) -> Model:
    rank = hidden // 16
    block: list[tuple[str, tuple[int, ...], Any]] = [
        ("attn_norm.weight", (hidden,), F32),
        ("ssm_in.weight", (hidden, 2 * inner), F16),
        ("ssm_conv1d.weight", (kernel, inner), F32),
        ("ssm_conv1d.bias", (inner,), F32),
        ("ssm_x.weight", (inner, rank + 2 * state), F16),
        ("ssm_dt.weight", (rank, inner), F16),
        ("ssm_dt.bias", (inner,), F32),
        ("ssm_a", (state, inner), F32),
        ("ssm_d", (inner,), F32),
        ("ssm_out.weight", (inner, hidden), F16),
    ]
    values = {
        "{arch}.context_length": 1048576,
        "{arch}.embedding_length": hidden,
        "{arch}.block_count": layers,
        "{arch}.feed_forward_length": 0,
        "{arch}.attention.head_count": 0,
        "{arch}.attention.layer_norm_rms_epsilon": 1e-5,
        "{arch}.ssm.conv_kernel": kernel,
        "{arch}.ssm.inner_size": inner,
        "{arch}.ssm.state_size": state,
        "{arch}.ssm.time_step_rank": rank,
    }
    tensors = [*_ends(hidden, vocabulary, F16, tied=True), *_blocks(layers, block)]
    return Model("mamba", values, tuple(tensors), vocabulary)


def lfm2(
    *, kv_heads: tuple[int, ...], hidden: int, heads: int, intermediate: int, vocabulary: int
) -> Model:
    """A short convolution in each layer that has no key heads."""
    head = hidden // heads
    tensors = [Tensor("token_embd.weight", (hidden, vocabulary), F16)]
    tensors.append(Tensor("token_embd_norm.weight", (hidden,), F32))
    for number, kv in enumerate(kv_heads):
        block: list[tuple[str, tuple[int, ...], Any]] = [
            ("attn_norm.weight", (hidden,), F32),
            ("ffn_norm.weight", (hidden,), F32),
            ("ffn_gate.weight", (hidden, intermediate), F16),
            ("ffn_down.weight", (intermediate, hidden), F16),
            ("ffn_up.weight", (hidden, intermediate), F16),
        ]
        if kv:
            block += [
                ("attn_q_norm.weight", (head,), F32),
                ("attn_k_norm.weight", (head,), F32),
                ("attn_q.weight", (hidden, hidden), F16),
                ("attn_k.weight", (hidden, kv * head), F16),
                ("attn_v.weight", (hidden, kv * head), F16),
                ("attn_output.weight", (hidden, hidden), F16),
            ]
        else:
            block += [
                ("shortconv.conv.weight", (3, hidden), F32),
                ("shortconv.in_proj.weight", (hidden, 3 * hidden), F16),
                ("shortconv.out_proj.weight", (hidden, hidden), F16),
            ]
        tensors += [Tensor(f"blk.{number}.{name}", shape, kind) for name, shape, kind in block]
    values: dict[str, Any] = {
        "{arch}.context_length": 128000,
        "{arch}.embedding_length": hidden,
        "{arch}.block_count": len(kv_heads),
        "{arch}.feed_forward_length": intermediate,
        "{arch}.attention.head_count": heads,
        "{arch}.attention.head_count_kv": kv_heads,
        "{arch}.attention.layer_norm_rms_epsilon": 1e-5,
        "{arch}.shortconv.l_cache": 3,
    }
    return Model("lfm2", values, tuple(tensors), vocabulary)


def deepseek2(
    *,
    layers: int,
    dense: int,
    hidden: int,
    heads: int,
    rank: int,
    query_rank: int,
    intermediate: int,
    experts: int,
    active: int,
    width: int,
    vocabulary: int,
    kind: gguf.GGMLQuantizationType = F16,
    rope: int = 64,
    nope: int = 128,
    value: int = 128,
) -> Model:
    """Latents for keys and values (MLA), experts in all but the first layers."""
    attention: list[tuple[str, tuple[int, ...], Any]] = [
        ("attn_norm.weight", (hidden,), F32),
        ("attn_q_a_norm.weight", (query_rank,), F32),
        ("attn_kv_a_norm.weight", (rank,), F32),
        ("attn_q_a.weight", (hidden, query_rank), kind),
        ("attn_q_b.weight", (query_rank, heads * (nope + rope)), kind),
        ("attn_kv_a_mqa.weight", (hidden, rank + rope), kind),
        ("attn_k_b.weight", (nope, rank, heads), kind),
        ("attn_v_b.weight", (rank, value, heads), kind),
        ("attn_output.weight", (heads * value, hidden), kind),
        ("ffn_norm.weight", (hidden,), F32),
    ]
    plain: list[tuple[str, tuple[int, ...], Any]] = [
        ("ffn_gate.weight", (hidden, intermediate), kind),
        ("ffn_down.weight", (intermediate, hidden), kind),
        ("ffn_up.weight", (hidden, intermediate), kind),
    ]
    mixture: list[tuple[str, tuple[int, ...], Any]] = [
        ("ffn_gate_inp.weight", (hidden, experts), F32),
        ("ffn_gate_exps.weight", (hidden, width, experts), kind),
        ("ffn_down_exps.weight", (width, hidden, experts), kind),
        ("ffn_up_exps.weight", (hidden, width, experts), kind),
        ("ffn_gate_shexp.weight", (hidden, width), kind),
        ("ffn_down_shexp.weight", (width, hidden), kind),
        ("ffn_up_shexp.weight", (hidden, width), kind),
    ]
    tensors = _ends(hidden, vocabulary, kind, tied=False)
    for number in range(layers):
        block = [*attention, *(plain if number < dense else mixture)]
        tensors += [Tensor(f"blk.{number}.{name}", shape, kind_) for name, shape, kind_ in block]
    values: dict[str, Any] = {
        "{arch}.context_length": 163840,
        "{arch}.embedding_length": hidden,
        "{arch}.block_count": layers,
        "{arch}.feed_forward_length": intermediate,
        "{arch}.leading_dense_block_count": dense,
        "{arch}.attention.head_count": heads,
        "{arch}.attention.head_count_kv": 1,
        "{arch}.attention.key_length": rank + rope,
        "{arch}.attention.value_length": rank,
        "{arch}.attention.key_length_mla": nope + rope,
        "{arch}.attention.value_length_mla": value,
        "{arch}.attention.kv_lora_rank": rank,
        "{arch}.attention.q_lora_rank": query_rank,
        "{arch}.attention.layer_norm_rms_epsilon": 1e-6,
        "{arch}.rope.dimension_count": rope,
        "{arch}.expert_count": experts,
        "{arch}.expert_used_count": active,
        "{arch}.expert_feed_forward_length": width,
        "{arch}.expert_shared_count": 1,
        "{arch}.expert_weights_scale": 2.5,
        "{arch}.expert_gating_func": 2,
        "{arch}.vocab_size": vocabulary,
    }
    return Model("deepseek2", values, tuple(tensors), vocabulary)


def encoder(*, layers: int, hidden: int, heads: int, intermediate: int, vocabulary: int) -> Model:
    """BERT: no cache, one vector for a text."""
    both: list[tuple[str, tuple[int, ...], Any]] = []
    for name, out, into in (
        ("attn_q", hidden, hidden),
        ("attn_k", hidden, hidden),
        ("attn_v", hidden, hidden),
        ("attn_output", hidden, hidden),
        ("ffn_up", intermediate, hidden),
        ("ffn_down", hidden, intermediate),
    ):
        both += [(f"{name}.weight", (into, out), F16), (f"{name}.bias", (out,), F32)]
    for name in ("attn_output_norm", "layer_output_norm"):
        both += [(f"{name}.weight", (hidden,), F32), (f"{name}.bias", (hidden,), F32)]
    tensors = [
        Tensor("token_embd.weight", (hidden, vocabulary), F16),
        Tensor("position_embd.weight", (hidden, 512), F32),
        Tensor("token_types.weight", (hidden, 2), F32),
        Tensor("token_embd_norm.weight", (hidden,), F32),
        Tensor("token_embd_norm.bias", (hidden,), F32),
        *_blocks(layers, both),
    ]
    values: dict[str, Any] = {
        "{arch}.context_length": 512,
        "{arch}.embedding_length": hidden,
        "{arch}.block_count": layers,
        "{arch}.feed_forward_length": intermediate,
        "{arch}.attention.head_count": heads,
        "{arch}.attention.layer_norm_epsilon": 1e-12,
        "{arch}.attention.causal": False,
        "{arch}.pooling_type": 1,
        "tokenizer.ggml.token_type_count": 2,
    }
    return Model("bert", values, tuple(tensors), vocabulary)
