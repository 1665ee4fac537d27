"""What does an editor show beside a description? Examples, and what holds if it is left out.

A default here is only told: the one that counts is decided in `resolve`, and a test holds the two
together. What follows from other answers (the model's own length, the GPU's count) has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_EXAMPLES: Mapping[str, list[Any]] = {
    "adapters": [{"support": "hf://org/adapter"}],
    "allow": [{"fit/target": "measured: it fits"}],
    "apt": [["git"]],
    "args": [{"seed": 7}],
    "audio": [1],
    "auth": [["proxy", "api-key"]],
    "backends": [{"vllm": {"version": "0.32.0"}}],
    "base": ["nvidia/cuda:12.9.1-devel-ubuntu24.04"],
    "boot": ["15m"],
    "bucket": ["s3://weights", "gs://weights", "r2://weights"],
    "buffer": [1],
    "buckets": [{"/data": {"bucket": "s3://weights", "read_only": True}}],
    "chat_template": ["templates/chat.jinja"],
    "checks": [{"knows-paris": {"prompt": "The capital of France?", "expect": "Paris"}}],
    "cloud": ["aws", "gcp", "oci"],
    "compute_regions": [["us-east"], ["eu"]],
    "contains": ["Paris"],
    "content": ["What is the capital of France?"],
    "context": [8192, 32768],
    "count": [1, 2, 8],
    "cpu": [4, 8],
    "data": [2],
    "disk": ["200GiB"],
    "dockerfile": ["Dockerfile"],
    "drain": ["30s"],
    "env": [{"LOG_LEVEL": "info"}],
    "environments": [{"prod": {"keep_warm": 1}}],
    "file": ["*Q4_K_M*.gguf"],
    "gpus": [["H100", "L40S"]],
    "idle_timeout": ["5m"],
    "image": [4],
    "images": [["vllm/*"]],
    "interval": ["30s"],
    "json": [["name", "age"]],
    "keep_warm": [0, 1],
    "key": ["API_KEY"],
    "labels": [{"team": "search", "tier": "gold"}],
    "matches": ["München|Munich"],
    "max": [4, 64],
    "max_batched_tokens": [8192],
    "max_sequences": [8, 256],
    "max_tokens": [32],
    "memory": ["16GiB"],
    "memory_utilization": [0.9],
    "messages": [[{"role": "user", "content": "What is the capital of France?"}]],
    "mmproj": ["mmproj-*.gguf"],
    "modal_environment": ["main"],
    "nodes": [2],
    "only": [["prod"]],
    "packages": [["flashinfer-python==0.6.1"]],
    "pipeline": [2],
    "place": ["30m"],
    "prefix": ["models/"],
    "project": ["search-team"],
    "prompt": ["What is the capital of France?"],
    "quantization": ["auto", "fp8", "awq", "Q4_K_M"],
    "rank": [16],
    "reason": ["measured: it fits"],
    "reasoning": ["qwen3", "deepseek_r1"],
    "regions": [["us-east", "eu-west"]],
    "renamed_from": ["qwen3-8b-old"],
    "revision": ["main"],
    "rules": [{"fit/target": "off"}],
    "run": [["ldconfig"]],
    "scaleup_window": ["10s"],
    "secret": ["huggingface"],
    "secrets": [{"huggingface": ["HF_TOKEN"]}],
    "served_as": ["qwen3"],
    "startup_timeout": ["20m"],
    "target": [8, 32],
    "tensor": [2, 8],
    "tokenizer": ["hf://Qwen/Qwen3-8B"],
    "tokens": [5],
    "tools": ["hermes", "llama3_json"],
    "until": ["2027-01-31"],
    "usd_per_hour": [10],
    "usd_per_hour_at_max": [100],
    "usd_per_month": [5000],
    "video": [1],
    "volumes": [{"/data": {"name": "shelf", "read_only": True}}],
    "wave": ["canary"],
    "within": ["5s"],
    "workspace": ["acme"],
}
"""By the field's name, where one example serves in every mapping that has it."""

_OF_ONE: Mapping[tuple[str, str], list[Any]] = {
    ("Adapter", "source"): ["hf://org/adapter", "./adapters/mine"],
    ("BackendDefaults", "version"): ["0.32.0"],
    ("Endpoint", "auth"): ["proxy"],
    ("Fields", "image"): [{"packages": ["flashinfer-python==0.6.1"]}],
    ("BackendDefaults", "image"): [{"packages": ["flashinfer-python==0.6.1"]}],
    ("Spec", "image"): [{"packages": ["flashinfer-python==0.6.1"]}],
    ("Fields", "kv_cache"): ["auto", "fp8", "q8_0"],
    ("Gpu", "kv_cache"): ["auto", "fp8", "q8_0"],
    ("Model", "endpoint"): ["https://ACCOUNT.r2.cloudflarestorage.com"],
    ("Project", "environments"): [{"staging": {}, "prod": {"modal_environment": "main"}}],
    ("Spec", "name"): ["qwen3-8b"],
    ("Speculative", "model"): ["hf://yuhuili/EAGLE3-LLaMA3.1-Instruct-8B"],
    ("Timeouts", "checks"): ["5m"],
    ("VolumeMount", "name"): ["shelf"],
}

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "Fields": {"keep_warm": 0, "snapshot": "none", "protect": False, "nodes": 1},
    "Model": {"task": "generate", "trust_remote_code": False},
    "Scaling": {"buffer": 0, "idle_timeout": "5m"},
    "Endpoint": {"auth": "proxy", "region": "us-east", "drain": "30s", "nonpreemptible": False},
}
_SAME = {"Spec": "Fields", "BackendDefaults": "Fields"}


def about(shape: str, field: str) -> dict[str, Any]:
    """`title`, `examples` and `default` of a field, as far as there are any."""
    said: dict[str, Any] = {"title": field}
    examples = _OF_ONE.get((shape, field)) or _EXAMPLES.get(field)
    if examples:
        said["examples"] = examples
    defaults = _DEFAULTS.get(_SAME.get(shape, shape), {})
    if field in defaults:
        said["default"] = defaults[field]
    return said
