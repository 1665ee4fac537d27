"""How long does it take to deploy fifty new apps, beside fifty runs of `modal deploy`?

Both sides deploy the same rendered text to a control plane on this machine that is empty, at zero
containers and with no gate: what is measured is the deploying and not the booting.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.planes import Target, deployed, fresh_plane
from benchmarks.processes import MODAL, MODELCTL, Cost, cost, environment
from benchmarks.project import fleet
from benchmarks.result import CannotMeasure, Figure, Row, at_most, times_faster

NAME = "deploy"
APPS = 50
LEAST_RATIO = 20
MOST_MIB = 300
MOST_RUNS = 3  # of ours; theirs takes a minute and more, and is run once, between them


@dataclass(frozen=True)
class Deploy:
    """One side's deploy of the fleet.

    Seconds; `phase` is what of them was deploying, `cpu` what was spent on a processor. MiB.
    """

    seconds: float
    phase: float
    cpu: float
    peak: float
    calls: float


def measure(folder: Path, runs: int) -> Sequence[Row]:
    project = fleet(folder / "fleet", APPS)
    apps = folder / "fleet" / "apps"
    cost([MODELCTL, "render", "-o", str(apps)], cwd=project, env=environment({}, folder))
    files = sorted(apps.glob("*.py"))
    times = min(runs, MOST_RUNS)
    ours = [_ours(project, folder / "ours-0")]
    theirs = _theirs(files, project, folder / "theirs")
    ours += [_ours(project, folder / f"ours-{number}") for number in range(1, times)]
    return _rows(ours, theirs)


def _ours(project: Path, state: Path) -> Deploy:
    with fresh_plane(state) as target:
        before = target.last_call()
        whole, phase = apply(project, target, state)
        calls = target.calls_since(before)
    return _checked(
        Deploy(whole.seconds, phase, whole.cpu, whole.peak, calls.total() / APPS), calls
    )


def _theirs(files: Sequence[Path], project: Path, state: Path) -> Deploy:
    with fresh_plane(state) as target:
        before = target.last_call()
        each = [cost([MODAL, "deploy", str(f)], cwd=project, env=target.env) for f in files]
        calls = target.calls_since(before)
    seconds = sum(c.seconds for c in each)
    cpu, peak = sum(c.cpu for c in each), max(c.peak for c in each)
    return _checked(Deploy(seconds, seconds, cpu, peak, calls.total() / APPS), calls)


def apply(project: Path, target: Target, state: Path) -> tuple[Cost, float]:
    """Run `modelctl apply`: what the process cost, and the seconds of its deploy phase."""
    file = state / "phase"
    file.write_text("0")
    command = [sys.executable, "-m", "benchmarks.timed", "apply", str(file)]
    env = {**target.env, "PYTHONPATH": str(Path(__file__).parents[1])}
    whole = cost([*command, "apply", "--local", "--yes"], cwd=project, env=env)
    return whole, float(file.read_text())


def _checked(deploy: Deploy, calls: Counter[str]) -> Deploy:
    if (made := deployed(calls)) != APPS:
        raise CannotMeasure(f"{made} apps were deployed instead of {APPS}")
    return deploy


def _rows(ours: Sequence[Deploy], theirs: Deploy) -> tuple[Row, ...]:
    phase = Figure(tuple(d.phase for d in ours), "s")
    whole = Figure(tuple(d.seconds for d in ours), "s")
    seconds = Figure((theirs.seconds,), "s")
    cpu = Figure(tuple(d.cpu for d in ours), "s")
    peak = Figure(tuple(d.peak for d in ours), "MiB")
    ratio = theirs.phase / phase.median
    return (
        Row(f"deploy {APPS} apps", phase, seconds, ratio, (times_faster(ratio, LEAST_RATIO),)),
        Row("  whole processes", whole, seconds, theirs.seconds / whole.median),
        Row("  of it on a processor", cpu, Figure((theirs.cpu,), "s"), theirs.cpu / cpu.median),
        Row("  peak memory", peak, Figure((theirs.peak,), "MiB"), goals=(at_most(peak, MOST_MIB),)),
        Row("  calls an app", Figure(tuple(d.calls for d in ours), ""),
            Figure((theirs.calls,), "")),
    )  # fmt: skip
