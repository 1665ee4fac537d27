"""How does a person see that something is happening? Live lines on a terminal, plain ones in CI."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from modelctl.cli.said import aside, harmless
from modelctl.plan import Action, Plan
from modelctl.views.human import ended
from modelctl.views.paint import for_stream

if TYPE_CHECKING:
    from modelctl.apply import Step, Tell


EVERY_SECONDS = 30.0


@contextmanager
def progress(plan: Plan) -> Iterator[Tell]:
    """Yields what takes the steps of an apply. Everything goes to standard error."""
    if sys.stderr.isatty():
        with _live(plan) as tell:
            yield tell
    else:
        yield _plain(_column(plan))


def _column(plan: Plan) -> int:
    """As wide as the names of what is not left as it is."""
    names = (len(c.name) for c in plan.changes if c.action is not Action.UNCHANGED)
    return min(40, max(names, default=0))


def _plain(column: int) -> Tell:
    """One line when something begins, one when it ends, and a few while it takes long."""
    paint, _ = for_stream(err=True)
    phases: dict[str, tuple[str, float]] = {}

    def tell(step: Step) -> None:
        if step.outcome is not None:
            aside(ended.outcome_line(step.outcome, paint=paint, column=column))
            return
        if not step.name:
            aside(f"{step.phase} {step.detail}")
            return
        phase, at = phases.get(step.name, ("", 0.0))
        now = time.monotonic()
        if step.phase == phase and now - at < EVERY_SECONDS:
            return
        phases[step.name] = step.phase, now
        detail = f": {step.detail}" if step.detail else ""
        aside(f"    {step.name:<{column}}  {step.phase}{detail}")

    return tell


@contextmanager
def _live(plan: Plan) -> Iterator[Tell]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

    paint, _ = for_stream(err=True)
    console = Console(stderr=True)
    tasks: dict[str, TaskID] = {}
    column = _column(plan)
    with Progress(
        TextColumn(" "),
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bar:

        def tell(step: Step) -> None:
            if step.outcome is not None:
                if step.name in tasks:
                    bar.remove_task(tasks.pop(step.name))
                from rich.text import Text

                line = ended.outcome_line(
                    step.outcome, paint=paint, column=column, width=console.width
                )
                bar.console.print(Text.from_ansi(harmless(line, colours=True)))
                return
            if not step.name:
                bar.console.print(f"  {step.phase} {step.detail}", markup=False, highlight=False)
                return
            words = f"{step.name:<{column}}  {step.phase:<10} {step.detail}"
            words = words[: max(20, console.width - len("    0:00:00  "))]  # the time is never cut
            if step.name in tasks:
                bar.update(tasks[step.name], description=words)
            else:
                tasks[step.name] = bar.add_task(words, total=None)

        yield tell
