"""Does each variant fit its GPU?"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from modelctl.engines import engine as engine_named
from modelctl.facts import gpus
from modelctl.fit.measured import Run, measured
from modelctl.fit.memory import memory_of, on_cpu
from modelctl.fit.types import Memory, MemoryInputs
from modelctl.resolved import Resolved, Unknown, Variant
from modelctl.weights.facts import ModelFacts


class Fit(Struct, frozen=True):
    """What one GPU variant takes of its card. `entry` is its place in the spec's list."""

    key: str
    gpu: str
    count: int
    entry: int | None
    origin: Literal["entry", "upgrade", "cpu"]
    memory: Memory | Unknown


def card_of(fit: Fit) -> gpus.Gpu | None:
    return gpus.gpus().get(fit.gpu)


def fits_of(resolved: Resolved, model: ModelFacts, *, largest: bool = False) -> tuple[Fit, ...]:
    """One for each GPU that may come, in the order of the list; with the largest context or not."""
    return tuple(
        Fit(
            variant.key,
            variant.gpu,
            variant.count,
            variant.entry,
            variant.origin,
            _memory(resolved, variant, model, largest=largest),
        )
        for variant in resolved.variants
        if variant.gpu is not None
    )


def cpu_fit_of(resolved: Resolved, model: ModelFacts) -> Fit | None:
    """What it takes of main memory, where no GPU is asked for."""
    variant = resolved.variants[0]
    if resolved.placement.gpus or variant.gpu is not None:
        return None
    memory: Memory | Unknown
    if isinstance(variant.memory, Unknown):
        memory = variant.memory
    else:
        asked = resolved.placement.memory
        memory = on_cpu(variant.memory, model, None if asked is None else asked / 1024)
        memory = measured(memory, run_of(resolved, variant, variant.memory), model, None)
    return Fit(variant.key, "", 0, None, variant.origin, memory)


def run_of(resolved: Resolved, variant: Variant, inputs: MemoryInputs) -> Run:
    """How it runs, as boots of it are kept in the lock."""
    product = engine_named(resolved.engine).product(resolved.server)
    return Run(product, resolved.engine_version, variant.key, inputs, variant.flags)


def _memory(
    resolved: Resolved, variant: Variant, model: ModelFacts, *, largest: bool
) -> Memory | Unknown:
    card = gpus.gpus().get(variant.gpu or "")
    if card is None:
        return Unknown("this GPU is not in the tables")
    if isinstance(variant.memory, Unknown):
        return variant.memory
    found = memory_of(variant.memory, model, card, largest=largest)
    if not model.measured:
        return found
    return measured(found, run_of(resolved, variant, variant.memory), model, card)
