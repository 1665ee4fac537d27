"""Which model can guess ahead by itself, and which draft can guess for it?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelctl.weights.facts import ModelFacts
from tests.checks.judging import VLLM, beside_memory, judged, said

QWEN3: dict[str, Any] = {
    "model_type": "qwen3",
    "architectures": ["Qwen3ForCausalLM"],
    "vocab_size": 151936,
}
NGRAM = {"method": "ngram", "tokens": 4}


def judge(
    config: dict[str, Any], speculative: Any, draft: dict[str, Any] | None = None, **fields: Any
) -> list[str]:
    beside = {} if draft is None else {"hf://c/d": ModelFacts("hub", config=draft)}
    model = ModelFacts("hub", config=config, beside=beside)
    spec = {**VLLM, "tools": None, "reasoning": None, **fields, "speculative": speculative}
    return [
        line
        for line in said(beside_memory(judged(spec, model, Path())))
        if line.startswith("speculative")
    ]


@pytest.mark.parametrize("config", [QWEN3, {**QWEN3, "num_nextn_predict_layers": 0}], ids=str)
def test_a_model_without_layers_that_guess(config: dict[str, Any]) -> None:
    assert judge(config, {"method": "mtp"}) == [
        "speculative.method error engine/wrong-option: mtp guesses with layers of the model's own, "
        "and its config.json, of type qwen3, names none | speculative: {method: ngram, tokens: 4}, "
        "or leave it out"
    ]
    assert judge(config, NGRAM) == judge(config, None) == []


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "deepseek_v3", "num_nextn_predict_layers": 1},
        {"model_type": "longcat_flash"},
        {"model_type": "mimo", "architectures": ["MiMoForCausalLM"]},
        {"model_type": "qwen3_5", "text_config": {"mtp_num_hidden_layers": 1}},
        {"model_type": "of_tomorrow", "text_config": {"num_nextn_predict_layers": 2}},
        {},
    ],
    ids=str,
)
def test_a_model_that_has_them_or_may(config: dict[str, Any]) -> None:
    assert judge(config, {"method": "mtp"}) == []


DRAFT = {**QWEN3, "vocab_size": 151669}
OTHER = {"model": "hf://c/d", "tokens": 3}


@pytest.mark.parametrize("method", [{}, {"method": "draft_model"}], ids=["unsaid", "draft_model"])
def test_a_draft_with_another_vocabulary(method: dict[str, str]) -> None:
    assert judge(QWEN3, {**OTHER, **method}, DRAFT) == [
        "speculative.model error engine/wrong-option: vLLM wants a draft with the model's "
        "vocabulary: the draft's vocab_size is 151669, the model's 151936 | a smaller model of the "
        "same family whose vocab_size is 151936, or speculative: {method: ngram, tokens: 4}"
    ]
    assert judge(QWEN3, {**OTHER, **method}, QWEN3) == judge(QWEN3, NGRAM, DRAFT) == []


@pytest.mark.parametrize(
    "draft",
    [
        {"model_type": "qwen3"},
        {**DRAFT, "architectures": ["LlamaForCausalLMEagle3"]},
        {**DRAFT, "model_type": "medusa"},
    ],
    ids=str,
)
def test_a_draft_that_keeps_words_of_its_own_or_says_none(draft: dict[str, Any]) -> None:
    assert judge(QWEN3, OTHER, draft) == []


def test_flags_may_say_otherwise() -> None:
    backend = {"name": "vllm", "args": {"speculative-config": {"use_heterogeneous_vocab": True}}}
    assert judge(QWEN3, OTHER, DRAFT, backend=backend) == []
    backend = {"name": "vllm", "args": {"hf_overrides": {"architectures": ["Qwen3NextMTP"]}}}
    assert judge(QWEN3, {"method": "mtp"}, backend=backend) == []
