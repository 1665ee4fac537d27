"""modelctl chat: does it talk?"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
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
    from modelctl.cli.pipeline import one_environment, project_here
    from modelctl.cli.world import platform_for, proxy_token

    project = project_here()
    chosen = one_environment(Selection((name,), env, local), project)
    platform = platform_for(chosen, project)
    token = proxy_token(chosen, project)
    return asyncio.run(_talk(platform, name, " ".join(prompt), token, wait))


async def _talk(
    platform: Platform, name: str, prompt: str, token: tuple[str, str] | None, wait: float
) -> int:
    import time

    from modelctl.health import http_get, proxy_headers, until_healthy
    from modelctl.platform.types import NotThere, Unreachable

    await platform.open()
    live = await platform.observe()
    if name not in live.apps:
        raise NotThere(f"no app {name} lives in the {platform.where}", "see modelctl status")
    url = (await platform.details(live.apps[name])).url
    if url is None:
        raise NotThere(f"{name} has no endpoint", "was it deployed by modelctl?")
    headers = proxy_headers(*token) if token else {}
    verdict = await until_healthy(url, headers, ask=http_get, within=wait, clock=time.monotonic)
    if not verdict.healthy:
        raise Unreachable(f"{name} does not answer: {verdict.why}", f"modelctl logs {name}")
    messages: Messages = []
    if prompt:
        messages.append({"role": "user", "content": prompt})
        await _answer(url, headers, messages)
        return Exit.DONE
    while True:
        if sys.stdin.isatty():
            click.echo("> ", nl=False, err=True)
        line = await asyncio.to_thread(sys.stdin.readline)
        if not line:
            return Exit.DONE
        if line.strip():
            messages.append({"role": "user", "content": line.strip()})
            said = await _answer(url, headers, messages)
            messages.append({"role": "assistant", "content": said})


async def _answer(url: str, headers: dict[str, str], messages: Messages) -> str:
    """Print the answer as it comes, and return it whole."""
    parts = []
    async for part in _stream(url, headers, messages):
        click.echo(part, nl=False)
        parts.append(part)
    click.echo()
    return "".join(parts)


async def _stream(url: str, headers: dict[str, str], messages: Messages) -> AsyncIterator[str]:
    import aiohttp

    from modelctl.platform.types import Refused, Unreachable

    # The engine answers to the name it serves; it says which one when it is asked.
    try:
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.get(f"{url}/v1/models") as response:
                response.raise_for_status()
                model = (await response.json())["data"][0]["id"]
            body = {"model": model, "messages": messages, "stream": True}
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
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
        raise Unreachable(f"the answer broke off: {error}", "ask again") from error
