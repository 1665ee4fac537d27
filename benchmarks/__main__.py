"""What does `python -m benchmarks` do? It takes the figures that were asked for, and shows them."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import (
    beside,
    deploying,
    footprint,
    helping,
    observing,
    repeating,
    serving,
    validating,
)
from benchmarks.machine import Machine, this_machine
from benchmarks.result import CannotMeasure, Row
from benchmarks.table import table

MEASURES = {
    m.NAME: m.measure
    for m in (helping, validating, beside, deploying, repeating, observing, footprint, serving)
} | {serving.NAME_VLLM: serving.measure_vllm}
RESULTS = Path(__file__).parent / "results"


def main() -> int:
    asked = _arguments()
    machine = this_machine()
    print(machine)
    rows: list[Row] = []
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="modelctl-bench-") as folder:
        for name in asked.names or MEASURES:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            here = Path(folder) / name
            here.mkdir()
            try:
                found = MEASURES[name](here, asked.runs)
            except CannotMeasure as problem:
                print(f"{name} could not be measured: {problem}", file=sys.stderr)
                return 1
            rows += found
            results[name] = result(machine, found)
    print(f"\n{table(rows)}")
    if asked.json is not None:
        asked.json.write_text(_dump(results), encoding="utf-8")
    if asked.save:
        RESULTS.mkdir(exist_ok=True)
        for name, one in results.items():
            (RESULTS / f"{name}.json").write_text(_dump(one), encoding="utf-8")
    return 0


def result(machine: Machine, rows: Sequence[Row]) -> dict[str, Any]:
    """One benchmark's figures as plain data, with the day and the machine."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": asdict(machine),
        "rows": [
            {**asdict(row), "median": row.ours.median, "met": all(g.met for g in row.goals)}
            for row in rows
        ],
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASURES)}; all")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="how often each (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    parser.add_argument("--save", action="store_true", help=f"keep them in {RESULTS.name}/")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in MEASURES]:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    if asked.runs < 1:
        parser.error("--runs is 1 or more")
    return asked


def _dump(data: object) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
