"""Does nothing break in many made projects, and would the search see it if it did?"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fuzz.cases import ROOT, case

BROKEN = """\
import modelctl.weights.read, runpy, sys
whole = modelctl.weights.read._local
def local(path, *arguments, **named):
    if "tiny" in path.name:
        raise KeyError("planted")
    return whole(path, *arguments, **named)
modelctl.weights.read._local = local
sys.argv = ["fuzz", *sys.argv[1:]]
runpy.run_module("tests.fuzz", run_name="__main__")
"""


def fuzz(out: Path, *arguments: str, start: tuple[str, ...] = ("-m", "tests.fuzz")) -> str:
    command = [sys.executable, *start, "--minutes", "3", "--seed", "7", "--out", str(out)]
    done = subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.stderr == ""
    assert done.returncode == (1 if "finding in case" in done.stdout else 0)
    return done.stdout


def test_a_case_is_the_same_everywhere() -> None:
    assert case(7, 12) == case(7, 12)
    assert case(7, 12) != case(8, 12)


def test_many_projects_are_read_or_refused(tmp_path: Path) -> None:
    """A piece of `python -m tests.fuzz`, which goes on where it ended."""
    first = fuzz(tmp_path, "--cases", "70")
    second = fuzz(tmp_path, "--cases", "70")
    assert "seed 7, from case 0" in first
    assert "seed 7, from case 70" in second
    assert "140 cases" in second and "; 0 findings" in second


def test_a_planted_mistake_is_found_and_made_small(tmp_path: Path) -> None:
    said = fuzz(tmp_path, "--cases", "40", start=("-c", BROKEN))
    assert "raised: KeyError" in said
    (spec,) = tmp_path.glob("raised-*/specs/case.yaml")
    assert len(spec.read_text()) < 80 and "tiny" in spec.read_text()
