"""How are functions called? Clients put inputs and fetch what comes of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable

from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.definitions import parsed
from modelctl.local.keeping.function_calls import FunctionCall, Input, payload_of
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.state import CALLER, State
from modelctl.local.keeping.variants import variants_of
from modelctl.local.protobuf import Empty
from modelctl.local.rpc import Refused, Status
from modelctl.local.running.fleet import Fleet
from modelctl.local.running.pool import Pool
from modelctl.local.services.spans import span

_OUTSTANDING = 1000  # inputs of one map that may wait or run at once, as on Modal
_LARGEST_ANSWER = 32 << 20  # bytes of outputs in one response
_LONGEST_WAIT = 55.0  # seconds that a stream of chunks is held open without news
_RESULTS = api_pb2.GenericResult
_INPUT_STATUS = {
    number: number + 2 for name, number in _RESULTS.GenericStatus.items() if number
}  # api_pb2.FunctionCallInputStatus has PENDING and RUNNING before the same list
_CANCELLED = "Input was cancelled by user"


class Calls:
    """The RPCs on function calls, from clients."""

    def __init__(self, state: State, fleet: Fleet, clock: Clock) -> None:
        self._state = state
        self._fleet = fleet
        self._calls = fleet.calls
        self._clock = clock

    def _pool(self, function_id: str) -> Pool:
        function = self._state.function(function_id)
        if pool := self._fleet.pool_for(function_id):
            if pool.is_server:
                raise Refused(
                    Status.FAILED_PRECONDITION,
                    f"'{function.name}' is a server: it answers at its URL and cannot be called.",
                )
            return pool
        app = self._state.app(function.app_id)
        raise Refused(
            Status.FAILED_PRECONDITION,
            f"Function '{function.name}' cannot be called: app '{app.name or app.description}' "
            f"is {'stopped' if app.stopped_at else 'not running'}.",
        )

    # -- putting

    def function_map(self, request: api_pb2.FunctionMapRequest) -> api_pb2.FunctionMapResponse:
        pool = self._pool(request.function_id)
        call = FunctionCall(
            new_id("fc"),
            request.function_id,
            request.function_call_type,
            request.function_call_invocation_type,
            self._clock.time(),
            request.parent_input_id,
        )
        self._calls.add(call)
        spec = pool.data.ranked_functions[0].function
        return api_pb2.FunctionMapResponse(
            function_call_id=call.id,
            pipelined_inputs=self._put(pool, call, request.pipelined_inputs),
            retry_policy=spec.retry_policy if spec.HasField("retry_policy") else None,
            function_call_jwt=call.token,
            sync_client_retries_enabled=True,
            max_inputs_outstanding=_OUTSTANDING,
        )

    def function_put_inputs(
        self, request: api_pb2.FunctionPutInputsRequest
    ) -> api_pb2.FunctionPutInputsResponse:
        call = self._calls.call(request.function_call_id)
        put = self._put(self._pool(call.function_id), call, request.inputs)
        return api_pb2.FunctionPutInputsResponse(inputs=put)

    def _put(
        self, pool: Pool, call: FunctionCall, items: Iterable[api_pb2.FunctionPutInputsItem]
    ) -> list[api_pb2.FunctionPutInputsResponseItem]:
        # A request that is sent again, because its answer was lost, puts nothing twice.
        fresh = [
            Input(new_id("in"), call, item.idx, item.input, self._clock.time())
            for item in items
            if item.idx not in call.inputs
        ]
        self._calls.add_inputs(call, fresh)
        pool.inputs.put(fresh)
        answer = []
        for item in items:
            made = call.inputs[item.idx]
            answer.append(
                api_pb2.FunctionPutInputsResponseItem(
                    idx=item.idx, input_id=made.id, input_jwt=made.token
                )
            )
        return answer

    def function_finish_inputs(self, request: api_pb2.FunctionFinishInputsRequest) -> Empty:
        self._calls.call(request.function_call_id)
        return Empty()

    def function_retry_inputs(
        self, request: api_pb2.FunctionRetryInputsRequest
    ) -> api_pb2.FunctionRetryInputsResponse:
        call_id = str(payload_of(request.function_call_jwt).get("function_call_id", ""))
        call = self._calls.call(call_id)
        if self._state.workspace_of(call.function_id) not in (None, CALLER.get()):
            # Ids in requests are checked before; this one was hidden in a token.
            raise Refused(Status.NOT_FOUND, f"Function call '{call_id}' not found.")
        pool = self._pool(call.function_id)
        response = api_pb2.FunctionRetryInputsResponse()
        for item in request.inputs:
            made = call.inputs.get(payload_of(item.input_jwt).get("idx", -1))
            if made is None:
                raise Refused(Status.NOT_FOUND, f"Function call '{call.id}' has no such input.")
            pool.inputs.retry(made, item.input, item.retry_count)
            response.input_jwts.append(made.token)
        return response

    # -- fetching

    async def function_get_outputs(
        self, request: api_pb2.FunctionGetOutputsRequest
    ) -> api_pb2.FunctionGetOutputsResponse:
        """The outputs that came after an entry, once there are any or the time is over."""
        call = self._calls.call(request.function_call_id)
        after = int(request.last_entry_id.partition("-")[0] or 0)
        first = request.start_idx if request.HasField("start_idx") else None
        last = request.end_idx if request.HasField("end_idx") else None
        call.acknowledged = call.acknowledged or request.clear_on_success
        if request.clear_on_success and first is None and not request.timeout:
            return api_pb2.FunctionGetOutputsResponse(last_entry_id=request.last_entry_id)
        deadline = time.monotonic() + request.timeout
        while not (found := call.outputs(after, first, last)):
            left = deadline - time.monotonic()
            # Results that are gone are not waited for; a map whose inputs did not come yet is.
            gone = first is not None and bool(call.inputs) and not call.unfinished
            if left <= 0 or gone:
                break
            try:
                async with asyncio.timeout(left):
                    await call.news().wait()
            except TimeoutError:
                continue
        response = api_pb2.FunctionGetOutputsResponse(
            last_entry_id=request.last_entry_id, num_unfinished_inputs=call.unfinished
        )
        size = 0
        for made in found[: request.max_values or None]:
            if made.output is None or (
                size and size + len(made.output.result.data) > _LARGEST_ANSWER
            ):
                break
            size += len(made.output.result.data)
            response.idxs.append(made.idx)
            response.outputs.append(made.output)
            response.last_entry_id = f"{made.entry}-0"
        return response

    async def function_call_get_data_out(
        self, request: api_pb2.FunctionCallGetDataRequest
    ) -> AsyncIterator[api_pb2.DataChunk]:
        """What a generator yields, as it comes."""
        call = self._calls.call(request.function_call_id)
        seen = request.last_index
        while True:
            news = call.news()
            for chunk in call.data_out.after(seen):
                seen = chunk.index
                yield chunk
            try:
                async with asyncio.timeout(_LONGEST_WAIT):
                    await news.wait()
            except TimeoutError:
                return

    # -- looking and cancelling

    def function_call_cancel(self, request: api_pb2.FunctionCallCancelRequest) -> Empty:
        call = self._calls.call(request.function_call_id)
        pool = self._fleet.pool(call.function_id)
        if pool is not None:
            kill = request.terminate_containers
            pool.inputs.cancel(call.inputs.values(), _CANCELLED, pool.running(), kill)
        else:
            unfinished = [made for made in call.inputs.values() if not made.done]
            self._calls.forget(unfinished, _CANCELLED, self._clock.time())
        return Empty()

    def function_call_from_id(
        self, request: api_pb2.FunctionCallFromIdRequest
    ) -> api_pb2.FunctionCallFromIdResponse:
        call = self._calls.call(request.function_call_id)
        function = self._state.function(call.function_id)
        return api_pb2.FunctionCallFromIdResponse(
            function_call_id=call.id,
            num_inputs=len(call.inputs),
            metadata=api_pb2.FunctionCallHandleMetadata(
                app_id=function.app_id, function_id=function.id
            ),
        )

    def function_call_get_info(
        self, request: api_pb2.FunctionCallGetInfoRequest
    ) -> api_pb2.FunctionCallGetInfoResponse:
        call = self._calls.call(request.function_call_id)
        info = api_pb2.FunctionCallInfo(
            function_call_id=call.id,
            created_at=call.created_at,
            scheduled_at=call.created_at,
            total_inputs=len(call.inputs),
        )
        for made in call.inputs.values():
            status = made.output.result.status if made.output else 0
            kinds = {
                0: info.pending_inputs,
                _RESULTS.GENERIC_STATUS_SUCCESS: info.succeeded_inputs,
                _RESULTS.GENERIC_STATUS_TIMEOUT: info.timeout_inputs,
                _RESULTS.GENERIC_STATUS_TERMINATED: info.cancelled_inputs,
            }
            kinds.get(status, info.failed_inputs).total += 1
        return api_pb2.FunctionCallGetInfoResponse(info=info)

    def function_get_call_graph(
        self, request: api_pb2.FunctionGetCallGraphRequest
    ) -> api_pb2.FunctionGetCallGraphResponse:
        """The call itself with its inputs; calls that were made by these are left out."""
        call = self._calls.call(request.function_call_id)
        spec = parsed(
            self._state.definitions[self._state.function(call.function_id).definition_id]
        ).ranked_functions[0]
        response = api_pb2.FunctionGetCallGraphResponse()
        response.function_calls.add(
            function_call_id=call.id,
            parent_input_id=call.parent,
            function_name=spec.function.function_name,
            module_name=spec.function.module_name,
        )
        for made in call.inputs.values():
            response.inputs.add(
                input_id=made.id,
                function_call_id=call.id,
                status=made.output.result.status if made.output else None,
                task_id=made.container_id,
            )
        return response

    def _ids(self, function_id: str, all_variants: bool) -> list[str]:
        function = self._state.function(function_id)
        found = variants_of(self._state, {function.id}) if all_variants else []
        return [function.id, *(made.id for made in found)]

    def function_call_fetch(
        self, request: api_pb2.FunctionCallFetchRequest
    ) -> api_pb2.FunctionCallFetchResponse:
        """The latest inputs, oldest first."""
        ids = self._ids(request.function_id, request.all_variants)
        if request.WhichOneof("query_oneof") == "range":
            asked = span(request.range.since, request.range.until, self._clock)
            rows = self._calls.history(ids, *asked, request.range.limit)
        else:
            rows = self._calls.history(ids, 0.0, float("inf"), request.tail.count)
        response = api_pb2.FunctionCallFetchResponse()
        for call_id, method, created, started, finished, status, container_id in reversed(rows):
            info = response.function_call_inputs.add(
                function_call_id=call_id, status=_INPUT_STATUS.get(status, 2 if started else 1)
            )
            info.enqueued_at.FromNanoseconds(int(created * 1e9))
            if method:
                info.service_method_name = method
            if started:
                info.started_at.FromNanoseconds(int(started * 1e9))
                info.container_id = container_id
                info.startup_time_seconds = started - created
            if started and finished:
                info.execution_time_seconds = finished - started
        return response

    def function_call_count(
        self, request: api_pb2.FunctionCallCountRequest
    ) -> api_pb2.FunctionCallCountResponse:
        """Inputs per bucket; the buckets lie on multiples of their length, empty ones left out."""
        ids = self._ids(request.function_id, request.all_variants)
        length = max(1, request.bucket_secs)
        asked = span(request.since, request.until, self._clock)
        rows = self._calls.history(ids, *asked, -1)
        # Clients leave out what begins at their end or later.
        last = ((request.until.ToNanoseconds() or time.time_ns()) - 1) // 1_000_000_000
        buckets: dict[int, int] = {}
        for row in rows:
            bucket = min(int(row[2]), last) // length * length
            buckets[bucket] = buckets.get(bucket, 0) + 1
        response = api_pb2.FunctionCallCountResponse()
        for start, count in sorted(buckets.items()):
            entry = response.buckets.add(count=count)
            entry.bucket_start_at.FromSeconds(start)
        return response
