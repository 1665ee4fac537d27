"""What is said beside the result? Warnings, on standard error, so that output stays clean."""

from __future__ import annotations

from collections.abc import Sequence

import click

from modelctl.diagnostics import Diagnostic, Severity


def warnings(found: Sequence[Diagnostic]) -> None:
    """Show the warnings of specs that are about to be planned or applied."""
    shown = [d for d in found if d.severity is Severity.WARNING]
    if not shown:
        return
    from modelctl.views import human
    from modelctl.views.paint import for_stream

    paint, width = for_stream(err=True)
    click.echo(human.diagnostics(shown, paint=paint, width=width) + "\n", err=True)
