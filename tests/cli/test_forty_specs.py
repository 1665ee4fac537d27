"""Forty specs, a pull request that changes three: does the comment read right, on one screen?"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelctl.local import lifecycle
from tests.cli.test_fleet import by_hand
from tests.cli.test_new_since import commit, git
from tests.conftest import Project
from tests.views.test_markdown import seen

ENVIRONMENTS = """\
project: assistants
environments:
  staging: {}
  prod: {}
policy:
  budget: {usd_per_month: 12000}
"""
SPEC = """\
model: volume://shelf/m.gguf
backend: llama.cpp
context: 4096
gpu: [L4, A10]
keep_warm: 1
scaling: {max: 4}
rollout: {gate: none}
"""
NAMES = [f"model-{n:02}" for n in range(40)]
ONE_SCREEN = 40


def repository(project: Project) -> Project:
    """Forty specs on main; every fourth keeps one warm, in prod two of these keep two."""
    git(project.root, "init", "-q", "-b", "main")
    project.write("modelctl.yaml", ENVIRONMENTS)
    project.write(".gitignore", ".modelctl/\n*.md\n*.json\n")
    for number, name in enumerate(NAMES):
        text = SPEC if number % 4 == 0 else SPEC.replace("keep_warm: 1", "keep_warm: 0")
        if number in {0, 4}:
            text += "environments: {prod: {keep_warm: 2}}\n"
        project.spec(name, text)
    commit(project)
    return project


def pull_request(project: Project) -> None:
    """Three specs: one has a longer context, one keeps more warm, one is new."""
    git(project.root, "checkout", "-qb", "more")
    project.spec("model-01", SPEC.replace("4096", "8192").replace("keep_warm: 1", "keep_warm: 0"))
    project.spec("model-04", SPEC + "environments: {prod: {keep_warm: 3}}\n")
    project.spec("model-40", SPEC)
    commit(project)


COMMENT = r"""<!-- modelctl: plan prod -->
### Plan for prod: 1 create, 1 in place, 1 redeploy

against main (@), without a look at what lives · 41 apps, 38 unchanged

|  | app | action | what | warm, a month |
| --- | --- | --- | --- | ---: |
| ± | **model-01** | redeploy | `context` 4096 → 8192 | \$0 |
| ~ | **model-04** | in place | `keep_warm` 2 → 3 | \$1,177 → \$1,765 |
| + | **model-40** | create | L4 or A10, 1 kept warm | \$588 |

**Warm cost** \$7,061 → \$8,238 a month (+\$588 model-04, +\$588 model-40), \$@ on the dearest GPUs; budget \$12,000 a month<br>
**At most** \$@ an hour with every app at its max<br>
<sub>on the first GPU of each list, computed from Modal's list prices of @</sub>
"""  # noqa: E501


def test_the_comment_of_a_pull_request_is_one_screen_and_reads_right(project: Project) -> None:
    repository(project)
    pull_request(project)
    plan = ("plan", "--env", "prod", "--base", "main")
    ran = project.run(*plan, "--report", "plan.md", "--report", "plan.json")
    assert ran.code == 0, ran.out + ran.err
    comment = (project.root / "plan.md").read_text()
    first = seen(comment).strip()
    assert len(first.splitlines()) <= ONE_SCREEN
    pattern = re.escape(COMMENT.strip()).replace("@", r"[\w.,-]+")
    assert re.fullmatch(pattern, first), first
    assert re.findall(r"<summary>(.*?)</summary>", comment) == ["model-01", "model-04"]
    assert "model-02" not in comment
    same_numbers(first, json.loads((project.root / "plan.json").read_text()))


def test_in_the_other_environment_the_same_change_costs_less(project: Project) -> None:
    repository(project)
    pull_request(project)
    plan = ("plan", "--env", "staging", "--base", "main")
    comment = project.run(*plan, "--output", "markdown").out
    same_numbers(seen(comment), project.run(*plan, "--output", "json").json)
    assert "### Plan for staging: 1 create, 1 redeploy\n" in comment


def same_numbers(comment: str, data: dict[str, Any]) -> None:
    """Every count and every figure of the comment is the one of the JSON, rounded."""
    title = comment.splitlines()[1]
    said = {word.replace(" ", "-"): int(n) for n, word in re.findall(r"(\d+) ([a-z ]+)", title)}
    summary = {k: n for k, n in data["summary"].items() if n and k != "unchanged"}
    assert said == summary
    counts = re.search(r"(\d+) apps, (\d+) unchanged", comment)
    assert counts is not None
    assert [int(n) for n in counts.groups()] == [
        len(data["changes"]),
        data["summary"]["unchanged"],
    ]
    rows = re.findall(r"^\| \S+ \| \*\*(.*?)\*\* \| (.*?) \| .* \| (.*?) \|$", comment, re.M)
    changes = {c["name"]: c for c in data["changes"] if c["action"] != "unchanged"}
    assert {name: action.replace(" ", "-") for name, action, _ in rows} == {
        name: change["action"] for name, change in changes.items()
    }
    for name, _, figures in rows:
        cost = changes[name]["cost"]
        before, after = cost["usd_per_hour_before"], cost["usd_per_hour_after"]
        shown = [after] if before in (None, after) else [before, after]
        assert figures == " → ".join(rf"\${usd * 730:,.0f}" for usd in shown)
    cost = data["cost"]
    assert rf"\${cost['usd_per_month_after']:,.0f} a month" in comment
    if cost["usd_per_hour_before"] != cost["usd_per_hour_after"]:
        assert rf"**Warm cost** \${cost['usd_per_hour_before'] * 730:,.0f} → " in comment
    assert rf"**At most** \${cost['usd_per_hour_at_max']:,.2f} an hour" in comment
    assert rf"budget \${cost['budget']['usd_per_month']:,.0f} a month" in comment


@pytest.fixture
def forty(tmp_path: Path) -> Iterator[Project]:
    """The repository, and all of it live in the local control plane as prod."""
    made = repository(Project(tmp_path))
    state = made.root / ".modelctl" / "local"
    lifecycle.up(state)
    try:
        for gpu in ("L4*", "A10*"):  # no engine has to run
            lifecycle.add_fault(made.plane, "no-capacity", gpu=gpu)
        by_hand(made, "import modal; modal.Volume.objects.create('shelf')")
        ran = made.run("apply", "--env", "prod", "--local", "--yes", timeout=600)
        assert ran.code == 0, ran.out + ran.err
        yield made
    finally:
        lifecycle.down(state)


DRIFTS = """
import modal
server = modal.Server.from_name("model-07", "Server")
server.update_autoscaler(min_containers=0, max_containers=9)
"""


@pytest.mark.full
def test_against_what_lives_the_comment_shows_drift_beside_the_changes(forty: Project) -> None:
    pull_request(forty)
    by_hand(forty, DRIFTS)
    plan = ("plan", "--env", "prod", "--local", "--refresh")
    ran = forty.run(*plan, "--report", "plan.md", "--report", "plan.json")
    assert ran.code == 0, ran.out + ran.err
    comment = (forty.root / "plan.md").read_text()
    first = seen(comment)
    assert len(first.splitlines()) <= ONE_SCREEN
    assert first.splitlines()[:2] == [
        "<!-- modelctl: plan prod+local -->",
        "### Plan for prod+local: 1 create, 1 in place, 1 redeploy, 1 drift",
    ]
    assert "| ! | **model-07** | drift | live scaling.max 9, spec 4: apply sets 4 | \\$0 |" in first
    assert "41 apps, 37 unchanged" in first
    same_numbers(first, json.loads((forty.root / "plan.json").read_text()))
