"""Which numbers of sequences need a longer step than vLLM chooses by itself?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks import real_models as models
from tests.checks.judging import judged, said
from tests.checks.real_specs import QWEN25_05B, spec

KNOWN = models.locked(QWEN25_05B, models.QWEN25_05B)


def asked(*cards: str | dict[str, Any], **more: Any) -> dict[str, Any]:
    entries = [{"type": card} if isinstance(card, str) else card for card in cards]
    return {**spec(QWEN25_05B, context=4096), "gpu": entries, **more}


def lines(asked: dict[str, Any]) -> list[str]:
    return sorted(line for line in said(judged(asked, KNOWN)) if "engine/wrong-option" in line)


def test_each_entry_whose_step_is_too_short_is_named() -> None:
    assert lines(asked("L4", "H100", "A100-80GB", max_sequences=4096)) == [
        "gpu[0] error engine/wrong-option: an L4 gets steps of 2048 tokens from vLLM 0.32.0, which "
        "cannot hold one of each of 4096 sequences | max_batched_tokens: 4096 or more; or "
        "max_sequences: 2048 or less",
        "gpu[2] error engine/wrong-option: an A100-80GB gets steps of 2048 tokens from vLLM "
        "0.32.0, which cannot hold one of each of 4096 sequences | max_batched_tokens: 4096 or "
        "more; or max_sequences: 2048 or less",
    ]


def test_a_number_of_the_entry_itself() -> None:
    assert lines(asked({"type": "H100", "max_sequences": 8193})) == [
        "gpu[0].max_sequences error engine/wrong-option: an H100 gets steps of 8192 tokens from "
        "vLLM 0.32.0, which cannot hold one of each of 8193 sequences | max_batched_tokens: 8193 "
        "or more; or max_sequences: 8192 or less"
    ]


@pytest.mark.parametrize(
    "more",
    [
        {"max_batched_tokens": 4096},
        {"max_sequences": 2048},
        {"backend": {"name": "vllm", "args": {"max-num-batched-tokens": 4096}}},
        {"backend": {"name": "vllm", "args": {"performance_mode": "throughput"}}},
        {"backend": {"name": "vllm", "version": "0.20.1"}},
    ],
    ids=str,
)
def test_what_holds_them_or_is_not_known_to_be_too_short(more: dict[str, Any]) -> None:
    assert lines(asked("L4", **{"max_sequences": 4096, **more})) == []


def test_beside_adapters_a_step_holds_what_is_guessed() -> None:
    ahead = {"method": "ngram", "tokens": 8}
    adapted = {**asked("H100")["model"], "adapters": {"a": {"source": "hf://b/c", "rank": 8}}}
    more: dict[str, Any] = {"model": adapted, "speculative": ahead}
    assert lines(asked("H100", **more)) == [
        "speculative error engine/wrong-option: beside adapters a step holds 9 tokens of each of "
        "1024 sequences, and an H100 gets steps of 8192: vLLM refuses to start | max_sequences: "
        "910 or less, or max_batched_tokens: 9216 or more"
    ]
    assert lines(asked("H100", **more, max_sequences=910)) == []
    assert lines(asked("H100", **more, max_batched_tokens=9216)) == []
    assert lines(asked("H100", **{**more, "speculative": {**ahead, "tokens": 7}})) == []
    assert lines(asked("H100", speculative=ahead)) == []
