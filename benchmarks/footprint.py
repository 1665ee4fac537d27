"""What does the local control plane cost a machine: to start, to hold a thousand apps, to wake one?

All in the quiet: at zero containers, except for the one whose cold start is timed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from benchmarks.planes import fresh_plane
from benchmarks.result import CannotMeasure, Figure, Row, at_most, milliseconds
from modelctl.local import lifecycle

NAME = "footprint"
APPS = 1000
SOME = 50
MOST_START_MS = 1000
MOST_COLD_MS = 500
MOST_MIB = 200
MOST_OBSERVE_S = 2.0
_POLL = 0.02
_PATIENCE = 30.0


def measure(folder: Path, runs: int) -> Sequence[Row]:
    starts = milliseconds([_start(folder / f"empty-{number}") for number in range(runs)])
    with fresh_plane(folder / "some") as target:
        alone = _memory(target.plane.pid)
        some = _many(SOME, 1, target.env)
        cold = milliseconds([_cold_start(target.env, number) for number in range(runs)])
    with fresh_plane(folder / "many") as target:
        many = _many(APPS, runs, target.env)
        full = _memory(target.plane.pid)
        lifecycle.down(target.plane.state_dir)
        restarts = milliseconds([_start(target.plane.state_dir) for _ in range(runs)])
    observe = Figure(tuple(many["observe"]), "s")
    return (
        Row("plane, start to first answer", starts, goals=(at_most(starts, MOST_START_MS),)),
        Row(f"  with {APPS} apps in it", restarts),
        Row("cold start of a trivial server", cold, goals=(at_most(cold, MOST_COLD_MS),)),
        Row(f"deploy {SOME} apps at once", Figure(tuple(some["deploy"]), "s")),
        Row(f"deploy {APPS} apps", Figure(tuple(many["deploy"]), "s")),
        Row(f"observe {APPS} apps", observe, goals=(at_most(observe, MOST_OBSERVE_S),)),
        Row("memory of an empty plane", Figure((alone,), "MiB")),
        Row(f"  with {APPS} apps", Figure((full,), "MiB"),
            goals=(at_most(Figure((full,), "MiB"), MOST_MIB),)),
    )  # fmt: skip


def _start(state: Path) -> float:
    began = time.perf_counter()
    lifecycle.up(state)
    took = time.perf_counter() - began
    lifecycle.down(state)
    return took


def _many(count: int, runs: int, env: dict[str, str]) -> dict[str, list[float]]:
    command = [sys.executable, "-m", "benchmarks.many_apps", str(count), str(runs)]
    done = subprocess.run(
        command,
        env={**env, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise CannotMeasure(f"{count} apps could not be deployed:\n{done.stderr[-2000:]}")
    found: dict[str, list[float]] = json.loads(done.stdout)
    return found


def _cold_start(env: dict[str, str], number: int) -> float:
    """Seconds from the first request to a server at zero to its answer."""
    code = f"import modal; print(modal.Server.from_name('many-{number:04}', 'Server').get_url())"
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    url = done.stdout.strip()
    began = time.perf_counter()
    while time.perf_counter() - began < _PATIENCE:
        try:
            with urllib.request.urlopen(url):
                return time.perf_counter() - began
        except urllib.error.HTTPError:
            time.sleep(_POLL)
    raise CannotMeasure(f"{url} did not answer")


def _memory(pid: int) -> float:
    """MiB that the process holds."""
    listed = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(listed.stdout) / 2**10
