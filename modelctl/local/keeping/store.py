"""Where does the plane's state live, and when is it safe?

Everything is held in memory and written through to one SQLite file. Writes join an open transaction
that is committed before an RPC is answered, or on the next turn of the event loop. In WAL mode
with ``synchronous=NORMAL`` a commit is one write and no fsync: it survives a kill -9 of the
process, and a power cut loses at most the last moments without harming the file.
"""

import asyncio
import base64
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from modelctl.local.keeping.records import Record

R = TypeVar("R", bound=Record)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    kind TEXT NOT NULL, id TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS calls (
    n INTEGER PRIMARY KEY, at REAL NOT NULL, method TEXT NOT NULL, ms REAL NOT NULL,
    status TEXT NOT NULL, request BLOB NOT NULL, client TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS answers (
    n INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, answer BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS logs (
    id INTEGER PRIMARY KEY, app_id TEXT NOT NULL, function_id TEXT NOT NULL, task_id TEXT NOT NULL,
    fd INTEGER NOT NULL, ns INTEGER NOT NULL, data TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS logs_by_app ON logs (app_id, ns);
CREATE TABLE IF NOT EXISTS containers (
    id TEXT PRIMARY KEY, app_id TEXT NOT NULL, function_id TEXT NOT NULL,
    definition_id TEXT NOT NULL, gpu_asked TEXT NOT NULL, gpu TEXT NOT NULL, cpu REAL NOT NULL,
    memory INTEGER NOT NULL, enqueued_at REAL NOT NULL, started_at REAL NOT NULL,
    ready_at REAL NOT NULL, ended_at REAL NOT NULL, failed INTEGER NOT NULL, exit_code INTEGER,
    result BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS containers_by_function ON containers (function_id, enqueued_at);
CREATE INDEX IF NOT EXISTS containers_by_end ON containers (ended_at);
CREATE TABLE IF NOT EXISTS requests (
    n INTEGER PRIMARY KEY, function_id TEXT NOT NULL, container_id TEXT NOT NULL, at REAL NOT NULL,
    method TEXT NOT NULL, path TEXT NOT NULL, status INTEGER NOT NULL, seconds REAL NOT NULL,
    size INTEGER NOT NULL, client TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS requests_by_function ON requests (function_id, at);
CREATE TABLE IF NOT EXISTS inputs (
    n INTEGER PRIMARY KEY, function_id TEXT NOT NULL, container_id TEXT NOT NULL,
    created_at REAL NOT NULL, started_at REAL NOT NULL, ended_at REAL NOT NULL,
    status INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS inputs_by_function ON inputs (function_id, ended_at);
CREATE TABLE IF NOT EXISTS samples (
    n INTEGER PRIMARY KEY, function_id TEXT NOT NULL, container_id TEXT NOT NULL, at REAL NOT NULL,
    cores REAL NOT NULL, memory INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS samples_by_function ON samples (function_id, at);
CREATE TABLE IF NOT EXISTS dict_entries (
    dict_id TEXT NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, used_at REAL NOT NULL,
    PRIMARY KEY (dict_id, key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dict_entries_by_use ON dict_entries (used_at);
CREATE TABLE IF NOT EXISTS queue_items (
    n INTEGER PRIMARY KEY AUTOINCREMENT, queue_id TEXT NOT NULL, partition BLOB NOT NULL,
    value BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS queue_items_by_partition ON queue_items (queue_id, partition, n);
CREATE TABLE IF NOT EXISTS queue_partitions (
    queue_id TEXT NOT NULL, partition BLOB NOT NULL, expires_at REAL NOT NULL,
    PRIMARY KEY (queue_id, partition)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS queue_partitions_by_expiry ON queue_partitions (expires_at);
"""


class Store:
    """The plane's SQLite file. Used from the event loop's thread only."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)
        self._commit_planned = False
        self._closed = False

    def execute(self, sql: str, values: Iterable[Any] = ()) -> sqlite3.Cursor:
        """Read, or write outside the records; a write joins the open transaction."""
        if not sql.startswith("SELECT"):
            self._begin()
        return self._db.execute(sql, tuple(values))

    def execute_many(self, sql: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """One write for many rows; it joins the open transaction."""
        self._begin()
        self._db.executemany(sql, rows)

    def _begin(self) -> None:
        if not self._db.in_transaction:
            self._db.execute("BEGIN")
        if not self._commit_planned:
            try:
                asyncio.get_running_loop().call_soon(self._planned_commit)
            except RuntimeError:
                return  # no loop yet (start-up): the caller commits
            self._commit_planned = True

    def _planned_commit(self) -> None:
        self._commit_planned = False
        if not self._closed:
            self.commit()

    def commit(self) -> None:
        if self._db.in_transaction:
            self._db.execute("COMMIT")

    def close(self) -> None:
        self.commit()
        self._closed = True
        self._db.close()

    def load(self, kind: type[R]) -> dict[str, R]:
        rows = self._db.execute("SELECT id, body FROM objects WHERE kind = ?", (kind.KIND,))
        return {key: _unpack(kind, body) for key, body in rows}

    def save(self, *records: Record) -> None:
        self._begin()
        self._db.executemany(
            "INSERT INTO objects VALUES (?, ?, ?) "
            "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            [(record.KIND, record.id, _pack(record)) for record in records],
        )

    def delete(self, *records: Record) -> None:
        self._begin()
        self._db.executemany(
            "DELETE FROM objects WHERE kind = ? AND id = ?",
            [(record.KIND, record.id) for record in records],
        )

    def get_meta(self, key: str) -> str | None:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        self._begin()
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _pack(record: Record) -> str:
    body = {field.name: getattr(record, field.name) for field in fields(record)}
    return json.dumps(body, default=lambda raw: {"$b": base64.b64encode(raw).decode()})


def _unpack(kind: type[R], body: str) -> R:
    def bytes_back(value: dict[str, Any]) -> Any:
        return base64.b64decode(value["$b"]) if value.keys() == {"$b"} else value

    return kind(**json.loads(body, object_hook=bytes_back))
