"""How much can be tried in some minutes, and what was found? Goes on where the last run ended."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.fuzz.attempt import MOST_MEMORY, Attempts, Finding, smaller
from tests.fuzz.cases import ROOT, Case, case

IN_ONE_PROCESS = 2_000
PATIENCE = 60.0
"""Seconds after which a process is given up that does not even come back from its own time limit;
a case is several commands."""


@dataclass
class State:
    """What one seed has come to; a file of its own, so that pieces of minutes add up."""

    seed: int
    next: int = 0
    seconds: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    exits: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[int]] = field(default_factory=dict)
    slowest: tuple[float, int] = (0.0, -1)
    grown: int = 0
    """Bytes that a process had more after its cases than after the first hundred of them."""


def main() -> int:
    asked = _arguments()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.case is not None:
        return _again(asked.seed, asked.case)
    file = asked.out / f"seed-{asked.seed}.json"
    state = _read(file, asked.seed)
    until = time.monotonic() + asked.minutes * 60
    print(f"seed {asked.seed}, from case {state.next}, for {asked.minutes:g} minutes", flush=True)
    last = time.monotonic()
    end = state.next + asked.cases if asked.cases is not None else sys.maxsize
    while time.monotonic() < until and state.next < end:
        before = time.monotonic()
        _batch(state, asked.out, until, min(IN_ONE_PROCESS, end - state.next))
        state.seconds += time.monotonic() - before
        file.write_text(json.dumps(vars(state), indent=1), encoding="utf-8")
        if time.monotonic() - last > 30:
            last = time.monotonic()
            print(_summary(state), flush=True)
    file.write_text(json.dumps(vars(state), indent=1), encoding="utf-8")
    print(_summary(state))
    for signature, numbers in state.findings.items():
        print(f"  {signature}: {len(numbers)} times, first in case {numbers[0]}")
    return 1 if state.findings else 0


def _batch(state: State, out: Path, until: float, most: int) -> None:
    """Cases in a process of their own, which may die of one."""
    here, there = multiprocessing.Pipe()
    worker = multiprocessing.get_context("fork").Process(
        target=_work, args=(there, state.seed, state.next, most, until, out, set(state.findings))
    )
    worker.start()
    there.close()
    while True:
        try:
            if not here.poll(PATIENCE):
                worker.kill()
                _lost(state, out, f"hangs for {PATIENCE:.0f} s")
                break
            said = here.recv()
        except EOFError:
            worker.join()
            _lost(state, out, f"ends the process with {worker.exitcode}")
            break
        if said is None:
            break
        if isinstance(said, int):
            state.grown = max(state.grown, said)
            continue
        kind, codes, took, signatures = said
        number, state.next = state.next, state.next + 1
        state.kinds[kind] += 1
        state.exits.update(codes)
        state.slowest = max(state.slowest, (took, number))
        for signature in signatures:
            state.findings.setdefault(signature, []).append(number)
    worker.join()


def _lost(state: State, out: Path, why: str) -> None:
    lost = case(state.seed, state.next)
    _write(out, lost, Finding("lost", why, (), ""))
    state.findings.setdefault(why, []).append(state.next)
    state.next += 1


def _work(
    to: Connection, seed: int, start: int, most: int, until: float, out: Path, known: set[str]
) -> None:
    with tempfile.TemporaryDirectory(prefix="modelctl-fuzz-") as name:
        attempts = Attempts(Path(name))
        attempts.run(Case(0, "first", {}))  # everything is imported
        resource.setrlimit(resource.RLIMIT_AS, (_mapped() + 4 * MOST_MEMORY,) * 2)
        early = 0
        for number in range(start, start + most):
            if time.monotonic() > until:
                break
            made, began = case(seed, number), time.monotonic()
            findings, codes = attempts.run(made)
            took = time.monotonic() - began
            for one in findings:
                if one.signature not in known:
                    known.add(one.signature)
                    _write(out, smaller(attempts, made, one, seconds=15), one)
            exits = [f"{' '.join(command)}: {code}" for command, code in codes.items()]
            to.send((made.kind, exits, took, {one.signature for one in findings}))
            if number == start + 100:
                early = _resident()
        to.send(max(0, _resident() - early) if early else 0)
        to.send(None)


def _again(seed: int, number: int) -> int:
    """One case by its number, with all that it says."""
    made = case(seed, number)
    with tempfile.TemporaryDirectory(prefix="modelctl-fuzz-") as name:
        attempts = Attempts(Path(name))
        findings, codes = attempts.run(made)
    for file, content in made.files.items():
        print(f"--- {file}\n{content[:2000]!r}")
    print(codes)
    for one in findings:
        print(f"{one.signature}\n{one.detail}")
    return 1 if findings else 0


def _write(out: Path, made: Case, finding: Finding) -> None:
    folder = out / f"{finding.kind}-{made.number}"
    for name, content in made.files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    command = " ".join(finding.command)
    text = f"modelctl {command}\n{finding.signature}\n\n{finding.detail}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "finding.txt").write_text(text, encoding="utf-8", errors="backslashreplace")
    print(f"finding in case {made.number}: {finding.signature} ({folder})", flush=True)


def _summary(state: State) -> str:
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(state.kinds.items()))
    done = {command: state.exits[f"{command}: 0"] for command in ("validate", "render")}
    return (
        f"{state.next:,} cases in {state.seconds / 60:.1f} min ({kinds}); {done['validate']:,} "
        f"validated and {done['render']:,} rendered; slowest {state.slowest[0]:.2f} s (case "
        f"{state.slowest[1]}); a process grew by {state.grown / 2**20:.0f} MiB; "
        f"{len(state.findings)} findings"
    )


def _read(file: Path, seed: int) -> State:
    if not file.exists():
        return State(seed)
    said: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    said |= {name: Counter(said[name]) for name in ("kinds", "exits")}
    return State(**{**said, "slowest": tuple(said["slowest"])})


def _mapped() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * 4096


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--cases", type=int, help="stop after this many too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", type=int, help="run this one again, and show it")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fuzz")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        traceback.print_exc(limit=1)
        sys.exit(130)
