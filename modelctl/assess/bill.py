"""What do all specs of one environment cost together? USD an hour, from the least to the most."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from modelctl.assess import Assessed
from modelctl.resolved import NO_LIMITS, Limits, Unknown


class Bill(Struct, frozen=True):
    """`warm` and `at_most` go from the cheapest GPU of each list to the dearest; `first` and
    `first_at_most` count with the first of each. `at_most` leaves out the `unlimited`, which have
    no max, and both leave out the `unpriced`. `parts` is what each spec's keep_warm costs.
    """

    environment: str
    words: str
    warm: tuple[float, float] = (0.0, 0.0)
    at_most: tuple[float, float] = (0.0, 0.0)
    first: float = 0.0
    first_at_most: float = 0.0
    parts: tuple[tuple[str, float], ...] = ()
    unlimited: tuple[str, ...] = ()
    unpriced: tuple[str, ...] = ()
    limits: Limits = NO_LIMITS

    @property
    def paid(self) -> bool:
        """Whether Modal would ever send it: `local` and `prod+local` run on this machine."""
        return self.environment.split("+")[-1] != "local"


def bill_of(environment: str, found: Sequence[Assessed], limits: Limits = NO_LIMITS) -> Bill:
    """`limits` are those of the whole environment."""
    warm, most = [0.0, 0.0], [0.0, 0.0]
    first = first_most = 0.0
    parts, unlimited, unpriced = [], [], []
    for assessed in found:
        cost, name = assessed.cost, assessed.resolved.name
        if isinstance(cost.first, Unknown) or isinstance(cost.warm, Unknown):
            unpriced.append(name)
            continue
        first += cost.warm
        parts.append((name, cost.warm))
        for total, part in ((warm, cost.warm_range), (most, cost.at_most_range)):
            if not isinstance(part, Unknown):
                total[0] += part[0]
                total[1] += part[1]
        if isinstance(cost.at_most, Unknown):
            unlimited.append(name)
        else:
            first_most += cost.at_most
    return Bill(
        environment=environment,
        words=found[0].prices.words if found else "",
        warm=(warm[0], warm[1]),
        at_most=(most[0], most[1]),
        first=first,
        first_at_most=first_most,
        parts=tuple(parts),
        unlimited=tuple(unlimited),
        unpriced=tuple(unpriced),
        limits=limits,
    )
