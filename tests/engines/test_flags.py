"""Which command line does a spec become, and does the engine know every flag of it?"""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl.resolved import Flag, Word
from modelctl.weights.facts import ModelFacts
from tests.examples import examples
from tests.render.apps import EMBED, QWEN3, SMOLLM2, SNAPSHOT, local_gguf, resolved

LLAMA = {**SMOLLM2, "gpu": [{"type": "L4"}]}
VLLM = {**QWEN3, "gpu": [{"type": "H100!"}]}


def flags(spec: dict[str, Any], key: str | None = None) -> tuple[Flag, ...]:
    source = spec["model"]["source"]
    found = resolved(spec, None if "://" in source else local_gguf())
    return next(v.flags for v in found.variants if key in (None, v.key))


def line(spec: dict[str, Any], key: str | None = None) -> str:
    return " ".join(written(word) for flag in flags(spec, key) for word in flag)


def written(word: Word) -> str:
    """A word as the engine gets it on Modal, where the mount root is empty."""
    return word if isinstance(word, str) else f"{word.before}{word.path}{word.after}"


def test_a_persons_own_flag_replaces_ours() -> None:
    own = {"backend": {"name": "llama.cpp", "args": {"n-gpu-layers": 20, "metrics": False}}}
    found = flags({**LLAMA, **own})
    assert ("--n-gpu-layers", "20") in found
    assert [flag for flag in found if flag[0] == "--n-gpu-layers"] == [("--n-gpu-layers", "20")]


@pytest.mark.parametrize(
    ("own", "becomes"),
    [
        ({"gpu-layers": 20}, "--metrics --no-ui --gpu-layers 20"),
        ({"ngl": 20}, "--metrics --no-ui --gpu-layers 20"),
        ({"n_gpu_layers": 20}, "--metrics --no-ui --n-gpu-layers 20"),
        ({"metrics": False}, "--n-gpu-layers all --no-ui"),
        ({"webui": True}, "--n-gpu-layers all --metrics --webui"),
        ({"no-webui": False}, "--n-gpu-layers all --metrics --ui"),
        ({"tensor-split": [3, 1]}, "--no-ui --tensor-split 3,1"),
        ({"flash-attn": True}, "--no-ui --flash-attn on"),
        ({"lora": ["/a", "/b"]}, "--no-ui --lora /a --lora /b"),
        ({"chat-template-kwargs": {"a": 1}}, '--no-ui --chat-template-kwargs {"a": 1}'),
    ],
)
def test_any_spelling_of_llama_cpp_means_the_flag(own: dict[str, Any], becomes: str) -> None:
    found = line({**LLAMA, "backend": {"name": "llama.cpp", "args": own}})
    assert found.endswith(becomes)
    assert found.count("-layers") == 1
    assert found.count("ui") == 1


@pytest.mark.parametrize(
    ("own", "becomes"),
    [
        ({"cudagraph-capture-sizes": [1, 2]}, "--cudagraph-capture-sizes 1 2"),
        ({"middleware": ["a.b", "c.d"]}, "--middleware a.b --middleware c.d"),
        ({"allowed-origins": ["*"]}, '--allowed-origins ["*"]'),
        ({"uvicorn_log_level": "debug"}, "--uvicorn-log-level debug"),
        ({"enable-lora": False}, "--no-enable-lora"),
        ({"disable-log-stats": False}, ""),
        ({"no-enable-prefix-caching": True}, "--no-enable-prefix-caching"),
        ({"q": "fp8"}, "--quantization fp8"),
        ({"compilation-config": {"mode": 3}}, '--compilation-config {"mode": 3}'),
    ],
)
def test_any_spelling_of_vllm_means_the_flag(own: dict[str, Any], becomes: str) -> None:
    spec = {**VLLM, "quantization": "fp8_per_tensor", "prefix_caching": True}
    found = line({**spec, "backend": {"name": "vllm", "args": own}})
    assert found.endswith(becomes)
    assert found.count("--quantization") == 1
    assert found.count("prefix-caching") == 1


def test_a_gpus_own_flag_wins_over_the_backends_in_any_spelling() -> None:
    entry = {"type": "H100!", "args": {"q": "fp8"}}
    spec = {**VLLM, "gpu": [entry], "backend": {"name": "vllm", "args": {"quantization": "awq"}}}
    assert line(spec).count("--quantization") == 1
    assert line(spec).endswith("--quantization fp8")


def test_vllm() -> None:
    assert line(VLLM) == (
        "--served-model-name qwen3-8b "
        "--max-model-len 32768 --enable-auto-tool-choice --tool-call-parser hermes "
        "--reasoning-parser qwen3 --disable-uvicorn-access-log --shutdown-timeout 30"
    )


