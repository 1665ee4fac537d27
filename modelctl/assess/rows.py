"""What does `modelctl fit` tell? One row a GPU of the list, and what could be done instead."""

from __future__ import annotations

from msgspec import Struct

from modelctl.assess.cost import NO_MAX
from modelctl.fit.speed import Speed
from modelctl.fit.types import Memory
from modelctl.resolved import Unknown


class Row(Struct, frozen=True):
    """One GPU of the list, or one that may come in its place. Prices are of a copy of the model."""

    key: str
    gpu: str
    count: int
    memory: Memory | Unknown
    speed: Speed | Unknown
    usd_per_hour: float | Unknown

    @property
    def usd_per_million(self) -> float | None:
        """USD for a million tokens that are written, at the speed that is predicted."""
        if isinstance(self.speed, Unknown) or isinstance(self.usd_per_hour, Unknown):
            return None
        return self.usd_per_hour / 3600 / self.speed.predicted.value * 1e6


class Report(Struct, frozen=True):
    """What one spec takes in one environment.

    `dtype` is what weights are kept as, in the checkpoint's words. `target` and `most` are the
    concurrency that the spec asks for. `cores` and `memory_gib` stand beside each GPU. `ways` are
    sentences: what fits instead, each tried. `cheapest` is the least expensive GPU of all that
    fits, with its price an hour. A copy of the model has `nodes` containers. `warm` and `at_most`
    are USD an hour of `keep_warm` copies and of `containers` at most, of these too, on the cheapest
    and on the dearest GPU of the list.
    """

    name: str
    model: str
    dtype: str
    context: int | Unknown
    target: float | None
    most: int | None
    engine: str
    version: str
    environment: str
    cores: float
    memory_gib: float
    rows: tuple[Row, ...]
    ways: tuple[str, ...] = ()
    cheapest: tuple[str, float] | None = None
    keep_warm: int = 0
    nodes: int = 1
    containers: int | None = None
    warm: tuple[float, float] | Unknown = (0.0, 0.0)
    at_most: tuple[float, float] | Unknown = NO_MAX
    prices: str = ""
    break_even: float | None = None
    boot_seconds: float = 0.0
    idle_seconds: int = 0

    @property
    def refused(self) -> bool:
        """Whether a GPU of the list cannot run it."""
        return any(
            not isinstance(row.memory, Unknown) and row.memory.verdict == "does not fit"
            for row in self.rows
        )
