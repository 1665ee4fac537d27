"""What does a spec take, and what does it cost? Memory and price of every variant."""

from __future__ import annotations

from functools import cached_property

from msgspec import Struct

from modelctl.assess.cost import Cost, cost_of
from modelctl.assess.fits import Fit, fits_of
from modelctl.facts.prices import Prices, list_prices
from modelctl.resolved import Resolved, Unknown
from modelctl.weights.facts import ModelFacts


class Assessed(Struct, frozen=True, dict=True):
    resolved: Resolved
    model: ModelFacts
    cost: Cost
    prices: Prices

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """What each GPU that may come holds, in the order of the list; worked out when asked."""
        return fits_of(self.resolved, self.model)

    @property
    def warm_usd_per_hour(self) -> float | None:
        """What keep-warm costs an hour; None where a price is not known."""
        return None if isinstance(self.cost.warm, Unknown) else self.cost.warm

    @property
    def dearest_usd_per_hour(self) -> float | None:
        """The same on the dearest GPU of the list."""
        found = self.cost.warm_range
        return None if isinstance(found, Unknown) else found[1]

    @property
    def usd_per_hour_at_max(self) -> float | None:
        """With every container that may run; None where there is no most, or no price."""
        return None if isinstance(self.cost.at_most, Unknown) else self.cost.at_most


def assess(resolved: Resolved, model: ModelFacts, prices: Prices | None = None) -> Assessed:
    """`prices` are Modal's list where none are given."""
    return Assessed(resolved, model, cost_of(resolved, prices), prices or list_prices())
