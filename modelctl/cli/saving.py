"""How is a plan written to a file, and read from it again?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from modelctl.cli.pipeline import Prepared
    from modelctl.cli.rules import Rules
    from modelctl.plan import Plan, Seen
    from modelctl.saved import Chosen, Saved


def read_plan(file: str, rules: Rules) -> Saved:
    """The plan of a file; it says itself which specs it is of, where, and what may be done."""
    from modelctl.saved import NotAPlan, decode

    chosen = rules.selection
    if not chosen.everything or chosen.env or chosen.local:
        raise click.UsageError(
            "--plan says which specs and where: leave WHAT, -l, --env and --local out"
        )
    try:
        saved = decode(Path(file).read_bytes())
    except NotAPlan as problem:
        raise click.UsageError(f"{file} is not a saved plan: {problem}") from problem
    if more := rules.beyond(saved.chosen):
        words = ", ".join(more)
        raise click.UsageError(f"{file} was saved without {words}: say that to plan -o, or nowhere")
    return saved


def write_plan(file: str, result: Plan, seen: Seen, ready: Prepared, chosen: Chosen) -> None:
    from modelctl.cli.putting import put
    from modelctl.cli.who import now, who
    from modelctl.saved import encode, save

    saved = save(
        result,
        seen,
        ready.desired,
        chosen,
        project=ready.project.name,
        now=now(),
        who=who(),
    )
    put(Path(file), encode(saved).encode())
