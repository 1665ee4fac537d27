"""Which calls of functions were made, and what became of their inputs?

A call that was made through the SDK is written down with its inputs before it is answered, and each
output when it comes, so that a plane that was killed goes on where it was. Those of web functions
live as long as their HTTP request and are held in memory only.
"""

# ruff: noqa: S608 - columns are named here; values always go in as parameters

import asyncio
import base64
import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from modal_proto import api_pb2

from modelctl.local.keeping.store import Store
from modelctl.local.rpc import Refused, Status

KEEP = 7 * 24 * 3600.0  # seconds that results can be fetched. See assumptions.
_IN_MEMORY = 256  # finished calls that are not read back from the file when they are asked for
_TRIM_EVERY = 1000
_OVERHEAD = 256  # bytes of memory that a chunk takes beside its data
REREADABLE = 64 << 20  # bytes of what generators yielded that are kept once they were read

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS function_calls (id TEXT PRIMARY KEY, function_id TEXT NOT NULL, "
    "type INTEGER NOT NULL, invocation INTEGER NOT NULL, parent TEXT NOT NULL, "
    "created_at REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS function_inputs (id TEXT PRIMARY KEY, call_id TEXT NOT NULL, "
    "function_id TEXT NOT NULL, idx INTEGER NOT NULL, method TEXT NOT NULL, "
    "created_at REAL NOT NULL, started_at REAL NOT NULL, finished_at REAL NOT NULL, "
    "status INTEGER NOT NULL, container_id TEXT NOT NULL, attempt INTEGER NOT NULL, "
    "body BLOB, output BLOB) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS function_inputs_by_call ON function_inputs (call_id)",
    "CREATE INDEX IF NOT EXISTS function_inputs_by_container "
    "ON function_inputs (container_id, started_at)",
    "CREATE INDEX IF NOT EXISTS function_inputs_unfinished "
    "ON function_inputs (call_id) WHERE finished_at = 0",
    "CREATE INDEX IF NOT EXISTS function_inputs_by_time "
    "ON function_inputs (function_id, created_at)",
)
_INPUT = (
    "id, call_id, function_id, idx, method, created_at, started_at, finished_at, status, "
    "container_id, attempt, body, output"
)
SUCCESS = api_pb2.GenericResult.GENERIC_STATUS_SUCCESS


@dataclass(eq=False, slots=True)
class Input:
    """One set of arguments; `attempt` counts its retries, `lost` containers that it outlived."""

    id: str
    call: "FunctionCall"
    idx: int
    body: api_pb2.FunctionInput
    created_at: float
    attempt: int = 0
    lost: int = 0
    container_id: str = ""
    started_at: float = 0.0
    finished_at: float = 0.0
    output: api_pb2.FunctionGetOutputsItem | None = None
    entry: int = 0  # its output's place in the order in which outputs came
    forgotten: bool = False  # it finished long ago, and its output is gone

    @property
    def done(self) -> bool:
        return self.output is not None or self.forgotten

    @property
    def token(self) -> str:
        """What clients show to have it tried again; they read the index out of it."""
        return _unsigned({"function_call_id": self.call.id, "input_id": self.id, "idx": self.idx})


class Stream:
    """Numbered chunks on their way through a call; they can be read again until dropped."""

    def __init__(self) -> None:
        self.chunks: list[api_pb2.DataChunk] = []
        self.last = 0  # the highest number that came
        self.taken = 0  # the highest number that was read
        self.size = 0  # bytes
        self.pending = 0  # bytes that were not read yet
        self.dropped = False

    def add(self, chunk: api_pb2.DataChunk) -> None:
        if chunk.index > self.last:
            self.last = chunk.index
            self.chunks.append(chunk)
            self.size += _weight(chunk)
            self.pending += _weight(chunk)

    def after(self, index: int) -> list[api_pb2.DataChunk]:
        self.taken, self.pending = self.last, 0
        return self.chunks[self._place(index) :]

    def _place(self, index: int) -> int:
        """Where the chunks after this number begin."""
        return bisect_right(self.chunks, index, key=_number)

    def drop_taken(self, keep: int = 0) -> None:
        """Forgets what was read, oldest first, down to so many bytes.

        For a stream too long to be read again, or one that nobody will.
        """
        most = self._place(self.taken)
        count = 0
        while count < most and self.size > keep:
            self.size -= _weight(self.chunks[count])
            count += 1
        del self.chunks[:count]
        self.dropped = self.dropped or count > 0

    def clear(self) -> None:
        self.chunks = []
        self.last = self.taken = self.size = self.pending = 0


