"""What may a spec not say to llama.cpp, whichever of its servers runs?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from modelctl.diagnostics import Severity
from modelctl.engines import (
    llama_cpp_python,
    llama_cpp_python_rules,
    llama_server_rules,
    task_rules,
)
from modelctl.engines.base import Finding, Setting
from modelctl.engines.finding import unsupported, wrong
from modelctl.engines.gguf_files import projector_path
from modelctl.facts.engines import engine_facts
from modelctl.resolved import Unknown
from modelctl.spec.models import Model, Parallel, Spec
from modelctl.spec.wanted import Path_
from modelctl.weights.local import files_of
from modelctl.weights.sources import looks_like_gguf, parse

_NO_MODEL = Model.model_construct()


def find(setting: Setting) -> Iterator[Finding]:
    yield from _format(setting)
    yield from task_rules.of_llama_cpp(setting)
    yield from _beside(setting)
    yield from _projector(setting)
    yield from _without_counterpart(setting.spec)
    yield from _parallel(setting.spec)
    yield from _kv_cache(setting.spec)
    yield from _quantization(setting)
    python = setting.server == llama_cpp_python.SERVER
    yield from (llama_cpp_python_rules if python else llama_server_rules).find(setting)


def _format(setting: Setting) -> Iterator[Finding]:
    model, weights = setting.spec.model or _NO_MODEL, setting.weights
    source = model.source or ""
    listed = any(looks_like_gguf(file.path) for file in setting.model.remote)
    if setting.model.format == "safetensors" and not listed:
        yield wrong(
            ("model", "source"),
            "engine/wrong-format",
            f"llama.cpp serves GGUF files, and {source} holds safetensors",
            "backend: vllm, or a GGUF conversion of the model",
        )
    elif (
        weights.fetch is None
        and weights.kind != "local"
        and isinstance(setting.model.format, Unknown)
    ):
        file = model.file or parse(source).file
        unlisted = weights.kind == "bucket" and isinstance(weights.argument, Unknown)
        if not unlisted and (not looks_like_gguf(file) or "*" in file):
            yield wrong(
                ("model", "source"),
                "engine/wrong-format",
                f"llama.cpp serves one GGUF file, and {source} names none",
                f"{source.rstrip('/')}/name.gguf",
            )


def _beside(setting: Setting) -> Iterator[Finding]:
    """Adapters and draft models are GGUF files like the model."""
    spec = setting.spec
    named: list[tuple[Path_, str, str | None]] = [
        (("model", "adapters", name), f"the adapter {name}", adapter.source)
        for name, adapter in ((spec.model or _NO_MODEL).adapters or {}).items()
    ]
    if spec.speculative is not None:
        named.append((("speculative", "model"), "the draft model", spec.speculative.model))
    for path, what, source in named:
        if source is None:
            continue
        facts = setting.model.beside.get(source)
        where = setting.sources.path_of(source)
        if facts is not None and facts.format == "safetensors":
            script = "convert_lora_to_gguf.py" if "adapters" in path else "convert_hf_to_gguf.py"
            yield wrong(
                path,
                "engine/wrong-format",
                f"llama.cpp takes {what} as a GGUF file, and {source} holds safetensors",
                f"convert it once, with llama.cpp's {script}",
            )
        elif isinstance(where, Unknown):
            if facts is not None and facts.remote:
                yield wrong(
                    path,
                    "model/which-file",
                    f"{what} is one GGUF file: {where.reason}",
                    "a repository with one, or volume://name/path.gguf",
                )
        elif not looks_like_gguf(where):
            yield wrong(
                path,
                "engine/wrong-format",
                f"llama.cpp takes {what} as a GGUF file, and {source} names none",
                f"{source.rstrip('/')}/name.gguf",
            )
        if not isinstance(where, Unknown) and {",", ":"} & set(where):
            yield wrong(
                path,
                "engine/wrong-option",
                f"llama.cpp would take {where} apart where it has a comma or a colon",
                "a path without either",
            )


def _projector(setting: Setting) -> Iterator[Finding]:
    said = setting.spec.model or _NO_MODEL
    if said.mmproj is None:
        return
    path = projector_path(setting)
    if isinstance(setting.weights.argument, Unknown):
        found = _matching(setting, said.mmproj)
        if found is None or found == 1:
            return
        path = Unknown(f"{found or 'no'} files match {said.mmproj}")
    if isinstance(path, Unknown):
        yield wrong(
            ("model", "mmproj"),
            "model/which-file",
            f"the multimodal projector is one GGUF file: {path.reason}",
            "the file's own name",
        )


def _matching(setting: Setting, glob: str) -> int | None:
    """How many files of a local model match, before it is hashed; None where nothing says it."""
    root = setting.model.root
    if root is None or not root.exists() or setting.model.problem:
        return None
    folder = root if root.is_dir() else root.parent
    names = [file.relative_to(folder).as_posix() for file in files_of(root)]
    return sum(fnmatchcase(name, glob) for name in names)


def _without_counterpart(spec: Spec) -> Iterator[Finding]:
    """Fields that llama.cpp has nothing for. Leaving one out silently would be a lie."""
    model = spec.model or _NO_MODEL
    said: tuple[tuple[Path_, object, str], ...] = (
        (("memory_utilization",), spec.memory_utilization, "it takes what context and slots need"),
        (("dtype",), spec.dtype not in (None, "auto"), "the GGUF file says it"),
        (("compile",), spec.compile, "nothing is compiled"),
        (("tools",), spec.tools, "tool calls follow the chat template"),
        (("multimodal",), spec.multimodal, "a request may hold what fits into its context"),
        (("nodes",), (spec.nodes or 1) > 1, "one host has up to 8 GPUs"),
        (("model", "tokenizer"), model.tokenizer, "the GGUF file has its own"),
        (("model", "trust_remote_code"), model.trust_remote_code, "no code runs"),
    )
    for path, value, instead in said:
        if value:
            yield unsupported(path, f"llama.cpp has no {path[-1]}", f"leave it out: {instead}")
    for name, adapter in (model.adapters or {}).items():
        if adapter.rank is not None:
            yield unsupported(
                ("model", "adapters", name, "rank"),
                "llama.cpp has no rank of an adapter",
                "leave it out: the GGUF file says it",
            )
    for index, entry in enumerate(spec.gpu or ()):
        if entry.memory_utilization is not None:
            yield unsupported(
                ("gpu", index, "memory_utilization"),
                "llama.cpp has no memory_utilization",
                "leave it out",
            )
    if spec.snapshot == "gpu":
        yield wrong(
            ("snapshot",),
            "engine/unsupported-field",
            "llama.cpp cannot sleep, so its GPU memory cannot be kept",
            "snapshot: none",
        )


def _parallel(spec: Spec) -> Iterator[Finding]:
    """Slices (tensor) or groups of layers (pipeline)."""
    words: list[tuple[Path_, Parallel | None]] = [(("parallel",), spec.parallel)]
    words += [(("gpu", index, "parallel"), e.parallel) for index, e in enumerate(spec.gpu or ())]
    for path, said in words:
        if said is None:
            continue
        for name, hint in (
            ("data", "scaling: {max: N} adds containers, each with a copy"),
            ("expert", "parallel: {tensor: N} slices the experts too"),
        ):
            if getattr(said, name):
                yield unsupported((*path, name), f"llama.cpp has no {name} parallelism", hint)
        if (said.tensor or 1) > 1 and (said.pipeline or 1) > 1:
            yield wrong(
                path,
                "engine/wrong-option",
                "llama.cpp spreads a model by slices or by layers, not both",
                "parallel: {tensor: N} or parallel: {pipeline: N}",
            )


def _kv_cache(spec: Spec) -> Iterator[Finding]:
    known = engine_facts("llama.cpp").kv_cache
    for path, kind in kv_caches(spec).items():
        if kind not in known:
            near = "q8_0" if kind.startswith("fp8") else "auto"
            yield wrong(
                path,
                "engine/wrong-option",
                f"llama.cpp has no KV cache of type {kind}",
                f"{near}, or another of {', '.join(known)}",
            )


def kv_caches(spec: Spec) -> Mapping[Path_, str]:
    """Every type that is asked for, by the field that asks."""
    asked: dict[Path_, str | None] = {("kv_cache",): spec.kv_cache}
    asked |= {("gpu", index, "kv_cache"): e.kv_cache for index, e in enumerate(spec.gpu or ())}
    return {path: kind for path, kind in asked.items() if kind is not None}


def _quantization(setting: Setting) -> Iterator[Finding]:
    asked, is_ = setting.spec.quantization, setting.model.quantization
    if asked in (None, "auto"):
        return
    if isinstance(is_, Unknown):
        yield Finding(
            ("quantization",),
            Severity.NOT_CHECKED,
            "engine/quantization",
            f"whether the file is {asked}: {is_.reason}",
        )
    elif asked.lower() != is_.lower():
        yield wrong(
            ("quantization",),
            "engine/quantization",
            f"the file is {is_}, not {asked}, and llama.cpp serves it as it is",
            f"quantization: auto, or a file in {asked}",
        )
