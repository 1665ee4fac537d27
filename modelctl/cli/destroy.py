"""modelctl destroy: take apps away."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit, worst
from modelctl.cli.failures import say_error
from modelctl.cli.options import Selection, confirm_option, selection, wait_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from modelctl.diagnostics import Diagnostic
    from modelctl.platform.types import Platform
    from modelctl.spec.wanted import ProjectFile


_NOT_CHOSEN = {"spec/not-found", "spec/selector"}
_NOWHERE = "spec/undeclared-environment"


@click.command("destroy")
@selection
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@confirm_option
@wait_option
def command(
    what: tuple[str, ...],
    env: str | None,
    local: bool,
    labels: tuple[str, ...],
    yes: bool,
    confirm: str | None,
    wait: float,
) -> int:
    """Stop the apps of the chosen specs. Volumes, weights and their records stay.

    WHAT has to be said: there is no default. An app of this project that has no spec any more can
    be named too. An app with `protect: true` is refused.
    """
    from modelctl.cli.pipeline import one_environment, project_here
    from modelctl.cli.world import platform_for
    from modelctl.diagnostics import Rejected
    from modelctl.spec.load import load

    if not what and not labels:
        raise click.UsageError("say what to destroy: paths or names of specs, or -l KEY=VALUE")
    project = project_here()
    chosen = one_environment(Selection(what, env, local, labels), project)
    loaded = load(what, project, chosen.overlays, labels, Path.cwd())
    if wrong := [d for d in loaded.diagnostics if d.code == _NOWHERE and d.place is None]:
        raise Rejected(wrong)
    specs = [*loaded.wanted, *loaded.partial]  # what else is wrong with a spec does not matter here
    protected = [w.name for w in specs if w.spec.protect]
    if protected:
        say_error(
            f"{', '.join(protected)} says protect: true", "take protect out of the spec first"
        )
        return Exit.REJECTED
    return asyncio.run(
        _destroy(
            platform_for(chosen, project),
            [w.name for w in specs],
            chosen,
            project,
            unread=[d for d in loaded.diagnostics if d.is_error],
            yes=yes,
            confirm=confirm,
            wait=wait,
        )
    )


async def _destroy(
    platform: Platform,
    names: list[str],
    chosen: Selection,
    project: ProjectFile,
    *,
    unread: Sequence[Diagnostic],
    yes: bool,
    confirm: str | None,
    wait: float,
) -> int:
    from modelctl.apply.job import Memory
    from modelctl.cli import changing
    from modelctl.cli.who import commit, now, who
    from modelctl.diagnostics import Rejected, error
    from modelctl.plan import Seen, entry_of, owner
    from modelctl.platform.types import PlatformError
    from modelctl.record import Event, read_index

    await platform.open()
    live, index = await asyncio.gather(platform.observe(), read_index(platform, project.name))
    specless = [word for word in chosen.what if word not in names and word in live.apps]
    missing = [d for d in unread if not any(word in d.message for word in specless)]
    if any(d.code in _NOT_CHOSEN for d in missing) or not (names or specless):
        raise Rejected(missing or [error("spec/none-chosen", "no spec has these labels")])
    names = [*names, *specless]
    kept = [n for n in specless if index and n in index.apps and index.apps[n].protect]
    if kept:
        say_error(
            f"{', '.join(kept)} is protected, and has no spec any more",
            "put the spec back, take protect out, and apply",
        )
        return Exit.REJECTED
    apps = [live.apps[name] for name in names if name in live.apps]
    details = await asyncio.gather(*(platform.details(app) for app in apps))
    seen = Seen(live, index, {a.name: d for a, d in zip(apps, details, strict=True)}, {}, {})
    codes = []
    mine = []
    for app in apps:
        if whose := owner(app, seen, project.name):
            say_error(f"{app.name} is left alone: {whose}")
            codes.append(Exit.REJECTED)
        else:
            mine.append(app)
    if not mine:
        if not codes:
            click.echo("Nothing to destroy.")
        return worst(codes)
    click.echo(f"{platform.where}: {', '.join(a.name for a in mine)}")
    said = changing.declared(chosen, project)
    changing.confirm(
        "Destroy these in the",
        platform.where,
        yes=yes,
        named=confirm,
        said=said,
        env=chosen.env or platform.environment,
    )
    async with changing.alone(platform, project, "destroy", wait) as lease:
        # What was written down meanwhile by whoever had the lease before is not lost.
        index = await read_index(platform, project.name)
        memory = Memory(platform, project.name, lease.check, index)
        for app in mine:
            try:
                await lease.check()
                await platform.stop(app)
            except PlatformError as refusal:
                click.echo(f"✘ {app.name}  {refusal.message}", err=True)
                codes.append(Exit.FAILED)
                continue
            click.echo(f"✔ {app.name}  destroyed")
            if (entry := entry_of(app, index)) is not None:
                memory.gone.add(app.name)
                event = Event(now(), who(), commit(project.root), "destroyed", app.version)
                await memory.note(app.name, entry, None, event)
        await memory.keep()
    return worst(codes)
