"""Which boot speaks of this run, and what does it say? Measured figures beat computed ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from modelctl.facts.gpus import Gpu
from modelctl.fit.cache import CacheLayout, cache_of
from modelctl.fit.numbers import with_numbers
from modelctl.fit.overhead import with_batch
from modelctl.fit.sums import digits_apart
from modelctl.fit.types import (
    GIB,
    TYPICAL,
    Interval,
    LlamaInputs,
    Memory,
    MemoryInputs,
    Verdict,
    VllmInputs,
)
from modelctl.resolved import Flag, Unknown
from modelctl.weights.config_scheme import cache_type_of
from modelctl.weights.config_shape import shape_of
from modelctl.weights.facts import ModelFacts
from modelctl.weights.measured import Measured, Scalar, digest

_ALSO = frozenset(
    (
        "--attention-backend",
        "--compilation-config",
        "--cpu-offload-gb",
        "--cuda-graph-sizes",
        "--cudagraph-capture-sizes",
        "--enable-sleep-mode",
        "--hf-overrides",
        "--max-cudagraph-capture-size",
        "--mm-processor-cache-gb",
        "--optimization-level",
        "--override-kv",
        "--override-tensor",
    )
)
"""Flags that change memory, and that the arithmetic does not follow."""

_OTHER_CONTEXT = 0.1
"""GiB that the cache may differ by at another context: block tables, and what the log rounds."""


class Run(Struct, frozen=True):
    """How a variant runs: what a boot has to have been like, to speak of it."""

    engine: str
    version: str
    gpu: str
    inputs: MemoryInputs
    flags: tuple[Flag, ...]

    @property
    def digest(self) -> str:
        """Of everything that memory follows from; what is as it is by default is left out, so that
        an option that modelctl learns later changes no digest."""
        also = [list(map(str, flag)) for flag in self.flags if str(flag[0]) in _ALSO]
        return digest([type(self.inputs).__name__, _said(self.inputs), *sorted(also)])

    def alike(self, card: Gpu | None) -> str:
        """The same without the context; "" where the rest depends on it."""
        inputs = self.inputs
        if not isinstance(inputs, VllmInputs) or card is None or inputs.task != "generate":
            return ""
        full = with_batch(inputs, card.usable_gib, card.name)
        if full.batched_tokens is None or full.batched_tokens > full.context:
            return ""
        return replace(self, inputs=replace(full, context=0)).digest

    def shown(self) -> dict[str, Scalar]:
        """A readable part, for whoever looks into the lock."""
        inputs = self.inputs
        if isinstance(inputs, LlamaInputs):
            kinds = inputs.k_type, inputs.v_type
            kv = kinds[0] if kinds[0] == kinds[1] else "/".join(kinds)
            found: dict[str, Scalar] = {"slots": inputs.slots, "kv_cache": kv}
            return {"context": inputs.context, "ubatch": inputs.ubatch, **found}
        return {
            "context": inputs.context,
            "sequences": inputs.sequences,
            "batched_tokens": inputs.batched_tokens,
            "kv_cache": inputs.kv_dtype,
            "utilization": inputs.utilization,
            "tensor": inputs.tensor,
            "pipeline": inputs.pipeline,
        }


def measured(
    found: Memory | Unknown, run: Run, model: ModelFacts, card: Gpu | None
) -> Memory | Unknown:
    """What was computed, with the figures of a boot in it where the lock has one of this run.

    Of a boot with another context the cache's bytes are taken, and what follows from them.
    """
    rows = _of(model, run)
    exact = next((row for row in rows if row.inputs == run.digest), None)
    if exact is not None:
        return _exact(found, exact, run.inputs, model, card)
    alike = run.alike(card)
    near = next((row for row in rows if alike and row.alike == alike), None)
    if near is None or isinstance(found, Unknown) or not isinstance(run.inputs, VllmInputs):
        return found
    assert card is not None
    return _near(found, near, run.inputs, model, card)


def _of(model: ModelFacts, run: Run) -> list[Measured]:
    """The boots of this model on this GPU with this engine, the latest first."""
    told = (run.engine, run.version, run.gpu)
    rows = [row for row in model.measured if (row.engine, row.version, row.gpu) == told]
    if not rows:
        return []
    shape = model.shape_digest
    alike = [row for row in rows if row.model == shape]
    return sorted(alike, key=lambda row: (row.at, row.app_version), reverse=True)


def _exact(
    found: Memory | Unknown,
    row: Measured,
    inputs: MemoryInputs,
    model: ModelFacts,
    card: Gpu | None,
) -> Memory | Unknown:
    """It started just like this: whatever was computed, it fits."""
    if isinstance(found, Unknown):
        if card is None or row.weights is None:
            return found
        share = inputs.utilization if isinstance(inputs, VllmInputs) else 1.0
        nothing = Interval.exactly(0.0)
        found = Memory(card.usable_gib, card.usable_gib * share, nothing, nothing)
    changed = replace(found, measured=True, boot=_boot(row))
    if card is not None:
        changed = replace(changed, verdict="fits", reason="")
    if row.weights is not None:
        changed = replace(changed, weights=_gib(row.weights))
    if row.cache is not None:
        changed = replace(changed, cache=_gib(row.cache))
    named = {"compute": row.compute, "CUDA graphs": row.graphs}
    other = {name: _gib(size) for name, size in named.items() if size is not None}
    changed = replace(changed, other={**changed.other, **other})
    if isinstance(inputs, VllmInputs) and card is not None:
        return _counted(changed, row, inputs, model, card)
    whole = changed.weights + changed.cache
    for part in changed.other.values():
        whole = whole + part
    # A container's main memory is what was asked for, and whatever else its host has left.
    sure = card is None and whole.value <= changed.usable
    return replace(changed, verdict="fits", reason="") if sure else changed


def _counted(
    found: Memory, row: Measured, inputs: VllmInputs, model: ModelFacts, card: Gpu
) -> Memory:
    """Tokens as the engine counted them; requests of the usual length, by the model's layout.

    Of several copies of the model each counts its own cache: the figures are of all.
    """
    copies = inputs.data
    if row.tokens is not None:
        tokens = float(copies * row.tokens)
        full = Interval.exactly(tokens / inputs.context)
        found = replace(found, tokens=Interval.exactly(tokens), full=full)
    layout = _layout(inputs, model, card)
    if layout is None or row.cache is None:
        return found
    typical = copies * layout.fit(row.cache, min(TYPICAL, inputs.context)).concurrency
    largest = max(inputs.context, layout.largest_context(row.cache))
    return replace(found, typical=Interval.exactly(typical), largest_context=largest)


def _near(found: Memory, row: Measured, inputs: VllmInputs, model: ModelFacts, card: Gpu) -> Memory:
    """Everything but the context is as at that boot, so weights and cache are as large."""
    layout = _layout(inputs, model, card)
    if layout is None or row.cache is None or row.weights is None:
        return found
    size = row.cache / GIB
    cache = Interval(size, size - _OTHER_CONTEXT, size + _OTHER_CONTEXT)
    need = layout.least_for(inputs.context) / GIB
    digits = digits_apart(need, size)
    said = (
        f"one request takes {need:.{digits}f} GiB of the cache, and a boot had {size:.{digits}f} "
        "for it"
    )
    verdict: Verdict = "may fit"
    if cache.low >= need or cache.high < need:
        verdict = "fits" if cache.low >= need else "does not fit"
    else:
        said += f", give or take {_OTHER_CONTEXT}"

    def each(context: int) -> Interval:
        ends = (cache.value, cache.low, cache.high)
        sizes = (max(0.0, end) * GIB for end in ends)
        return Interval(*(inputs.data * layout.fit(size, context).concurrency for size in sizes))

    full = each(inputs.context)
    return replace(
        found,
        weights=_gib(row.weights),
        cache=cache,
        tokens=Interval(*(end * inputs.context for end in (full.value, full.low, full.high))),
        full=full,
        typical=each(min(TYPICAL, inputs.context)),
        verdict=verdict,
        reason="" if verdict == "fits" else said,
        largest_context=layout.largest_context(max(0.0, cache.low) * GIB) or found.largest_context,
        boot=_boot(row),
    )


def _layout(inputs: VllmInputs, model: ModelFacts, card: Gpu) -> CacheLayout | None:
    if isinstance(model.config, Unknown):
        return None
    inputs = with_batch(with_numbers(inputs, model, card), card.usable_gib, card.name)
    if inputs.kv_dtype == "auto":
        inputs = replace(inputs, kv_dtype=cache_type_of(model.config))
    shape = shape_of(model.config)
    layout = shape if isinstance(shape, Unknown) else cache_of(shape, inputs)
    return None if isinstance(layout, Unknown) or not layout.groups else layout


def _boot(row: Measured) -> str:
    """`chat-8b v12 on 2026-11-20, with a context of 16,384`"""
    context = row.run.get("context")
    length = f", with a context of {context:,}" if isinstance(context, int) else ""
    return f"{row.app} v{row.app_version} on {row.at}{length}"


def _said(inputs: Any) -> Mapping[str, Any]:
    """The fields of a struct that are not as they are by default, and of those inside it."""
    names, defaults = inputs.__struct_fields__, inputs.__struct_defaults__
    # Fields without a default come first.
    unsaid = dict(zip(reversed(names), reversed(defaults), strict=False))
    found = {}
    for name in names:
        value = getattr(inputs, name)
        if name not in unsaid or value != unsaid[name]:
            found[name] = _said(value) if isinstance(value, Struct) else value
    return found


def _gib(size: int) -> Interval:
    return Interval.exactly(size / GIB)


def latest(rows: Iterable[Measured]) -> tuple[Measured, ...]:
    """One row for each run, the last that was given, in order."""
    return tuple(sorted({row.key: row for row in rows}.values(), key=lambda row: row.key))
