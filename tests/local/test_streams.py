"""Chunks go through a call in order, and those that nobody can ask for again take no room."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modal_proto import api_pb2

from modelctl.local.keeping import function_calls
from modelctl.local.keeping.function_calls import FunctionCall, FunctionCalls, Input, Stream
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.store import Store
from modelctl.local.running import web, websocket
from modelctl.local.running.web import Exchange

MIB = 1 << 20


def chunk(index: int, data: bytes = b"x") -> api_pb2.DataChunk:
    return api_pb2.DataChunk(index=index, data=data)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(1, 20)),
            st.tuples(st.just("after"), st.integers(0, 20)),
            st.tuples(st.just("drop"), st.integers(0, 2000)),
        ),
        max_size=60,
    )
)
def test_what_came_and_was_not_dropped_is_read(steps: list[tuple[str, int]]) -> None:
    stream = Stream()
    came: list[int] = []
    read = 0
    for step, number in steps:
        if step == "add":
            if number > max(came, default=0):
                came.append(number)
            stream.add(chunk(number))
        elif step == "after":
            found = [one.index for one in stream.after(number)]
            wanted = [one for one in came if one > number]
            assert found == wanted or (
                stream.dropped and found == wanted[len(wanted) - len(found) :]
            )
            assert set(found) >= {one for one in wanted if one > read}
            read = max(came, default=0)
        else:
            stream.drop_taken(number)
            assert stream.size <= number or [one.index for one in stream.chunks][:1] > [read]
        assert (stream.pending > 0) == (max(came, default=0) > read)
        assert stream.size >= sum(len(one.data) for one in stream.chunks)


class Talkative:
    """A socket whose client sends without end."""

    close_code = None

    def __init__(self) -> None:
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            self.sent += 1
            yield SimpleNamespace(type=aiohttp.WSMsgType.BINARY, data=b"x" * 100_000)
            await asyncio.sleep(0)


def test_a_web_socket_is_read_no_faster_than_its_app_does(tmp_path: Path) -> None:
    async def talk() -> None:
        inputs = SimpleNamespace(
            calls=FunctionCalls(Store(tmp_path / "state.db")), put=lambda inputs: None
        )
        pool = SimpleNamespace(function=SimpleNamespace(id="fu-1"), inputs=inputs)
        exchange = Exchange(cast(Any, pool), "", {}, 1.0)
        stream = exchange.call.data_in
        socket = Talkative()
        listening = asyncio.create_task(websocket._listen(cast(Any, socket), exchange))
        try:
            for _ in range(1000):
                await asyncio.sleep(0)
            held = socket.sent
            assert held * 100_000 <= web._MOST_PENDING + 2 * 100_000
            seen = 0
            for _ in range(500):  # now the app reads
                for one in stream.after(seen):
                    assert one.index == seen + 1
                    seen = one.index
                exchange.call.wake()
                await asyncio.sleep(0)
            assert seen > held + 100
            assert len(stream.chunks) < 100  # what it read is gone
        finally:
            listening.cancel()

    asyncio.run(talk())


def test_what_generators_yielded_is_kept_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(function_calls, "REREADABLE", 3 * MIB)
    output = api_pb2.GenericResult(status=api_pb2.GenericResult.GENERIC_STATUS_SUCCESS)

    async def finish_many() -> list[tuple[int, int]]:
        calls = FunctionCalls(Store(tmp_path / "state.db"))
        made = []
        for number in range(6):
            call = FunctionCall(new_id("fc"), "fu-1", 1, 1, float(number))
            one = Input(new_id("in"), call, 0, api_pb2.FunctionInput(args=b"x"), float(number))
            calls.add(call)
            calls.add_inputs(call, [one])
            call.data_out.add(chunk(1, b"x" * MIB))
            call.data_out.after(0)
            call.data_out.add(chunk(2))
            calls.finish(one, api_pb2.FunctionGetOutputsItem(result=output), number + 0.5)
            made.append(call)
        return [(len(call.data_out.chunks), call.data_out.pending) for call in made]

    held = asyncio.run(finish_many())
    assert [count for count, _ in held] == [1, 1, 1, 1, 2, 2]
    assert all(pending for _, pending in held)  # what nobody read yet is there
