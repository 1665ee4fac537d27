"""Is a model that writes no text asked for some, and does a step hold a prompt that stays whole?"""

from __future__ import annotations

from typing import Any

import pytest

from modelctl.resolved import RemoteFile
from modelctl.weights.facts import ModelFacts
from tests.checks import real_models as models
from tests.checks.judging import LLAMA, VLLM, beside_memory, judged, said
from tests.checks.real_specs import QWEN3_8B, spec
from tests.render.apps import local_gguf

HUB: dict[str, Any] = VLLM["model"]
PLAIN = {**VLLM, "tools": None, "reasoning": None, "context": 512}
NO_TEXT = "model.task error engine/no-text: "


def model(architecture: str, *paths: str) -> ModelFacts:
    names = ("config.json", "model.safetensors", "tokenizer.json", *paths)
    return ModelFacts(
        "hub",
        "safetensors",
        commit="a" * 40,
        digest="a" * 40,
        remote=tuple(RemoteFile(name, 9) for name in names),
        architecture=architecture,
    )


def of(said_of: dict[str, Any], facts: ModelFacts) -> list[str]:
    return [line for line in said(beside_memory(judged(said_of, facts))) if " error " in line]


@pytest.mark.parametrize(
    ("facts", "sentence", "task"),
    [
        (
            model("BertModel"),
            "BertModel gives vectors, and no text | model: {task: embed}, or a model that writes "
            "text",
            "embed",
        ),
        (
            model("XLMRobertaForSequenceClassification"),
            "XLMRobertaForSequenceClassification gives scores, and no text | model: {task: "
            "rerank}, or a model that writes text",
            "rerank",
        ),
        (
            model("Qwen3ForCausalLM", "modules.json", "1_Pooling/config.json"),
            "modules.json says that sentence-transformers made it for vectors, and vLLM serves it "
            "for nothing else | model: {task: embed}, or a model that writes text",
            "embed",
        ),
    ],
)
def test_vllm_writes_no_text_with_it(facts: ModelFacts, sentence: str, task: str) -> None:
    assert of(PLAIN, facts) == [NO_TEXT + sentence]
    assert of({**PLAIN, "model": {**HUB, "task": "generate"}}, facts) == [NO_TEXT + sentence]
    assert of({**PLAIN, "model": {**HUB, "task": task}}, facts) == []


def test_what_writes_or_may_write() -> None:
    assert of(PLAIN, model("Qwen3ForCausalLM")) == []
    assert of(PLAIN, model("Qwen3ForCausalLM", "modules.json")) == []
    assert of(PLAIN, model("LlamaModel")) == []
    own = {**PLAIN, "backend": {"name": "vllm", "args": {"hf-overrides": {"architectures": ["X"]}}}}
    assert of(own, model("BertModel")) == []


def test_llama_cpp_writes_no_text_with_it() -> None:
    bert = {"general.architecture": "bert", "bert.pooling_type": 1}
    plain = {**LLAMA, "context": 512, "checks": None}
    facts = local_gguf(header=bert)
    assert of(plain, facts) == [
        NO_TEXT + "a model of the architecture bert gives vectors, and no text | model: {task: "
        "embed}, or a model that writes text"
    ]
    assert of({**plain, "model": {**LLAMA["model"], "task": "embed"}}, facts) == []
    embedding = {"general.architecture": "qwen3", "qwen3.pooling_type": 3}
    assert of(plain, local_gguf(header=embedding)) == []


def flags(**args: Any) -> dict[str, Any]:
    return {"backend": {"name": "vllm", "args": args}}


WHOLE: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        {
            **flags(**{"enable-chunked-prefill": False, "max-num-batched-tokens": 2048}),
            "context": 8192,
        },
        "backend.args.max-num-batched-tokens error engine/wrong-option: a step of 2,048 tokens "
        "cannot hold a prompt of 8,192, and enable-chunked-prefill is off: vLLM refuses to start | "
        "leave it out, or 8192",
        flags(**{"enable-chunked-prefill": False, "max-num-batched-tokens": 8192}),
    ),
    (
        {
            **flags(**{"no-enable-chunked-prefill": True}),
            "gpu": [{"type": "H100", "max_batched_tokens": 1024}],
            "context": 4096,
        },
        "gpu[0].max_batched_tokens error engine/wrong-option: a step of 1,024 tokens cannot hold a "
        "prompt of 4,096, and enable-chunked-prefill is off: vLLM refuses to start | leave it out, "
        "or 4096",
        {"gpu": [{"type": "H100"}]},
    ),
]


@pytest.mark.parametrize(("spec", "sentence", "change"), WHOLE)
def test_a_step_that_holds_no_whole_prompt(
    spec: dict[str, Any], sentence: str, change: dict[str, Any]
) -> None:
    spec = {**PLAIN, **spec}
    assert of(spec, model("Qwen3ForCausalLM")) == [sentence]
    assert of({**spec, **change}, model("Qwen3ForCausalLM")) == []


def test_an_encoder_s_prompts_are_whole() -> None:
    embeds = {**PLAIN, "model": {**HUB, "task": "embed"}, "max_batched_tokens": 256}
    assert of(embeds, model("BertModel")) == [
        "max_batched_tokens error engine/wrong-option: a step of 256 tokens cannot hold a prompt "
        "of 512, and vLLM takes the prompts of BertModel whole: vLLM refuses to start | leave it "
        "out, or 512"
    ]
    assert of({**embeds, "max_batched_tokens": 512}, model("BertModel")) == []
    assert of(embeds, model("Qwen3ForCausalLM")) == []


def test_a_step_as_long_as_the_context_takes_memory() -> None:
    known = models.locked(QWEN3_8B, models.QWEN3)
    small = spec(QWEN3_8B, "L4", context=8192)
    assert said(judged(small, known)) == []
    whole = {**small, **flags(**{"enable-chunked-prefill": False})}
    assert said(judged(whole, known)) == [
        "gpu[0] warning fit/may-not-fit: Qwen/Qwen3-8B in bfloat16 may not fit an L4 at 8k context "
        "| context: 7168 fits on this entry; or kv_cache: fp8; or max_sequences: 128; or L4:2"
    ]
    assert said(judged({**whole, "max_sequences": 128}, known)) == []
