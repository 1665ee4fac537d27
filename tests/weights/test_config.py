"""Which facts are in a config.json, and which of its values are kept?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.resolved import Unknown
from modelctl.weights.config import (
    architecture,
    context_length,
    gathered,
    kept,
    number,
    quantization,
)

LENGTHS: list[tuple[dict[str, Any], int | Unknown]] = [
    ({"max_position_embeddings": 40960}, 40960),
    ({"n_positions": 1024}, 1024),
    ({"max_position_embeddings": 8192, "model_max_length": 131072}, 131072),
    ({"text_config": {"max_position_embeddings": 262144}, "max_position_embeddings": 1}, 262144),
    ({"max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 4.0}}, 16384),
    (
        {"max_position_embeddings": 131072, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}},
        131072,
    ),
    (
        {
            "max_position_embeddings": 163840,
            "rope_scaling": {
                "type": "yarn",
                "factor": 40,
                "original_max_position_embeddings": 4096,
            },
        },
        163840,
    ),
    (
        {"max_position_embeddings": 32768, "rope_scaling": {"type": "yarn", "factor": 4.0}},
        Unknown("config.json scales its 32,768 tokens by yarn"),
    ),
    (
        {
            "model_type": "gemma3_text",
            "max_position_embeddings": 131072,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
        },
        131072,
    ),
    ({"max_position_embeddings": 514, "sentence_bert_config": {"max_seq_length": 512}}, 512),
    (
        {
            "max_position_embeddings": 514,
            "position_embedding_type": "absolute",
            "tokenizer_config": {"model_max_length": 512},
        },
        512,
    ),
    (
        {"max_position_embeddings": 2048, "tokenizer_config": {"model_max_length": 10**30}},
        2048,
    ),
    ({}, Unknown("not in config.json")),
]


@pytest.mark.parametrize(("config", "length"), LENGTHS)
def test_the_longest_request_is_what_the_engine_works_out(
    config: dict[str, Any], length: int | Unknown
) -> None:
    assert context_length(config) == length


def test_architecture_quantization_and_numbers() -> None:
    config = {
        "architectures": ["Qwen3ForCausalLM"],
        "torch_dtype": "bfloat16",
        "text_config": {"num_hidden_layers": 36},
    }
    assert architecture(config) == "Qwen3ForCausalLM"
    assert quantization(config) == "bfloat16"
    assert quantization({**config, "quantization_config": {"quant_method": "fp8"}}) == "fp8"
    assert number(config, "num_hidden_layers") == 36
    assert number(config, "vocab_size") == Unknown("not in config.json")


def test_names_and_long_lists_are_not_kept_and_what_is_null_is() -> None:
    config = {
        "id2label": {"0": "LABEL_0"},
        "layer_types": ["full_attention"] * 48,
        "quantization_config": {"quant_method": "fp8", "ignored_layers": ["lm_head"] * 1000},
        "architectures": ["A"],
        "bos_token_id": None,
    }
    assert kept(config) == {
        "layer_types": ["full_attention"] * 48,
        "quantization_config": {"quant_method": "fp8"},
        "architectures": ["A"],
        "bos_token_id": None,
    }


def test_the_width_of_quantized_weights_is_kept_however_deep_it_is() -> None:
    weights = {"num_bits": 4, "group_size": 128, "type": "int"}
    groups = {"config_groups": {"group_0": {"weights": weights, "targets": ["Linear"]}}}
    assert kept({"quantization_config": groups}) == {"quantization_config": groups}


def files_of(**said: Any) -> dict[str, Any]:
    files = {f"{name}.json": content for name, content in said.items()}
    return gathered(files, files.__getitem__)


def test_files_beside_config_json_say_what_it_does_not() -> None:
    modelopt = {"quantization": {"quant_algo": "NVFP4", "group_size": 16}}
    found = files_of(config={"architectures": ["A"]}, hf_quant_config=modelopt)
    assert found["quantization_config"] == {
        "quant_algo": "NVFP4",
        "group_size": 16,
        "quant_method": "modelopt",
    }
    own = {"quantization_config": {"quant_method": "fp8"}}
    assert files_of(config=own, hf_quant_config=modelopt) == own
    assert files_of(config={}, adapter_config={"r": 16, "lora_alpha": 32}) == {"r": 16}
    encoder = files_of(
        config={"max_position_embeddings": 514},
        sentence_bert_config={"max_seq_length": 256},
        tokenizer_config={"model_max_length": 512},
    )
    assert context_length(encoder) == 256
    assert files_of(config=[], adapter_config="r", tokenizer_config=None) == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
names = st.sampled_from(
    ["architectures", "rope_scaling", "text_config", "max_position_embeddings", "type", "factor"]
)


@given(st.dictionaries(names | st.text(), json_values))
def test_no_config_is_too_strange(config: dict[str, Any]) -> None:
    small = kept(config)
    for ask in (architecture, quantization, context_length):
        assert isinstance(ask(small), str | int | Unknown)
    assert isinstance(number(small, "vocab_size"), int | Unknown)
