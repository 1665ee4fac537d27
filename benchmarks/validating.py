"""How long does `modelctl validate` take: one spec, a hundred, and a thousand with a lock?"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.locked import locked
from benchmarks.processes import MODELCTL, cost, environment, taken_in_turn
from benchmarks.project import varied
from benchmarks.result import Row, at_most, milliseconds

NAME = "validate"
MOST_MS = {1: 300, 100: 450}
MOST_MS_LOCKED = {100: 450, 1000: 3000}


def measure(folder: Path, runs: int) -> Sequence[Row]:
    env = environment({}, folder)
    asked = [
        *(("validate, {}", varied, count, most) for count, most in MOST_MS.items()),
        # Every model is another one, so nothing that is known of one helps the next.
        *(("validate, {} with a lock", locked, c, most) for c, most in MOST_MS_LOCKED.items()),
    ]
    projects = [make(folder / f"{make.__name__}-{count}", count) for _, make, count, _ in asked]
    taken = taken_in_turn(
        runs, *(partial(cost, [MODELCTL, "validate"], cwd=one, env=env) for one in projects)
    )
    rows = []
    for (words, _, count, most), costs in zip(asked, taken, strict=True):
        figure = milliseconds([c.seconds for c in costs])
        specs = f"{count:,} spec{'s' if count > 1 else ''}"
        rows += [
            Row(words.format(specs), figure, goals=(at_most(figure, most),)),
            Row("  of it on a processor", milliseconds([c.cpu for c in costs])),
        ]
    return rows
