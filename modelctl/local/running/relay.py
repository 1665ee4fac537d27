"""How do a request and its answer pass between a client and an engine, without a lie on the way?

An answer that breaks off never looks whole. Where it has a length or comes in chunks the missing
end says so. A client of HTTP/1.0 takes the end of the connection for the end of the answer, so its
connection is reset instead, by the kernel too if this process is killed. And where the engine ends
an answer by closing, it counts as whole only if the engine still takes connections afterwards.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from modelctl.local.running.tunnel import tunnel

log = logging.getLogger(__name__)

LONGEST_HEADER = 64 << 10
_READ_FIRST = 64 << 10  # a longer body is passed on while it comes in
_BUFFER = 256 << 10
_CONNECT = 5.0  # seconds
_MOMENT = 0.02  # seconds that the kernel has to take away all that a killed engine had
_TOLD = web.RequestKey("told", bool)  # the client knows that it may send the body
# Hop-by-hop headers, and those that aiohttp writes itself.
_NOT_FORWARDED = frozenset(
    name.lower()
    for name in (
        hdrs.CONNECTION,
        hdrs.KEEP_ALIVE,
        hdrs.PROXY_AUTHENTICATE,
        hdrs.PROXY_AUTHORIZATION,
        "Proxy-Connection",
        hdrs.TE,
        hdrs.TRAILER,
        hdrs.TRANSFER_ENCODING,
        hdrs.UPGRADE,
    )
)


class Unreachable(Exception):
    """The engine takes no connection; nothing was sent."""


class BrokenOff(Exception):
    """The engine closed the connection before it answered."""


class Relay:
    """Connections to engines: a new one for each request.

    Engines close idle connections whenever they like. A POST that meets such an end cannot be sent
    again, for nobody knows whether it was carried out.
    """

    def __init__(self) -> None:
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            timeout=aiohttp.ClientTimeout(total=None, connect=_CONNECT),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_BUFFER,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
        )
        # It would send what is idempotent by its method once more; an engine may have begun.
        self._client._retry_connection = False

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    async def pass_on(
        self, request: web.Request, port: int, headers: CIMultiDict[str]
    ) -> web.StreamResponse:
        """Sends the request to the engine at this port with these headers; its answer, sent.

        Raises Unreachable, or BrokenOff; then the client has not been sent anything.
        """
        assert self._client is not None
        upgrade = _upgrade(request)
        if upgrade:
            headers[hdrs.CONNECTION] = "Upgrade"
            headers[hdrs.UPGRADE] = upgrade
        try:
            upstream = await self._client.request(
                request.method,
                URL(f"http://127.0.0.1:{port}{_target(request)}", encoded=True),
                headers=headers,
                data=await _body(request),
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Unreachable(str(error)) from None
        except aiohttp.ClientError as error:
            raise BrokenOff(str(error)) from None
        try:
            if upstream.status == 101:
                if not upgrade:
                    raise BrokenOff("it switched protocols without being asked to")
                return await tunnel(request, upstream)
            return await self._pass_back(request, upstream, port)
        finally:
            upstream.close()

    async def _pass_back(
        self, request: web.Request, upstream: aiohttp.ClientResponse, port: int
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
        for name, value in end_to_end(upstream.headers):
            response.headers.add(name, value)
        has_body = request.method != hdrs.METH_HEAD and upstream.status not in (204, 304)
        has_length = hdrs.CONTENT_LENGTH in upstream.headers
        ends_by_closing = has_body and not has_length and not _chunked(upstream)
        resets = has_body and not has_length and request.version < (1, 1)
        transport = request.transport
        if transport is not None and resets:
            reset_on_close(transport, True)
        await response.prepare(request)
        try:
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            if ends_by_closing and not await _still_serves(port):
                raise aiohttp.ClientPayloadError("the engine ended")
        except (aiohttp.ClientError, OSError) as error:
            log.info("an answer broke off: %s", error)
            if transport is not None:
                reset_on_close(transport, True)
                transport.abort()
            return response
        if transport is not None and resets:
            # There is no event for an empty buffer.
            while transport.get_write_buffer_size() and not transport.is_closing():  # noqa: ASYNC110
                await asyncio.sleep(_MOMENT)
            reset_on_close(transport, False)
        await response.write_eof()
        return response


async def undecided(_: web.Request) -> web.StreamResponse | None:
    """What `Expect: 100-continue` waits for is said once a container was found."""
    return None


async def without_additions(_: web.Request, response: web.StreamResponse) -> None:
    """Takes back what the HTTP library says in the engine's name."""
    if type(response) is web.StreamResponse:
        response.headers.popall(hdrs.SERVER, None)


def end_to_end(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """The headers that are not meant for the next hop only."""
    hops = {name.strip().lower() for name in headers.get(hdrs.CONNECTION, "").split(",")}
    return [
        (name, value)
        for name, value in headers.items()
        if name.lower() not in _NOT_FORWARDED and name.lower() not in hops
    ]


def _chunked(upstream: aiohttp.ClientResponse) -> bool:
    return "chunked" in upstream.headers.get(hdrs.TRANSFER_ENCODING, "").lower()


def _upgrade(request: web.Request) -> str:
    wanted = request.headers.get(hdrs.UPGRADE, "")
    named = {w.strip().lower() for w in request.headers.get(hdrs.CONNECTION, "").split(",")}
    return wanted if wanted.lower() == "websocket" and "upgrade" in named else ""


def _target(request: web.Request) -> str:
    """The path as the client wrote it; without the host that a request to a proxy names."""
    raw = request.raw_path
    if raw.startswith("/"):
        return raw
    if raw == "*":
        return "/"
    return URL(raw, encoded=True).raw_path_qs


def tell_to_go_on(request: web.Request) -> None:
    """Lets a client that asked first send its body."""
    waits = request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"
    if waits and _TOLD not in request and request.transport is not None:
        request[_TOLD] = True
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def _body(request: web.Request) -> AsyncIterator[bytes] | bytes | None:
    if not request.can_read_body:
        return None
    tell_to_go_on(request)
    if request.content_length is not None and request.content_length <= _READ_FIRST:
        return await request.read()
    return request.content.iter_any()


def reset_on_close(transport: asyncio.Transport, wanted: bool) -> None:
    """Whether the other side sees a reset when the connection goes, instead of an end."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        linger = struct.pack("ii", int(wanted), 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


async def _still_serves(port: int) -> bool:
    await asyncio.sleep(_MOMENT)
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
