"""modelctl explain: what does a diagnostic's code mean, and what is to be done?"""

from __future__ import annotations

import click

from modelctl.cli.exits import Exit


@click.command("explain")
@click.argument("code", metavar="[CODE]", default="")
def command(code: str) -> int:
    """Say what a diagnostic's code means, and what to do. Without a CODE: list all of them."""
    from modelctl.checks.catalogue import CATALOGUE
    from modelctl.cli.said import say
    from modelctl.views.human.words import wrapped
    from modelctl.views.paint import for_stream

    paint, width = for_stream()
    if not code:
        say("\n".join(sorted(CATALOGUE)))
        return Exit.DONE
    if code not in CATALOGUE:
        from difflib import get_close_matches

        near = get_close_matches(code, CATALOGUE, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "modelctl explain lists all"
        raise click.UsageError(f"there is no code {code}; {hint}")
    say("\n".join([paint(code, "bold"), "", *wrapped(CATALOGUE[code], width)]))
    return Exit.DONE
