"""How does vLLM run? `vllm serve`, every flag on the command line, caches on Volumes."""

from __future__ import annotations

import json
from collections.abc import Iterator

from modelctl.engines.args import with_args
from modelctl.engines.base import (
    CACHE_PATH,
    Ask,
    Counters,
    Finding,
    Setting,
    Surroundings,
)
from modelctl.engines.images import Recipe, image_steps, pip_install
from modelctl.engines.vllm_rules import find
from modelctl.facts.engines import engine_facts
from modelctl.resolved import Flag, ImageStep, Mount, Unknown
from modelctl.spec.models import Model, Spec

COMPILED_VOLUME = "modelctl-vllm-cache"
COMPILED_PATH = f"{CACHE_PATH}/vllm"

_COUNTERS = Counters(
    running="vllm:num_requests_running",
    waiting="vllm:num_requests_waiting",
    generated="vllm:generation_tokens_total",
    prompt="vllm:prompt_tokens_total",
)

_NO_MODEL = Model.model_construct()


class Vllm:
    """Where a field of the spec has no flag here, `vllm_rules` says so."""

    name = "vllm"
    template = "vllm"
    startup_timeout = 1200
    unknown_context: int | None = None  # `--max-model-len auto` takes the largest that fits
    takes_gguf = False
    api_key_variable = "VLLM_API_KEY"

    def server(self, spec: Spec) -> str:
        # A `server` of llama.cpp's is a rule's finding; there is one server here.
        return "vllm" if spec.backend is None else spec.backend.server or "vllm"

    def command(self, server: str) -> tuple[str, ...]:  # noqa: ARG002 - an engine's shape
        return ("vllm", "serve")

    def sequences(self, said: int | None, at_most: int | None) -> int | None:  # noqa: ARG002
        # vLLM batches as many as its cache holds; the endpoint's limit is none of its own.
        return said

    def counters(self, server: str) -> Counters | None:  # noqa: ARG002 - an engine's shape
        return _COUNTERS

    def flags(self, ask: Ask) -> tuple[Flag, ...]:
        own = [*_model(ask), *_limits(ask), *_behaviour(ask)]
        own += _spread(ask) if ask.card is not None else [("--enforce-eager",)]
        return tuple(map(_unmistakable, with_args(own, ask)))

    def image(self, setting: Setting) -> tuple[ImageStep, ...]:
        return image_steps(
            setting,
            Recipe(
                official=engine_facts(self.name).image(setting.version),
                official_python=None,
                # The image has only python3, and Modal starts `python`.
                prepare=("which python || ln -s $(which python3) /usr/local/bin/python",),
                install=(pip_install(f"vllm=={setting.version}"),),
            ),
        )

    def surroundings(self, setting: Setting) -> Surroundings:
        env = {
            "VLLM_ENGINE_READY_TIMEOUT_S": str(max(600, setting.startup_timeout)),
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",  # everything lies in a Volume; a Hub that is down stops nobody
            "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB, read on a CPU only
        }
        path_env = {
            "VLLM_CACHE_ROOT": COMPILED_PATH,
            "TORCHINDUCTOR_CACHE_DIR": f"{COMPILED_PATH}/torchinductor",
            "TRITON_CACHE_DIR": f"{COMPILED_PATH}/triton",
        }
        mounts = [Mount(COMPILED_PATH, COMPILED_VOLUME, create=True)]
        if setting.spec.snapshot == "gpu":
            env["VLLM_SERVER_DEV_MODE"] = "1"  # /sleep and /wake_up are only there with it
        return Surroundings(env, path_env, tuple(mounts))

    def rules(self, setting: Setting) -> Iterator[Finding]:
        return find(setting)


def _unmistakable(flag: Flag) -> Flag:
    """argparse takes a value that begins with a dash for another flag, unless it is joined on."""
    if len(flag) == 2 and isinstance(flag[1], str) and flag[1].startswith("-"):
        return (f"{flag[0]}={flag[1]}",)
    return flag


