"""Which RPCs did clients make? A bounded log that tests and users take as witness."""

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from modal_proto import api_pb2

from modelctl.local.keeping.store import Store
from modelctl.local.protobuf import Message, MessageToDict
from modelctl.local.rpc import Caller
from modelctl.local.tested import other_version

KEEP = 20_000
KEEP_BYTES = 32 << 20  # of requests
REDACTED = "***"
_LONGEST = 4 << 10  # characters of one string in a request
_MOST = 32 << 10  # bytes, about, of one request
_TRIM_EVERY, _TRIM_EVERY_BYTES = 1000, 4 << 20
_SLICE = 20  # calls that are decoded before others have their turn

log = logging.getLogger(__name__)


def _presentable(request: Message) -> Message:
    """The request without the values of secrets, and as much of it as somebody would read.

    Bytes are left out: they are pickled objects and contents of files, which nobody can read there
    and which may hold secrets.
    """
    shown = type(request)()
    _fill(shown, request, _MOST)
    match shown:
        case api_pb2.SecretGetOrCreateRequest():
            for key in list(shown.env_dict):
                shown.env_dict[key] = REDACTED
        case api_pb2.SecretUpdateRequest():
            for update in shown.updates:
                update.value = REDACTED
    return shown


def _fill(shown: Message, message: Message, left: int) -> int:
    """Copies what is to be seen until nothing is `left` of the room; what is left then."""
    for field, value in message.ListFields():
        name = field.name
        if left <= 0:
            break
        if isinstance(value, Message):
            inner = getattr(shown, name)
            inner.SetInParent()
            left = _fill(inner, value, left - 2)
        elif isinstance(value, Mapping):
            for key, one in value.items():
                if left <= 0:
                    break
                shown_key = _cut(key)
                left -= _size(key)
                if isinstance(one, Message):
                    left = _fill(getattr(shown, name)[shown_key], one, left)
                elif not isinstance(one, bytes):
                    getattr(shown, name)[shown_key] = _cut(one)
                    left -= _size(one)
        elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
            for one in value:
                if left <= 0 or isinstance(one, bytes):
                    break
                if isinstance(one, Message):
                    left = _fill(getattr(shown, name).add(), one, left - 2)
                else:
                    getattr(shown, name).append(_cut(one))
                    left -= _size(one)
        elif not isinstance(value, bytes):
            setattr(shown, name, _cut(value))
            left -= _size(value)
    return left


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _LONGEST:
        return value[:_LONGEST] + "…"
    return value


def _size(value: Any) -> int:
    return min(len(value), _LONGEST) + 2 if isinstance(value, str) else 4


class CallLog:
    """Calls of clients; what containers ask of the plane is not kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        row = store.execute("SELECT max(n) FROM calls").fetchone()
        self._last = int(row[0] or 0)
        self._seen: set[str] = {""}  # versions of clients that were looked at
        self._untrimmed = 0  # bytes
        self._trim()

    def add(self, method: str, request: Any, ms: float, status: str, caller: Caller) -> None:
        if caller.task_id or request is None:
            return
        if caller.client_version not in self._seen:
            self._seen.add(caller.client_version)
            if (warning := other_version(caller.client_version)) is not None:
                log.warning("%s", warning)
        self._last += 1
        shown = _presentable(request).SerializeToString()
        self._store.execute(
            "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self._last,
                time.time(),
                method,
                round(ms, 3),
                status,
                shown,
                f"{caller.client_version} {caller.connection}".rstrip(),
            ),
        )
        self._untrimmed += len(shown)
        if self._last % _TRIM_EVERY == 0 or self._untrimmed > _TRIM_EVERY_BYTES:
            self._trim()

    def _trim(self) -> None:
        self._untrimmed = 0
        (too_much,) = self._store.execute(
            "SELECT max(n) FROM (SELECT n, sum(length(request)) OVER (ORDER BY n DESC) AS size "
            "FROM calls) WHERE size > ?",
            (KEEP_BYTES,),
        ).fetchone()
        last = max(self._last - KEEP, too_much or 0)
        self._store.execute("DELETE FROM calls WHERE n <= ?", (last,))

    async def as_json(self, since: int, method: str | None, limit: int | None) -> str:
        """Calls after number `since`, oldest first, or the last of these, with their requests."""
        wanted = "SELECT n, at, method, ms, status, request, client FROM calls WHERE n > ?"
        values: list[Any] = [since]
        if method:
            wanted += " AND method GLOB ?"
            values.append(method)
        values.append(-1 if limit is None else limit)
        rows = self._store.execute(wanted + " ORDER BY n DESC LIMIT ?", values).fetchall()
        found = []
        for number, row in enumerate(reversed(rows), 1):
            found.append(json.dumps(_decoded(*row)))
            if number % _SLICE == 0:
                await asyncio.sleep(0)  # thousands take seconds, and others wait
        return f'{{"calls": [{", ".join(found)}]}}'


def _decoded(
    n: int, at: float, method: str, ms: float, status: str, request: bytes, client: str
) -> dict[str, Any]:
    version, _, connection = client.partition(" ")
    return {
        "n": n,
        "at": at,
        "method": method,
        "ms": ms,
        "status": status,
        "request": _fields(method, request),
        "client": version,
        "connection": connection,
    }


def _fields(method: str, request: bytes) -> Any:
    kind = getattr(api_pb2, f"{method}Request", None)
    if kind is None:
        return {}  # the RPCs that take google.protobuf.Empty
    return MessageToDict(kind.FromString(request), preserving_proto_field_name=True)
