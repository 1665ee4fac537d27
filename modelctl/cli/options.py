"""Which options do several commands share? WHAT, --env, --local, -l, --output."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any, TypeVar

import click
from msgspec import Struct

_F = TypeVar("_F", bound=Callable[..., Any])


class Selection(Struct, frozen=True):
    """Which specs, in which environment, and against which control plane.

    `what` holds paths and names as typed; empty means all of `specs/`.
    """

    what: tuple[str, ...] = ()
    env: str | None = None
    local: bool = False
    labels: tuple[str, ...] = ()

    @property
    def overlays(self) -> tuple[str, ...]:
        return (*((self.env,) if self.env else ()), *(("local",) if self.local else ()))

    @property
    def options(self) -> str:
        """What says where, to be typed again: `--env prod --local`."""
        env = ("--env", self.env) if self.env else ()
        return shlex.join((*env, *(("--local",) if self.local else ())))

    @property
    def everything(self) -> bool:
        return not self.what and not self.labels


def selection(function: _F) -> _F:
    """WHAT, --env, --local and -l, as for every command that works on specs."""
    for decorate in (
        click.argument("what", nargs=-1),
        click.option("--env", metavar="NAME", help="The environment of the project."),
        click.option(
            "--local", is_flag=True, help="Use the local control plane and overlay `local`."
        ),
        click.option(
            "-l", "labels", multiple=True, metavar="KEY=VALUE", help="Only specs with this label."
        ),
    ):
        function = decorate(function)
    return function


def output(*formats: str) -> Callable[[_F], _F]:
    return click.option(
        "--output",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How the result is written.",
    )


allow_unlocked_option = click.option(
    "--allow-unlocked",
    is_flag=True,
    help="Deploy models of the Hub and of buckets that nothing pins.",
)

confirm_option = click.option(
    "--confirm",
    metavar="ENV",
    help="Beside --yes, for an environment that says confirm: its name.",
)

override_hold_option = click.option(
    "--override-hold", is_flag=True, help="Take back what a person keeps as it is."
)


LONGEST = 10 * 366 * 86_400
"""Seconds: further back or ahead nothing here knows anything."""


class Duration(click.ParamType[float]):
    """`90s`, `20m`, `1h`, or a number of seconds; in seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from modelctl.spec.values import seconds

        if isinstance(value, int | float):
            return float(value)
        text = str(value)
        found = float(text) if text.isdecimal() else seconds(text)
        if found is None:
            self.fail(f"{text} is no duration: 90s, 20m, 1h", param, ctx)
        if found > LONGEST:
            self.fail(f"{text} is longer than ten years", param, ctx)
        return float(found)


wait_option = click.option(
    "--wait",
    type=Duration(),
    default=0.0,
    metavar="DURATION",
    help="How long to wait while somebody else changes this environment.",
)

policy_option = click.option(
    "--policy",
    type=click.Path(exists=True, dir_okay=False),
    help="A file that says what may not be gone past either.",
)

prices_option = click.option(
    "--prices",
    type=click.Choice(("list", "workspace")),
    default="list",
    show_default=True,
    help="Modal's list prices, or what it answers of the workspace's own.",
)

templates_option = click.option(
    "--templates",
    type=click.Path(exists=True, file_okay=False),
    help="Another folder of templates.",
)
