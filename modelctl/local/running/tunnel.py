"""How do bytes pass both ways once a client and an engine have switched to WebSocket?

As they come: frames, close codes and the lack of one mean to each side what the other one sent.
"""

import asyncio
from typing import Any

import aiohttp
from aiohttp import hdrs, web

_HELD = 256 << 10  # bytes that one side may be ahead of the other


async def tunnel(request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
    """Passes bytes on until one side closes."""
    connection = upstream.connection
    assert connection is not None and connection.protocol is not None
    engine = connection.protocol
    client: Any = request.protocol
    assert engine.transport is not None and request.transport is not None
    response = web.StreamResponse(status=101, reason=upstream.reason)
    for name, value in upstream.headers.items():
        response.headers.add(name, value)
    response.headers[hdrs.CONNECTION] = "Upgrade"
    response.force_close()
    await response.prepare(request)
    to_client, to_engine = _Way(engine, request.transport), _Way(client, engine.transport)
    engine.set_parser(to_client, None)
    client.set_parser(to_engine)
    ways = [asyncio.create_task(way.run()) for way in (to_client, to_engine)]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        # What the side that closed had said before reaches the other one.
        to_client.feed_eof()
        to_engine.feed_eof()
        await asyncio.wait(ways, timeout=1.0)
    finally:
        for task, way in zip(ways, (to_client, to_engine), strict=True):
            task.cancel()
            way.flush()
    return response


class _Way:
    """One direction. Has the form of aiohttp's parsers, which get the bytes after an upgrade."""

    def __init__(self, source: Any, sink: asyncio.Transport) -> None:
        self._source = source
        self._writer = asyncio.StreamWriter(
            sink, sink.get_protocol(), None, asyncio.get_running_loop()
        )
        self._held = bytearray()
        self._paused = False
        self._ended = False
        self._news = asyncio.Event()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._held += data
        if len(self._held) > _HELD and not self._paused:
            self._paused = True
            self._source.pause_reading()
        self._news.set()
        return False, b""

    def feed_eof(self) -> None:
        self._ended = True
        self._news.set()

    def flush(self) -> None:
        """Hands over what is held, to be sent as far as the other side takes it."""
        data, self._held = bytes(self._held), bytearray()
        if data:
            self._writer.write(data)

    async def run(self) -> None:
        try:
            while not self._ended or self._held:
                await self._news.wait()
                self._news.clear()
                self.flush()
                await self._writer.drain()
                if self._paused:
                    self._paused = False
                    self._source.resume_reading()
                if self._ended and not self._held:
                    return
        except OSError:
            return  # the other side is gone: so is the tunnel
