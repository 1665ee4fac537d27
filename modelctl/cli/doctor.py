"""modelctl doctor: what is missing on this machine or account, and how is it had?"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection, output

if TYPE_CHECKING:
    from modelctl.views.findings import Finding


@click.command("doctor")
@click.option("--env", metavar="NAME", help="Look at this environment alone.")
@click.option("--local", is_flag=True, help="What --local needs, and nothing of Modal.")
@output("human", "json")
def command(env: str | None, local: bool, output: str) -> int:
    """Say what is missing on this machine or account, and how to get it.

    What can be known here is said first. Nothing is changed, and no token is ever shown. Exits with
    1 where something is missing.
    """
    from modelctl.views import findings

    began = time.perf_counter()
    found: list[Finding] = []
    asyncio.run(_look(Selection((), env, local), found, quiet=output == "json"))
    if output == "json":
        from modelctl.views import machine

        click.echo(machine.dump(findings.data(found)))
    else:
        from modelctl.cli.said import say

        dot = "·" if utf8() else "-"
        say(f"\n{findings.summary(found)} {dot} {time.perf_counter() - began:.1f} s")
    return Exit.DONE if findings.data(found)["ready"] else Exit.REJECTED


async def _look(chosen: Selection, found: list[Finding], *, quiet: bool) -> None:
    """Whoever is asked elsewhere is asked meanwhile."""
    from modelctl.cli import doctor_here, doctor_there

    def tell(more: Sequence[Finding]) -> None:
        if not quiet:
            _show(more, first=not found)
        found.extend(more)

    project, opened = doctor_here.project_of(chosen)
    account = None
    if project is not None and not chosen.local:
        account = asyncio.create_task(doctor_there.account(chosen, project))
    tell(await doctor_here.machine(chosen, project))
    if project is None:
        tell(opened)
        return
    specs = await asyncio.to_thread(doctor_here.specs, chosen, project)
    tell([*opened, *specs.found])
    if account is not None:
        tell([*await account, *specs.token])
    tell(await doctor_there.hub(specs.unlocked, gated=specs.gated))


def _show(found: Sequence[Finding], *, first: bool) -> None:
    from modelctl.cli.said import say
    from modelctl.views import findings
    from modelctl.views.paint import for_stream

    paint, width = for_stream()
    plain = not utf8()
    for name, of_area in groupby(found, lambda one: one.area):
        text = findings.area(name, list(of_area), paint=paint, width=width, plain=plain)
        say(text if first else f"\n{text}")
        first = False


def utf8() -> bool:
    """Whether what is written here can have any character."""
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
