"""What shape does a config.json describe? Layers, windows and states, architecture by architecture.

That the sizes are right is held in tests/fit/test_weights.py, against the real modules' tensors.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modelctl.facts.gpus import gpus
from modelctl.fit.types import VllmInputs
from modelctl.fit.vllm import memory, model_of
from modelctl.resolved import Unknown
from modelctl.weights.config_scheme import cache_type_of, scheme_of
from modelctl.weights.config_shape import FAMILIES, shape_of
from modelctl.weights.shape import Experts, Latent, Shape, State

PLAIN: dict[str, Any] = {
    "hidden_size": 1024,
    "num_hidden_layers": 12,
    "num_attention_heads": 16,
    "num_key_value_heads": 4,
    "intermediate_size": 4096,
    "vocab_size": 32000,
}


RUN = VllmInputs(version=(0, 32), context=8192, tensor=2)


def shape(kind: str, **keys: Any) -> Shape:
    found = shape_of(PLAIN | {"model_type": kind} | keys)
    assert isinstance(found, Shape), found
    return found


def words(kind: str, **keys: Any) -> str:
    """The first letters of the layers' words."""
    return "".join(word[0] if word != "state" else "m" for word in shape(kind, **keys).layers)


def test_an_architecture_without_facts_is_unknown() -> None:
    assert shape_of(PLAIN | {"model_type": "brand_new"}) == Unknown(
        "no facts about the architecture brand_new"
    )
    assert shape_of(PLAIN) == Unknown("no model_type")


def test_more_layers_than_any_model_has_are_not_counted() -> None:
    """Each would be a row: a config.json that is broken must not take all memory."""
    broken = PLAIN | {"model_type": "llama", "num_hidden_layers": 10**18}
    assert shape_of(broken) == Unknown(
        "1,000,000,000,000,000,000 layers are more than any model has"
    )


@pytest.mark.parametrize(
    "missing", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"]
)
def test_a_config_that_lacks_a_size_is_unknown(missing: str) -> None:
    config = {key: value for key, value in PLAIN.items() if key != missing}
    assert shape_of(config | {"model_type": "llama"}) == Unknown(f"config.json has no {missing}")


def test_heads_are_as_wide_as_the_config_says_or_share_the_hidden_size() -> None:
    assert shape("llama").head_dim == 64
    assert shape("qwen3", head_dim=128).head_dim == 128


def test_the_language_model_of_a_nested_config_counts() -> None:
    text = PLAIN | {"model_type": "gemma3_text", "sliding_window": 1024}
    vision = {"hidden_size": 1152, "num_hidden_layers": 27, "intermediate_size": 4304,
              "patch_size": 14, "model_type": "siglip_vision_model"}  # fmt: skip
    found = shape_of({"model_type": "gemma3", "text_config": text, "vision_config": vision})
    assert isinstance(found, Shape)
    assert found.hidden == 1024
    assert found.tied
    # SigLIP so400m has 412 million parameters.
    assert found.vision == pytest.approx(412e6, rel=0.03)


@pytest.mark.parametrize(
    ("kind", "keys", "layers"),
    [
        ("llama", {}, "f" * 12),
        ("mistral", {"sliding_window": 4096}, "s" * 12),
        ("mistral", {"sliding_window": None}, "f" * 12),
        ("qwen2", {"sliding_window": 4096, "use_sliding_window": False}, "f" * 12),
        ("qwen2", {"sliding_window": 4096, "max_window_layers": 8}, "f" * 12),
        (
            "qwen2",
            {"sliding_window": 4096, "max_window_layers": 8, "use_sliding_window": True},
            "ffffffffssss",
        ),
        ("gemma2", {"sliding_window": 4096}, "sfsfsfsfsfsf"),
        ("gemma3_text", {"sliding_window": 512}, "sssssfsssssf"),
        ("gemma3_text", {"sliding_window": 512, "sliding_window_pattern": 3}, "ssfssfssfssf"),
        ("cohere2", {"sliding_window": 4096}, "sssfsssfsssf"),
        ("gpt_oss", {"sliding_window": 128}, "sfsfsfsfsfsf"),
        ("gpt_oss", {"layer_types": ["full_attention", "sliding_attention"] * 6,
                     "sliding_window": 128}, "fsfsfsfsfsfs"),
        ("llama4_text", {"attention_chunk_size": 8192}, "cccfcccfcccf"),
        ("llama4_text", {"no_rope_layers": [1, 0] * 6, "attention_chunk_size": 8192}, "cf" * 6),
        ("qwen3_next", {"linear_num_value_heads": 8, "linear_value_head_dim": 64,
                        "linear_num_key_heads": 4, "linear_key_head_dim": 64}, "mmmfmmmfmmmf"),
        ("jamba", {"attn_layer_period": 4, "attn_layer_offset": 1, "mamba_expand": 2},
         "mfmmmfmmmfmm"),
        ("falcon_h1", {"mamba_n_heads": 16, "mamba_d_head": 64}, "b" * 12),
        ("nemotron_h", {"hybrid_override_pattern": "M-M*-M-M*-ME", "mamba_num_heads": 16,
                        "mamba_head_dim": 64, "n_routed_experts": 8}, "mnmfnmnmfnmn"),
        ("lfm2", {"full_attn_idxs": [2, 5]}, "mmfmmfmmmmmm"),
        ("bert", {"max_position_embeddings": 512}, "n" * 12),
        ("gemma3n_text", {"num_kv_shared_layers": 4, "sliding_window": 512}, "ssssfsssnnnn"),
    ],
)  # fmt: skip
def test_each_layer_looks_back_as_its_architecture_does(
    kind: str, keys: dict[str, Any], layers: str
) -> None:
    assert words(kind, **keys) == layers


