"""The queue of a function: whatever happens, each input comes to one end, and has one holder."""

import asyncio
import math
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.function_calls import FunctionCall, FunctionCalls, Input, payload_of
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.ledger import Ledger
from modelctl.local.keeping.store import Store
from modelctl.local.running.containers import Container, Phase
from modelctl.local.running.inputs import MOST_LOST, Inputs
from tests.examples import examples

SUCCESS = api_pb2.GenericResult.GENERIC_STATUS_SUCCESS
FAILURE = api_pb2.GenericResult.GENERIC_STATUS_FAILURE
ASYNC = api_pb2.FUNCTION_CALL_INVOCATION_TYPE_ASYNC
RETRIES = 2


class FakeContainer:
    """What the queue needs of a container, without a process."""

    def __init__(self) -> None:
        self.id = new_id("ta")
        self.phase = Phase.LIVE
        self.failed = False
        self.inflight = 0
        self.told: list[str] = []

    def start_serving(self) -> None:
        pass

    def enter_request(self) -> None:
        self.inflight += 1

    def leave_request(self) -> None:
        self.inflight -= 1

    def cancel_inputs(self, ids: list[str]) -> None:
        self.told += ids

    def stop(self) -> None:
        self.phase = Phase.STOPPING

    def say(self, sentence: str) -> None:
        pass


class Queue(RuleBasedStateMachine):
    """Inputs are put, taken, answered, cancelled and lost in any order."""

    containers = Bundle("containers")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state.db"
        self.loop = asyncio.new_event_loop()
        self.everything: list[Input] = []
        self.outputs: dict[str, list[int]] = {}
        self.live: list[FakeContainer] = []
        self.run(self._open())

    async def _open(self) -> None:
        self.store = Store(self.path)
        self.calls = FunctionCalls(self.store)
        self.clock = Clock(self.store)
        spec = api_pb2.Function()
        spec.retry_policy.retries = RETRIES
        self.ledger = Ledger(self.store, self.clock.time)
        self.inputs = Inputs(
            self.calls, self.ledger, self.clock, lambda: spec, lambda: None, lambda: None
        )

    def run(self, work: Any) -> Any:
        async def within() -> Any:
            result = await work
            await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(within())

    def do(self, call: Any, *arguments: Any) -> None:
        async def within() -> None:
            call(*arguments)

        self.run(within())

    @rule(target=containers)
    def start(self) -> FakeContainer:
        container = FakeContainer()
        self.live.append(container)
        return container

    @rule(count=st.integers(1, 4))
    def put(self, count: int) -> None:
        call = FunctionCall(new_id("fc"), "fu-1", 2, ASYNC, 1.0)
        made = [
            Input(new_id("in"), call, n, api_pb2.FunctionInput(args=b"x"), 1.0)
            for n in range(count)
        ]

        def put() -> None:
            self.calls.add(call)
            self.calls.add_inputs(call, made)
            self.inputs.put(made)

        self.do(put)
        self.everything += made

    @rule(container=containers, most=st.integers(1, 3))
    def take(self, container: FakeContainer, most: int) -> None:
        if not self.inputs.waiting and container.phase is Phase.LIVE:
            return  # it would wait
        before = self.inputs.waiting
        taken = self.run(self.inputs.take(cast(Container, container), most, 0.0))
        if container.phase is Phase.LIVE:
            assert len(taken) == min(most, before)
        else:
            assert taken is None

    @rule(container=containers, well=st.booleans(), which=st.integers(0, 9))
    def answer(self, container: FakeContainer, well: bool, which: int) -> None:
        held = list(self.inputs._held.get(container.id, {}))
        if held:
            status = SUCCESS if well else FAILURE
            item = api_pb2.FunctionPutOutputsItem(
                input_id=held[which % len(held)], result=api_pb2.GenericResult(status=status)
            )
            self.do(self.inputs.output, container, item)
            self.do(self.inputs.output, container, item)  # sent twice

    @rule(container=consumes(containers), crash=st.booleans())
    def lose(self, container: FakeContainer, crash: bool) -> None:
        container.failed = crash
        container.phase = Phase.DEAD
        self.do(self.inputs.gone, container)
        self.do(self.inputs.gone, container)
        assert container.inflight == 0

    @rule(which=st.integers(0, 99), kill=st.booleans())
    def cancel(self, which: int, kill: bool) -> None:
        if self.everything:
            made = self.everything[which % len(self.everything)]
            self.do(self.inputs.cancel, [made], "enough", self.live, kill)
            assert made.done

    @rule()
    def give_up(self) -> None:
        result = api_pb2.GenericResult(status=FAILURE)
        self.do(self.inputs.give_up, result, lambda made: made.idx == 0)

    @rule()
    def pass_time(self) -> None:
        self.do(self.clock.advance, 100.0)
        self.run(asyncio.sleep(0.003))

    @invariant()
    def each_has_one_place(self) -> None:
        inputs = self.inputs
        held = [made for holds in inputs._held.values() for made in holds.values()]
        places = [*inputs._waiting, *(made for made, _ in inputs._delayed.values()), *held]
        unfinished = [made for made in places if not made.done]
        assert len(unfinished) == len({made.id for made in unfinished})
        assert {made.id for made in unfinished} == {
            made.id for made in self.everything if not made.done
        }
        for container in self.live:
            assert container.inflight == len(inputs._held.get(container.id, {}))

    @invariant()
    def limits_hold(self) -> None:
        for made in self.everything:
            assert made.attempt <= RETRIES
            assert made.lost <= MOST_LOST + 1
            assert payload_of(made.token)["idx"] == made.idx

    def teardown(self) -> None:
        """What is unfinished now is what a plane finds that starts on the same file.

        And what is finished was counted once.
        """
        left = {made.id for made in self.everything if not made.done}

        async def again() -> set[str]:
            self.store.commit()
            calls = FunctionCalls(Store(self.path))
            found = [made for call in calls.unfinished() for made in call.inputs.values()]
            return {made.id for made in found if not made.done}

        async def counted() -> list[int]:
            return sorted(entry.status for entry in self.ledger.inputs("fu-1", 0.0, math.inf))

        assert self.run(again()) == left
        ends = [made.output.result.status for made in self.everything if made.output]
        assert self.run(counted()) == sorted(ends)
        for _, alarm in self.inputs._delayed.values():
            alarm.cancel()
        self.loop.close()
        self.folder.cleanup()


