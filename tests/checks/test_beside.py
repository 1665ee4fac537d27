"""Are flags of `args` that vLLM refuses together, or of this model, refused here?"""

from __future__ import annotations

from typing import Any

import pytest

from modelctl.weights.facts import ModelFacts
from tests.checks.judging import VLLM, beside_memory, judged, said
from tests.checks.test_flag_bounds import TEXT
from tests.checks.test_flag_fields import ADAPTED, flags

ENDS = "and vLLM refuses to start"
MLA = {
    "model_type": "deepseek_v3",
    "hidden_size": 7168,
    "intermediate_size": 18432,
    "num_hidden_layers": 2,
    "num_attention_heads": 128,
    "num_key_value_heads": 128,
    "kv_lora_rank": 512,
    "q_lora_rank": 1536,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "vocab_size": 129280,
}
MOE = {**TEXT, "model_type": "qwen3_moe", "num_experts": 8, "num_experts_per_tok": 2}
MOE |= {"moe_intermediate_size": 768}
WINDOWS = {
    "model_type": "gemma4_text",
    "hidden_size": 2816,
    "intermediate_size": 2112,
    "num_hidden_layers": 30,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 256,
    "num_global_key_value_heads": 2,
    "global_head_dim": 512,
    "layer_types": [*["sliding_attention"] * 5, "full_attention"] * 5,
    "sliding_window": 1024,
    "vocab_size": 262144,
}


def judge(spec: dict[str, Any], config: dict[str, Any] = TEXT) -> list[str]:
    return said(beside_memory(judged(spec, ModelFacts("hub", config=config))))


def guessing(method: str, version: str = "0.32.0", **more: Any) -> dict[str, Any]:
    spec = {**VLLM, "speculative": {"method": method, "tokens": 3}, **more}
    if method == "suffix":
        spec["image"] = {"packages": ["arctic-inference==0.1.1"]}
    return {**spec, "backend": {"name": "vllm", "version": version}}


def on(gpu: str, **more: Any) -> dict[str, Any]:
    return {**VLLM, "gpu": [{"type": gpu}], **more}


def asynchronous(method: str) -> str:
    return (
        "backend.args.async-scheduling error engine/wrong-option: async-scheduling does not go "
        f"with the speculative method {method}, {ENDS} | leave it out: vLLM turns it on where it "
        "can"
    )


def attention(sentence: str, hint: str) -> str:
    return f"backend.args.attention-backend error engine/wrong-option: {sentence}, {ENDS} | {hint}"


FASTEST = "leave it out: vLLM takes the fastest that the model can use"

