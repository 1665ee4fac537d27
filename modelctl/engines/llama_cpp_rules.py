"""What may a spec not say to llama.cpp?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.diagnostics import Severity
from modelctl.engines.base import Finding, Setting
from modelctl.facts.engines import engine_facts
from modelctl.resolved import Unknown
from modelctl.spec.models import Model, Spec
from modelctl.spec.wanted import Path_

REASONING = ("none", "auto", "deepseek", "deepseek-legacy")


def find(setting: Setting) -> Iterator[Finding]:
    yield from _server(setting)
    yield from _image(setting)
    yield from _format(setting)
    yield from _without_counterpart(setting.spec)
    yield from _kv_cache(setting.spec)
    yield from _quantization(setting)


def _server(setting: Setting) -> Iterator[Finding]:
    if setting.server != "llama-server":
        yield _wrong(
            ("backend", "server"),
            "engine/unsupported-server",
            f"{setting.server} is not supported by this version of modelctl",
            "server: llama-server, which takes requests in parallel",
        )


def _image(setting: Setting) -> Iterator[Finding]:
    install = setting.spec.image.install if setting.spec.image else None
    if setting.server == "llama-server" and install == "pip":
        yield _wrong(
            ("image", "install"),
            "image/install",
            "llama-server is no Python package",
            "leave install out, or server: llama-cpp-python",
        )
    elif setting.server != "llama-server" and install == "official":
        yield _wrong(
            ("image", "install"),
            "image/install",
            f"{setting.server} has no image of its own that has CUDA",
            "install: pip, which builds it, or leave install out",
        )


def _format(setting: Setting) -> Iterator[Finding]:
    model = setting.spec.model
    source = (model and model.source) or ""
    if setting.model.format == "safetensors":
        yield _wrong(
            ("model", "source"),
            "engine/wrong-format",
            f"llama.cpp serves GGUF files, and {source} holds safetensors",
            "backend: vllm, or a GGUF conversion of the model",
        )
    elif setting.weights.kind in ("volume", "bucket") and isinstance(setting.model.format, Unknown):
        file = (model and model.file) or ""
        if not file.endswith(".gguf") or "*" in file:
            yield _wrong(
                ("model", "source"),
                "engine/wrong-format",
                f"llama.cpp serves one GGUF file, and {source} names none",
                f"{source.rstrip('/')}/name.gguf",
            )


def _without_counterpart(spec: Spec) -> Iterator[Finding]:
    """Fields that llama.cpp has nothing for. Leaving one out silently would be a lie."""
    model = spec.model or Model.model_construct()
    said: tuple[tuple[Path_, object, str], ...] = (
        (("memory_utilization",), spec.memory_utilization, "it takes what context and slots need"),
        (("nodes",), (spec.nodes or 1) > 1, "one host has up to 8 GPUs"),
        (("dtype",), spec.dtype not in (None, "auto"), "the GGUF file says it"),
        (("compile",), spec.compile, "nothing is compiled"),
        (("tools",), spec.tools, "tool calls follow the chat template"),
        (
            ("parallel",),
            spec.parallel,
            "layers are spread over the GPUs; backend.args: {split-mode: …}",
        ),
        (("speculative",), spec.speculative, "backend.args has its own flags for it: spec-type, …"),
        (("model", "adapters"), model.adapters, "backend.args: {lora: /path}"),
        (("model", "tokenizer"), model.tokenizer, "the GGUF file has its own"),
        (
            ("model", "trust_remote_code"),
            model.trust_remote_code,
            "no code runs",
        ),
    )
    for path, value, instead in said:
        if value:
            yield _wrong(
                path,
                "engine/unsupported-field",
                f"llama.cpp has no {path[-1]}",
                f"leave it out: {instead}",
                key=True,
            )
    if spec.snapshot == "gpu":
        yield _wrong(
            ("snapshot",),
            "engine/unsupported-field",
            "llama.cpp cannot sleep, so its GPU memory cannot be kept",
            "snapshot: none",
        )
    for index, entry in enumerate(spec.gpu or ()):
        for name in ("memory_utilization", "parallel"):
            if getattr(entry, name) is not None:
                yield _wrong(
                    ("gpu", index, name),
                    "engine/unsupported-field",
                    f"llama.cpp has no {name}",
                    "leave it out",
                    key=True,
                )
    if spec.reasoning is not None and spec.reasoning not in REASONING:
        yield _wrong(
            ("reasoning",),
            "engine/wrong-option",
            f"llama.cpp has no reasoning format {spec.reasoning}",
            f"one of {', '.join(REASONING)}",
        )


def _kv_cache(spec: Spec) -> Iterator[Finding]:
    known = engine_facts("llama.cpp").kv_cache
    asked: list[tuple[Path_, str | None]] = [(("kv_cache",), spec.kv_cache)]
    asked += [(("gpu", index, "kv_cache"), e.kv_cache) for index, e in enumerate(spec.gpu or ())]
    for path, kind in asked:
        if kind is not None and kind not in known:
            near = "q8_0" if kind.startswith("fp8") else "auto"
            yield _wrong(
                path,
                "engine/wrong-option",
                f"llama.cpp has no KV cache of type {kind}",
                f"{near}, or another of {', '.join(known)}",
            )


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
        yield _wrong(
            ("quantization",),
            "engine/quantization",
            f"the file is {is_}, not {asked}, and llama.cpp serves it as it is",
            f"quantization: auto, or a file in {asked}",
        )


def _wrong(path: Path_, code: str, message: str, hint: str, *, key: bool = False) -> Finding:
    return Finding(path, Severity.ERROR, code, message, hint, key=key)