def test_an_input_that_comes_as_a_batch_is_closed_goes_to_another_container(
    tmp_path: Path,
) -> None:
    async def race() -> list[list[Input] | None]:
        store = Store(tmp_path / "state.db")
        calls, clock, spec = FunctionCalls(store), Clock(store), api_pb2.Function()
        ledger = Ledger(store, clock.time)
        inputs = Inputs(calls, ledger, clock, lambda: spec, lambda: None, lambda: None)
        call = FunctionCall(new_id("fc"), "fu-1", 2, ASYNC, 1.0)
        made = [Input(new_id("in"), call, n, api_pb2.FunctionInput(), 1.0) for n in range(2)]
        calls.add(call)
        calls.add_inputs(call, made)
        inputs.put(made[:1])
        first, second = (cast(Container, FakeContainer()) for _ in range(2))
        batch = asyncio.create_task(inputs.take(first, 2, 0.05))
        await asyncio.sleep(0)
        other = asyncio.create_task(inputs.take(second, 1, 0.0))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.03, inputs.put, made[1:])
        # Both the input and the end of the batch are due when the loop goes on.
        time.sleep(0.1)  # noqa: ASYNC251
        async with asyncio.timeout(5):
            return [await batch, await other]

    batch, other = asyncio.run(race())
    assert batch is not None and [made.idx for made in batch] == [0]
    assert other is not None and [made.idx for made in other] == [1]


def test_results_are_forgotten_once_they_were_fetched_and_others_are_kept(tmp_path: Path) -> None:
    async def finish_many() -> list[tuple[int, list[int]]]:
        store = Store(tmp_path / "state.db")
        calls = FunctionCalls(store)
        output = api_pb2.GenericResult(status=SUCCESS, data=b"x")
        made = []
        for number in range(300):
            call = FunctionCall(new_id("fc"), "fu-1", 1, ASYNC, float(number))
            call.acknowledged = number != 1
            one = Input(new_id("in"), call, 0, api_pb2.FunctionInput(args=b"x"), float(number))
            calls.add(call)
            calls.add_inputs(call, [one])
            calls.finish(one, api_pb2.FunctionGetOutputsItem(result=output), number + 0.5)
            made.append(call.id)
        seen = []
        for call_id in made[0], made[1], made[-1]:
            found = calls.get(call_id)
            assert found is not None
            outputs = found.outputs(0, 0, 0)
            seen.append(
                (len(found.inputs), [len(o.output.result.data) for o in outputs if o.output])
            )
        assert calls.unfinished() == []
        assert len(calls.history(["fu-1"], 100.0, 200.0, 50)) == 50
        return seen

    assert asyncio.run(finish_many()) == [(1, []), (1, [1]), (1, [1])]


Queue.TestCase.settings = settings(max_examples=examples(40), stateful_step_count=40, deadline=None)
TestQueue = Queue.TestCase
