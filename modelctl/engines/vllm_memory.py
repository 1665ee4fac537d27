"""What does vLLM's memory follow from on one variant? Read off the flags that start it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from modelctl.engines import vllm_flags
from modelctl.engines.base import Ask
from modelctl.engines.said import Said, said
from modelctl.engines.sizes import size_of
from modelctl.facts.engines import engine_facts
from modelctl.facts.flags import FlagTable, flag_table
from modelctl.facts.memory import largest_picture, whole_item
from modelctl.fit.types import Draft, VllmInputs
from modelctl.resolved import Flag, Unknown
from modelctl.spec.models import Spec
from modelctl.weights.config_shape import shape_of
from modelctl.weights.config_vision import image_tower
from modelctl.weights.facts import ModelFacts
from modelctl.weights.shape import Shape

UTILIZATION = 0.92
UTILIZATION_ONCE = 0.9
UTILIZATION_SINCE = (0, 20)
"""--gpu-memory-utilization where nobody says it: vllm/config/cache.py, and what starts logged."""

RUNNER = "VLLM_USE_V2_MODEL_RUNNER"

_UNSAID = VllmInputs(version=(0, 0), context=0)
"""What vLLM takes where nobody says anything."""

_WITHOUT_WEIGHTS = ("ngram", "ngram_gpu", "suffix")


def memory(ask: Ask, flags: Iterable[Flag]) -> VllmInputs | Unknown:
    version = _release(ask.setting.version)
    if version is None:
        return Unknown(f"the memory of vLLM {ask.setting.version} is not known")
    heard = said(flags, _table(ask))
    context = heard.whole("max-model-len")
    if context is None or context < 1:
        return _no_context(ask)
    lora = heard.yes("enable-lora")
    return VllmInputs(
        version=version,
        context=context,
        dtype=heard.text("dtype") or "auto",
        kv_dtype=heard.text("kv-cache-dtype") or "auto",
        quantization=_quantization(ask, heard),
        tensor=_count(heard, "tensor-parallel-size"),
        pipeline=_count(heard, "pipeline-parallel-size"),
        data=_count(heard, "data-parallel-size"),
        expert=heard.yes("enable-expert-parallel") or False,
        utilization=heard.number("gpu-memory-utilization") or _utilization(version),
        sequences=heard.whole("max-num-seqs"),
        batched_tokens=heard.whole("max-num-batched-tokens"),
        eager=_captures(heard) == "NONE",
        whole_graphs=_whole_graphs(heard),
        prefix_caching=heard.yes("enable-prefix-caching"),
        adapters=(heard.whole("max-loras") or 1) if lora else 0,
        adapter_rank=heard.whole("max-lora-rank") or _UNSAID.adapter_rank,
        draft=_draft(ask, heard),
        multimodal=_multimodal(heard),
        image_share=_image_share(ask, heard, version),
        task=ask.setting.task,
        kv_bytes=heard.whole("kv-cache-memory-bytes"),
        block_size=heard.whole("block-size"),
        async_scheduling=heard.yes("async-scheduling"),
        state_dtype=heard.text("mamba-ssm-cache-dtype"),
        hybrid_cache=heard.yes("disable-hybrid-kv-cache-manager") is not True,
        offload=_offload(heard),
        whole_prompts=_whole_prompts(ask, heard),
        performance=heard.text("performance-mode") or _UNSAID.performance,
        whole_item=_whole_item(ask, heard, version),
        runner=told_runner(ask.spec),
    )


def told_runner(spec: Spec) -> Literal["v1", "v2"] | None:
    """What the environment says of the model runner; None for vLLM's own choice.

    Source: `maybe_convert_bool`, vllm/envs.py, 0.32.0.
    """
    told = ((spec.env or {}).get(RUNNER) or "").strip()
    return ("v2" if int(told) else "v1") if re.fullmatch(r"[-+]?[0-9]{1,9}", told) else None


def _table(ask: Ask) -> FlagTable | None:
    """Our own flags go by their main names: only a person's may have other spellings."""
    if not ask.args:
        return None
    known = flag_table("vllm", ask.setting.version)
    return known or flag_table("vllm", engine_facts("vllm").default)


