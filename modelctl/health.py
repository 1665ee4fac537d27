"""Is it up, and does it answer? Asked through the URL, as a client would."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from modelctl.resolved import Check


class Ask(Protocol):
    """GET a URL; the status, or None where nobody answered.

    Redirects are not followed: the proxy token would go wherever they lead.
    """

    async def __call__(self, url: str, headers: Mapping[str, str]) -> int | None: ...


class Post(Protocol):
    """POST JSON; the status and the body's text, or None where nobody answered in time (s)."""

    async def __call__(
        self, url: str, headers: Mapping[str, str], body: object, within: float
    ) -> tuple[int, str] | None: ...


@dataclass(frozen=True)
class Verdict:
    """`healthy` with the seconds that it took, or not, and the sentence why."""

    healthy: bool
    why: str = ""


_PAUSES = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)

UNAUTHORIZED = 401


def proxy_headers(token_id: str, token_secret: str) -> dict[str, str]:
    """The headers that Modal's proxy asks for, unless the endpoint says otherwise."""
    return {"Modal-Key": token_id, "Modal-Secret": token_secret}


async def until_healthy(
    url: str,
    headers: Mapping[str, str],
    *,
    ask: Ask,
    within: float,
    clock: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Verdict:
    """Ask `/health` until it says 200. There is no queue before a server on Modal: while none is
    live the answer is 503, and asking is what starts one."""
    deadline = clock() + within
    tries = 0
    while True:
        status = await ask(f"{url}/health", headers)
        if status == 200:
            return Verdict(True)
        if status == UNAUTHORIZED:
            return Verdict(
                False,
                "the endpoint refuses the proxy token of MODELCTL_PROXY_TOKEN_ID and "
                "MODELCTL_PROXY_TOKEN_SECRET",
            )
        if clock() >= deadline:
            answer = f"HTTP {status}" if status else "no answer"
            return Verdict(False, f"not healthy within {within:.0f} s (last: {answer})")
        await sleep(_PAUSES[min(tries, len(_PAUSES) - 1)])
        tries += 1


async def answers_right(
    url: str,
    headers: Mapping[str, str],
    checks: Sequence[Check],
    *,
    model: str,
    post: Post,
) -> Verdict:
    """Ask each check's question, at temperature 0; the first answer that is wrong ends it."""
    for check in checks:
        body = {
            "model": model,
            "messages": [{"role": role, "content": text} for role, text in check.messages],
            "max_tokens": check.max_tokens,
            "temperature": 0,
        }
        answer = await post(f"{url}/v1/chat/completions", headers, body, check.within)
        if answer is None:
            return Verdict(False, f'check "{check.name}" got no answer within {check.within:g} s')
        status, text = answer
        if status != 200:
            return Verdict(False, f'check "{check.name}" got HTTP {status}: {_short(text)}')
        said = _content(text)
        if wrong := _wrong(check, said):
            return Verdict(False, f'check "{check.name}" expected {wrong}; got "{_short(said)}"')
    return Verdict(True)


def _wrong(check: Check, said: str) -> str:
    """What was expected and is not so; "" where the answer is right."""
    if check.contains is not None and check.contains not in said:
        return f'"{check.contains}" in the answer'
    if check.matches is not None and not re.search(check.matches, said):
        return f"/{check.matches}/"
    if check.json_keys:
        try:
            data = json.loads(said)
        except ValueError:
            return "JSON"
        missing = [key for key in check.json_keys if not isinstance(data, dict) or key not in data]
        if missing:
            return f"JSON with {', '.join(missing)}"
    return ""


def _content(text: str) -> str:
    try:
        return str(json.loads(text)["choices"][0]["message"]["content"] or "")
    except (ValueError, LookupError, TypeError):
        return text


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else line[:119] + "…"


async def http_post(
    url: str, headers: Mapping[str, str], body: object, within: float
) -> tuple[int, str] | None:
    """The Post over real HTTP."""
    import aiohttp

    limit = aiohttp.ClientTimeout(total=within)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(url, headers=dict(headers), json=body, allow_redirects=False) as response,
        ):
            return response.status, await response.text()
    except (aiohttp.ClientError, TimeoutError, OSError):
        return None


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
