"""What happens to a request at a server's URL? Authorised, routed to a replica, streamed back.

One listener a server, all served by one aiohttp runner: the port that a request came in on says
which server it is for.
"""

import hashlib
import hmac
import logging
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import chain
from random import randrange

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from modelctl.local.clock import Clock
from modelctl.local.keeping.ledger import Ledger, RequestEntry
from modelctl.local.running.containers import Container
from modelctl.local.running.pool import Pool

log = logging.getLogger(__name__)

PORTS = range(20_000, 30_000)  # outside the ephemeral range: nobody is given one by chance
_LONGEST_PATH = 500  # characters that the ledger keeps
_SERVED_BY = web.RequestKey("served_by", str)
# Hop-by-hop headers, and those that aiohttp writes itself.
_NOT_FORWARDED = frozenset(
    name.lower()
    for name in (
        hdrs.CONNECTION,
        hdrs.KEEP_ALIVE,
        hdrs.PROXY_AUTHENTICATE,
        hdrs.PROXY_AUTHORIZATION,
        hdrs.TE,
        hdrs.TRAILER,
        hdrs.TRANSFER_ENCODING,
        hdrs.UPGRADE,
        hdrs.HOST,
    )
)
_PROXY_AUTH = frozenset({"modal-key", "modal-secret"})


