"""Which RPCs did clients make? A bounded log that tests and users take as witness."""

import json
import logging
import time
from typing import Any

from modal_proto import api_pb2

from modelctl.local.keeping.store import Store
from modelctl.local.protobuf import Message, MessageToDict
from modelctl.local.rpc import Caller
from modelctl.local.tested import other_version

KEEP = 20_000
REDACTED = "***"

log = logging.getLogger(__name__)


def _presentable(request: Message) -> Message:
    """The request without secrets' values and without the bulk of uploads."""
    match request:
        case api_pb2.SecretGetOrCreateRequest():
            shown = api_pb2.SecretGetOrCreateRequest()
            shown.CopyFrom(request)
            for key in request.env_dict:
                shown.env_dict[key] = REDACTED
            return shown
        case api_pb2.SecretUpdateRequest():
            updated = api_pb2.SecretUpdateRequest()
            updated.CopyFrom(request)
            for update in updated.updates:
                update.value = REDACTED
            return updated
        case api_pb2.MountPutFileRequest():
            return api_pb2.MountPutFileRequest(
                sha256_hex=request.sha256_hex, data_blob_id=request.data_blob_id
            )
    return request


class CallLog:
    """Calls of clients; what containers ask of the plane is not kept."""

    def __init__(self, store: Store) -> None:
        self._store = store
        row = store.execute("SELECT max(n) FROM calls").fetchone()
        self._last = int(row[0] or 0)
        self._seen: set[str] = {""}  # versions of clients that were looked at

    def add(self, method: str, request: Any, ms: float, status: str, caller: Caller) -> None:
        if caller.task_id or request is None:
            return
        if caller.client_version not in self._seen:
            self._seen.add(caller.client_version)
            if (warning := other_version(caller.client_version)) is not None:
                log.warning("%s", warning)
        self._last += 1
        self._store.execute(
            "INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                self._last,
                time.time(),
                method,
                round(ms, 3),
                status,
                _presentable(request).SerializeToString(),
                caller.client_version,
            ),
        )
        if self._last % 1000 == 0:
            self._store.execute("DELETE FROM calls WHERE n <= ?", (self._last - KEEP,))

    def since(self, n: int, method: str | None) -> list[dict[str, Any]]:
        """Calls after number `n`, oldest first, with their requests decoded."""
        wanted = "SELECT n, at, method, ms, status, request, client FROM calls WHERE n > ?"
        values: list[Any] = [n]
        if method:
            wanted += " AND method GLOB ?"
            values.append(method)
        found = []
        for number, at, name, ms, status, request, client in self._store.execute(
            wanted + " ORDER BY n", values
        ):
            found.append(
                {
                    "n": number,
                    "at": at,
                    "method": name,
                    "ms": ms,
                    "status": status,
                    "request": _decoded(name, request),
                    "client": client,
                }
            )
        return found


def _decoded(method: str, request: bytes) -> Any:
    kind = getattr(api_pb2, f"{method}Request", None)
    if kind is None:
        return {}  # the RPCs that take google.protobuf.Empty
    return MessageToDict(kind.FromString(request), preserving_proto_field_name=True)


def as_json(calls: list[dict[str, Any]]) -> str:
    return json.dumps({"calls": calls})