def _release(version: str) -> tuple[int, int] | None:
    match = re.match(r"v?(\d+)\.(\d+)(?=\D|$)", version)
    return (int(match[1]), int(match[2])) if match else None


def _utilization(version: tuple[int, int]) -> float:
    return UTILIZATION if version >= UTILIZATION_SINCE else UTILIZATION_ONCE


def _no_context(ask: Ask) -> Unknown:
    if isinstance(ask.context, Unknown):
        return Unknown(f"the context is not known: {ask.context.reason}")
    return Unknown("vLLM takes the longest context that fits")


def _count(heard: Said, name: str) -> int:
    return max(1, heard.whole(name) or 1)


def _quantization(ask: Ask, heard: Said) -> str | None:
    """A method for weights that are in full precision; a checkpoint's own is its own matter."""
    method, own = heard.text("quantization"), ask.setting.model.quantization
    known = vllm_flags.names(ask.setting.version).quantization
    return None if method is None or (isinstance(own, str) and own in known) else method


def _offload(heard: Said) -> str:
    """The flag that keeps weights in main memory. Source: vllm/config/offload.py, 0.32.0.

    What --kv-offloading-size keeps there is a copy: the GPU's cache stays as large.
    """
    backend = heard.text("offload-backend")
    for flag, passed_over_by in (("offload-group-size", "uva"), ("cpu-offload-gb", "prefetch")):
        if (heard.number(flag) or 0) > 0 and backend != passed_over_by:
            return f"--{flag}"
    return ""


def _whole_prompts(ask: Ask, heard: Said) -> bool:
    """Source: `is_chunked_prefill_supported`, vllm/config/model.py, 0.32.0."""
    chunked = heard.yes("enable-chunked-prefill")
    if chunked is not None:
        return not chunked
    names, model = vllm_flags.names(ask.setting.version), ask.setting.model.architecture
    return ask.setting.task != "generate" and model in names.unchunked


def _captures(heard: Said) -> str:
    """Which CUDA graphs there are, a name of `CUDAGraphMode`; "" for vLLM's own choice.

    Source: vllm/config/compilation.py and OPTIMIZATION_LEVEL_00 in vllm/config/vllm.py, 0.32.0.
    """
    if heard.yes("enforce-eager"):
        return "NONE"
    said = str(heard.mapping("compilation-config").get("cudagraph_mode", "")).upper()
    if not said and (level := heard.text("optimization-level")) in ("0", "1"):
        return "PIECEWISE" if level == "1" else "NONE"
    return {"0": "NONE", "1": "PIECEWISE"}.get(said, said)


def _whole_graphs(heard: Said) -> bool:
    """Whether vLLM captures whole steps for sure: some ways of sharing work out keep it from that.

    Guessing ahead over an 8 bit cache has them on some GPUs alone. Source: `__post_init__`,
    vllm/config/vllm.py, and `set_splitting_ops_for_v1`, vllm/config/compilation.py, 0.32.0.
    """
    compiled = heard.mapping("compilation-config")
    guesses = heard.mapping("speculative-config") or heard.text("spec-method")
    exchange = heard.text("all2all-backend") or ""
    return not (
        _captures(heard) == "PIECEWISE"
        or str(compiled.get("mode", 3)) not in ("0", "3")
        or heard.mapping("kv-transfer-config")
        or exchange.startswith(("deepep", "nixl"))
        or (guesses and (heard.text("kv-cache-dtype") or "auto").startswith("fp8"))
    )


def _multimodal(heard: Said) -> bool:
    """Whether what reads images is there: not where images and videos are limited to none.

    What nobody limits may be given: `get_limit_per_prompt`, vllm/config/multimodal.py, 0.32.0.
    """
    if heard.yes("language-model-only"):
        return False
    limits = heard.mapping("limit-mm-per-prompt")
    return not (_none(limits, "image") and _none(limits, "video"))


def _none(limits: Mapping[str, Any], kind: str) -> bool:
    limit = limits.get(kind)
    count = limit.get("count") if isinstance(limit, Mapping) else limit
    return count == 0 and not isinstance(count, bool)