@dataclass
class Entrance:
    """A server's URL: its port, and what stands behind it."""

    port: int
    listener: socket.socket
    pool: Pool | None = None  # None before the first publish
    stopped: bool = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Proxy:
    """All entrances of this plane."""

    def __init__(self, token: tuple[str, str], ledger: Ledger, clock: Clock) -> None:
        self._token = token
        self._ledger = ledger
        self._clock = clock
        self._entrances: dict[int, Entrance] = {}
        app = web.Application(client_max_size=1 << 40)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, access_log=None, shutdown_timeout=0.5
        )
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        await self._runner.setup()
        self._client = aiohttp.ClientSession(
            # Engines drop idle connections after 5 s (uvicorn, llama-server): be done with them
            # first, for a POST that meets a closed connection cannot be sent again.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=2.0),
            timeout=aiohttp.ClientTimeout(total=None, connect=5.0),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=1 << 18,
        )

    async def close(self) -> None:
        await self._runner.cleanup()
        if self._client is not None:
            await self._client.close()
        for entrance in self._entrances.values():
            entrance.listener.close()

    async def open(self, preferred: int | None) -> Entrance:
        """An entrance on the preferred port, or on another if that one is taken."""
        listener = _bind(preferred)
        entrance = Entrance(listener.getsockname()[1], listener)
        self._entrances[entrance.port] = entrance
        await web.SockSite(self._runner, listener, backlog=1024).start()
        return entrance

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        entrance = self._entrances[request.transport.get_extra_info("sockname")[1]]
        began = time.monotonic()
        status, size = 499, 0  # the client went away
        try:
            response = await self._answer(request, entrance)
            status, size = response.status, response.body_length
            return response
        finally:
            if entrance.pool is not None:
                self._note(request, entrance.pool, time.monotonic() - began, status, size)

    def _note(
        self, request: web.Request, pool: Pool, seconds: float, status: int, size: int
    ) -> None:
        self._ledger.add(
            RequestEntry(
                function_id=pool.function.id,
                container_id=request.get(_SERVED_BY, ""),
                at=self._clock.time() - seconds,
                method=request.method,
                path=request.rel_url.raw_path[:_LONGEST_PATH],
                status=status,
                seconds=seconds,
                size=size,
                client=request.remote or "",
            )
        )

    async def _answer(self, request: web.Request, entrance: Entrance) -> web.StreamResponse:
        pool = entrance.pool
        if pool is None or entrance.stopped:
            return _refusal(404, "modal-http: this server is not running")
        if not pool.data.http_config.unauthenticated and not self._authorised(request):
            return _refusal(401, "modal-http: missing or wrong proxy authentication")
        live = pool.live()
        if not live:
            pool.wake()
            return _refusal(503, "modal-http: no container is ready to serve this request")
        container = _choose(live, request.headers.get("Modal-Session-ID"))
        if container is None:
            return _refusal(429, "modal-http: all containers are at their maximum concurrency")
        request[_SERVED_BY] = container.id
        container.enter_request()
        try:
            pool.reconcile()
            return await self._forward(request, container)
        finally:
            container.leave_request()
            pool.reconcile()

    def _authorised(self, request: web.Request) -> bool:
        key = request.headers.get("Modal-Key")
        secret = request.headers.get("Modal-Secret")
        if key is None and secret is None:
            scheme, _, credential = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
            if scheme.lower() != "bearer":
                return False
            key, _, secret = credential.strip().partition(".")
        given = f"{key}.{secret}".encode()
        return hmac.compare_digest(given, ".".join(self._token).encode())

    def _headers(self, request: web.Request) -> CIMultiDict[str]:
        """The client's headers for the engine, without what was meant for us. See assumptions."""
        hops = {
            name.strip().lower() for name in request.headers.get(hdrs.CONNECTION, "").split(",")
        }
        headers: CIMultiDict[str] = CIMultiDict()
        bearer = f"bearer {'.'.join(self._token)}".lower()
        for name, value in request.headers.items():
            lower = name.lower()
            if lower in _NOT_FORWARDED or lower in hops or lower in _PROXY_AUTH:
                continue
            if lower == "authorization" and value.lower() == bearer:
                continue
            headers.add(name, value)
        headers[hdrs.HOST] = request.host
        headers["X-Forwarded-For"] = request.remote or ""
        headers["X-Forwarded-Proto"] = request.scheme
        return headers

    async def _forward(self, request: web.Request, container: Container) -> web.StreamResponse:
        assert self._client is not None
        url = f"http://127.0.0.1:{container.port}{request.raw_path}"
        data: AsyncIterator[bytes] | bytes | None = None
        if request.can_read_body:
            if request.content_length is not None and request.content_length <= 1 << 20:
                data = await request.read()
            else:
                data = request.content.iter_any()
        try:
            upstream = await self._client.request(
                request.method,
                URL(url, encoded=True),
                headers=self._headers(request),
                data=data,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            )
        except aiohttp.ClientError as error:
            container.say(f"A request to container {container.id} failed: {error}")
            return _refusal(502, "modal-http: the container closed the connection")
        try:
            return await self._pass_back(request, upstream)
        finally:
            # An answer that was read to its end gave its connection back already; any other is cut.
            upstream.close()

    async def _pass_back(
        self, request: web.Request, upstream: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=upstream.status, reason=upstream.reason)
        for name, value in upstream.headers.items():
            if name.lower() not in _NOT_FORWARDED:
                response.headers.add(name, value)
        if hdrs.CONTENT_LENGTH not in upstream.headers and request.version >= (1, 1):
            response.enable_chunked_encoding()
        await response.prepare(request)
        try:
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
        except (aiohttp.ClientError, OSError) as error:
            # The client must notice: no terminating chunk, the connection breaks.
            log.info("a streamed answer broke off: %s", error)
            if request.transport is not None:
                request.transport.abort()
            return response
        await response.write_eof()
        return response


def _choose(live: list[Container], session: str | None) -> Container | None:
    """The least loaded container with room; a session's own one first, if it has room."""
    room = [c for c in live if not c.max_concurrent or c.inflight < c.max_concurrent]
    if not room:
        return None
    if session:
        favourite = max(live, key=lambda c: hashlib.blake2b(f"{session}/{c.id}".encode()).digest())
        if favourite in room:
            return favourite
    return min(room, key=lambda c: c.inflight)


def _refusal(status: int, sentence: str) -> web.Response:
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    return web.Response(status=status, text=f"{sentence}\n", headers=headers)


def _bind(preferred: int | None) -> socket.socket:
    first = randrange(len(PORTS))  # noqa: S311 - spreads planes out, hides nothing
    anywhere = (PORTS[(first + offset) % len(PORTS)] for offset in range(len(PORTS)))
    for port in chain([preferred] if preferred else [], anywhere):
        listener = socket.socket()
        # Connections of a plane that just ended must not keep its port from its successor.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(1024)
        except OSError:
            listener.close()
            continue
        listener.setblocking(False)
        return listener
    raise OSError(f"no free port between {PORTS.start} and {PORTS.stop - 1}")
