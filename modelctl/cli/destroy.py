"""modelctl destroy: take apps away."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit, worst
from modelctl.cli.options import Selection, selection

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelctl.diagnostics import Diagnostic
    from modelctl.platform.types import Platform


_NOT_CHOSEN = {"spec/not-found", "spec/selector", "spec/undeclared-environment"}


@click.command("destroy")
@selection
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def command(
    what: tuple[str, ...], env: str | None, local: bool, labels: tuple[str, ...], yes: bool
) -> int:
    """Stop the apps of the chosen specs. Volumes, weights and their records stay.

    WHAT has to be said: there is no default. An app of this project that has no spec any more can
    be named too. An app with `protect: true` is refused.
    """
    from modelctl.cli.pipeline import one_environment, project_here
    from modelctl.cli.world import platform_for
    from modelctl.spec.load import load

    if not what and not labels:
        raise click.UsageError("say what to destroy: paths or names of specs, or -l KEY=VALUE")
    project = project_here()
    chosen = one_environment(Selection(what, env, local, labels), project)
    loaded = load(what, project, chosen.overlays, labels, Path.cwd())
    specs = [*loaded.wanted, *loaded.partial]  # what else is wrong with a spec does not matter here
    protected = [w.name for w in specs if w.spec.protect]
    if protected:
        click.echo(f"error: {', '.join(protected)} says protect: true", err=True)
        click.echo("help: take protect out of the spec first", err=True)
        return Exit.REJECTED
    return asyncio.run(
        _destroy(
            platform_for(chosen, project),
            [w.name for w in specs],
            project.name,
            words=what,
            unread=[d for d in loaded.diagnostics if d.is_error],
            yes=yes,
        )
    )


async def _destroy(
    platform: Platform,
    names: list[str],
    project: str | None,
    *,
    words: Sequence[str],
    unread: Sequence[Diagnostic],
    yes: bool,
) -> int:
    from modelctl.diagnostics import Rejected, error
    from modelctl.plan import Seen, owner
    from modelctl.platform.types import PlatformError
    from modelctl.record import read_index, remember

    await platform.open()
    live, index = await asyncio.gather(platform.observe(), read_index(platform, project))
    specless = [word for word in words if word not in names and word in live.apps]
    missing = [d for d in unread if not any(word in d.message for word in specless)]
    if any(d.code in _NOT_CHOSEN for d in missing) or not (names or specless):
        raise Rejected(missing or [error("spec/none-chosen", "no spec has these labels")])
    names = [*names, *specless]
    kept = [n for n in specless if index and n in index.apps and index.apps[n].protect]
    if kept:
        click.echo(f"error: {', '.join(kept)} is protected, and has no spec any more", err=True)
        click.echo("help: put the spec back, take protect out, and apply", err=True)
        return Exit.REJECTED
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
            except PlatformError as refusal:
                click.echo(f"✘ {app.name}  {refusal.message}", err=True)
                codes.append(Exit.FAILED)
            else:
                gone.add(app.name)
                click.echo(f"✔ {app.name}  destroyed")
    finally:
        if gone and index is not None:
            await remember(platform, project, index, {}, frozenset(gone))
    return worst(codes)
