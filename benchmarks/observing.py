"""How long does a plan look at a thousand apps of which one changed, and with how many calls?"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.deploying import apply
from benchmarks.planes import Target, fresh_plane
from benchmarks.processes import MODELCTL, cost
from benchmarks.project import fleet
from benchmarks.result import CannotMeasure, Figure, Row, at_most

NAME = "observe"
APPS = 1000
LATENCIES = {0.0: 2.0, 0.05: 4.0}
"""Seconds that each call takes more → the most that the look may take."""


def measure(folder: Path, runs: int) -> Sequence[Row]:
    project = fleet(folder / "fleet", APPS)
    rows: list[Row] = []
    with fresh_plane(folder / "plane") as target:
        apply(project, target, folder)
        changed = sorted((project / "specs").glob("*.yaml"))[APPS // 2]
        changed.write_text(changed.read_text().replace("context: 4096", "context: 2048"))
        for latency, most in LATENCIES.items():
            _slow(project, target, latency)
            before = target.last_call()
            seconds = [_look(project, target, folder) for _ in range(runs)]
            calls = target.calls_since(before).total() / runs
            looked = Figure(tuple(seconds), "s")
            words = f"look at {APPS:,} apps, {latency * 1000:.0f} ms a call"
            rows += [
                Row(words, looked, goals=(at_most(looked, most),)),
                Row("  calls", Figure((calls,), "")),
            ]
    return rows


def _slow(project: Path, target: Target, seconds: float) -> None:
    cost([MODELCTL, "local", "fault", "clear"], cwd=project, env=target.env)
    if seconds:
        late = ["latency", "--method", "*", "--seconds", str(seconds)]
        cost([MODELCTL, "local", "fault", "add", *late], cwd=project, env=target.env)


def _look(project: Path, target: Target, state: Path) -> float:
    file = state / "phase"
    file.write_text("0")
    command = [sys.executable, "-m", "benchmarks.timed", "observe", str(file), "plan", "--local"]
    env = {**target.env, "PYTHONPATH": str(Path(__file__).parents[1])}
    cost(command, cwd=project, env=env)
    seconds = float(file.read_text())
    if not seconds:
        raise CannotMeasure("nothing was looked at")
    return seconds
