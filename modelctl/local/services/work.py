"""What do the containers of functions ask and report? Inputs, outputs, chunks, signs of life."""

import asyncio
from collections.abc import AsyncIterator

from modal_proto import api_pb2

from modelctl.local.keeping.function_calls import REREADABLE
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Caller, Refused, Status
from modelctl.local.running.containers import Container
from modelctl.local.running.fleet import Fleet
from modelctl.local.running.pool import Pool

_HEARTBEAT_HELD = 14.0  # seconds; the runtime gives up waiting for an answer after 15
_LONGEST_WAIT = 55.0  # seconds that a stream of chunks is held open without news
_MOST_PENDING = 16 << 20  # bytes of an answer that may wait for a slow HTTP client


class Work:
    """The RPCs with which a container does its work."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._calls = fleet.calls

    def _at_work(self, caller: Caller) -> tuple[Container, Pool]:
        for container in self._fleet.containers():
            if container.id == caller.task_id and (pool := self._fleet.pool_of(container)):
                return container, pool
        raise Refused(Status.NOT_FOUND, f"Container '{caller.task_id}' is not running.")

    def container_hello(self, _: Empty, caller: Caller) -> Empty:
        self._at_work(caller)[0].greeted.set()
        return Empty()

    async def container_heartbeat(
        self, _: api_pb2.ContainerHeartbeatRequest, caller: Caller
    ) -> api_pb2.ContainerHeartbeatResponse:
        """Answered late, unless there is something to cancel."""
        container, _pool = self._at_work(caller)
        response = api_pb2.ContainerHeartbeatResponse()
        if ids := await container.cancellations(_HEARTBEAT_HELD):
            response.cancel_input_event.input_ids.extend(ids)
        return response

    async def function_get_inputs(
        self, request: api_pb2.FunctionGetInputsRequest, caller: Caller
    ) -> api_pb2.FunctionGetInputsResponse:
        container, pool = self._at_work(caller)
        most = max(1, request.batch_max_size)
        taken = await pool.inputs.take(container, most, request.batch_linger_ms / 1000)
        response = api_pb2.FunctionGetInputsResponse()
        if taken is None:
            response.inputs.add(kill_switch=True)
        for made in taken or ():
            item = response.inputs.add(
                input_id=made.id,
                input=made.body,
                function_call_id=made.call.id,
                function_call_invocation_type=made.call.invocation,
                retry_count=made.attempt,
            )
            if made.call.type == api_pb2.FUNCTION_CALL_TYPE_MAP:
                item.function_map_idx = made.idx
        return response

    def function_put_outputs(
        self, request: api_pb2.FunctionPutOutputsRequest, caller: Caller
    ) -> Empty:
        container, pool = self._at_work(caller)
        for item in request.outputs:
            pool.inputs.output(container, item)
        return Empty()

    def function_get_dynamic_concurrency(
        self, request: api_pb2.FunctionGetDynamicConcurrencyRequest, caller: Caller
    ) -> api_pb2.FunctionGetDynamicConcurrencyResponse:
        """The target, or the most that is allowed while inputs wait. See assumptions."""
        _, pool = self._at_work(caller)
        concurrency = request.target_concurrency
        if pool.inputs.waiting:
            concurrency = request.max_concurrency
        return api_pb2.FunctionGetDynamicConcurrencyResponse(concurrency=concurrency)

    # -- chunks

    async def function_call_put_data_out(
        self, request: api_pb2.FunctionCallPutDataRequest, caller: Caller
    ) -> Empty:
        call = self._calls.get(request.function_call_id)
        if call is None:
            return Empty()  # its client left
        if not any(made.container_id == caller.task_id for made in call.inputs.values()):
            return Empty()  # its input was given to another
        for chunk in request.data_chunks:
            call.data_out.add(chunk)
        if call.kept:
            call.data_out.drop_taken(REREADABLE)
        call.wake()
        while not call.kept and call.unfinished and call.data_out.pending > _MOST_PENDING:
            await call.news().wait()
        return Empty()

    async def function_call_get_data_in(
        self, request: api_pb2.FunctionCallGetDataRequest, caller: Caller
    ) -> AsyncIterator[api_pb2.DataChunk]:
        """The body of an HTTP request, as it comes."""
        container, pool = self._at_work(caller)
        call = self._calls.call(request.function_call_id)
        seen = request.last_index
        while True:
            news = call.news()
            found = call.data_in.after(seen)
            for chunk in found:
                seen = chunk.index
                yield chunk
            if found:
                call.wake()  # who sends may go on
                continue
            if not pool.inputs.holds(container.id, call):
                return
            try:
                async with asyncio.timeout(_LONGEST_WAIT):
                    await news.wait()
            except TimeoutError:
                return
