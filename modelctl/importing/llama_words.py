"""Which fields of a spec do the words of llama.cpp's servers say? The inverse of their flags."""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from typing import Any

from modelctl.engines.llama_cpp_python import GGML_TYPES
from modelctl.engines.llama_server_rules import SPECULATIVE
from modelctl.facts.flags import FlagTable
from modelctl.importing.arguments import Arguments
from modelctl.importing.draft import Draft, source_text
from modelctl.importing.mounts import Mount
from modelctl.importing.values import Unread

_OWN = {
    "llama-server": ("host", "port", "metrics", "ui", "spec-draft-ngl", "api-key-file", "log-file"),
    "llama-cpp-python": (
        "host", "port", "interrupt_requests", "flash_attn", "logits_all", "use_mlock",
    ),
}  # fmt: skip
_ALL_LAYERS = ("all", "auto", -1, "-1", "-2", -2)
_METHODS = {written: said for said, written in reversed(list(SPECULATIVE.items()))}


def model_of(said: Arguments, server: str) -> tuple[Any, dict[str, Any]]:
    """The model as the command names it, and what it says of it: file, projector, names."""
    more: dict[str, Any] = {}
    model = said.take("model")
    if server == "llama-server":
        repo, file, url = said.take("hf-repo"), said.take("hf-file"), said.take("model-url")
        if isinstance(repo, str):
            name, _, kind = repo.partition(":")
            model = f"hf://{name}"
            more["file"] = file or f"*{kind or 'Q4_K_M'}*.gguf"
        elif url is not None:
            model = url
        projector = said.take("mmproj")
        if isinstance(projector, str):
            more["mmproj"] = PurePosixPath(projector).name
    else:
        repo = said.take("hf_model_repo_id")
        if isinstance(repo, str):
            more["file"], model = model, f"hf://{repo}"
    names = said.take("alias" if server == "llama-server" else "model_alias")
    if names is not None:
        more["served_as"] = names if isinstance(names, list) else [names]
    return model, more


def fields_of(
    said: Arguments,
    *,
    server: str,
    table: FlagTable | None,
    count: int,
    cores: float | None,
    mounts: list[Mount],
    draft: Draft,
) -> dict[str, Any]:
    """Fields of a spec by their names, `args` among them, for one GPU (`count` of them)."""
    for name in _OWN[server]:
        said.take(name)
    if server == "llama-server":
        found = _server(said, table, count, cores, mounts, draft)
    else:
        found = _python(said, cores)
    found["args"] = said.flags
    return found


