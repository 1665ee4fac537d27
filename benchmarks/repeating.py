"""What does a second apply of fifty apps cost, when there is nothing to do?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.deploying import APPS, apply
from benchmarks.planes import deployed, fresh_plane
from benchmarks.processes import Cost
from benchmarks.project import fleet
from benchmarks.result import Figure, Goal, Row, milliseconds

NAME = "noop"


def measure(folder: Path, runs: int) -> Sequence[Row]:
    project = fleet(folder / "fleet", APPS)
    costs: list[Cost] = []
    calls: list[float] = []
    deploys = 0
    with fresh_plane(folder / "plane") as target:
        apply(project, target, folder)
        for _ in range(runs):
            before = target.last_call()
            costs.append(apply(project, target, folder)[0])
            counted = target.calls_since(before)
            calls.append(float(counted.total()))
            deploys += deployed(counted)
    return (
        Row(f"apply {APPS} apps again", milliseconds([c.seconds for c in costs])),
        Row("  of it on a processor", milliseconds([c.cpu for c in costs])),
        Row("  calls", Figure(tuple(calls), ""), goals=(Goal("0 deploys", deploys == 0),)),
    )
