"""Can a container be as large as it is asked to be, start in time, and where it is asked to?"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from msgspec.structs import replace

from modelctl.checks.case import Case, Rule, doubtful, wrong
from modelctl.checks.endpoint import REGION
from modelctl.engines.base import Finding
from modelctl.facts import gpus, places
from modelctl.fit.memory import memory_of
from modelctl.fit.types import VllmInputs
from modelctl.resolved import Unknown, Variant
from modelctl.spec.models import Concurrency
from modelctl.spec.values import duration_text
from modelctl.spec.wanted import Path_

_GB = 10**9
_GIB = 2**30


def size_of_a_container(case: Case) -> Iterator[Finding]:
    spec, limits = case.spec, places.limits()
    asked = (
        ("cpu", spec.cpu, limits["cores"], "cores", lambda most: f"{most:g}"),
        ("memory", _gib(spec.memory), limits["memory_gib"], "GiB of memory", _sized),
        ("disk", _gib(spec.disk), limits["disk_gib"], "GiB of disk", _sized),
    )
    for field, value, limit, unit, written in asked:
        if value is None or value <= limit.most:
            continue
        if limit.source.verified:
            message = f"Modal gives a container at most {limit.most:,.0f} {unit}, not {value:,.0f}"
            yield wrong((field,), "resources/too-much", message, f"{field}: {written(limit.most)}")
        else:
            message = f"no host of Modal's is known to have {value:,.0f} {unit}"
            yield doubtful(
                (field,),
                "resources/too-much",
                message,
                f"{field}: {written(limit.most)} or less",
            )


def time_for_the_weights(case: Case) -> Iterator[Finding]:
    """A start reads all weights out of a Volume before the engine can do anything."""
    size = _size_of_weights(case)
    if size is None:
        return
    rate, timeout = places.volume(), case.setting.startup_timeout
    slow, fast = size / _GB / rate.low, size / _GB / rate.high
    if timeout >= slow:
        return
    enough = duration_text(60 * (int(slow / 60) + 5))
    yield doubtful(
        ("endpoint", "startup_timeout"),
        "scaling/startup-timeout",
        f"reading {size / _GB:,.0f} GB of weights takes {fast:,.0f} to {slow:,.0f} s, and a start "
        f"may take {timeout} s",
        f"endpoint: {{startup_timeout: {enough}}}",
        detail=f"a Volume is read at {rate.low:g} to {rate.high:g} GB/s",
    )


def sequences_below_target(case: Case) -> Iterator[Finding]:
    """The autoscaler counts requests in a container; what the engine cannot run waits there."""
    ours = case.spec.concurrency
    if case.setting.server == "llama-cpp-python":
        return  # which answers one at a time, and its own rule says so
    for index, entry, name, _ in case.entries:
        own: Concurrency | None = entry.concurrency
        target = (own.target if own else None) or (ours.target if ours else None)
        variant = next(
            (v for v in case.resolved.variants if v.entry == index and v.origin == "entry"), None
        )
        sequences = variant.max_sequences if variant else None
        if target is None or variant is None or sequences is None or target <= sequences:
            continue
        where: Path_ = ("max_sequences",)
        if entry.max_sequences is not None:
            where = ("gpu", index, "max_sequences")
        elif case.spec.max_sequences is None:
            where = ("concurrency", "target")
        lower = f"concurrency: {{target: {sequences}}}"
        yield doubtful(
            where,
            "concurrency/target-above-sequences",
            f"with a target of {target} requests a container, {target - sequences} of them wait: "
            f"the engine runs {sequences} at once on {name}",
            f"max_sequences: {target}, or {lower}" if _bears(case, variant, target) else lower,
        )
        if where[0] != "gpu":
            return


def _bears(case: Case, variant: Variant, sequences: int) -> bool:
    """Whether so many at once still fit, as far as that is known."""
    inputs, card = variant.memory, gpus.gpus().get(variant.gpu or "")
    if not isinstance(inputs, VllmInputs) or card is None:
        return True
    found = memory_of(replace(inputs, sequences=sequences), case.facts, card)
    return isinstance(found, Unknown) or found.verdict in ("fits", "unknown")


def price_of_regions(case: Case) -> Iterator[Finding]:
    """Said once, by who chooses: a policy that asks for regions has accepted it."""
    regions = case.resolved.placement.compute_regions
    if not regions or any(p.regions is not None for _, p in case.wanted.project.policies):
        return
    factor, first = places.region_factor(regions), case.assessed.cost.first
    costs = "" if isinstance(first, Unknown) else f": ${first:,.2f} an hour"
    yield doubtful(
        ("endpoint", "compute_regions"),
        "endpoint/region-price",
        f"a container in a region of one's choice costs {factor:g} times as much{costs}",
        "leave compute_regions out, or allow it with a reason",
        key=True,
    )


def known_region(case: Case) -> Iterator[Finding]:
    said, areas = case.spec.endpoint, places.areas()
    named: list[tuple[Path_, str]] = []
    if said and said.region is not None:
        named.append((("endpoint", "region"), said.region))
    for index, region in enumerate((said and said.compute_regions) or ()):
        named.append((("endpoint", "compute_regions", index), region))
    for path, region in named:
        area = region.split("-")[0]
        if area in areas or not REGION.fullmatch(region):
            continue
        near = [name for name in areas if area.startswith(name) or area.endswith(name)]
        near = near or difflib.get_close_matches(area, areas, n=1)
        yield doubtful(
            path,
            "endpoint/unknown-region",
            f"no region of Modal's is known to begin with {area}",
            f"such as {areas[near[0]] if near else 'us-east'}; a place that nobody has is waited "
            "for without end",
        )


def _size_of_weights(case: Case) -> int | None:
    weights = case.resolved.weights
    if weights.upload is not None:
        return weights.upload.size
    size = weights.fetch.size if weights.fetch is not None else case.facts.size
    return None if isinstance(size, Unknown) else size


def _gib(value: int | None) -> float | None:
    return None if value is None else value / _GIB


def _sized(gib: float) -> str:
    return f"{gib / 1024:g}TiB" if gib % 1024 == 0 else f"{gib:g}GiB"


RULES: tuple[Rule, ...] = (
    size_of_a_container,
    time_for_the_weights,
    sequences_below_target,
    price_of_regions,
    known_region,
)
