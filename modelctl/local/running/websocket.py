"""How does a WebSocket reach a web function? As an input, each message of either side a chunk."""

import asyncio
from contextlib import suppress

import aiohttp
from aiohttp import hdrs, web
from modal_proto import api_pb2

from modelctl.local.running.web import Exchange

_LONGEST = 16 << 20  # bytes of one message
_LOST = 1006  # what a connection that just went is said to have been closed with


def wants_socket(request: web.Request) -> bool:
    return request.headers.get(hdrs.UPGRADE, "").lower() == "websocket"


async def converse(request: web.Request, exchange: Exchange) -> web.StreamResponse:
    """Passes messages both ways until the app or the client closes."""
    exchange.send(api_pb2.Asgi(websocket_connect=api_pb2.Asgi.WebsocketConnect()))
    socket: web.WebSocketResponse | None = None
    listening: asyncio.Task[None] | None = None
    try:
        async for message in exchange.messages():
            kind = message.WhichOneof("type")
            if kind == "websocket_accept" and socket is None:
                chosen = message.websocket_accept.subprotocol
                socket = web.WebSocketResponse(
                    protocols=[chosen] if chosen else [], max_msg_size=_LONGEST
                )
                await socket.prepare(request)
                listening = asyncio.create_task(_listen(socket, exchange))
            elif kind == "websocket_send" and socket is not None:
                with suppress(ConnectionError):  # the app hears of it from who listens
                    sent = message.websocket_send
                    if sent.HasField("text"):
                        await socket.send_str(sent.text)
                    else:
                        await socket.send_bytes(sent.bytes)
            elif kind == "websocket_close":
                if socket is None:
                    return web.Response(status=403, text="modal-http: not accepted\n")
                close = message.websocket_close
                code = close.code if close.HasField("code") else 1000
                await socket.close(code=code, message=close.reason.encode())
                return socket
        if socket is None:
            return exchange.refusal()
        await socket.close(code=1011)  # its function ended without a word
        return socket
    except BaseException:
        exchange.abandon()
        raise
    finally:
        if listening is not None:
            listening.cancel()


async def _listen(socket: web.WebSocketResponse, exchange: Exchange) -> None:
    async for message in socket:
        received = api_pb2.Asgi.WebsocketReceive()
        if message.type is aiohttp.WSMsgType.TEXT:
            received.text = message.data
        elif message.type is aiohttp.WSMsgType.BINARY:
            received.bytes = message.data
        else:
            break
        exchange.send(api_pb2.Asgi(websocket_receive=received))
        await exchange.room()
        exchange.call.data_in.drop_taken()  # no other container can go on with this connection
    left = api_pb2.Asgi.WebsocketDisconnect(code=socket.close_code or _LOST)
    exchange.send(api_pb2.Asgi(websocket_disconnect=left))
