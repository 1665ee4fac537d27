"""Is a number of `args` that vLLM's own configuration refuses refused here?"""

from __future__ import annotations

from typing import Any

import pytest

from modelctl.facts.flags import flag_table
from modelctl.weights.facts import ModelFacts
from tests.checks.judging import VLLM, beside_memory, judged, said
from tests.checks.test_flag_fields import ADAPTED, flags

TEXT = {
    "model_type": "qwen3",
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "vocab_size": 151936,
}
SEES = {**TEXT, "vision_config": {"hidden_size": 1152, "depth": 27, "intermediate_size": 4304}}


def judge(spec: dict[str, Any], config: dict[str, Any] = TEXT) -> list[str]:
    return said(beside_memory(judged(spec, ModelFacts("hub", config=config))))


@pytest.mark.parametrize(
    ("name", "value", "sentence", "followed"),
    [
        ("cpu-offload-gb", -1, "a number from 0 on, not -1", "cpu-offload-gb: 0"),
        ("block-size", 0, "a whole number from 1 on, not 0", "block-size: 1"),
        ("stream-interval", "0", "a whole number from 1 on, not 0", "stream-interval: 1"),
        ("max-logprobs", -2, "a whole number from -1 on, not -2", "max-logprobs: -1"),
        ("watermark", 1, "a number from 0 on and below 1, not 1", "leave it out"),
        (
            "kv-cache-metrics-sample",
            1.5,
            "a number above 0 and up to 1, not 1.5",
            "kv-cache-metrics-sample: 1",
        ),
        (
            "data-parallel-rpc-port",
            70000,
            "a whole number from 1 to 65535, not 70000",
            "data-parallel-rpc-port: 65535",
        ),
    ],
)
def test_a_number_out_of_its_bounds(name: str, value: Any, sentence: str, followed: str) -> None:
    assert judge(flags(VLLM, **{name: value})) == [
        f"backend.args.{name} error engine/flag-value: --{name} takes {sentence} | {followed}"
    ]


@pytest.mark.parametrize("version", ["0.32.0", "0.33.0"])
def test_every_flag_with_bounds_is_held_to_them(version: str) -> None:
    table = flag_table("vllm", version)
    assert table is not None
    bounded = [f for f in table.flags if f.least is not None or f.above is not None]
    assert len(bounded) > 40
    ours = {f.name for f in bounded if table.find(f.name)}
    spec = flags(VLLM, **dict.fromkeys(ours, -3))
    spec["backend"]["version"] = version
    found = {line.split()[0] for line in judge(spec, SEES)}
    adapters = {f.name for f in bounded if f.when == "adapters"}
    assert {f"backend.args.{name}" for name in ours - adapters} <= found
    assert not found & {f"backend.args.{name}" for name in adapters}


def test_what_a_start_has_no_use_for_is_not_held_to_its_bounds() -> None:
    of_images, of_adapters = {"mm-processor-cache-gb": -1}, {"max-loras": 0}
    assert judge(flags(VLLM, **of_images)) == []
    assert judge(flags(VLLM, **of_adapters)) == []
    assert [line.split()[0] for line in judge(flags(VLLM, **of_images), SEES)] == [
        "backend.args.mm-processor-cache-gb"
    ]
    for spec in (flags(ADAPTED, **of_adapters), flags(VLLM, enable_lora=True, **of_adapters)):
        assert "backend.args.max-loras" in [line.split()[0] for line in judge(spec)]
