"""What does the arithmetic take, and what does it give? Inputs, intervals, verdicts."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from modelctl.weights.shape import Shape

GIB = 2**30

Verdict = Literal["fits", "may fit", "does not fit", "unknown"]


class Interval(Struct, frozen=True):
    """An estimate: the value expected, and the ends that it may have. `low <= value <= high`."""

    value: float
    low: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> Interval:
        return cls(value, value, value)

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.value + other.value, self.low + other.low, self.high + other.high)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.value - other.value, self.low - other.high, self.high - other.low)


class Draft(Struct, frozen=True):
    """What guesses ahead in the same memory. `weights` in bytes of one GPU; None where unknown."""

    method: str
    tokens: int
    weights: int | None = None
    layers: int = 0
    shape: Shape | None = None
    """Whose layers these are; None for layers like the full ones of the model itself."""

    @property
    def of_the_checkpoint(self) -> bool:
        """Whether its layers lie in the model's own files, and count among its weights."""
        return self.weights == 0 and self.layers > 0


class VllmInputs(Struct, frozen=True):
    """How vLLM is run on one variant.

    `version` as (major, minor); `dtype`, `kv_dtype` and `quantization` in vLLM's words, of which
    `quantization` is None where the checkpoint says it and a method where weights are quantized
    while they load. `utilization` is the share of a GPU's memory that may be used. `sequences` and
    `batched_tokens` are None for vLLM's own choice on that GPU. `eager` is without CUDA graphs.
    """

    version: tuple[int, int]
    context: int
    dtype: str = "auto"
    kv_dtype: str = "auto"
    quantization: str | None = None
    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert: bool = False
    utilization: float = 0.92
    sequences: int | None = None
    batched_tokens: int | None = None
    eager: bool = False
    prefix_caching: bool | None = None
    adapters: int = 0
    adapter_rank: int = 16
    draft: Draft | None = None
    multimodal: bool = True
    task: Literal["generate", "embed", "rerank"] = "generate"
    kv_bytes: int | None = None
    """What the engine is told to take for the cache, in bytes; None where it finds out."""
    block_size: int | None = None
    """Tokens of a block of the cache, `--block-size`; None for vLLM's own choice."""
    async_scheduling: bool | None = None
    """Whether a batch is scheduled while the one before runs; None for vLLM's own choice."""
    state_dtype: str | None = None
    """Type of a state-space layer's matrices, `--mamba-ssm-cache-dtype`; None for the model's."""
    hybrid_cache: bool = True
    """Whether layers with a window let go of what has left it (the hybrid KV cache manager)."""
    offload: str = ""
    """The flag that has weights kept in main memory, "" for none: how many is not computed."""
    whole_prompts: bool = False
    """Whether a step has room for a whole context, since prompts are not taken in chunks."""
    card: str = ""
    """The GPU's name, "" where nobody says it."""
    performance: str = "balanced"
    """`--performance-mode`: throughput doubles a batch that nobody says, interactivity captures
    every small one."""
    whole_item: int = 0
    """Tokens of the largest picture or video where a step that nobody says has to hold it whole, 0
    where it may be cut."""
    image_share: float = 1.0
    """How much of the largest picture a run of vLLM may be given, of its pixels."""
    whole_graphs: bool = True
    """Whether CUDA graphs are of whole steps too, and not of parts of them only."""
    runner: Literal["v1", "v2"] | None = None
    """The model runner, `VLLM_USE_V2_MODEL_RUNNER`; None for vLLM's own choice."""
    compiled_before: bool = False
    """Whether the start finds what an earlier one compiled."""


class LlamaInputs(Struct, frozen=True):
    """How llama.cpp is run on one variant.

    `context` is what all slots share (`--ctx-size`), `slots` how many there are. `gpu_layers` is
    None where all that fit are put there and `EVERY_LAYER` where all are. `windowed` is whether
    sliding layers keep their window only (llama-cpp-python's server keeps all of it). `gpus` is 0
    on a CPU. `outputs` is for how many tokens of a batch there are logits or embeddings at once,
    None for all; `pooled` whether they are embeddings of whole texts. `shares` are what each GPU
    gets of the layers, none for as much as its memory allows. `adapters` and `projector` are bytes
    of files beside the model, None where unknown. `by_hand` are the flags that place tensors one by
    one, as they are written: what then lies where is not followed.
    """

    context: int
    slots: int = 1
    unified: bool = False
    ubatch: int = 512
    batch: int = 2048
    k_type: str = "f16"
    v_type: str = "f16"
    flash_attention: bool = True
    gpu_layers: int | None = None
    cpu_expert_layers: int = 0
    windowed: bool = True
    gpus: int = 1
    draft: Draft | None = None
    outputs: int | None = None
    pooled: bool = False
    split: Literal["layer", "row", "tensor", "none"] = "layer"
    shares: tuple[float, ...] = ()
    kv_on_gpu: bool = True
    adapters: int | None = 0
    projector: int | None = 0
    by_hand: str = ""


EVERY_LAYER = 2**31 - 1
"""All layers, and what comes after the last one."""

MemoryInputs = VllmInputs | LlamaInputs


class Memory(Struct, frozen=True):
    """What one GPU holds, in GiB, part by part, and what is left for the KV cache.

    `usable` is what CUDA reports, `budget` what the engine takes of it. `other` has everything
    beside weights and cache, by name. `tokens` fit into `cache` at once; `full` is how many
    requests of the whole context that is, `typical` of `TYPICAL` tokens. `need` is the least that
    the engine asks for: one request of the context, or a state for each of `states` sequences where
    that is more. What is `measured` was reported by the engine at a boot that
    ran just like this; `boot` says whose boot the figures are of, also where only its context was
    another one.
    """

    usable: float
    budget: float
    weights: Interval
    cache: Interval
    other: dict[str, Interval] = field(default_factory=dict)
    tokens: Interval | None = None
    full: Interval | None = None
    typical: Interval | None = None
    need: float = 0.0
    states: int = 0
    verdict: Verdict = "unknown"
    reason: str = ""
    largest_context: int | None = None
    measured: bool = False
    boot: str = ""


TYPICAL = 2048
"""Tokens of a request as most are: people ask for far more context than their traffic uses."""
