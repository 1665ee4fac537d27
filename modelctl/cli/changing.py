"""What must be so before a command changes anything? A yes, and the lease."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import click

from modelctl.platform.types import Platform

if TYPE_CHECKING:
    from modelctl.cli.options import Selection
    from modelctl.lease import Lease
    from modelctl.spec.project_models import Environment
    from modelctl.spec.wanted import ProjectFile


def declared(chosen: Selection, project: ProjectFile) -> Environment | None:
    """What modelctl.yaml says of the environment that is meant; of the local one, nothing."""
    return None if chosen.local else _named(chosen, project)


def waves(chosen: Selection, project: ProjectFile) -> Sequence[str]:
    """The selectors of the environment's waves, first one first; on the local plane the same."""
    said = _named(chosen, project)
    return (said.waves or ()) if said else ()


def _named(chosen: Selection, project: ProjectFile) -> Environment | None:
    return (project.project.environments or {}).get(chosen.env or "")


@asynccontextmanager
async def alone(
    platform: Platform, project: ProjectFile, what: str, wait: float = 0.0
) -> AsyncIterator[Lease]:
    """Nobody else changes this project's apps meanwhile: asked before each change, and, where the
    SDK allows it, before each call that changes something is sent."""
    from modelctl.cli.who import who
    from modelctl.lease import Lease, seconds_of

    ttl = seconds_of(os.environ)
    lease = Lease(platform, project.name, where=platform.where, owner=who(), what=what, ttl=ttl)
    async with lease.held(wait):
        platform.guard(lease)
        try:
            yield lease
        finally:
            platform.guard(None)


def confirm(
    question: str, where: str, *, yes: bool, named: str | None, said: Environment | None, env: str
) -> None:
    """Ask whether to go on. Where the environment says `confirm`, its name has to be said."""
    careful = said is not None and bool(said.confirm)
    if yes and (not careful or named == env):
        return
    if careful and yes:
        raise click.UsageError(f"modelctl.yaml says confirm for {env}: say --confirm {env} too")
    if not sys.stdin.isatty():
        both = f" --confirm {env}" if careful else ""
        raise click.UsageError(f"there is no terminal to ask on: say --yes{both}")
    if careful:
        typed = click.prompt(f"\n{question} {where}? Type {env}", default="", err=True)
        if typed != env:
            raise click.Abort
    elif not click.confirm(f"\n{question} {where}?", default=False, err=True):
        raise click.Abort