CASES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (flags(guessing("ngram"), async_scheduling=True), TEXT, asynchronous("ngram")),
    (flags(guessing("suffix"), async_scheduling=True), TEXT, asynchronous("suffix")),
    (flags(guessing("suffix", "0.33.0"), async_scheduling=True), TEXT, asynchronous("suffix")),
    (
        flags(
            guessing("ngram", "0.33.0", env={"VLLM_USE_V2_MODEL_RUNNER": "0"}),
            async_scheduling=True,
        ),
        TEXT,
        asynchronous("ngram"),
    ),
    (
        flags({**VLLM, "context": 4096}, long_prefill_token_threshold=8192),
        TEXT,
        "backend.args.long-prefill-token-threshold error engine/wrong-option: "
        f"long-prefill-token-threshold of 8,192 is more than the context of 4,096, {ENDS} | "
        "long-prefill-token-threshold: 4096, or less",
    ),
    (
        flags(ADAPTED, max_loras=4, max_cpu_loras=2),
        TEXT,
        "backend.args.max-cpu-loras error engine/wrong-option: max-cpu-loras of 2 is less than "
        f"max-loras of 4, {ENDS} | max-cpu-loras: 4, or more",
    ),
    (
        flags({**VLLM, "context": 4096}, num_gpu_blocks_override=10),
        TEXT,
        "backend.args.num-gpu-blocks-override error engine/wrong-option: 10 blocks of the cache, "
        f"one of which stays empty, do not hold a context of 4,096 tokens, {ENDS} | leave it out: "
        "vLLM takes as many as fit",
    ),
    (
        flags({**VLLM, "context": 4096}, num_gpu_blocks_override=256, block_size=16),
        TEXT,
        "backend.args.num-gpu-blocks-override error engine/wrong-option: 256 blocks of the cache, "
        f"one of which stays empty, do not hold a context of 4,096 tokens, {ENDS} | leave it out, "
        "or 257 or more",
    ),
    (
        flags(VLLM, max_cudagraph_capture_size=0),
        TEXT,
        "backend.args.max-cudagraph-capture-size error engine/wrong-option: "
        f"max-cudagraph-capture-size of 0 leaves no CUDA graph, {ENDS} | leave it out; "
        "enforce-eager: true is without CUDA graphs",
    ),
    (
        flags(VLLM, attention_backend="FLASH_ATTN_MLA"),
        TEXT,
        attention(
            "FLASH_ATTN_MLA is for multi-head latent attention, which the model has not", FASTEST
        ),
    ),
    (
        flags(on("H100:8"), attention_backend="flash_attn"),
        MLA,
        attention("FLASH_ATTN has no multi-head latent attention, which the model has", FASTEST),
    ),
    (
        flags(VLLM, attention_backend="FLASHATTN"),
        TEXT,
        attention("vLLM 0.32.0 has no attention backend FLASHATTN", "did you mean FLASH_ATTN?"),
    ),
    (
        guessing("suffix", env={"VLLM_USE_V2_MODEL_RUNNER": "1"}),
        TEXT,
        "env.VLLM_USE_V2_MODEL_RUNNER error engine/wrong-option: the second model runner does not "
        f"know the speculative method suffix, {ENDS} | leave it out: vLLM takes the one that does",
    ),
    (
        {**VLLM, "env": {"VLLM_USE_V2_MODEL_RUNNER": "true"}},
        TEXT,
        "env.VLLM_USE_V2_MODEL_RUNNER error engine/wrong-option: VLLM_USE_V2_MODEL_RUNNER is 0 or "
        f'1, not "true", {ENDS} | leave it out: vLLM takes the one that can do what is asked',
    ),
    (
        flags(on("H100:4"), decode_context_parallel_size=3),
        TEXT,
        "backend.args.decode-context-parallel-size error engine/wrong-option: tensor: 4 is not "
        f"divisible by decode-context-parallel-size 3, {ENDS} | leave it out, or 2",
    ),
    (
        flags(on("H100:8"), decode_context_parallel_size=2),
        TEXT,
        "backend.args.decode-context-parallel-size error engine/wrong-option: "
        "decode-context-parallel-size shares out copies of KV heads, and 8 KV heads on 8 GPUs have "
        f"none, {ENDS} | leave it out",
    ),
    (
        flags(on("H100:8"), decode_context_parallel_size=4),
        {**TEXT, "num_key_value_heads": 4},
        "backend.args.decode-context-parallel-size error engine/wrong-option: each of 4 KV heads "
        f"is on 2 of 8 GPUs, fewer than decode-context-parallel-size 4, {ENDS} | leave it out, or "
        "2",
    ),
    (
        flags(on("H100:4"), prefill_context_parallel_size=2),
        TEXT,
        "backend.args.prefill-context-parallel-size error engine/wrong-option: "
        "prefill-context-parallel-size is for multi-head latent attention, which the model has "
        f"not, {ENDS} | leave it out",
    ),
    (
        flags(on("H100:8"), prefill_context_parallel_size=2),
        MLA,
        "backend.args.prefill-context-parallel-size error engine/wrong-option: "
        "prefill-context-parallel-size 2 beside tensor: 8 takes 16 GPUs, and H100:8 has 8, "
        f"{ENDS} | parallel: {{tensor: 4}}",
    ),
    (
        flags(on("H100:2"), enable_eplb=True),
        MOE,
        "backend.args.enable-eplb error engine/wrong-option: enable-eplb moves experts between "
        f"GPUs, and each GPU has a part of every expert, {ENDS} | parallel: {{expert: true}} puts "
        "whole ones there, or leave it out",
    ),
    (
        flags(on("H100", parallel={"expert": True}), enable_eplb=True),
        MOE,
        "backend.args.enable-eplb error engine/wrong-option: enable-eplb moves experts between "
        f"GPUs, and here is one, {ENDS} | leave it out",
    ),
    (
        flags(on("H100:2"), enable_dbo=True),
        MOE,
        "backend.args.enable-dbo error engine/wrong-option: enable-dbo overlaps two batches by an "
        "all2all-backend of deepep_low_latency, deepep_high_throughput or nixl_ep, and "
        f"allgather_reducescatter is none, {ENDS} | all2all-backend: deepep_low_latency, or leave "
        "enable-dbo out",
    ),
    (
        flags(VLLM, enable_batch_sharded_sampling=True),
        TEXT,
        "backend.args.enable-batch-sharded-sampling error engine/wrong-option: "
        f"enable-batch-sharded-sampling shares sampling out among tensor: 1, {ENDS} | leave it out",
    ),
]