def _model(ask: Ask) -> list[Flag]:
    spec, model = ask.spec, ask.spec.model or _NO_MODEL
    own: list[Flag] = [("--served-model-name", *ask.setting.served_as)]
    if model.tokenizer:
        own.append(("--tokenizer", ask.setting.rooted(model.tokenizer)))
    if model.trust_remote_code:
        own.append(("--trust-remote-code",))
    if ask.setting.task == "embed":
        own += [("--runner", "pooling"), ("--convert", "embed")]
    if ask.setting.task == "rerank":
        own += [("--runner", "pooling"), ("--convert", "classify")]
    if spec.dtype not in (None, "auto"):
        own.append(("--dtype", str(spec.dtype)))
    if spec.quantization not in (None, "auto"):
        own.append(("--quantization", str(spec.quantization)))
    if model.adapters:
        own.append(("--enable-lora",))
        own.append(("--max-loras", str(len(model.adapters))))
        ranks = [adapter.rank for adapter in model.adapters.values() if adapter.rank]
        if ranks:
            own.append(("--max-lora-rank", str(max(ranks))))
        pairs = [
            ask.setting.rooted(adapter.source, before=f"{name}=")
            for name, adapter in model.adapters.items()
        ]
        own.append(("--lora-modules", *pairs))
    return own


def _limits(ask: Ask) -> list[Flag]:
    context = "auto" if isinstance(ask.context, Unknown) else str(ask.context)
    own: list[Flag] = [("--max-model-len", context)]
    if ask.sequences is not None:
        own.append(("--max-num-seqs", str(ask.sequences)))
    if ask.kv_cache not in (None, "auto") and ask.card is not None:
        own.append(("--kv-cache-dtype", str(ask.kv_cache)))
    if ask.memory_utilization is not None and ask.card is not None:
        own.append(("--gpu-memory-utilization", repr(ask.memory_utilization)))
    if ask.spec.prefix_caching is not None:
        yes = ask.spec.prefix_caching
        own.append(("--enable-prefix-caching",) if yes else ("--no-enable-prefix-caching",))
    return own


def _behaviour(ask: Ask) -> list[Flag]:
    spec = ask.spec
    own: list[Flag] = []
    if spec.tools is not None:
        own += [("--enable-auto-tool-choice",), ("--tool-call-parser", spec.tools)]
    if spec.reasoning is not None:
        own.append(("--reasoning-parser", spec.reasoning))
    if spec.speculative is not None and ask.card is not None:
        said = spec.speculative
        config = {"method": said.method, "num_speculative_tokens": said.tokens}
        words = json.dumps({key: value for key, value in config.items() if value is not None})
        if said.model is None:
            own.append(("--speculative-config", words))
        else:
            before = words.removesuffix("}") + (', "model": "' if len(words) > 2 else '"model": "')
            own.append(("--speculative-config", ask.setting.rooted(said.model, before, '"}')))
    own.append(("--disable-uvicorn-access-log",))
    if ask.setting.drain > 0:
        own.append(("--shutdown-timeout", str(ask.setting.drain)))
    return own


def _spread(ask: Ask) -> list[Flag]:
    """What only a GPU can do."""
    parallel = ask.parallel
    own: list[Flag] = []
    for flag, count in (
        ("--tensor-parallel-size", parallel.tensor),
        ("--pipeline-parallel-size", parallel.pipeline),
        ("--data-parallel-size", parallel.data),
    ):
        if count is not None and count > 1:
            own.append((flag, str(count)))
    if parallel.expert:
        own.append(("--enable-expert-parallel",))
    if ask.spec.compile == "fast-boot":
        own.append(("--enforce-eager",))
    if ask.spec.snapshot == "gpu":
        own.append(("--enable-sleep-mode",))
    return own


ENGINE = Vllm()