def _image_share(ask: Ask, heard: Said, version: tuple[int, int]) -> float:
    """How much of the largest image's pixels profiling reads, where a person says how many.

    Source: `_get_vision_size`, vllm/model_executor/models/qwen2_vl.py, 0.32.0; of images and videos
    the larger is read: vllm/multimodal/encoder_budget.py.
    """
    if heard.yes("skip-mm-profiling"):
        return 0.0
    config = ask.setting.model.config
    tower = None if isinstance(config, Unknown) else image_tower(config)
    known = largest_picture(version, tower.kind) if tower else None
    if known is None:
        return 1.0
    told, limits = heard.mapping("mm-processor-kwargs"), heard.mapping("limit-mm-per-prompt")
    largest = [
        _pixels(told, f"{kind}s_kwargs", usual) / frames
        for kind, usual, frames in (
            ("image", known.pixels, 1),
            ("video", known.video_pixels, known.video_frames),
        )
        if not _none(limits, kind)
    ]
    return max(largest, default=0) / known.pixels


def _pixels(told: Mapping[str, Any], kind: str, usual: int) -> int:
    """What is said of a kind alone counts before what is said of all, in each the last of two."""
    own = told.get(kind)
    for place in (own if isinstance(own, Mapping) else {}, told):
        size = place.get("size")
        edge = size.get("longest_edge") if isinstance(size, Mapping) else None
        for largest in (place.get("max_pixels"), edge):
            if isinstance(largest, int) and not isinstance(largest, bool) and largest > 0:
                return largest
    return usual


def _whole_item(ask: Ask, heard: Said, version: tuple[int, int]) -> int:
    """Tokens of a video, the largest of what a step has to hold whole.

    Source: `_get_min_mm_batched_tokens`, vllm/engine/arg_utils.py, and
    `get_mm_max_tokens_per_item`, vllm/model_executor/models/gemma4_mm.py, 0.32.0.
    """
    config = ask.setting.model.config
    if isinstance(config, Unknown) or not _multimodal(heard):
        return 0
    text = config.get("text_config")
    attention = (text if isinstance(text, dict) else config).get("use_bidirectional_attention")
    item = whole_item(version, str(config.get("model_type")), str(attention))
    if item is None:
        return 0
    video = heard.mapping("limit-mm-per-prompt").get("video")
    frames = video.get("num_frames") if isinstance(video, dict) else None
    return item.frame * min(item.frames, frames if isinstance(frames, int) else item.frames)


def _draft(ask: Ask, heard: Said) -> Draft | None:
    config = dict(heard.mapping("speculative-config"))
    for flag, key in (
        ("spec-method", "method"),
        ("spec-model", "model"),
        ("spec-tokens", "num_speculative_tokens"),
    ):
        if heard.text(flag) is not None:
            config[key] = heard.whole(flag) if flag == "spec-tokens" else heard.text(flag)
    if not config:
        return None
    method = str(config.get("method") or ("draft_model" if config.get("model") else ""))
    tokens = config.get("num_speculative_tokens")
    tokens = tokens if isinstance(tokens, int) else vllm_flags.GUESSED_TOKENS.get(method, 1)
    if method in _WITHOUT_WEIGHTS:
        return Draft(method, tokens, weights=0)
    if not config.get("model"):
        return Draft(method, tokens, weights=0, layers=1)  # a layer of the checkpoint's own
    source = ask.spec.speculative.model if ask.spec.speculative else None
    size = size_of(ask.setting, source)
    facts = ask.setting.model.beside.get(source or "")
    layers = facts.layers if facts is not None else None
    sliced = config.get("draft_tensor_parallel_size") or _count(heard, "tensor-parallel-size")
    return Draft(
        method,
        tokens,
        weights=None if size is None else size // int(sliced),
        layers=layers if isinstance(layers, int) else 1,
        shape=_shape(facts),
    )


def _shape(facts: ModelFacts | None) -> Shape | None:
    if facts is None or isinstance(facts.config, Unknown):
        return None
    shape = shape_of(facts.config)
    return None if isinstance(shape, Unknown) else shape
