"""Whose models are served in the tests of real failures, and how is such a spec written?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modelctl.weights.facts import ModelFacts
from tests.checks import real_models as models
from tests.checks.real_models import locked, locked_gguf

VLLM = "https://github.com/vllm-project/vllm/issues/"
Model = Callable[[], ModelFacts]


def model(source: str, *made: Any, **more: Any) -> Model:
    return lambda: locked(source, *made, **more)


def spec(source: str, *cards: str, context: int, **more: Any) -> dict[str, Any]:
    name = source.rsplit("/", 1)[1].lower().replace(".", "-")
    return {
        "name": name,
        "model": {"source": source, **more.pop("model", {})},
        "backend": {"name": "vllm", **more.pop("backend", {})},
        "context": context,
        "gpu": [{"type": card} for card in cards],
        **more,
    }


def gguf(*cards: str, **more: Any) -> dict[str, Any]:
    said = spec(GGUF, *cards, **more)
    return {
        **said,
        "model": {"file": FILE, **said["model"]},
        "backend": {**said["backend"], "name": "llama.cpp"},
        "max_sequences": 1,
    }


LLAMA3 = "hf://meta-llama/Meta-Llama-3-70B-Instruct"
LLAMA31 = "hf://meta-llama/Llama-3.1-70B-Instruct"
LLAMA33_FP8 = "hf://RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic"
LLAMA31_FP8 = "hf://neuralmagic/Meta-Llama-3.1-70B-Instruct-FP8"
LLAMA2_7B = "hf://meta-llama/Llama-2-7b-hf"
LLAMA2_70B = "hf://meta-llama/Llama-2-70b-hf"
ALPACA = "hf://hfl/chinese-alpaca-2-13b"
CODELLAMA = "hf://codellama/CodeLlama-13b-Instruct-hf"
WIZARDLM = "hf://cognitivecomputations/WizardLM-33B-V1.0-Uncensored"
PHI3 = "hf://microsoft/Phi-3-medium-4k-instruct"
YI = "hf://01-ai/Yi-34B-Chat"
YARN = "hf://NousResearch/Yarn-Mistral-7b-128k"
QWEN15_7B = "hf://Qwen/Qwen1.5-7B-Chat"
QWEN15_32B = "hf://Qwen/Qwen1.5-32B-Chat"
QWEN25_05B = "hf://Qwen/Qwen2.5-0.5B-Instruct"
QWEN25_72B = "hf://Qwen/Qwen2.5-72B-Instruct"
QWEN3_8B = "hf://Qwen/Qwen3-8B"
QWEN35_27B = "hf://Qwen/Qwen3.5-27B"
QWEN3_30B = "hf://Qwen/Qwen3-30B-A3B"
QWEN3_30B_FP8 = "hf://Qwen/Qwen3-30B-A3B-FP8"
QWEN3_235B_FP8 = "hf://Qwen/Qwen3-235B-A22B-FP8"
NARROW = "hf://Qwen/Qwen3.8-Flash-Next-FP8"
DISTILLED = "hf://deepseek-ai/DeepSeek-R1-Distill-Qwen-7B"
GLM = "hf://zai-org/GLM-4.5-Air"
GEMMA3 = "hf://google/gemma-3-27b-it"
GEMMA2 = "hf://google/gemma-2-2b-it"
COMMAND_R = "hf://CohereForAI/c4ai-command-r-v01"
OSS_20B, OSS_120B = "hf://openai/gpt-oss-20b", "hf://openai/gpt-oss-120b"
GGUF = "hf://bartowski/Meta-Llama-3.1-8B-Instruct-GGUF"
FILE = "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf"

BLOCKS: dict[str, Any] = {"quantization_config": models.BLOCKS}
STATIC_FP8 = {"quantization_config": {"quant_method": "fp8", "activation_scheme": "static"}}
EXTENDED = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
SQL = {"source": "hf://acme/sql"}


def of_gguf() -> ModelFacts:
    return locked_gguf(GGUF, FILE, models.gguf_llama31_8b())


def with_adapter() -> ModelFacts:
    return locked(LLAMA2_7B, models.LLAMA2_7B, beside={SQL["source"]: models.adapter(64)})
