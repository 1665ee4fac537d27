"""modelctl local fault: what shall go wrong on the plane?"""

from __future__ import annotations

from typing import Any

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import output

_WORDS = {
    "method": "calls",
    "app": "apps",
    "gpu": "GPUs",
    "status": "status",
    "message": "says",
    "skip": "skips",
    "seconds": "seconds",
    "when": "when",
    "code": "code",
    "after": "after",
    "waiting": "waiting now",
}


@click.group("fault")
def command() -> None:
    """Have something go wrong: calls, builds, containers, capacity."""


@command.command("add")
@click.argument("kind")
@click.option("--method", metavar="GLOB", help="Which calls: AppPublish, 'App*'.")
@click.option("--app", metavar="GLOB", help="The containers or builds of which apps.")
@click.option("--gpu", metavar="GLOB", help="Which GPUs: H100, 'H100*'.")
@click.option("--seconds", type=float, metavar="S", help="How late, how slow, how long until.")
@click.option("--times", type=int, metavar="N", help="How often; until it is cleared if not said.")
@click.option("--skip", type=int, metavar="N", help="How many calls pass by before the first.")
@click.option("--when", metavar="before|after", help="Whether a late call takes effect at once.")
@click.option("--status", metavar="NAME", help="The gRPC status of a refusal.")
@click.option("--message", metavar="TEXT", help="The sentence of a refusal or a failure.")
@click.option("--code", type=int, metavar="N", help="The exit code of a crash.")
@click.option("--after", metavar="start|ready", help="From when a crash counts its seconds.")
@output("human", "json")
def add(kind: str, output: str, **options: Any) -> int:
    """Add a fault.

    It holds until it is cleared, was met N times, or the plane ends.

    \b
    latency      calls wait --seconds, --when before or after they take effect
    refuse       calls are refused with --status and --message
    lose-answer  calls take effect and their answer is lost
    cut          streams break off, after --seconds or their first message
    revoke       the token that clients show is good no longer
    slow-build   images take --seconds to build, and print
    fail-build   builds print and fail with --message
    no-capacity  GPUs cannot be had
    crash        containers exit with --code, --seconds after their start or once ready
    """
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.said import say
    from modelctl.cli.world import running_plane
    from modelctl.local import faults, lifecycle
    from modelctl.views import machine

    said = {name: value for name, value in options.items() if value is not None}
    try:
        faults.made(kind, said)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    fault_id = lifecycle.add_fault(running_plane(project_here()), kind, **said)
    if output == "json":
        say(machine.dump({"id": fault_id}))
    else:
        say(f"{fault_id}: take it back with modelctl local fault clear {fault_id}")
    return Exit.DONE


@command.command("ls")
@output("human", "json")
def ls(output: str) -> int:
    """Show the faults that hold, and how often each was met."""
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.said import say
    from modelctl.cli.world import running_plane
    from modelctl.local import lifecycle
    from modelctl.views import machine
    from modelctl.views.human.tables import table
    from modelctl.views.paint import for_stream

    holding = lifecycle.faults(running_plane(project_here()))
    if output == "json":
        say(machine.dump({"faults": holding}))
    elif not holding:
        say("no fault holds")
    else:
        paint, width = for_stream()
        rows = [[f["id"], f["kind"], _met(f), _what(f)] for f in holding]
        say(table(["id", "fault", "met", "what"], rows, paint=paint, width=width))
    return Exit.DONE


@command.command("clear")
@click.argument("fault_id", metavar="[ID]", required=False)
@output("human", "json")
def clear(fault_id: str | None, output: str) -> int:
    """Take one fault back, or all of them."""
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.said import say
    from modelctl.cli.world import running_plane
    from modelctl.local import lifecycle
    from modelctl.views import machine
    from modelctl.views.human.words import counted

    plane = running_plane(project_here())
    if fault_id is not None and fault_id not in [f["id"] for f in lifecycle.faults(plane)]:
        raise click.UsageError(f"no fault {fault_id} holds; modelctl local fault ls shows them")
    cleared = lifecycle.clear_faults(plane, fault_id)
    if output == "json":
        say(machine.dump({"cleared": cleared}))
    else:
        say(f"{counted(cleared, 'fault')} cleared")
    return Exit.DONE


def _met(fault: dict[str, Any]) -> str:
    return f"{fault['met']} of {fault['times']}" if fault["times"] else str(fault["met"])


def _what(fault: dict[str, Any]) -> str:
    usual = (None, 0, "", "before")
    said = [(word, fault[name]) for name, word in _WORDS.items() if fault.get(name) not in usual]
    return ", ".join(
        f"{word} {value:g}" if isinstance(value, float) else f"{word} {value}"
        for word, value in said
    )
