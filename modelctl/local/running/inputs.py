"""Which input of a function goes to which container, and what when that fails?

One queue a function. An input waits until a container asks for work, is held by it until its output
comes, and goes back to the front of the queue if the container is lost. What fails is tried again
as the function's retry policy says, unless the client sees to that itself.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable

from modal_proto import api_pb2

from modelctl.local.clock import Alarm, Clock
from modelctl.local.keeping.function_calls import SUCCESS, FunctionCall, FunctionCalls, Input
from modelctl.local.keeping.ledger import InputEntry, Ledger
from modelctl.local.running.containers import Container, Phase

log = logging.getLogger(__name__)

MOST_LOST = 8  # containers that an input may outlive. See assumptions.
_CANCEL_GRACE = 10.0  # seconds that a container has to give up a cancelled input
_LEAST_RETRY_DELAY, _MOST_RETRY_DELAY = 1000, 60_000  # milliseconds, as in the SDK's own retries
FAILURE = api_pb2.GenericResult.GENERIC_STATUS_FAILURE
TERMINATED = api_pb2.GenericResult.GENERIC_STATUS_TERMINATED
TIMEOUT = api_pb2.GenericResult.GENERIC_STATUS_TIMEOUT
SYNC = api_pb2.FUNCTION_CALL_INVOCATION_TYPE_SYNC


class Inputs:
    """The queue of one function. `changed` is called whenever its length or who works changes."""

    def __init__(
        self,
        calls: FunctionCalls,
        ledger: Ledger,
        clock: Clock,
        spec: Callable[[], api_pb2.Function],
        changed: Callable[[], None],
        succeeded: Callable[[], None],
    ) -> None:
        self.calls = calls
        self._ledger = ledger
        self._clock = clock
        self._spec = spec
        self._changed = changed
        self._succeeded = succeeded
        self._waiting: deque[Input] = deque()
        self._held: dict[str, dict[str, Input]] = {}  # by container id and input id
        self._limits: dict[str, asyncio.TimerHandle] = {}  # by input id
        self._delayed: dict[str, tuple[Input, Alarm]] = {}
        self._takers: deque[tuple[Container, asyncio.Future[None]]] = deque()

    # -- how much there is

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def unfinished(self) -> int:
        return len(self._waiting) + len(self._delayed) + sum(map(len, self._held.values()))

    def all_unfinished(self) -> list[Input]:
        held = [made for holds in self._held.values() for made in holds.values()]
        delayed = [made for made, _ in self._delayed.values()]
        return [made for made in [*self._waiting, *delayed, *held] if not made.done]

    def holds(self, container_id: str, call: FunctionCall) -> bool:
        """Whether the container has an input of this call, a cancelled one included."""
        held = self._held.get(container_id, {})
        return any(made.call is call for made in held.values())

    # -- in

    def put(self, inputs: Iterable[Input]) -> None:
        self._waiting.extend(inputs)
        self._offer()
        self._changed()

    def _offer(self) -> None:
        """Wakes as many of those who ask for work as there is work."""
        for _ in range(len(self._waiting)):
            while self._takers:
                _, asking = self._takers.popleft()
                if not asking.done():
                    asking.set_result(None)
                    break

    # -- out to containers

    async def take(self, container: Container, most: int, linger: float) -> list[Input] | None:
        """The next inputs for a container, once there are any; None when it is to end."""
        container.start_serving()
        taken: list[Input] = []
        deadline = 0.0
        loop = asyncio.get_running_loop()
        while container.phase is Phase.LIVE:
            while self._waiting and len(taken) < most:
                taken.append(self._give(self._waiting.popleft(), container))
                deadline = deadline or loop.time() + linger
            if len(taken) == most or (taken and loop.time() >= deadline):
                break
            asking = loop.create_future()
            self._takers.append((container, asking))
            try:
                async with asyncio.timeout(deadline - loop.time() if taken else None):
                    await asking
            except TimeoutError:
                self._offer()  # it may have been told of an input that somebody else can have
                break
            except asyncio.CancelledError:
                if asking.done():
                    self._offer()  # it was told of an input that somebody else can have
                raise
        if taken:
            self._changed()
        return taken or None

    def _give(self, made: Input, container: Container) -> Input:
        made.container_id = container.id
        made.started_at = self._clock.time()
        self.calls.save(made)
        self._held.setdefault(container.id, {})[made.id] = made
        container.enter_request()
        if limit := self._spec().timeout_secs:
            self._limits[made.id] = asyncio.get_running_loop().call_later(
                limit, self._time_out, made, container, limit
            )
        return made

    def dismiss(self, container: Container) -> None:
        """The container takes no more inputs: its request for work is answered with none."""
        for asker, asking in self._takers:
            if asker is container and not asking.done():
                asking.set_result(None)

    # -- back from containers

    def output(self, container: Container, item: api_pb2.FunctionPutOutputsItem) -> None:
        made = self._held.get(container.id, {}).get(item.input_id)
        if made is None:
            return  # it timed out, or was given to another
        self._let_go(made, container)
        if made.done:
            return  # cancelled
        output = api_pb2.FunctionGetOutputsItem(
            result=item.result,
            data_format=item.data_format,
            task_id=container.id,
            input_started_at=item.input_started_at,
            output_created_at=item.output_created_at,
        )
        self._settle(made, output)

    def _let_go(self, made: Input, container: Container) -> None:
        self._held[container.id].pop(made.id, None)
        if limit := self._limits.pop(made.id, None):
            limit.cancel()
        container.leave_request()
        made.call.wake()

    def _settle(self, made: Input, output: api_pb2.FunctionGetOutputsItem) -> None:
        """An attempt ended: the input is done with, or waits for the next one."""
        status = output.result.status
        policy = self._spec().retry_policy
        fails = status not in (SUCCESS, TERMINATED)
        if status == SUCCESS:
            self._succeeded()
        if fails and made.call.invocation != SYNC and made.attempt < policy.retries:
            made.attempt += 1
            self._retry_later(made, _delay(policy, made.attempt))
        else:
            self._finish(made, output)
        self._changed()

    def _retry_later(self, made: Input, delay: float) -> None:
        self.calls.reopen(made)
        alarm = self._clock.call_at(self._clock.monotonic() + delay, lambda: self._retry(made))
        self._delayed[made.id] = (made, alarm)

    def _retry(self, made: Input) -> None:
        self._delayed.pop(made.id, None)
        self.put([made])

    def _finish(self, made: Input, output: api_pb2.FunctionGetOutputsItem) -> None:
        output.idx, output.input_id, output.retry_count = made.idx, made.id, made.attempt
        now = self._clock.time()
        self._ledger.add(
            InputEntry(
                made.call.function_id,
                made.container_id,
                made.created_at,
                made.started_at,
                now,
                output.result.status,
            )
        )
        self.calls.finish(made, output, now)

    def retry(self, made: Input, body: api_pb2.FunctionInput, attempt: int) -> None:
        """The client wants it tried again."""
        if not made.done:
            return  # asked twice
        if body.WhichOneof("args_oneof"):
            made.body = body
        made.attempt = attempt or made.attempt + 1
        made.forgotten = False
        self.calls.reopen(made)
        self.put([made])

    # -- what goes wrong

    def _time_out(self, made: Input, container: Container, limit: int) -> None:
        sentence = f"Task's current input {made.id} hit its timeout of {limit}s"
        container.say(sentence)
        self._let_go(made, container)
        if not made.done:
            result = api_pb2.GenericResult(status=TIMEOUT, exception=sentence)
            output = api_pb2.FunctionGetOutputsItem(result=result, task_id=container.id)
            self._settle(made, output)
        container.stop()
        self.gone(container)

    def gone(self, container: Container) -> None:
        """The container ended, or was told to: what it held is given to another."""
        held = self._held.pop(container.id, {})
        back = []
        for made in held.values():
            if limit := self._limits.pop(made.id, None):
                limit.cancel()
            container.leave_request()
            if made.done:
                continue
            made.lost += container.failed
            if made.call.data_in.dropped or made.call.data_out.dropped:
                self._fail(made, f"Container {container.id} ended in the middle of a request.")
            elif made.lost > MOST_LOST:
                self._fail(
                    made,
                    f"Input {made.id} is not tried again: {made.lost} containers that worked on "
                    "it ended. The app's logs say how.",
                )
            else:
                self.calls.reopen(made)
                back.append(made)
        self._waiting.extendleft(reversed(back))
        if back:
            self._offer()
        self._changed()

    def _fail(self, made: Input, sentence: str) -> None:
        result = api_pb2.GenericResult(status=FAILURE, exception=sentence)
        self._finish(made, api_pb2.FunctionGetOutputsItem(result=result))

    def give_up(self, result: api_pb2.GenericResult, only: Callable[[Input], bool]) -> None:
        """No container comes up: those that wait for one fail with what its code raised."""
        failing = [made for made in self._waiting if only(made)]
        self._waiting = deque(made for made in self._waiting if not only(made))
        for made in failing:
            self._finish(made, api_pb2.FunctionGetOutputsItem(result=result))

    def cancel(
        self, inputs: Iterable[Input], reason: str, running: Iterable[Container], kill: bool = False
    ) -> None:
        """Ends inputs without a retry; the containers that work on them are told."""
        containers = {container.id: container for container in running}
        told: dict[str, list[str]] = {}
        for made in inputs:
            if made.done:
                continue
            if delayed := self._delayed.pop(made.id, None):
                delayed[1].cancel()
            holds = made.id in self._held.get(made.container_id, {})
            if holds and made.container_id in containers:
                told.setdefault(made.container_id, []).append(made.id)
            result = api_pb2.GenericResult(status=TERMINATED, exception=reason)
            self._finish(made, api_pb2.FunctionGetOutputsItem(result=result))
        self._waiting = deque(made for made in self._waiting if not made.done)
        for container_id, ids in told.items():
            container = containers[container_id]
            if kill:
                container.stop()
                self.gone(container)
                continue
            container.cancel_inputs(ids)
            asyncio.get_running_loop().call_later(_CANCEL_GRACE, self._insist, container, ids)
        self._changed()

    def _insist(self, container: Container, ids: list[str]) -> None:
        if any(made in self._held.get(container.id, {}) for made in ids):
            container.say(f"Container {container.id} goes on with a cancelled input: it is ended.")
            container.stop()
            self.gone(container)

    def close(self, reason: str) -> None:
        """The function is no longer there: nothing waits for it in vain."""
        for made in self.all_unfinished():
            if delayed := self._delayed.pop(made.id, None):
                delayed[1].cancel()
            result = api_pb2.GenericResult(status=TERMINATED, exception=reason)
            self._finish(made, api_pb2.FunctionGetOutputsItem(result=result))
        self._waiting.clear()


def _delay(policy: api_pb2.FunctionRetryPolicy, attempt: int) -> float:
    """Seconds before this retry, by the same rule as the SDK's."""
    delay = policy.initial_delay_ms * policy.backoff_coefficient ** (attempt - 1)
    return (
        float(min(max(delay, _LEAST_RETRY_DELAY), policy.max_delay_ms or _MOST_RETRY_DELAY)) / 1e3
    )


def is_web(made: Input) -> bool:
    """Whether an HTTP client waits for it, which cannot wait as long as others."""
    return not made.call.kept
