"""Runs code that uses the SDK, one JSON line a job: a fresh process each would cost half a second.

The SDK reads its configuration when it is imported, hence a process of its own; standard output is
the channel, so what the jobs print goes to standard error.
"""

import importlib.util
import json
import os
import sys
import traceback
from pathlib import Path

import modal


def load(path: str) -> object:
    """The module in a file, as it is now."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main() -> None:
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        names = {"modal": modal, "load": load, "result": None}
        try:
            exec(json.loads(line), names)
            answer = {"result": names["result"]}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=channel, flush=True)


if __name__ == "__main__":
    main()