@pytest.mark.parametrize(
    ("change", "has"),
    [
        ({"context": None}, "--max-model-len auto"),
        ({"dtype": "float16"}, "--dtype float16"),
        ({"quantization": "fp8_per_tensor"}, "--quantization fp8_per_tensor"),
        ({"kv_cache": "fp8"}, "--kv-cache-dtype fp8"),
        ({"max_sequences": 64}, "--max-num-seqs 64"),
        ({"memory_utilization": 0.9}, "--gpu-memory-utilization 0.9"),
        ({"prefix_caching": False}, "--no-enable-prefix-caching"),
        ({"prefix_caching": True}, "--enable-prefix-caching"),
        ({"compile": "fast-boot"}, "--enforce-eager"),
        (
            {"speculative": {"method": "ngram", "tokens": 4}},
            '--speculative-config {"method": "ngram", "num_speculative_tokens": 4}',
        ),
        (
            {"speculative": {"model": "hf://a/b"}},
            '--speculative-config {"num_speculative_tokens": 5, "model": "/models/a/b/main"}',
        ),
        (
            {"speculative": {"method": "mtp"}},
            '--speculative-config {"method": "mtp", "num_speculative_tokens": 1}',
        ),
        (
            {"speculative": {"method": "eagle3", "model": "volume://team/eagle"}},
            '--speculative-config {"method": "eagle3", "num_speculative_tokens": 3, '
            '"model": "/volumes/team/eagle"}',
        ),
        ({"speculative": {"method": "suffix"}}, '--speculative-config {"method": "suffix"}'),
        (
            {"speculative": {"method": "dspark", "model": "hf://a/b"}},
            '--speculative-config {"method": "dspark", "model": "/models/a/b/main"}',
        ),
        ({"max_batched_tokens": 4096}, "--max-num-batched-tokens 4096"),
        (
            {"multimodal": {"image": 4, "video": 0}},
            '--limit-mm-per-prompt {"image": 4, "video": 0}',
        ),
        (
            {"quantization": "fp_quant"},
            "--quantization fp_quant --allow-deprecated-quantization",
        ),
        ({"parallel": {"data": 2}, "gpu": [{"type": "L4:4"}]}, "--data-parallel-size 2"),
        (
            {"nodes": 2, "gpu": [{"type": "H100:8"}]},
            "--tensor-parallel-size 8 --pipeline-parallel-size 2 --nnodes 2",
        ),
        (
            {"nodes": 2, "gpu": [{"type": "H100:8"}], "parallel": {"tensor": 16}},
            "--tensor-parallel-size 16 --nnodes 2",
        ),
        ({"model": {"source": "hf://a/b", "served_as": ["x", "y"]}}, "--served-model-name x y"),
        (
            {"model": {"source": "hf://a/b", "task": "rerank"}},
            "--runner pooling --convert classify",
        ),
        ({"gpu": [{"type": "L4:2"}]}, "--tensor-parallel-size 2"),
        ({"backend": {"name": "vllm", "args": {"seed": -1}}}, "--seed=-1"),
        ({"backend": {"name": "vllm", "args": {"seed": 7}}}, "--seed 7"),
        (
            {"gpu": [{"type": "L4:4"}], "parallel": {"pipeline": 2, "expert": True}},
            "--tensor-parallel-size 2 --pipeline-parallel-size 2 --enable-expert-parallel",
        ),
        (
            {"model": {"source": "hf://a/b", "tokenizer": "hf://c/d", "trust_remote_code": True}},
            "--tokenizer /models/c/d/main --trust-remote-code",
        ),
        (
            {
                "model": {
                    "source": "hf://a/b",
                    "adapters": {"x": {"source": "hf://c/d", "rank": 32}},
                }
            },
            "--enable-lora --max-loras 1 --max-lora-rank 32 --lora-modules x=/models/c/d/main",
        ),
        (
            {
                "model": {
                    "source": "hf://a/b",
                    "adapters": {
                        f"a{n}": {"source": f"volume://team/{n}", "rank": 65} for n in range(9)
                    },
                }
            },
            "--max-loras 8 --max-cpu-loras 9 --max-lora-rank 128 --lora-modules a0=/volumes/team/0",
        ),
        (
            {"model": {"source": "hf://a/b", "adapters": {"x": {"source": "hf://c/d"}}}},
            "--max-lora-rank 16 ",
        ),
    ],
)
def test_vllm_knobs(change: dict[str, Any], has: str) -> None:
    assert has in line({**VLLM, **change})


def test_vllm_on_a_cpu_leaves_out_what_needs_a_gpu() -> None:
    spec = {**VLLM, "gpu": [{"type": "L4:2"}], "kv_cache": "fp8", "memory_utilization": 0.9}
    on_cpu = line(spec, "cpu")
    for flag in ("tensor-parallel", "kv-cache-dtype", "gpu-memory", "sleep"):
        assert flag not in on_cpu
    assert "--enforce-eager" in on_cpu
    assert "--enforce-eager" not in line({**spec, "compile": "full"}, "cpu")
    assert "--enable-sleep-mode" in line(SNAPSHOT)
    assert "--enable-sleep-mode" not in line(SNAPSHOT, "cpu")


