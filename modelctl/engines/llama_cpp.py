"""How does llama.cpp run? `llama-server`, one slot a request; slots share out the context."""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.engines.base import (
    NO_IMAGE,
    Ask,
    Finding,
    Setting,
    Surroundings,
    image_extras,
    with_args,
)
from modelctl.engines.llama_cpp_rules import find
from modelctl.facts.engines import engine_facts
from modelctl.resolved import Flag, ImageStep, Unknown
from modelctl.spec.models import Spec

DEFAULT_SLOTS = 4
DEFAULT_CONTEXT = 8192
PYTHON = "3.12"


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
        return with_args(own, ask.args)

    def image(self, setting: Setting) -> tuple[ImageStep, ...]:
        image = setting.spec.image or NO_IMAGE
        base = image.base or engine_facts(self.name).image(setting.version)
        options = {"add_python": image.python or PYTHON}
        return (
            ImageStep("from_registry", (base,), options, secret=image.secret),
            ImageStep("entrypoint", ()),
            # The image keeps its binaries in /app, which is on nobody's PATH.
            ImageStep("run_commands", ("ln -sf /app/llama-server /usr/local/bin/llama-server",)),
            *image_extras(setting.spec),
        )

    def surroundings(self, setting: Setting) -> Surroundings:  # noqa: ARG002 - an engine's shape
        return Surroundings()

    def rules(self, setting: Setting) -> Iterator[Finding]:
        return find(setting)


ENGINE = LlamaCpp()
