"""What may a spec not say to vLLM, word for word? And what may it say, that is not refused?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelctl.resolved import RemoteFile
from modelctl.weights.facts import ModelFacts
from modelctl.weights.read import model_facts
from tests.checks.judging import LLAMA, VLLM, judged, said
from tests.hub.models import make_adapter

HUB: dict[str, Any] = {"source": "hf://a/b"}
EIGHT: dict[str, Any] = {**VLLM, "gpu": [{"type": "H100:8"}], "nodes": 2}

WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {**VLLM, "kv_cache": "q8_0"},
        "kv_cache error engine/wrong-option: vLLM has no KV cache of type q8_0 | fp8 or auto",
    ),
    (
        {**VLLM, "gpu": [{"type": "L4", "kv_cache": "fp8_e4"}]},
        "gpu[0].kv_cache error engine/wrong-option: vLLM has no KV cache of type fp8_e4 | "
        "fp8_e4m3, fp8_e5m2, fp8 or auto",
    ),
    (
        {**VLLM, "tools": "qwen3"},
        "tools error engine/wrong-option: vLLM 0.32.0 has no tool parser qwen3 | "
        "qwen3_xml, qwen3_json or qwen3_coder",
    ),
    (
        {**VLLM, "reasoning": "deepseek-r1"},
        "reasoning error engine/wrong-option: vLLM 0.32.0 has no reasoning parser deepseek-r1 | "
        "deepseek_r1, deepseek_v41 or deepseek_v4",
    ),
    (
        {**VLLM, "speculative": {"method": "eagle2", "model": "hf://c/d"}},
        "speculative.method error engine/wrong-option: vLLM 0.32.0 has no speculative method "
        "eagle2 | eagle or eagle3",
    ),
    (
        {**VLLM, "quantization": "Q4_K_M"},
        "quantization error engine/wrong-option: vLLM 0.32.0 has no quantization method Q4_K_M | "
        "fp8_per_block, fp8_per_channel, fp8_per_tensor, int8_per_channel_weight_only, mxfp4, "
        "mxfp8, nvfp4_per_token or fp8",
    ),
    (
        {**VLLM, "quantization": "bitsandbytes"},
        "quantization error engine/wrong-option: bitsandbytes is no part of vLLM since 0.28 | "
        "fp8_per_tensor, or image: {packages: [vllm-bnb-plugin]}",
    ),
    (
        {**VLLM, "gpu": [{"type": "L4"}, {"type": "T4"}], "dtype": "bfloat16"},
        "dtype error engine/wrong-option: a T4 cannot compute in bfloat16, and gpu[1] is one | "
        "dtype: float16, or auto, which is float16 there alone",
    ),
    (
        {**VLLM, "max_sequences": 512, "max_batched_tokens": 256},
        "max_batched_tokens error engine/wrong-option: a step of 256 tokens cannot hold one of "
        "each of 512 sequences | max_batched_tokens: 512 or more; vLLM's own choice is 2048 to "
        "16384",
    ),
    (
        {**VLLM, "gpu": [{"type": "L4", "max_batched_tokens": 64}], "max_sequences": 128},
        "gpu[0].max_batched_tokens error engine/wrong-option: a step of 64 tokens cannot hold one "
        "of each of 128 sequences | max_batched_tokens: 128 or more; vLLM's own choice is 2048 to "
        "16384",
    ),
    (
        {**VLLM, "model": {**HUB, "adapters": {"a": {"source": "hf://c/d", "rank": 1024}}}},
        "model.adapters.a.rank error engine/wrong-option: vLLM 0.32.0 takes adapters up to rank "
        "512 | an adapter of rank 512 or less, or one merged into the model",
    ),
    (
        {**VLLM, "speculative": {"tokens": 4}},
        "speculative error engine/wrong-option: speculative says neither method nor model | "
        "speculative: {method: ngram, tokens: 4}",
    ),
    (
        {**VLLM, "speculative": {"method": "eagle3"}},
        "speculative error engine/wrong-option: eagle3 guesses with a model, and none is named | "
        "speculative: {method: eagle3, model: hf://org/repo, tokens: 4}",
    ),
    (
        {**VLLM, "speculative": {"method": "ngram", "model": "hf://c/d"}},
        "speculative.model error engine/wrong-option: ngram guesses without a model | leave it "
        "out, or name another method",
    ),
    (
        {**VLLM, "speculative": {"method": "suffix"}},
        "speculative.method warning engine/missing-package: suffix needs the package "
        "arctic-inference, which vLLM does not bring | image: {packages: "
        "[arctic-inference==0.1.1]}",
    ),
    (
        {**EIGHT, "gpu": [{"type": "H100:4"}]},
        "gpu[0] error parallel/nodes: of several hosts each is a whole one: 8 × H100, not 4 | "
        "H100:8",
    ),
    (
        {**EIGHT, "nodes": 3, "parallel": {"tensor": 12, "data": 2}},
        "parallel.data error parallel/nodes: 2 copies cannot be shared out among 3 hosts | "
        "tensor: 8, data: 3, or another number that divides 3 or is divided by it",
    ),
    (
        {**EIGHT, "parallel": {"tensor": 4, "pipeline": 2}},
        "parallel error parallel/does-not-match-count: parallel asks for 8 GPUs, and 2 hosts of "
        "H100:8 have 16 | tensor: 8",
    ),
    (
        {**LLAMA, "nodes": 2},
        "nodes error engine/unsupported-field: llama.cpp has no nodes | leave it out: one host has "
        "up to 8 GPUs",
    ),
]


@pytest.mark.parametrize(("spec", "sentence"), WRONG, ids=[c[1].split(": ")[0] for c in WRONG])
def test_sentences(spec: dict[str, Any], sentence: str) -> None:
    assert said(judged(spec)) == [sentence]


def test_a_snapshot_of_several_hosts_is_refused() -> None:
    assert (
        "snapshot error parallel/nodes: a snapshot of several hosts holds addresses that are gone "
        "when it comes back | snapshot: none, or one host"
    ) in said(judged({**EIGHT, "snapshot": "gpu"}))


RIGHT: list[dict[str, Any]] = [
    {"tools": "qwen3_coder", "reasoning": "deepseek_r1"},
    {"kv_cache": "turboquant_4bit_nc"},
    {"speculative": {"method": "mtp"}},
    {"speculative": {"method": "dspark"}},
    {"speculative": {"method": "draft_model", "model": "hf://c/d"}},
    {"model": {**HUB, "tokenizer": "volume://team/tokenizer"}},
    {"model": {**HUB, "adapters": {"a": {"source": "volume://team/a", "rank": 64}}}},
    {
        "model": {**HUB, "adapters": {"a": {"source": "s3://b/a", "rank": 8}}, "task": "embed"},
        "tools": None,
        "reasoning": None,
    },
    {"max_sequences": 256, "max_batched_tokens": 256},
    {"dtype": "bfloat16"},
    {"nodes": 2, "gpu": [{"type": "H100:8"}]},
    {"nodes": 2, "gpu": [{"type": "H100:8"}], "parallel": {"tensor": 8}},
    {"nodes": 2, "gpu": [{"type": "H100:8"}], "parallel": {"tensor": 16}},
    {"nodes": 2, "gpu": [{"type": "H100:8"}], "parallel": {"tensor": 4, "data": 4}},
    {"nodes": 4, "gpu": [{"type": "B200:8"}], "parallel": {"tensor": 8, "data": 4, "expert": True}},
    {"speculative": {"method": "suffix"}, "image": {"packages": ["arctic-inference==0.1.1"]}},
]


@pytest.mark.parametrize("change", RIGHT, ids=str)
def test_what_vllm_accepts_is_not_refused(change: dict[str, Any]) -> None:
    assert said(judged({**VLLM, **change})) == []


@pytest.mark.parametrize(
    "change",
    [
        {"tools": "ours", "backend": {"name": "vllm", "args": {"tool-parser-plugin": "/p.py"}}},
        {"tools": "ours", "image": {"packages": ["our-parsers==1.0"]}},
    ],
    ids=["flag", "package"],
)
def test_a_name_that_a_plugin_may_bring_is_not_checked(change: dict[str, Any]) -> None:
    found = [line for line in said(judged({**VLLM, **change})) if line.startswith("tools ")]
    assert found == [
        "tools not checked engine/wrong-option: whether there is a tool parser ours: vLLM itself "
        "has none, a plugin may"
    ]


def test_names_of_an_unknown_version_are_not_checked() -> None:
    backend = {"name": "vllm", "version": "0.99.0"}
    found = said(judged({**VLLM, "backend": backend, "tools": "of-tomorrow"}))
    assert [line.split(": ")[0] for line in found] == [
        "backend.version not checked engine/unknown-version"
    ]


def test_an_adapters_rank_is_read_where_it_can_be(tmp_path: Path) -> None:
    spec = {**VLLM, "model": {**HUB, "adapters": {"a": {"source": "hf://c/d"}}}}
    assert said(judged(spec)) == [
        "model.adapters.a not checked engine/adapter-rank: the rank of a is not known here: it is "
        "taken to be 16 at most | a: {source: …, rank: the r of its adapter_config.json}"
    ]
    make_adapter(tmp_path / "lora", rank=24)
    facts = model_facts("./lora", tmp_path, tmp_path, hashed=False)
    assert facts.adapter_rank == 24
    assert said(judged(spec, ModelFacts("hub", beside={"hf://c/d": facts}), Path())) == []


def checkpoint(method: str, *files: str) -> ModelFacts:
    return ModelFacts(
        kind="hub", quantization=method, remote=tuple(RemoteFile(file, 1) for file in files)
    )


@pytest.mark.parametrize(
    ("own", "asked", "sentence"),
    [
        (
            "bfloat16",
            "awq",
            "the checkpoint is bfloat16, and vLLM cannot make awq of it while loading | "
            "quantization: fp8_per_tensor, or a checkpoint that was quantized before",
        ),
        (
            "gptq",
            "awq",
            "the checkpoint is quantized with gptq, and vLLM cannot serve it as awq | "
            "quantization: auto",
        ),
        (
            "compressed-tensors",
            "fp8_per_tensor",
            "the checkpoint is quantized with compressed-tensors, and vLLM cannot serve it as "
            "fp8_per_tensor | quantization: auto",
        ),
    ],
)
def test_a_checkpoint_of_another_kind(own: str, asked: str, sentence: str) -> None:
    found = said(judged({**VLLM, "quantization": asked}, checkpoint(own), Path()))
    assert found == [f"quantization error engine/quantization: {sentence}"]


@pytest.mark.parametrize(
    ("own", "asked"),
    [
        ("bfloat16", "fp8"),
        ("bfloat16", "fp8_per_block"),
        ("gptq", "gptq_marlin"),
        ("awq", "moe_wna16"),
        ("fp8", "humming"),
        ("mxfp4", "gpt_oss_mxfp4"),
    ],
)
def test_a_checkpoint_that_can_be_served_so(own: str, asked: str) -> None:
    assert said(judged({**VLLM, "quantization": asked}, checkpoint(own), Path())) == []


def test_older_checkpoints_say_their_method_beside_the_config() -> None:
    facts = checkpoint("float16", "config.json", "model.safetensors", "quantize_config.json")
    assert said(judged({**VLLM, "quantization": "gptq"}, facts, Path())) == []


def test_a_locked_repository_without_weights_is_refused() -> None:
    facts = ModelFacts(
        "hub", commit="a" * 40, remote=(RemoteFile("x.pt", 1), RemoteFile("config.json", 1))
    )
    spec: dict[str, Any] = {**VLLM, "model": {"source": "hf://org/repo"}}
    spec["backend"] = {"name": "vllm"}
    assert (
        "model.source error model/no-weights: hf://org/repo has no weights at its top "
        "(*.safetensors or *.bin): it has x.pt, config.json | a repository or revision that has "
        "them at its top"
    ) in said(judged(spec, facts))
    spec["backend"] = {"name": "vllm", "args": {"load-format": "dummy"}}
    assert not [line for line in said(judged(spec, facts)) if "no-weights" in line]
