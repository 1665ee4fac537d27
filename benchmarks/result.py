"""What came out of a benchmark? Rows of figures, each beside its peer and its goals."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


class CannotMeasure(Exception):
    """A figure would say nothing: a command failed, or the sides did not do the same work."""


@dataclass(frozen=True)
class Figure:
    """One quantity, as often as it was taken."""

    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True)
class Goal:
    """What was promised, and whether this run kept it."""

    words: str
    met: bool


@dataclass(frozen=True)
class Row:
    """One line of the table. `ratio` is theirs to ours, the median of the pairs taken together."""

    what: str
    ours: Figure
    theirs: Figure | None = None
    ratio: float | None = None
    goals: tuple[Goal, ...] = ()


def milliseconds(seconds: Sequence[float]) -> Figure:
    return Figure(tuple(s * 1000 for s in seconds), "ms")


def at_most(figure: Figure, most: float) -> Goal:
    return Goal(f"≤ {most:g} {figure.unit}", figure.median <= most)


def times_faster(ratio: float, least: float) -> Goal:
    return Goal(f"≥ {least:g}× faster", ratio >= least)


def paired(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median of theirs to ours, each pair taken one after the other under the same load."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))
