"""How do commands speak? Results on standard output, everything else on standard error."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

import click

from modelctl.diagnostics import Diagnostic, Severity

_OURS = re.compile(r"\x1b\[[0-9;]*m")
# Also what turns the direction of a line, or ends it where nobody sees it.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str, *, colours: bool = False) -> str:
    """Text that others wrote, without what would steer a terminal: only lines and tabs stay.

    `colours` keeps colour sequences, as an engine's own log may have them.
    """
    if not colours:
        return _inert(_CONTROL.sub("", text))
    parts = _OURS.split(text)
    kept = _OURS.findall(text)
    pairs = zip(parts, [*kept, ""], strict=True)
    return _inert("".join(_CONTROL.sub("", part) + colour for part, colour in pairs))


def _inert(text: str) -> str:
    """A runner of GitHub obeys what it reads in a log."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return text
    from modelctl.views.inert import inert

    return inert(text)


def say(text: str) -> None:
    """What was asked for, on standard output; whether it is coloured was decided by its paint."""
    click.echo(harmless(text, colours=True), color=True)


def aside(text: str) -> None:
    """Everything else, on standard error."""
    click.echo(harmless(text, colours=True), err=True, color=True)


def warnings(found: Sequence[Diagnostic]) -> None:
    """Show the warnings of specs that are about to be planned or applied."""
    shown = [d for d in found if d.severity is Severity.WARNING]
    if not shown:
        return
    from modelctl.views.human import problems
    from modelctl.views.paint import for_stream

    paint, width = for_stream(err=True)
    aside(problems.diagnostics(shown, paint=paint, width=width) + "\n")
