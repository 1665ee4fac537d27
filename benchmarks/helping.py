"""How long does `--help` take, beside Modal's own?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import MODAL, MODELCTL, cost, environment, taken_in_turn
from benchmarks.result import Row, at_most, milliseconds, paired, times_faster

NAME = "help"
MOST_MS = 100
LEAST_RATIO = 5


def measure(folder: Path, runs: int) -> Sequence[Row]:
    env = environment({}, folder)
    ours, theirs = taken_in_turn(
        runs,
        lambda: cost([MODELCTL, "--help"], cwd=folder, env=env),
        lambda: cost([MODAL, "--help"], cwd=folder, env=env),
    )
    our_seconds, their_seconds = [c.seconds for c in ours], [c.seconds for c in theirs]
    figure, ratio = milliseconds(our_seconds), paired(our_seconds, their_seconds)
    goals = (at_most(figure, MOST_MS), times_faster(ratio, LEAST_RATIO))
    return (
        Row("--help", figure, milliseconds(their_seconds), ratio, goals),
        Row(
            "  of it on a processor",
            milliseconds([c.cpu for c in ours]),
            milliseconds([c.cpu for c in theirs]),
            paired([c.cpu for c in ours], [c.cpu for c in theirs]),
        ),
    )
