"""Queues: first in, first out, in partitions that expire; who waits gets what comes."""

import asyncio
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.state import State
from modelctl.local.keeping.store import Store
from modelctl.local.keeping.workspaces import Workspaces
from modelctl.local.rpc import Refused, Status
from modelctl.local.services.queues import (
    LARGEST_ITEM,
    LARGEST_PARTITION,
    MOST_ITEMS,
    PARTITION_TTL,
    Queues,
)
from tests.examples import examples
from tests.local.conftest import Client, CommandLine, refusal

IF_MISSING = api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING
EPHEMERAL = api_pb2.OBJECT_CREATION_TYPE_EPHEMERAL


class Desk:
    """The service alone: no process, a clock that can be moved."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.state = State(self.store)
        Workspaces(self.state)
        self.clock = Clock(self.store)
        self.queues = Queues(self.state, self.clock)

    def make(self, how: api_pb2.ObjectCreationType.ValueType = IF_MISSING) -> str:
        asked = api_pb2.QueueGetOrCreateRequest(deployment_name="q", object_creation_type=how)
        return self.queues.queue_get_or_create(asked).queue_id

    def put(self, queue_id: str, *values: bytes, partition: bytes = b"", ttl: int = 0) -> None:
        self.queues.queue_put(
            api_pb2.QueuePutRequest(
                queue_id=queue_id,
                values=values,
                partition_key=partition,
                partition_ttl_seconds=ttl,
            )
        )

    async def got(
        self, queue_id: str, n: int = 1, partition: bytes = b"", wait: float = 0
    ) -> list[bytes]:
        asked = api_pb2.QueueGetRequest(
            queue_id=queue_id, n_values=n, partition_key=partition, timeout=wait
        )
        return list((await self.queues.queue_get(asked)).values)

    def get(self, queue_id: str, n: int = 1, partition: bytes = b"") -> list[bytes]:
        return asyncio.run(self.got(queue_id, n, partition))

    def seen(self, queue_id: str, partition: bytes = b"") -> list[bytes]:
        """All items, as an iteration sees them."""
        found: list[bytes] = []
        last = ""
        while True:
            asked = api_pb2.QueueNextItemsRequest(
                queue_id=queue_id, partition_key=partition, last_entry_id=last
            )
            items = asyncio.run(self.queues.queue_next_items(asked)).items
            if not items:
                return found
            found += [item.value for item in items]
            last = items[-1].entry_id

    def len(self, queue_id: str, partition: bytes = b"", total: bool = False) -> int:
        asked = api_pb2.QueueLenRequest(queue_id=queue_id, partition_key=partition, total=total)
        return self.queues.queue_len(asked).len


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("desk") / "state.db")
    yield desk
    desk.store.close()


# -- against a model

PARTITIONS = st.sampled_from([b"", b"a", b"b"])
TTLS = st.sampled_from([0, 100, 1000])
STEPS = st.one_of(
    st.tuples(st.just("put"), PARTITIONS, st.lists(st.binary(max_size=4), max_size=3), TTLS),
    st.tuples(st.just("get"), PARTITIONS, st.integers(0, 4)),
    st.tuples(st.sampled_from(["len", "iterate", "clear"]), PARTITIONS),
    st.tuples(st.sampled_from(["total", "clear all"])),
    st.tuples(st.just("wait"), st.sampled_from([60.0, 200.0, 2000.0])),
)


@settings(max_examples=examples(60), deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
def test_a_queue_behaves_as_deques_that_expire(desk: Desk, steps: list[tuple[object, ...]]) -> None:
    queue_id = desk.make(EPHEMERAL)
    model: dict[bytes, deque[bytes]] = {b"": deque(), b"a": deque(), b"b": deque()}
    left: dict[bytes, float] = {}
    for step in steps:
        match step:
            case ("put", bytes(partition), list(values), int(ttl)):
                desk.put(queue_id, *values, partition=partition, ttl=ttl)
                model[partition].extend(values)
                left[partition] = ttl or PARTITION_TTL
            case ("get", bytes(partition), int(n)):
                items = model[partition]
                wanted = [items.popleft() for _ in range(min(n, len(items)))]
                assert desk.get(queue_id, n, partition) == wanted
            case ("len", bytes(partition)):
                assert desk.len(queue_id, partition) == len(model[partition])
            case ("iterate", bytes(partition)):
                assert desk.seen(queue_id, partition) == list(model[partition])
            case ("clear", bytes(partition)):
                asked = api_pb2.QueueClearRequest(queue_id=queue_id, partition_key=partition)
                desk.queues.queue_clear(asked)
                model[partition].clear()
            case ("total",):
                assert desk.len(queue_id, total=True) == sum(map(len, model.values()))
            case ("clear all",):
                asked = api_pb2.QueueClearRequest(queue_id=queue_id, all_partitions=True)
                desk.queues.queue_clear(asked)
                for items in model.values():
                    items.clear()
            case ("wait", float(seconds)):
                desk.clock.advance(seconds)
                desk.state.queues[queue_id].held_until = 0.0  # somebody holds on to it
                for partition in left:
                    left[partition] -= seconds
                    if left[partition] <= 0:
                        model[partition].clear()
    for partition, items in model.items():
        assert desk.seen(queue_id, partition) == list(items)


# -- limits


def refused(desk: Desk, queue_id: str, *values: bytes, partition: bytes = b"") -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        desk.put(queue_id, *values, partition=partition)
    return caught.value.status.name, caught.value.message


def test_a_full_partition_takes_nothing_more(desk: Desk) -> None:
    queue_id = desk.make(EPHEMERAL)
    desk.put(queue_id, *[b"x"] * (MOST_ITEMS - 1))
    full = (Status.RESOURCE_EXHAUSTED.name, "The partition is full: it holds at most 5000 items.")
    assert refused(desk, queue_id, b"y", b"z") == full
    assert desk.len(queue_id) == MOST_ITEMS - 1  # all or nothing
    desk.put(queue_id, b"y")
    assert refused(desk, queue_id, b"z") == full
    desk.put(queue_id, b"z", partition=b"other")
    desk.get(queue_id)
    desk.put(queue_id, b"z")


def test_too_large_items_partitions_and_keys_are_refused(desk: Desk) -> None:
    queue_id = desk.make(EPHEMERAL)
    assert refused(desk, queue_id, b"x" * (LARGEST_ITEM + 1)) == (
        "INVALID_ARGUMENT",
        "An item of a Queue has at most 1 MiB.",
    )
    assert refused(desk, queue_id, b"x", partition=b"k" * 65) == (
        "INVALID_ARGUMENT",
        "A partition's key has at most 64 bytes.",
    )
    desk.put(queue_id, *[b"x" * LARGEST_ITEM] * (LARGEST_PARTITION // LARGEST_ITEM))
    assert refused(desk, queue_id, b"x") == (
        "RESOURCE_EXHAUSTED",
        "The partition is full: it holds at most 64 MiB.",
    )


# -- waiting


def test_those_who_wait_get_each_item_once_and_in_turn(desk: Desk) -> None:
    queue_id = desk.make(EPHEMERAL)

    async def scene() -> list[list[bytes]]:
        getters = []
        for _ in range(5):
            getters.append(asyncio.create_task(desk.got(queue_id, wait=30)))
            await asyncio.sleep(0)
        for number in range(5):
            desk.put(queue_id, b"%d" % number)
        return await asyncio.gather(*getters)

    assert asyncio.run(scene()) == [[b"0"], [b"1"], [b"2"], [b"3"], [b"4"]]
    assert desk.len(queue_id) == 0


def test_who_went_away_takes_nothing(desk: Desk) -> None:
    queue_id = desk.make(EPHEMERAL)

    async def scene() -> list[bytes]:
        gone = asyncio.create_task(desk.got(queue_id, wait=30))
        await asyncio.sleep(0)
        gone.cancel()
        desk.put(queue_id, b"kept")
        return await desk.got(queue_id, wait=30)

    assert asyncio.run(scene()) == [b"kept"]


def test_who_waits_for_a_queue_that_is_deleted_is_told(desk: Desk) -> None:
    queue_id = desk.make(EPHEMERAL)

    async def scene() -> None:
        waits = asyncio.create_task(desk.got(queue_id, wait=30))
        await asyncio.sleep(0)
        desk.queues.queue_delete(api_pb2.QueueDeleteRequest(queue_id=queue_id))
        await waits

    with pytest.raises(Refused) as caught:
        asyncio.run(scene())
    assert caught.value.message == f"Queue with id '{queue_id}' not found."


def test_items_survive_a_restart(tmp_path: Path) -> None:
    first = Desk(tmp_path / "state.db")
    queue_id = first.make()
    first.put(queue_id, b"1", b"2")
    first.get(queue_id)
    first.store.close()
    second = Desk(tmp_path / "state.db")
    assert second.make() == queue_id
    second.put(queue_id, b"3")
    assert second.get(queue_id, 5) == [b"2", b"3"]
    second.store.close()


# -- with the SDK and the CLI


def test_the_sdk_puts_gets_waits_and_iterates(client: Client) -> None:
    assert client.sdk(
        """
        import queue, threading
        with modal.Queue.ephemeral() as q:
            q.put(1)
            q.put_many([2, 3])
            q.put("p", partition="side", partition_ttl=60)
            same = modal.Queue.from_id(q.object_id)
            seen = list(same.iterate())
            lens = [q.len(), q.len(partition="side"), q.len(total=True)]
            got = [q.get(), q.get_many(5), q.get(block=False), q.get(partition="side")]
            try:
                q.get(timeout=0.2)
            except queue.Empty:
                empty = True
            threading.Timer(0.2, lambda: q.put("late")).start()
            late = q.get(timeout=20)
            q.put_many(list(range(5000)), partition="full")
            try:
                q.put(1, block=False, partition="full")
            except queue.Full:
                full = True
            q.clear(partition="full")
            cleared = q.len(partition="full")
            q.put(1)
            q.clear(all=True)
            result = [seen, lens, got, empty, late, full, cleared, q.len(total=True)]
        """
    ) == [[1, 2, 3], [3, 1, 4], [1, [2, 3], None, "p"], True, "late", True, 0, 0]


def test_an_iteration_waits_for_the_next_item(client: Client) -> None:
    assert client.sdk(
        """
        import threading
        with modal.Queue.ephemeral() as q:
            q.put("first")
            timer = threading.Timer(0.3, lambda: q.put("second"))
            timer.start()
            result = []
            for item in q.iterate(item_poll_timeout=15):
                result.append(item)
                if item == "second":
                    break
        """
    ) == ["first", "second"]


def test_the_cli_makes_shows_clears_and_deletes(client: Client, cli: CommandLine) -> None:
    cli("queue", "create", "q-cli")
    cli("queue", "create", "q-cli")  # does nothing
    client.sdk(
        """
        q = modal.Queue.from_name("q-cli")
        q.put_many(["one", "two"])
        q.put("three", partition="p")
        """
    )
    (row,) = [row for row in cli.rows("queue", "list") if row["name"] == "q-cli"]
    assert (row["created_by"], row["partitions"], row["total_size"]) == ("local", 2, 3)
    assert row["total_size_truncated"] is False
    assert cli("queue", "peek", "q-cli", "5").split() == ["one", "two"]
    assert cli("queue", "peek", "q-cli", "-p", "p").split() == ["three"]
    assert cli("queue", "len", "q-cli").strip() == "2"
    assert cli("queue", "len", "q-cli", "--total").strip() == "3"
    cli("queue", "clear", "q-cli", "--yes", "-p", "p")
    assert cli("queue", "len", "q-cli", "--total").strip() == "2"
    cli("queue", "clear", "q-cli", "--yes", "--all")
    assert cli("queue", "len", "q-cli", "--total").strip() == "0"
    cli("queue", "delete", "q-cli", "--yes")
    assert "q-cli" not in cli("queue", "list")
    gone = " ".join(cli.fails("queue", "delete", "q-cli", "--yes").split())
    assert "Queue 'q-cli' not found in environment 'main'." in gone
    cli("queue", "delete", "q-cli", "--yes", "--allow-missing")


def test_an_unknown_queue_is_not_found(client: Client) -> None:
    unknown = "qu-" + "0" * 22
    for method, request in (
        ("QueueGet", api_pb2.QueueGetRequest(queue_id=unknown, n_values=1)),
        ("QueueGetById", api_pb2.QueueGetByIdRequest(queue_id=unknown)),
        ("QueuePut", api_pb2.QueuePutRequest(queue_id=unknown)),
        ("QueueLen", api_pb2.QueueLenRequest(queue_id=unknown)),
        ("QueueClear", api_pb2.QueueClearRequest(queue_id=unknown)),
        ("QueueNextItems", api_pb2.QueueNextItemsRequest(queue_id=unknown)),
        ("QueueHeartbeat", api_pb2.QueueHeartbeatRequest(queue_id=unknown)),
        ("QueueDelete", api_pb2.QueueDeleteRequest(queue_id=unknown)),
    ):
        expected = ("NOT_FOUND", f"Queue with id '{unknown}' not found.")
        assert refusal(client, method, request) == expected, method
