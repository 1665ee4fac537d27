"""What do Dicts answer? Entries by key, and put-if-absent, which is what locks stand on."""

import time
from collections.abc import AsyncIterator

from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Dict
from modelctl.local.keeping.state import State
from modelctl.local.protobuf import Empty
from modelctl.local.services.creation import Shelf

UNUSED = 7 * 86400.0  # seconds after which an entry that nobody used is gone. See assumptions.
_COUNTED = 100_000  # entries; `Dict.len` says no more


class Dicts:
    """Dicts, good enough for locks: an update with `if_not_exists` has one winner.

    Each call does its work without giving way to another, so none sees half of another's.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._store = state.store
        self._clock = clock
        self.shelf = Shelf("Dict", state, state.dicts, clock, self._empty)

    # -- the Dicts themselves

    def dict_get_or_create(
        self, request: api_pb2.DictGetOrCreateRequest
    ) -> api_pb2.DictGetOrCreateResponse:
        found, new = self.shelf.get_or_create(
            request, lambda environment, name: Dict(new_id("di"), environment, name, time.time())
        )
        if new:
            for entry in request.data:
                self._put(found.id, entry)
        return api_pb2.DictGetOrCreateResponse(dict_id=found.id, metadata=_metadata(found))

    def dict_get_by_id(self, request: api_pb2.DictGetByIdRequest) -> api_pb2.DictGetByIdResponse:
        found = self.shelf.get(request.dict_id)
        return api_pb2.DictGetByIdResponse(dict_id=found.id, metadata=_metadata(found))

    def dict_heartbeat(self, request: api_pb2.DictHeartbeatRequest) -> Empty:
        self.shelf.hold(request.dict_id)
        return Empty()

    def dict_list(self, request: api_pb2.DictListRequest) -> api_pb2.DictListResponse:
        environment = self._state.environment(request.environment_name)
        response = api_pb2.DictListResponse(environment_name=environment.name)
        for found in self.shelf.newest(environment, request.pagination):
            response.dicts.add(
                name=found.name,
                dict_id=found.id,
                created_at=found.created_at,
                metadata=_metadata(found),
            )
        return response

    def dict_delete(self, request: api_pb2.DictDeleteRequest) -> Empty:
        self.shelf.remove(self.shelf.get(request.dict_id))
        return Empty()

    # -- their entries

    def _opened(self, dict_id: str) -> str:
        """The Dict of that id, with only the entries that are not yet gone."""
        found = self.shelf.get(dict_id)
        self._store.execute(
            "DELETE FROM dict_entries WHERE used_at <= ?", (self._clock.time() - UNUSED,)
        )
        return found.id

    def _put(self, dict_id: str, entry: api_pb2.DictEntry) -> None:
        self._store.execute(
            "INSERT OR REPLACE INTO dict_entries VALUES (?, ?, ?, ?)",
            (dict_id, entry.key, entry.value, self._clock.time()),
        )

    def _use(self, dict_id: str, key: bytes) -> bytes | None:
        """The value of that key; looking at it counts as use."""
        row = self._store.execute(
            "SELECT value FROM dict_entries WHERE dict_id = ? AND key = ?", (dict_id, key)
        ).fetchone()
        if row is None:
            return None
        self._store.execute(
            "UPDATE dict_entries SET used_at = ? WHERE dict_id = ? AND key = ?",
            (self._clock.time(), dict_id, key),
        )
        return bytes(row[0])

    def _empty(self, found: Dict) -> None:
        self._store.execute("DELETE FROM dict_entries WHERE dict_id = ?", (found.id,))

    def dict_update(self, request: api_pb2.DictUpdateRequest) -> api_pb2.DictUpdateResponse:
        dict_id = self._opened(request.dict_id)
        created = False
        for entry in request.updates:
            if request.if_not_exists and self._use(dict_id, entry.key) is not None:
                continue
            self._put(dict_id, entry)
            created = True
        return api_pb2.DictUpdateResponse(created=created)

    def dict_get(self, request: api_pb2.DictGetRequest) -> api_pb2.DictGetResponse:
        value = self._use(self._opened(request.dict_id), request.key)
        return api_pb2.DictGetResponse(found=value is not None, value=value)

    def dict_contains(self, request: api_pb2.DictContainsRequest) -> api_pb2.DictContainsResponse:
        value = self._use(self._opened(request.dict_id), request.key)
        return api_pb2.DictContainsResponse(found=value is not None)

    def dict_pop(self, request: api_pb2.DictPopRequest) -> api_pb2.DictPopResponse:
        dict_id = self._opened(request.dict_id)
        value = self._use(dict_id, request.key)
        self._store.execute(
            "DELETE FROM dict_entries WHERE dict_id = ? AND key = ?", (dict_id, request.key)
        )
        return api_pb2.DictPopResponse(found=value is not None, value=value)

    def dict_len(self, request: api_pb2.DictLenRequest) -> api_pb2.DictLenResponse:
        row = self._store.execute(
            "SELECT count(*) FROM dict_entries WHERE dict_id = ?", (self._opened(request.dict_id),)
        ).fetchone()
        return api_pb2.DictLenResponse(len=min(int(row[0]), _COUNTED))

    async def dict_contents(
        self, request: api_pb2.DictContentsRequest
    ) -> AsyncIterator[api_pb2.DictEntry]:
        """The entries that were there when it was asked; each of them counts as used."""
        dict_id = self._opened(request.dict_id)
        self._store.execute(
            "UPDATE dict_entries SET used_at = ? WHERE dict_id = ?", (self._clock.time(), dict_id)
        )
        rows = self._store.execute(
            "SELECT key, value FROM dict_entries WHERE dict_id = ?", (dict_id,)
        ).fetchall()
        for key, value in rows:
            yield api_pb2.DictEntry(
                key=key if request.keys else b"", value=value if request.values else b""
            )

    def dict_clear(self, request: api_pb2.DictClearRequest) -> Empty:
        self._empty(self.shelf.get(request.dict_id))
        return Empty()


def _metadata(found: Dict) -> api_pb2.DictMetadata:
    return api_pb2.DictMetadata(
        name=found.name,
        creation_info=api_pb2.CreationInfo(created_at=found.created_at, created_by="local"),
    )
