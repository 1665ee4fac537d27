"""modelctl logs: what did an app write?"""

from __future__ import annotations

import asyncio
import sys

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection


@click.command("logs")
@click.argument("name")
@click.option("--env", metavar="NAME", help="The environment of the project.")
@click.option("--local", is_flag=True, help="Use the local control plane.")
@click.option("--tail", type=click.IntRange(0, 10_000), default=100, show_default=True,
              help="How many of the latest lines.")  # fmt: skip
@click.option("--follow", "-f", is_flag=True, help="Go on until interrupted.")
def command(name: str, env: str | None, local: bool, tail: int, follow: bool) -> int:
    """Show what an app wrote: its engine's output and Modal's own lines."""
    from modelctl.cli.pipeline import one_environment, project_here
    from modelctl.cli.said import harmless
    from modelctl.cli.world import platform_for

    project = project_here()
    chosen = one_environment(Selection((name,), env, local), project)
    platform = platform_for(chosen, project)

    async def show() -> None:
        from difflib import get_close_matches

        from modelctl.platform.types import NotThere

        await platform.open()
        live = await platform.observe()
        app = live.apps.get(name)
        if app is None:
            close = get_close_matches(name, live.apps, n=1)
            hint = f"did you mean {close[0]}?" if close else "see modelctl status"
            raise NotThere(f"no app {name} lives in the {platform.where}", hint)
        async for line in platform.logs(app, tail=tail, follow=follow):
            text = harmless(line.text, colours=sys.stdout.isatty())
            click.echo(text, nl=not text.endswith("\n"))

    asyncio.run(show())
    return Exit.DONE
