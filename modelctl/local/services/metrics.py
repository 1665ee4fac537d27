"""How did a server or function do over time? Series of the ledger's entries in buckets."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.ledger import (
    KEEP_LINES,
    ContainerEntry,
    InputEntry,
    Ledger,
    RequestEntry,
    Sample,
)
from modelctl.local.keeping.state import State
from modelctl.local.rpc import Refused, Status
from modelctl.local.running.usage import Sampler
from modelctl.local.services.spans import span
from modelctl.local.services.statistics import percentile

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_WIDTHS = (
    *(minutes * _MINUTE for minutes in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)),
    *(hours * _HOUR for hours in (1, 2, 3, 4, 8, 12)),
    _DAY,
)
_USUAL_BUCKETS = 100
_MOST_BUCKETS = 500
_LONGEST_SPAN = 31 * _DAY
_GIB = 1 << 30
_SUCCESS = api_pb2.GenericResult.GENERIC_STATUS_SUCCESS

Value = float | None


@dataclass(frozen=True)
class Bucket:
    """What happened in one bucket of time; `containers` and `requests` overlap it."""

    start: float
    end: float
    containers: Sequence[ContainerEntry]
    requests: Sequence[RequestEntry]
    inputs: Sequence[InputEntry]
    samples: Sequence[Sample]

    def holds(self, moment: float) -> bool:
        return self.start <= moment < self.end

    @property
    def arrived(self) -> list[RequestEntry]:
        return [request for request in self.requests if self.holds(request.at)]


@dataclass(frozen=True)
class Series:
    """One series; the end of its name says how a bucket's values became one."""

    group: str
    name: str
    unit: str
    description: str
    value: Callable[[Bucket], Value]
    server: bool = True
    function: bool = True


def _at_once(spans: Iterable[tuple[float, float]], bucket: Bucket) -> float:
    """How many there were on average; an end of 0 has not come yet."""
    covered = sum(
        max(0.0, min(end or bucket.end, bucket.end) - max(begin, bucket.start))
        for begin, end in spans
    )
    return covered / (bucket.end - bucket.start)


