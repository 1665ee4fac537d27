"""How long does `modelctl validate` take, for one spec and for a hundred?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.processes import MODELCTL, cost, environment, taken_in_turn
from benchmarks.project import varied
from benchmarks.result import Row, at_most, milliseconds

NAME = "validate"
MOST_MS = {1: 300, 100: 450}


def measure(folder: Path, runs: int) -> Sequence[Row]:
    env = environment({}, folder)
    projects = [varied(folder / f"specs-{count}", count) for count in MOST_MS]
    taken = taken_in_turn(
        runs, *(partial(cost, [MODELCTL, "validate"], cwd=one, env=env) for one in projects)
    )
    rows = []
    for (count, most), costs in zip(MOST_MS.items(), taken, strict=True):
        figure = milliseconds([c.seconds for c in costs])
        words = f"validate, {count} spec{'s' if count > 1 else ''}"
        rows += [
            Row(words, figure, goals=(at_most(figure, most),)),
            Row("  of it on a processor", milliseconds([c.cpu for c in costs])),
        ]
    return rows
