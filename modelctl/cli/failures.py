"""What does a user read when something could not go on? One sentence, the way out, an exit code."""

from __future__ import annotations

import errno
import os
import sys
import textwrap
import traceback

import click
from msgspec import Struct

from modelctl.cli.exits import Exit, of_diagnostics
from modelctl.cli.said import aside
from modelctl.diagnostics import Diagnostic, Rejected


class Words(Struct, frozen=True):
    """Why it could not go on: `diagnostics`, or a sentence and the way out; and the exit code."""

    code: Exit
    message: str = ""
    hint: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()


def explain(error: Exception, *, changes: bool) -> int:
    """Print why it could not go on, and return the exit code.

    `changes` is whether the command may have begun to change what is live.
    """
    words = words_of(error, changes=changes)
    if words.diagnostics:
        from modelctl.views.human import problems
        from modelctl.views.paint import for_stream

        paint, width = for_stream(err=True)
        aside(problems.diagnostics(words.diagnostics, paint=paint, width=width))
    else:
        say_error(words.message, words.hint)
    if words.message.startswith(_OWN_FAULT) and os.environ.get("MODELCTL_DEBUG"):
        click.echo("".join(traceback.format_exception(error)), err=True)
    return words.code


def words_of(error: Exception, *, changes: bool) -> Words:
    """What a user has to know of an exception; nothing is printed."""
    from modelctl.byhand.types import Refusal
    from modelctl.cli.putting import LedOut
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
            code = of_diagnostics(d.code for d in error.diagnostics if d.is_error)
            return Words(code, diagnostics=error.diagnostics)
        case (
            Unreachable()
            | CredentialsRefused()
            | Stale()
            | LeaseHeld()
            | LeaseLost()
            | LocalError()
        ):
            return Words(Exit.TRY_AGAIN, str(error), getattr(error, "hint", ""))
        case HubProblem():
            return Words(Exit.TRY_AGAIN, error.message, error.hint)
        case click.UsageError():
            return Words(Exit.USAGE, error.format_message())
        case LedOut():
            return Words(Exit.REJECTED, str(error.strerror), error.hint)
        case OSError() if error.filename is not None:
            return Words(Exit.REJECTED, f"{error.filename}: {error.strerror}")
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Words(Exit.REJECTED, f"what was written: {error.strerror}", "make room there")
        case CannotRender():
            return Words(Exit.REJECTED, str(error), "modelctl validate says more")
        case NotThere() | Refusal():
            return Words(Exit.REJECTED, error.message, error.hint)
        case PlatformError():
            return Words(Exit.FAILED, error.message, error.hint)
        case _:
            return Words(
                Exit.PERSON_NEEDED if changes else Exit.REJECTED,
                f"{_OWN_FAULT} ({type(error).__name__}: {error})",
                "this is a bug in modelctl and says nothing of your specs; please report it, with "
                "what MODELCTL_DEBUG=1 adds",
            )


_OWN_FAULT = "modelctl itself failed"


def say_error(message: str, hint: str = "") -> None:
    """What is wrong, and the way out where there is one."""
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