def _server(
    said: Arguments,
    table: FlagTable | None,
    count: int,
    cores: float | None,
    mounts: list[Mount],
    draft: Draft,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    context, slots = said.take("ctx-size"), said.take("parallel")
    if isinstance(slots, int) and slots > 0:
        found["max_sequences"] = slots
    if isinstance(context, Unread) or isinstance(slots, Unread):
        found["context"] = context if isinstance(context, Unread) else slots
    elif isinstance(context, int) and context > 0:
        found["context"] = context // max(1, slots or 1)
        if slots is None:
            draft.note("guessed", "context", f"each request has all of the {context} tokens")
    if said.take("embedding"):
        found["task"] = "embed"
    if said.take("rerank"):
        found["task"] = "rerank"
    _batches(said, found, "batch-size", "ubatch-size")
    first, second = said.flags.get("cache-type-k"), said.flags.get("cache-type-v")
    if isinstance(first, str) and first == second:
        said.take("cache-type-k")
        said.take("cache-type-v")
        if first != "f16":
            found["kv_cache"] = first
        if first.startswith(("q", "iq")) and said.flags.get("flash-attn") == "on":
            said.take("flash-attn")
    layers = table.find("n-gpu-layers") if table else None
    _layers(said, layers.fact.name if layers else "n-gpu-layers", count)
    _threads(said, ("threads",), cores)
    split = said.flags.get("split-mode")
    if count > 1 and split in ("layer", "tensor"):
        said.take("split-mode")
        if split == "tensor":
            found["parallel"] = {"tensor": count}
    _prompts(said, found)
    if isinstance(said.flags.get("reasoning-format"), str):
        found["reasoning"] = said.take("reasoning-format")
    if said.flags.get("jinja") is True:
        said.take("jinja")  # the default of every version with a list
    _adapters(said, found, mounts, draft)
    _speculative(said, found, mounts, draft)
    template = said.take("chat-template-file")
    if template is not None:
        draft.note("not read", "chat_template", "the file is in the image: put it beside the spec")
    return found


def _python(said: Arguments, cores: float | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    context = said.take("n_ctx")
    if isinstance(context, int | Unread) and context:
        found["context"] = context
    if said.take("embedding"):
        found["task"] = "embed"
    _batches(said, found, "n_batch", "n_ubatch")
    _layers(said, "n_gpu_layers", 1)
    _threads(said, ("n_threads", "n_threads_batch"), cores)
    names = {number: name for name, number in GGML_TYPES.items()}
    first = said.flags.get("type_k")
    if first in names and first == said.flags.get("type_v"):
        said.take("type_k")
        said.take("type_v")
        found["kv_cache"] = names[first]
    if said.flags.get("draft_model") == "prompt-lookup-decoding":
        said.take("draft_model")
        tokens = said.take("draft_model_num_pred_tokens")
        found["speculative"] = {"method": "ngram", **({"tokens": tokens} if tokens else {})}
    if said.flags.get("cache") is True:
        found["prefix_caching"] = said.take("cache")
    return found


def _batches(said: Arguments, found: dict[str, Any], *names: str) -> None:
    sizes = [said.flags.get(name) for name in names]
    whole = found.get("context") if found.get("task") else None
    if whole is not None:  # such a prompt is taken in one step, which modelctl sees to
        for name in names:
            if said.flags.get(name) == whole:
                said.take(name)
    if isinstance(sizes[0], int) and sizes[0] == sizes[1]:
        for name in names:
            said.take(name)
        if sizes[0] != whole:
            found["max_batched_tokens"] = sizes[0]


def _layers(said: Arguments, name: str, count: int) -> None:
    layers = said.flags.get(name)
    many = isinstance(layers, int) and layers >= 99 and count > 0
    if layers in _ALL_LAYERS or many or (layers == 0 and count == 0):
        said.take(name)


def _threads(said: Arguments, names: tuple[str, ...], cores: float | None) -> None:
    for name in names:
        if cores is not None and said.flags.get(name) == math.ceil(cores):
            said.take(name)


def _prompts(said: Arguments, found: dict[str, Any]) -> None:
    if said.flags.get("cache-prompt") is False:
        said.take("cache-prompt")
        if said.flags.get("cache-ram") == 0:
            said.take("cache-ram")
        found["prefix_caching"] = False


def _adapters(said: Arguments, found: dict[str, Any], mounts: list[Mount], draft: Draft) -> None:
    adapters: dict[str, Any] = {}
    for word in [*(said.take("lora") or []), *(said.take("lora-scaled") or [])]:
        path = word.rpartition(":")[0] or word if isinstance(word, str) else word
        source = source_text(path, mounts, draft, "model.adapters")
        if source is not None:
            adapters[PurePosixPath(source).stem.lower()] = source
            draft.note("guessed", "model.adapters", "the names, which llama-server has none of")
    if adapters:
        found["adapters"] = adapters


def _speculative(said: Arguments, found: dict[str, Any], mounts: list[Mount], draft: Draft) -> None:
    kinds, model = said.take("spec-type"), said.take("spec-draft-model")
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    if not isinstance(kind, str) and model is None:
        return
    made: dict[str, Any] = {"method": _METHODS.get(str(kind or "draft-simple"), kind)}
    if model is not None:
        made["model"] = source_text(model, mounts, draft, "speculative.model")
    for flag in (f"spec-{kind}-size-m", "spec-draft-n-max"):
        tokens = said.take(flag)
        if isinstance(tokens, int):
            made["tokens"] = tokens
    found["speculative"] = {name: part for name, part in made.items() if part is not None}
