"""Is an engine's memory worked out from the very values that its command line has?"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from modelctl.fit.types import EVERY_LAYER, Draft, LlamaInputs, MemoryInputs, VllmInputs
from modelctl.resolve import resolve
from modelctl.resolved import RemoteFile, Unknown
from modelctl.weights.config_shape import shape_of
from modelctl.weights.facts import ModelFacts
from modelctl.weights.shape import Shape
from tests.render.apps import SMOLLM2, wanted

COMMIT = "b968826d9c46dd6066d109eabc6255188de91218"
QWEN: dict[str, Any] = {
    "name": "chat",
    "model": {
        "source": "hf://Qwen/Qwen3-8B",
        "revision": "b968826d9c46dd6066d109eabc6255188de91218",
    },
    "backend": {"name": "vllm"},
    "gpu": [{"type": "H100"}],
    "context": 16384,
}
LLAMA: dict[str, Any] = {**SMOLLM2, "gpu": [{"type": "L4"}], "max_sequences": 4, "context": 2048}
PYTHON = {"name": "llama.cpp", "server": "llama-cpp-python"}
ONE = {key: LLAMA[key] for key in ("name", "model", "context", "gpu")} | {"backend": PYTHON}
NOTHING = ModelFacts("hub")


def inputs(
    spec: dict[str, Any], key: str | None = None, model: ModelFacts = NOTHING
) -> MemoryInputs | Unknown:
    variants = resolve(wanted(spec), model).variants
    return next(v.memory for v in variants if key in (None, v.key))


def vllm(**args: Any) -> dict[str, Any]:
    return {"backend": {"name": "vllm", "args": args}}


def llama(**args: Any) -> dict[str, Any]:
    return {"backend": {"name": "llama.cpp", "args": args}}


def test_a_spec_that_says_nothing_leaves_vllm_its_own_choices() -> None:
    assert inputs(QWEN) == VllmInputs(version=(0, 32), context=16384)


VLLM_FIELDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"dtype": "float16", "kv_cache": "fp8"}, {"dtype": "float16", "kv_dtype": "fp8"}),
    ({"quantization": "fp8_per_tensor"}, {"quantization": "fp8_per_tensor"}),
    ({"memory_utilization": 0.8, "max_sequences": 32}, {"utilization": 0.8, "sequences": 32}),
    ({"max_batched_tokens": 4096}, {"batched_tokens": 4096}),
    ({"gpu": [{"type": "H100", "count": 4}]}, {"tensor": 4}),
    (
        {"gpu": [{"type": "H100", "count": 8}], "parallel": {"pipeline": 2, "expert": True}},
        {"tensor": 4, "pipeline": 2, "expert": True},
    ),
    (
        {"gpu": [{"type": "H100", "count": 4}], "parallel": {"tensor": 1, "data": 4}},
        {"data": 4},
    ),
    (
        {"gpu": [{"type": "H100", "context": 4096, "kv_cache": "fp8"}]},
        {"context": 4096, "kv_dtype": "fp8"},
    ),
    ({"compile": "fast-boot"}, {"eager": True}),
    ({"prefix_caching": False}, {"prefix_caching": False}),
    ({"multimodal": {"image": 0, "video": 0}}, {"multimodal": False}),
    ({"multimodal": {"image": 2, "video": 0}}, {}),
    ({"multimodal": {"video": 0}}, {}),
    (vllm(**{"limit-mm-per-prompt": {"image": {"count": 0}, "video": 0}}), {"multimodal": False}),
    ({"speculative": {"method": "ngram", "tokens": 4}}, {"draft": Draft("ngram", 4, 0)}),
    ({"speculative": {"method": "mtp"}}, {"draft": Draft("mtp", 1, 0, 1)}),
    (vllm(**{"max-num-seqs": 16}), {"sequences": 16}),
    (vllm(max_num_batched_tokens="8k"), {"batched_tokens": 8000}),
    (vllm(**{"max-num-batched-tokens": "8K"}), {"batched_tokens": 8192}),
    (vllm(**{"max-model-len": "32K"}), {"context": 32768}),
    (vllm(tp=2), {"tensor": 2}),
    (vllm(**{"enforce-eager": True}), {"eager": True}),
    (vllm(**{"compilation-config": {"cudagraph_mode": "NONE"}}), {"eager": True}),
    (vllm(**{"compilation-config": {"cudagraph_mode": "piecewise"}}), {"whole_graphs": False}),
    (vllm(**{"compilation-config": {"cudagraph_mode": "FULL"}}), {}),
    (vllm(**{"compilation-config": {"mode": 1}}), {"whole_graphs": False}),
    (vllm(**{"compilation-config": {"mode": 3}}), {}),
    (vllm(**{"kv-transfer-config": {"kv_connector": "LMCache"}}), {"whole_graphs": False}),
    (vllm(**{"all2all-backend": "deepep_low_latency"}), {"whole_graphs": False}),
    (vllm(**{"optimization-level": "0"}), {"eager": True}),
    (vllm(**{"optimization-level": "1"}), {"whole_graphs": False}),
    (vllm(**{"optimization-level": "2"}), {}),
    (vllm(**{"language-model-only": True}), {"multimodal": False}),
    (vllm(**{"block-size": 32}), {"block_size": 32}),
    (vllm(**{"async-scheduling": False}), {"async_scheduling": False}),
    (vllm(**{"mamba-ssm-cache-dtype": "float32"}), {"state_dtype": "float32"}),
    (vllm(**{"cpu-offload-gb": 4}), {"offload": "--cpu-offload-gb"}),
    (vllm(**{"cpu-offload-gb": 0}), {}),
    (vllm(**{"cpu-offload-gb": 4, "offload-backend": "prefetch"}), {}),
    (vllm(**{"offload-group-size": 8, "cpu-offload-gb": 4}), {"offload": "--offload-group-size"}),
    (vllm(**{"offload-group-size": 8, "offload-backend": "uva"}), {}),
    (vllm(**{"kv-offloading-size": 4}), {}),
    (vllm(**{"disable-hybrid-kv-cache-manager": True}), {"hybrid_cache": False}),
    ({"env": {"VLLM_USE_V2_MODEL_RUNNER": "0"}}, {"runner": "v1"}),
    ({"env": {"VLLM_USE_V2_MODEL_RUNNER": "1"}}, {"runner": "v2"}),
    ({"env": {"VLLM_USE_V2_MODEL_RUNNER": "-1"}}, {"runner": "v2"}),
    ({"env": {"VLLM_USE_V2_MODEL_RUNNER": "yes"}}, {}),
    (
        vllm(
            **{"speculative-config.num_speculative_tokens": 9, "speculative-config.method": "ngram"}
        ),
        {"draft": Draft("ngram", 9, 0)},
    ),
    (vllm(**{"performance-mode": "throughput"}), {"performance": "throughput"}),
    (vllm(**{"performance-mode": "balanced"}), {}),
    ({"env": {"VLLM_USE_V2_MODEL_RUNNER": "no"}}, {}),
    (vllm(**{"kv-cache-memory-bytes": "2G"}), {"kv_bytes": 2 * 2**30}),
    (
        vllm(**{"speculative-config": {"method": "ngram", "num_speculative_tokens": 7}}),
        {"draft": Draft("ngram", 7, 0)},
    ),
    (
        {"backend": {"name": "vllm", "version": "0.19.1"}},
        {"version": (0, 19), "utilization": 0.9},
    ),
    (
        {"backend": {"name": "vllm", "version": "0.20.1"}},
        {"version": (0, 20), "utilization": 0.92},
    ),
    (
        {"gpu": [{"type": "H100", "args": {"max-num-seqs": 8}}], **vllm(**{"max-num-seqs": 16})},
        {"sequences": 8},
    ),
]


@pytest.mark.parametrize(("change", "has"), VLLM_FIELDS, ids=[str(c[0])[:60] for c in VLLM_FIELDS])
def test_vllm(change: dict[str, Any], has: dict[str, Any]) -> None:
    plain = VllmInputs(version=(0, 32), context=16384)
    assert inputs({**QWEN, **change}) == replace(plain, **has)


GEMMA_4 = {"model_type": "gemma4", "text_config": {"use_bidirectional_attention": "vision"}}


@pytest.mark.parametrize(
    ("change", "config", "tokens"),
    [
        ({}, GEMMA_4, 2496),
        ({}, {**GEMMA_4, "text_config": {"use_bidirectional_attention": None}}, 0),
        ({}, {"model_type": "gemma3"}, 0),
        (vllm(**{"language-model-only": True}), GEMMA_4, 0),
        ({"multimodal": {"image": 1, "video": 0}}, GEMMA_4, 2496),
        (vllm(**{"limit-mm-per-prompt": {"video": {"count": 1, "num_frames": 30}}}), GEMMA_4, 2340),
        (vllm(**{"limit-mm-per-prompt": {"video": {"count": 1, "num_frames": 64}}}), GEMMA_4, 2496),
        ({"backend": {"name": "vllm", "version": "0.21.0"}}, GEMMA_4, 0),
    ],
)
def test_a_step_that_nobody_says_holds_the_whole_video_of_a_gemma_4(
    change: dict[str, Any], config: dict[str, Any], tokens: int
) -> None:
    found = inputs({**QWEN, **change}, model=ModelFacts("hub", config=config))
    assert isinstance(found, VllmInputs)
    assert found.whole_item == tokens


QWEN_3_5 = {
    "model_type": "qwen3_5",
    "vision_config": {
        "model_type": "qwen3_5",
        "depth": 27,
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "patch_size": 16,
        "temporal_patch_size": 2,
    },
}
SMALL = 2**20


@pytest.mark.parametrize(
    ("args", "share"),
    [
        ({}, 1.0),
        ({"skip-mm-profiling": True}, 0.0),
        ({"mm-processor-kwargs": {"max_pixels": SMALL}}, 1 / 16),
        ({"mm-processor-kwargs": {"size": {"longest_edge": SMALL}}}, 1 / 16),
        ({"mm-processor-kwargs": {"max_pixels": SMALL, "size": {"longest_edge": 9}}}, 1 / 16),
        # The video is as large as it was, and is what profiling reads then.
        ({"mm-processor-kwargs": {"images_kwargs": {"max_pixels": SMALL}}}, 0.75),
        (
            {
                "mm-processor-kwargs": {"images_kwargs": {"max_pixels": SMALL}},
                "limit-mm-per-prompt": {"video": 0},
            },
            1 / 16,
        ),
        ({"limit-mm-per-prompt": {"image": 0}}, 0.75),
        ({"limit-mm-per-prompt": {"image": {"count": 0}}}, 0.75),
        ({"mm-processor-kwargs": {"max_pixels": "many"}}, 1.0),
        ({"mm-processor-kwargs": {"max_pixels": True, "size": {"longest_edge": SMALL}}}, 1 / 16),
        # A video's pixels are over two frames.
        ({"mm-processor-kwargs": {"videos_kwargs": {"size": {"longest_edge": 25165824}}}}, 1.0),
        (
            {
                "mm-processor-kwargs": {"videos_kwargs": {"size": {"longest_edge": 25165824}}},
                "limit-mm-per-prompt": {"image": 0},
            },
            0.75,
        ),
    ],
    ids=str,
)
def test_profiling_reads_the_largest_image_that_may_be_given(
    args: dict[str, Any], share: float
) -> None:
    found = inputs({**QWEN, **vllm(**args)}, model=ModelFacts("hub", config=QWEN_3_5))
    assert isinstance(found, VllmInputs)
    assert found.image_share == share
    assert found.multimodal
    other = inputs({**QWEN, **vllm(**args)}, model=ModelFacts("hub", config=GEMMA_4))
    assert isinstance(other, VllmInputs)
    assert other.image_share == (0.0 if "skip-mm-profiling" in args else 1.0)


def test_a_checkpoint_that_is_quantized_is_not_quantized_again() -> None:
    asked = {**QWEN, "quantization": "fp8"}
    for own, method in (("fp8", None), ("compressed-tensors", None), ("bfloat16", "fp8")):
        found = inputs(asked, model=ModelFacts("hub", quantization=own))
        assert isinstance(found, VllmInputs)
        assert found.quantization == method


def test_a_draft_model_takes_its_share_of_each_gpu() -> None:
    source = "hf://org/draft"
    files = (RemoteFile("model.safetensors", 4_000_000_000), RemoteFile("config.json", 900))
    config = {
        "model_type": "llama",
        "hidden_size": 1024,
        "vocab_size": 32000,
        "num_hidden_layers": 2,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "intermediate_size": 4096,
    }
    draft = ModelFacts("hub", "safetensors", layers=2, remote=files, commit="b" * 40, config=config)
    spec = {
        **QWEN,
        "gpu": [{"type": "H100", "count": 2}],
        "speculative": {"method": "eagle3", "model": source, "tokens": 3},
    }
    found = inputs(spec, model=ModelFacts("hub", beside={source: draft}))
    assert isinstance(found, VllmInputs)
    shape = shape_of(config)
    assert isinstance(shape, Shape)
    assert found.draft == Draft("eagle3", 3, weights=2_000_000_000, layers=2, shape=shape)
    unlocked = inputs(spec)
    assert isinstance(unlocked, VllmInputs)
    assert unlocked.draft == Draft("eagle3", 3, weights=None, layers=1)


def test_adapters_take_the_slots_and_the_rank_that_vllm_is_given() -> None:
    adapters = {f"a{n}": {"source": f"hf://org/a{n}", "rank": 24} for n in range(3)}
    spec = {**QWEN, "model": {**QWEN["model"], "adapters": adapters}}
    found = inputs(spec)
    assert isinstance(found, VllmInputs)
    assert (found.adapters, found.adapter_rank) == (3, 32)


def test_what_cannot_be_known_is_said() -> None:
    longest = {**QWEN, **vllm(**{"max-model-len": "auto"})}
    assert inputs(longest) == Unknown("vLLM takes the longest context that fits")
    assert inputs({**QWEN, "context": None}) == Unknown("the context is not known: not read")
    nightly = {**QWEN, "backend": {"name": "vllm", "version": "nightly"}}
    assert inputs(nightly) == Unknown("the memory of vLLM nightly is not known")
    own = inputs({**LLAMA, **llama(**{"ctx-size": 0})}, model=NOTHING)
    assert own == Unknown("the context is the model's own, which is not known")


def test_on_a_cpu_vllm_takes_what_it_is_told() -> None:
    found = inputs(QWEN, "cpu")
    assert isinstance(found, VllmInputs)
    assert (found.kv_bytes, found.eager) == (16512 * 128 * 2**10, True)


SERVER = LlamaInputs(context=8192, slots=4, gpu_layers=EVERY_LAYER, outputs=4)
LLAMA_FIELDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"max_sequences": 2}, {"context": 4096, "slots": 2, "outputs": 2}),
    ({"kv_cache": "q8_0"}, {"k_type": "q8_0", "v_type": "q8_0"}),
    ({"max_batched_tokens": 1024}, {"batch": 1024, "ubatch": 1024}),
    ({"gpu": [{"type": "L4", "count": 2}]}, {"gpus": 2}),
    (
        {"gpu": [{"type": "L4", "count": 2}], "parallel": {"tensor": 2}},
        {"gpus": 2, "split": "tensor"},
    ),
    (
        {"speculative": {"method": "ngram", "tokens": 16}},
        {"draft": Draft("ngram-simple", 16, 0), "outputs": 68},
    ),
    (llama(ngl=12), {"gpu_layers": 12}),
    (llama(**{"gpu-layers": "auto"}), {"gpu_layers": None}),
    (llama(**{"n-cpu-moe": 20}), {"cpu_expert_layers": 20}),
    (llama(**{"cpu-moe": True}), {"cpu_expert_layers": EVERY_LAYER}),
    (llama(c=4096), {"context": 4096}),
    (llama(np=-1), {"unified": True}),
    (llama(kvu=True), {"unified": True}),
    (llama(ctk="q8_0", ctv="q4_0"), {"k_type": "q8_0", "v_type": "q4_0"}),
    (llama(**{"flash-attn": False}), {"flash_attention": False}),
    (llama(**{"swa-full": True}), {"windowed": False}),
    (llama(ub=128), {"ubatch": 128}),
    (llama(b=256), {"batch": 256, "ubatch": 256}),
    (llama(**{"no-kv-offload": True}), {"kv_on_gpu": False}),
    (
        llama(**{"tensor-split": [3, 1], "split-mode": "row"}),
        {"shares": (3.0, 1.0), "split": "row"},
    ),
    (llama(ot=".*=CPU"), {"by_hand": "--override-tensor .*=CPU"}),
    (llama(device="none"), {"by_hand": "--device none"}),
    (llama(rpc="10.0.0.2:50052"), {"by_hand": "--rpc 10.0.0.2:50052"}),
    (llama(**{"spec-draft-device": "none"}), {}),  # nothing is drafted
]


@pytest.mark.parametrize(
    ("change", "has"), LLAMA_FIELDS, ids=[str(c[0])[:60] for c in LLAMA_FIELDS]
)
def test_llama_server(change: dict[str, Any], has: dict[str, Any]) -> None:
    assert inputs({**LLAMA, **change}) == replace(SERVER, **has)


def test_a_text_that_is_embedded_goes_through_in_one_step() -> None:
    spec = {**LLAMA, "model": {**LLAMA["model"], "task": "embed"}}
    assert inputs(spec) == replace(SERVER, ubatch=2048, batch=2048, outputs=None, pooled=True)


def test_without_a_gpu_nothing_is_put_there() -> None:
    assert inputs(LLAMA, "cpu") == replace(SERVER, gpu_layers=0, gpus=0)
    alone = {**LLAMA, **llama(device="none")}
    assert inputs(alone, "cpu") == replace(SERVER, gpu_layers=0, gpus=0)


def test_the_models_own_length_is_the_context_where_the_server_is_told_so() -> None:
    found = inputs({**LLAMA, **llama(c=0)}, model=ModelFacts("local", context_length=40960))
    assert found == replace(SERVER, context=40960)


def test_llama_cpp_python_keeps_all_of_a_sliding_layer() -> None:
    plain = LlamaInputs(context=2048, batch=512, gpu_layers=EVERY_LAYER, windowed=False)
    assert inputs(ONE) == plain
    args = {"type_k": 0, "type_v": 8, "flash_attn": False, "n_gpu_layers": 10, "n_ubatch": 64}
    changed = inputs({**ONE, "backend": {**PYTHON, "args": args}})
    assert changed == replace(
        plain, k_type="f32", v_type="q8_0", flash_attention=False, gpu_layers=10, ubatch=64
    )
