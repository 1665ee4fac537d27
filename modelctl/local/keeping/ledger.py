"""What happened? Each container's life, and each request and input that one of them answered.

A container is written down whenever its phase changes. The rest comes by the thousand: it waits in
memory for a moment and joins the store's transaction together. All are bounded, oldest first out.
A plane that was killed could not write the ends of its containers; its successor does, with the
last moment at which the ledger is known to have been kept.
"""

# ruff: noqa: S608 - tables and columns are named here; values always go in as parameters

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from modelctl.local.keeping.store import Store

KEEP_CONTAINERS = 50_000
KEEP_LINES = 200_000  # requests, inputs and samples, each
_BATCH = 1000  # lines that are written at once at the latest
_SOON = 0.2  # seconds that they wait for company
_TRIM_EVERY = 5000
_BEAT = 10.0  # seconds between two signs of life while containers run
_BEAT_KEY = "ledger_beat"


@dataclass(frozen=True, slots=True)
class ContainerEntry:
    """A container's life, by the plane's clock; a time is 0 until it has come."""

    id: str
    app_id: str
    function_id: str
    definition_id: str
    gpu_asked: str  # the list of fallbacks: "H100,A100-80GB:2"
    gpu: str  # what it was given: "H100:2", "cpu"; empty until it was placed
    cpu: float  # cores asked for; 0 where the definition names none
    memory: int  # MiB asked for; 0 where the definition names none
    enqueued_at: float
    started_at: float = 0.0
    ready_at: float = 0.0
    ended_at: float = 0.0
    failed: bool = False  # it ended without having been asked to
    exit_code: int | None = None
    result: bytes = b""  # api_pb2.GenericResult, where its code raised


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """A request that a server's URL answered; `container_id` is empty if no container saw it."""

    function_id: str
    container_id: str
    at: float
    method: str
    path: str  # without the query, which may hold what nobody else should read
    status: int
    seconds: float
    size: int  # bytes of the answer
    client: str


@dataclass(frozen=True, slots=True)
class InputEntry:
    """An input of a function that came to its end, well or not."""

    function_id: str
    container_id: str
    created_at: float
    started_at: float
    ended_at: float
    status: int  # api_pb2.GenericResult.GenericStatus


@dataclass(frozen=True, slots=True)
class Sample:
    """What a container's processes used at one moment."""

    function_id: str
    container_id: str
    at: float
    cores: float
    memory: int  # bytes


Line = RequestEntry | InputEntry | Sample

_CONTAINER_FIELDS = [field.name for field in fields(ContainerEntry)]
_CONTAINER_COLUMNS = ", ".join(_CONTAINER_FIELDS)
_CONTAINER_MARKS = ", ".join("?" * len(_CONTAINER_FIELDS))
_container_values = attrgetter(*_CONTAINER_FIELDS)


