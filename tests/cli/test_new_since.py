"""Does --new-since show what a change brought, and nothing that was there before?"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import Project

GOOD = "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\n"
OPEN = "endpoint: {auth: none}\n"


def git(root: Path, *arguments: str) -> None:
    names = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *names, *arguments], cwd=root, check=True, capture_output=True)


def commit(project: Project, at: Path | None = None) -> None:
    root = at or project.root
    git(root, "add", "-A")
    git(root, "commit", "-q", "--allow-empty", "-m", "as it was")


@pytest.fixture
def kept(project: Project) -> Project:
    """A project in git whose one spec has a warning."""
    git(project.root, "init", "-q")
    project.spec("old", GOOD + OPEN)
    commit(project)
    return project


def new_codes(project: Project, *arguments: str) -> list[tuple[str, int, str]]:
    ran = project.run("validate", "--new-since", "HEAD", "--output", "json", *arguments)
    assert ran.code in (0, 1), ran.err
    return [(d["file"], d["line"], d["code"]) for d in ran.json["diagnostics"]]


def test_what_was_there_before_is_not_said_wherever_it_stands_now(kept: Project) -> None:
    assert new_codes(kept) == []
    kept.spec("old", "# moved down\n\n" + GOOD + OPEN)
    assert new_codes(kept) == []
    kept.spec("old", GOOD + OPEN + "gpu: [A100]\n")
    kept.spec("new", GOOD + OPEN)
    assert new_codes(kept) == [
        ("specs/new.yaml", 5, "endpoint/auth-none"),
        ("specs/old.yaml", 6, "gpu/ambiguous"),
    ]
    assert new_codes(kept, "old") == [("specs/old.yaml", 6, "gpu/ambiguous")]


def test_an_error_that_was_there_before_passes_and_a_new_one_does_not(kept: Project) -> None:
    kept.spec("old", GOOD + "gpu: [H1000]\n")
    commit(kept)
    assert kept.run("validate").code == 1
    ran = kept.run("validate", "--new-since", "HEAD")
    assert (ran.code, "gpu/unknown" in ran.out) == (0, False)
    kept.spec("old", GOOD + "gpu: [H1000, H2000]\n")
    assert kept.run("validate", "--new-since", "HEAD").code == 1


def test_a_second_one_of_the_same_kind_is_new(kept: Project) -> None:
    kept.spec("old", GOOD + "gpu: [A100, A100]\n")
    commit(kept)
    assert new_codes(kept) == []
    kept.write("modelctl.yaml", "defaults: {gpu: [A100]}\n")
    kept.spec("more", GOOD)
    assert [code for _, _, code in new_codes(kept)] == ["gpu/ambiguous"]


def test_a_project_in_a_folder_of_its_repository(project: Project) -> None:
    inside = Project(project.root / "serving", project.variables)
    git(project.root, "init", "-q")
    inside.write("modelctl.yaml", "project: serving\n")
    inside.spec("old", GOOD + OPEN)
    commit(project)
    assert new_codes(inside) == []
    inside.spec("new", GOOD + OPEN)
    assert [file for file, _, _ in new_codes(inside)] == ["specs/new.yaml"]


def test_before_the_first_spec_everything_is_new(project: Project) -> None:
    git(project.root, "init", "-q")
    commit(project)
    project.spec("first", GOOD + OPEN)
    assert [code for _, _, code in new_codes(project)] == ["endpoint/auth-none"]


@pytest.mark.parametrize("ref", ["nowhere", "--all", "-h"])
def test_a_commit_that_git_does_not_have(kept: Project, ref: str) -> None:
    ran = kept.run("validate", f"--new-since={ref}")
    assert ran.code == 64
    assert f"--new-since {ref}: git has no such commit here" in ran.err


def test_a_folder_that_git_does_not_know(project: Project) -> None:
    project.spec("old", GOOD)
    ran = project.run("validate", "--new-since", "HEAD")
    assert ran.code == 64
    assert "is in no repository" in ran.err


WARM = "model: hf://Qwen/Qwen3-8B\nbackend: vllm\ncontext: 8192\ngpu: [L4]\nkeep_warm: 1\n"


def policy_findings(project: Project, *arguments: str) -> list[tuple[str, str]]:
    ran = project.run("validate", "--new-since", "HEAD", "--output", "json", *arguments)
    return [
        (d["file"], d["message"])
        for d in ran.json["diagnostics"]
        if d["code"].startswith("policy/")
    ]


def test_a_policy_from_outside_holds_for_the_old_project_too(kept: Project, tmp_path: Path) -> None:
    outside = tmp_path / "org" / "policy.yaml"
    outside.parent.mkdir()
    outside.write_text("gpus: [L4]\n", encoding="utf-8")
    kept.spec("old", GOOD + OPEN + "gpu: [T4]\n")
    commit(kept)
    policy = ("--policy", str(outside))
    assert kept.run("validate", *policy).code == 3
    assert policy_findings(kept, *policy) == []
    assert kept.run("validate", "--new-since", "HEAD", *policy).code == 0
    kept.spec("new", GOOD + OPEN + "gpu: [A10]\n")
    assert policy_findings(kept, *policy) == [
        ("specs/new.yaml", "the policy of org/policy.yaml does not allow A10")
    ]


def test_the_project_s_own_policy_is_a_part_of_the_change(kept: Project) -> None:
    kept.spec("old", GOOD + OPEN + "gpu: [T4]\n")
    commit(kept)
    kept.write("modelctl.yaml", "project: team\npolicy: {gpus: [L4]}\n")
    assert policy_findings(kept) == [("specs/old.yaml", "the project's policy does not allow T4")]
    commit(kept)
    assert policy_findings(kept) == []


def test_what_all_specs_cost_together_is_new_when_it_is_another_sum(kept: Project) -> None:
    kept.write("modelctl.yaml", "project: team\npolicy: {budget: {usd_per_hour: 2}}\n")
    for name in ("a", "b", "c"):
        kept.spec(name, WARM)
    commit(kept)
    assert policy_findings(kept) == []
    kept.spec("d", WARM)
    ((file, message),) = policy_findings(kept)
    assert (file, message[:34]) == ("modelctl.yaml", "keep_warm of all specs costs $3.22")


def test_a_problem_of_the_project_file_is_the_same_from_a_folder_below(kept: Project) -> None:
    kept.write("modelctl.yaml", "project: team\nrules: {no/such: error}\n")
    commit(kept)
    (kept.root / "specs" / "more").mkdir()
    below = Project(kept.root / "specs", kept.variables)
    assert new_codes(below, "old.yaml") == []
