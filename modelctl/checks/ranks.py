"""Do the flags of `args` that share work out among GPUs have the GPUs, and what they need?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.checks.case import Rule
from modelctl.checks.start import Start, once
from modelctl.engines.base import Finding
from modelctl.engines.vllm_memory import RUNNER, told_runner
from modelctl.facts import gpus

_DECODE, _PREFILL = "decode-context-parallel-size", "prefill-context-parallel-size"
_MICROBATCHES = ("deepep_low_latency", "deepep_high_throughput", "nixl_ep")


def decoding(start: Start) -> Iterator[Finding]:
    """Source: `_validate_parallel_config`, vllm/config/parallel.py, and
    `verify_with_parallel_config`, vllm/config/model.py, 0.32.0.
    """
    parts, tensor = start.whole(_DECODE, 1), _tensor(start)
    if _DECODE not in start.said or parts <= 1:
        return
    prefill, shape = start.whole(_PREFILL, 1), start.shape
    if prefill > 1:
        sizes = sorted({1, prefill, tensor * prefill})
        if parts not in sizes:
            yield start.refused(
                _DECODE,
                f"beside {_PREFILL} {prefill} and tensor: {tensor}, {_DECODE} is one of "
                f"{', '.join(map(str, sizes))}, not {parts}",
                "leave it out",
            )
        return
    if tensor % parts:
        yield start.refused(
            _DECODE,
            f"tensor: {tensor} is not divisible by {_DECODE} {parts}",
            _fewer([n for n in range(2, parts) if tensor % n == 0]),
        )
        return
    if shape is None or shape.latent is not None:
        return
    heads, most = shape.kv_heads, tensor // max(1, shape.kv_heads)
    queries = shape.heads // max(1, heads)
    fitting = [n for n in range(2, most + 1) if tensor % n == 0 and queries % n == 0]
    if tensor <= heads:
        yield start.refused(
            _DECODE,
            f"{_DECODE} shares out copies of KV heads, and {heads} KV heads on {tensor} GPUs have "
            "none",
            "leave it out",
        )
    elif parts > most:
        yield start.refused(
            _DECODE,
            f"each of {heads} KV heads is on {most} of {tensor} GPUs, fewer than {_DECODE} {parts}",
            _fewer(fitting),
        )
    elif queries % parts:
        yield start.refused(
            _DECODE,
            f"{queries} query heads for each KV head are not divisible by {_DECODE} {parts}",
            _fewer(fitting),
        )


def _fewer(sizes: list[int]) -> str:
    return f"leave it out, or {sizes[-1]}" if sizes else "leave it out"


def prefilling(start: Start) -> Iterator[Finding]:
    """Each part is a GPU of its own beside those of `parallel`.

    Source: `validate_config`, vllm/v1/worker/gpu/pcp_manager.py, and `__post_init__`,
    vllm/config/parallel.py, 0.32.0.
    """
    parts, shape = start.whole(_PREFILL, 1), start.shape
    if _PREFILL not in start.said or parts <= 1 or start.variant.gpu is None:
        return
    wide = _tensor(start) * start.whole("pipeline-parallel-size", 1) * parts
    wide *= start.whole("data-parallel-size", 1)
    there = start.variant.count * start.case.setting.nodes
    if shape is not None and shape.latent is None:
        yield start.refused(
            _PREFILL,
            f"{_PREFILL} is for multi-head latent attention, which the model has not",
            "leave it out",
        )
    elif start.adapters:
        yield start.refused(_PREFILL, f"{_PREFILL} knows no adapters", "leave it out")
    elif wide > there and not _says_parallel(start):
        key = gpus.key(start.variant.gpu, start.variant.count)
        yield start.refused(
            _PREFILL,
            f"{_PREFILL} {parts} beside tensor: {wide // parts} takes {wide} GPUs, and {key} has "
            f"{there}",
            f"parallel: {{tensor: {there // parts}}}" if there >= parts else "leave it out",
        )


def _says_parallel(start: Start) -> bool:
    """Then the count is judged there, with these parts in it."""
    spec, entry = start.case.spec, start.variant.entry
    own = spec.gpu[entry].parallel if spec.gpu and entry is not None else None
    return spec.parallel is not None or own is not None


def balanced(start: Start) -> Iterator[Finding]:
    """Source: `_validate_parallel_config`, vllm/config/parallel.py, 0.32.0."""
    name = "enable-eplb"
    if name not in start.said or start.heard.yes(name) is not True:
        return
    spread = _tensor(start) * start.whole(_PREFILL, 1) * start.whole("data-parallel-size", 1)
    if start.heard.yes("enable-expert-parallel") is not True:
        yield start.refused(
            name,
            f"{name} moves experts between GPUs, and each GPU has a part of every expert",
            "parallel: {expert: true} puts whole ones there, or leave it out",
        )
    elif spread <= 1:
        yield start.refused(
            name, f"{name} moves experts between GPUs, and here is one", "leave it out"
        )


def overlapped(start: Start) -> Iterator[Finding]:
    """Source: `__post_init__`, vllm/config/vllm.py, and `_verify_args`, parallel.py, 0.32.0."""
    dual = "enable-dbo" in start.said and start.heard.yes("enable-dbo") is True
    parts = 2 if dual else start.whole("ubatch-size", 0)
    name = "enable-dbo" if dual else "ubatch-size"
    if parts <= 1 or name not in start.said or start.variant.gpu is None:
        return
    backend = start.heard.text("all2all-backend") or "allgather_reducescatter"
    if backend not in _MICROBATCHES:
        yield start.refused(
            name,
            f"{name} overlaps two batches by an all2all-backend of {_listed()}, and "
            f"{backend} is none",
            f"all2all-backend: {_MICROBATCHES[0]}, or leave {name} out",
        )
    for threshold in ("dbo-decode-token-threshold", "dbo-prefill-token-threshold"):
        tokens = start.heard.whole(threshold)
        if threshold in start.said and tokens is not None and tokens < parts:
            yield start.refused(
                threshold,
                f"a batch of {tokens} tokens cannot be split into {parts}",
                f"{threshold}: {parts}, or more",
            )


def _listed() -> str:
    return f"{', '.join(_MICROBATCHES[:-1])} or {_MICROBATCHES[-1]}"


def sampled(start: Start) -> Iterator[Finding]:
    """Source: `_validate_batch_sharded_sampling`, vllm/config/vllm.py, 0.32.0."""
    name, tensor = "enable-batch-sharded-sampling", _tensor(start)
    if name not in start.said or start.heard.yes(name) is not True:
        return
    sequences, logprobs = start.heard.whole("max-num-seqs"), start.heard.whole("max-logprobs")
    if tensor <= 1:
        message, hint = f"{name} shares sampling out among tensor: 1", "leave it out"
    elif sequences is not None and sequences < tensor:
        message = f"{name} cannot share {sequences} sequences out among {tensor} GPUs"
        hint = f"max_sequences: {tensor}, or more"
    elif logprobs is not None and logprobs < 0:
        message, hint = f"{name} does not go with max-logprobs {logprobs}", "max-logprobs: 20"
    elif told_runner(start.case.spec) == "v1":
        message = f"{name} needs the second model runner, which {RUNNER} turns off"
        hint = "leave the variable out"
    else:
        return
    yield start.refused(name, message, hint)


def _tensor(start: Start) -> int:
    return start.whole("tensor-parallel-size", 1)


RULES: tuple[Rule, ...] = (once(decoding, prefilling, balanced, overlapped, sampled),)
