"""Where may containers run, how large may they be, and what does a place cost?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from msgspec import Struct

from modelctl.facts.tables import Source, source_of, table


class Most(Struct, frozen=True):
    """The most of something that a container may ask for: cores or GiB."""

    most: float
    source: Source


class Volume(Struct, frozen=True):
    """How fast weights come out of a Volume, in GB/s."""

    low: float
    high: float
    source: Source


def clouds() -> tuple[str, ...]:
    return tuple(table("places")["clouds"]["names"])


def areas() -> Mapping[str, str]:
    """What a region begins with, each with an example of one."""
    return {name: row["example"] for name, row in table("places")["areas"].items()}


def region_factor(regions: Sequence[str]) -> float:
    """What choosing regions multiplies the price by: `us` is broad, `us-east` narrow."""
    if not regions:
        return 1.0
    row = table("places")["factors"]
    narrow = any("-" in region for region in regions)
    factor: float = row["narrow" if narrow else "broad"]["factor"]
    return factor


def nonpreemptible_factor() -> float:
    """What containers that are not moved multiply the price of cores and memory by."""
    return float(table("places")["factors"]["nonpreemptible"]["factor"])


def disk_per_memory() -> float:
    """How much disk is billed as one of memory, where it is more than the memory asked for."""
    return float(table("places")["factors"]["disk"]["factor"])


@cache
def limits() -> Mapping[str, Most]:
    """`cores`, `memory_gib` and `disk_gib` of one container."""
    rows = table("places")["container"]
    return {name: Most(row["most"], source_of(row)) for name, row in rows.items()}


@cache
def volume() -> Volume:
    row = table("places")["volume"]
    return Volume(row["gb_per_second_low"], row["gb_per_second_high"], source_of(row))
