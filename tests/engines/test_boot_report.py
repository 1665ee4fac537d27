"""Is an engine's report of its memory understood, from each version that says it otherwise?"""

from __future__ import annotations

import pytest

from modelctl.engines.boot_report import GIB, MIB, BootReport, read

V0_32 = """\
(EngineCore pid=88) [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: \
model='/models/Qwen/Qwen3-8B', speculative_config=None, device_config=cuda, tensor_parallel_size=1
(EngineCore pid=88) [default_loader.py:502] Loading weights took 3.41 seconds
(EngineCore pid=88) [gpu_model_runner.py:5150] Model loading took 15.27 GiB memory and 4.101282 \
seconds
(EngineCore pid=88) [gpu_model_runner.py:6475] Estimated CUDA graph memory: 0.71 GiB total
(EngineCore pid=88) [gpu_worker.py:759] Available KV cache memory: 54.63 GiB
(EngineCore pid=88) [kv_cache_utils.py:2328] GPU KV cache size: 397,776 tokens, Maximum \
concurrency for 32,768 tokens per request: 12.14x
(EngineCore pid=88) [gpu_model_runner.py:6581] Graph capturing finished in 9 secs, took 0.66 GiB
(APIServer pid=1) Application startup complete.
"""
V0_11 = """\
(EngineCore_DP0 pid=272) [core.py:77] Initializing a V1 LLM engine (v0.11.0) with config: \
model='/m', device_config=cuda, tensor_parallel_size=2, pipeline_parallel_size=1
(Worker_TP0 pid=290) [gpu_model_runner.py:2653] Model loading took 33.8790 GiB and 12.7 seconds
(Worker_TP1 pid=291) [gpu_model_runner.py:2653] Model loading took 33.9021 GiB and 12.8 seconds
(Worker_TP1 pid=291) [gpu_worker.py:298] Available KV cache memory: 33.20 GiB
(Worker_TP0 pid=290) [gpu_worker.py:298] Available KV cache memory: 33.44 GiB
(EngineCore_DP0 pid=272) [kv_cache_utils.py:1087] GPU KV cache size: 219,104 tokens
(EngineCore_DP0 pid=272) [kv_cache_utils.py:1091] Maximum concurrency for 16,384 tokens per \
request: 13.37x
(EngineCore_DP0 pid=272) [kv_cache_utils.py:1087] GPU KV cache size: 217,568 tokens
(EngineCore_DP0 pid=272) [kv_cache_utils.py:1091] Maximum concurrency for 16,384 tokens per \
request: 13.28x
(Worker_TP0 pid=290) [gpu_model_runner.py:3480] Graph capturing finished in 5 secs, took 0.55 GiB
Application startup complete.
"""


def vllm(text: str) -> BootReport:
    return read(text.splitlines(), "vllm")


def llama(text: str) -> BootReport:
    return read(text.splitlines(), "llama.cpp")


def test_vllm_0_32_says_weights_cache_tokens_and_graphs() -> None:
    assert vllm(V0_32) == BootReport(
        version="0.32.0",
        device="gpu",
        weights=round(15.27 * GIB),
        cache=round(54.63 * GIB),
        tokens=397_776,
        graphs=round(0.66 * GIB),
        ready=True,
    )


def test_of_several_ranks_the_fullest_one_counts() -> None:
    found = vllm(V0_11)
    assert (found.version, found.device) == ("0.11.0", "gpu")
    assert found.weights == round(33.9021 * GIB)
    assert found.cache == round(33.20 * GIB)
    assert found.tokens == 217_568


def test_a_later_start_takes_the_cache_that_an_earlier_one_measured() -> None:
    """VLLM_ENABLE_STARTUP_PLAN of vLLM 0.32: nothing is measured again."""
    found = vllm(
        V0_32.replace(
            "[gpu_worker.py:759] Available KV cache memory: 54.63 GiB",
            "[gpu_worker.py:669] Initial free memory 78.55 GiB, reserved 54.21 GiB memory for KV "
            "Cache as specified by kv_cache_memory_bytes config and skipped memory profiling.",
        )
    )
    assert found.cache == round(54.21 * GIB)


def test_tokens_of_several_kinds_of_layers_follow_from_the_requests_up_to_0_19() -> None:
    """gemma-3 under vLLM 0.11: num_blocks // groups * block_size tells half of the truth."""
    text = V0_32.replace(
        "GPU KV cache size: 397,776 tokens, ", "GPU KV cache size: 198,888 tokens "
    )
    assert vllm(text).tokens == int(32_768 * 12.14)