class Ledger:
    """The store's tables of containers and requests; `now` is the plane's clock."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now
        self._waiting: list[Line] = []
        self._added: Counter[str] = Counter()
        self._flush_planned = False
        self._open: set[str] = set()  # containers that have not ended
        self._beating = False
        self._noted = 0
        self._close_what_was_left()

    def _close_what_was_left(self) -> None:
        """Ends the containers of a plane that was killed."""
        last_beat = float(self._store.get_meta(_BEAT_KEY) or 0.0)
        self._store.execute(
            "UPDATE containers SET ended_at = max(?, enqueued_at, started_at, ready_at) "
            "WHERE ended_at = 0",
            (last_beat,),
        )

    # -- containers

    def note(self, entry: ContainerEntry) -> None:
        """Writes down how far a container has come."""
        self._store.execute(
            f"INSERT OR REPLACE INTO containers ({_CONTAINER_COLUMNS}) VALUES ({_CONTAINER_MARKS})",
            _container_values(entry),
        )
        if entry.ended_at:
            self._open.discard(entry.id)
        else:
            self._open.add(entry.id)
            self._beat_while_open()
        self._noted += 1
        if self._noted % _TRIM_EVERY == 0:
            self._store.execute(
                "DELETE FROM containers WHERE ended_at > 0 AND id NOT IN "
                "(SELECT id FROM containers ORDER BY enqueued_at DESC LIMIT ?)",
                (KEEP_CONTAINERS,),
            )

    def _beat_while_open(self) -> None:
        if not self._beating:
            self._beating = True
            self._beat()

    def _beat(self) -> None:
        self._store.set_meta(_BEAT_KEY, repr(self._now()))
        if self._open:
            asyncio.get_running_loop().call_later(_BEAT, self._beat)
        else:
            self._beating = False

    def container(self, container_id: str) -> ContainerEntry | None:
        found = self._containers("id = ?", (container_id,))
        return found[0] if found else None

    def containers(
        self,
        since: float,
        until: float,
        *,
        function_id: str = "",
        app_id: str = "",
        container_id: str = "",
    ) -> list[ContainerEntry]:
        """Those that existed at some moment of a span, in the order in which they came."""
        where = "enqueued_at < ? AND (ended_at = 0 OR ended_at >= ?)"
        values: list[Any] = [until, since]
        chosen = {"function_id": function_id, "app_id": app_id, "id": container_id}
        for column, wanted in chosen.items():
            if wanted:
                where += f" AND {column} = ?"
                values.append(wanted)
        return self._containers(where, values)

    def _containers(self, where: str, values: Iterable[Any]) -> list[ContainerEntry]:
        rows = self._store.execute(
            f"SELECT {_CONTAINER_COLUMNS} FROM containers WHERE {where} ORDER BY enqueued_at, id",
            values,
        )
        return [_container(row) for row in rows]

    # -- what containers answered and used

    def add(self, line: Line) -> None:
        """Notes it; it is written within a fraction of a second."""
        self._waiting.append(line)
        if len(self._waiting) >= _BATCH:
            self.flush()
        elif not self._flush_planned:
            self._flush_planned = True
            asyncio.get_running_loop().call_later(_SOON, self._planned_flush)

    def _planned_flush(self) -> None:
        self._flush_planned = False
        self.flush()

    def flush(self) -> None:
        """Writes what waits. Whoever reads does it first."""
        waiting, self._waiting = self._waiting, []
        for table in _TABLES:
            rows = [table.values(line) for line in waiting if isinstance(line, table.kind)]
            if rows:
                self._store.execute_many(table.insert, rows)
                self._trim(table, len(rows))

    def _trim(self, table: "_Table", added: int) -> None:
        before = self._added[table.name] // _TRIM_EVERY
        self._added[table.name] += added
        if self._added[table.name] // _TRIM_EVERY > before:
            newest = f"(SELECT max(n) FROM {table.name})"
            self._store.execute(f"DELETE FROM {table.name} WHERE n <= {newest} - ?", (KEEP_LINES,))

    def _span(
        self, moment: str, function_id: str, since: float, until: float, container_id: str
    ) -> tuple[str, list[Any]]:
        self.flush()
        where = f"function_id = ? AND {moment} >= ? AND {moment} < ?"
        values: list[Any] = [function_id, since, until]
        if container_id:
            where += " AND container_id = ?"
            values.append(container_id)
        return where, values

    def statuses(
        self, function_id: str, since: float, until: float, container_id: str = ""
    ) -> dict[int, int]:
        """How many requests were answered with which status."""
        where, values = self._span("at", function_id, since, until, container_id)
        sql = f"SELECT status, count(*) FROM requests WHERE {where} GROUP BY status ORDER BY status"
        return {int(status): int(count) for status, count in self._store.execute(sql, values)}

    def durations(
        self, function_id: str, since: float, until: float, container_id: str = ""
    ) -> list[float]:
        """The seconds that requests took, shortest first."""
        where, values = self._span("at", function_id, since, until, container_id)
        sql = f"SELECT seconds FROM requests WHERE {where} ORDER BY seconds"
        return [row[0] for row in self._store.execute(sql, values)]

    def counts(
        self, function_id: str, since: float, until: float, bucket: int
    ) -> list[tuple[int, int]]:
        """Requests per bucket of so many seconds, by its start; empty ones are left out."""
        where, values = self._span("at", function_id, since, until, "")
        sql = (
            f"SELECT CAST(at / ? AS INTEGER) AS bucket, count(*) FROM requests WHERE {where} "
            "GROUP BY bucket ORDER BY bucket"
        )
        rows = self._store.execute(sql, [float(bucket), *values])
        return [(int(start) * bucket, int(count)) for start, count in rows]

    def requests(
        self, function_id: str, since: float, until: float, limit: int
    ) -> list[RequestEntry]:
        """The first so many of a span, oldest first."""
        where, values = self._span("at", function_id, since, until, "")
        return self._read(_REQUESTS, where, "at, n", [*values, limit])

    def latest_requests(self, function_id: str, limit: int) -> list[RequestEntry]:
        """The last so many, newest first."""
        where, values = self._span("at", function_id, 0.0, math.inf, "")
        return self._read(_REQUESTS, where, "at DESC, n DESC", [*values, limit])

    def inputs(
        self, function_id: str, since: float, until: float, container_id: str = ""
    ) -> list[InputEntry]:
        """The inputs that ended in a span."""
        where, values = self._span("ended_at", function_id, since, until, container_id)
        return self._read(_INPUTS, where, "ended_at, n", [*values, KEEP_LINES])

    def samples(
        self, function_id: str, since: float, until: float, container_id: str = ""
    ) -> list[Sample]:
        """What its containers used in a span."""
        where, values = self._span("at", function_id, since, until, container_id)
        return self._read(_SAMPLES, where, "at, n", [*values, KEEP_LINES])

    def _read(self, table: "_Table", where: str, order: str, values: list[Any]) -> list[Any]:
        sql = f"SELECT {table.columns} FROM {table.name} WHERE {where} ORDER BY {order} LIMIT ?"
        return [table.kind(*row) for row in self._store.execute(sql, values)]


def _container(row: tuple[Any, ...]) -> ContainerEntry:
    values = dict(zip(_CONTAINER_FIELDS, row, strict=True))
    values["failed"] = bool(values["failed"])
    return ContainerEntry(**values)


class _Table:
    """How the lines of one kind are written and read."""

    def __init__(self, name: str, kind: type[RequestEntry] | type[InputEntry] | type[Sample]):
        names = [field.name for field in fields(kind)]
        self.name = name
        self.kind = kind
        self.columns = ", ".join(names)
        self.values = attrgetter(*names)
        marks = ", ".join("?" * len(names))
        self.insert = f"INSERT INTO {name} ({self.columns}) VALUES ({marks})"


_REQUESTS = _Table("requests", RequestEntry)
_INPUTS = _Table("inputs", InputEntry)
_SAMPLES = _Table("samples", Sample)
_TABLES = (_REQUESTS, _INPUTS, _SAMPLES)
