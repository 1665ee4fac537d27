"""modelctl local: does the local control plane run, and how is it reached?"""

from __future__ import annotations

import shlex
import time

import click

from modelctl.cli.exits import Exit


@click.group("local")
def command() -> None:
    """Run the local control plane: Modal's own protocol on this machine."""


@command.command("up")
def up() -> int:
    """Start it; does nothing where it runs already."""
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.world import local_state
    from modelctl.local import lifecycle

    state = local_state(project_here())
    running = lifecycle.status(state)
    plane = running or lifecycle.up(state)
    click.echo(f"local control plane {'runs' if running else 'started'} at {plane.url}")
    missing = [name for name, where in plane.engines.items() if not where]
    found = [name for name, where in plane.engines.items() if where]
    click.echo(f"engines here: {', '.join(found) or 'none'}")
    if missing:
        click.echo(f"not here: {', '.join(missing)}")
    click.echo("stop it with: modelctl local down")
    return Exit.DONE


@command.command("down")
def down() -> int:
    """Stop it and everything that it runs; what was deployed comes back with the next up."""
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.world import local_state
    from modelctl.local import lifecycle

    stopped = lifecycle.down(local_state(project_here()))
    click.echo("local control plane stopped" if stopped else "no local control plane runs here")
    return Exit.DONE


@command.command("status")
@click.option("--output", type=click.Choice(["human", "json"]), default="human")
def status(output: str) -> int:
    """Does it run? Exits with 6 where it does not."""
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.world import local_state
    from modelctl.local import lifecycle

    state = local_state(project_here())
    plane = lifecycle.status(state)
    if output == "json":
        data: dict[str, object] = (
            {"running": False}
            if plane is None
            else {
                "running": True,
                "url": plane.url,
                "pid": plane.pid,
                "started_at": plane.started_at,
                "engines": dict(plane.engines),
            }
        )
        from modelctl.views import machine

        click.echo(machine.dump({**data, "state": str(state)}))
    elif plane is None:
        click.echo("no local control plane runs here; start one: modelctl local up")
    else:
        minutes = (time.time() - plane.started_at) / 60
        click.echo(
            f"local control plane runs at {plane.url} for {minutes:.0f} min (pid {plane.pid})"
        )
        for name, where in plane.engines.items():
            click.echo(f"  {name:<18} {where or 'not here'}")
        click.echo(f"  {'state':<18} {state}")
    return Exit.DONE if plane else Exit.TRY_AGAIN


@command.command("env")
@click.option(
    "--workspace", help="One of its own names, tokens and environments; made on first use."
)
def env(workspace: str | None) -> int:
    """Print what points any Modal program at it: eval "$(modelctl local env)"."""
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.world import running_plane
    from modelctl.local import lifecycle

    for name, value in lifecycle.environ(running_plane(project_here()), workspace).items():
        click.echo(f"export {name}={shlex.quote(value)}")
    return Exit.DONE
