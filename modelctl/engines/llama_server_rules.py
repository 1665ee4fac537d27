"""What may a spec not say to llama-server?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelctl.engines.base import Finding, Setting
from modelctl.engines.finding import doubtful, wrong
from modelctl.resolved import Unknown
from modelctl.spec.models import Spec
from modelctl.spec.wanted import Path_

REASONING = ("none", "auto", "deepseek", "deepseek-legacy")

SPECULATIVE: Mapping[str, str] = {
    "ngram": "ngram-simple",
    "draft_model": "draft-simple",
    "eagle3": "draft-eagle3",
    "mtp": "draft-mtp",
    "ngram-simple": "ngram-simple",
    "ngram-map-k": "ngram-map-k",
    "ngram-map-k4v": "ngram-map-k4v",
    "draft-simple": "draft-simple",
    "draft-eagle3": "draft-eagle3",
    "draft-mtp": "draft-mtp",
    "draft-dflash": "draft-dflash",
    "draft-dspark": "draft-dspark",
}
"""The methods of a spec → what --spec-type calls them: the words of both engines, then its own."""

_WITHOUT_MODEL = ("ngram-simple", "ngram-map-k", "ngram-map-k4v")
# A model that was trained with heads of its own drafts by itself.
_WITH_OR_WITHOUT = ("draft-mtp",)


def find(setting: Setting) -> Iterator[Finding]:
    yield from _image(setting.spec)
    yield from _speculative(setting.spec)
    yield from _reasoning(setting.spec)
    yield from _kept_prompts(setting.spec)
    yield from _pooling(setting)


def _image(spec: Spec) -> Iterator[Finding]:
    if spec.image and spec.image.install == "pip":
        yield wrong(
            ("image", "install"),
            "image/install",
            "llama-server is no Python package",
            "leave install out, or server: llama-cpp-python",
        )


def _speculative(spec: Spec) -> Iterator[Finding]:
    said = spec.speculative
    if said is None:
        return
    if said.method is None and said.model is None:
        yield wrong(
            ("speculative",),
            "engine/wrong-option",
            "speculative says neither method nor model",
            "speculative: {method: ngram, tokens: 16}",
        )
        return
    method = SPECULATIVE.get(said.method or "draft_model")
    if method is None:
        yield wrong(
            ("speculative", "method"),
            "engine/wrong-option",
            f"llama.cpp has no speculative method {said.method}",
            f"one of {', '.join(SPECULATIVE)}",
        )
    elif method in _WITHOUT_MODEL and said.model is not None:
        yield wrong(
            ("speculative", "model"),
            "engine/wrong-option",
            f"{said.method} guesses from the text itself, without a model",
            "leave model out, or method: draft_model",
        )
    elif method not in (*_WITHOUT_MODEL, *_WITH_OR_WITHOUT) and said.model is None:
        yield wrong(
            ("speculative",),
            "engine/wrong-option",
            f"{said.method} guesses with a model, and none is named",
            f"speculative: {{method: {said.method}, model: hf://org/repo, tokens: 4}}",
        )


def _kept_prompts(spec: Spec) -> Iterator[Finding]:
    if spec.prefix_caching and spec.model and spec.model.adapters:
        yield doubtful(
            ("prefix_caching",),
            "engine/adapters-mix",
            "llama-server answers requests without lora from prompts that were read with one",
            "leave it out, or let every request say lora, as in [{id: 0, scale: 0}]",
        )


def _reasoning(spec: Spec) -> Iterator[Finding]:
    if spec.reasoning is not None and spec.reasoning not in REASONING:
        yield wrong(
            ("reasoning",),
            "engine/wrong-option",
            f"llama.cpp has no reasoning format {spec.reasoning}",
            f"one of {', '.join(REASONING)}",
        )


def _pooling(setting: Setting) -> Iterator[Finding]:
    """Of tokens that are not pooled /v1/embeddings answers 400 (b11312), /embeddings a vector each.

    A header without the key means none: llama-hparams.h.
    """
    spec, header = setting.spec, setting.model.header
    if setting.task != "embed" or "LLAMA_ARG_POOLING" in (spec.env or {}):
        return
    ours = (spec.backend and spec.backend.args) or {}
    entries = [entry.args or {} for entry in spec.gpu or ()]
    said: list[tuple[Path_, Mapping[str, object]]] = [
        (("gpu", index, "args"), args) for index, args in enumerate(entries)
    ]
    if not entries or not all(any(map(_pools, args)) for args in entries):
        said.append((("backend", "args"), ours))
    named = {(*path, name): args[name] for path, args in said for name in args if _pools(name)}
    for path in (path for path, word in named.items() if word == "none"):
        yield wrong(
            path,
            "engine/no-pooling",
            "with pooling: none llama-server answers every request at /v1/embeddings with 400",
            "pooling: mean, or last or cls, as the model's page says",
        )
    if isinstance(header, Unknown) or any(map(_pools, ours)) or len(said) == len(entries) > 0:
        return
    if not header.get(f"{header.get('general.architecture')}.pooling_type"):
        yield wrong(
            ("model", "task"),
            "engine/no-pooling",
            "the GGUF file names no pooling, and llama-server answers every request at "
            "/v1/embeddings with 400 then",
            "backend: {name: llama.cpp, args: {pooling: mean}}, or last or cls, as the model's "
            "page says",
        )


def _pools(name: str) -> bool:
    return name.lstrip("-").replace("_", "-") == "pooling"
