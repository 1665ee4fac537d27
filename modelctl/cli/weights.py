"""modelctl weights: what lies in the weights' Volume, who needs it, and what can go?"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from modelctl.cli.exits import Exit
from modelctl.cli.failures import say_error
from modelctl.cli.options import Selection, output

if TYPE_CHECKING:
    from modelctl.platform.types import Platform
    from modelctl.surplus import Shelf

_F = TypeVar("_F", bound=Callable[..., Any])
VOLUME = "modelctl-weights"
RECORDS = "modelctl"


def _where(function: _F) -> _F:
    for decorate in (
        click.option("--env", metavar="NAME", help="The environment of the project."),
        click.option("--local", is_flag=True, help="Use the local control plane."),
    ):
        function = decorate(function)
    return function


@click.group("weights")
def command() -> None:
    """Show or tidy the Volume that models are fetched into."""


@command.command("ls")
@_where
@output("human", "json")
def ls(env: str | None, local: bool, output: str) -> int:
    """Show what lies there, whether it is complete, and who needs it."""
    platform, named, _ = _opened(env, local)
    shelves, _ = asyncio.run(_look(platform, named))
    if output == "json":
        from modelctl.views import machine

        click.echo(machine.weights(shelves))
        return Exit.DONE
    from modelctl.cli.said import say
    from modelctl.views.human import stored
    from modelctl.views.paint import for_stream

    paint, width = for_stream()
    say(stored.listing(shelves, platform.where, paint=paint, width=width))
    return Exit.DONE


@command.command("gc")
@_where
@click.option("--older-than", metavar="DURATION", default="24h", show_default=True,
              help="Only what did not change for so long.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def gc(env: str | None, local: bool, older_than: str, dry_run: bool, yes: bool) -> int:
    """Remove what no live app reads, no roll-back could bring back, and no spec or lock names.

    The Volume belongs to all projects of an environment, and the records of all of them are read.
    """
    age = _age(older_than)
    platform, named, unsure = _opened(env, local)
    if unsure:
        which = f"{', '.join(unsure)} {'has' if len(unsure) == 1 else 'have'} errors"
        say_error(f"{which}, so which weights are needed is not known", "modelctl validate")
        return Exit.REJECTED
    return asyncio.run(_gc(platform, named, age, dry_run=dry_run, yes=yes))


async def _gc(
    platform: Platform, named: frozenset[str], age: timedelta, *, dry_run: bool, yes: bool
) -> int:
    from modelctl.cli.said import say
    from modelctl.views.human import stored
    from modelctl.views.paint import for_stream

    shelves, unknown = await _look(platform, named)
    if unknown:
        say_error(
            f"nobody knows what {', '.join(unknown)} reads",
            "apply it once with this version of modelctl, or destroy it",
        )
        return Exit.REJECTED
    surplus = _surplus(shelves, age)
    if not surplus:
        say("Nothing to remove.")
        return Exit.DONE
    paint, width = for_stream()
    say(stored.listing(surplus, platform.where, paint=paint, width=width))
    if dry_run:
        return Exit.DONE
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to ask on: say --yes")
        if not click.confirm("Remove?", default=False, err=True):
            raise click.Abort
    # While somebody was thinking, somebody else may have deployed.
    again, unknown = await _look(platform, named)
    still = {shelf.weights.prefix for shelf in _surplus(again, age)} if not unknown else set()
    for shelf in surplus:
        if shelf.weights.prefix in still:
            await platform.remove(VOLUME, shelf.weights.prefix)
            say(f"✔ {shelf.weights.prefix}  removed")
        else:
            say(f"  {shelf.weights.prefix}  kept: it came into use")
    return Exit.DONE


def _surplus(shelves: Sequence[Shelf], age: timedelta) -> list[Shelf]:
    now = datetime.now(UTC)
    return [shelf for shelf in shelves if shelf.is_surplus(now, age)]


async def _look(platform: Platform, named: frozenset[str]) -> tuple[tuple[Shelf, ...], list[str]]:
    """What is there with who needs it, and the apps of modelctl's of which nobody knows that."""
    from modelctl.record import INDEX, decode_index
    from modelctl.rendered import TAG_DIGEST
    from modelctl.surplus import shelves, unaccounted

    await platform.open()
    volumes = await platform.volumes(RECORDS)
    weights, live, contents = await asyncio.gather(
        platform.stored(VOLUME),
        platform.observe(),
        asyncio.gather(*(platform.read(volume, INDEX) for volume in volumes)),
    )
    indexes = [index for content in contents if (index := decode_index(content)) is not None]
    doubtful = [live.apps[name] for name in unaccounted(live, indexes)]
    details = await asyncio.gather(*(platform.details(app) for app in doubtful))
    unknown = [app.name for app, d in zip(doubtful, details, strict=True) if TAG_DIGEST in d.tags]
    return shelves(weights, live, indexes, named), unknown


def _opened(env: str | None, local: bool) -> tuple[Platform, frozenset[str], list[str]]:
    """The platform, the commits and digests that specs and lock name, and the files in doubt."""
    from modelctl.cli.pipeline import check_all, declared_environment, project_here
    from modelctl.cli.world import platform_for
    from modelctl.weights.lock import read

    project = project_here()
    chosen = declared_environment(Selection((), env, local, ()), project)
    lock = read(project.root)
    named = {locked.commit for locked in lock.sources.values()} if lock else set()
    # Every environment's: what is of no use here may be fetched again by tomorrow's promotion.
    checked = check_all(Selection(), project, hashed=True)
    for _, assessed in checked.specs:
        named |= {prefix.strip("/").rpartition("/")[2] for prefix in assessed.resolved.stored}
    wrong = {
        d.place.file if d.place else "modelctl.yaml" for d in checked.diagnostics if d.is_error
    }
    return platform_for(chosen, project), frozenset(named), sorted(wrong)


def _age(text: str) -> timedelta:
    from modelctl.spec.values import seconds

    if (found := seconds(text)) is None:
        raise click.UsageError(f"--older-than {text} is no duration: 90m, 12h, 36h")
    return timedelta(seconds=found)
