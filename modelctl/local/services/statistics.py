"""How is a server, a function or an app doing? Counts and percentiles of a span of time."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, MutableMapping, Sequence

from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.definitions import parsed
from modelctl.local.keeping.ledger import ContainerEntry, InputEntry, Ledger
from modelctl.local.keeping.records import App
from modelctl.local.keeping.state import State
from modelctl.local.keeping.variants import variants_of
from modelctl.local.rpc import Refused, Status
from modelctl.local.running.fleet import Fleet
from modelctl.local.running.usage import Sampler
from modelctl.local.services.apps import lifecycle
from modelctl.local.services.spans import PRESENT, seconds, span

_PERCENTILES = (5000, 9000, 9500, 9900)  # basis points
_LONGEST_SPAN = 7 * 86_400.0
_GIB = 1 << 30
_MOST_REQUESTS = 20_000  # that one answer holds

_SUCCESS = api_pb2.GenericResult.GENERIC_STATUS_SUCCESS
_TIMEOUT = api_pb2.GenericResult.GENERIC_STATUS_TIMEOUT


class Statistics:
    """The RPCs that count what the ledger holds."""

    def __init__(
        self, state: State, fleet: Fleet, ledger: Ledger, sampler: Sampler, clock: Clock
    ) -> None:
        self._state = state
        self._fleet = fleet
        self._ledger = ledger
        self._sampler = sampler
        self._clock = clock

    def function_get_current_stats(
        self, request: api_pb2.FunctionGetCurrentStatsRequest
    ) -> api_pb2.FunctionStats:
        pool = self._fleet.pool(self._state.function(request.function_id).id)
        running = pool.running() if pool else []
        return api_pb2.FunctionStats(
            backlog=pool.inputs.waiting if pool else 0,
            num_total_tasks=len(running),
            num_running_inputs=sum(c.inflight for c in running),
            input_headroom=sum(
                max(0, (c.max_concurrent or 1) - c.inflight) for c in (pool.live() if pool else [])
            ),
        )

    # -- of a span of time

    async def server_get_time_range_stats(
        self, request: api_pb2.ServerGetTimeRangeStatsRequest
    ) -> api_pb2.ServerGetTimeRangeStatsResponse:
        function_id = self._state.function(request.function_id).id
        since, until = self._checked(request)
        await self._sampler.take()
        which = (function_id, since, until, request.container_id)
        response = api_pb2.ServerGetTimeRangeStatsResponse(since=request.since, until=request.until)
        statuses = self._ledger.statuses(*which)
        response.request_count = sum(statuses.values())
        asked = seconds(request.until) - seconds(request.since)
        response.request_rate_per_second = response.request_count / max(asked, 1.0)
        for family, count in _families(statuses).items():
            response.request_count_by_status_code.add(status_code=family, count=count)
        _distribute(
            response.request_percentile_stats,
            {"Duration (s)": ("seconds", self._ledger.durations(*which))},
        )
        self._count_containers(response, [function_id], since, until, request.container_id)
        return response

    async def function_get_time_range_stats(
        self, request: api_pb2.FunctionGetTimeRangeStatsRequest
    ) -> api_pb2.FunctionGetTimeRangeStatsResponse:
        function_id = self._state.function(request.function_id).id
        variants = [made.id for made in variants_of(self._state, {function_id})]
        ids = [function_id, *variants] if request.rollup else [function_id]
        since, until = self._checked(request)
        await self._sampler.take()
        inputs = self._inputs(ids, since, until, request.container_id)
        ends = Counter(entry.status for entry in inputs)
        response = api_pb2.FunctionGetTimeRangeStatsResponse(
            since=request.since,
            until=request.until,
            input_success_count=ends[_SUCCESS],
            input_timeout_count=ends[_TIMEOUT],
            input_failure_count=len(inputs) - ends[_SUCCESS] - ends[_TIMEOUT],
            variant_count=len(variants),
        )
        if until >= self._clock.time() - PRESENT:
            pools = [pool for known in ids if (pool := self._fleet.pool(known))]
            response.input_running_at_end_count = sum(
                c.inflight for pool in pools for c in pool.running()
            )
        execution = sorted(i.ended_at - i.started_at for i in inputs if i.started_at)
        whole = sorted(i.ended_at - i.created_at for i in inputs)
        _distribute(
            response.input_percentile_stats,
            {
                "Execution time (s)": ("seconds", execution),
                "End-to-end latency (s)": ("seconds", whole),
            },
        )
        self._count_containers(response, ids, since, until, request.container_id)
        return response

    def _inputs(
        self, function_ids: Iterable[str], since: float, until: float, container_id: str = ""
    ) -> list[InputEntry]:
        return [
            entry
            for function_id in function_ids
            for entry in self._ledger.inputs(function_id, since, until, container_id)
        ]

    def app_get_time_range_stats(
        self, request: api_pb2.AppGetTimeRangeStatsRequest
    ) -> api_pb2.AppGetTimeRangeStatsResponse:
        app = self._state.app(request.app_id)
        since, until = self._checked(request)
        response = api_pb2.AppGetTimeRangeStatsResponse(
            since=request.since, until=request.until, lifecycle=lifecycle(app)
        )
        response.deployment_count = sum(
            since <= version.deployed_at < until for version in self._state.app_versions(app.id)
        )
        response.functions.SetInParent()
        response.servers.SetInParent()
        response.sandboxes.SetInParent()
        for name, function_id, is_server in self._layout(app):
            ids = [function_id, *(made.id for made in variants_of(self._state, {function_id}))]
            containers = [
                container
                for known in ids
                for container in self._ledger.containers(since, until, function_id=known)
            ]
            seen = api_pb2.AppContainerCounts(
                container_errors=sum(_failed_in(c, since, until) for c in containers),
                container_active_count=len(containers),
            )
            if is_server:
                requests = self._requests(function_id, since, until)
                counts = api_pb2.AppServerCounts(requests=requests, containers=seen)
                server = response.servers.by_name[name]
                server.object_id = function_id
                server.counts.CopyFrom(counts)
                _add(response.servers.total, counts)
            else:
                calls = self._calls(ids, since, until)
                called = api_pb2.AppFunctionCounts(calls=calls, containers=seen)
                function = response.functions.by_name[name]
                function.object_id = function_id
                function.counts.CopyFrom(called)
                _add(response.functions.total, called)
        return response

    def _layout(self, app: App) -> Iterable[tuple[str, str, bool]]:
        for name, function_id in app.function_ids.items():
            definition = self._state.definitions.get(
                self._state.function(function_id).definition_id
            )
            yield name, function_id, definition is not None and parsed(definition).is_server

    def _requests(self, function_id: str, since: float, until: float) -> api_pb2.AppRequestCounts:
        statuses = self._ledger.statuses(function_id, since, until)
        total = sum(statuses.values())
        ok = sum(count for status, count in statuses.items() if 100 <= status < 400)
        return api_pb2.AppRequestCounts(total=total, ok=ok, failed=total - ok)

    def _calls(self, ids: Iterable[str], since: float, until: float) -> api_pb2.AppCallCounts:
        inputs = self._inputs(ids, since, until)
        good = sum(entry.status == _SUCCESS for entry in inputs)
        return api_pb2.AppCallCounts(total=len(inputs), succeeded=good, failed=len(inputs) - good)

    def _checked(
        self,
        request: api_pb2.ServerGetTimeRangeStatsRequest
        | api_pb2.FunctionGetTimeRangeStatsRequest
        | api_pb2.AppGetTimeRangeStatsRequest,
    ) -> tuple[float, float]:
        if seconds(request.until) - seconds(request.since) > _LONGEST_SPAN + 1:
            raise Refused(
                Status.INVALID_ARGUMENT,
                "The time range of statistics cannot exceed 7 days. Narrow it down.",
            )
        return span(request.since, request.until, self._clock)

    def _count_containers(
        self,
        response: api_pb2.ServerGetTimeRangeStatsResponse
        | api_pb2.FunctionGetTimeRangeStatsResponse,
        function_ids: Sequence[str],
        since: float,
        until: float,
        container_id: str,
    ) -> None:
        containers = [
            container
            for function_id in function_ids
            for container in self._ledger.containers(
                since, until, function_id=function_id, container_id=container_id
            )
        ]
        response.container_total_count = len(containers)
        response.container_started_count = sum(since <= c.started_at < until for c in containers)
        response.container_error_count = sum(_failed_in(c, since, until) for c in containers)
        response.container_creating_at_end_count = sum(
            not 0 < c.ready_at < until and not 0 < c.ended_at < until for c in containers
        )
        starts = sorted(
            c.ready_at - c.enqueued_at for c in containers if since <= c.ready_at < until
        )
        samples = [
            sample
            for function_id in function_ids
            for sample in self._ledger.samples(function_id, since, until, container_id)
        ]
        capital = isinstance(response, api_pb2.FunctionGetTimeRangeStatsResponse)
        word = "Usage" if capital else "usage"  # as the SDK's tables order them
        _distribute(
            response.container_percentile_stats,
            {
                "Startup time (s)": ("seconds", starts),
                f"CPU {word} (cores)": ("cores", sorted(s.cores for s in samples)),
                f"Memory {word} (GiB)": ("GiB", sorted(s.memory / _GIB for s in samples)),
            },
        )

    # -- single requests

    def server_count_requests(
        self, request: api_pb2.ServerCountRequestsRequest
    ) -> api_pb2.ServerCountRequestsResponse:
        function_id = self._state.function(request.function_id).id
        since, until = span(request.since, request.until, self._clock)
        response = api_pb2.ServerCountRequestsResponse()
        bucket = max(1, request.bucket_secs)
        for start, count in self._ledger.counts(function_id, since, until, bucket):
            entry = response.buckets.add(count=count)
            entry.bucket_start_at.FromSeconds(start)
        return response

    def server_request_fetch(
        self, request: api_pb2.ServerRequestFetchRequest
    ) -> api_pb2.ServerRequestFetchResponse:
        """The latest ones newest first, those of a range oldest first."""
        function_id = self._state.function(request.function_id).id
        if request.HasField("range"):
            wanted = request.range
            since, until = span(wanted.since, wanted.until, self._clock)
            limit = min(wanted.limit or _MOST_REQUESTS, _MOST_REQUESTS)
            found = self._ledger.requests(function_id, since, until, limit)
        else:
            limit = min(request.tail.count or _MOST_REQUESTS, _MOST_REQUESTS)
            found = self._ledger.latest_requests(function_id, limit)
        response = api_pb2.ServerRequestFetchResponse()
        for entry in found:
            row = response.requests.add(
                route=f"{entry.method} {entry.path}",
                container_id=entry.container_id,
                duration_seconds=entry.seconds,
                status=entry.status,
            )
            row.timestamp.FromNanoseconds(int(entry.at * 1e9))
        return response


def percentile(ordered: Sequence[float], points: int) -> float:
    """The smallest value that so many basis points of them do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * points / 10_000) - 1)]


