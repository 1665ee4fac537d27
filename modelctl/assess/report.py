"""What does `modelctl fit` say of a spec? Each GPU of its list, and what could be done instead."""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.assess import Assessed
from modelctl.assess.cost import DEFAULT_CORES, memory_mib, price_of
from modelctl.assess.fits import Fit, card_of, cpu_fit_of, fits_of
from modelctl.assess.rows import Report, Row
from modelctl.engines import engine as engine_named
from modelctl.facts.speed import boot_seconds
from modelctl.fit.search import Offer, Way, cheapest, ways_out
from modelctl.fit.speed import Speed, speed_of
from modelctl.fit.types import LlamaInputs
from modelctl.fit.work import at_once, cards_at_work, load_of
from modelctl.resolved import Resolved, Unknown, Variant


def report_of(assessed: Assessed) -> Report:
    resolved, model = assessed.resolved, assessed.model
    placement = resolved.placement
    first = next((v for v in resolved.variants if v.origin == "entry"), resolved.variants[0])
    known = model.quantization
    alone = cpu_fit_of(resolved, model)
    fits = fits_of(resolved, model, largest=True) if alone is None else (alone,)
    rows = tuple(_row(assessed, fit) for fit in fits)
    most = resolved.scaling.max_containers
    return Report(
        name=resolved.name,
        model=resolved.weights.source.partition("://")[2] or resolved.weights.source,
        dtype="" if isinstance(known, Unknown) else known,
        context=first.context,
        target=resolved.scaling.target_concurrency,
        most=resolved.max_concurrency,
        engine=engine_named(resolved.engine).title,
        version=resolved.engine_version,
        environment=resolved.environment,
        cores=DEFAULT_CORES if placement.cpu is None else placement.cpu,
        memory_gib=memory_mib(resolved) / 1024,
        rows=rows,
        ways=tuple(_ways(assessed)),
        cheapest=_cheapest(assessed, rows),
        keep_warm=resolved.scaling.min_containers // resolved.nodes,
        containers=most and most // resolved.nodes,
        nodes=resolved.nodes,
        warm=assessed.cost.warm_range,
        at_most=assessed.cost.at_most_range,
        prices=assessed.prices.words,
        idle_seconds=resolved.scaling.scaledown_window,
        break_even=assessed.cost.break_even(boot_seconds()),
        boot_seconds=boot_seconds(),
    )


def _cheapest(assessed: Assessed, rows: tuple[Row, ...]) -> tuple[str, float] | None:
    """Of all GPUs that surely fit: by what is computed, or by a boot on one of the list."""
    resolved = assessed.resolved
    first = next((v for v in resolved.variants if v.origin == "entry"), None)
    offers = [
        (row.key, row.usd_per_hour)
        for row, fit in zip(rows, assessed.fits, strict=False)
        if fit.origin == "entry" and not isinstance(row.usd_per_hour, Unknown)
        if not isinstance(row.memory, Unknown) and row.memory.measured
    ]
    if first is not None and first.gpu is not None and not isinstance(first.memory, Unknown):
        found = cheapest(first.memory, assessed.model, assessed.prices.cards)
        offers += [] if found is None else [_priced(assessed, found)]
    return min(offers, key=lambda offer: offer[1], default=None)


def _row(assessed: Assessed, fit: Fit) -> Row:
    return Row(
        key=fit.key,
        gpu=fit.gpu,
        count=fit.count,
        memory=fit.memory,
        speed=_speed(assessed, fit),
        usd_per_hour=_of_a_copy(assessed, fit.key),
    )


def _of_a_copy(assessed: Assessed, key: str) -> float | Unknown:
    price = assessed.cost.of(key)
    return price if isinstance(price, Unknown) else price * assessed.resolved.nodes


def _speed(assessed: Assessed, fit: Fit) -> Speed | Unknown:
    """For as many requests as the autoscaler aims at, or as run at once where nobody says."""
    inputs, card = _variant(assessed.resolved, fit).memory, card_of(fit)
    if isinstance(inputs, Unknown) or card is None:
        return Unknown("how it runs is not known")
    if isinstance(inputs, LlamaInputs) and inputs.gpu_layers is None and not _fits(fit):
        return Unknown("llama.cpp would leave a part of it to the CPU")
    load = load_of(inputs, assessed.model)
    if isinstance(load, Unknown):
        return load
    target = assessed.resolved.scaling.target_concurrency or assessed.resolved.max_concurrency or 1
    speed = speed_of(
        load, card, cards_at_work(inputs, fit.count), at_once(inputs, max(1, round(target)))
    )
    return speed or Unknown(f"the compute of a {fit.gpu} is not known")


def _fits(fit: Fit) -> bool:
    return not isinstance(fit.memory, Unknown) and fit.memory.verdict == "fits"


def _variant(resolved: Resolved, fit: Fit) -> Variant:
    return next(variant for variant in resolved.variants if variant.key == fit.key)


def _ways(assessed: Assessed) -> Iterator[str]:
    """For each GPU that it does not fit, what was tried and does."""
    for fit in assessed.fits:
        inputs, card = _variant(assessed.resolved, fit).memory, card_of(fit)
        if isinstance(fit.memory, Unknown) or fit.memory.verdict == "fits":
            continue
        if isinstance(inputs, Unknown) or card is None:
            continue
        found = [_said(way) for way in ways_out(inputs, assessed.model, card, fit.count)]
        if found:
            yield f"{fit.key} fits with {', or '.join(found)}."


def _said(way: Way) -> str:
    """A way out as a field of the spec, and how many such requests have room."""
    words = f"{way.field}: {way.value}"
    if way.field == "context" and way.memory.full is not None:
        requests = int(way.memory.full.value)
        words += f" ({requests} request{'' if requests == 1 else 's'} at a time)"
    return words


def _priced(assessed: Assessed, offer: Offer) -> tuple[str, float]:
    return offer.key, price_of(assessed.resolved, offer.usd_per_hour, assessed.prices)
