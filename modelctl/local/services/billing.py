"""What would this have cost? The seconds of the ledger's containers, times Modal's prices."""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.ledger import ContainerEntry, Ledger
from modelctl.local.keeping.state import CALLER, State
from modelctl.local.keeping.store import Store
from modelctl.local.rpc import Refused, Status
from modelctl.local.running.placement import CPU as PROCESSOR
from modelctl.local.services.spans import seconds, span

# Facts about the world stand there once. Their package is not imported: the plane stands alone.
_PRICES = Path(__file__).parents[2] / "facts" / "data" / "gpus.json"
_RESOLUTIONS = {"d": 86_400, "h": 3_600}
_CPU, _MEMORY = "CPU", "Memory"
_CORES, _MIB = 0.125, 128  # what a container gets that asks for nothing. See assumptions.
_CENT_MILLIONTH = Decimal("0.00000001")

OWN = "prices"
"""Under which key the store remembers prices that it was told."""

Costs = Mapping[str, Decimal]  # USD by resource


class Billing:
    """The RPCs on costs. See assumptions for what is counted."""

    def __init__(self, state: State, ledger: Ledger, clock: Clock) -> None:
        self._state = state
        self._ledger = ledger
        self._clock = clock

    def workspace_billing_rates(
        self, _: api_pb2.WorkspaceBillingRatesRequest
    ) -> api_pb2.WorkspaceBillingRatesResponse:
        rates = own_prices(self._state.store) or prices()
        units = {_CPU: "core", _MEMORY: "GiB"}
        lines = ["USD per second:"]
        lines += [
            f"  {name:<14} {_written(price):>12} / {units.get(name, 'GPU')}"
            for name, price in rates.items()
        ]
        return api_pb2.WorkspaceBillingRatesResponse(
            rates={name: _written(price) for name, price in rates.items()},
            formatted="\n".join(lines),
        )

    async def workspace_billing_report(
        self, request: api_pb2.WorkspaceBillingReportRequest
    ) -> AsyncIterator[api_pb2.WorkspaceBillingReportItem]:
        """A row for each interval and app that cost anything; only whole intervals are told of."""
        length = _RESOLUTIONS.get(request.resolution or "d")
        if length is None:
            raise Refused(
                Status.INVALID_ARGUMENT,
                f"There is no resolution '{request.resolution}': use 'd' for days, 'h' for hours.",
            )
        since, until = span(request.start_timestamp, request.end_timestamp, self._clock)
        start, stop = (int(moment) // length * length for moment in (since, until))
        found = self._costs(start, stop, length, request.environment_ids, request.app_ids)
        rows = [
            (interval, self._state.apps[app_id], costs)
            for (interval, app_id), costs in found.items()
        ]
        for interval, app, costs in sorted(rows, key=lambda r: (r[0], r[1].description, r[1].id)):
            wanted = app.tags if "*" in request.tag_names else request.tag_names
            item = api_pb2.WorkspaceBillingReportItem(
                object_id=app.id,
                description=app.description,
                environment_name=self._state.environment_name(app.environment),
                cost=_written(sum(costs.values(), Decimal())),
                tags={name: app.tags[name] for name in wanted if name in app.tags},
                cost_by_resource={name: _written(cost) for name, cost in costs.items()},
            )
            item.interval.FromSeconds(interval)
            yield item

    def workspace_billing_summary(
        self, request: api_pb2.WorkspaceBillingSummaryRequest
    ) -> api_pb2.WorkspaceBillingSummaryResponse:
        start, stop = _month(seconds(request.start_timestamp))
        costs = self._total(start, stop, ())
        cost = _written(sum(costs.values(), Decimal()))
        response = api_pb2.WorkspaceBillingSummaryResponse(
            metered_cost=cost,
            billed_cost=cost,
            metered_cost_breakdown={name: _written(part) for name, part in costs.items()},
        )
        response.start_timestamp.FromSeconds(start)
        response.end_timestamp.FromSeconds(stop)
        return response

    def environment_billing_summary(
        self, request: api_pb2.EnvironmentBillingSummaryRequest
    ) -> api_pb2.EnvironmentBillingSummaryResponse:
        start, stop = _month(seconds(request.start_timestamp))
        costs = self._total(start, stop, [request.environment_id])
        response = api_pb2.EnvironmentBillingSummaryResponse(
            metered_cost=_written(sum(costs.values(), Decimal())),
            metered_cost_breakdown={name: _written(part) for name, part in costs.items()},
        )
        response.start_timestamp.FromSeconds(start)
        response.end_timestamp.FromSeconds(stop)
        return response

    def _total(self, start: int, stop: int, environments: Collection[str]) -> Costs:
        total: dict[str, Decimal] = defaultdict(Decimal)
        for costs in self._costs(start, stop, stop - start, environments, ()).values():
            for name, cost in costs.items():
                total[name] += cost
        return total

    def _costs(
        self,
        start: int,
        stop: int,
        length: int,
        environments: Collection[str],
        app_ids: Collection[str],
    ) -> Mapping[tuple[int, str], Costs]:
        """By the start of the interval and the app."""
        found: dict[tuple[int, str], dict[str, Decimal]] = {}
        now = self._clock.time()
        rates = {**prices(), **own_prices(self._state.store)}
        for container in self._ledger.containers(start, stop):
            app = self._state.apps.get(container.app_id)
            if app is None or self._state.workspace_of(app.id) != CALLER.get():
                continue
            if environments and app.environment not in environments:
                continue
            if app_ids and app.id not in app_ids:
                continue
            for interval, ran in _shares(container, start, stop, length, now):
                costs = found.setdefault((interval, app.id), {})
                for name, cost in cost_of(container, ran, rates).items():
                    costs[name] = costs.get(name, Decimal()) + cost
        return found


@cache
def prices() -> Mapping[str, Decimal]:
    """USD per second: of a core, of a GiB of memory, of one GPU of each type."""
    facts = json.loads(_PRICES.read_text(encoding="utf-8"), parse_float=Decimal)
    machine = facts["machine"]
    rates = {
        _CPU: machine["usd_per_core_second"],
        _MEMORY: machine["usd_per_gib_second"],
    }
    for name, row in facts["gpus"].items():
        if row["usd_per_second"] is not None:
            rates[name] = row["usd_per_second"]
    return rates


def own_prices(store: Store) -> Costs:
    """Those that this plane was told to answer; none where it answers Modal's list."""
    return {name: Decimal(said) for name, said in json.loads(store.get_meta(OWN) or "{}").items()}


def set_own_prices(store: Store, wanted: Mapping[str, Any]) -> None:
    """Answer just these (USD per second) from now on; none: Modal's list. Raises ValueError."""
    try:
        said = {name: _written(Decimal(str(price))) for name, price in wanted.items()}
    except InvalidOperation:
        raise ValueError("a price is a number of USD per second") from None
    store.set_meta(OWN, json.dumps(said))


@cache
def _meanings() -> Mapping[str, str]:
    """What other spellings of GPUs mean."""
    facts = json.loads(_PRICES.read_text(encoding="utf-8"))
    tables = (facts["spellings"], facts["ambiguous"])
    return {name: row["means"] for table in tables for name, row in table.items()}


def cost_of(container: ContainerEntry, ran: Decimal, rates: Costs | None = None) -> Costs:
    """What so many seconds of it cost: the GPU it was given, the CPU and memory it asked for."""
    rates = rates or prices()
    cores = Decimal(str(container.cpu or _CORES))
    gib = Decimal(container.memory or _MIB) / 1024
    costs = {
        _CPU: (ran * cores * rates[_CPU]).quantize(_CENT_MILLIONTH),
        _MEMORY: (ran * gib * rates[_MEMORY]).quantize(_CENT_MILLIONTH),
    }
    if container.gpu not in ("", PROCESSOR):
        kind, _, count = container.gpu.partition(":")
        kind = _meanings().get(kind, kind)
        if kind in rates:
            costs[kind] = (ran * int(count or 1) * rates[kind]).quantize(_CENT_MILLIONTH)
    return costs


def _shares(
    container: ContainerEntry, start: int, stop: int, length: int, now: float
) -> Iterator[tuple[int, Decimal]]:
    """How many seconds of each interval it ran, by the interval's start."""
    if not container.started_at:
        return
    begin = max(container.started_at, start)
    end = min(container.ended_at or now, stop)
    interval = start + int(begin - start) // length * length
    while interval < end:
        ran = min(end, interval + length) - max(begin, interval)
        if ran > 0:
            yield interval, Decimal(str(round(ran, 6)))
        interval += length


def _month(moment: float) -> tuple[int, int]:
    """The month that holds the moment, in UTC: its start and the next one's."""
    first = datetime.fromtimestamp(moment, UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    following = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return int(first.timestamp()), int(following.timestamp())


def _written(amount: Decimal) -> str:
    """A decimal number as Modal writes it: without an exponent."""
    return f"{amount:f}"