def test_a_list_with_a_kind_of_layer_that_nobody_knows_is_unknown() -> None:
    keys = {"model_type": "llama", "layer_types": ["full_attention"] * 11 + ["time_travel"]}
    assert shape_of(PLAIN | keys) == Unknown("no facts about layers called time_travel")


def test_latent_attention_has_ranks() -> None:
    found = shape(
        "deepseek_v3",
        **{"kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64},
        **{"qk_nope_head_dim": 128, "v_head_dim": 128, "first_k_dense_replace": 3},
        **{"n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8},
        moe_intermediate_size=2048,
    )
    assert found.latent == Latent(rank=512, rope=64, nope=128, value=128, query_rank=1536)
    assert found.experts == Experts(count=256, active=8, width=2048, shared=2048, layers=9)


@pytest.mark.parametrize(
    ("kind", "keys", "layers"),
    [
        ("mixtral", {"num_local_experts": 8}, 12),
        ("qwen3_moe", {"num_experts": 64, "decoder_sparse_step": 2}, 6),
        ("qwen3_moe", {"num_experts": 64, "mlp_only_layers": [0, 1]}, 10),
        ("qwen2_moe", {"num_experts": 60, "shared_expert_intermediate_size": 5632}, 12),
        ("llama4_text", {"num_local_experts": 16, "interleave_moe_layer_step": 2}, 6),
        ("glm4_moe", {"n_routed_experts": 128, "first_k_dense_replace": 1}, 11),
        ("lfm2_moe", {"num_experts": 32, "num_dense_layers": 2, "full_attn_idxs": [2]}, 10),
        ("jamba", {"num_experts": 16, "expert_layer_period": 2, "expert_layer_offset": 1}, 6),
    ],
)
def test_experts_are_in_the_layers_that_have_them(
    kind: str, keys: dict[str, Any], layers: int
) -> None:
    found = shape(kind, **keys).experts
    assert found is not None
    assert found.layers == layers


def test_no_experts_are_no_mixture() -> None:
    found = shape("granitemoehybrid", num_local_experts=0, layer_types=["attention"] * 12)
    assert found.experts is None


@pytest.mark.parametrize(
    ("kind", "keys", "state"),
    [
        (
            "qwen3_5_text",
            {"linear_num_value_heads": 32, "linear_value_head_dim": 128, "linear_num_key_heads": 16,
             "linear_key_head_dim": 128, "mamba_ssm_dtype": "float32"},
            State(8192, 4, 32, 128, 128, "delta", 4),
        ),
        ("lfm2", {"full_attn_idxs": [2]}, State(1024, 3, 0, 0, 0, "convolution")),
        ("jamba", {"mamba_d_state": 16, "mamba_d_conv": 4}, State(2048, 4, 2048, 1, 16, "mamba")),
        (
            "nemotron_h",
            {"hybrid_override_pattern": "M*" * 6, "mamba_num_heads": 128, "mamba_head_dim": 64,
             "n_groups": 8, "ssm_state_size": 128},
            State(10240, 4, 128, 64, 128, "mamba2", 4),
        ),
    ],
)  # fmt: skip
def test_a_state_is_as_large_as_its_heads(kind: str, keys: dict[str, Any], state: State) -> None:
    assert shape(kind, **keys).state == state


@given(
    config=some.dictionaries(
        some.sampled_from(
            [*PLAIN, "layer_types", "sliding_window", "num_experts", "kv_lora_rank",
             "quantization_config", "rope_scaling", "num_shared_experts", "mamba_n_heads",
             "linear_num_value_heads", "conv_L_cache", "mamba_d_head", "v_head_dim",
             "qk_rope_head_dim", "qk_nope_head_dim", "moe_intermediate_size", "full_attn_idxs",
             "vision_config", "text_config",
             "hybrid_override_pattern", "max_position_embeddings", "head_dim"]
        ),
        some.one_of(
            some.none(), some.booleans(), some.integers(-3, 9000), some.text(max_size=4),
            some.lists(some.one_of(some.integers(), some.text(max_size=9)), max_size=3),
            some.dictionaries(some.sampled_from(["factor", "type", "depth", "bits"]),
                              some.one_of(some.integers(), some.text(max_size=9))),
        ),
    ),
    kind=some.sampled_from(sorted(FAMILIES)),
)  # fmt: skip
def test_whatever_a_config_holds_it_is_a_shape_or_unknown(config: Any, kind: str) -> None:
    said = {"model_type": kind} | config
    found = memory(model_of(said, Unknown("not locked")), RUN, gpus()["H100"])
    assert found.verdict in ("fits", "may fit", "does not fit", "unknown")
    assert isinstance(shape_of(said), Shape | Unknown)
    assert not isinstance(scheme_of(said), str)
    assert isinstance(cache_type_of(said), str)
