"""What does a user read when something could not go on? One sentence, the way out, an exit code."""

from __future__ import annotations

import os
import sys
import textwrap
import traceback

import click

from modelctl.cli.exits import Exit, of_diagnostics
from modelctl.cli.said import aside
from modelctl.diagnostics import Rejected


def explain(error: Exception, *, changes: bool) -> int:
    """Print why it could not go on, and return the exit code.

    `changes` is whether the command may have begun to change what is live.
    """
    from modelctl.byhand.types import Refusal
    from modelctl.lease import LeaseHeld, LeaseLost
    from modelctl.local.lifecycle import LocalError
    from modelctl.platform.types import (
        CredentialsRefused,
        NotThere,
        PlatformError,
        Stale,
        Unreachable,
    )
    from modelctl.render import CannotRender
    from modelctl.weights.hub import HubProblem

    match error:
        case Rejected():
            from modelctl.views.human import problems
            from modelctl.views.paint import for_stream

            paint, width = for_stream(err=True)
            aside(problems.diagnostics(error.diagnostics, paint=paint, width=width))
            return of_diagnostics(d.code for d in error.diagnostics if d.is_error)
        case (
            Unreachable()
            | CredentialsRefused()
            | Stale()
            | LeaseHeld()
            | LeaseLost()
            | LocalError()
        ):
            _say(str(error), getattr(error, "hint", ""))
            return Exit.TRY_AGAIN
        case HubProblem():
            _say(error.message, error.hint)
            return Exit.TRY_AGAIN
        case OSError() if error.filename is not None:
            _say(f"{error.filename}: {error.strerror}", "")
            return Exit.REJECTED
        case CannotRender():
            _say(str(error), "modelctl validate says more")
            return Exit.REJECTED
        case NotThere() | Refusal():
            _say(error.message, error.hint)
            return Exit.REJECTED
        case PlatformError():
            _say(error.message, error.hint)
            return Exit.FAILED
        case _:
            kind = type(error).__name__
            _say(
                f"modelctl itself failed ({kind}: {error})",
                "this is a bug in modelctl and says nothing of your specs; please report it, with "
                "what MODELCTL_DEBUG=1 adds",
            )
            if os.environ.get("MODELCTL_DEBUG"):
                click.echo("".join(traceback.format_exception(error)), err=True)
            return Exit.PERSON_NEEDED if changes else Exit.REJECTED


def _say(message: str, hint: str) -> None:
    for label, text in (("error: ", message), ("help: ", hint)):
        if text:
            aside("\n".join(_lines(label, text)))


def _lines(label: str, text: str) -> list[str]:
    """As wide as the terminal; whole where somebody else reads it."""
    from modelctl.views.paint import for_stream

    if not sys.stderr.isatty():
        return [label + text]
    _, width = for_stream(err=True)
    return [
        line
        for part in (label + text).splitlines()
        for line in textwrap.wrap(
            part, width, subsequent_indent=" " * len(label),
            break_long_words=False, break_on_hyphens=False,
        )
    ]  # fmt: skip
