"""What do Queues answer? Items in the order in which they came, in partitions that expire."""

import asyncio
import time
from typing import Any
from weakref import WeakValueDictionary

from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.records import Queue
from modelctl.local.keeping.state import State
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Refused, Status
from modelctl.local.services.creation import Shelf

PARTITION_TTL = 24 * 3600  # seconds after the last put
LONGEST_KEY = 64  # bytes
MOST_PARTITIONS = 100_000
MOST_ITEMS = 5_000  # in a partition
LARGEST_ITEM = 1 << 20
LARGEST_PARTITION = 64 << 20
_LONGEST_WAIT = 60.0  # seconds; the SDK asks again
_BATCH = 100  # items in one answer of an iteration


class Queues:
    """Queues; a getter waits for an item as long as it says, and those that wait take turns."""

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._store = state.store
        self._clock = clock
        # By Queue and partition, as long as somebody waits: for an item, and for their turn.
        self._news: WeakValueDictionary[tuple[str, bytes], asyncio.Event] = WeakValueDictionary()
        self._lines: WeakValueDictionary[tuple[str, bytes], asyncio.Lock] = WeakValueDictionary()
        self.shelf = Shelf("Queue", state, state.queues, clock, self._ended)

    # -- the Queues themselves

    def queue_get_or_create(
        self, request: api_pb2.QueueGetOrCreateRequest
    ) -> api_pb2.QueueGetOrCreateResponse:
        found, _ = self.shelf.get_or_create(
            request, lambda environment, name: Queue(new_id("qu"), environment, name, time.time())
        )
        return api_pb2.QueueGetOrCreateResponse(queue_id=found.id, metadata=_metadata(found))

    def queue_get_by_id(self, request: api_pb2.QueueGetByIdRequest) -> api_pb2.QueueGetByIdResponse:
        found = self.shelf.get(request.queue_id)
        return api_pb2.QueueGetByIdResponse(queue_id=found.id, metadata=_metadata(found))

    def queue_heartbeat(self, request: api_pb2.QueueHeartbeatRequest) -> Empty:
        self.shelf.hold(request.queue_id)
        return Empty()

    def queue_list(self, request: api_pb2.QueueListRequest) -> api_pb2.QueueListResponse:
        environment = self._state.environment(request.environment_name)
        response = api_pb2.QueueListResponse(environment_name=environment.name)
        for found in self.shelf.newest(environment, request.pagination):
            items, partitions = self._one(
                "SELECT count(*), count(DISTINCT partition) FROM queue_items WHERE queue_id = ?",
                self._opened(found.id),
            )
            response.queues.add(
                name=found.name,
                queue_id=found.id,
                created_at=found.created_at,
                num_partitions=partitions,
                total_size=min(items, request.total_size_limit or items),
                metadata=_metadata(found),
            )
        return response

    def queue_delete(self, request: api_pb2.QueueDeleteRequest) -> Empty:
        self.shelf.remove(self.shelf.get(request.queue_id))
        return Empty()

    def _ended(self, queue: Queue) -> None:
        self._empty(queue.id)
        for queue_id, partition in list(self._news):
            if queue_id == queue.id:
                self._wake(queue_id, partition)

    # -- their items

    def _one(self, sql: str, *values: Any) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._store.execute(sql, values).fetchone()
        return row

    def _opened(self, queue_id: str) -> str:
        """The Queue of that id, without the partitions whose time is over."""
        found = self.shelf.get(queue_id)
        over = self._store.execute(
            "SELECT queue_id, partition FROM queue_partitions WHERE expires_at <= ?",
            (self._clock.time(),),
        ).fetchall()
        for other_id, partition in over:
            self._empty(other_id, partition)
        return found.id

    def _empty(self, queue_id: str, partition: bytes | None = None) -> None:
        """Takes out a partition, or all of them."""
        for table in ("queue_items", "queue_partitions"):
            self._store.execute(
                f"DELETE FROM {table} WHERE queue_id = ? AND (? IS NULL OR partition = ?)",  # noqa: S608 - the names are ours
                (queue_id, partition, partition),
            )

    def _wake(self, queue_id: str, partition: bytes) -> None:
        if event := self._news.pop((queue_id, partition), None):
            event.set()

    def queue_put(self, request: api_pb2.QueuePutRequest) -> Empty:
        """Puts all of the values, or none where they do not fit."""
        queue_id, partition = self._opened(request.queue_id), request.partition_key
        self._check_fits(queue_id, partition, list(request.values))
        for value in request.values:
            self._store.execute(
                "INSERT INTO queue_items (queue_id, partition, value) VALUES (?, ?, ?)",
                (queue_id, partition, value),
            )
        ttl = request.partition_ttl_seconds or PARTITION_TTL
        self._store.execute(
            "INSERT OR REPLACE INTO queue_partitions VALUES (?, ?, ?)",
            (queue_id, partition, self._clock.time() + ttl),
        )
        self._wake(queue_id, partition)
        return Empty()

    def _check_fits(self, queue_id: str, partition: bytes, values: list[bytes]) -> None:
        if len(partition) > LONGEST_KEY:
            raise Refused(
                Status.INVALID_ARGUMENT, f"A partition's key has at most {LONGEST_KEY} bytes."
            )
        if any(len(value) > LARGEST_ITEM for value in values):
            raise Refused(Status.INVALID_ARGUMENT, "An item of a Queue has at most 1 MiB.")
        count, size = self._one(
            "SELECT count(*), coalesce(sum(length(value)), 0) FROM queue_items "
            "WHERE queue_id = ? AND partition = ?",
            queue_id,
            partition,
        )
        if count + len(values) > MOST_ITEMS:
            raise Refused(
                Status.RESOURCE_EXHAUSTED,
                f"The partition is full: it holds at most {MOST_ITEMS} items.",
            )
        if size + sum(map(len, values)) > LARGEST_PARTITION:
            raise Refused(
                Status.RESOURCE_EXHAUSTED, "The partition is full: it holds at most 64 MiB."
            )
        (others,) = self._one(
            "SELECT count(*) FROM queue_partitions WHERE queue_id = ? AND partition != ?",
            queue_id,
            partition,
        )
        if others >= MOST_PARTITIONS:
            raise Refused(
                Status.RESOURCE_EXHAUSTED,
                f"The Queue is full: it holds at most {MOST_PARTITIONS} partitions.",
            )

    async def queue_get(self, request: api_pb2.QueueGetRequest) -> api_pb2.QueueGetResponse:
        """At most `n_values` items as soon as there is one, none after the timeout."""
        queue_id, partition = self._opened(request.queue_id), request.partition_key
        wanted = max(0, request.n_values)
        values = self._take(queue_id, partition, wanted)
        if not values and wanted and request.timeout > 0:
            line = self._lines.setdefault((queue_id, partition), asyncio.Lock())
            try:
                async with asyncio.timeout(min(request.timeout, _LONGEST_WAIT)), line:
                    while not (values := self._take(queue_id, partition, wanted)):
                        await self._news_of(queue_id, partition)
            except TimeoutError:
                values = []
        return api_pb2.QueueGetResponse(values=values)

    def _take(self, queue_id: str, partition: bytes, wanted: int) -> list[bytes]:
        rows = self._store.execute(
            "SELECT n, value FROM queue_items WHERE queue_id = ? AND partition = ? "
            "ORDER BY n LIMIT ?",
            (self._opened(queue_id), partition, wanted),
        ).fetchall()
        for number, _ in rows:
            self._store.execute("DELETE FROM queue_items WHERE n = ?", (number,))
        return [value for _, value in rows]

    async def queue_next_items(
        self, request: api_pb2.QueueNextItemsRequest
    ) -> api_pb2.QueueNextItemsResponse:
        """The items after the last one seen, which stay where they are."""
        queue_id, partition = self._opened(request.queue_id), request.partition_key
        seen = int(request.last_entry_id) if request.last_entry_id.isdigit() else 0
        items = self._after(queue_id, partition, seen)
        if not items and request.item_poll_timeout > 0:
            try:
                async with asyncio.timeout(min(request.item_poll_timeout, _LONGEST_WAIT)):
                    while not (items := self._after(queue_id, partition, seen)):
                        await self._news_of(queue_id, partition)
            except TimeoutError:
                items = []
        return api_pb2.QueueNextItemsResponse(items=items)

    def _after(self, queue_id: str, partition: bytes, seen: int) -> list[api_pb2.QueueItem]:
        rows = self._store.execute(
            "SELECT n, value FROM queue_items WHERE queue_id = ? AND partition = ? AND n > ? "
            "ORDER BY n LIMIT ?",
            (self._opened(queue_id), partition, seen, _BATCH),
        )
        return [api_pb2.QueueItem(value=value, entry_id=str(number)) for number, value in rows]

    async def _news_of(self, queue_id: str, partition: bytes) -> None:
        """Waits until something was put there, or the Queue is gone."""
        await self._news.setdefault((queue_id, partition), asyncio.Event()).wait()

    def queue_len(self, request: api_pb2.QueueLenRequest) -> api_pb2.QueueLenResponse:
        (count,) = self._one(
            "SELECT count(*) FROM queue_items WHERE queue_id = ? AND (? OR partition = ?)",
            self._opened(request.queue_id),
            request.total,
            request.partition_key,
        )
        return api_pb2.QueueLenResponse(len=count)

    def queue_clear(self, request: api_pb2.QueueClearRequest) -> Empty:
        queue_id = self._opened(request.queue_id)
        self._empty(queue_id, None if request.all_partitions else request.partition_key)
        return Empty()


def _metadata(found: Queue) -> api_pb2.QueueMetadata:
    return api_pb2.QueueMetadata(
        name=found.name,
        creation_info=api_pb2.CreationInfo(created_at=found.created_at, created_by="local"),
    )
