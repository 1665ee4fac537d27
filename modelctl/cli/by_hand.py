"""What do the commands share that a person does to one app? Its name, a yes, the lease, a hold."""

from __future__ import annotations

import datetime
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct

from modelctl.cli.exits import Exit
from modelctl.cli.options import Selection, confirm_option, wait_option
from modelctl.cli.said import aside, say

if TYPE_CHECKING:
    from modelctl.apply.job import Job
    from modelctl.apply.types import Step
    from modelctl.apply.watching import Within
    from modelctl.byhand.doing import Done
    from modelctl.byhand.types import Found
    from modelctl.platform.types import Platform
    from modelctl.record import Hold
    from modelctl.spec.wanted import ProjectFile

_F = TypeVar("_F", bound=Callable[..., Any])
_WITHIN = "20m"


class Asked(Struct, frozen=True):
    """What the command line says beside the app's name."""

    env: str | None
    local: bool
    yes: bool
    confirm: str | None
    wait: float


class Hand(Struct, frozen=True):
    """The place where one app is changed."""

    platform: Platform
    project: ProjectFile
    chosen: Selection
    asked: Asked
    token: tuple[str, str] | None

    @property
    def options(self) -> str:
        """` --env prod`, to be typed again."""
        return f" {self.chosen.options}" if self.chosen.options else ""


def changes_one(function: _F) -> _F:
    """--env, --local, --yes, --confirm and --wait."""
    for decorate in (
        wait_option,
        confirm_option,
        click.option("--yes", "-y", is_flag=True, help="Do not ask."),
        click.option("--local", is_flag=True, help="Use the local control plane."),
        click.option("--env", metavar="NAME", help="The environment of the project."),
    ):
        function = decorate(function)
    return function


def said_why(_context: click.Context, _option: click.Parameter, text: str | None) -> str:
    """The reason, "" where none was given; an empty one is none."""
    if text is not None and not text.strip():
        raise click.UsageError("--why is empty: say the reason, or leave it out")
    return text or ""


why_option = click.option(
    "--why", callback=said_why, metavar="TEXT", help="The reason, for the others."
)

until_option = click.option(
    "--until",
    metavar="WHEN",
    help="Until when it is held: 9:00, 2h, mon, 2026-11-24; until released if left out.",
)

within_option = click.option(
    "--within",
    metavar="DURATION",
    default=_WITHIN,
    show_default=True,
    help="How long a container may take to come, and then to answer.",
)


def hand(name: str, asked: Asked) -> Hand:
    """Nothing is connected yet."""
    from modelctl.cli.pipeline import declared_environment, project_here
    from modelctl.cli.world import platform_for, proxy_token

    project = project_here()
    chosen = declared_environment(Selection((name,), asked.env, asked.local), project)
    return Hand(platform_for(chosen, project), project, chosen, asked, proxy_token(chosen, project))


def time_limits(text: str) -> Within:
    from modelctl.apply.watching import Within
    from modelctl.spec.values import seconds

    if (found := seconds(text)) is None:
        raise click.UsageError(f"--within {text} is no duration: 90s, 20m, 1h")
    return Within(found, found)


def new_hold(keeps: str, did: str, why: str, until: str | None) -> Hold:
    from modelctl.byhand import until as times
    from modelctl.cli.who import now, who
    from modelctl.record import Hold

    try:
        here = datetime.datetime.now().astimezone().replace(tzinfo=None)
        end = times.until(until, here) if until is not None else None
    except ValueError as wrong:
        raise click.UsageError(str(wrong)) from None
    return Hold("version" if keeps == "version" else "scaling", who(), why, now(), end, did)


async def looked(at: Hand, name: str, *, gone: bool = False) -> Found:
    """Connected, in the right workspace, and what is known of the app."""
    from modelctl.byhand.looking import look
    from modelctl.cli.who import now

    await at.platform.open()
    found, _ = await look(
        at.platform, at.project.name, name, now(), gone=gone, options=at.chosen.options
    )
    return found


@asynccontextmanager
async def alone(
    at: Hand, found: Found, what: str, question: str
) -> AsyncIterator[tuple[Found, Job]]:
    """After a yes, under the lease, and with what lives still as it was when it was asked about."""
    from modelctl.apply import By, Gate, Stop
    from modelctl.apply.job import Job, Memory
    from modelctl.byhand.looking import look
    from modelctl.cli import changing, who
    from modelctl.health import proxy_headers
    from modelctl.platform.types import Stale
    from modelctl.stock import Stock

    name, project = found.app.name, at.project.name
    changing.confirm(
        question,
        at.platform.where,
        yes=at.asked.yes,
        named=at.asked.confirm,
        said=changing.declared(at.chosen, at.project),
        env=at.chosen.env or at.platform.environment,
    )
    async with changing.alone(at.platform, at.project, what, at.asked.wait) as lease:
        gone = found.app.state == "stopped"
        again, seen = await look(at.platform, project, name, who.now(), gone=gone)
        if (again.app, again.entry, again.scaling) != (found.app, found.entry, found.scaling):
            raise Stale(
                f"{name} has changed since it was looked at: nothing was changed",
                f"run modelctl {what} again",
            )
        memory = Memory(at.platform, project, lease.check, seen.index, dict(seen.records))
        yield (
            again,
            Job(
                at.platform,
                seen,
                Gate(proxy_headers(*at.token) if at.token else None),
                _tell,
                Stock(),
                memory,
                By(who.who(), who.commit(at.project.root), who.now),
                lease.check,
                Stop(),
            ),
        )


def _tell(step: Step) -> None:
    detail = f": {step.detail}" if step.detail else ""
    aside(f"    {step.name}  {step.phase}{detail}")


def ended(done: Done, at: Hand, words: str, *, following: str = "") -> Exit:
    """Say what serves, what is held, and what comes next; or why it does not serve."""
    from modelctl.plan.holding import words as held
    from modelctl.views.human.words import printable, wrapped
    from modelctl.views.paint import for_stream

    paint, width = for_stream()
    name, version, seeing = done.app.name, named(done), done.seeing
    if seeing.failure is None:
        lines = [f"{paint('✔', 'green')} {name}  {version} {words}"]
    else:
        lines = [f"{paint('✘', 'red')} {name}  {version} does not serve"]
        lines += wrapped(printable(f"{seeing.failure}: {seeing.why}"), width)
        lines += ["  last lines of its log:"] if seeing.lines else []
        for line in seeing.lines:
            lines += textwrap.wrap(
                printable(line), width, initial_indent="    ", subsequent_indent="      "
            )
    if seeing.note:
        lines += wrapped(seeing.note, width)
    if done.entry.hold is not None:
        lines += wrapped(printable(held(done.entry.hold)), width)
    if seeing.failure is not None:
        following = f"modelctl history {name}"
    if following:
        lines += wrapped(f"next: {following}{at.options}", width)
    say("\n".join(lines))
    return Exit.DONE if seeing.failure is None else Exit.PERSON_NEEDED


def named(done: Done) -> str:
    """`v9 (is v6)`."""
    again = done.entry.again if done.entry.version == done.app.version else None
    return f"v{done.app.version}" + (f" (is v{again})" if again else "")
