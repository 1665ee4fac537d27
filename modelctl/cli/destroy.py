"""modelctl destroy: take apps away."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit, worst
from modelctl.cli.options import Selection, selection

if TYPE_CHECKING:
    from modelctl.platform.types import Platform


@click.command("destroy")
@selection
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def command(
    what: tuple[str, ...], env: str | None, local: bool, labels: tuple[str, ...], yes: bool
) -> int:
    """Stop the apps of the chosen specs. Volumes, weights and their records stay.

    WHAT has to be said: there is no default. An app with `protect: true` is refused.
    """
    from modelctl.cli.pipeline import check_all, one_environment, project_here, some_chosen
    from modelctl.cli.world import platform_for

    if not what and not labels:
        raise click.UsageError("say what to destroy: paths or names of specs, or -l KEY=VALUE")
    project = project_here()
    chosen = one_environment(Selection(what, env, local, labels), project)
    checked = check_all(chosen, project, hashed=False)
    some_chosen(checked)
    protected = [w.name for w, a in checked.specs if a.resolved.protect]
    if protected:
        click.echo(f"error: {', '.join(protected)} says protect: true", err=True)
        click.echo("help: take protect out of the spec first", err=True)
        return Exit.REJECTED
    names = [w.name for w, _ in checked.specs]
    return asyncio.run(_destroy(platform_for(chosen, project), names, project.name, yes=yes))


async def _destroy(platform: Platform, names: list[str], project: str | None, *, yes: bool) -> int:
    from modelctl.plan import Seen, owner
    from modelctl.platform.types import PlatformError
    from modelctl.record import read_index, remember

    await platform.open()
    live, index = await asyncio.gather(platform.observe(), read_index(platform, project))
    apps = [live.apps[name] for name in names if name in live.apps]
    details = await asyncio.gather(*(platform.details(app) for app in apps))
    seen = Seen(live, index, {a.name: d for a, d in zip(apps, details, strict=True)}, {})
    codes = []
    mine = []
    for app in apps:
        if whose := owner(app, seen, project):
            click.echo(f"error: {app.name} is left alone: {whose}", err=True)
            codes.append(Exit.REJECTED)
        else:
            mine.append(app)
    if not mine:
        if not codes:
            click.echo("Nothing to destroy.")
        return worst(codes)
    click.echo(f"{platform.where}: {', '.join(a.name for a in mine)}")
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on: say --yes")
        if not click.confirm("Destroy?", default=False, err=True):
            raise click.Abort
    gone = set()
    try:
        for app in mine:
            try:
                await platform.stop(app)
            except PlatformError as error:
                click.echo(f"✘ {app.name}  {error.message}", err=True)
                codes.append(Exit.FAILED)
            else:
                gone.add(app.name)
                click.echo(f"✔ {app.name}  destroyed")
    finally:
        if gone and index is not None:
            await remember(platform, project, index, {}, frozenset(gone))
    return worst(codes)