def _weight(chunk: api_pb2.DataChunk) -> int:
    return len(chunk.data) + _OVERHEAD


def _number(chunk: api_pb2.DataChunk) -> int:
    return chunk.index


@dataclass(eq=False)
class FunctionCall:
    """A call with its inputs, by index."""

    id: str
    function_id: str
    type: int
    invocation: int
    created_at: float
    parent: str = ""
    kept: bool = True  # in the store, not only in memory
    inputs: dict[int, Input] = field(default_factory=dict)
    data_in: Stream = field(default_factory=Stream)
    data_out: Stream = field(default_factory=Stream)
    acknowledged: bool = False  # its client has all outputs that it wants
    last_entry: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def token(self) -> str:
        return _unsigned({"function_call_id": self.id})

    @property
    def unfinished(self) -> int:
        return sum(not made.done for made in self.inputs.values())

    def wake(self) -> None:
        """An output or a chunk came: who waits looks again."""
        self._news.set()
        self._news = asyncio.Event()

    def news(self) -> asyncio.Event:
        return self._news

    def outputs(self, after: int, first: int | None, last: int | None) -> list[Input]:
        """The inputs that have one, in the order in which these came."""
        found = [
            made
            for made in self.inputs.values()
            if made.output is not None
            and made.entry > after
            and (first is None or made.idx >= first)
            and (last is None or made.idx <= last)
        ]
        return sorted(found, key=lambda made: made.entry)


