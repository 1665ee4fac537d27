"""Is a flag of `args` judged like the field of the same meaning?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelctl.resolved import Unknown
from modelctl.weights.facts import ModelFacts
from tests.checks.judging import VLLM, beside_memory, judged, said

BFLOAT16 = ModelFacts("hub", quantization="bfloat16")
T4: dict[str, Any] = {**VLLM, "gpu": [{"type": "T4"}], "dtype": "float16"}
ADAPTED: dict[str, Any] = {
    **VLLM,
    "model": {"source": "hf://a/b", "adapters": {"sql": {"source": "hf://c/d", "rank": 64}}},
}


def flags(spec: dict[str, Any], **values: Any) -> dict[str, Any]:
    args = {name.replace("_", "-"): value for name, value in values.items()}
    return {**spec, "backend": {**spec["backend"], "args": args}}


def on(gpu: str, **values: Any) -> dict[str, Any]:
    return {"type": gpu, "args": {name.replace("_", "-"): value for name, value in values.items()}}


def judge(spec: dict[str, Any]) -> list[str]:
    return said(beside_memory(judged(spec, BFLOAT16, Path())))


NO_FP8 = (
    "error gpu/kv-cache: vLLM has a KV cache of type fp8 from compute capability 8.0 on, and a T4 "
    "has 7.5 | kv-cache-dtype: auto in this entry's args, or L4 or A10 or L40S or A100-40GB"
)
NO_BFLOAT16 = (
    "error engine/wrong-option: a T4 cannot compute in bfloat16, and gpu[0] is one | "
    "dtype: float16, or auto, which is float16 there alone"
)

CASES: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        flags(T4, kv_cache_dtype="fp8"),
        f"backend.args.kv-cache-dtype {NO_FP8}",
        flags(T4, kv_cache_dtype="auto"),
    ),
    (
        {**T4, "gpu": [on("T4", kv_cache_dtype="fp8")]},
        f"gpu[0].args.kv-cache-dtype {NO_FP8}",
        {**T4, "gpu": [on("T4", kv_cache_dtype="auto")]},
    ),
    (
        flags(VLLM, quantization="awq"),
        "backend.args.quantization error engine/quantization: the checkpoint is bfloat16, and vLLM "
        "cannot make awq of it while loading | quantization: fp8_per_tensor, or a checkpoint that "
        "was quantized before",
        flags(VLLM, quantization="fp8_per_tensor"),
    ),
    (
        flags(T4, dtype="bfloat16"),
        f"backend.args.dtype {NO_BFLOAT16}",
        flags(T4, dtype="half"),
    ),
    (
        flags(VLLM, max_num_batched_tokens=256, max_num_seqs=512),
        "backend.args.max-num-seqs error engine/wrong-option: a step of 256 tokens cannot hold one "
        "of each of 512 sequences | max-num-batched-tokens: 512 or more; vLLM's own choice is 2048 "
        "to 16384",
        flags(VLLM, max_num_batched_tokens=512, max_num_seqs=512),
    ),
    (
        flags(VLLM, tool_call_parser="qwen3"),
        "backend.args.tool-call-parser error engine/wrong-option: vLLM 0.32.0 has no tool parser "
        "qwen3 | qwen3_xml, qwen3_json or qwen3_coder",
        flags(VLLM, tool_call_parser="qwen3_xml"),
    ),
    (
        flags(VLLM, gpu_memory_utilization=3),
        "backend.args.gpu-memory-utilization error engine/flag-value: --gpu-memory-utilization "
        "takes a number above 0 and up to 1, not 3 | memory_utilization: 0.9 says it",
        {**VLLM, "memory_utilization": 0.9},
    ),
    (
        flags(VLLM, max_num_seqs=0),
        "backend.args.max-num-seqs error engine/flag-value: --max-num-seqs takes a whole number "
        "from 1 on, not 0 | max-num-seqs: 1",
        flags(VLLM, max_num_seqs=1),
    ),
    (
        flags(ADAPTED, max_loras=0),
        "backend.args.max-loras error engine/flag-value: --max-loras takes a whole number from 1 "
        "on, not 0 | max-loras: 1",
        flags(ADAPTED, max_loras=1),
    ),
    (
        flags(ADAPTED, max_lora_rank=16),
        "backend.args.max-lora-rank error engine/adapter-rank: --max-lora-rank 16 has no room for "
        "the adapter sql, which has rank 64 | leave it out: modelctl sets the smallest that all "
        "adapters fit in",
        ADAPTED,
    ),
]


@pytest.mark.parametrize(("spec", "sentence", "followed"), CASES, ids=[c[1] for c in CASES])
def test_what_the_field_may_not_say(
    spec: dict[str, Any], sentence: str, followed: dict[str, Any]
) -> None:
    assert judge(spec) == [sentence]
    assert judge(followed) == []


@pytest.mark.parametrize(
    "spec",
    [
        flags(VLLM, kv_cache_dtype="fp8", quantization="fp8", dtype="bfloat16"),
        flags(VLLM, gpu_memory_utilization=1, max_loras=0, max_num_batched_tokens="8K"),
        flags(ADAPTED, max_lora_rank=64),
        flags({**VLLM, "max_batched_tokens": 512}, max_num_seqs=1024, max_num_batched_tokens="8K"),
        # The entry's flag comes after the backend's.
        flags({**T4, "gpu": [on("T4", kv_cache_dtype="auto")]}, kv_cache_dtype="fp8"),
        {**T4, "gpu": [on("L4", kv_cache_dtype="fp8", dtype="bfloat16"), {"type": "T4"}]},
    ],
)
def test_what_it_may_say(spec: dict[str, Any]) -> None:
    assert judge(spec) == []


def test_a_checkpoint_that_nobody_has_looked_at_is_not_doubted() -> None:
    unknown = ModelFacts("hub", quantization=Unknown("not locked"))
    spec = flags(VLLM, quantization="awq")
    assert said(beside_memory(judged(spec, unknown, Path()))) == []
