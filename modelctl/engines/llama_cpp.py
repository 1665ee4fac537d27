"""How does llama.cpp run? `llama-server`, one slot a request; or llama-cpp-python's own server."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from modelctl.engines import images, llama_cpp_python, llama_memory
from modelctl.engines.args import with_args
from modelctl.engines.base import (
    Ask,
    Counters,
    Finding,
    Setting,
    Surroundings,
)
from modelctl.engines.gguf_files import projector
from modelctl.engines.llama_cpp_rules import find
from modelctl.engines.llama_server_rules import SPECULATIVE
from modelctl.facts.images import image_facts
from modelctl.fit.types import LlamaInputs
from modelctl.resolved import Flag, ImageStep, Unknown
from modelctl.spec.models import Model, Spec

SERVER = "llama-server"
DEFAULT_SLOTS = 4
DEFAULT_CONTEXT = 8192

_COUNTERS = Counters(
    running="llamacpp:requests_processing",
    waiting="llamacpp:requests_deferred",
    generated="llamacpp:tokens_predicted_total",
    prompt="llamacpp:prompt_tokens_total",
)

_NO_MODEL = Model.model_construct()


class LlamaCpp:
    """Where a field of the spec has no flag here, `llama_cpp_rules` says so."""

    name = "llama.cpp"
    title = "llama.cpp"
    template = "llama_cpp"
    startup_timeout = 600
    unknown_context: int | None = DEFAULT_CONTEXT
    takes_gguf = True
    asks_key_everywhere = True

    def server(self, spec: Spec) -> str:
        return (spec.backend and spec.backend.server) or SERVER

    def product(self, server: str) -> str:
        return server if server == llama_cpp_python.SERVER else self.name

    def api_key_variable(self, server: str) -> str:
        return "API_KEY" if server == llama_cpp_python.SERVER else "LLAMA_API_KEY"

    def health_path(self, server: str) -> str:
        # llama-cpp-python has no /health; it listens once the model is loaded.
        return "/v1/models" if server == llama_cpp_python.SERVER else "/health"

    def command(self, server: str) -> tuple[str, ...]:
        return (server,)

    def sequences(self, server: str, said: int | None, at_most: int | None) -> int | None:
        if server == llama_cpp_python.SERVER:
            return 1
        return said or at_most or DEFAULT_SLOTS

    def counters(self, server: str) -> Counters | None:
        return None if server == llama_cpp_python.SERVER else _COUNTERS

    def flags(self, ask: Ask) -> tuple[Flag, ...]:
        if ask.setting.server == llama_cpp_python.SERVER:
            return llama_cpp_python.flags(ask, _context(ask))
        own = [*_model(ask), *_limits(ask), *_placed(ask), *_behaviour(ask)]
        return with_args(own, ask)

    def memory(self, ask: Ask, flags: Sequence[Flag]) -> LlamaInputs | Unknown:
        python = ask.setting.server == llama_cpp_python.SERVER
        read = llama_memory.of_python if python else llama_memory.of_server
        return read(ask, flags)

    def image(self, setting: Setting) -> tuple[ImageStep, ...]:
        if setting.server == llama_cpp_python.SERVER:
            return images.image_steps(setting, images.llama_cpp_python(setting))
        return images.image_steps(
            setting,
            images.Recipe(
                official=images.official_image(
                    setting, self.name, on_cpu=not images.cuda_architectures(setting.spec)
                ),
                official_python=image_facts().python,
                # The image keeps its binaries in /app, which is on nobody's PATH.
                prepare=("which llama-server || ln -s /app/llama-server /usr/local/bin/",),
                install=(),
            ),
        )

    def surroundings(self, setting: Setting) -> Surroundings:  # noqa: ARG002 - an engine's shape
        return Surroundings()

    def rules(self, setting: Setting) -> Iterator[Finding]:
        return find(setting)


def _context(ask: Ask) -> int:
    return DEFAULT_CONTEXT if isinstance(ask.context, Unknown) else ask.context


def _model(ask: Ask) -> list[Flag]:
    spec, model = ask.spec, ask.spec.model or _NO_MODEL
    # Several aliases are sorted, and the first of those is in every answer; any name is accepted.
    own: list[Flag] = [("--alias", ask.setting.served_as[0])]
    if model.mmproj is not None:
        own.append(("--mmproj", projector(ask.setting)))
    for adapter in (model.adapters or {}).values():
        # The model itself answers, until a request asks for an adapter.
        own.append(("--lora-scaled", ask.setting.rooted(adapter.source, after=":0")))
    said = spec.speculative
    if said is not None:
        method = SPECULATIVE.get(said.method or "draft_model", said.method or "")
        own.append(("--spec-type", method))
        if said.model is not None:
            own.append(("--spec-draft-model", ask.setting.rooted(said.model)))
            own.append(("--spec-draft-ngl", "0" if ask.card is None else "all"))
        if said.tokens is not None:
            named = f"{method}-size-m" if method.startswith("ngram-") else "draft-n-max"
            own.append((f"--spec-{named}", str(said.tokens)))
    return own


def _limits(ask: Ask) -> list[Flag]:
    context, slots = _context(ask), ask.sequences or DEFAULT_SLOTS
    # -c is divided among the slots; a spec's context is what one request may use, and each has it
    # whatever the others do. One pool for all would be smaller, and would fail under load.
    own: list[Flag] = [("--ctx-size", str(context * slots)), ("--parallel", str(slots))]
    batch = ask.max_batched_tokens
    if ask.setting.task != "generate":
        batch = max(batch or 0, context)  # such a prompt is taken in one step or refused
    if batch is not None:
        own += [("--batch-size", str(batch)), ("--ubatch-size", str(batch))]
    kv_cache = ask.kv_cache
    if kv_cache not in (None, "auto"):
        own += [("--cache-type-k", kv_cache), ("--cache-type-v", kv_cache)]
        if kv_cache.startswith(("q", "iq")):
            own.append(("--flash-attn", "on"))  # a quantized V cache needs it
    return own


def _placed(ask: Ask) -> list[Flag]:
    own: list[Flag] = [("--n-gpu-layers", "0" if ask.card is None else "all")]
    if ask.setting.cores is not None:
        # Its own default is what the machine has, of which a container has a part.
        own.append(("--threads", str(math.ceil(ask.setting.cores))))
    if ask.count > 1:
        own.append(("--split-mode", "tensor" if ask.tensor else "layer"))
    return own


def _behaviour(ask: Ask) -> list[Flag]:
    spec = ask.spec
    own: list[Flag] = []
    adapters = (spec.model or _NO_MODEL).adapters
    # What is kept of a prompt does not say which adapter it was read with: another request that
    # begins alike would be answered from it.
    if spec.prefix_caching is False or (adapters and not spec.prefix_caching):
        own += [("--no-cache-prompt",), ("--cache-ram", "0")]
    if spec.reasoning is not None:
        own.append(("--reasoning-format", spec.reasoning))
    if ask.setting.task == "embed":
        own.append(("--embeddings",))
    if ask.setting.task == "rerank":
        own.append(("--reranking",))
    return [*own, ("--metrics",), ("--no-ui",)]


ENGINE = LlamaCpp()
