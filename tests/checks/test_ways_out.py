"""Is what a rule of memory proposes right by all other rules too?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks import real_models as models
from tests.checks.judging import judged, said
from tests.checks.real_specs import LLAMA3, QWEN3_8B, WIZARDLM, Model, gguf, model, of_gguf, spec

ON_AN_L40S = spec(QWEN3_8B, "L40S", context=16384)
ON_AN_L4 = spec(QWEN3_8B, "L4", context=16384)

WAYS: list[tuple[str, Model, dict[str, Any], str, dict[str, Any]]] = [
    (
        "heads that eight GPUs cannot share",
        model(WIZARDLM, models.WIZARDLM_33B),
        spec(WIZARDLM, "L4:4", context=2048, max_batched_tokens=32768),
        "a GPU with more memory: modelctl fit wizardlm-33b-v1-0-uncensored",
        spec(WIZARDLM, "H100", context=2048),
    ),
    (
        "fewer at once",
        model(WIZARDLM, models.WIZARDLM_33B),
        spec(WIZARDLM, "L4:4", context=2048, max_batched_tokens=20000, kv_cache="fp8"),
        "context: 1536 fits on this entry; or max_sequences: 128",
        spec(
            WIZARDLM,
            "L4:4",
            context=2048,
            max_batched_tokens=20000,
            kv_cache="fp8",
            max_sequences=128,
        ),
    ),
    (
        "fewer slots",
        of_gguf,
        {**gguf("T4", context=32768), "max_sequences": 4},
        "context: 18432 fits on this entry; or kv_cache: q8_0; or max_sequences: 2; or T4:2",
        {**gguf("T4", context=32768), "max_sequences": 2},
    ),
    (
        "tensor said",
        model(LLAMA3, models.LLAMA3_70B),
        spec(LLAMA3, "A100-40GB:2", context=8192, parallel={"tensor": 2}),
        "A100-40GB:8 with parallel: {tensor: 8}",
        spec(LLAMA3, "A100-40GB:8", context=8192, parallel={"tensor": 8}),
    ),
    (
        "pipeline said",
        model(LLAMA3, models.LLAMA3_70B),
        spec(LLAMA3, "A100-40GB:2", context=8192, parallel={"pipeline": 2}),
        "A100-40GB:8 with parallel: {tensor: 8, pipeline: 1}",
        spec(LLAMA3, "A100-40GB:8", context=8192, parallel={"tensor": 8, "pipeline": 1}),
    ),
    (
        "two copies",
        model(LLAMA3, models.LLAMA3_70B),
        spec(LLAMA3, "A100-80GB:2", context=8192, parallel={"tensor": 1, "data": 2}),
        "A100-80GB:4 with parallel: {tensor: 4, data: 1}",
        spec(LLAMA3, "A100-80GB:4", context=8192, parallel={"tensor": 4, "data": 1}),
    ),
    (
        "nearly nothing of the GPU",
        model(QWEN3_8B, models.QWEN3),
        {**ON_AN_L40S, "memory_utilization": 0.05},
        "memory_utilization: 0.9",
        {**ON_AN_L40S, "memory_utilization": 0.9},
    ),
    (
        "all of the GPU",
        model(QWEN3_8B, models.QWEN3),
        {**ON_AN_L40S, "memory_utilization": 1.0},
        "memory_utilization: 0.9",
        {**ON_AN_L40S, "memory_utilization": 0.9},
    ),
    (
        "all of the GPU, most of which it needs",
        model(QWEN3_8B, models.QWEN3),
        {**ON_AN_L4, "memory_utilization": 0.999},
        "memory_utilization: 0.98",
        {**ON_AN_L4, "memory_utilization": 0.98},
    ),
    (
        "several entries",
        model(QWEN3_8B, models.QWEN3),
        spec(QWEN3_8B, "H100", "T4", context=32768, dtype="float16"),
        "T4:2; or leave the entry out",
        spec(QWEN3_8B, "H100", "T4:2", context=32768, dtype="float16"),
    ),
]


@pytest.mark.parametrize(("_", "facts", "wrong", "hint", "right"), WAYS, ids=[w[0] for w in WAYS])
def test_a_way_out_is_right_by_all_rules(
    _: str, facts: Model, wrong: dict[str, Any], hint: str, right: dict[str, Any]
) -> None:
    known = facts()
    assert [d.hint for d in judged(wrong, known) if d.code.startswith("fit/")] == [hint]
    assert said(judged(right, known)) == []


def test_a_target_that_memory_has_room_for() -> None:
    known = models.locked(QWEN3_8B, models.QWEN3)
    wrong = spec(QWEN3_8B, "H100!", context=32768, concurrency={"target": 400, "max": 600})
    assert said(judged(wrong, known)) == [
        "concurrency.target warning fit/target: H100 has room for 197 requests of 2k tokens, and "
        "the autoscaler aims at 400 | concurrency: {target: 190}, or a GPU with more memory"
    ]
    assert said(judged({**wrong, "concurrency": {"target": 190, "max": 600}}, known)) == []


def test_of_an_architecture_without_facts_nothing_is_said_of_memory() -> None:
    known = models.locked("hf://acme/new", {**models.QWEN3, "model_type": "qwen99"})
    new = spec("hf://acme/new", "L4", context=32768)
    assert said(judged(new, known)) == [
        "gpu[0] not checked fit/not-checked: whether it fits is not known: no facts about the "
        "architecture qwen99"
    ]


def test_no_number_of_cards_that_the_engine_refuses_is_a_way_out() -> None:
    known = model(QWEN3_8B, models.QWEN3)()
    refused = spec(QWEN3_8B, "T4", context=32768, dtype="float16", kv_cache="fp8")
    (hint,) = [d.hint for d in judged(refused, known) if d.code.startswith("fit/")]
    assert hint == "a GPU with more memory: modelctl fit qwen3-8b"


@pytest.mark.parametrize("flag", ["cpu-offload-gb", "offload-group-size"])
def test_of_weights_that_are_kept_in_main_memory_nothing_is_said(flag: str) -> None:
    known = models.locked(LLAMA3, models.LLAMA3_70B)
    moved = spec(LLAMA3, "A100-80GB", context=8192, backend={"args": {flag: 80}})
    assert said(judged(moved, known)) == [
        f"gpu[0] not checked fit/not-checked: whether it fits is not known: --{flag} keeps weights "
        "in main memory, and how many is not known"
    ]
