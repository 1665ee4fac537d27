"""Is it up? Asked through the URL, as a client would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from msgspec import Struct


class Ask(Protocol):
    """GET a URL; the status, or None where nobody answered.

    Redirects are not followed: the proxy token would go wherever they lead.
    """

    async def __call__(self, url: str, headers: Mapping[str, str]) -> int | None: ...


class Verdict(Struct, frozen=True):
    """`healthy`, or not, with the sentence why; `status` is the last that was answered."""

    healthy: bool
    why: str = ""
    status: int | None = None

    @property
    def last(self) -> str:
        """`last: HTTP 503`."""
        return f"last: HTTP {self.status}" if self.status else "last: no answer"


_PAUSES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)

UNAUTHORIZED = 401
NOT_FOUND = 404


def proxy_headers(token_id: str, token_secret: str) -> dict[str, str]:
    """The headers that Modal's proxy asks for, unless the endpoint says otherwise."""
    return {"Modal-Key": token_id, "Modal-Secret": token_secret}


async def health(url: str, headers: Mapping[str, str], *, ask: Ask) -> int | None:
    """The status of `/health`, or of `/v1/models` where the engine has no such route."""
    status = await ask(f"{url}/health", headers)
    return await ask(f"{url}/v1/models", headers) if status == NOT_FOUND else status


async def until_healthy(
    url: str,
    headers: Mapping[str, str],
    *,
    ask: Ask,
    until: Callable[[], float],
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Verdict:
    """Ask until the answer is 200, or the clock says `until`. There is no queue before a server on
    Modal: while none is live the answer is 503, and asking is what starts one. Without `headers` no
    proxy is there to answer 401: then the engine does, which is up and wants its own key."""
    tries = 0
    while True:
        status = await health(url, headers, ask=ask)
        if status == 200 or (status == UNAUTHORIZED and not headers):
            return Verdict(True)
        if status == UNAUTHORIZED:
            return Verdict(
                False,
                "the endpoint refuses the proxy token of MODELCTL_PROXY_TOKEN_ID and "
                "MODELCTL_PROXY_TOKEN_SECRET",
                status,
            )
        if clock() >= until():
            return Verdict(False, "not healthy in time", status)
        await sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
        tries += 1


async def http_get(url: str, headers: Mapping[str, str]) -> int | None:
    """The Ask over real HTTP."""
    import aiohttp

    limit = aiohttp.ClientTimeout(total=15)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.get(url, headers=dict(headers), allow_redirects=False) as response,
        ):
            return response.status
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None
