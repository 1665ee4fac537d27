"""What did an engine say of its memory while it started? Its own lines, from old and new versions.

vLLM: gpu_worker.py, gpu_model_runner.py, kv_cache_utils.py and core.py of 0.8 to 0.32. llama.cpp:
llama-model.cpp, llama-kv-cache.cpp and llama-context.cpp of b4500 to b11312, whose llama-server
says it from verbosity 4 on.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

GIB, MIB = 2**30, 2**20


class BootReport(Struct, frozen=True):
    """What one start said. Sizes in bytes of the fullest GPU, of main memory for a CPU.

    `version` is "" where the engine did not say it, `device` where nothing tells. `cache` is what
    there is for the KV cache, which holds `tokens`; `compute` are llama.cpp's buffers, `graphs`
    vLLM's CUDA graphs. `ready` is whether it came to serve, `partly` how much of the model is on
    the GPU where not all of it is: `20/33 layers`.
    """

    version: str = ""
    device: Literal["gpu", "cpu", ""] = ""
    weights: int | None = None
    cache: int | None = None
    tokens: int | None = None
    graphs: int | None = None
    compute: int | None = None
    ready: bool = False
    partly: str = ""


def read(lines: Iterable[str], engine: str) -> BootReport:
    """The report in an engine's lines, in the order in which they were written."""
    return _vllm(lines) if engine == "vllm" else _llama(lines)


_VERSION = re.compile(r"Initializing an? (?:V\d )?LLM engine \(v(\d[^\s)+]*)")
_DEVICE = re.compile(r"device_config=(\w+)")
_ON_CPU = re.compile(r"\bCPU KV cache size: |GiB for KV cache on node |detected platform cpu")
_LOADED = re.compile(r"Model loading took ([\d.]+) Gi?B")
_AVAILABLE = re.compile(
    r"Available KV cache memory: ([\d.]+) GiB"
    r"|reserved ([\d.]+) ?GiB memory for KV Cache"
    r"|\(([\d.]+)/[\d.]+\) GiB for KV cache on node "
)
_TOKENS = re.compile(r"\b[A-Z]+ KV cache size: ([\d,]+) tokens")
_REQUESTS = re.compile(r"Maximum concurrency for ([\d,]+) tokens per request: ([\d.]+)x")
_GRAPHS = re.compile(r"Graph capturing finished in \d+ secs?, took ([\d.]+) GiB")
_SERVES = re.compile(r"Application startup complete|Uvicorn running on")
_ROUNDED = 0.01
"""How far off a concurrency with two digits may be, and more."""


def _vllm(lines: Iterable[str]) -> BootReport:
    """Each rank says it: the GPU with the most weights counts, and the smallest cache."""
    version, on_cpu, ready = "", False, False
    found: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        if said := _VERSION.search(line):
            version = said[1]
            device = _DEVICE.search(line)
            on_cpu = on_cpu or (device is not None and device[1] == "cpu")
        on_cpu = on_cpu or bool(_ON_CPU.search(line))
        ready = ready or bool(_SERVES.search(line))
        if said := _LOADED.search(line):
            found["weights"].append(float(said[1]))
        if said := _AVAILABLE.search(line):
            found["cache"].append(float(said[1] or said[2] or said[3]))
        if said := _TOKENS.search(line):
            found["tokens"].append(float(said[1].replace(",", "")))
        if said := _REQUESTS.search(line):
            found["requests"].append(float(said[1].replace(",", "")) * float(said[2]))
        if said := _GRAPHS.search(line):
            found["graphs"].append(float(said[1]))
    tokens = min(found["tokens"], default=None)
    whole = min(found["requests"], default=None)
    if tokens is not None and whole and abs(whole - tokens) > _ROUNDED * whole:
        # Up to 0.19 the tokens of a model with several kinds of layers were counted too low.
        tokens = whole
    on_gpu = bool(found["weights"]) and not on_cpu
    return BootReport(
        version=version,
        device="gpu" if on_gpu else "cpu" if on_cpu else "",
        weights=_bytes(max(found["weights"], default=None), GIB),
        cache=_bytes(min(found["cache"], default=None), GIB),
        tokens=None if tokens is None else int(tokens),
        graphs=_bytes(max(found["graphs"], default=None), GIB),
        ready=ready,
    )


_BUILD = re.compile(r"\bbuild:? ([1-9]\d*) \(")
_MODEL = "llama_model_loader: loaded meta data with"
_BUFFER = re.compile(
    r"\b(?P<who>\w+): +(?P<device>\S+) +(?:(?P<what>model|KV|RS|compute|output) )?buffer size = +"
    r"(?P<size>[\d.]+) MiB"
)
_GPU = re.compile(r"((?:CUDA|ROCm|Vulkan|SYCL|MUSA|Metal)\d*)(_Split|_Mapped)?")
_LENGTH = re.compile(r"\bn_ctx +(?:= |: )(\d+)")
_OFFLOADED = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_LISTENS = re.compile(r"listening on |all slots are idle|Uvicorn running on")


def _llama(lines: Iterable[str]) -> BootReport:
    """Each device says what it allocates for weights, for each of the caches, and to compute."""
    version, partly, tokens, ready = "", "", None, False
    sizes: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for line in lines:
        if _MODEL in line:
            # A trial run before the real one, which allocates nothing, says the same lines.
            sizes.clear()
            partly, tokens = "", None
        if said := _BUILD.search(line):
            version = f"b{said[1]}"
        if tokens is None and (said := _LENGTH.search(line)):
            tokens = int(said[1])
        if (said := _OFFLOADED.search(line)) and said[1] != said[2]:
            partly = f"{said[1]}/{said[2]} layers"
        ready = ready or bool(_LISTENS.search(line))
        # An image projector's buffers are its own.
        if (said := _BUFFER.search(line)) and said["who"] != "alloc_compute_meta":
            card = _GPU.fullmatch(said["device"])
            device, what = card[1] if card else "", said["what"] or "model"
            kind = {"KV": "cache", "RS": "cache", "output": "compute"}.get(what, what)
            sizes[device][kind] += float(said["size"])
    cards = [name for name in sizes if name and sizes[name]["model"]]
    place = max(cards, key=lambda name: sizes[name]["model"] + sizes[name]["cache"], default="")
    here = sizes.get(place, {})
    loaded = here.get("model")
    return BootReport(
        version=version,
        device="gpu" if cards else "cpu" if loaded else "",
        weights=_bytes(loaded, MIB),
        cache=_bytes(here.get("cache", 0.0) if loaded else None, MIB),
        tokens=tokens,
        compute=_bytes(here.get("compute"), MIB),
        ready=ready,
        partly=partly,
    )


def _bytes(size: float | None, unit: int) -> int | None:
    return None if size is None else round(size * unit)
