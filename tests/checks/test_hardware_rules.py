"""Which GPUs and how many of them suit a model, word for word, and what makes it right?"""

from __future__ import annotations

from typing import Any

import pytest

from modelctl.weights import config as configs
from modelctl.weights.facts import ModelFacts
from tests.checks.judging import LLAMA, VLLM, beside_memory, judged, said

LLAMA_70B: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "dtype": "bfloat16",
    "num_hidden_layers": 80,
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "hidden_size": 8192,
    "vocab_size": 128256,
    "max_position_embeddings": 131072,
}
WIDE: dict[str, Any] = {**LLAMA_70B, "num_attention_heads": 48, "num_key_value_heads": 16}
MIXTRAL: dict[str, Any] = {**LLAMA_70B, "num_local_experts": 8, "model_type": "mixtral"}
GEMMA: dict[str, Any] = {**LLAMA_70B, "model_type": "gemma3_text"}


def quantized(method: str, **more: Any) -> dict[str, Any]:
    return {**LLAMA_70B, "quantization_config": {"quant_method": method, **more}}


def checkpoint(config: dict[str, Any]) -> ModelFacts:
    return ModelFacts(
        "hub",
        commit="a" * 40,
        config=config,
        layers=configs.number(config, *configs.LAYERS),
        quantization=configs.quantization(config),
        context_length=configs.context_length(config),
    )


