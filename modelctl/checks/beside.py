"""Do the flags of `args` go with each other and with the model, as vLLM's configuration wants?"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from modelctl.checks.case import Case, Rule, wrong
from modelctl.checks.start import Start, once
from modelctl.engines.base import Finding
from modelctl.engines.vllm_memory import RUNNER, told_runner
from modelctl.facts import gpus, vllm
from modelctl.fit.cache import cache_of, states_of
from modelctl.fit.overhead import with_batch
from modelctl.resolved import Unknown
from modelctl.spec.wanted import Path_
from modelctl.weights.config import inner

_LARGEST_BLOCK = 256
"""Tokens: attention alone has no block of more, where nobody says its size."""

_RUNNER: Path_ = ("env", RUNNER)


def asynchronous(start: Start) -> Iterator[Finding]:
    """Source: `__post_init__`, vllm/config/vllm.py, 0.32.0 and 0.33.0.

    0.33 refuses what only the first runner does; 0.32 whatever does not know it.
    """
    names, method = start.names, start.method
    if names is None or "async-scheduling" not in start.said:
        return
    if start.heard.yes("async-scheduling") is not True:
        return
    refused = {
        *names.not_async,
        *(names.not_async_before if told_runner(start.case.spec) == "v1" else ()),
    }
    if method in refused:
        yield start.refused(
            "async-scheduling",
            f"async-scheduling does not go with the speculative method {method}",
            "leave it out: vLLM turns it on where it can",
        )


def long_prompts(start: Start) -> Iterator[Finding]:
    """Source: `verify_max_model_len`, vllm/config/scheduler.py, 0.32.0."""
    name, context = "long-prefill-token-threshold", start.variant.context
    threshold = start.heard.whole(name)
    if name not in start.said or threshold is None or isinstance(context, Unknown):
        return
    if threshold > context:
        yield start.refused(
            name,
            f"{name} of {threshold:,} is more than the context of {context:,}",
            f"{name}: {context}, or less",
        )


def adapters_kept(start: Start) -> Iterator[Finding]:
    """Source: `_validate_lora_config`, vllm/config/lora.py, 0.32.0; 0 and less mean no limit."""
    kept, at_once = start.heard.whole("max-cpu-loras"), start.whole("max-loras", 1)
    if not start.adapters or kept is None or not 0 < kept < at_once:
        return
    told = {
        "max-cpu-loras": f"max-cpu-loras: {at_once}, or more",
        "max-loras": f"max-loras: {kept}, or less",
    }
    for name, hint in told.items():
        if name in start.said:
            message = f"max-cpu-loras of {kept} is less than max-loras of {at_once}"
            yield start.refused(name, message, hint)
            return


def blocks(start: Start) -> Iterator[Finding]:
    """One request of the whole context has to fit, beside the one block that vLLM keeps empty, and
    the states of every sequence.

    Source: `get_kv_cache_configs`, vllm/v1/core/kv_cache_utils.py, and
    `resolve_cudagraph_mode_and_sizes`, vllm/config/compilation.py, 0.32.0.
    """
    name, inputs, shape = "num-gpu-blocks-override", start.inputs, start.shape
    count, card = start.heard.whole(name), gpus.gpus().get(start.variant.gpu or "")
    if name not in start.said or count is None or inputs is None or shape is None or card is None:
        return
    inputs = with_batch(inputs, card.usable_gib, card.name)
    if shape.state is not None:
        sequences = states_of(inputs)
        if count < sequences:
            yield start.refused(
                name,
                f"{count} blocks of the cache do not hold a state for each of {sequences:,} "
                "sequences",
                f"leave it out, or max_sequences: {count}",
            )
        return
    if start.whole("decode-context-parallel-size", 1) > 1:
        return
    layout = cache_of(shape, replace(inputs, block_size=inputs.block_size or _LARGEST_BLOCK))
    if isinstance(layout, Unknown) or not layout.groups:
        return
    least = layout.blocks_for(inputs.context) + 1
    if count < least:
        yield start.refused(
            name,
            f"{count} blocks of the cache, one of which stays empty, do not hold a context of "
            f"{inputs.context:,} tokens",
            f"leave it out, or {least} or more"
            if inputs.block_size
            else "leave it out: vLLM takes as many as fit",
        )


def graphs(start: Start) -> Iterator[Finding]:
    """Source: `_set_cudagraph_sizes`, vllm/config/vllm.py, 0.32.0."""
    name, inputs = "max-cudagraph-capture-size", start.inputs
    size = start.heard.whole(name)
    if name not in start.said or size is None or size >= 1:
        return
    if start.variant.gpu is None or inputs is None or inputs.eager:
        return
    if not {"optimization-level", "compilation-config"} & {*start.said}:
        yield start.refused(
            name,
            f"{name} of {size} leaves no CUDA graph",
            "leave it out; enforce-eager: true is without CUDA graphs",
        )


def replayed(start: Start) -> Iterator[Finding]:
    """Source: `validate_mamba_cached_kernel`, vllm/config/vllm.py, 0.32.0."""
    name, names, model = "use-replayssm", start.names, start.case.facts.architecture
    if name not in start.said or start.heard.yes(name) is not True:
        return
    if names is None or not names.replayssm or isinstance(model, Unknown):
        return
    if model not in names.replayssm:
        yield start.refused(
            name,
            f"{name} is for {_listed(sorted(names.replayssm))}, not {model}",
            "leave it out",
        )
        return
    triton = (start.heard.text("mamba-backend") or "triton").lower() == "triton"
    plain = not {"speculative-config", "spec-method", "enable-dbo", "ubatch-size"} & {
        *start.heard.values
    }
    if triton and plain and start.variant.gpu and told_runner(start.case.spec) != "v1":
        yield start.refused(
            name,
            f"{name} by Triton needs the first model runner",
            f'mamba-backend: flashinfer with prefix_caching: false, or env: {{{RUNNER}: "0"}}',
        )


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def attention(start: Start) -> Iterator[Finding]:
    """Each backend whose name has MLA in it is for such models alone, and no other is.

    Source: `validate_configuration`, vllm/v1/attention/backend.py, 0.32.0.
    """
    name, names = "attention-backend", start.names
    backend = (start.heard.text(name) or "").upper()
    if name not in start.said or names is None or not names.attention or _own_image(start.case):
        return
    if backend not in names.attention:
        if backend in ("", "AUTO"):
            return
        near = difflib.get_close_matches(backend, names.attention, n=1, cutoff=0.6)
        yield start.refused(
            name,
            f"vLLM {start.case.setting.version} has no attention backend {backend}",
            f"did you mean {near[0]}?" if near else "leave it out: vLLM takes the fastest",
        )
        return
    config = start.case.facts.config
    if isinstance(config, Unknown) or start.shape is None or start.variant.gpu is None:
        return
    if "VLLM_MLA_DISABLE" in (start.case.spec.env or {}) or backend == "CUSTOM":
        return
    text, latent = inner(config), start.shape.latent is not None
    kinds = {config.get("model_type"), text.get("model_type")}
    if "MLA" in backend and not latent and not {"kv_lora_rank", "compress_ratios"} & {*text}:
        yield start.refused(
            name,
            f"{backend} is for multi-head latent attention, which the model has not",
            "leave it out: vLLM takes the fastest that the model can use",
        )
    elif "MLA" not in backend and latent and kinds & names.mla and text.get("is_causal", True):
        yield start.refused(
            name,
            f"{backend} has no multi-head latent attention, which the model has",
            "leave it out: vLLM takes the fastest that the model can use",
        )


def _own_image(case: Case) -> bool:
    """Whether plug-ins may be there that bring backends of their own."""
    image = case.spec.image
    return image is not None and bool(image.packages or image.base or image.dockerfile or image.run)


def second_runner(case: Case) -> Iterator[Finding]:
    """Source: `_validate_v2_model_runner`, vllm/config/vllm.py, 0.32.0 and 0.33.0, and
    `maybe_convert_bool`, vllm/envs.py.
    """
    told = (case.spec.env or {}).get(RUNNER)
    if case.engine.name == "vllm" and told is not None and told_runner(case.spec) is None:
        yield wrong(
            _RUNNER,
            "engine/wrong-option",
            f"{RUNNER} is 0 or 1, not {json.dumps(told, ensure_ascii=False)}, and vLLM refuses to "
            "start",
            "leave it out: vLLM takes the one that can do what is asked",
        )
    names, said = vllm.names(case.setting.version), case.spec.speculative
    if case.engine.name != "vllm" or names is None or said is None or said.method is None:
        return
    runner = told_runner(case.spec)
    lacking = names.second_runner if runner == "v1" else names.first_runner if runner else ()
    if said.method in lacking:
        which = "first" if runner == "v1" else "second"
        yield wrong(
            _RUNNER,
            "engine/wrong-option",
            f"the {which} model runner does not know the speculative method {said.method}, and "
            "vLLM refuses to start",
            "leave it out: vLLM takes the one that does",
        )


RULES: tuple[Rule, ...] = (
    once(asynchronous, long_prompts, adapters_kept, blocks, graphs, replayed, attention),
    second_runner,
)
