"""How do commands speak? Results on standard output, everything else on standard error."""

from __future__ import annotations

from collections.abc import Sequence

import click

from modelctl.diagnostics import Diagnostic, Severity


def say(text: str) -> None:
    """What was asked for, on standard output; whether it is coloured was decided by its paint."""
    click.echo(text, color=True)


def aside(text: str) -> None:
    """Everything else, on standard error."""
    click.echo(text, err=True, color=True)


def warnings(found: Sequence[Diagnostic]) -> None:
    """Show the warnings of specs that are about to be planned or applied."""
    shown = [d for d in found if d.severity is Severity.WARNING]
    if not shown:
        return
    from modelctl.views.human import problems
    from modelctl.views.paint import for_stream

    paint, width = for_stream(err=True)
    aside(problems.diagnostics(shown, paint=paint, width=width) + "\n")