class FunctionCalls:
    """All calls that are under way, and finished ones as long as they are kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        for statement in _SCHEMA:
            store.execute(statement)
        self._calls: dict[str, FunctionCall] = {}
        self._finished: OrderedDict[str, FunctionCall] = OrderedDict()
        self._count = 0

    def unfinished(self) -> list[FunctionCall]:
        """After a restart: what was under way."""
        rows = self._store.execute(
            "SELECT DISTINCT call_id FROM function_inputs WHERE finished_at = 0"
        ).fetchall()
        return [call for (call_id,) in rows if (call := self.get(call_id)) is not None]

    def get(self, call_id: str) -> FunctionCall | None:
        return self._calls.get(call_id) or self._load(call_id)

    def call(self, call_id: str) -> FunctionCall:
        if call := self.get(call_id):
            return call
        raise Refused(Status.NOT_FOUND, f"Function call '{call_id}' not found.")

    def _load(self, call_id: str) -> FunctionCall | None:
        row = self._store.execute(
            "SELECT function_id, type, invocation, created_at, parent "
            "FROM function_calls WHERE id = ?",
            (call_id,),
        ).fetchone()
        if row is None:
            return None
        call = FunctionCall(call_id, *row)
        rows = self._store.execute(
            f"SELECT {_INPUT} FROM function_inputs WHERE call_id = ? ORDER BY finished_at, idx",
            (call_id,),
        ).fetchall()
        for entry, values in enumerate(rows, 1):
            made = _input_of(call, values)
            if made.done:
                made.entry = call.last_entry = entry
            call.inputs[made.idx] = made
        self._calls[call_id] = call
        if not call.unfinished:
            self._retire(call)
        return call

    def add(self, call: FunctionCall) -> None:
        self._calls[call.id] = call
        if call.kept:
            self._store.execute(
                "INSERT INTO function_calls VALUES (?, ?, ?, ?, ?, ?)",
                (
                    call.id,
                    call.function_id,
                    call.type,
                    call.invocation,
                    call.parent,
                    call.created_at,
                ),
            )

    def add_inputs(self, call: FunctionCall, inputs: Iterable[Input]) -> None:
        for made in inputs:
            call.inputs[made.idx] = made
            self.save(made)
        self._finished.pop(call.id, None)

    def save(self, made: Input) -> None:
        """Writes an input down as it is now."""
        call = made.call
        if not call.kept:
            return
        output = made.output
        self._store.execute(
            f"INSERT OR REPLACE INTO function_inputs ({_INPUT}) VALUES ({', '.join('?' * 13)})",
            (
                made.id,
                call.id,
                call.function_id,
                made.idx,
                made.body.method_name,
                made.created_at,
                made.started_at,
                made.finished_at,
                output.result.status if output else 0,
                made.container_id,
                made.attempt,
                made.body.SerializeToString(),
                output.SerializeToString() if output else None,
            ),
        )

    def finish(self, made: Input, output: api_pb2.FunctionGetOutputsItem, now: float) -> None:
        call = made.call
        call.last_entry += 1
        made.output, made.entry, made.finished_at = output, call.last_entry, now
        self.save(made)
        call.wake()
        if not call.unfinished:
            self._retire(call)
        self._count += 1
        if self._count % _TRIM_EVERY == 0:
            self._trim(now)

    def forget(self, inputs: Iterable[Input], reason: str, now: float) -> None:
        """Ends inputs that nobody will work on."""
        status = api_pb2.GenericResult.GENERIC_STATUS_TERMINATED
        for made in inputs:
            result = api_pb2.GenericResult(status=status, exception=reason)
            output = api_pb2.FunctionGetOutputsItem(
                result=result, idx=made.idx, input_id=made.id, retry_count=made.attempt
            )
            self.finish(made, output, now)

    def reopen(self, made: Input) -> None:
        """It is tried again, and what came of it counts no more."""
        made.output, made.entry, made.finished_at = None, 0, 0.0
        made.container_id, made.started_at = "", 0.0
        made.call.data_out.clear()
        self.save(made)
        self._finished.pop(made.call.id, None)

    def _retire(self, call: FunctionCall) -> None:
        if not call.kept:
            self._calls.pop(call.id, None)
            return
        self._finished[call.id] = call
        self._finished.move_to_end(call.id)
        while len(self._finished) > _IN_MEMORY:
            old_id, old = self._finished.popitem(last=False)
            self._calls.pop(old_id, None)
            if old.acknowledged:
                self._store.execute(
                    "UPDATE function_inputs SET body = NULL, output = NULL WHERE call_id = ?",
                    (old_id,),
                )
        size = 0
        for finished in reversed(self._finished.values()):
            size += finished.data_out.size
            if size > REREADABLE and finished is not call:
                finished.data_out.drop_taken()

    def _trim(self, now: float) -> None:
        self._store.execute(
            "DELETE FROM function_inputs WHERE finished_at > 0 AND finished_at < ?", (now - KEEP,)
        )
        self._store.execute(
            "DELETE FROM function_calls WHERE created_at < ? AND id NOT IN "
            "(SELECT call_id FROM function_inputs)",
            (now - KEEP,),
        )

    def history(
        self, function_ids: list[str], since: float, until: float, limit: int
    ) -> list[tuple[Any, ...]]:
        """The latest inputs: call, method, created, started, finished, status, container."""
        marks = ", ".join("?" * len(function_ids))
        return self._store.execute(
            "SELECT call_id, method, created_at, started_at, finished_at, status, container_id "
            f"FROM function_inputs WHERE function_id IN ({marks}) "
            "AND created_at >= ? AND created_at < ? ORDER BY created_at DESC LIMIT ?",
            (*function_ids, since, until, limit),
        ).fetchall()


def _input_of(call: FunctionCall, values: tuple[Any, ...]) -> Input:
    row = dict(zip(_INPUT.split(", "), values, strict=True))
    made = Input(
        row["id"],
        call,
        row["idx"],
        api_pb2.FunctionInput.FromString(row["body"] or b""),
        row["created_at"],
        row["attempt"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )
    if row["finished_at"]:
        made.container_id = row["container_id"]
        if row["output"] is None:
            made.forgotten = True
        else:
            made.output = api_pb2.FunctionGetOutputsItem.FromString(row["output"])
    return made


def _unsigned(payload: dict[str, object]) -> str:
    """A token in the form of a JWT. Who shows it is known by other means, so nobody signs it."""

    def part(content: dict[str, object]) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(payload)}."


def payload_of(token: str) -> dict[str, Any]:
    """What stands in such a token; empty for anything else."""
    try:
        _, payload, _ = token.split(".")
        content = json.loads(base64.urlsafe_b64decode(payload + "=="))
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
