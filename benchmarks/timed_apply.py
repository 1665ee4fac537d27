"""How long is the deploy phase of `modelctl apply`? The command itself, with a clock around it.

    python -m benchmarks.timed_apply FILE apply --local --yes

The seconds from the first upload or deploy to the last outcome and its record go to FILE.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from modelctl.cli import run


def main() -> int:
    import modelctl.apply as phase

    file, *arguments = sys.argv[1:]
    carry_out = phase.apply
    took: list[float] = []

    async def timed(*args: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return await carry_out(*args, **options)
        finally:
            took.append(time.perf_counter() - began)

    phase.apply = timed
    code = run(arguments)
    Path(file).write_text(str(sum(took)), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
