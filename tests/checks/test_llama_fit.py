"""What is said of the memory of a GGUF model, where it is counted and where it is not?"""

from __future__ import annotations

from typing import Any

import pytest

from tests.checks.judging import judged, said
from tests.checks.real_specs import gguf, of_gguf


@pytest.mark.parametrize("kind", ["fp8", "int8"])
def test_a_cache_of_a_type_that_llama_cpp_lacks_is_not_counted(kind: str) -> None:
    near = "q8_0" if kind == "fp8" else "auto"
    assert said(judged(gguf("L4", context=8192, kv_cache=kind), of_gguf())) == [
        f"kv_cache error engine/wrong-option: llama.cpp has no KV cache of type {kind} | {near}, "
        "or another of auto, f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1",
    ]
    assert said(judged(gguf("L4", context=8192, kv_cache=near), of_gguf())) == []


@pytest.mark.parametrize(
    ("args", "written"),
    [
        ({"override-tensor": ".*=CPU"}, "--override-tensor .*=CPU"),
        ({"ot": "ffn=CPU", "device": "CUDA0"}, "--device CUDA0 --override-tensor ffn=CPU"),
        ({"device": "none"}, "--device none"),
    ],
)
def test_tensors_that_are_placed_by_hand_are_not_counted(
    args: dict[str, Any], written: str
) -> None:
    by_hand = gguf("T4", context=131072, backend={"args": args})
    assert said(judged(by_hand, of_gguf())) == [
        f"gpu[0] not checked fit/not-checked: whether it fits is not known: {written} says what "
        "lies where, which is not followed"
    ]


def on_cpu(memory: str, **more: Any) -> dict[str, Any]:
    return gguf(context=8192, memory=memory, **more)  # of an empty list of GPUs


@pytest.mark.parametrize(
    ("memory", "written", "more", "enough"),
    [
        ("2GiB", "2", {}, "memory: 6GiB"),
        ("5.5GiB", "5.5", {}, "memory: 6GiB"),
        ("512MiB", "0.5", {"kv_cache": "q8_0"}, "memory: 6GiB"),
    ],
)
def test_main_memory_that_is_too_small_is_doubted(
    memory: str, written: str, more: dict[str, Any], enough: str
) -> None:
    assert said(judged(on_cpu(memory, **more), of_gguf())) == [
        "memory warning fit/may-not-fit: bartowski/Meta-Llama-3.1-8B-Instruct-GGUF may not fit "
        f"{written} GiB of main memory at 8k context | {enough}"
    ]
    followed = enough.removeprefix("memory: ")
    assert said(judged(on_cpu(followed, **more), of_gguf())) == []


def test_what_is_asked_for_where_nobody_says_it_is_judged_too() -> None:
    spec = on_cpu("6GiB")
    del spec["memory"]
    assert said(judged(spec, of_gguf())) == [
        "memory warning fit/may-not-fit: bartowski/Meta-Llama-3.1-8B-Instruct-GGUF may not fit "
        "4 GiB of main memory at 8k context | memory: 6GiB"
    ]
