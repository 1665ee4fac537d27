"""modelctl logs: what did an app write?"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection
from modelctl.cli.said import aside

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from modelctl.loglines import Said
    from modelctl.platform.types import LiveApp, LogLine, Platform

# A filter may leave little of what was fetched.
_FETCHED_TO_FILTER = 10_000
_CAUGHT_UP = 1000


@click.command("logs")
@click.argument("name")
@click.option("--env", metavar="NAME", help="The environment of the project.")
@click.option("--local", is_flag=True, help="Use the local control plane.")
@click.option("--tail", type=click.IntRange(0, 10_000), default=100, show_default=True,
              help="How many of the latest lines.")  # fmt: skip
@click.option("--follow", "-f", is_flag=True, help="Go on until interrupted.")
@click.option("--level", type=click.Choice(["debug", "info", "warning", "error"]), default="debug",
              show_default=True, help="Leave out what is less serious.")  # fmt: skip
@click.option("--metrics", is_flag=True, help="Show the lines of figures too.")
def command(
    name: str, env: str | None, local: bool, tail: int, follow: bool, level: str, metrics: bool
) -> int:
    """Show what an app wrote: its engine's output, its own words, and Modal's lines.

    Each line has its time, who wrote it (engine, modelctl, app or modal), and how serious it is.
    """
    from modelctl.cli.pipeline import declared_environment, project_here
    from modelctl.cli.said import harmless
    from modelctl.cli.world import platform_for
    from modelctl.loglines import METRICS, read
    from modelctl.views.human import logs
    from modelctl.views.paint import for_stream

    project = project_here()
    chosen = declared_environment(Selection((name,), env, local), project)
    platform = platform_for(chosen, project)
    paint, _ = for_stream()

    def wanted(line: Said) -> bool:
        if line.level == METRICS:
            return metrics
        return line.at_least(level.upper())

    def show(line: Said) -> None:
        click.echo(harmless(logs.line(line, paint=paint), colours=paint.on), color=paint.on)

    async def run() -> None:
        await platform.open()
        app = await find_app(platform, name, chosen.options)
        # A tail is counted in lines that are shown.
        filtered = level != "debug" or not metrics
        fetched = _FETCHED_TO_FILTER if filtered and tail else tail
        latest: deque[Said] = deque(maxlen=tail)
        async for entry in platform.logs(app, tail=fetched, follow=False):
            latest.extend(filter(wanted, read(entry)))
        for line in latest:
            show(line)
        if follow:
            async for entry in followed(platform, app):
                for line in filter(wanted, read(entry)):
                    show(line)

    asyncio.run(run())
    return Exit.DONE


async def followed(
    platform: Platform,
    app: LiveApp,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[LogLine]:
    """What the app writes from now on, until it is stopped.

    Where the connection breaks it is tried again until somebody interrupts; what was written
    meanwhile is caught up with, as far as a thousand lines reach, and nothing is said twice.
    """
    from modelctl.platform.types import Unreachable

    said: deque[LogLine] = deque(maxlen=2 * _CAUGHT_UP)
    broken = False
    while True:
        try:
            if broken:
                missed = [e async for e in platform.logs(app, tail=_CAUGHT_UP, follow=False)]
                aside("connected again")
                broken = False
                for entry in missed:
                    # Nobody has heard anything yet: what is older was there before.
                    if said and entry.at >= said[0].at and entry not in said:
                        said.append(entry)
                        yield entry
            again = bool(said)
            async for entry in platform.logs(app, tail=0, follow=True):
                if not (again and entry in said):
                    said.append(entry)
                    yield entry
            return
        except Unreachable as error:
            if not broken:
                aside(f"{error.message}: trying again")
            broken = True
            await sleep(1.0)


async def find_app(platform: Platform, name: str, options: str) -> LiveApp:
    """The app of that name; raises NotThere with the nearest one. `options` say where, to be typed
    again: `--local`."""
    from difflib import get_close_matches

    from modelctl.platform.types import NotThere

    live = await platform.observe()
    app = live.apps.get(name)
    if app is None:
        close = get_close_matches(name, live.apps, n=1)
        hint = f"did you mean {close[0]}?" if close else f"see modelctl status {options}".rstrip()
        raise NotThere(f"no app {name} lives in the {platform.where}", hint)
    return app
