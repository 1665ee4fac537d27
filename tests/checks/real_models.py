"""What does a lock know of models that people really serve? Their config.json, and every tensor.

The numbers are those of the public repositories. The tensors are read from headers with every
shape, over files of holes, as `modelctl lock` reads them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gguf import GGMLQuantizationType

from modelctl.resolved import RemoteFile, Selection
from modelctl.weights import config as configs
from modelctl.weights.facts import ModelFacts
from modelctl.weights.headers import read_headers
from modelctl.weights.local import reader
from modelctl.weights.lock import Lock, Locked, LockedGguf, key
from modelctl.weights.read import model_facts
from modelctl.weights.shape import TensorRow
from tests.engines.sparse_ggufs import transformer, write
from tests.fit.test_vllm import CHECKPOINTS
from tests.hub.sparse import QWEN3_8B, QWEN3_30B_A3B, Tensor, tensors, write_holes

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def llama(**more: Any) -> dict[str, Any]:
    said = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "head_dim": 128,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    return {**said, **more}


LLAMA3_70B = llama(
    hidden_size=8192,
    intermediate_size=28672,
    num_attention_heads=64,
    num_key_value_heads=8,
    num_hidden_layers=80,
    vocab_size=128256,
    max_position_embeddings=8192,
)
LLAMA31_70B = {
    **LLAMA3_70B,
    "max_position_embeddings": 131072,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}
LLAMA2_7B = llama(
    hidden_size=4096,
    intermediate_size=11008,
    num_attention_heads=32,
    num_key_value_heads=32,
    num_hidden_layers=32,
    vocab_size=32000,
    max_position_embeddings=4096,
    torch_dtype="float16",
)
LLAMA2_70B = {
    **LLAMA2_7B,
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "num_hidden_layers": 80,
}
CODELLAMA_13B = {
    **LLAMA2_7B,
    "hidden_size": 5120,
    "intermediate_size": 13824,
    "num_attention_heads": 40,
    "num_key_value_heads": 40,
    "num_hidden_layers": 40,
    "vocab_size": 32016,
    "max_position_embeddings": 16384,
}
WIZARDLM_33B = {
    **LLAMA2_7B,
    "hidden_size": 6656,
    "intermediate_size": 17920,
    "num_attention_heads": 52,
    "num_key_value_heads": 52,
    "num_hidden_layers": 60,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
}
YI_34B = llama(
    hidden_size=7168,
    intermediate_size=20480,
    num_attention_heads=56,
    num_key_value_heads=8,
    num_hidden_layers=60,
    vocab_size=64000,
    max_position_embeddings=4096,
)
MISTRAL_7B = {
    **LLAMA2_7B,
    "architectures": ["MistralForCausalLM"],
    "model_type": "mistral",
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 32768,
    "sliding_window": 4096,
    "torch_dtype": "bfloat16",
}
ALPACA2_13B = {**CODELLAMA_13B, "vocab_size": 55296, "max_position_embeddings": 4096}
YARN_MISTRAL_7B = {
    **MISTRAL_7B,
    "sliding_window": 131072,
    "rope_scaling": {
        "factor": 16.0,
        "finetuned": True,
        "original_max_position_embeddings": 8192,
        "type": "yarn",
    },
}
PHI3_MEDIUM = {
    **CODELLAMA_13B,
    "architectures": ["Phi3ForCausalLM"],
    "model_type": "phi3",
    "intermediate_size": 17920,
    "num_key_value_heads": 10,
    "vocab_size": 32064,
    "max_position_embeddings": 4096,
    "torch_dtype": "bfloat16",
}


def qwen2(**more: Any) -> dict[str, Any]:
    return llama(architectures=["Qwen2ForCausalLM"], model_type="qwen2", **more)


QWEN15_7B = qwen2(
    hidden_size=4096,
    intermediate_size=11008,
    num_attention_heads=32,
    num_key_value_heads=32,
    num_hidden_layers=32,
    vocab_size=151936,
    max_position_embeddings=32768,
)
QWEN15_32B = qwen2(
    hidden_size=5120,
    intermediate_size=27392,
    num_attention_heads=40,
    num_key_value_heads=8,
    num_hidden_layers=64,
    vocab_size=152064,
    max_position_embeddings=32768,
)
QWEN25_72B = qwen2(
    hidden_size=8192,
    intermediate_size=29568,
    num_attention_heads=64,
    num_key_value_heads=8,
    num_hidden_layers=80,
    vocab_size=152064,
    max_position_embeddings=32768,
)
QWEN25_7B = qwen2(
    hidden_size=3584,
    intermediate_size=18944,
    num_attention_heads=28,
    num_key_value_heads=4,
    num_hidden_layers=28,
    vocab_size=152064,
    max_position_embeddings=131072,
)
QWEN25_05B = {
    **qwen2(
        hidden_size=896,
        intermediate_size=4864,
        num_attention_heads=14,
        num_key_value_heads=2,
        num_hidden_layers=24,
        vocab_size=151936,
        max_position_embeddings=32768,
    ),
    "head_dim": 64,
    "tie_word_embeddings": True,
}
QWEN3_235B: Mapping[str, Any] = {
    **QWEN3_30B_A3B,
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "moe_intermediate_size": 1536,
    "num_attention_heads": 64,
    "num_hidden_layers": 94,
}
NARROW_EXPERTS: Mapping[str, Any] = {**QWEN3_30B_A3B, "moe_intermediate_size": 320}
"""Experts as wide as those of Qwen3.8-Flash-Next, in a model whose other shapes are Qwen3's."""