def _distribute(
    target: MutableMapping[str, api_pb2.StatsPercentileDistribution],
    measured: Mapping[str, tuple[str, Sequence[float]]],
) -> None:
    """Fills in the percentiles of what was measured at all; values come in order."""
    for name, (unit, ordered) in measured.items():
        if ordered:
            distribution = target[name]
            distribution.unit = unit
            for points in _PERCENTILES:
                distribution.percentiles.add(
                    percentile_basis_points=points, value=percentile(ordered, points)
                )


def _families(statuses: Mapping[int, int]) -> dict[int, int]:
    """Counts by 200, 300, 400, 500. See assumptions."""
    families: Counter[int] = Counter()
    for status, count in statuses.items():
        families[status // 100 * 100] += count
    return dict(sorted(families.items()))


def _failed_in(container: ContainerEntry, since: float, until: float) -> bool:
    return container.failed and since <= container.ended_at < until


def _add(
    total: api_pb2.AppServerCounts | api_pb2.AppFunctionCounts,
    part: api_pb2.AppServerCounts | api_pb2.AppFunctionCounts,
) -> None:
    """Adds every count of `part`, field by field."""
    for group, counts in part.ListFields():
        into = getattr(total, group.name)
        into.SetInParent()
        for field, value in counts.ListFields():
            setattr(into, field.name, getattr(into, field.name) + value)
