"""How long do whole commands take beside those that people use today, in one run?

The others are installed by nobody but who asks for this: into an environment of their own, once.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from benchmarks.processes import MODAL, MODELCTL, Cost, cost, environment, taken_in_turn
from benchmarks.project import varied
from benchmarks.result import CannotMeasure, Goal, Row, at_most, milliseconds, paired

NAME = "beside"
PINNED = ("check-jsonschema==0.39.0", "dstack==0.22.5")
PLACE = Path(__file__).parent.parent / ".venv-beside"
HELP_MS, VALIDATE_MS = 100, 450
SPECS = 100


def measure(folder: Path, runs: int) -> Sequence[Row]:
    """`--help` of each, and 100 specs validated: by modelctl against everything it knows, by
    check-jsonschema against the schema alone. modal and dstack have no such command."""
    bin_ = _installed()
    env = environment({}, folder)
    project = varied(folder / "specs-of-a-team", SPECS)
    schema = folder / "modelctl.schema.json"
    text = subprocess.run(
        [MODELCTL, "schema"], cwd=folder, env=env, check=True, capture_output=True
    )
    schema.write_bytes(text.stdout)
    specs = sorted(str(file) for file in (project / "specs").glob("*.yaml"))
    checker = str(bin_ / "check-jsonschema")

    def run(*command: str) -> Callable[[], Cost]:
        return partial(cost, command, cwd=project, env=env)

    return [
        *_rows(
            "--help",
            run(MODELCTL, "--help"),
            {
                "modal": run(MODAL, "--help"),
                "dstack": run(str(bin_ / "dstack"), "--help"),
                "check-jsonschema": run(checker, "--help"),
            },
            HELP_MS,
            runs,
        ),
        *_rows(
            f"validate, {SPECS} specs",
            run(MODELCTL, "validate"),
            {"check-jsonschema": run(checker, "--schemafile", str(schema), *specs)},
            VALIDATE_MS,
            runs,
        ),
    ]


def _rows(
    what: str, ours: Callable[[], Cost], others: dict[str, Callable[[], Cost]], most: int, runs: int
) -> list[Row]:
    """A row for each peer, all taken in turn; the goal stands at the first."""
    taken = taken_in_turn(runs, ours, *others.values())
    mine = [c.seconds for c in taken[0]]
    figure = milliseconds(mine)
    goals: tuple[Goal, ...] = (at_most(figure, most),)
    rows = []
    for name, costs in zip(others, taken[1:], strict=True):
        theirs = [c.seconds for c in costs]
        said = f"{what}, beside {name}"
        rows.append(Row(said, figure, milliseconds(theirs), paired(mine, theirs), goals))
        goals = ()
    return rows


def _installed() -> Path:
    """The commands of the others, in an environment that is made where it is not there."""
    mark = PLACE / "pinned.txt"
    said = "\n".join(PINNED)
    if not mark.exists() or mark.read_text(encoding="utf-8") != said:
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(PLACE)],
            [str(PLACE / "bin" / "python"), "-m", "pip", "install", "--quiet", *PINNED],
        ):
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                raise CannotMeasure(f"{' '.join(PINNED)} cannot be installed: {done.stderr[-500:]}")
        mark.write_text(said, encoding="utf-8")
    return PLACE / "bin"
