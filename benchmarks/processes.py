"""What does a whole process cost? Its seconds, from start to exit, and its largest memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.result import CannotMeasure

_BIN = Path(sys.executable).parent  # the commands of the same virtual environment
MODELCTL = str(_BIN / "modelctl")
MODAL = str(_BIN / "modal")


@dataclass(frozen=True)
class Cost:
    """`seconds` on the wall, `cpu` seconds of the process and its children, `peak` MiB."""

    seconds: float
    cpu: float
    peak: float


def environment(variables: Mapping[str, str], folder: Path) -> dict[str, str]:
    """This process's environment without anybody's account, and with `variables`.

    Modules are kept compiled, as an installation has them: the warm-up compiles what changed.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MODAL_", "MODELCTL_")) and name != "PYTHONDONTWRITEBYTECODE"
    }
    nobody = {"MODAL_CONFIG_PATH": str(folder / "no-modal.toml"), "NO_COLOR": "1"}
    return {**kept, **nobody, **variables}


def cost(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Cost:
    """Run a command to its end. Raises CannotMeasure, with its last words, where it fails."""
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            said.seek(0)
            words = said.read().decode(errors="replace")[-2000:]
            raise CannotMeasure(
                f"{' '.join(command)} ended with exit code {process.returncode}:\n{words}"
            )
    per_mib = 2**20 if sys.platform == "darwin" else 2**10
    return Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / per_mib)


def taken_in_turn(runs: int, *commands: Callable[[], Cost]) -> list[list[Cost]]:
    """Each command `runs` times, A B A B, after one warm-up: what disturbs one disturbs all."""
    for command in commands:
        command()
    rounds = [[command() for command in commands] for _ in range(runs)]
    return [[one[side] for one in rounds] for side in range(len(commands))]
