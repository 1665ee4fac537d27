"""What went wrong in public, as specs: what modelctl says of each, and what it then takes?

Each link is the thread of somebody whose server did not start. GPUs that Modal does not have are
those that it has with as much memory and the same generation.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks import real_models as models
from tests.checks.judging import judged, said
from tests.checks.real_specs import (
    ALPACA,
    BLOCKS,
    CODELLAMA,
    DISTILLED,
    EXTENDED,
    GEMMA3,
    GLM,
    LLAMA2_7B,
    LLAMA2_70B,
    LLAMA3,
    LLAMA31,
    LLAMA31_FP8,
    NARROW,
    OSS_20B,
    PHI3,
    QWEN3_8B,
    QWEN15_7B,
    QWEN15_32B,
    QWEN25_05B,
    QWEN25_72B,
    QWEN35_27B,
    SQL,
    STATIC_FP8,
    VLLM,
    WIZARDLM,
    YARN,
    YI,
    Model,
    gguf,
    model,
    of_gguf,
    spec,
    with_adapter,
)

FAILED: list[tuple[str, Model, dict[str, Any], list[str], dict[str, Any]]] = [
    (
        VLLM + "5711",
        model(LLAMA3, models.LLAMA3_70B),
        spec(LLAMA3, "A100-80GB", context=8192),
        [
            "gpu[0] error fit/too-large: meta-llama/Meta-Llama-3-70B-Instruct in bfloat16 does not "
            "fit an A100-80GB at 8k context | A100-80GB:4"
        ],
        spec(LLAMA3, "A100-80GB:4", context=8192),
    ),
    (
        VLLM + "10517",
        model(LLAMA31, models.LLAMA31_70B),
        spec(LLAMA31, "H100:2", context=131072, dtype="float16"),
        [
            "gpu[0] error fit/too-large: meta-llama/Llama-3.1-70B-Instruct in float16 does not "
            "fit 2 × H100 at 128k context | H100:4"
        ],
        spec(LLAMA31, "H100:4", context=131072, dtype="float16"),
    ),
    (
        VLLM + "10517",
        model(LLAMA31, models.LLAMA31_70B),
        spec(LLAMA31, "H100:2", context=20000, dtype="float16"),
        [
            "gpu[0] warning fit/may-not-fit: meta-llama/Llama-3.1-70B-Instruct in float16 may not "
            "fit 2 × H100 at 20,000 tokens | H100:4"
        ],
        spec(LLAMA31, "H100:4", context=20000, dtype="float16"),
    ),
    (
        "https://github.com/vllm-project/recipes/pull/831",
        model(QWEN35_27B, models.QWEN35_27B, tuple(models.qwen35_27b())),
        spec(QWEN35_27B, "RTX-PRO-6000", context=131072),
        [
            "gpu[0] error fit/too-large: Qwen/Qwen3.5-27B in bfloat16 does not fit an "
            "RTX-PRO-6000 at 128k context | max_sequences: 512; or RTX-PRO-6000:2"
        ],
        spec(QWEN35_27B, "RTX-PRO-6000", context=131072, max_sequences=512),
    ),
    (
        "https://github.com/QwenLM/Qwen3/issues/295",
        model(QWEN15_7B, models.QWEN15_7B),
        spec(QWEN15_7B, "L4", context=32768),
        [
            "gpu[0] error fit/too-large: Qwen/Qwen1.5-7B-Chat in bfloat16 does not fit an L4 at "
            "32k context | context: 4096 fits on this entry; or L4:2"
        ],
        spec(QWEN15_7B, "L4", context=4096),
    ),
    (
        VLLM + "4168",
        model(YARN, models.YARN_MISTRAL_7B),
        spec(YARN, "A10", context=131072),
        [
            "gpu[0] error fit/too-large: NousResearch/Yarn-Mistral-7b-128k in bfloat16 does not "
            "fit an A10 at 128k context | context: 38912 fits on this entry; or A10:2"
        ],
        spec(YARN, "A10:2", context=131072),
    ),
    (
        VLLM + "2418",
        model(ALPACA, models.ALPACA2_13B),
        spec(ALPACA, "A10", context=4096),
        [
            "gpu[0] error fit/too-large: hfl/chinese-alpaca-2-13b in float16 does not fit an A10 "
            "at 4k context | A10:2"
        ],
        spec(ALPACA, "A10:2", context=4096),
    ),
    (
        "https://github.com/ggml-org/llama.cpp/issues/9517",
        of_gguf,
        gguf("T4", context=131072),
        [
            "gpu[0] error fit/too-large: bartowski/Meta-Llama-3.1-8B-Instruct-GGUF does not fit a "
            "T4 at 128k context | context: 74752 fits on this entry; or kv_cache: q8_0; or T4:2"
        ],
        gguf("T4", context=131072, kv_cache="q8_0"),
    ),
    (
        VLLM + "9990",
        model(QWEN25_05B, models.QWEN25_05B),
        spec(QWEN25_05B, "T4", context=8192, dtype="bfloat16"),
        [
            "dtype error engine/wrong-option: a T4 cannot compute in bfloat16, and gpu[0] is one | "
            "dtype: float16, or auto, which is float16 there alone"
        ],
        spec(QWEN25_05B, "T4", context=8192, dtype="float16"),
    ),
    (
        "https://github.com/vllm-project/vllm/issues/18733",
        model(GEMMA3, *models.of_transformers("gemma3-27b")),
        spec(GEMMA3, "A100-80GB", context=8192, dtype="float16"),
        [
            "dtype error engine/wrong-option: vLLM refuses gemma3 in float16, whose numbers are "
            "too small for it | dtype: auto, or bfloat16"
        ],
        spec(GEMMA3, "A100-80GB", context=8192),
    ),
    (
        VLLM + "596",
        model(LLAMA2_70B, models.LLAMA2_70B),
        spec(LLAMA2_70B, "A100-40GB:5", context=4096),
        [
            "gpu[0] error parallel/heads: 64 attention heads cannot be shared out among 5 GPUs | "
            "A100-40GB:4 or A100-40GB:8"
        ],
        spec(LLAMA2_70B, "A100-40GB:8", context=4096),
    ),
    (
        VLLM + "414",
        model(CODELLAMA, models.CODELLAMA_13B),
        spec(CODELLAMA, "A100-40GB:5", context=16384),
        [
            "gpu[0] error parallel/heads: a vocabulary of 32,016 tokens, padded to 32,064, cannot "
            "be shared out among 5 GPUs | A100-40GB:4 or A100-40GB:8"
        ],
        spec(CODELLAMA, "A100-40GB:4", context=16384),
    ),
    (
        VLLM + "2652",
        model(WIZARDLM, models.WIZARDLM_33B),
        spec(WIZARDLM, "A100-80GB:8", context=2048),
        [
            "gpu[0] error parallel/heads: 52 attention heads cannot be shared out among 8 GPUs | "
            "A100-80GB:4"
        ],
        spec(WIZARDLM, "A100-80GB:4", context=2048),
    ),
    (
        VLLM + "4232",
        model(QWEN15_32B, models.QWEN15_32B),
        spec(QWEN15_32B, "L4:6", context=4096),
        [
            "gpu[0] error parallel/heads: 40 attention heads cannot be shared out among 6 GPUs | "
            "L4:4 or L4:8"
        ],
        spec(QWEN15_32B, "L4:8", context=4096),
    ),
    (
        VLLM + "11147",
        model(LLAMA31, models.LLAMA31_70B),
        spec(LLAMA31, "L40S:6", context=8192),
        [
            "gpu[0] error parallel/heads: 64 attention heads cannot be shared out among 6 GPUs | "
            "L40S:4 or L40S:8"
        ],
        spec(LLAMA31, "L40S:8", context=8192),
    ),
    (
        "https://github.com/THU-KEG/AdaptThink/issues/1",
        model(DISTILLED, models.QWEN25_7B),
        spec(DISTILLED, "A100-40GB:8", context=32768),
        [
            "gpu[0] error parallel/heads: 28 attention heads cannot be shared out among 8 GPUs | "
            "A100-40GB:4"
        ],
        spec(DISTILLED, "A100-40GB:4", context=32768),
    ),
    (
        VLLM + "5951",
        model(PHI3, models.PHI3_MEDIUM),
        spec(PHI3, "A10:4", context=4096),
        [
            "gpu[0] error parallel/heads: 10 KV heads cannot be shared out among 4 GPUs | A10:2",
        ],
        spec(PHI3, "A10:2", context=4096),
    ),
    (
        "https://github.com/gpustack/gpustack/issues/3777",
        model(GLM, *models.of_transformers("glm4_moe")),
        spec(GLM, "H100:6", context=32768),
        [
            "gpu[0] error parallel/heads: 8 KV heads cannot be shared out among 6 GPUs | H100:4 or "
            "H100:8"
        ],
        spec(GLM, "H100:8", context=32768),
    ),
    (
        VLLM + "54178",
        model(NARROW, {**models.NARROW_EXPERTS, **BLOCKS}, linear="F8_E4M3"),
        spec(NARROW, "L40S:8", context=32768),
        [
            "gpu[0] error parallel/heads: experts of 320 columns, with a scale for each 128, "
            "cannot be shared out among 8 GPUs | parallel: {expert: true}, or L40S:2"
        ],
        spec(NARROW, "L40S:8", context=32768, parallel={"expert": True}),
    ),
    (
        "https://github.com/vllm-project/vllm-ascend/pull/2139",
        model(QWEN25_05B, models.QWEN25_05B),
        spec(QWEN25_05B, "L4:2", context=8192, parallel={"expert": True}),
        [
            "parallel.expert error parallel/no-experts: the model has no experts to spread, and "
            "vLLM refuses expert: true then | leave expert out"
        ],
        spec(QWEN25_05B, "L4:2", context=8192),
    ),
    (
        VLLM + "1419",
        model(LLAMA2_7B, models.LLAMA2_7B),
        spec(LLAMA2_7B, "L4", context=4096, quantization="awq"),
        [
            "quantization error engine/quantization: the checkpoint is float16, and vLLM cannot "
            "make awq of it while loading | quantization: fp8_per_tensor, or a checkpoint that was "
            "quantized before"
        ],
        spec(LLAMA2_7B, "L4", context=4096, quantization="fp8_per_tensor"),
    ),
    (
        VLLM + "22288",
        model(OSS_20B, *models.gpt_oss(24, 32)),
        spec(OSS_20B, "T4:2", context=8192),
        [
            "gpu[0] error gpu/quantization: vLLM runs mxfp4 from compute capability 8.0 on, and a "
            "T4 has 7.5 | L4 or A10 or L40S or A100-40GB"
        ],
        spec(OSS_20B, "L4", context=8192),
    ),
    (
        VLLM + "39583",
        model(LLAMA2_7B, models.bitsandbytes(models.LLAMA2_7B)),
        spec(LLAMA2_7B, "L4", context=4096),
        [
            "model.source error engine/quantization: the checkpoint is quantized with "
            "bitsandbytes, and vLLM 0.32.0 does not read that | image: {packages: "
            "[vllm-bnb-plugin]}, or the model as it was published, or one quantized with AWQ, GPTQ "
            "or FP8"
        ],
        spec(LLAMA2_7B, "L4", context=4096, image={"packages": ["vllm-bnb-plugin"]}),
    ),
    (
        "https://github.com/vllm-project/vllm/pull/39612",
        of_gguf,
        {**gguf("L4", context=8192), "backend": {"name": "vllm"}, "max_sequences": None},
        [
            "model.source error engine/wrong-format: vLLM has no GGUF since 0.24 | backend: "
            "llama.cpp, or the model's safetensors"
        ],
        gguf("L4", context=8192),
    ),
    (
        VLLM + "47549",
        model(QWEN25_05B, models.QWEN25_05B),
        spec(QWEN25_05B, "T4", context=8192, dtype="float16", kv_cache="fp8"),
        [
            "gpu[0] error gpu/kv-cache: vLLM has a KV cache of type fp8 from compute capability "
            "8.0 on, and a T4 has 7.5 | kv_cache: auto on this entry, or L4 or A10 or L40S or "
            "A100-40GB"
        ],
        spec(QWEN25_05B, "L4", context=8192, dtype="float16", kv_cache="fp8"),
    ),
    (
        VLLM + "8409",
        model(LLAMA31_FP8, {**models.LLAMA31_70B, **STATIC_FP8}, linear="F8_E4M3"),
        spec(LLAMA31_FP8, "L40S:8", context=32768, kv_cache="fp8_e5m2"),
        [
            "kv_cache error engine/wrong-option: vLLM refuses a KV cache of type fp8_e5m2 for a "
            "checkpoint in FP8 | fp8 or auto"
        ],
        spec(LLAMA31_FP8, "L40S:8", context=32768, kv_cache="fp8"),
    ),
    (
        VLLM + "8793",
        model(QWEN25_72B, models.QWEN25_72B),
        spec(QWEN25_72B, "H200:4", context=131072),
        [
            "context error model/context: a context of 131,072 is more than the model's own 32,768 "
            "| context: 32768"
        ],
        spec(QWEN25_72B, "H200:4", context=32768),
    ),
    (
        VLLM + "2565",
        model(YI, models.YI_34B),
        spec(YI, "H200:4", context=204800),
        [
            "context error model/context: a context of 204,800 is more than the model's own 4,096 "
            "| context: 4096"
        ],
        spec(YI, "H200:4", context=4096),
    ),
    (
        "https://github.com/gpustack/gpustack/issues/5438",
        with_adapter,
        spec(LLAMA2_7B, "L4", context=4096, model={"adapters": {"sql": {**SQL, "rank": 16}}}),
        [
            "model.adapters.sql.rank error engine/wrong-option: the adapter sql has rank 64, which "
            "is more than 16 | rank: 64, or leave it out"
        ],
        spec(LLAMA2_7B, "L4", context=4096, model={"adapters": {"sql": SQL}}),
    ),
    (
        "https://github.com/SemiAnalysisAI/InferenceX/pull/1371",
        model(OSS_20B, *models.gpt_oss(24, 32)),
        spec(OSS_20B, "H100", context=8192, backend={"args": {"disable-log-requests": True}}),
        [
            "backend.args.disable-log-requests error engine/removed-flag: vLLM 0.32.0 has no "
            "--disable-log-requests any more | leave it out: requests are not logged unless "
            "enable-log-requests says so"
        ],
        spec(OSS_20B, "H100", context=8192),
    ),
    (
        "https://github.com/vllm-project/recipes/pull/856",
        model(QWEN3_8B, models.QWEN3),
        spec(QWEN3_8B, "H100", context=32768, backend={"args": {"rope-scaling": EXTENDED}}),
        [
            "backend.args.rope-scaling error engine/removed-flag: vLLM 0.32.0 has no "
            "--rope-scaling any more | hf-overrides takes it, as JSON"
        ],
        spec(
            QWEN3_8B,
            "H100",
            context=32768,
            backend={"args": {"hf-overrides": {"rope_parameters": EXTENDED}}},
        ),
    ),
    (
        "https://github.com/tscibilia/home-ops/pull/3804",
        of_gguf,
        gguf("L4", context=8192, backend={"args": {"mmap": True}}),
        [
            "backend.args.mmap error engine/removed-flag: llama.cpp b11312 has no --mmap any more "
            "| load-mode: mmap"
        ],
        gguf("L4", context=8192, backend={"args": {"load-mode": "mmap"}}),
    ),
    (
        "https://github.com/ggml-org/llama.cpp/issues/28524",
        of_gguf,
        gguf("L4", context=8192, kv_cache="q8_0", backend={"args": {"flash-attn": "off"}}),
        [
            "backend.args.flash-attn error engine/wrong-option: a KV cache of type q8_0 needs "
            "flash attention | leave flash-attn out, or kv_cache: f16"
        ],
        gguf("L4", context=8192, kv_cache="q8_0"),
    ),
    (
        "https://github.com/docker/for-mac/issues/7670",
        of_gguf,
        gguf("L4", context=8192, model={"task": "embed"}),
        [
            "model.task error engine/no-pooling: the GGUF file names no pooling, and llama-server "
            "answers every request at /v1/embeddings with 400 then | backend: {name: llama.cpp, "
            "args: {pooling: mean}}, or last or cls, as the model's page says"
        ],
        gguf("L4", context=8192, model={"task": "embed"}, backend={"args": {"pooling": "mean"}}),
    ),
]


@pytest.mark.parametrize(
    ("seen", "facts", "wrong", "sentences", "right"),
    FAILED,
    ids=["/".join(row[0].split("/")[3:]) for row in FAILED],
)
def test_what_failed_in_public_is_said_and_its_way_out_works(
    seen: str, facts: Model, wrong: dict[str, Any], sentences: list[str], right: dict[str, Any]
) -> None:
    known = facts()
    assert said(judged(wrong, known)) == sentences, seen
    assert said(judged(right, known)) == [], seen
