"""modelctl local gpus: which GPUs does the plane behave as if it had, and who has them?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import output

NONE = "none"


@click.command("gpus")
@click.argument("inventory", required=False)
@output("human", "json")
def command(inventory: str | None, output: str) -> int:
    """Show or set the GPUs that it behaves as if it had.

    INVENTORY is H100=2,L40S=4, or none: then requests for GPUs run on the processor.
    """
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.said import say
    from modelctl.cli.world import running_plane
    from modelctl.local import lifecycle
    from modelctl.views import machine

    wanted = checked(inventory) if inventory is not None else None
    plane = running_plane(project_here())
    found = lifecycle.gpus(plane) if inventory is None else lifecycle.set_gpus(plane, wanted)
    say(machine.dump(found) if output == "json" else _shown(found))
    return Exit.DONE


def checked(inventory: str) -> str | None:
    """The inventory as the plane takes it; a usage error for one that cannot be."""
    if inventory.strip().lower() == NONE:
        return None
    from modelctl.facts import gpus
    from modelctl.local.inventory import parse_inventory

    try:
        kinds = parse_inventory(inventory)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    for kind in kinds:
        if kind not in gpus.gpus():
            raise click.UsageError(f"there is no GPU {kind}; Modal has {', '.join(gpus.gpus())}")
    return inventory


def in_words(inventory: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in inventory.items()) or "none at all"


def _shown(found: Mapping[str, Any]) -> str:
    from modelctl.views.human.tables import table
    from modelctl.views.paint import for_stream

    paint, width = for_stream()
    waiting = found["waiting"]
    lines = []
    if found["inventory"] is None:
        lines.append("no inventory: requests for GPUs run on the processor")
    else:
        kinds = {**found["inventory"], **found["in_use"]}
        rows = [
            [
                kind,
                str(found["inventory"].get(kind, 0)),
                str(found["in_use"].get(kind, 0)),
                str(sum(kind in _kinds(one["wants"]) for one in waiting)),
            ]
            for kind in kinds
        ]
        heads = ["type", "there", "in use", "waiting"]
        lines.append(table(heads, rows, paint=paint, width=width, right=heads[1:]))
    if waiting:
        rows = [[one["app"], one["container"], " or ".join(one["wants"])] for one in waiting]
        heads = ["who waits", "container", "for"]
        lines += ["", table(heads, rows, paint=paint, width=width)]
    return "\n".join(lines)


def _kinds(wants: list[str]) -> set[str]:
    return {wanted.partition(":")[0].removesuffix("!") for wanted in wants}