@pytest.mark.parametrize(("spec", "config", "sentence"), CASES, ids=[c[2][:90] for c in CASES])
def test_what_vllm_refuses(spec: dict[str, Any], config: dict[str, Any], sentence: str) -> None:
    assert judge(spec, config) == [sentence]


@pytest.mark.parametrize(
    ("spec", "config"),
    [
        (flags(guessing("ngram_gpu"), async_scheduling=True), TEXT),
        (flags(guessing("ngram"), async_scheduling=False), TEXT),
        (flags(guessing("ngram", "0.33.0"), async_scheduling=True), TEXT),
        (flags({**VLLM, "context": 8192}, long_prefill_token_threshold=8192), TEXT),
        (flags(ADAPTED, max_loras=4, max_cpu_loras=0), TEXT),
        (flags(VLLM, max_cpu_loras=1, max_loras=4), TEXT),
        (flags({**VLLM, "context": 4096}, num_gpu_blocks_override=257, block_size=16), TEXT),
        (flags(VLLM, max_cudagraph_capture_size=0, enforce_eager=True), TEXT),
        (flags(VLLM, attention_backend="auto"), TEXT),
        (flags(on("H100:8"), attention_backend="FLASHMLA"), MLA),
        (guessing("suffix", env={"VLLM_USE_V2_MODEL_RUNNER": "0"}), TEXT),
        (flags(on("H100:8"), decode_context_parallel_size=2), {**TEXT, "num_key_value_heads": 4}),
        (flags(on("H100:8"), decode_context_parallel_size=8), MLA),
        (
            flags(on("H100:8", parallel={"tensor": 4}), prefill_context_parallel_size=2),
            MLA,
        ),
        (flags(on("H100:2", parallel={"expert": True}), enable_eplb=True), MOE),
        (flags(on("H100:2"), enable_dbo=True, all2all_backend="deepep_low_latency"), MOE),
        (flags(on("H100:2"), enable_batch_sharded_sampling=True), TEXT),
    ],
)
def test_what_it_takes(spec: dict[str, Any], config: dict[str, Any]) -> None:
    assert judge(spec, config) == []


def test_blocks_are_counted_as_the_cache_is_laid_out() -> None:
    """Full layers have blocks twice as long here as the windows beside them."""

    def refused(count: int) -> list[str]:
        spec = {**VLLM, "context": 131072, "max_batched_tokens": 2048}
        return judge(flags(spec, num_gpu_blocks_override=count, block_size=16), WINDOWS)

    assert refused(5702) == []
    assert refused(5701) == [
        "backend.args.num-gpu-blocks-override error engine/wrong-option: 5701 blocks of the cache, "
        f"one of which stays empty, do not hold a context of 131,072 tokens, {ENDS} | leave it "
        "out, or 5702 or more"
    ]


def replaying(architecture: str, env: dict[str, str] | None = None, **args: Any) -> list[str]:
    spec = flags({**VLLM, "env": env or {}}, use_replayssm=True, **args)
    return said(beside_memory(judged(spec, ModelFacts("hub", architecture=architecture))))


def test_states_are_replayed_for_models_that_have_them_by_a_runner_that_can() -> None:
    where = "backend.args.use-replayssm error engine/wrong-option: use-replayssm"
    assert replaying("Qwen3ForCausalLM") == [
        f"{where} is for KimiK3ForConditionalGeneration, KimiLinearForCausalLM, "
        f"NemotronHForCausalLM or NemotronHPuzzleForCausalLM, not Qwen3ForCausalLM, {ENDS} | leave "
        "it out"
    ]
    assert replaying("NemotronHForCausalLM") == [
        f"{where} by Triton needs the first model runner, {ENDS} | mamba-backend: flashinfer with "
        'prefix_caching: false, or env: {VLLM_USE_V2_MODEL_RUNNER: "0"}'
    ]
    assert replaying("NemotronHForCausalLM", env={"VLLM_USE_V2_MODEL_RUNNER": "0"}) == []
    assert replaying("NemotronHForCausalLM", mamba_backend="flashinfer") == []
    assert said(judged(VLLM, ModelFacts("hub"))) == said(judged(flags(VLLM, use_replayssm=True)))
