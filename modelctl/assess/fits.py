"""Does each variant fit its GPU?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelctl.facts import gpus
from modelctl.fit.memory import memory_of
from modelctl.fit.types import Memory
from modelctl.resolved import Resolved, Unknown, Variant
from modelctl.weights.facts import ModelFacts


@dataclass(frozen=True)
class Fit:
    """What one GPU variant takes of its card. `entry` is its place in the spec's list."""

    key: str
    gpu: str
    count: int
    entry: int | None
    origin: Literal["entry", "upgrade", "cpu"]
    memory: Memory | Unknown


def card_of(fit: Fit) -> gpus.Gpu | None:
    return gpus.gpus().get(fit.gpu)


def fits_of(resolved: Resolved, model: ModelFacts) -> tuple[Fit, ...]:
    """One for each GPU that may come, in the order of the list."""
    return tuple(
        Fit(
            variant.key,
            variant.gpu,
            variant.count,
            variant.entry,
            variant.origin,
            _memory(variant, model),
        )
        for variant in resolved.variants
        if variant.gpu is not None
    )


def _memory(variant: Variant, model: ModelFacts) -> Memory | Unknown:
    card = gpus.gpus().get(variant.gpu or "")
    if card is None:
        return Unknown("this GPU is not in the tables")
    if isinstance(variant.memory, Unknown):
        return variant.memory
    return memory_of(variant.memory, model, card)