def test_vllm_on_a_cpu_has_memory_for_one_request_of_full_length() -> None:
    assert "--kv-cache-memory-bytes 4311744512" in line(VLLM, "cpu")  # 128 KiB a token
    small = ModelFacts("hub", cache_per_token=2048)
    found = resolved(VLLM, small).variants[-1]
    assert ("--kv-cache-memory-bytes", "536870912") in found.flags


def test_flags_that_only_a_gpu_knows_stay_there_unless_the_spec_is_for_a_cpu() -> None:
    args = {"tp": 2, "attention-backend": "FLASHINFER", "load-format": "fastsafetensors", "seed": 7}
    spec = {**VLLM, "backend": {"name": "vllm", "args": args}}
    assert "--attention-backend FLASHINFER --load-format fastsafetensors --seed 7" in line(spec)
    on_cpu = line(spec, "cpu")
    assert "--seed 7" in on_cpu
    for flag in ("attention-backend", "load-format", "tensor-parallel"):
        assert flag not in on_cpu
    assert "--load-format fastsafetensors" in line({**spec, "gpu": [{"type": "none"}]}, "cpu")


def test_hosts_without_a_gpu_share_out_each_layer() -> None:
    spec = {**VLLM, "nodes": 2, "gpu": [{"type": "H100:8"}]}
    assert line(spec, "cpu").endswith("--nnodes 2 --tensor-parallel-size 2")


def test_each_gpu_has_flags_of_its_own() -> None:
    entry = {
        "type": "L40S:2",
        "context": 4096,
        "kv_cache": "fp8",
        "memory_utilization": 0.8,
        "max_sequences": 16,
        "max_batched_tokens": 1024,
        "parallel": {"tensor": 1, "pipeline": 2},
        "args": {"block-size": 32},
    }
    spec = {**VLLM, "gpu": [{"type": "H100!"}, entry]}
    own = line(spec, "L40S:2")
    for words in (
        "--max-model-len 4096",
        "--kv-cache-dtype fp8",
        "--gpu-memory-utilization 0.8",
        "--max-num-seqs 16",
        "--max-num-batched-tokens 1024",
        "--pipeline-parallel-size 2",
        "--block-size 32",
    ):
        assert words in own
        assert words not in line(spec, "H100")
    assert "--tensor-parallel-size" not in own


def test_vllm_embeds() -> None:
    assert "--runner pooling --convert embed" in line(EMBED)


def test_caches_of_vllm_are_on_volumes() -> None:
    found = resolved(VLLM)
    assert [(m.path, m.volume, m.read_only, m.create) for m in found.mounts] == [
        ("/models", "modelctl-weights", True, True),
        ("/cache/vllm", "modelctl-vllm-cache", False, True),
    ]
    assert found.path_env["VLLM_CACHE_ROOT"] == "/cache/vllm"
    assert found.env["VLLM_ENGINE_READY_TIMEOUT_S"] == "1200"


KEYS = st.sampled_from(["f16", "q8_0", "auto", None])
SPECS = st.fixed_dictionaries(
    {},
    optional={
        "context": st.integers(1, 10**6),
        "kv_cache": KEYS,
        "max_sequences": st.integers(1, 512),
        "reasoning": st.sampled_from(["none", "auto", "deepseek", "deepseek-legacy"]),
        "concurrency": st.fixed_dictionaries({"target": st.integers(1, 64)}),
        "prefix_caching": st.just(True),
        "gpu": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["L4", "H100:2", "A100-80GB"])},
                optional={"context": st.integers(1, 9999), "kv_cache": KEYS},
            ),
            max_size=3,
        ),
    },
)


@given(SPECS, st.sampled_from(["generate", "embed", "rerank"]))
@settings(max_examples=examples(150), deadline=None)
def test_the_stand_in_knows_every_flag_of_llama_cpp(spec: dict[str, Any], task: str) -> None:
    """llama-server's flags as the stand-in has them, which follows llama.cpp's own spelling."""
    known = _stand_in_flags()
    model = {**SMOLLM2["model"], "task": task}
    found = resolved({**SMOLLM2, **spec, "model": model}, local_gguf())
    for variant in found.variants:
        for name, *values in variant.flags:
            assert name in known, name
            assert len(values) == known[name], name


def _stand_in_flags() -> dict[str, int]:
    """Every spelling with how many values it takes."""
    module = importlib.import_module("modelctl.local.llama_server.flags")
    known: dict[str, int] = {}
    for flag in module.FLAGS:
        known.update(dict.fromkeys(flag.names, 0 if flag.kind is None else 1))
        known.update(dict.fromkeys(flag.off, 0))
    return known
