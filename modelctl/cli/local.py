"""modelctl local: does the local control plane run, and how is it reached?"""

from __future__ import annotations

import shlex
import time

import click

from modelctl.cli import (
    local_calls,
    local_clock,
    local_engines,
    local_faults,
    local_gpus,
    local_images,
)
from modelctl.cli.exits import Exit
from modelctl.cli.options import output


@click.group("local")
def command() -> None:
    """Run the local control plane: Modal's own protocol on this machine."""


@command.command("up")
@click.option(
    "--gpus",
    metavar="TYPE=COUNT,…",
    help="Behave as if there were these; none: run requests for GPUs on the processor.",
)
@output("human", "json")
def up(gpus: str | None, output: str) -> int:
    """Start it; does nothing where it runs already."""
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.said import aside, say
    from modelctl.cli.world import local_state
    from modelctl.local import lifecycle
    from modelctl.local.tested import other_sdk_installed

    inventory = local_gpus.checked(gpus) if gpus is not None else None
    state = local_state(project_here())
    running = lifecycle.status(state)
    plane = running or lifecycle.up(state)
    if (warning := other_sdk_installed()) is not None:
        aside(f"warning: {warning}")
    if gpus is not None:
        lifecycle.set_gpus(plane, inventory)
    if output == "json":
        return _print_status(state, plane)
    say(f"local control plane {'runs' if running else 'started'} at {plane.url}")
    missing = [name for name, where in plane.engines.items() if not where]
    found = [name for name, where in plane.engines.items() if where]
    say(f"engines here: {', '.join(found) or 'none'}")
    if missing:
        say(f"not here: {', '.join(missing)}")
    if (there := lifecycle.gpus(plane)["inventory"]) is not None:
        say(f"GPUs as if there were: {local_gpus.in_words(there)}")
    say("stop it with: modelctl local down")
    return Exit.DONE


@command.command("down")
@output("human", "json")
def down(output: str) -> int:
    """Stop it, and all that it runs.

    What was deployed is there again after the next up.
    """
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.said import say
    from modelctl.cli.world import local_state
    from modelctl.local import lifecycle
    from modelctl.views import machine

    stopped = lifecycle.down(local_state(project_here()))
    if output == "json":
        say(machine.dump({"stopped": stopped}))
    else:
        say("local control plane stopped" if stopped else "no local control plane runs here")
    return Exit.DONE


@command.command("status")
@output("human", "json")
def status(output: str) -> int:
    """Does it run? Exits with 6 where it does not."""
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.said import aside, say
    from modelctl.cli.world import local_state
    from modelctl.local import lifecycle
    from modelctl.local.tested import other_sdk_installed

    state = local_state(project_here())
    plane = lifecycle.status(state)
    if (warning := other_sdk_installed()) is not None:
        aside(f"warning: {warning}")
    if output == "json":
        _print_status(state, plane)
    elif plane is None:
        say("no local control plane runs here; start one: modelctl local up")
    else:
        minutes = (time.time() - plane.started_at) / 60
        say(f"local control plane runs at {plane.url} for {minutes:.0f} min (pid {plane.pid})")
        for name, where in plane.engines.items():
            say(f"  {name:<18} {local_engines.short_path(where) or 'not here'}")
        inventory = lifecycle.gpus(plane)["inventory"]
        if inventory is not None:
            say(f"  {'GPUs as if':<18} {local_gpus.in_words(inventory)}")
        if holding := lifecycle.faults(plane):
            say(f"  {'faults':<18} {len(holding)}: modelctl local fault ls")
        if ahead := lifecycle.clock(plane)["ahead"]:
            say(f"  {'clock':<18} {local_clock.in_words(ahead)}")
        say(f"  {'state':<18} {local_engines.short_path(str(state))}")
    return Exit.DONE if plane else Exit.TRY_AGAIN


def _print_status(state: object, plane: object) -> int:
    from modelctl.cli.said import say
    from modelctl.local import lifecycle
    from modelctl.views import machine

    data: dict[str, object] = {"running": False, "state": str(state)}
    if isinstance(plane, lifecycle.Plane):
        data |= {
            "running": True,
            "url": plane.url,
            "pid": plane.pid,
            "started_at": plane.started_at,
            "engines": dict(plane.engines),
            "gpus": lifecycle.gpus(plane)["inventory"],
            "faults": lifecycle.faults(plane),
            "clock_ahead": lifecycle.clock(plane)["ahead"],
        }
    say(machine.dump(data))
    return Exit.DONE


@command.command("env")
@click.option(
    "--workspace", help="One with tokens, environments and names of its own; made on first use."
)
@output("human", "json")
def env(workspace: str | None, output: str) -> int:
    """Print what points Modal programs at it.

    For a shell: eval "$(modelctl local env)"
    """
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.world import running_plane
    from modelctl.local import lifecycle
    from modelctl.views import machine

    if workspace == "":
        raise click.UsageError("--workspace wants a name; without it, it is the workspace local")
    variables = lifecycle.environ(running_plane(project_here()), workspace)
    if output == "json":
        click.echo(machine.dump({"variables": variables}))
        return Exit.DONE
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    return Exit.DONE


for part in (
    local_gpus.command,
    local_faults.command,
    local_clock.command,
    local_calls.command,
    local_images.command,
    local_engines.command,
):
    command.add_command(part)
