"""modelctl local clock: what time is it for the plane's windows? It can be moved forward."""

from __future__ import annotations

import click

from modelctl.cli.exits import Exit
from modelctl.cli.options import output


@click.group("clock", invoke_without_command=True)
@output("human", "json")
@click.pass_context
def command(ctx: click.Context, output: str) -> int:
    """Show or move the clock of idle windows and expiries."""
    if ctx.invoked_subcommand is None:
        return _say(None, output)
    return Exit.DONE


@command.command("advance")
@click.argument("span")
@output("human", "json")
def advance(span: str, output: str) -> int:
    """Move it forward by SPAN (90s, 10m, 2h, 7d): what is due by then happens now."""
    from modelctl.spec.values import seconds

    if (by := seconds(span)) is None:
        raise click.UsageError(f"{span} is no span of time; write 90s, 10m, 2h or 7d")
    return _say(by, output)


def _say(by: float | None, output: str) -> int:
    from modelctl.cli.pipeline import project_here
    from modelctl.cli.said import say
    from modelctl.cli.world import running_plane
    from modelctl.local import lifecycle
    from modelctl.local.clock import moved
    from modelctl.views import machine

    plane = running_plane(project_here())
    told = lifecycle.clock(plane)
    if by is not None:
        try:
            moved(told["ahead"], by)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        told = lifecycle.advance(plane, by)
    say(machine.dump(told) if output == "json" else f"the plane's clock: {_full(told)}")
    return Exit.DONE


def _full(told: dict[str, float]) -> str:
    import datetime

    now = datetime.datetime.fromtimestamp(told["now"]).astimezone()
    return f"{now:%Y-%m-%d %H:%M:%S}, {in_words(told['ahead'])}"


def in_words(ahead: float) -> str:
    if not ahead:
        return "which is this machine's"
    days, rest = divmod(round(ahead), 86400)
    hours, rest = divmod(rest, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    words = " ".join(f"{count} {unit}" for count, unit in parts if count)
    return f"{words or f'{ahead:g} s'} ahead of this machine's"
