"""What does a resolved spec cost? Fact-table prices per variant, per hour."""

from __future__ import annotations

from dataclasses import dataclass

from modelctl.facts import gpus, places
from modelctl.resolved import Resolved, Unknown

# Modal's own request where a spec asks for none: https://modal.com/docs/guide/resources
DEFAULT_CORES = 0.125
DEFAULT_MEMORY_MIB = 128


@dataclass(frozen=True)
class VariantCost:
    """USD an hour of one container on one variant: GPU, cores and memory as they are requested."""

    key: str
    usd_per_hour: float | Unknown


@dataclass(frozen=True)
class Cost:
    """What containers cost. `first` is the variant that Modal tries first: plans count with it.

    `warm` is USD an hour with only the kept-warm containers, `at_most` with every container that
    may run; `at_most` is Unknown where the spec has no max.
    """

    variants: tuple[VariantCost, ...]
    first: float | Unknown
    warm: float | Unknown
    at_most: float | Unknown

    def of(self, key: str) -> float | Unknown:
        for variant in self.variants:
            if variant.key == key:
                return variant.usd_per_hour
        return Unknown(f"there is no variant {key}")


@dataclass(frozen=True)
class Assessed:
    resolved: Resolved
    cost: Cost

    @property
    def warm_usd_per_hour(self) -> float | None:
        """What keep-warm costs an hour; None where a price is not known."""
        return None if isinstance(self.cost.warm, Unknown) else self.cost.warm


def assess(resolved: Resolved) -> Assessed:
    return Assessed(resolved, _cost(resolved))


def _cost(resolved: Resolved) -> Cost:
    variants = tuple(
        VariantCost(variant.key, _per_hour(resolved, variant.entry, variant.count))
        for variant in resolved.variants
        # A CPU variant beside GPUs is for machines that cost nothing here.
        if variant.origin != "cpu" or not resolved.placement.gpus
    )
    first = variants[0].usd_per_hour
    scaling = resolved.scaling
    no_limit = Unknown("scaling.max is not said")
    return Cost(
        variants=variants,
        first=first,
        warm=_times(first, scaling.min_containers),
        at_most=no_limit
        if scaling.max_containers is None
        else _times(first, scaling.max_containers),
    )


def _per_hour(resolved: Resolved, entry: int | None, count: int) -> float | Unknown:
    """An upgrade costs what was asked for, so the entry's price holds for it too."""
    placement, machine = resolved.placement, gpus.machine()
    cores = DEFAULT_CORES if placement.cpu is None else placement.cpu
    memory = DEFAULT_MEMORY_MIB if placement.memory is None else placement.memory
    per_second = cores * machine.usd_per_core_second
    per_second += memory / 1024 * machine.usd_per_gib_second
    if entry is not None:
        asked = next(
            (v for v in resolved.variants if v.entry == entry and v.origin == "entry"), None
        )
        card = gpus.gpus().get((asked and asked.gpu) or "")
        if card is None:
            return Unknown("no price is known for this GPU")
        per_second += count * card.usd_per_second
    return per_second * 3600 * places.region_factor(placement.compute_regions)


def _times(price: float | Unknown, count: int) -> float | Unknown:
    if count == 0:
        return 0.0
    return price if isinstance(price, Unknown) else price * count
