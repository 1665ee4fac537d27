"""What is said at the edge: of counts nobody runs, a full disk, no git, names that fill a line?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelctl.cli.failures import words_of
from modelctl.plan import Action, Change, Cost, Plan
from modelctl.views import machine
from modelctl.views.human import changes
from modelctl.views.page import costs
from modelctl.views.paint import Paint
from tests.checks.judging import LLAMA, judged
from tests.conftest import Project


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("keep_warm: 9999999999", "keep_warm is at most 10,000; this is 9,999,999,999"),
        ("scaling: {max: 20000}", "scaling.max is at most 10,000; this is 20,000"),
        ("scaling: {buffer: 20000}", "scaling.buffer is at most 10,000; this is 20,000"),
        (
            "concurrency: 9999999999",
            "concurrency.target is at most 1,000,000; this is 9,999,999,999",
        ),
    ],
)
def test_counts_that_nobody_runs_are_refused_at_their_line(
    project: Project, line: str, sentence: str
) -> None:
    project.spec("a", f"model: hf://o/r\ngpu: [L4]\n{line}\n")
    found = project.run("validate", "--output", "json").json["diagnostics"]
    assert sentence in [f["message"] for f in found], found


def test_scale_takes_no_more_than_a_spec(project: Project) -> None:
    project.spec("a", "model: hf://o/r\ngpu: [L4]\n")
    ran = project.run("scale", "a", "--local", "--keep-warm", "3000000000", "--yes")
    assert ran.code == 64
    assert "3000000000 is not in the range 0<=x<=10000" in ran.err


def test_a_plan_without_any_max_has_no_most() -> None:
    one = Change("a", Action.CREATE, cost=Cost(0.0, 1.0))
    plan = Plan("main", "Modal environment main", (one, replace(one, name="b")))
    said = machine.plan_data(plan)["cost"]
    assert isinstance(said, dict)
    assert (said["usd_per_hour_at_max"], said["apps_without_max"]) == (None, ["a", "b"])
    assert costs.of(plan).total.at_max is None
    limited = replace(one, name="b", cost=Cost(0.0, 1.0, at_max=4.0))
    said = machine.plan_data(replace(plan, changes=(one, limited)))["cost"]
    assert isinstance(said, dict)
    assert (said["usd_per_hour_at_max"], said["apps_without_max"]) == (4.0, ["a"])


def test_a_long_name_has_a_line_of_its_own() -> None:
    change = Change("a-very-long-name-for-an-app-" * 2, Action.DELETE)
    plan = Plan("main", "here", (change,))
    shown = changes.plan(plan, paint=Paint(on=False), width=80).splitlines()
    at = next(n for n, line in enumerate(shown) if change.name in line)
    assert shown[at].endswith(change.name)
    assert shown[at + 1].split()[0] == "delete"


def test_what_llama_cpp_leaves_free_is_drawn_free(project: Project, gguf: Path) -> None:
    """Its cache has a fixed size; vLLM's takes all that there is."""
    target = project.root / "models" / gguf.name
    target.parent.mkdir(exist_ok=True)
    os.link(gguf, target)
    project.spec("a", f"model: ../models/{gguf.name}\nbackend: llama.cpp\ngpu: [L4]\n")
    ran = project.run("fit", "specs/a.yaml", env={"COLUMNS": "100"})
    assert "▓ weights ▒ cache ░ other · free" in ran.out
    bar = re.search(r"L4 +([▓▒░·]+)", ran.out)
    assert bar and bar[1].count("·") > 30


def test_what_the_slots_limit_is_not_blamed_on_memory() -> None:
    found = judged({**LLAMA, "max_sequences": 4, "concurrency": {"target": 8}})
    assert [d.code for d in found if "target" in d.code] == ["concurrency/target-above-sequences"]


def test_cost_looks_no_further_back_than_ten_years(project: Project) -> None:
    ran = project.run("cost", "--local", "--since", "1000000d")
    assert ran.code == 64
    assert "1000000d is longer than ten years" in ran.err


def test_without_git_a_base_says_so(project: Project) -> None:
    project.spec("a", "model: hf://o/r\ngpu: [L4]\n")
    subprocess.run(["git", "init", "-q"], cwd=project.root, check=True)
    ran = project.run("plan", "--base", "HEAD", env={"PATH": str(Path(sys.executable).parent)})
    assert ran.code == 64
    assert "--base HEAD needs git, and there is no git on this machine" in ran.err


def test_a_full_disk_is_no_bug_of_ours() -> None:
    words = words_of(OSError(28, "No space left on device"), changes=False)
    assert (words.code, words.message) == (1, "what was written: No space left on device")


def test_what_else_is_installed_has_no_say_in_what_a_spec_means(project: Project) -> None:
    """Packages may bring plugins of pydantic, which import a lot, or fail to."""
    project.write("beside/eager.py", "raise ImportError('eager: not for this machine')\n")
    project.write("beside/eager-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: eager\n")
    project.write("beside/eager-1.dist-info/entry_points.txt", "[pydantic]\nall = eager:plugin\n")
    project.spec("a", "model: hf://o/r\ngpu: [L4]\n")
    paths = [str(project.root / "beside"), *filter(None, [os.environ.get("PYTHONPATH")])]
    ran = project.run("validate", "--output", "json", env={"PYTHONPATH": os.pathsep.join(paths)})
    assert "eager" not in ran.out + ran.err
    assert project.run("validate", "--output", "json").out == ran.out