def _answered(family: int) -> Callable[[Bucket], Value]:
    return lambda bucket: sum(request.status // 100 == family for request in bucket.arrived)


def _duration(points: int) -> Callable[[Bucket], Value]:
    def value(bucket: Bucket) -> Value:
        ordered = sorted(request.seconds for request in bucket.arrived)
        return percentile(ordered, points) if ordered else None

    return value


def _mean(values: Sequence[float]) -> Value:
    return sum(values) / len(values) if values else None


def _peak(values: Sequence[float]) -> Value:
    return max(values, default=None)


def _starts(bucket: Bucket) -> list[float]:
    return [c.ready_at - c.enqueued_at for c in bucket.containers if bucket.holds(c.ready_at)]


def _nothing(_: Bucket) -> Value:
    """What nobody measures: there is no GPU, and the loopback is not counted."""
    return None


SERIES = (
    Series(
        "containers",
        "containers_avg",
        "containers",
        "Containers that run, starting ones included",
        lambda b: _at_once(((c.enqueued_at, c.ended_at) for c in b.containers), b),
    ),
    Series(
        "containers",
        "live_containers_avg",
        "containers",
        "Containers that are ready",
        lambda b: _at_once(((c.ready_at, c.ended_at) for c in b.containers if c.ready_at), b),
    ),
    Series(
        "containers",
        "started_containers_count",
        "containers",
        "Containers that started",
        lambda b: sum(b.holds(c.started_at) for c in b.containers),
    ),
    Series(
        "containers",
        "failed_containers_count",
        "containers",
        "Containers that ended without having been asked to",
        lambda b: sum(c.failed and b.holds(c.ended_at) for c in b.containers),
    ),
    Series(
        "containers",
        "startup_time_avg",
        "seconds",
        "Time until a container is ready",
        lambda b: _mean(_starts(b)),
    ),
    Series(
        "cpu",
        "cpu_usage_avg",
        "cores",
        "Processor use of a container",
        lambda b: _mean([s.cores for s in b.samples]),
    ),
    Series(
        "cpu",
        "cpu_usage_max",
        "cores",
        "Processor use of the busiest container",
        lambda b: _peak([s.cores for s in b.samples]),
    ),
    Series(
        "memory",
        "memory_usage_avg",
        "GiB",
        "Memory use of a container",
        lambda b: _mean([s.memory / _GIB for s in b.samples]),
    ),
    Series(
        "memory",
        "memory_usage_max",
        "GiB",
        "Memory use of the largest container",
        lambda b: _peak([s.memory / _GIB for s in b.samples]),
    ),
    Series("network", "network_received_sum", "bytes", "Not measured here", _nothing),
    Series("network", "network_sent_sum", "bytes", "Not measured here", _nothing),
    Series("gpu", "gpu_utilization_avg", "percent", "Not measured: no GPU is here", _nothing),
    Series("gpu", "gpu_memory_usage_avg", "GiB", "Not measured: no GPU is here", _nothing),
    Series(
        "requests",
        "requests_count",
        "requests",
        "Requests",
        lambda b: len(b.arrived),
        function=False,
    ),
    *(
        Series(
            "requests",
            f"requests_{family}xx_count",
            "requests",
            f"Requests answered with a status of {family}xx",
            _answered(family),
            function=False,
        )
        for family in (2, 3, 4, 5)
    ),
    *(
        Series(
            "requests",
            f"request_duration_p{points // 100}",
            "seconds",
            "Time until a request is answered whole",
            _duration(points),
            function=False,
        )
        for points in (5000, 9000, 9900)
    ),
    Series(
        "requests",
        "concurrent_requests_avg",
        "requests",
        "Requests under way at once",
        lambda b: _at_once(((r.at, r.at + r.seconds) for r in b.requests), b),
        function=False,
    ),
    Series(
        "calls",
        "successful_calls_count",
        "calls",
        "Inputs that succeeded",
        lambda b: sum(i.status == _SUCCESS for i in b.inputs),
        server=False,
    ),
    Series(
        "calls",
        "failed_calls_count",
        "calls",
        "Inputs that failed",
        lambda b: sum(i.status != _SUCCESS for i in b.inputs),
        server=False,
    ),
    Series(
        "calls",
        "execution_time_avg",
        "seconds",
        "Time that an input runs",
        lambda b: _mean([i.ended_at - i.started_at for i in b.inputs if i.started_at]),
        server=False,
    ),
)

Request = (
    api_pb2.ServerGetMetricsRequest
    | api_pb2.FunctionGetMetricsRequest
    | api_pb2.MetricsGetInfoRequest
)


class Metrics:
    """The RPCs on metrics."""

    def __init__(self, state: State, ledger: Ledger, sampler: Sampler, clock: Clock) -> None:
        self._state = state
        self._ledger = ledger
        self._sampler = sampler
        self._clock = clock

    def metrics_get_info(
        self, request: api_pb2.MetricsGetInfoRequest
    ) -> api_pb2.MetricsGetInfoResponse:
        start, stop, width = self._window(request)
        is_server = request.target_type == request.METRICS_TARGET_TYPE_SERVER
        response = api_pb2.MetricsGetInfoResponse(
            bucket_secs=width, bucket_count=(stop - start) // width
        )
        for series in _chosen(request.groups, is_server):
            group = response.groups.add(name=series.group)
            group.metrics.add(name=series.name, unit=series.unit, description=series.description)
        return response

    async def server_get_metrics(
        self, request: api_pb2.ServerGetMetricsRequest
    ) -> api_pb2.ServerGetMetricsResponse:
        response = api_pb2.ServerGetMetricsResponse()
        await self._fill(request, response, is_server=True)
        return response

    async def function_get_metrics(
        self, request: api_pb2.FunctionGetMetricsRequest
    ) -> api_pb2.FunctionGetMetricsResponse:
        response = api_pb2.FunctionGetMetricsResponse()
        await self._fill(request, response, is_server=False)
        return response

    async def _fill(
        self,
        request: api_pb2.ServerGetMetricsRequest | api_pb2.FunctionGetMetricsRequest,
        response: api_pb2.ServerGetMetricsResponse | api_pb2.FunctionGetMetricsResponse,
        *,
        is_server: bool,
    ) -> None:
        function_id = self._state.function(request.function_id).id
        chosen = _chosen(request.groups, is_server)
        start, stop, width = self._window(request)
        await self._sampler.take()
        buckets = self._buckets(function_id, start, stop, width)
        response.since.FromSeconds(start)
        response.until.FromSeconds(stop)
        response.bucket_secs = width
        for series in chosen:
            given = response.series.add(
                name=series.name, unit=series.unit, description=series.description
            )
            for bucket in buckets:
                point = given.points.add(value=series.value(bucket))
                point.timestamp.FromSeconds(int(bucket.start))

    def _window(self, request: Request) -> tuple[int, int, int]:
        """Start, end and width, on multiples of the width; the partial bucket at the end is out."""
        since, until = span(request.since, request.until, self._clock)
        length = until - since
        if length > _LONGEST_SPAN + self._clock.ahead + 1:
            raise Refused(
                Status.INVALID_ARGUMENT,
                "The time range of metrics cannot exceed 31 days. Narrow it down.",
            )
        width = request.bucket_secs
        if not width:
            fitting = (known for known in _WIDTHS if length / known <= _USUAL_BUCKETS)
            width = next(fitting, _DAY)
        if width not in _WIDTHS:
            raise Refused(
                Status.INVALID_ARGUMENT,
                f"A bucket of {width} s is not supported. Use 1m, 2m, 3m, 4m, 5m, 6m, 10m, 12m, "
                "15m, 20m, 30m, 1h, 2h, 3h, 4h, 8h, 12h or 1d.",
            )
        start, stop = int(since) // width * width, int(until) // width * width
        if (stop - start) // width > _MOST_BUCKETS:
            raise Refused(
                Status.INVALID_ARGUMENT,
                f"Metrics are limited to {_MOST_BUCKETS} points per series. "
                "Use a wider bucket or a shorter time range.",
            )
        return start, stop, width

    def _buckets(self, function_id: str, start: int, stop: int, width: int) -> list[Bucket]:
        count = (stop - start) // width
        containers: list[list[ContainerEntry]] = [[] for _ in range(count)]
        requests: list[list[RequestEntry]] = [[] for _ in range(count)]
        inputs: list[list[InputEntry]] = [[] for _ in range(count)]
        samples: list[list[Sample]] = [[] for _ in range(count)]

        def indices(begin: float, end: float) -> range:
            return range(
                max(0, int((begin - start) // width)), min(count, int((end - start) // width) + 1)
            )

        for container in self._ledger.containers(start, stop, function_id=function_id):
            for index in indices(container.enqueued_at, container.ended_at or stop):
                containers[index].append(container)
        for request in self._ledger.requests(function_id, start, stop, KEEP_LINES):
            for index in indices(request.at, request.at + request.seconds):
                requests[index].append(request)
        for entry in self._ledger.inputs(function_id, start, stop):
            for index in indices(entry.ended_at, entry.ended_at):
                inputs[index].append(entry)
        for sample in self._ledger.samples(function_id, start, stop):
            for index in indices(sample.at, sample.at):
                samples[index].append(sample)
        return [
            Bucket(
                start + index * width,
                start + (index + 1) * width,
                containers[index],
                requests[index],
                inputs[index],
                samples[index],
            )
            for index in range(count)
        ]


def _chosen(groups: Sequence[str], is_server: bool) -> list[Series]:
    possible = [series for series in SERIES if (series.server if is_server else series.function)]
    known = list(dict.fromkeys(series.group for series in possible))
    for group in groups:
        if group not in known:
            raise Refused(
                Status.INVALID_ARGUMENT,
                f"There is no group of metrics '{group}'. The groups are {', '.join(known)}.",
            )
    return [series for series in possible if not groups or series.group in groups]
