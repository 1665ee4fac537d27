"""How does a web function answer an HTTP request? As an input, with bodies as streams of messages.

The request's scope is the input; its body goes in and the answer comes out as numbered ASGI
messages, chunk by chunk. The input waits in the function's queue while no container is there.
"""

import asyncio
import logging
import pickle
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

from aiohttp import hdrs, web
from modal_proto import api_pb2
from multidict import CIMultiDict

from modelctl.local.keeping.function_calls import FunctionCall, Input
from modelctl.local.keeping.ids import new_id
from modelctl.local.running.inputs import TIMEOUT
from modelctl.local.running.pool import Pool
from modelctl.local.running.relay import end_to_end, reset_on_close, tell_to_go_on

_REPEATABLE = 8 << 20  # bytes of a body that are held so that another container can have it
_MOST_PENDING = 4 << 20  # bytes for the app that may wait for its container
_CHUNK = 1 << 20
ASGI = api_pb2.DATA_FORMAT_ASGI

log = logging.getLogger(__name__)


class Exchange:
    """One HTTP request as a call of a function."""

    def __init__(self, pool: Pool, method: str, scope: dict[str, Any], now: float) -> None:
        self._pool = pool
        self.call = FunctionCall(
            new_id("fc"),
            pool.function.id,
            api_pb2.FUNCTION_CALL_TYPE_UNARY,
            api_pb2.FUNCTION_CALL_INVOCATION_TYPE_SYNC,
            now,
            kept=False,
        )
        body = api_pb2.FunctionInput(
            args=pickle.dumps(((scope,), {}), protocol=4),
            data_format=api_pb2.DATA_FORMAT_PICKLE,
            method_name=method,
        )
        self._input = Input(new_id("in"), self.call, 0, body, now)
        self._sent = 0
        pool.inputs.calls.add(self.call)
        pool.inputs.calls.add_inputs(self.call, [self._input])
        pool.inputs.put([self._input])

    @property
    def container_id(self) -> str:
        return self._input.container_id

    def send(self, message: api_pb2.Asgi) -> None:
        """The next message for the app."""
        self._sent += 1
        data = message.SerializeToString()
        self.call.data_in.add(api_pb2.DataChunk(data_format=ASGI, data=data, index=self._sent))
        self.call.wake()

    async def room(self) -> None:
        """Waits while the container has enough to do with what was sent."""
        while self.call.data_in.pending > _MOST_PENDING and not self._input.done:
            await self.call.news().wait()

    async def send_body(self, chunks: AsyncIterator[bytes]) -> None:
        """A request's body, no faster than the container takes it."""
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            self.send(
                api_pb2.Asgi(http_request=api_pb2.Asgi.HttpRequest(body=chunk, more_body=True))
            )
            await self.room()
            if size > _REPEATABLE:
                self.call.data_in.drop_taken()
        self.send(api_pb2.Asgi(http_request=api_pb2.Asgi.HttpRequest(more_body=False)))

    async def messages(self) -> AsyncIterator[api_pb2.Asgi]:
        """What the app sends, until it has nothing more to say."""
        seen = 0
        while True:
            news = self.call.news()
            finished = self._input.done
            found = self.call.data_out.after(seen)
            for chunk in found:
                seen = chunk.index
                yield api_pb2.Asgi.FromString(chunk.data)
            if found:  # the client has a part of it: nobody else can start anew
                self.call.data_out.drop_taken()
                self.call.wake()  # who sends may go on
            elif finished:
                return
            else:
                await news.wait()

    def refusal(self) -> web.Response:
        """What the client gets if its request came to an end without an answer."""
        output = self._input.output
        result = output.result if output else api_pb2.GenericResult()
        if result.status == TIMEOUT:
            return web.Response(status=504, text=f"modal-http: timed out: {result.exception}\n")
        word = api_pb2.GenericResult.GenericStatus.Name(result.status)
        word = word.removeprefix("GENERIC_STATUS_").capitalize()
        sentence = f"modal-http: internal error: status {word}: {result.exception}\n"
        return web.Response(status=500, text=sentence)

    def abandon(self) -> None:
        """The client left: the app is told, and its work cancelled."""
        if not self._input.done:
            self.send(api_pb2.Asgi(http_disconnect=api_pb2.Asgi.HttpDisconnect()))
            self._pool.inputs.cancel([self._input], "The client left.", self._pool.running())


async def answer(request: web.Request, exchange: Exchange) -> web.StreamResponse:
    """Streams the request in and the answer out. What breaks off breaks for the client too."""
    feeding = asyncio.create_task(exchange.send_body(_body(request)))
    response: web.StreamResponse | None = None
    try:
        async for message in exchange.messages():
            kind = message.WhichOneof("type")
            if kind == "http_response_start" and response is None:
                response = _begin(message.http_response_start, request)
                await response.prepare(request)
            elif kind == "http_response_body" and response is not None:
                if message.http_response_body.body and request.method != hdrs.METH_HEAD:
                    await response.write(message.http_response_body.body)
                if not message.http_response_body.more_body:
                    await response.write_eof()
                    return response  # the app may go on working
        if response is None:
            return exchange.refusal()
        log.info("the answer of a web function broke off")
        if request.transport is not None:
            reset_on_close(request.transport, True)
            request.transport.abort()
        return response
    except BaseException:
        exchange.abandon()
        raise
    finally:
        feeding.cancel()


def _begin(message: api_pb2.Asgi.HttpResponseStart, request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=message.status)
    pairs = zip(message.headers[::2], message.headers[1::2], strict=True)
    given = CIMultiDict((name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs)
    for name, value in end_to_end(given):
        response.headers.add(name, value)
    if hdrs.CONTENT_LENGTH not in response.headers and request.version >= (1, 1):
        response.enable_chunked_encoding()
    return response


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    if not request.can_read_body:
        return
    tell_to_go_on(request)
    async for chunk in request.content.iter_any():
        for start in range(0, len(chunk), _CHUNK):
            yield chunk[start : start + _CHUNK]


def scope_of(request: web.Request, headers: CIMultiDict[str], socket: bool) -> dict[str, Any]:
    """The request as ASGI describes it; of a WebSocket, or not."""
    assert request.transport is not None
    peer = request.transport.get_extra_info("peername")
    path, _, query = request.raw_path.partition("?")
    named = [(hdrs.HOST, request.host), *((n, v) for n, v in headers.items() if n != hdrs.HOST)]
    if socket:  # extensions are between the client and us
        named = [(n, v) for n, v in named if n.lower() != "sec-websocket-extensions"]
        offered = request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL, "")
        kind: dict[str, Any] = {
            "type": "websocket",
            "scheme": "ws",
            "subprotocols": [name.strip() for name in offered.split(",") if name.strip()],
        }
    else:
        kind = {
            "type": "http",
            "method": request.method,
            "scheme": request.scheme,
            "extensions": {"http.response.trailers": {}},
        }
    return kind | {
        "http_version": f"{request.version.major}.{request.version.minor}",
        "path": unquote(path),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in named],
        "client": (peer[0], peer[1]),
    }
