"""What may a spec not say to vLLM?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.diagnostics import Severity
from modelctl.engines.base import Finding, Setting
from modelctl.facts import gpus
from modelctl.facts.engines import engine_facts
from modelctl.spec.models import Model, Spec
from modelctl.spec.wanted import Path_
from modelctl.weights.sources import looks_like_gguf, parse

_NO_MODEL = Model.model_construct()


def find(setting: Setting) -> Iterator[Finding]:
    yield from _server(setting.spec)
    yield from _format(setting)
    yield from _needs_a_gpu(setting.spec)
    yield from _python(setting.spec)
    yield from _kv_cache(setting.spec)
    yield from _adapters(setting.spec)
    yield from _speculative(setting.spec)
    yield from _open_routes(setting.spec)


def _server(spec: Spec) -> Iterator[Finding]:
    if spec.backend and spec.backend.server is not None:
        yield _wrong(
            ("backend", "server"),
            "engine/wrong-option",
            f"{spec.backend.server} is a server of llama.cpp",
            "leave server out, or backend: llama.cpp",
        )


def _format(setting: Setting) -> Iterator[Finding]:
    model = setting.spec.model or _NO_MODEL
    if setting.model.format == "gguf" or looks_like_gguf(model.file or model.source):
        yield _wrong(
            ("model", "source"),
            "engine/wrong-format",
            "vLLM has no GGUF since 0.24",
            "backend: llama.cpp, or the model's safetensors",
        )
    elif model.file is not None:
        yield _wrong(
            ("model", "file"),
            "engine/unsupported-field",
            "vLLM serves a whole folder, so file picks nothing",
            "leave it out, or backend: llama.cpp for one GGUF file",
            key=True,
        )
    if setting.spec.quantization == "bitsandbytes":
        yield _wrong(
            ("quantization",),
            "engine/wrong-option",
            "bitsandbytes is no part of vLLM since 0.28",
            "fp8_per_tensor, or image: {packages: [vllm-bnb-plugin]} with args: {quantization: …}",
        )


def _needs_a_gpu(spec: Spec) -> Iterator[Finding]:
    entries = [gpus.written(entry.type or gpus.NONE)[0].lower() for entry in spec.gpu or ()]
    own = spec.image and (spec.image.base or spec.image.dockerfile)
    if all(name == gpus.NONE for name in entries) and not own:
        yield _wrong(
            ("gpu",),
            "gpu/missing",
            "vLLM's image runs on a GPU only, and the spec names none",
            "gpu: [L40S], or image: {base: …} with a CPU build, or backend: llama.cpp",
        )


def _python(spec: Spec) -> Iterator[Finding]:
    image = spec.image
    if image is None or image.python is None or image.install == "pip":
        return
    if image.base is None and image.dockerfile is None:
        yield _wrong(
            ("image", "python"),
            "image/second-python",
            "vLLM's image has a Python, and packages would land in the one that is added",
            "leave python out, or install: pip",
        )


def _kv_cache(spec: Spec) -> Iterator[Finding]:
    known = engine_facts("vllm").kv_cache
    asked: list[tuple[Path_, str | None]] = [(("kv_cache",), spec.kv_cache)]
    asked += [(("gpu", index, "kv_cache"), e.kv_cache) for index, e in enumerate(spec.gpu or ())]
    for path, kind in asked:
        if kind is not None and kind not in known:
            near = "fp8" if kind.startswith("q") else "auto"
            yield _wrong(
                path,
                "engine/wrong-option",
                f"vLLM has no KV cache of type {kind}",
                f"{near}, or another of {', '.join(known)}",
            )


def _adapters(spec: Spec) -> Iterator[Finding]:
    for name, adapter in ((spec.model or _NO_MODEL).adapters or {}).items():
        if parse(adapter.source).kind != "hub":
            yield _wrong(
                ("model", "adapters", name),
                "engine/unsupported-field",
                f"the adapter {name} is not on the Hub, and no other place is supported yet",
                f"{name}: hf://org/repo",
            )


def _speculative(spec: Spec) -> Iterator[Finding]:
    said = spec.speculative
    if said is None:
        return
    if said.method is None and said.model is None:
        yield _wrong(
            ("speculative",),
            "engine/wrong-option",
            "speculative says neither method nor model",
            "speculative: {method: ngram, tokens: 4}",
        )
    elif said.method in ("draft_model", "eagle3") and said.model is None:
        yield _wrong(
            ("speculative",),
            "engine/wrong-option",
            f"{said.method} guesses with a model, and none is named",
            f"speculative: {{method: {said.method}, model: hf://org/repo, tokens: 4}}",
        )
    if said.model is not None and parse(said.model).kind not in ("hub", "local"):
        yield _wrong(
            ("speculative", "model"),
            "engine/unsupported-field",
            "a speculative model outside the Hub is not supported by this version of modelctl",
            "model: hf://org/repo",
        )


def _open_routes(spec: Spec) -> Iterator[Finding]:
    auth = spec.endpoint.auth if spec.endpoint else None
    if spec.snapshot == "gpu" and auth in ("none", "api-key"):
        yield _wrong(
            ("endpoint", "auth"),
            "snapshot/open-routes",
            "a GPU snapshot needs vLLM's development routes, which change weights and ask no key",
            "auth: proxy, or snapshot: none",
        )


def _wrong(path: Path_, code: str, message: str, hint: str, *, key: bool = False) -> Finding:
    return Finding(path, Severity.ERROR, code, message, hint, key=key)
