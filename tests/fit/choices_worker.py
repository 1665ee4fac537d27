"""What does vLLM choose of itself? Runs inside vLLM's environment: questions in, answers out.

Each question is a run's numbers; the answers are of vLLM's own functions, given those and nothing
else, since a real configuration needs a model's folder and a GPU.
"""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any

from vllm.config import CUDAGraphMode, VllmConfig
from vllm.engine.arg_utils import EngineArgs
from vllm.platforms import current_platform

BLACKWELL = 100


def captured(said: dict[str, Any]) -> list[int]:
    """Tokens of each step that is captured."""
    told = said["blackwell"]
    type(current_platform).is_device_capability_family = classmethod(
        lambda _, family, device_id=0: told and family == BLACKWELL
    )
    compiled = SimpleNamespace(
        cudagraph_mode=CUDAGraphMode.FULL_AND_PIECEWISE,
        max_cudagraph_capture_size=said["always"],
        cudagraph_capture_sizes=None,
        post_init_cudagraph_sizes=lambda: None,
    )
    run = SimpleNamespace(
        model_config=SimpleNamespace(enforce_eager=False),
        compilation_config=compiled,
        scheduler_config=SimpleNamespace(
            max_num_seqs=said["sequences"], max_num_batched_tokens=said["tokens"]
        ),
        uniform_decode_query_len=1 + said["guessed"],
        speculative_config=None,
        num_speculative_tokens=said["guessed"],
        performance_mode=said["performance"],
    )
    VllmConfig._set_cudagraph_sizes(run)
    sizes: list[int] = compiled.cudagraph_capture_sizes
    return sizes


def batch(said: dict[str, Any]) -> list[int]:
    """Sequences and tokens of a step."""
    item, usual = said["item"], said["usual"]
    run = SimpleNamespace(
        max_num_seqs=said["sequences"],
        max_num_batched_tokens=said["tokens"],
        performance_mode=said["performance"],
        enable_chunked_prefill=not said["whole"],
        pipeline_parallel_size=1,
        tensor_parallel_size=1,
        get_batch_defaults=lambda _: ({None: usual[1]}, {None: usual[0]}),
        _get_min_mm_batched_tokens=lambda _: (item, "video"),
    )
    model = SimpleNamespace(
        max_model_len=said["context"],
        is_multimodal_model=bool(item),
        is_mm_prefix_lm=bool(item),
        model="model",
    )
    EngineArgs._set_default_max_num_seqs_and_batched_tokens_args(
        run, None, model, SimpleNamespace(use_batched_dp_moe=False)
    )
    return [run.max_num_seqs, run.max_num_batched_tokens]


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    answers = [{"captured": captured, "batch": batch}[one["what"]](one) for one in asked]
    print("ANSWER" + json.dumps(answers))
