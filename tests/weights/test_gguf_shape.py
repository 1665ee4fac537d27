"""Which shape does a GGUF header stand for? The same that the model's config.json has."""

from __future__ import annotations

from typing import Any

from modelctl.fit.llama_speed import load_of
from modelctl.fit.speed import Load
from modelctl.fit.types import LlamaInputs
from modelctl.resolved import Unknown
from modelctl.weights.gguf_shape import gguf_shape
from modelctl.weights.shape import Experts, Header, Latent, Shape, State, TensorRow


def header(architecture: str, **said: Any) -> Header:
    own = {f"{architecture}.{key.replace('__', '.')}": value for key, value in said.items()}
    return {"general.architecture": architecture, **own}


QWEN3_30B = header(
    "qwen3moe",
    embedding_length=2048,
    block_count=48,
    feed_forward_length=6144,
    attention__head_count=32,
    attention__head_count_kv=4,
    attention__key_length=128,
    attention__value_length=128,
    expert_count=128,
    expert_used_count=8,
    expert_feed_forward_length=768,
)
ROWS = (
    TensorRow("blk.*.attn_norm.weight", "F32", (2048,), 48),
    TensorRow("blk.*.ffn_norm.weight", "F32", (2048,), 48),
    TensorRow("blk.*.attn_q.weight", "Q8_0", (2048, 4096), 48),
    TensorRow("blk.*.attn_q_norm.weight", "F32", (128,), 48),
    TensorRow("blk.*.ffn_gate_exps.weight", "Q4_K", (2048, 768, 128), 48),
    TensorRow("token_embd.weight", "Q4_K", (2048, 151936), 1),
    TensorRow("output.weight", "Q6_K", (2048, 151936), 1),
)


def test_a_mixture_of_experts() -> None:
    assert gguf_shape(QWEN3_30B, ROWS) == Shape(
        hidden=2048,
        vocabulary=151936,
        layers=("full",) * 48,
        heads=32,
        kv_heads=4,
        head_dim=128,
        value_dim=128,
        intermediate=6144,
        tied=False,
        experts=Experts(count=128, active=8, width=768, shared=0, layers=48),
        query_key_norm=True,
    )


def test_a_latent() -> None:
    said = header(
        "deepseek2",
        embedding_length=7168,
        block_count=61,
        leading_dense_block_count=3,
        attention__head_count=128,
        attention__head_count_kv=1,
        attention__key_length=576,
        attention__value_length=512,
        attention__key_length_mla=192,
        attention__value_length_mla=128,
        attention__kv_lora_rank=512,
        attention__q_lora_rank=1536,
        rope__dimension_count=64,
        expert_count=256,
        expert_used_count=8,
        expert_feed_forward_length=2048,
        expert_shared_count=1,
    )
    found = gguf_shape(said, ROWS)
    assert isinstance(found, Shape)
    assert found.latent == Latent(rank=512, rope=64, nope=128, value=128, query_rank=1536)
    assert found.experts == Experts(count=256, active=8, width=2048, shared=2048, layers=58)


def test_states() -> None:
    def state(name: str, **said: Any) -> State | None:
        found = gguf_shape(header(name, embedding_length=2048, block_count=4, **said), ROWS)
        assert isinstance(found, Shape)
        return found.state

    assert state("lfm2", shortconv__l_cache=3) == State(2048, 3, 0, 0, 0, kind="convolution")
    mamba = {"ssm__conv_kernel": 4, "ssm__inner_size": 4096, "ssm__state_size": 128}
    two = {**mamba, "ssm__group_count": 1, "ssm__time_step_rank": 64}
    assert state("mamba", **mamba) == State(4096, 4, 1, 4096, 128, kind="mamba")
    assert state("mamba2", **two) == State(4352, 4, 64, 64, 128, kind="mamba2")
    delta = {**mamba, "ssm__group_count": 16, "ssm__time_step_rank": 32}
    assert state("qwen3next", **delta) == State(8192, 4, 32, 128, 128, kind="delta")


def test_an_unknown_architecture_has_no_shape() -> None:
    assert gguf_shape(header("tomorrow", block_count=4), ROWS) == Unknown(
        "what the layers of tomorrow keep in llama.cpp is not known"
    )


def test_a_token_reads_the_experts_that_it_goes_through() -> None:
    inputs = LlamaInputs(context=4096, k_type="q8_0", v_type="f16")
    found = load_of(QWEN3_30B, ROWS, inputs)
    assert isinstance(found, Load)
    experts = 2048 * 768 * 128 * 48
    assert found.experts == experts / 256 * 144
    assert (found.count, found.active) == (128, 8)
    assert found.kv == 48 * 4 * 128 * (34 / 32 + 2)
    norms = 48 * (2048 * 2 + 128)
    attention, output = 48 * 2048 * 4096, 2048 * 151936
    assert found.dense == attention / 32 * 34 + output / 256 * 210 + norms * 4
    assert found.parameters == attention + output + norms + experts / 16
    assert 4.5 < found.bits < 5.5
