"""How long is one phase of a command? The command itself, with a clock around that phase.

    python -m benchmarks.timed apply FILE apply --local --yes
    python -m benchmarks.timed observe FILE plan --local

The seconds go to FILE: of `apply` from the first upload or deploy to the last outcome and its
record; of `observe` what it takes to know what lives and what is remembered.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import Any

from modelctl.cli import run

PHASES = {"apply": ("modelctl.apply", "apply"), "observe": ("modelctl.cli.seeing", "see")}


def main() -> int:
    phase, file, *arguments = sys.argv[1:]
    room, name = PHASES[phase]
    module: Any = importlib.import_module(room)
    carry_out = getattr(module, name)
    took: list[float] = []

    async def timed(*args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return await carry_out(*args, **options)
        finally:
            took.append(time.perf_counter() - began)

    setattr(module, name, timed)
    code = run(arguments)
    Path(file).write_text(str(sum(took)), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
