"""What do the containers of a spec cost? USD an hour, by Modal's prices or a workspace's own."""

from __future__ import annotations

from msgspec import Struct

from modelctl.facts import places
from modelctl.facts.prices import Prices, list_prices
from modelctl.resolved import Resolved, Unknown

# Modal's own request where a spec asks for none: https://modal.com/docs/guide/resources
DEFAULT_CORES = 0.125
DEFAULT_MEMORY_MIB = 128
HOURS_A_MONTH = 730
NO_MAX = Unknown("scaling.max is not said")


class VariantCost(Struct, frozen=True):
    """USD an hour of one container on one variant: GPU, cores and memory as they are requested."""

    key: str
    usd_per_hour: float | Unknown


class Cost(Struct, frozen=True):
    """What containers cost. `first` is the variant that Modal tries first: plans count with it.

    `warm` is USD an hour with only the kept-warm containers, `at_most` with every container that
    may run; `at_most` is Unknown where the spec has no max. `words` say whose prices these are.
    """

    variants: tuple[VariantCost, ...]
    first: float | Unknown
    warm: float | Unknown
    at_most: float | Unknown
    warm_containers: int = 0
    containers: int | None = None
    idle_seconds: int = 0
    words: str = ""

    @property
    def dearest(self) -> VariantCost | None:
        """The variant that costs most, of those whose price is known."""
        return max(
            (v for v in self.variants if not isinstance(v.usd_per_hour, Unknown)),
            key=lambda v: 0.0 if isinstance(v.usd_per_hour, Unknown) else v.usd_per_hour,
            default=None,
        )

    @property
    def prices(self) -> tuple[float, ...]:
        """The known prices of the list, USD an hour of one container, from the least."""
        found = (variant.usd_per_hour for variant in self.variants)
        return tuple(sorted(price for price in found if not isinstance(price, Unknown)))

    @property
    def warm_range(self) -> tuple[float, float] | Unknown:
        """USD an hour of keep_warm: on the cheapest and on the dearest of the list."""
        return self._range(self.warm_containers)

    @property
    def at_most_range(self) -> tuple[float, float] | Unknown:
        """USD an hour with every container that may run, likewise."""
        if self.containers is None:
            return NO_MAX
        return self._range(self.containers)

    def _range(self, count: int) -> tuple[float, float] | Unknown:
        if not self.prices:
            return Unknown("no price is known for these GPUs") if count else (0.0, 0.0)
        return count * self.prices[0], count * self.prices[-1]

    def break_even(self, boot_seconds: float, starts_per_hour: float = 1.0) -> float:
        """The share of an hour that requests keep a container busy above which one that is kept
        warm costs no more than one that starts `starts_per_hour` times and leaves when idle.

        Each start is paid for while it boots, and while it waits for a request that never comes.
        """
        wasted = starts_per_hour * (boot_seconds + self.idle_seconds) / 3600
        return max(0.0, 1.0 - wasted)

    def of(self, key: str) -> float | Unknown:
        for variant in self.variants:
            if variant.key == key:
                return variant.usd_per_hour
        return Unknown(f"there is no variant {key}")


def cost_of(resolved: Resolved, prices: Prices | None = None) -> Cost:
    """What its containers cost, by these prices: Modal's list where none are given."""
    prices = prices or list_prices()
    variants = tuple(
        VariantCost(variant.key, _per_hour(resolved, variant.entry, variant.count, prices))
        for variant in resolved.variants
        # A CPU variant beside GPUs is for machines that cost nothing here.
        if variant.origin != "cpu" or not resolved.placement.gpus
    )
    first = variants[0].usd_per_hour
    scaling = resolved.scaling
    return Cost(
        variants=variants,
        first=first,
        warm=_times(first, scaling.min_containers),
        at_most=NO_MAX if scaling.max_containers is None else _times(first, scaling.max_containers),
        warm_containers=scaling.min_containers,
        containers=scaling.max_containers,
        idle_seconds=scaling.scaledown_window,
        words=prices.words,
    )


def _per_hour(resolved: Resolved, entry: int | None, count: int, prices: Prices) -> float | Unknown:
    """An upgrade costs what was asked for, so the entry's price holds for it too."""
    if entry is None:
        return price_of(resolved, 0.0, prices)
    asked = next((v for v in resolved.variants if v.entry == entry and v.origin == "entry"), None)
    card = prices.cards.get((asked and asked.gpu) or "")
    if card is None:
        return Unknown("no price is known for this GPU")
    return price_of(resolved, count * card * 3600, prices)


def price_of(resolved: Resolved, cards: float, prices: Prices | None = None) -> float:
    """USD an hour of one container with cards of that price: cores, memory and region with it."""
    prices = prices or list_prices()
    placement = resolved.placement
    cores = DEFAULT_CORES if placement.cpu is None else placement.cpu
    beside = cores * prices.core + memory_mib(resolved) / 1024 * prices.gib
    if placement.nonpreemptible:
        beside *= places.nonpreemptible_factor()
    return (cards + beside * 3600) * places.region_factor(placement.compute_regions)


def memory_mib(resolved: Resolved) -> float:
    """The memory that is billed at least: what is asked for, and more where the disk is large."""
    placement = resolved.placement
    asked = DEFAULT_MEMORY_MIB if placement.memory is None else placement.memory
    return max(float(asked), (placement.disk or 0) / places.disk_per_memory())


def _times(price: float | Unknown, count: int) -> float | Unknown:
    if count == 0:
        return 0.0
    return price if isinstance(price, Unknown) else price * count
