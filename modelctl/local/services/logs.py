"""How are logs given out? Fetched, counted and followed, as Modal's log RPCs do."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from itertools import groupby
from typing import Any

from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.journal import STDERR, STDOUT, SYSTEM, Journal
from modelctl.local.keeping.ledger import Ledger
from modelctl.local.keeping.recipes import is_builder
from modelctl.local.keeping.records import App
from modelctl.local.keeping.state import State
from modelctl.local.protobuf import Timestamp
from modelctl.local.rpc import Refused, Status
from modelctl.local.services.spans import PRESENT

_STREAM_BATCH = 1000
# Conditions are put together from fragments of our own; values always go in as parameters.
_LINES = "SELECT id, function_id, task_id, fd, ns, data FROM logs"
_COUNTS = "SELECT ns / ? AS bucket, sum(fd = ?), sum(fd = ?), sum(fd = ?) FROM logs"

# A line belongs to the input that its container began last; see assumptions.
_OF_CALL = (
    "task_id IN (SELECT container_id FROM function_inputs WHERE call_id = ?) AND "
    "(SELECT i.call_id FROM function_inputs i WHERE i.container_id = task_id "
    "AND i.started_at * 1e9 <= ns AND (i.finished_at = 0 OR (i.finished_at + 1) * 1e9 >= ns) "
    "ORDER BY i.started_at DESC LIMIT 1) = ?"
)


class Logs:
    """The log RPCs."""

    def __init__(self, state: State, journal: Journal, ledger: Ledger, clock: Clock) -> None:
        self._state = state
        self._store = state.store
        self._journal = journal
        self._ledger = ledger
        self._clock = clock

    def app_fetch_logs(self, request: api_pb2.AppFetchLogsRequest) -> api_pb2.AppFetchLogsResponse:
        """The most recent `limit` lines of the time range, oldest first."""
        where, values = self._in_span(request)
        rows = self._store.execute(
            f"{_LINES} WHERE {where} ORDER BY ns DESC, id DESC LIMIT ?",
            [*values, request.limit or 20_000],
        ).fetchall()
        return api_pb2.AppFetchLogsResponse(batches=_batches(reversed(rows)))

    def app_count_logs(self, request: api_pb2.AppCountLogsRequest) -> api_pb2.AppCountLogsResponse:
        """Lines per bucket; the buckets lie on multiples of their length, empty ones left out."""
        where, values = self._in_span(request)
        length = max(1, request.bucket_secs) * 1_000_000_000
        rows = self._store.execute(
            f"{_COUNTS} WHERE {where} GROUP BY bucket ORDER BY bucket",
            [length, STDOUT, STDERR, SYSTEM, *values],
        )
        response = api_pb2.AppCountLogsResponse(app_id=request.app_id)
        # Clients leave out what begins after their own present: with a clock that was moved ahead
        # of it, all of that is counted in its last bucket.
        last = max(0, _ns(request.until) - 1) // length
        counts: dict[int, list[int]] = {}
        for bucket, *found in rows:
            known = counts.setdefault(min(bucket, last), [0, 0, 0])
            known[:] = map(sum, zip(known, found, strict=True))
        for bucket, (stdout, stderr, system) in counts.items():
            entry = response.buckets.add(stdout_logs=stdout, stderr_logs=stderr, system_logs=system)
            entry.bucket_start_at.FromNanoseconds(bucket * length)
        return response

    def _in_span(
        self, request: api_pb2.AppFetchLogsRequest | api_pb2.AppCountLogsRequest
    ) -> tuple[str, list[Any]]:
        self._journal.flush()
        builds_image = is_builder(self._state.images, request.app_id)
        app_id = request.app_id if builds_image else self._app(request).id
        where, values = _filters(request, app_id)
        since, until = _ns(request.since), _ns(request.until)
        if until >= (time.time() - PRESENT) * 1e9:  # as in `span`, to the nanosecond
            until += int(self._clock.ahead * 1e9)
        return f"{where} AND ns >= ? AND ns < ?", [*values, since, until]

    def _app(self, request: Any) -> App:
        """The app whose logs are asked for, or that of the function or container."""
        app_id = request.app_id
        if not app_id and request.function_id:
            app_id = self._state.function(request.function_id).app_id
        if not app_id and request.task_id:
            if (container := self._ledger.container(request.task_id)) is None:
                raise Refused(Status.NOT_FOUND, f"Container '{request.task_id}' not found.")
            app_id = container.app_id
        if not app_id:
            raise Refused(
                Status.INVALID_ARGUMENT, "Logs are asked for by an app, a function or a container."
            )
        return self._state.app(app_id)

    def _over(self, app: App, task_id: str) -> bool:
        """Whether nothing more can come."""
        if task_id:
            container = self._ledger.container(task_id)
            return container is None or container.ended_at > 0
        return app.stopped_at > 0 and not self._journal.speakers[app.id]

    async def app_get_logs(
        self, request: api_pb2.AppGetLogsRequest
    ) -> AsyncIterator[api_pb2.TaskLogsBatch]:
        """Follows an app until the request's timeout, or the end of what it follows.

        See assumptions for where it begins.
        """
        app = self._app(request)
        if request.last_entry_id.isdecimal():
            seen = min(int(request.last_entry_id), self._journal.last)
        else:
            seen = self._journal.last if app.name else 0
        where, values = _filters(request, app.id)
        deadline = time.monotonic() + (request.timeout or 60.0)
        yield api_pb2.TaskLogsBatch(entry_id=str(seen))
        while True:
            over = self._over(app, request.task_id)
            news = self._journal.news(app.id)
            rows = self._store.execute(
                f"{_LINES} WHERE {where} AND id > ? ORDER BY id LIMIT ?",
                [*values, seen, _STREAM_BATCH],
            ).fetchall()
            for batch in _batches(rows):
                yield batch
            if rows:
                seen = int(rows[-1][0])
                continue
            if over:
                yield api_pb2.TaskLogsBatch(entry_id=str(seen), app_done=True)
                return
            try:
                await asyncio.wait_for(news.wait(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                return


def _filters(request: Any, app_id: str) -> tuple[str, list[Any]]:
    where, values = "app_id = ?", [app_id]
    if function_id := request.parametrized_function_id or request.function_id:
        where += " AND function_id = ?"
        values.append(function_id)
    if request.task_id:
        where += " AND task_id = ?"
        values.append(request.task_id)
    if request.search_text:
        where += " AND instr(data, ?)"
        values.append(request.search_text)
    is_stream = isinstance(request, api_pb2.AppGetLogsRequest)
    if source := request.file_descriptor if is_stream else request.source:
        where += " AND fd = ?"
        values.append(source)
    if request.function_call_id:
        where += f" AND {_OF_CALL}"
        values += [request.function_call_id, request.function_call_id]
    if request.sandbox_id:
        where += " AND 0"  # no sandboxes run here
    return where, values


def _ns(stamp: Timestamp) -> int:
    return int(stamp.seconds) * 1_000_000_000 + int(stamp.nanos)


def _batches(rows: Iterable[tuple[Any, ...]]) -> list[api_pb2.TaskLogsBatch]:
    """Neighbouring lines of one container in one batch."""
    batches = []
    for (function_id, task_id), lines in groupby(rows, key=lambda row: (row[1], row[2])):
        batch = api_pb2.TaskLogsBatch(task_id=task_id, function_id=function_id)
        for number, _, _, fd, ns, data in lines:
            batch.items.add(data=data, file_descriptor=fd, timestamp=ns / 1e9, timestamp_ns=ns)
            batch.entry_id = str(number)
        batches.append(batch)
    return batches
