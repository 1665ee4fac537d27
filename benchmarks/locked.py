"""What is a fleet whose lock knows every model? As many specs as asked for, each with its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelctl.resolved import RemoteFile
from modelctl.weights.lock import Lock, Locked, LockedGguf, key, write
from modelctl.weights.shape import Header, TensorRow
from modelctl.weights.tensors import grouped
from tests.hub.sparse import QWEN3_8B, QWEN3_30B_A3B, tensors

_COMMIT = "c" * 40
_LLAMA_70B: Mapping[str, Any] = {
    **QWEN3_8B,
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 8192,
    "intermediate_size": 28672,
    "max_position_embeddings": 131072,
    "num_attention_heads": 64,
    "num_hidden_layers": 80,
    "vocab_size": 128256,
}
_HEADER: Header = {
    "general.architecture": "llama",
    "llama.block_count": 32,
    "llama.context_length": 131072,
    "llama.embedding_length": 4096,
    "llama.feed_forward_length": 14336,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.rope.dimension_count": 128,
    "llama.vocab_size": 128256,
}
_BLOCKS = (
    TensorRow("token_embd.weight", "Q4_K", (4096, 128256), 1),
    TensorRow("output.weight", "Q6_K", (4096, 128256), 1),
    TensorRow("output_norm.weight", "F32", (4096,), 1),
    TensorRow("blk.*.attn_norm.weight", "F32", (4096,), 32),
    TensorRow("blk.*.ffn_norm.weight", "F32", (4096,), 32),
    TensorRow("blk.*.attn_q.weight", "Q4_K", (4096, 4096), 32),
    TensorRow("blk.*.attn_k.weight", "Q4_K", (4096, 1024), 32),
    TensorRow("blk.*.attn_v.weight", "Q6_K", (4096, 1024), 32),
    TensorRow("blk.*.attn_output.weight", "Q4_K", (4096, 4096), 32),
    TensorRow("blk.*.ffn_gate.weight", "Q4_K", (4096, 14336), 32),
    TensorRow("blk.*.ffn_up.weight", "Q4_K", (4096, 14336), 32),
    TensorRow("blk.*.ffn_down.weight", "Q6_K", (14336, 4096), 32),
)

_SPECS = (
    """\
model: hf://acme/{name}
backend: vllm
context: 32768
gpu: [H100, A100-80GB, L40S:2]
keep_warm: 1
concurrency: {{target: 16, max: 64}}
""",
    """\
model: {{source: hf://acme/{name}, file: model-Q4_K_M.gguf}}
backend: llama.cpp
context: 8192
gpu: [L4, A10]
concurrency: {{target: 2, max: 4}}
labels: {{tier: helper}}
""",
    """\
model: hf://acme/{name}
backend: {{name: vllm, args: {{seed: 7}}}}
context: 16384
gpu:
  - {{type: H100, count: 4}}
  - {{type: A100-80GB, count: 8, max_sequences: 64}}
prefix_caching: true
endpoint: {{region: us-east, startup_timeout: 30m, drain: 1m}}
secrets: [hugging-face]
checks:
  says-paris: {{prompt: What is the capital of France?, expect: Paris, within: 30s}}
""",
    """\
model: hf://acme/{name}
backend: vllm
context: 32768
gpu: [H100, H200]
scaling: {{max: 3, idle_timeout: 10m}}
concurrency: {{target: 8, max: 32}}
rollout: {{gate: health, timeouts: {{boot: 15m}}}}
""",
)


def locked(folder: Path, specs: int) -> Path:
    """A project of so many specs, and a lock with the headers of as many models."""
    (folder / "specs").mkdir(parents=True)
    (folder / "modelctl.yaml").write_text("project: bench\n", encoding="utf-8")
    facts = tuple(_facts())
    sources = {}
    for number in range(specs):
        name = f"model-{number + 1:04}"
        kind = number % len(_SPECS)
        text = f"name: {name}\n" + _SPECS[kind].format(name=name)
        (folder / "specs" / f"{name}.yaml").write_text(text, encoding="utf-8")
        sources[key(f"hf://acme/{name}")] = facts[kind]
    write(folder, Lock(sources))
    return folder


def _facts() -> Iterator[Locked]:
    for config, linear in ((QWEN3_8B, "BF16"), (None, ""), (_LLAMA_70B, "BF16"), (_MOE, "F8_E4M3")):
        if config is None:
            gguf = {"model-Q4_K_M.gguf": LockedGguf(_HEADER, _BLOCKS)}
            yield Locked(_COMMIT, _files(5 * 10**9, "model-Q4_K_M.gguf"), gguf=gguf)
            continue
        rows = grouped(tensors(config, linear=linear))
        size = sum(math.prod(row.shape) * row.count * (2 if row.dtype == "BF16" else 1)
                   for row in rows)  # fmt: skip
        names = [f"model-{n:05}-of-00008.safetensors" for n in range(1, 9)]
        yield Locked(_COMMIT, _files(size, *names), config=config, tensors=rows)


_MOE: Mapping[str, Any] = {
    **QWEN3_30B_A3B,
    "quantization_config": {
        "quant_method": "fp8",
        "activation_scheme": "dynamic",
        "weight_block_size": [128, 128],
    },
}


def _files(size: int, *weights: str) -> tuple[RemoteFile, ...]:
    beside = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
    return (
        *(RemoteFile(name, size // len(weights), sha256="a" * 64) for name in weights),
        *(RemoteFile(name, 1000, git_sha1="b" * 40) for name in beside),
    )
