"""How much of a card's datasheet does an engine reach? Shares of bandwidth and compute."""

from __future__ import annotations

from functools import cache

from msgspec import Struct

from modelctl.facts.tables import table


class Efficiency(Struct, frozen=True):
    """Shares, from 0 to 1, of the datasheet's bandwidth and dense compute."""

    bandwidth: float
    compute: float


class Request(Struct, frozen=True):
    """The request that throughput is given for, in tokens."""

    prompt: int
    output: int


@cache
def efficiency(bits: float) -> Efficiency:
    """Of weights that take this many bits each; scales and padding may make it 4.5 or 8.3."""
    rows = table("speed")["efficiency"]
    row = rows["16"] if bits > 9 else rows["8"] if bits > 6 else rows["4"]
    return Efficiency(row["bandwidth"], row["compute"])


@cache
def step_seconds() -> float:
    """What a step takes beside reading and computing, in seconds."""
    return float(table("speed")["step"]["seconds"])


@cache
def band() -> float:
    """How far a prediction may be off, as a share."""
    return float(table("speed")["band"]["share"])


@cache
def request() -> Request:
    row = table("speed")["request"]
    return Request(row["prompt"], row["output"])


@cache
def boot_seconds() -> float:
    """How long a boot is taken to last where none was recorded."""
    return float(table("speed")["boot"]["seconds"])