def on(*cards: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    entries = [{"type": card} if isinstance(card, str) else card for card in cards]
    return {**VLLM, "gpu": entries, **more}


FP8 = quantized("compressed-tensors", format="float-quantized")
NVFP4 = quantized("compressed-tensors", format="nvfp4-pack-quantized")

CASES: list[tuple[dict[str, Any], dict[str, Any], str, dict[str, Any]]] = [
    (
        on("H100", "T4"),
        quantized("mxfp4"),
        "gpu[1] error gpu/quantization: vLLM runs mxfp4 from compute capability 8.0 on, and a T4 "
        "has 7.5 | leave it out, or L4 or A10 or L40S or A100-40GB",
        on("H100", "L4"),
    ),
    (
        on("A100-80GB", quantization="fp_quant"),
        LLAMA_70B,
        "gpu[0] error gpu/quantization: vLLM runs fp_quant from compute capability 10.0 on, and an "
        "A100-80GB has 8.0 | RTX-PRO-6000 or B200",
        on("B200", quantization="fp_quant"),
    ),
    (
        on("A100-80GB"),
        FP8,
        "gpu[0] warning gpu/not-native: an A100-80GB does not compute in FP8: it widens the "
        "weights first, which saves memory and no time | L4 or L40S or RTX-PRO-6000 or H100; or "
        "allow it, since it works",
        on("L40S"),
    ),
    (
        on("H100"),
        NVFP4,
        "gpu[0] warning gpu/not-native: an H100 does not compute in NVFP4: it widens the weights "
        "first, which saves memory and no time | RTX-PRO-6000 or B200; or allow it, since it works",
        on("H100", allow={"gpu/not-native": {"reason": "memory is what matters"}}),
    ),
    (
        on("H100", quantization="bitsandbytes"),
        FP8,
        "quantization error engine/wrong-option: vLLM 0.32.0 has no quantization method "
        "bitsandbytes, and the checkpoint is quantized already, with compressed-tensors | "
        "quantization: auto",
        on("H100", quantization="auto"),
    ),
    (
        on("H100"),
        quantized("bitsandbytes"),
        "model.source error engine/quantization: the checkpoint is quantized with bitsandbytes, "
        "and vLLM 0.32.0 does not read that | image: {packages: [vllm-bnb-plugin]}, or the model "
        "as it was published, or one quantized with AWQ, GPTQ or FP8",
        on("H100", image={"packages": ["vllm-bnb-plugin"]}),
    ),
    (
        on("H100"),
        quantized("hqq"),
        "model.source error engine/quantization: the checkpoint is quantized with hqq, and vLLM "
        "0.32.0 does not read that | the model as it was published, or one quantized with AWQ, "
        "GPTQ or FP8",
        {},
    ),
    (
        on("T4", kv_cache="fp8"),
        quantized("awq"),
        "gpu[0] error gpu/kv-cache: vLLM has a KV cache of type fp8 from compute capability 8.0 "
        "on, and a T4 has 7.5 | kv_cache: auto on this entry, or L4 or A10 or L40S or A100-40GB",
        on({"type": "T4", "kv_cache": "auto"}, kv_cache="fp8"),
    ),
    (
        on({"type": "A10", "kv_cache": "fp8_per_token_head"}),
        LLAMA_70B,
        "gpu[0].kv_cache error gpu/kv-cache: vLLM has a KV cache of type fp8_per_token_head from "
        "compute capability 8.9 on, and an A10 has 8.6 | kv_cache: auto on this entry, or L4 or "
        "L40S or RTX-PRO-6000 or H100",
        on({"type": "L4", "kv_cache": "fp8_per_token_head"}),
    ),
    (
        on("T4"),
        LLAMA_70B,
        "gpu[0] warning gpu/no-bfloat16: the model is bfloat16 and a T4 has none: vLLM takes "
        "float16 there, which has a smaller range | dtype: float16 says so for every GPU, or L4 or "
        "A10 or L40S or A100-40GB",
        on("T4", dtype="float16"),
    ),
    (
        on("T4"),
        GEMMA,
        "gpu[0] warning gpu/no-bfloat16: the model is bfloat16 and a T4 has none: vLLM takes "
        "float32 there, which takes twice the memory | dtype: float32 says so for every GPU, or L4 "
        "or A10 or L40S or A100-40GB",
        on("T4", dtype="float32"),
    ),
    (
        on("L4", dtype="float16"),
        GEMMA,
        "dtype error engine/wrong-option: vLLM refuses gemma3_text in float16, whose numbers are "
        "too small for it | dtype: auto, or bfloat16",
        on("L4", dtype="auto"),
    ),
    (
        on("H100:5"),
        LLAMA_70B,
        "gpu[0] error parallel/heads: 64 attention heads cannot be shared out among 5 GPUs | "
        "H100:4 or H100:8",
        on("H100:8"),
    ),
    (
        on("H100:6"),
        WIDE,
        "gpu[0] error parallel/heads: 16 KV heads cannot be shared out among 6 GPUs | H100:4 or "
        "H100:8",
        on("H100:4"),
    ),
    (
        on("H100:3"),
        {**LLAMA_70B, "num_attention_heads": 24, "num_key_value_heads": 24, "vocab_size": 31990},
        "gpu[0] error parallel/heads: a vocabulary of 31,990 tokens, padded to 32,000, "
        "cannot be shared out among 3 GPUs | H100:2 or H100:4",
        on("H100:2"),
    ),
    (
        on("H100:8", parallel={"tensor": 5}),
        LLAMA_70B,
        "parallel.tensor error parallel/heads: 64 attention heads cannot be shared out among 5 "
        "GPUs | tensor: 4 or 8, on H100:4 or H100:8",
        on("H100:8", parallel={"tensor": 8}),
    ),
    (
        on("H100:8", parallel={"pipeline": 8}),
        {**LLAMA_70B, "num_hidden_layers": 4},
        "parallel.pipeline error parallel/layers: 4 layers cannot be shared out among 8 groups | "
        "pipeline: 4 or less",
        on("H100:4", parallel={"pipeline": 4}),
    ),
    (
        on("H100:2", parallel={"expert": True}),
        LLAMA_70B,
        "parallel.expert error parallel/no-experts: the model has no experts to spread, and vLLM "
        "refuses expert: true then | leave expert out",
        on("H100:2", parallel={}),
    ),
    (
        on("H100:2", backend={**VLLM["backend"], "args": {"enable-expert-parallel": True}}),
        LLAMA_70B,
        "backend.args.enable-expert-parallel error parallel/no-experts: the model has no experts "
        "to spread, and vLLM refuses enable-expert-parallel then | leave enable-expert-parallel "
        "out",
        on("H100:2"),
    ),
    (
        on("A100-80GB", quantization="awq"),
        LLAMA_70B,
        "quantization error engine/quantization: the checkpoint is bfloat16, and vLLM cannot make "
        "awq of it while loading | quantization: fp8_per_tensor, or a checkpoint that was "
        "quantized before",
        on("H100", quantization="fp8_per_tensor"),
    ),
]


@pytest.mark.parametrize(
    ("spec", "config", "sentence", "way_out"), CASES, ids=[case[2].split(": ")[0] for case in CASES]
)
def test_sentences_and_their_ways_out(
    spec: dict[str, Any], config: dict[str, Any], sentence: str, way_out: dict[str, Any]
) -> None:
    found = [
        line
        for line in said(beside_memory(judged(spec, checkpoint(config))))
        if "match-count" not in line
    ]
    assert found == [sentence]
    if way_out:
        assert said(beside_memory(judged(way_out, checkpoint(config)))) == []


def test_another_number_is_looked_for_among_as_many_parts_as_models_have() -> None:
    """Not among all hosts that a spec names: that took hours."""
    spec = on("H100:8", parallel={"tensor": 5}, nodes=2**31)
    found = said(beside_memory(judged(spec, checkpoint(LLAMA_70B))))
    assert (
        "parallel.tensor error parallel/heads: 64 attention heads cannot be shared out among 5 "
        "GPUs | tensor: 4 or 8"
    ) in found


RIGHT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (on("H100:8"), LLAMA_70B),
    (on("H100:3"), {**LLAMA_70B, "num_attention_heads": 24, "num_key_value_heads": 3}),
    (on("H100:8"), {**LLAMA_70B, "num_key_value_heads": 2}),
    (on("H100:5", parallel={"pipeline": 5}), LLAMA_70B),
    (on("H100:8"), {**LLAMA_70B, "num_key_value_heads": 3, "kv_lora_rank": 512}),
    (on("H100:2", parallel={"expert": True}), MIXTRAL),
    (on("H100"), FP8),
    (on("B200"), NVFP4),
    (on("H100", "A100-80GB"), quantized("awq")),
    (on("T4"), quantized("gptq")),
    (on("H100"), quantized("mxfp4")),
    (on("A100-80GB", kv_cache="fp8"), LLAMA_70B),
    (on("T4", kv_cache="int8_per_token_head"), quantized("awq")),
    (on("T4"), {**LLAMA_70B, "dtype": "float16"}),
    (on("A100-40GB"), quantized("of-tomorrow")),
    (on("H100:5"), {"model_type": "of-tomorrow"}),
    ({**LLAMA, "gpu": [{"type": "L4:3"}]}, {}),
]


@pytest.mark.parametrize(("spec", "config"), RIGHT)
def test_what_runs_is_not_refused(spec: dict[str, Any], config: dict[str, Any]) -> None:
    facts = checkpoint(config) if config else None
    assert said(beside_memory(judged(spec, facts))) == []


def test_compressed_tensors_fp8_on_an_a100_is_deployed() -> None:
    found = beside_memory(judged(on("A100-80GB:8"), checkpoint(FP8)))
    assert [d.severity for d in found if d.code != "model/unlocked"] == ["warning"]


def test_without_a_lock_nothing_is_said_of_heads() -> None:
    assert said(beside_memory(judged(on("H100:5")))) == []
