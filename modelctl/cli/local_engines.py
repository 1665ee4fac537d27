"""modelctl local engines: which engines can this machine run, and how are the others had?"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import output


@click.group("engines", invoke_without_command=True)
@output("human", "json")
@click.pass_context
def command(ctx: click.Context, output: str) -> int:
    """Show the engines of this machine, or register one."""
    return _list(output) if ctx.invoked_subcommand is None else Exit.DONE


@command.command("ls")
@output("human", "json")
def ls(output: str) -> int:
    """Show every engine: where it is, or what installs it."""
    return _list(output)


@command.command("add")
@click.argument("name")
@click.option(
    "--venv", type=click.Path(path_type=Path), help="The virtual environment that has it."
)
@click.option("--command", "path", type=click.Path(path_type=Path), help="The command itself.")
@output("human", "json")
def add(name: str, venv: Path | None, path: Path | None, output: str) -> int:
    """Register the engine that containers spawn as NAME, from a virtual environment or by path."""
    from modelctl.cli.said import say
    from modelctl.local import engines
    from modelctl.views import machine

    if venv is not None and path is not None:
        raise click.UsageError("say --venv or --command, not both")
    try:
        added = engines.add(_state(), name, command=path, venv=venv)
    except engines.NotAnEngine as error:
        raise click.UsageError(str(error)) from None
    _tell_plane()
    if output == "json":
        say(machine.dump(asdict(added)))
    else:
        say(f"{name} is {added.where}" + (f" ({added.version})" if added.version else ""))
    return Exit.DONE


@command.command("rm")
@click.argument("name")
@output("human", "json")
def rm(name: str, output: str) -> int:
    """Forget what was registered as NAME; the engine stays where it is."""
    from modelctl.cli.said import say
    from modelctl.local import engines
    from modelctl.views import machine

    try:
        engines.remove(_state(), name)
    except engines.NotAnEngine as error:
        raise click.UsageError(str(error)) from None
    _tell_plane()
    say(machine.dump({"removed": name}) if output == "json" else f"{name} is registered no longer")
    return Exit.DONE


def _state() -> Path:
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.world import local_state

    return local_state(project_here())


def _tell_plane() -> None:
    from modelctl.local import lifecycle

    if (plane := lifecycle.status(_state())) is not None:
        lifecycle.look_for_engines(plane)


def _list(output: str) -> int:
    from modelctl.cli.said import say
    from modelctl.local import engines
    from modelctl.views import machine
    from modelctl.views.human.tables import table
    from modelctl.views.paint import for_stream

    found = engines.listed(_state())
    if output == "json":
        say(machine.dump({"engines": [asdict(engine) for engine in found]}))
        return Exit.DONE
    paint, width = for_stream()
    rows = [
        [
            engine.name,
            engine.version or "-",
            engine.source,
            short_path(engine.where) or engine.install,
        ]
        for engine in found
    ]
    say(table(["engine", "version", "from", "where"], rows, paint=paint, width=width, whole=True))
    return Exit.DONE


def short_path(where: str | None) -> str:
    """A path as one would type it here."""
    if where is None:
        return ""
    path, here = Path(where), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else where
