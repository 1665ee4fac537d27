"""Runs cases by their names, one a line, and cleans up at the end of its input, whatever happens.

A process of its own, since the SDK knows one workspace a process.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback

from tests.platform.cases import CASES
from tests.platform.scratch import opened


async def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**answer: object) -> None:
        print(json.dumps(answer), file=channel, flush=True)

    try:
        scratch, clean = await opened()
    except Exception:
        say(error=traceback.format_exc())
        return
    try:
        say(error="", environment=scratch.platform.environment)
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            try:
                await CASES[line](scratch)
                say(error="", answers=scratch.answers)
            except Exception:
                say(error=traceback.format_exc(), answers=scratch.answers)
    finally:
        await clean()


if __name__ == "__main__":
    asyncio.run(main())