@pytest.mark.parametrize(
    "line",
    [
        # 0.32: cpu_worker.py
        "(EngineCore pid=9) [cpu_worker.py:260] Auto set (3.71/24.1) GiB for KV cache on node 0, "
        "with 12.0 GiB requested memory for the worker. 1.2 GiB memory was consumed by non-kv "
        "usages.",
        "[kv_cache_utils.py:2328] CPU KV cache size: 97,280 tokens, Maximum concurrency for 2,048 "
        "tokens per request: 47.50x",
        # 0.9: platforms/__init__.py, core.py
        "[__init__.py:244] Automatically detected platform cpu.",
        "[core.py:69] Initializing a V1 LLM engine (v0.9.1) with config: device_config=cpu, seed=0",
    ],
)
def test_what_ran_on_a_cpu_is_no_report_of_a_gpu(line: str) -> None:
    assert vllm(f"Model loading took 0.25 GiB and 1.1 seconds\n{line}\n").device == "cpu"


def test_the_cpu_engine_of_vllm_says_its_cache() -> None:
    found = vllm(
        "[core.py:133] Initializing a V1 LLM engine (v0.32.0+cpu) with config: device_config=cpu\n"
        "[cpu_worker.py:260] Auto set (3.71/24.1) GiB for KV cache on node 0, with 12.0 GiB\n"
        "[kv_cache_utils.py:2328] CPU KV cache size: 97,280 tokens, Maximum concurrency for 2,048 "
        "tokens per request: 47.50x\n"
    )
    assert (found.device, found.cache, found.tokens) == ("cpu", round(3.71 * GIB), 97_280)
    assert not found.ready


def test_a_start_that_ended_before_the_graphs_is_not_ready() -> None:
    assert not vllm(V0_32.replace("Application startup complete.", "")).ready


B11312 = """\
cmn  common_param: common_params_print_info: build 11312 (0c1e57098) with GNU 12.2.0 for Linux
llama_model_loader: loaded meta data with 33 key-value pairs and 272 tensors from /models/m.gguf
load_tensors: offloading output layer to GPU
load_tensors: offloaded 31/31 layers to GPU
load_tensors:   CPU_Mapped model buffer size =    28.69 MiB
load_tensors:        CUDA0 model buffer size =    60.41 MiB
load_tensors:        CUDA1 model buffer size =    45.10 MiB
llama_context: n_ctx                 = 8192
llama_context: n_ctx_seq             = 1024
llama_context:  CUDA_Host  output buffer size =     1.50 MiB
llama_kv_cache:      CUDA0 KV buffer size =    96.00 MiB
llama_kv_cache:      CUDA1 KV buffer size =    84.00 MiB
llama_kv_cache: size =  180.00 MiB (  1024 cells,  30 layers,  8/8 seqs), K (f16):   90.00 MiB
llama_memory_recurrent:      CUDA0 RS buffer size =    12.50 MiB
sched_reserve:      CUDA0 compute buffer size =    97.50 MiB
sched_reserve:  CUDA_Host compute buffer size =     5.12 MiB
alloc_compute_meta:      CUDA0 compute buffer size =   150.00 MiB
srv  llama_server: listening on http://0.0.0.0:8000
"""


def test_llama_cpp_says_what_lies_on_the_fullest_gpu() -> None:
    assert llama(B11312) == BootReport(
        version="b11312",
        device="gpu",
        weights=round(60.41 * MIB),
        cache=round(108.5 * MIB),
        tokens=8192,
        compute=round(97.5 * MIB),
        ready=True,
    )


def test_a_trial_run_that_allocates_nothing_is_not_counted() -> None:
    trial = B11312.replace("listening on", "")
    assert llama(trial + B11312) == llama(B11312)


def test_llama_cpp_on_a_cpu_with_what_is_computed_beside_it() -> None:
    """b5000, as its server wrote it: other names for the same buffers."""
    found = llama(
        "build: 5000 (2c3f8b85) with cc (Debian 12.2.0-14) 12.2.0 for x86_64-linux-gnu\n"
        "llama_model_loader: loaded meta data with 30 key-value pairs and 291 tensors from /m\n"
        "load_tensors:   CPU_Mapped model buffer size =  8137.64 MiB\n"
        "llama_context: n_ctx         = 4096\n"
        "llama_context:        CPU  output buffer size =     0.49 MiB\n"
        "llama_kv_cache_unified:        CPU KV buffer size =   512.00 MiB\n"
        "llama_context:        CPU compute buffer size =   296.01 MiB\n"
        "main: server is listening on http://0.0.0.0:8080 - starting the main loop\n"
    )
    assert (found.version, found.device, found.ready) == ("b5000", "cpu", True)
    assert found.weights == round(8137.64 * MIB)
    assert found.compute == round(296.5 * MIB)
    assert (found.cache, found.tokens) == (512 * MIB, 4096)


def test_layers_left_to_the_cpu_are_said() -> None:
    assert llama(B11312.replace("31/31", "20/31")).partly == "20/31 layers"


def test_a_quiet_server_says_nothing() -> None:
    """llama-server b11312 at its own verbosity, 3; and a build that does not know its number."""
    found = llama(
        "srv    load_model: loading model '/models/m.gguf'\n"
        "srv          init: build_info: b0-unknown\n"
        "common_params_print_info: build 0 (unknown) with GNU 10.2.1 for Linux x86_64\n"
        "srv  llama_server: listening on http://0.0.0.0:8000\n"
    )
    assert found == BootReport(ready=True)
