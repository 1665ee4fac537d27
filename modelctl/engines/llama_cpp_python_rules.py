"""What may a spec not say to llama-cpp-python's server?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelctl.engines.base import Finding, Setting
from modelctl.engines.finding import doubtful, unsupported, wrong
from modelctl.facts.engines import engine_facts
from modelctl.spec.models import Model, Spec
from modelctl.spec.wanted import Path_

_NO_MODEL = Model.model_construct()
_OTHER = "server: llama-server"


def find(setting: Setting) -> Iterator[Finding]:
    yield from _version(setting)
    yield from _image(setting.spec)
    yield from _one_at_a_time(setting.spec)
    yield from _without_counterpart(setting.spec)
    yield from _adapters(setting.spec)
    yield from _speculative(setting.spec)


def _version(setting: Setting) -> Iterator[Finding]:
    """A project's default version is that of llama-server."""
    if not re.match(r"\d+\.\d+", setting.version):
        default = engine_facts(setting.server).default
        yield wrong(
            ("backend", "version"),
            "engine/wrong-option",
            f"{setting.version} is a build of llama.cpp, and the server is llama-cpp-python",
            f"version: {default}",
        )


def _image(spec: Spec) -> Iterator[Finding]:
    if spec.image and spec.image.install == "official":
        yield wrong(
            ("image", "install"),
            "image/install",
            "llama-cpp-python has no image of its own that has CUDA",
            "install: pip, which builds it, or leave install out",
        )


def _one_at_a_time(spec: Spec) -> Iterator[Finding]:
    asked: list[tuple[Path_, int | None]] = [(("max_sequences",), spec.max_sequences)]
    asked += [(("gpu", i, "max_sequences"), e.max_sequences) for i, e in enumerate(spec.gpu or ())]
    for path, count in asked:
        if (count or 1) > 1:
            yield wrong(
                path,
                "engine/wrong-option",
                "llama-cpp-python answers one request at a time",
                f"leave it out, or {_OTHER}, which takes requests in parallel",
            )
    target = spec.concurrency and spec.concurrency.target
    if (target or 1) > 1:
        yield doubtful(
            ("concurrency", "target"),
            "engine/one-at-a-time",
            f"llama-cpp-python answers one request at a time: of {target} all but one wait",
            f"target: 1, or {_OTHER}, which takes requests in parallel",
        )


def _without_counterpart(spec: Spec) -> Iterator[Finding]:
    model = spec.model or _NO_MODEL
    said: tuple[tuple[Path_, object, str], ...] = (
        (("reasoning",), spec.reasoning, "reasoning"),
        (("chat_template",), spec.chat_template, "chat template from a file"),
        (("prefix_caching",), spec.prefix_caching is False, "way to forget the prompt before"),
    )
    for path, value, what in said:
        if value:
            yield unsupported(
                path, f"llama-cpp-python's server has no {what}", f"leave it out, or {_OTHER}"
            )
    if model.task == "rerank":
        yield wrong(
            ("model", "task"),
            "engine/wrong-option",
            "llama-cpp-python's server does not rerank",
            _OTHER,
        )


def _adapters(spec: Spec) -> Iterator[Finding]:
    adapters = (spec.model or _NO_MODEL).adapters or {}
    if len(adapters) > 1:
        yield unsupported(
            ("model", "adapters"),
            f"llama-cpp-python's server has one adapter at most, and here are {len(adapters)}",
            f"leave one, or {_OTHER}",
        )
    for name in list(adapters)[:1]:
        yield doubtful(
            ("model", "adapters", name),
            "engine/always-adapted",
            f"llama-cpp-python's server puts the adapter {name} on every answer",
            f"{_OTHER}, where a request chooses",
        )


def _speculative(spec: Spec) -> Iterator[Finding]:
    said = spec.speculative
    if said is not None and (said.method != "ngram" or said.model is not None):
        yield wrong(
            ("speculative",),
            "engine/wrong-option",
            "llama-cpp-python's server guesses from the text itself only",
            f"speculative: {{method: ngram, tokens: 10}}, or {_OTHER}",
        )
