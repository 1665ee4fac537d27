"""modelctl chat: does it talk?"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection

if TYPE_CHECKING:
    from modelctl.platform.types import Platform

Messages = list[dict[str, str]]


@click.command("chat")
@click.argument("name")
@click.argument("prompt", nargs=-1)
@click.option("--env", metavar="NAME", help="The environment of the project.")
@click.option("--local", is_flag=True, help="Use the local control plane.")
@click.option("--wait", type=click.FloatRange(min=0), default=300.0, show_default=True,
              help="Seconds to wait for a sleeping endpoint to start.")  # fmt: skip
def command(name: str, prompt: tuple[str, ...], env: str | None, local: bool, wait: float) -> int:
    """Ask an endpoint one question, or talk to it line by line.

    With a PROMPT one answer is printed; without, each line that is typed is a turn, until Ctrl-D.
    """
    from modelctl.cli.pipeline import declared_environment, project_here
    from modelctl.cli.world import platform_for, proxy_token

    project = project_here()
    chosen = declared_environment(Selection((name,), env, local), project)
    platform = platform_for(chosen, project)
    token = proxy_token(chosen, project)
    # The loop only runs while something is asked: at the prompt, Ctrl-C is the terminal's.
    with asyncio.Runner() as runner:
        url, headers = runner.run(_reach(platform, name, token, wait, chosen.options))
        messages: Messages = []
        for line in [" ".join(prompt)] if prompt else _lines():
            messages.append({"role": "user", "content": line})
            said = runner.run(_answer(url, headers, messages))
            messages.append({"role": "assistant", "content": said})
    return Exit.DONE


def _lines() -> Iterator[str]:
    """What is typed, or what comes through a pipe, line by line."""
    while True:
        if sys.stdin.isatty():
            click.echo("> ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line.strip()


async def _reach(
    platform: Platform, name: str, token: tuple[str, str] | None, wait: float, options: str
) -> tuple[str, dict[str, str]]:
    """The endpoint's URL and the headers that open it, once it answers."""
    from modelctl.health import UNAUTHORIZED, http_get, proxy_headers, until_healthy
    from modelctl.platform.types import NotThere, Unreachable

    await platform.open()
    live = await platform.observe()
    if name not in live.apps:
        way_out = f"see modelctl status {options}".rstrip()
        raise NotThere(f"no app {name} lives in the {platform.where}", way_out)
    url = (await platform.details(live.apps[name])).url
    if url is None:
        raise NotThere(f"{name} has no endpoint", "was it deployed by modelctl?")
    headers = proxy_headers(*token) if token else {}
    until = time.monotonic() + wait
    verdict = await until_healthy(
        url, headers, ask=http_get, until=lambda: until, clock=time.monotonic
    )
    if not verdict.healthy:
        why = verdict.why
        if verdict.status != UNAUTHORIZED:
            why = f"not healthy within {wait:.0f} s ({verdict.last})"
        way_out = f"modelctl logs {name} {options}".rstrip()
        raise Unreachable(f"{name} does not answer: {why}", way_out)
    return url, headers


async def _answer(url: str, headers: dict[str, str], messages: Messages) -> str:
    """Print the answer as it comes, and return it whole."""
    from modelctl.cli.said import harmless

    parts = []
    async for part in _stream(url, headers, messages):
        click.echo(harmless(part), nl=False)
        parts.append(part)
    click.echo()
    return "".join(parts)


async def _stream(url: str, headers: dict[str, str], messages: Messages) -> AsyncIterator[str]:
    import aiohttp

    from modelctl.platform.types import Refused, Unreachable

    # The engine answers to the name it serves; it says which one when it is asked.
    try:
        # An answer may take as long as it takes, as long as words keep coming.
        limit = aiohttp.ClientTimeout(total=None, sock_read=300)
        async with aiohttp.ClientSession(headers=headers, timeout=limit) as session:
            async with session.get(f"{url}/v1/models", allow_redirects=False) as response:
                if response.status == 401:
                    raise Refused(
                        "the endpoint wants a key of its own", "chat only has the proxy token"
                    )
                response.raise_for_status()
                model = (await response.json())["data"][0]["id"]
            body = {"model": model, "messages": messages, "stream": True}
            async with session.post(
                f"{url}/v1/chat/completions", json=body, allow_redirects=False
            ) as response:
                if response.status != 200:
                    words = (await response.text())[:300]
                    raise Refused(f"the endpoint answered HTTP {response.status}: {words}")
                async for line in response.content:
                    if not line.startswith(b"data: ") or line.strip() == b"data: [DONE]":
                        continue
                    choices = json.loads(line[6:]).get("choices") or [{}]
                    if said := (choices[0].get("delta") or {}).get("content"):
                        yield said
    except (aiohttp.ClientError, TimeoutError, ValueError, LookupError) as error:
        why = str(error) or "nothing came any more"
        raise Unreachable(f"the answer broke off: {why}", "ask again") from error
