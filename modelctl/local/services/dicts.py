"""What do Dicts answer? Entries by key, and put-if-absent, which is what locks stand on."""

import time
from collections.abc import AsyncIterator

from modal_proto import api_pb2

from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Dict
from modelctl.local.keeping.state import DEFAULT_ENVIRONMENT, State, find_named
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Refused, Status
from modelctl.local.services.creation import FAIL_IF_EXISTS, ONLY_EXISTING

_INSERT_NEW = "INSERT OR IGNORE INTO entries VALUES (?, ?, ?)"
_INSERT_ANY = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?)"


class Dicts:
    """Dicts, good enough for locks: an update with `if_not_exists` has one winner."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._store = state.store

    def dict_get_or_create(
        self, request: api_pb2.DictGetOrCreateRequest
    ) -> api_pb2.DictGetOrCreateResponse:
        environment = self._state.environment(request.environment_name).name
        name = request.deployment_name
        found = find_named(self._state.dicts, environment, name) if name else None
        if found is None:
            if request.object_creation_type == ONLY_EXISTING:
                raise Refused(
                    Status.NOT_FOUND, f"Dict '{name}' not found in environment '{environment}'."
                )
            found = Dict(new_id("di"), environment, name, time.time())
            self._state.save(found)
            for entry in request.data:
                self._put(found.id, entry.key, entry.value)
        elif request.object_creation_type == FAIL_IF_EXISTS:
            raise Refused(Status.ALREADY_EXISTS, f"Dict '{name}' already exists.")
        return api_pb2.DictGetOrCreateResponse(dict_id=found.id, metadata=self._metadata(found))

    def _metadata(self, found: Dict) -> api_pb2.DictMetadata:
        return api_pb2.DictMetadata(
            name=found.name,
            creation_info=api_pb2.CreationInfo(created_at=found.created_at, created_by="local"),
        )

    def _put(self, dict_id: str, key: bytes, value: bytes, only_new: bool = False) -> bool:
        wanted = _INSERT_NEW if only_new else _INSERT_ANY
        done = self._store.execute(wanted, (dict_id, key, value))
        return done.rowcount > 0

    def _find(self, dict_id: str, key: bytes) -> bytes | None:
        if dict_id not in self._state.dicts:
            raise Refused(Status.NOT_FOUND, f"Dict with id '{dict_id}' not found.")
        row = self._store.execute(
            "SELECT value FROM entries WHERE dict_id = ? AND key = ?", (dict_id, key)
        ).fetchone()
        return None if row is None else bytes(row[0])

    def dict_update(self, request: api_pb2.DictUpdateRequest) -> api_pb2.DictUpdateResponse:
        created = [
            self._find(request.dict_id, entry.key) is None
            and self._put(request.dict_id, entry.key, entry.value, only_new=True)
            for entry in request.updates
        ]
        if not request.if_not_exists:
            for entry in request.updates:
                self._put(request.dict_id, entry.key, entry.value)
        return api_pb2.DictUpdateResponse(created=any(created))

    def dict_get(self, request: api_pb2.DictGetRequest) -> api_pb2.DictGetResponse:
        value = self._find(request.dict_id, request.key)
        return api_pb2.DictGetResponse(found=value is not None, value=value)

    def dict_contains(self, request: api_pb2.DictContainsRequest) -> api_pb2.DictContainsResponse:
        return api_pb2.DictContainsResponse(
            found=self._find(request.dict_id, request.key) is not None
        )

    def dict_pop(self, request: api_pb2.DictPopRequest) -> api_pb2.DictPopResponse:
        value = self._find(request.dict_id, request.key)
        self._store.execute(
            "DELETE FROM entries WHERE dict_id = ? AND key = ?", (request.dict_id, request.key)
        )
        return api_pb2.DictPopResponse(found=value is not None, value=value)

    def dict_len(self, request: api_pb2.DictLenRequest) -> api_pb2.DictLenResponse:
        row = self._store.execute(
            "SELECT count(*) FROM entries WHERE dict_id = ?", (request.dict_id,)
        ).fetchone()
        return api_pb2.DictLenResponse(len=row[0])

    async def dict_contents(
        self, request: api_pb2.DictContentsRequest
    ) -> AsyncIterator[api_pb2.DictEntry]:
        rows = self._store.execute(
            "SELECT key, value FROM entries WHERE dict_id = ?", (request.dict_id,)
        ).fetchall()
        for key, value in rows:
            yield api_pb2.DictEntry(
                key=key if request.keys else b"", value=value if request.values else b""
            )

    def dict_list(self, request: api_pb2.DictListRequest) -> api_pb2.DictListResponse:
        environment = request.environment_name or DEFAULT_ENVIRONMENT
        before = request.pagination.created_before
        named = [
            found
            for found in self._state.dicts.values()
            if found.name
            and found.environment == environment
            and (not before or found.created_at < before)
        ]
        named.sort(key=lambda found: -found.created_at)
        response = api_pb2.DictListResponse(environment_name=environment)
        for found in named[: request.pagination.max_objects or len(named)]:
            response.dicts.add(
                name=found.name,
                dict_id=found.id,
                created_at=found.created_at,
                metadata=self._metadata(found),
            )
        return response

    def dict_clear(self, request: api_pb2.DictClearRequest) -> Empty:
        self._store.execute("DELETE FROM entries WHERE dict_id = ?", (request.dict_id,))
        return Empty()

    def dict_delete(self, request: api_pb2.DictDeleteRequest) -> Empty:
        found = self._state.dicts.pop(request.dict_id, None)
        if found is None:
            raise Refused(Status.NOT_FOUND, f"Dict with id '{request.dict_id}' not found.")
        self._store.execute("DELETE FROM entries WHERE dict_id = ?", (found.id,))
        self._store.delete(found)
        return Empty()
