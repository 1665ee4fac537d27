"""In which formats is a result written, and where does each go?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct

from modelctl.cli.exits import Exit
from modelctl.cli.located import located
from modelctl.cli.options import Selection, output
from modelctl.cli.putting import keep_inside, put
from modelctl.cli.said import aside

if TYPE_CHECKING:
    from modelctl.cli.pipeline import Prepared
    from modelctl.diagnostics import Diagnostic, Place
    from modelctl.plan import Plan
    from modelctl.views.results import Planned, Result

_F = TypeVar("_F", bound=Callable[..., Any])

OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "validate": ("human", "json", "github", "markdown", "junit", "sarif"),
    "plan": ("human", "json", "github", "markdown", "junit"),
    "apply": ("human", "json", "github", "markdown", "junit"),
    "status": ("human", "json", "github", "markdown", "junit"),
}
"""Command → what --output takes; the first is the default."""

SUFFIXES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    ".json": ("json", ("validate", "plan", "apply", "status")),
    ".md": ("markdown", ("validate", "plan", "apply", "status")),
    ".xml": ("junit", ("validate", "plan", "apply", "status")),
    ".sarif": ("sarif", ("validate",)),
    ".html": ("html", ("plan",)),
}
"""A file's suffix → the format that --report writes into it, and the commands that have it."""


def reporting(command: str) -> Callable[[_F], _F]:
    """--output and --report of a command. A file that could not be written is refused at once."""

    def known(ctx: click.Context, param: click.Parameter, files: tuple[str, ...]) -> Any:
        for file in files:
            _check(file, command, ctx, param)
        return files

    def decorate(function: _F) -> _F:
        report = click.option(
            "--report",
            multiple=True,
            metavar="FILE",
            callback=known,
            help=f"Write the result to a file too, as its suffix says: {_suffixes(command)}.",
        )
        return output(*OUTPUTS[command])(report(function))

    return decorate


def _suffixes(command: str) -> str:
    return ", ".join(suffix for suffix, (_, commands) in SUFFIXES.items() if command in commands)


def _check(file: str, command: str, ctx: click.Context, param: click.Parameter) -> None:
    path = Path(file)
    if command not in SUFFIXES.get(path.suffix, ("", ()))[1]:
        raise click.BadParameter(f"{file}: the suffix says how, one of {_suffixes(command)}",
                                 ctx, param)  # fmt: skip
    keep_inside(path.parent)
    if path.is_dir():
        raise click.BadParameter(f"{file} is a folder", ctx, param)
    if not path.parent.is_dir():
        raise click.BadParameter(f"{file}: there is no folder {path.parent}", ctx, param)


class Reports(Struct):
    """What one run was asked to write. `chosen` is what the command line says of where.

    `changes` is whether the command may change what is live.
    """

    command: str
    output: str
    files: tuple[str, ...]
    chosen: Selection
    changes: bool = False
    given: bool = False

    @property
    def human(self) -> bool:
        return self.output == "human"

    @property
    def wanted(self) -> bool:
        """Whether anything is to be written that the command does not print by itself."""
        return bool(self.files) or not self.human

    def give(self, result: Result, code: int) -> int:
        """Write the result wherever it was asked for; the exit code.

        What people read on a terminal is printed by the command itself. A file that cannot be
        written is said, and is an error where nothing else was.
        """
        self.given = True
        for file in self.files:
            text = _text(SUFFIXES[Path(file).suffix][0], result)
            try:
                put(Path(file), f"{text}\n".encode("utf-8", "replace"))
            except OSError as error:
                aside(f"error: {file} could not be written: {error.strerror}")
                code = code or Exit.REJECTED
        if not self.human:
            text = _text(self.output, result)
            click.echo(text.encode("utf-8", "replace").decode())
        if self.output == "github" and not _append_summary(result):
            code = code or Exit.REJECTED
        return code

    @contextmanager
    def told(self) -> Iterator[None]:
        """Whatever ends the command early is written as its result, and goes on as it was."""
        try:
            yield
        except (click.Abort, click.exceptions.Exit, BrokenPipeError):
            raise
        except Exception as error:
            if not self.given and self.wanted:
                self._stopped(error)
            raise

    def _stopped(self, error: Exception) -> None:
        from modelctl.cli.failures import words_of
        from modelctl.views.results import Stopped

        words = words_of(error, changes=self.changes)
        self.give(
            Stopped(
                command=self.command,
                environment=named(self.chosen),
                code=words.code,
                message=words.message,
                hint=words.hint,
                diagnostics=words.diagnostics,
            ),
            words.code,
        )


def named(chosen: Selection) -> str:
    """The environment's name in the project: `prod`, `prod+local`, "" where it declares none."""
    from modelctl.cli.pipeline import one_environment, project_here
    from modelctl.diagnostics import Rejected

    with suppress(Rejected, OSError, click.UsageError):  # what was typed has to do then
        chosen = one_environment(chosen, project_here())
    return "+".join(chosen.overlays)


def planned(ready: Prepared, result: Plan, lacking: Iterable[Diagnostic]) -> Planned:
    """What a plan says, with what is known of the specs behind it."""
    from modelctl.diagnostics import Severity
    from modelctl.views.results import Planned

    return Planned(
        plan=result,
        environment="+".join(ready.chosen.overlays),
        warnings=[d for d in ready.diagnostics if d.severity is Severity.WARNING],
        lacking=tuple(lacking),
        assessed={wanted.name: assessed for wanted, assessed in ready.specs},
        places=places(ready),
    )


def places(ready: Prepared) -> dict[str, Place]:
    """Where the spec of each app begins."""
    return {wanted.name: wanted.origins.place(()) for wanted, _ in ready.specs}


def _text(form: str, result: Result) -> str:
    """The result in one format; each is loaded only when it is asked for."""
    match form:
        case "json":
            from modelctl.views import machine

            return machine.text(result)
        case "markdown":
            from modelctl.views import markdown

            return markdown.written(located(result))
        case "junit":
            from modelctl.views import junit

            return junit.written(located(result))
        case "github":
            from modelctl.views import github

            return github.written(located(result))
        case "html":
            from modelctl.cli.who import commit, now
            from modelctl.views import page

            assert isinstance(result, page.Page)
            return page.of(result, commit=commit(Path.cwd()), at=now())
        case _:
            from modelctl import __version__
            from modelctl.checks.catalogue import CATALOGUE
            from modelctl.views import sarif

            return sarif.written(located(result), CATALOGUE, __version__)


def _append_summary(result: Result) -> bool:
    """Add the result to the page of the step that this runs in, as far as GitHub takes it.

    Whether that went well; what did not is said.
    """
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if not summary:
        return True
    from modelctl.views import markdown

    file = Path(summary)
    try:
        room = _SUMMARY_BYTES - (file.stat().st_size if file.exists() else 0)
        # A character may take four bytes.
        text = markdown.written(located(result), min(_SUMMARY_CHARACTERS, room // 4))
        with file.open("ab") as stream:
            stream.write(f"{text}\n\n".encode("utf-8", "replace"))
    except OSError as error:
        aside(f"error: {file} could not be written: {error.strerror}")
        return False
    return True


_SUMMARY_BYTES = 1024 * 1024
"""What GitHub shows of a step: https://docs.github.com/en/actions/reference/workflow-commands"""
_SUMMARY_CHARACTERS = _SUMMARY_BYTES // 4
