"""Which flags does modelctl set by itself, and which field of a spec says it instead?"""

from __future__ import annotations

from collections.abc import Iterable

_ADDRESS = "leave it out: the address is modelctl's"
_KEY = "endpoint: {auth: api-key, api_key: {secret: NAME, key: KEY}}"
_TLS = "leave it out: the URL has TLS, the engine behind it none"
_FILE = "write its lines as fields and args: a file's false values are lost"
_SOURCE = "model.source says it: the server reads a Volume and never asks the Hub"
_HOSTS = "nodes says it"
_TASK = "model.task says it"

# What holds the deployment together, or has a field that is checked against GPU and model.
_RESERVED: dict[str, dict[str, str]] = {
    "vllm": {
        "model": "model.source says it",
        "runner": _TASK,
        "convert": _TASK,
        "host": _ADDRESS,
        "port": _ADDRESS,
        "uds": _ADDRESS,
        "grpc": _ADDRESS,
        "headless": _HOSTS,
        "nnodes": _HOSTS,
        "node-rank": _HOSTS,
        "master-addr": _HOSTS,
        "master-port": _HOSTS,
        "served-model-name": "model.served_as says it",
        "api-key": _KEY,
        "config": _FILE,
        "max-model-len": "context says it",
        "revision": "model.revision says it",
        "hf-token": "model.secret names the Modal Secret that holds it",
        "tensor-parallel-size": "parallel: {tensor: N} says it",
        "pipeline-parallel-size": "parallel: {pipeline: N} says it",
        "data-parallel-size": "parallel: {data: N} says it",
        "ssl-keyfile": _TLS,
        "ssl-certfile": _TLS,
    },
    "llama-server": {
        "model": "model.source says it",
        "host": _ADDRESS,
        "port": _ADDRESS,
        "api-prefix": _ADDRESS,
        "alias": "model.served_as says it",
        "embedding": _TASK,
        "rerank": _TASK,
        "api-key": _KEY,
        "api-key-file": _KEY,
        "ctx-size": "context says it, for one request",
        "parallel": "max_sequences says it",
        "chat-template-file": "chat_template says it",
        "ssl-key-file": _TLS,
        "ssl-cert-file": _TLS,
        "hf-token": "model.secret names the Modal Secret that holds it",
        "model-url": _SOURCE,
        "docker-repo": _SOURCE,
        "hf-repo": _SOURCE,
        "hf-file": _SOURCE,
        "models-dir": _SOURCE,
        "models-preset": _SOURCE,
        "mmproj-url": "model.mmproj names the file",
        "spec-draft-hf": "speculative: {model: …} says it",
    },
    "llama-cpp-python": {
        "model": "model.source says it",
        "host": _ADDRESS,
        "port": _ADDRESS,
        "model-alias": "model.served_as says it",
        "embedding": _TASK,
        "api-key": _KEY,
        "config-file": _FILE,
        "n-ctx": "context says it, for one request",
        "interrupt-requests": "leave it out: a new request would cut the running one short",
        "ssl-keyfile": _TLS,
        "ssl-certfile": _TLS,
        "hf-model-repo-id": _SOURCE,
    },
}

# Flags that have a field as well: a person may set them, and one of the other engine is a hint.
_FIELDS = {
    "kv_cache": ("kv-cache-dtype", "cache-type-k", "cache-type-v", "type-k", "type-v"),
    "max_sequences": ("max-num-seqs",),
    "max_batched_tokens": ("max-num-batched-tokens",),
    "memory_utilization": ("gpu-memory-utilization",),
    "prefix_caching": ("enable-prefix-caching", "cache-prompt"),
    "reasoning": ("reasoning-parser", "reasoning-format"),
    "speculative": ("speculative-config", "spec-type", "spec-draft-model", "draft-model"),
    "tools": ("tool-call-parser",),
    "model.adapters": ("lora-modules", "lora", "lora-path"),
    "chat_template": ("chat-template", "chat-template-file"),
    "dtype": ("dtype",),
    "quantization": ("quantization",),
}
_FIELD_OF = {flag: field for field, flags in _FIELDS.items() for flag in flags}


def reserved(server: str, spellings: Iterable[str]) -> str | None:
    """What to write instead of a flag, in any of its spellings; None where it is a person's own."""
    ours = _RESERVED.get(server, {})
    return next((ours[_plain(word)] for word in spellings if _plain(word) in ours), None)


def field_for(server: str, spellings: Iterable[str]) -> str:
    """Which field says what this flag of `server` says; "" where there is none."""
    words = [_plain(word) for word in spellings]
    field = next((_FIELD_OF[word] for word in words if word in _FIELD_OF), None)
    return reserved(server, words) or (f"{field} says it" if field else "")


def _plain(word: str) -> str:
    return word.lstrip("-").replace("_", "-")
