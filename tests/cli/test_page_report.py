"""Does plan write a page beside what it prints? One run, the same figures."""

from __future__ import annotations

import subprocess

from tests.conftest import Project
from tests.views import sample
from tests.views.test_page import Tree


def git(project: Project, *arguments: str) -> None:
    who = ["-c", "user.name=ana", "-c", "user.email=ana@example.com"]
    subprocess.run(["git", *who, *arguments], cwd=project.root, check=True, capture_output=True)


def test_one_run_gives_a_page_and_json_with_the_same_figures(project: Project) -> None:
    sample.write(project.root)
    git(project, "init", "-q")
    git(project, "add", ".")
    git(project, "commit", "-qm", "specs")
    project.spec("chat-8b", sample.SPECS["chat-8b"].replace("keep_warm: 2", "keep_warm: 3"))
    ran = project.run(
        "plan", "--env", "prod", "--base", "HEAD", "--report", "plan.html", "--report", "plan.json"
    )
    assert ran.code == 0, ran.err
    assert "keep_warm 2 → 3" in ran.out
    data = project.run("plan", "--env", "prod", "--base", "HEAD", "--output", "json").json
    source = (project.root / "plan.html").read_text(encoding="utf-8")
    page = Tree(source)
    said = " ".join(page.text.split())
    assert "modelctl plan prod against HEAD (" in said
    assert "1 of 3 change" in said
    cost = next(c["cost"] for c in data["changes"] if c["name"] == "chat-8b")
    hours = [round(cost[f"usd_per_hour_{when}"], 6) for when in ("before", "after")]
    assert [round(f, 6) for f in page.figures("chat-8b", 5)][:2] == hours
    (card,) = project.run("fit", "chat-8b", "--output", "json").json["rows"][:1]
    assert page.figures("H100", 8)[2] == card["weights_gib"]["value"]
    assert "specs/chat-70b.yaml:5:29" in said  # the warning of another spec


def test_where_specs_are_wrong_the_page_says_where(project: Project) -> None:
    sample.write(project.root)
    project.spec("chat-8b", sample.SPECS["chat-8b"].replace("context:", "contxt:"))
    ran = project.run("plan", "--env", "prod", "--report", "plan.html")
    assert ran.code == 1
    said = Tree((project.root / "plan.html").read_text(encoding="utf-8")).text
    assert "There is no plan." in said
    assert "specs/chat-8b.yaml:4:1" in said


def test_a_page_is_of_a_plan_alone(project: Project) -> None:
    ran = project.run("validate", "--report", "page.html")
    assert ran.code == 64
    assert "page.html: the suffix says how" in ran.err
