"""How does llama.cpp run? `llama-server`, one slot a request; slots share out the context."""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.engines.args import with_args
from modelctl.engines.base import (
    Ask,
    Counters,
    Finding,
    Setting,
    Surroundings,
)
from modelctl.engines.images import Recipe, image_steps, llama_cpp_python
from modelctl.engines.llama_cpp_rules import find
from modelctl.facts.engines import engine_facts
from modelctl.facts.images import image_facts
from modelctl.resolved import Flag, ImageStep, Unknown
from modelctl.spec.models import Spec

DEFAULT_SLOTS = 4
DEFAULT_CONTEXT = 8192

_COUNTERS = Counters(
    running="llamacpp:requests_processing",
    waiting="llamacpp:requests_deferred",
    generated="llamacpp:tokens_predicted_total",
    prompt="llamacpp:prompt_tokens_total",
)


class LlamaCpp:
    """Where a field of the spec has no flag here, `llama_cpp_rules` says so."""

    name = "llama.cpp"
    template = "llama_cpp"
    startup_timeout = 600
    unknown_context: int | None = DEFAULT_CONTEXT
    takes_gguf = True
    api_key_variable = "LLAMA_API_KEY"

    def server(self, spec: Spec) -> str:
        return (spec.backend and spec.backend.server) or "llama-server"

    def command(self, server: str) -> tuple[str, ...]:
        return (server,)

    def sequences(self, said: int | None, at_most: int | None) -> int | None:
        return said or at_most or DEFAULT_SLOTS

    def counters(self, server: str) -> Counters | None:
        return _COUNTERS if server == "llama-server" else None

    def flags(self, ask: Ask) -> tuple[Flag, ...]:
        spec, slots = ask.spec, ask.sequences or DEFAULT_SLOTS
        own: list[Flag] = [("--alias", ",".join(ask.setting.served_as))]
        # -c is divided among the slots; a spec's context is what one request may use.
        context = DEFAULT_CONTEXT if isinstance(ask.context, Unknown) else ask.context
        own += [("--ctx-size", str(context * slots)), ("--parallel", str(slots))]
        own.append(("--n-gpu-layers", "0" if ask.card is None else "all"))
        kv_cache = ask.kv_cache
        if kv_cache not in (None, "auto"):
            own += [("--cache-type-k", kv_cache), ("--cache-type-v", kv_cache)]
            if kv_cache.startswith(("q", "iq")):
                own.append(("--flash-attn", "on"))  # a quantized V cache needs it
        if spec.prefix_caching is False:
            own.append(("--no-cache-prompt",))
        if spec.reasoning is not None:
            own.append(("--reasoning-format", spec.reasoning))
        if ask.setting.task == "embed":
            own.append(("--embeddings",))
        if ask.setting.task == "rerank":
            own.append(("--reranking",))
        own += [("--metrics",), ("--no-ui",)]
        return with_args(own, ask)

    def image(self, setting: Setting) -> tuple[ImageStep, ...]:
        if setting.server != "llama-server":
            return image_steps(setting, llama_cpp_python(setting))
        return image_steps(
            setting,
            Recipe(
                official=engine_facts(self.name).image(setting.version),
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


ENGINE = LlamaCpp()