BLOCKS = {"quant_method": "fp8", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
FP8_DYNAMIC = {
    "quant_method": "compressed-tensors",
    "format": "float-quantized",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "weights": {"num_bits": 8, "type": "float", "strategy": "channel"},
            "input_activations": {"num_bits": 8, "type": "float", "strategy": "token"},
        }
    },
    "ignore": ["lm_head"],
}


@cache
def _headers(found: tuple[Tensor, ...]) -> tuple[TensorRow, ...]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        write_holes(path, found)
        listing = [RemoteFile(path.name, path.stat().st_size)]
        read = read_headers(listing, [Selection("model")], lambda _: reader(path))
    assert read.tensors is not None
    return read.tensors


def of_transformers(name: str) -> tuple[dict[str, Any], list[Tensor]]:
    """What Transformers makes of an architecture: tests/fit/checkpoints.json."""
    made = CHECKPOINTS[name]
    found = [
        (row.replace("*", str(number), 1), "BF16", tuple(shape))
        for row, shape, count in made["rows"]
        for number in range(count)
    ]
    return dict(made["config"]), found


def gpt_oss(layers: int, experts: int) -> tuple[dict[str, Any], list[Tensor]]:
    """openai/gpt-oss-120b has 36 layers of 128 experts, -20b 24 of 32; both have them in MXFP4."""
    config, found = of_transformers("gpt_oss")
    config |= {"num_hidden_layers": layers, "num_local_experts": experts}
    config["layer_types"] = config["layer_types"][:layers]
    config["quantization_config"] = {
        "quant_method": "mxfp4",
        "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router"],
    }
    packed: list[Tensor] = []
    for name, dtype, shape in found:
        if name.startswith("model.layers.") and int(name.split(".")[2]) >= layers:
            continue
        if name.endswith(("gate_up_proj", "down_proj")):
            _, inner, outer = shape
            packed.append((f"{name}_blocks", "U8", (experts, outer, inner // 32, 16)))
            packed.append((f"{name}_scales", "U8", (experts, outer, inner // 32)))
        elif ".experts." in name or ".router." in name:
            packed.append((name, dtype, (experts, *shape[1:])))
        else:
            packed.append((name, dtype, shape))
    return config, packed


def command_r() -> tuple[dict[str, Any], list[Tensor]]:
    """CohereForAI/c4ai-command-r-v01: 40 layers, of which Transformers made eight here."""
    config, found = of_transformers("cohere")
    layers = [tensor for tensor in found if tensor[0].startswith("model.layers.0.")]
    ends = [tensor for tensor in found if not tensor[0].startswith("model.layers.")]
    every = [(n.replace("0", str(i), 1), t, s) for i in range(40) for n, t, s in layers]
    return config | {"num_hidden_layers": 40, "model_max_length": 131072}, [*ends, *every]


def bitsandbytes(config: Mapping[str, Any]) -> dict[str, Any]:
    return {**config, "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}


def locked(
    source: str,
    config: Mapping[str, Any],
    found: Iterable[Tensor] | None = None,
    *,
    linear: str = "BF16",
    beside: Mapping[str, Locked] | None = None,
) -> ModelFacts:
    """The facts of `source` out of a lock; `linear` is the type of what `found` leaves out."""
    rows = _headers(tuple(found if found is not None else tensors(config, linear=linear)))
    listing = (RemoteFile("config.json", len(json.dumps(config))), RemoteFile("a.safetensors", 9))
    entry = Locked(COMMIT, listing, config=configs.kept(config), tensors=rows)
    others = dict(beside or {})
    lock = Lock({key(source): entry, **{key(other): one for other, one in others.items()}})
    return model_facts(source, Path("specs"), Path(), hashed=False, lock=lock, beside=tuple(others))


def adapter(rank: int) -> Locked:
    files = (RemoteFile("adapter_config.json", 300), RemoteFile("adapter_model.safetensors", 9))
    return Locked(COMMIT, files, config={"r": rank, "peft_type": "LORA"})


QWEN35_27B = {
    "architectures": ["Qwen3_5ForCausalLM"],
    "model_type": "qwen3_5_text",
    "dtype": "bfloat16",
    "hidden_size": 5120,
    "intermediate_size": 17408,
    "num_hidden_layers": 64,
    "num_attention_heads": 24,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "full_attention_interval": 4,
    "layer_types": [*["linear_attention"] * 3, "full_attention"] * 16,
    "linear_conv_kernel_dim": 4,
    "linear_num_key_heads": 16,
    "linear_key_head_dim": 128,
    "linear_num_value_heads": 48,
    "linear_value_head_dim": 128,
    "mamba_ssm_dtype": "float32",
    "vocab_size": 248320,
    "max_position_embeddings": 262144,
    "tie_word_embeddings": False,
}


def qwen35_27b() -> Iterator[Tensor]:
    """Three layers of four keep a state, and each fourth one has attention with gates."""
    kind, hidden = "BF16", 5120
    for layer in range(64):
        at = f"model.layers.{layer}"
        if layer % 4 == 3:
            for name, rows in (("q_proj", 12288), ("k_proj", 1024), ("v_proj", 1024)):
                yield f"{at}.self_attn.{name}.weight", kind, (rows, hidden)
            yield f"{at}.self_attn.o_proj.weight", kind, (hidden, 6144)
        else:
            for name, rows in (("qkv", 10240), ("z", 6144), ("a", 48), ("b", 48)):
                yield f"{at}.linear_attn.in_proj_{name}.weight", kind, (rows, hidden)
            yield f"{at}.linear_attn.conv1d.weight", kind, (10240, 1, 4)
            yield f"{at}.linear_attn.out_proj.weight", kind, (hidden, 6144)
        for name in ("gate_proj", "up_proj"):
            yield f"{at}.mlp.{name}.weight", kind, (17408, hidden)
        yield f"{at}.mlp.down_proj.weight", kind, (hidden, 17408)
    yield "model.embed_tokens.weight", kind, (248320, hidden)
    yield "lm_head.weight", kind, (248320, hidden)


QWEN3 = QWEN3_8B
QWEN3_30B = QWEN3_30B_A3B


@cache
def gguf_llama31_8b() -> LockedGguf:
    """bartowski/Meta-Llama-3.1-8B-Instruct-GGUF, with every matrix in Q4_K."""
    model = transformer(
        "llama",
        layers=32,
        hidden=4096,
        heads=32,
        kv_heads=8,
        head=128,
        intermediate=14336,
        vocabulary=128256,
        kind=GGMLQuantizationType.Q4_K,
        context_length=131072,
    )
    with TemporaryDirectory() as folder:
        path = write(model, Path(folder) / "model.gguf")
        listing = [RemoteFile(path.name, path.stat().st_size)]
        read = read_headers(listing, [Selection("gguf", path.name)], lambda _: reader(path))
    return read.gguf["model.gguf"]


def locked_gguf(source: str, file: str, model: LockedGguf) -> ModelFacts:
    """The facts of one GGUF file of a repository out of a lock."""
    entry = Locked(COMMIT, (RemoteFile(file, 4_900_000_000),), gguf={file: model})
    lock = Lock({key(source): entry})
    return model_facts(source, Path("specs"), Path(), hashed=False, lock=lock, file=file)
