"""Which fields of a spec do the words of `vllm serve` say? The inverse of `engines.vllm_flags`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from modelctl.importing.arguments import Arguments
from modelctl.importing.draft import Draft, source_text
from modelctl.importing.mounts import Mount
from modelctl.importing.values import Unread

_FIELDS: Mapping[str, tuple[str, type]] = {
    "dtype": ("dtype", str),
    "max-num-seqs": ("max_sequences", int),
    "max-num-batched-tokens": ("max_batched_tokens", int),
    "gpu-memory-utilization": ("memory_utilization", float),
    "kv-cache-dtype": ("kv_cache", str),
    "quantization": ("quantization", str),
    "tool-call-parser": ("tools", str),
    "reasoning-parser": ("reasoning", str),
    "enable-prefix-caching": ("prefix_caching", bool),
}
_SAME = {"half": "float16", "float": "float32"}
_PARALLEL = {
    "pipeline-parallel-size": "pipeline",
    "data-parallel-size": "data",
}
# What every endpoint of modelctl has by itself, or what only an app of one's own needs.
_OWN = (
    "host", "port", "uds", "disable-uvicorn-access-log", "shutdown-timeout", "nnodes",
    "allow-deprecated-quantization", "download-dir", "node-rank", "master-addr", "master-port",
    "headless", "hf-token", "middleware",
)  # fmt: skip
_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
_TASKS = {"embed": "embed", "embedding": "embed", "score": "rerank", "classify": "rerank"}


def fields_of(
    said: Arguments,
    *,
    count: int,
    nodes: int,
    mounts: list[Mount],
    ours: bool,
    snapshot: bool,
    draft: Draft,
) -> dict[str, Any]:
    """Fields of a spec by their names, `args` among them, for one GPU (`count` of them)."""
    found: dict[str, Any] = {}
    for name in _OWN:
        said.take(name)
    for flag, (name, kind) in _FIELDS.items():
        value = said.take(flag)
        if isinstance(value, Unread):
            found[name] = value
        elif kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
        elif isinstance(value, kind) and isinstance(value, bool) == (kind is bool):
            if value != "auto":
                found[name] = _SAME.get(value, value) if isinstance(value, str) else value
        elif value is not None:
            said.flags[flag] = value
    if said.flags.get("enable-auto-tool-choice") and "tools" in found:
        said.take("enable-auto-tool-choice")
    _context(said, found)
    _task(said, found)
    _parallel(said, found, count, nodes, draft)
    _compiled(said, found, count, ours)
    _adapters(said, found, mounts, draft)
    _speculative(said, found, mounts, draft)
    _limits(said, found)
    if snapshot:
        said.take("enable-sleep-mode")
    template = said.take("chat-template")
    if template is not None and not ours:
        shown = template.why if isinstance(template, Unread) else f"{template} is in the image"
        draft.note("not read", "chat_template", f"{shown}: put the file beside the spec")
    found["args"] = said.flags
    return found


def model_of(said: Arguments) -> tuple[Any, dict[str, Any]]:
    """The model as the command names it, and what it says of it: revision, tokenizer, names."""
    model = said.take("model")
    if said.others:
        model = said.others.pop(0)
    more: dict[str, Any] = {}
    if (revision := said.take("revision")) is not None:
        more["revision"] = revision
    if (tokenizer := said.take("tokenizer")) is not None:
        more["tokenizer"] = tokenizer
    names = said.take("served-model-name")
    if names is not None:
        more["served_as"] = names if isinstance(names, list) else [names]
    elif isinstance(model, str):
        more["served_as"] = [model]  # what vLLM calls it by itself
    if said.take("trust-remote-code"):
        more["trust_remote_code"] = True
    return model, more


def _context(said: Arguments, found: dict[str, Any]) -> None:
    value = said.take("max-model-len")
    if isinstance(value, Unread) or (isinstance(value, int) and value > 0):
        found["context"] = value
    elif isinstance(value, str) and (match := re.fullmatch(r"([\d.]+)([kKmMgG]?)", value)):
        found["context"] = int(float(match[1]) * _UNITS.get(match[2], 1))


def _task(said: Arguments, found: dict[str, Any]) -> None:
    runner, convert, task = said.take("runner"), said.take("convert"), said.take("task")
    word = convert if runner == "pooling" or convert not in (None, "auto", "none") else task
    if word is None and runner == "pooling":
        word = "embed"
    if isinstance(word, str) and word in _TASKS:
        found["task"] = _TASKS[word]


def _parallel(said: Arguments, found: dict[str, Any], count: int, nodes: int, draft: Draft) -> None:
    parallel: dict[str, Any] = {}
    tensor = said.take("tensor-parallel-size")
    for flag, name in _PARALLEL.items():
        value = said.take(flag)
        if isinstance(value, Unread) or (isinstance(value, int) and value > 1):
            parallel[name] = value
    if said.take("enable-expert-parallel"):
        parallel["expert"] = True
    spread = (parallel.get("pipeline", 1), parallel.get("data", 1))
    if isinstance(tensor, Unread):
        parallel["tensor"] = tensor
    elif isinstance(tensor, int) and count and all(isinstance(part, int) for part in spread):
        if nodes > 1 and parallel.get("pipeline") == nodes and tensor == count:
            parallel.pop("pipeline")  # what crosses hosts least is the default
        elif tensor != max(1, count * nodes // (spread[0] * spread[1])):
            parallel = {"tensor": tensor, **parallel}
    elif tensor is None and count > 1 and not parallel:
        draft.note("guessed", "parallel", f"over all {count} GPUs, of which the app uses one")
    if parallel:
        found["parallel"] = parallel


def _compiled(said: Arguments, found: dict[str, Any], count: int, ours: bool) -> None:
    eager = said.take("enforce-eager")
    if count > 0 and eager is True:
        found["compile"] = "fast-boot"
    if count == 0 and not eager:
        found["compile"] = "full"
    if count == 0 and ours:
        said.take("kv-cache-memory-bytes")


def _adapters(said: Arguments, found: dict[str, Any], mounts: list[Mount], draft: Draft) -> None:
    modules = said.take("lora-modules")
    if modules is None:
        return
    adapters: dict[str, Any] = {}
    for module in modules if isinstance(modules, list) else [modules]:
        if isinstance(module, Unread):
            draft.note("not read", "model.adapters", module.why, module.line)
            continue
        named = _document(str(module))
        name, path = (
            (str(named.get("name", "")), str(named.get("path", "")))
            if named
            else (str(module).partition("=")[0], str(module).partition("=")[2])
        )
        source = source_text(path, mounts, draft, f"model.adapters.{name}")
        if source is not None:
            adapters[name] = source
    rank, at_once = said.take("max-lora-rank"), said.take("max-loras")
    said.take("enable-lora")
    said.take("max-cpu-loras")
    if isinstance(rank, int) and rank != 16:
        adapters = {name: {"source": source, "rank": rank} for name, source in adapters.items()}
    if isinstance(at_once, int) and at_once != min(8, len(adapters)):
        said.flags["max-loras"] = at_once
    found["adapters"] = adapters


def _speculative(said: Arguments, found: dict[str, Any], mounts: list[Mount], draft: Draft) -> None:
    value = said.take("speculative-config")
    if value is None:
        return
    if isinstance(value, Unread):
        found["speculative"] = value
        return
    document = value if isinstance(value, Mapping) else _document(str(value))
    if not set(document) <= {"method", "model", "num_speculative_tokens"} or not document:
        said.flags["speculative-config"] = value
        return
    made = {
        "method": document.get("method"),
        "model": document.get("model")
        and source_text(document["model"], mounts, draft, "speculative.model"),
        "tokens": document.get("num_speculative_tokens"),
    }
    found["speculative"] = {name: part for name, part in made.items() if part is not None}


def _limits(said: Arguments, found: dict[str, Any]) -> None:
    value = said.flags.get("limit-mm-per-prompt")
    if isinstance(value, str) and re.fullmatch(r"\w+=\d+(,\w+=\d+)*", value):  # as it once was
        value = {k: int(n) for k, n in (pair.split("=") for pair in value.split(","))}
    if not isinstance(value, Mapping) or not set(value) <= {"image", "video", "audio"}:
        return
    if all(isinstance(number, int) for number in value.values()):
        said.take("limit-mm-per-prompt")
        found["multimodal"] = dict(value)


def _document(text: str) -> Mapping[str, Any]:
    try:
        made = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return made if isinstance(made, dict) else {}
