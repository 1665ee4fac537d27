"""What looks wrong and works: is it taken?

Each link is the thread of somebody who feared that it would not, or whom an older version refused.
"""

from __future__ import annotations

from typing import Any

import pytest

from modelctl.diagnostics import Severity
from tests.checks import real_models as models
from tests.checks.judging import judged, said
from tests.checks.real_specs import (
    BLOCKS,
    COMMAND_R,
    DISTILLED,
    EXTENDED,
    GEMMA2,
    GEMMA3,
    GLM,
    LLAMA2_7B,
    LLAMA33_FP8,
    OSS_20B,
    OSS_120B,
    QWEN3_8B,
    QWEN3_30B,
    QWEN3_30B_FP8,
    QWEN3_235B_FP8,
    QWEN25_05B,
    QWEN25_72B,
    SQL,
    VLLM,
    Model,
    gguf,
    model,
    of_gguf,
    spec,
    with_adapter,
)

NOT_NATIVE = (
    "gpu[0] warning gpu/not-native: an A100-80GB does not compute in FP8: it widens the weights "
    "first, which saves memory and no time | L4 or L40S or RTX-PRO-6000 or H100; or allow it, "
    "since it works"
)

WORKS: list[tuple[str, Model, dict[str, Any], list[str]]] = [
    (  # the fallback to weights alone in FP8, which other engines lack
        "https://github.com/vllm-project/vllm/pull/5975",
        model(
            LLAMA33_FP8,
            {**models.LLAMA31_70B, "quantization_config": models.FP8_DYNAMIC},
            linear="F8_E4M3",
        ),
        spec(LLAMA33_FP8, "A100-80GB:4", context=32768),
        [NOT_NATIVE],
    ),
    (  # four KV heads on eight GPUs: two have the same one
        "https://github.com/vllm-project/vllm/pull/1640",
        model(QWEN3_30B, models.QWEN3_30B),
        spec(QWEN3_30B, "H100:8", context=32768),
        [],
    ),
    (  # two KV heads on four
        "https://github.com/vllm-project/tpu-inference/pull/2661",
        model(GLM, *models.of_transformers("glm4")),
        spec(GLM, "L40S:4", context=32768),
        [],
    ),
    (  # experts of 192 columns in blocks of 128: vLLM has cut blocks since
        VLLM + "17569",
        model(QWEN3_235B_FP8, {**models.QWEN3_235B, **BLOCKS}, linear="F8_E4M3"),
        spec(QWEN3_235B_FP8, "H100:8", context=32768),
        [],
    ),
    (
        VLLM + "25292",
        model(QWEN3_30B_FP8, {**models.QWEN3_30B, **BLOCKS}, linear="F8_E4M3"),
        spec(QWEN3_30B_FP8, "L4:4", context=32768),
        [],
    ),
    (
        "https://github.com/QwenLM/Qwen3/issues/1485",
        model(QWEN3_235B_FP8, {**models.QWEN3_235B, **BLOCKS}, linear="F8_E4M3"),
        spec(QWEN3_235B_FP8, "H100:8", context=32768, parallel={"expert": True}),
        [],
    ),
    (  # a request of 128k tokens: five layers in six keep a window of 1,024
        "https://github.com/vllm-project/vllm/pull/39254",
        model(GEMMA3, *models.of_transformers("gemma3-27b")),
        spec(GEMMA3, "A100-80GB", context=131072),
        [],
    ),
    (  # vLLM once took the window for the longest request
        VLLM + "6220",
        model(GEMMA2, *models.of_transformers("gemma2")),
        spec(GEMMA2, "L4", context=8192),
        [],
    ),
    (
        "https://github.com/mark-ramsey-ri/vllm-dgx-spark/issues/8",
        model(OSS_120B, *models.gpt_oss(36, 128)),
        spec(OSS_120B, "H100", context=32768),
        [],
    ),
    (
        # MXFP4 was for 10.0 and above once
        VLLM + "22422",
        model(OSS_120B, *models.gpt_oss(36, 128)),
        spec(OSS_120B, "A100-80GB", context=32768),
        [],
    ),
    (
        VLLM + "22422",
        model(OSS_20B, *models.gpt_oss(24, 32)),
        spec(OSS_20B, "A10", context=131072),
        [],
    ),
    (  # no lm_head among the tensors, which is not missing
        "https://github.com/vllm-project/vllm/pull/6758",
        model(QWEN25_05B, models.QWEN25_05B),
        spec(QWEN25_05B, "T4", context=32768, dtype="float16"),
        [],
    ),
    (  # YaRN in config.json, its length multiplied there
        "https://github.com/ggml-org/llama.cpp/pull/10698",
        model(
            QWEN25_72B,
            {**models.QWEN25_72B, "max_position_embeddings": 131072, "rope_scaling": EXTENDED},
        ),
        spec(QWEN25_72B, "H200:4", context=131072),
        [],
    ),
    (  # YaRN in config.json, and the length before it: versions of vLLM differ, nobody is refused
        "https://github.com/vllm-project/vllm/pull/4930",
        model(QWEN25_72B, {**models.QWEN25_72B, "rope_scaling": EXTENDED}),
        spec(QWEN25_72B, "H200:4", context=131072),
        [],
    ),
    (  # model_max_length of its config.json is what counts
        VLLM + "3676",
        model(COMMAND_R, *models.command_r()),
        spec(COMMAND_R, "H200:4", context=131072),
        [],
    ),
    (  # the rank that vLLM reserves room for follows from the adapter
        VLLM + "2847",
        with_adapter,
        spec(LLAMA2_7B, "L4", context=4096, model={"adapters": {"sql": SQL}}),
        [],
    ),
    (  # no kernel computes in FP8 there, and the cache needs none
        VLLM + "4827",
        model(QWEN3_8B, models.QWEN3),
        spec(QWEN3_8B, "A10", context=8192, kv_cache="fp8_e5m2"),
        [],
    ),
    (  # what does not fit 16 GB fits 24
        "https://github.com/ggml-org/llama.cpp/issues/9517",
        of_gguf,
        gguf("L4", context=131072),
        [],
    ),
    (  # a head count that no even number of GPUs divides is cut by layers
        VLLM + "11797",
        model(DISTILLED, models.QWEN25_7B),
        spec(DISTILLED, "A10:3", context=8192, parallel={"tensor": 1, "pipeline": 3}),
        [],
    ),
]


@pytest.mark.parametrize(
    ("seen", "facts", "right", "sentences"),
    WORKS,
    ids=["/".join(row[0].split("/")[3:]) for row in WORKS],
)
def test_what_looks_wrong_and_works_is_no_error(
    seen: str, facts: Model, right: dict[str, Any], sentences: list[str]
) -> None:
    found = judged(right, facts())
    assert [d for d in found if d.severity is Severity.ERROR] == [], seen
    assert said(found) == sentences, seen
