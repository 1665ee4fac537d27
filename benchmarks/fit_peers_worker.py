"""What do hf-mem and modelinfo-cli say to the same rows? Runs inside the environment that has them.

One JSON line a question: {"peer", "config", "bytes", "gpus", "usable", "utilization", "context"}.
The answer: {"weights", "tokens"} of one GPU, in bytes, and of all in tokens. Their own functions
work it out; where a peer knows neither a GPU nor what of it an engine may take, both are added in
its favour. `bytes` is the size of the checkpoint, as one tensor of a byte an element.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from typing import Any


def hf_mem(asked: dict[str, Any]) -> dict[str, float]:
    cache = importlib.import_module("hf_mem.safetensors.kv_cache")
    tensors = importlib.import_module("hf_mem.safetensors.metadata")
    found = tensors.parse_safetensors_metadata({"Transformer": _tensors(asked)})
    kind = cache.resolve_kv_cache_dtype(asked["config"], None, found, "row")
    request = cache.compute_safetensors_kv_cache_size(
        config=asked["config"], cache_dtype=kind, max_model_len=asked["context"]
    )
    room = asked["usable"] * asked["utilization"] * asked["gpus"] - found.bytes_count
    return {
        "weights": found.bytes_count / asked["gpus"],
        "tokens": max(0.0, room) / request * asked["context"],
    }


def modelinfo(asked: dict[str, Any]) -> dict[str, float]:
    calculator = importlib.import_module("modelinfo.calculator")
    found = calculator.calculate_footprint(
        _tensors(asked),
        context_length=asked["context"],
        config=asked["config"],
        gpu_count=asked["gpus"],
        topology="nvlink",
        is_vllm=True,
        gpu_vram_bytes=asked["usable"] * asked["gpus"],
        gpu_util=asked["utilization"],
    )
    return {
        "weights": found["base_memory_bytes"] / asked["gpus"],
        "tokens": found["vllm_metrics"]["max_serving_capacity"],
    }


def _tensors(asked: dict[str, Any]) -> dict[str, Any]:
    return {"model.weight": {"dtype": "F8_E4M3", "shape": [asked["bytes"]]}}


PEERS = {"hf-mem": hf_mem, "modelinfo-cli": modelinfo}


def main() -> None:
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer: Any = PEERS[asked["peer"]](asked)
        except Exception as problem:  # noqa: BLE001 - whatever a peer cannot do is no prediction
            answer = {"problem": f"{type(problem).__name__}: {problem}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
