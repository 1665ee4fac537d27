"""Does the model fit every GPU that may come, or the main memory that is asked for?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from modelctl.assess.fits import Fit, cpu_fit_of
from modelctl.checks.case import Case, Rule, doubtful, unchecked, wrong
from modelctl.checks.hardware import an
from modelctl.engines.base import NO_ENTRY, Finding
from modelctl.facts import gpus
from modelctl.fit.numbers import with_numbers
from modelctl.fit.types import VllmInputs
from modelctl.resolve import NO_BACKEND, parallel_of
from modelctl.resolved import Unknown, Variant
from modelctl.spec.wanted import Path_

if TYPE_CHECKING:
    from modelctl.fit.search import Way


_OWN = "max-num-seqs"
"""vLLM's own name of `max_sequences`: said in `args`, it is what counts."""

_NUMBERS = ("bfloat16", "float16", "float32")


def fits(case: Case) -> Iterator[Finding]:
    """Every entry of the list, and what Modal may give instead of it."""
    said: set[Path_] = set()
    unknown: dict[str, Path_] = {}
    for fit in case.assessed.fits:
        path, memory = _path(fit), fit.memory
        if isinstance(memory, Unknown):
            # Of a model without a lock, model/unlocked says that this is not checked.
            if _read(case):
                unknown.setdefault(memory.reason, path)
        elif path in said or memory.verdict == "fits":
            continue
        elif memory.verdict == "does not fit":
            said.add(path)
            yield wrong(
                path,
                "fit/too-large",
                _sentence(case, fit, "does not fit"),
                _ways(case, fit),
                detail=memory.reason,
            )
        else:
            said.add(path)
            yield doubtful(
                path,
                "fit/may-not-fit",
                _sentence(case, fit, "may not fit"),
                _ways(case, fit),
                detail=memory.reason,
            )
    for reason, path in unknown.items():
        yield unchecked(path, "fit/not-checked", f"whether it fits is not known: {reason}")


def in_main_memory(case: Case) -> Iterator[Finding]:
    """A container may get more than it asks for, and mapped weights may be read again: it starts
    with less, so this is never more than a doubt."""
    asked = case.resolved.placement.memory
    fit = None if asked is None else cpu_fit_of(case.resolved, case.facts)
    if asked is None or fit is None or isinstance(fit.memory, Unknown):
        return
    memory = fit.memory
    if memory.verdict in ("fits", "unknown"):
        return
    most = memory.weights.high + memory.cache.high + sum(one.high for one in memory.other.values())
    yield doubtful(
        ("memory",),
        "fit/may-not-fit",
        f"{_model(case, fit)} may not fit {asked / 1024:.3g} GiB of main memory {_at(case, fit)}",
        f"memory: {max(1, math.ceil(most))}GiB",
        detail=memory.reason,
    )


def enough_at_once(case: Case) -> Iterator[Finding]:
    """The engine takes as many requests as it is told; those without memory wait inside it."""
    target = case.resolved.scaling.target_concurrency
    if target is None:
        return
    for fit in case.assessed.fits:
        memory = fit.memory
        if isinstance(memory, Unknown) or memory.verdict != "fits" or memory.typical is None:
            continue
        if _sequences(case, fit) <= memory.typical.high:
            continue  # the engine's own limit is in the way, and another rule says so
        if memory.typical.high < target:
            yield doubtful(
                ("concurrency", "target"),
                "fit/target",
                f"{fit.key} has room for {int(memory.typical.value)} requests of 2k tokens, "
                f"and the autoscaler aims at {target:g}",
                f"concurrency: {{target: {max(1, int(memory.typical.low))}}}, "
                "or a GPU with more memory",
            )
            return


def _sequences(case: Case, fit: Fit) -> float:
    """How many requests the engine runs at once there, whatever memory has room for."""
    said = [v.max_sequences for v in case.resolved.variants if v.entry == fit.entry]
    return min((most for most in said if most is not None), default=math.inf)


def _read(case: Case) -> bool:
    """Whether the model's own files were read: a configuration, or a GGUF file."""
    facts = case.facts
    if isinstance(facts.config, Unknown):
        return not isinstance(facts.header, Unknown) and not isinstance(facts.tensors, Unknown)
    return True


def _path(fit: Fit) -> Path_:
    return ("gpu",) if fit.entry is None else ("gpu", fit.entry)


def _sentence(case: Case, fit: Fit, verdict: str) -> str:
    return f"{_model(case, fit)} {verdict} {_cards(fit)} {_at(case, fit)}"


def _model(case: Case, fit: Fit) -> str:
    """`Qwen/Qwen3-8B in bfloat16`: as the engine has it in memory."""
    source = case.resolved.weights.source
    name = source.partition("://")[2] or source
    known: str | Unknown | None = case.facts.quantization
    inputs, card = _variant(case, fit).memory, gpus.gpus().get(fit.gpu)
    if isinstance(inputs, VllmInputs) and known in _NUMBERS:
        dtype = (with_numbers(inputs, case.facts, card) if card else inputs).dtype
        known = inputs.quantization or (known if dtype == "auto" else dtype)
    return name if isinstance(known, Unknown) else f"{name} in {known}"


def _cards(fit: Fit) -> str:
    return an(fit.gpu) if fit.count == 1 else f"{fit.count} × {fit.gpu}"


def _at(case: Case, fit: Fit) -> str:
    variant = _variant(case, fit)
    if isinstance(variant.context, Unknown):
        return "at its context"
    tokens = variant.context
    return f"at {tokens // 1024}k context" if tokens % 1024 == 0 else f"at {tokens:,} tokens"


def _variant(case: Case, fit: Fit) -> Variant:
    return next(variant for variant in case.resolved.variants if variant.key == fit.key)


def _ways(case: Case, fit: Fit) -> str:
    """Each was tried: followed, it fits."""
    from modelctl.fit.search import ways_out

    inputs, card = _variant(case, fit).memory, gpus.gpus().get(fit.gpu)
    if isinstance(inputs, Unknown) or card is None:
        return ""
    found = [_way(way, case, fit) for way in ways_out(inputs, case.facts, card, fit.count)]
    if len(case.entries) > 1:
        found.append("leave the entry out")
    return "; or ".join(found) or f"a GPU with more memory: modelctl fit {case.wanted.name}"


def _way(way: Way, case: Case, fit: Fit) -> str:
    """The search cuts tensors alone: where the spec says how it is cut, it must say that too."""
    if way.field == "context":
        return f"context: {way.value} fits on this entry"
    entry = case.spec.gpu[fit.entry] if case.spec.gpu and fit.entry is not None else NO_ENTRY
    if way.field == "max_sequences":
        told = {**((case.spec.backend or NO_BACKEND).args or {}), **(entry.args or {})}
        key = next((name for name in told if name.lstrip("-").replace("_", "-") == _OWN), way.field)
        alone = len(case.entries) < 2 and entry.max_sequences is None
        return f"{key}: {way.value}" + ("" if alone else " on this entry")
    if way.field != "gpu":
        return f"{way.field}: {way.value}"
    said = parallel_of(case.spec.model_copy(update={"nodes": None}), entry, 0)
    if said.tensor is None and said.pipeline is None and said.data is None:
        return way.value
    count = way.value.partition(":")[2] or "1"
    others = [f"{name}: 1" for name in ("pipeline", "data") if getattr(said, name) is not None]
    return f"{way.value} with parallel: {{{', '.join([f'tensor: {count}', *others])}}}"


RULES: tuple[Rule, ...] = (fits, in_main_memory, enough_at_once)
