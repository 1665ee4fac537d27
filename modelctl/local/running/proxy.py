"""What happens to a request at a server's URL? Authorised, routed to a replica, streamed back.

One listener a server, all served by one aiohttp runner: the port that a request came in on says
which server it is for.
"""

import hashlib
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from random import randrange

from aiohttp import hdrs, web
from multidict import CIMultiDict

from modelctl.local.clock import Clock
from modelctl.local.keeping.definitions import web_endpoints
from modelctl.local.keeping.ledger import Ledger, RequestEntry
from modelctl.local.running.containers import Container
from modelctl.local.running.pool import Pool
from modelctl.local.running.relay import (
    LONGEST_HEADER,
    BrokenOff,
    Relay,
    Unreachable,
    end_to_end,
    undecided,
    without_additions,
)
from modelctl.local.running.web import Exchange, answer, scope_of
from modelctl.local.running.websocket import converse, wants_socket

log = logging.getLogger(__name__)

Opens = Callable[[str, str, str], bool]
"""Whether a proxy token (id, secret) opens the protected servers of the app with this id."""
PORTS = range(20_000, 30_000)  # outside the ephemeral range: nobody is given one by chance
_LONGEST_PATH = 500  # characters that the ledger keeps
_SERVED_BY = web.RequestKey("served_by", str)
_NOT_FOR_ENGINES = frozenset({"modal-key", "modal-secret", "host", "expect"})


@dataclass
class Entrance:
    """A server's URL: its port, and what stands behind it."""

    port: int
    listener: socket.socket
    pool: Pool | None = None  # None before the first publish
    stopped: bool = False
    site: web.SockSite | None = None
    method: str = ""  # of a class, if it is that which answers here

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Proxy:
    """All entrances of this plane."""

    def __init__(self, opens: Opens, ledger: Ledger, clock: Clock) -> None:
        self._opens = opens
        self._ledger = ledger
        self._clock = clock
        self._entrances: dict[int, Entrance] = {}
        app = web.Application(client_max_size=1 << 40)
        app.router.add_route("*", "/{path:.*}", self._handle, expect_handler=undecided)
        app.on_response_prepare.append(without_additions)
        self._runner = web.AppRunner(
            app,
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=0.5,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
        )
        self._relay = Relay()

    async def start(self) -> None:
        await self._runner.setup()
        await self._relay.start()

    async def close(self) -> None:
        await self._runner.cleanup()
        await self._relay.close()
        for entrance in self._entrances.values():
            entrance.listener.close()

    async def open(self, preferred: int | None) -> Entrance:
        """An entrance on the preferred port, or on another if that one is taken."""
        listener = _bind(preferred)
        entrance = Entrance(listener.getsockname()[1], listener)
        self._entrances[entrance.port] = entrance
        entrance.site = web.SockSite(self._runner, listener, backlog=1024)
        await entrance.site.start()
        return entrance

    async def shut(self, entrance: Entrance) -> None:
        """Closes one: nothing listens on its port any more."""
        del self._entrances[entrance.port]
        if entrance.site is not None:
            await entrance.site.stop()
        entrance.listener.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        entrance = self._entrances.get(request.transport.get_extra_info("sockname")[1])
        if entrance is None:  # it was shut, and this connection was kept
            return _not_running()
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
            return _not_running()
        if not pool.is_server:
            return await self._call(request, entrance.method, pool)
        if not pool.data.http_config.unauthenticated and not self._authorised(
            request, pool.function.app_id
        ):
            return _refusal(401, "modal-http: missing or wrong proxy authentication")
        live = pool.live()
        if not live:
            pool.wake()
            return _refusal(503, "modal-http: no container is ready to serve this request")
        while live:
            container = _choose(live, request.headers.get("Modal-Session-ID"))
            if container is None:
                return _refusal(429, "modal-http: all containers are at their maximum concurrency")
            request[_SERVED_BY] = container.id
            container.enter_request()
            try:
                pool.reconcile()
                return await self._relay.pass_on(
                    request, container.port, self._headers(request, container.function.app_id)
                )
            except Unreachable as error:  # nothing was sent: another one may have it
                container.say(f"Container {container.id} takes no connection: {error}")
                live = [other for other in live if other is not container and other in pool.live()]
            except BrokenOff as error:
                container.say(f"A request to container {container.id} failed: {error}")
                break
            finally:
                container.leave_request()
                pool.reconcile()
        return _refusal(502, "modal-http: the container closed the connection")

    async def _call(self, request: web.Request, method: str, pool: Pool) -> web.StreamResponse:
        """The answer of a web function: requests wait until a container is there."""
        app_id = pool.function.app_id
        config = web_endpoints(pool.data).get(method)
        if config is None:
            return _refusal(404, "modal-http: this function is not running")
        if config.requires_proxy_auth and not self._authorised(request, app_id):
            return _refusal(401, "modal-http: missing or wrong proxy authentication")
        socket = wants_socket(request)
        scope = scope_of(request, self._headers(request, app_id), socket)
        exchange = Exchange(pool, method, scope, self._clock.time())
        try:
            return await (converse if socket else answer)(request, exchange)
        finally:
            request[_SERVED_BY] = exchange.container_id

    def _authorised(self, request: web.Request, app_id: str) -> bool:
        key = request.headers.get("Modal-Key")
        secret = request.headers.get("Modal-Secret")
        if key is None and secret is None:
            return self._bearer_opens(request.headers.get(hdrs.AUTHORIZATION, ""), app_id)
        return self._opens(app_id, key or "", secret or "")

    def _bearer_opens(self, authorization: str, app_id: str) -> bool:
        scheme, _, credential = authorization.partition(" ")
        key, _, secret = credential.strip().partition(".")
        return scheme.lower() == "bearer" and self._opens(app_id, key, secret)

    def _headers(self, request: web.Request, app_id: str) -> CIMultiDict[str]:
        """The client's headers for the engine, without what was meant for us. See assumptions."""
        headers: CIMultiDict[str] = CIMultiDict()
        for name, value in end_to_end(request.headers):
            lower = name.lower()
            if lower in _NOT_FOR_ENGINES:
                continue
            if lower == "authorization" and self._bearer_opens(value, app_id):
                continue
            headers.add(name, value)
        headers[hdrs.HOST] = request.host
        headers["X-Forwarded-For"] = request.remote or ""
        headers["X-Forwarded-Proto"] = request.scheme
        return headers


def _choose(live: list[Container], session: str | None) -> Container | None:
    """The least loaded container with room that is not spare; a session's own one first."""
    room = [c for c in live if not c.max_concurrent or c.inflight < c.max_concurrent]
    if not room:
        return None
    if session:
        favourite = max(live, key=lambda c: hashlib.blake2b(f"{session}/{c.id}".encode()).digest())
        if favourite in room:
            return favourite
    return min(room, key=lambda c: (c.spare, c.inflight))


def _refusal(status: int, sentence: str) -> web.Response:
    headers = {"Retry-After": "1"} if status in (429, 503) else {}
    return web.Response(status=status, text=f"{sentence}\n", headers=headers)


def _not_running() -> web.Response:
    return _refusal(404, "modal-http: this server is not running")


def _bind(preferred: int | None) -> socket.socket:
    first = randrange(len(PORTS))  # noqa: S311 - spreads planes out, hides nothing
    anywhere = (PORTS[(first + offset) % len(PORTS)] for offset in range(len(PORTS)))
    for port in chain([preferred] if preferred else [], anywhere):
        # As everywhere: only then does asyncio send each piece of an answer at once.
        listener = socket.socket(proto=socket.IPPROTO_TCP)
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
