"""How does vLLM run? `vllm serve`, every flag on the command line, caches on Volumes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from modelctl.engines import vllm_flags, vllm_memory
from modelctl.engines.base import CACHE_PATH, Ask, Counters, Finding, Setting, Surroundings
from modelctl.engines.images import Recipe, image_steps, official_image, pip_install
from modelctl.engines.vllm_rules import find
from modelctl.fit.types import VllmInputs
from modelctl.resolved import Flag, ImageStep, Mount, Unknown
from modelctl.spec.models import Spec

COMPILED_VOLUME = "modelctl-vllm-cache"
COMPILED_PATH = f"{CACHE_PATH}/vllm"

_COUNTERS = Counters(
    running="vllm:num_requests_running",
    waiting="vllm:num_requests_waiting",
    generated="vllm:generation_tokens_total",
    prompt="vllm:prompt_tokens_total",
)


class Vllm:
    """Where a field of the spec has no flag here, `vllm_rules` says so."""

    name = "vllm"
    title = "vLLM"
    template = "vllm"
    startup_timeout = 1200
    unknown_context: int | None = None  # `--max-model-len auto` takes the largest that fits
    takes_gguf = False
    asks_key_everywhere = False  # /invocations and others answer without it

    def server(self, spec: Spec) -> str:
        # A `server` of llama.cpp's is a rule's finding; there is one server here.
        return "vllm" if spec.backend is None else spec.backend.server or "vllm"

    def product(self, server: str) -> str:  # noqa: ARG002 - an engine's shape
        return self.name

    def api_key_variable(self, server: str) -> str:  # noqa: ARG002
        return "VLLM_API_KEY"

    def health_path(self, server: str) -> str:  # noqa: ARG002
        return "/health"

    def command(self, server: str) -> tuple[str, ...]:  # noqa: ARG002 - an engine's shape
        return ("vllm", "serve")

    def sequences(self, server: str, said: int | None, at_most: int | None) -> int | None:  # noqa: ARG002
        # vLLM batches as many as its cache holds; the endpoint's limit is none of its own.
        return said

    def counters(self, server: str) -> Counters | None:  # noqa: ARG002 - an engine's shape
        return _COUNTERS

    def flags(self, ask: Ask) -> tuple[Flag, ...]:
        return vllm_flags.flags(ask)

    def memory(self, ask: Ask, flags: Sequence[Flag]) -> VllmInputs | Unknown:
        return vllm_memory.memory(ask, flags)

    def image(self, setting: Setting) -> tuple[ImageStep, ...]:
        return image_steps(
            setting,
            Recipe(
                official=official_image(setting, self.name),
                official_python=None,
                # The image has only python3, and Modal starts `python`.
                prepare=("which python || ln -s $(which python3) /usr/local/bin/python",),
                install=(pip_install(f"vllm=={setting.version}"),),
            ),
        )

    def surroundings(self, setting: Setting) -> Surroundings:
        env = {
            "VLLM_ENGINE_READY_TIMEOUT_S": str(max(600, setting.startup_timeout)),
            "VLLM_ENABLE_STARTUP_PLAN": "1",  # what was measured at one start, the next one reads
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",  # everything lies in a Volume; a Hub that is down stops nobody
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


ENGINE = Vllm()
