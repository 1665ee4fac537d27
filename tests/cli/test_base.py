"""What does a pull request change? Planned against another commit, with no credentials."""

from __future__ import annotations

import json

from tests.cli.test_new_since import commit, git
from tests.conftest import Project
from tests.views.sample import QWEN3_4B
from tests.weights.test_gguf import file as header

SPEC = "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\n"


def in_git(project: Project) -> Project:
    git(project.root, "init", "-q", "-b", "main")
    for name in ("moves", "scales", "stays", "goes"):
        project.spec(name, SPEC)
    commit(project)
    return project


def test_a_branch_is_compared_with_its_base_without_any_credentials(project: Project) -> None:
    in_git(project)
    project.spec("moves", SPEC.replace("2048", "4096"))
    project.spec("scales", SPEC + "scaling: {max: 3}\n")
    project.spec("new", SPEC)
    (project.root / "specs" / "goes.yaml").unlink()
    ran = project.run("plan", "--base", "main")
    assert ran.code == 0, ran.out + ran.err
    first, *rest = ran.out.splitlines()
    assert first.startswith("against main (")
    assert first.endswith("), without a look at what lives · 5 apps")
    assert [*rest[:12], rest[-1]] == [
        "",
        "  ± moves   redeploy   context 2048 → 4096",
        "  + new     create     CPU, scale to zero",
        "  ~ scales  in place   scaling.max unset → 3",
        "  - goes    delete     not in specs (needs --prune)",
        "",
        "  1 unchanged",
        "",
        "moves",
        "  context  2048 → 4096",
        "  rolling; same URL",
        "",
        "Plan: 1 create, 1 in place, 1 redeploy, 1 to delete with --prune.",
    ]


def test_what_is_not_in_git_is_as_it_is_today(project: Project) -> None:
    in_git(project)
    (project.root / "models").mkdir()
    (project.root / "models" / "m.gguf").write_bytes(header())
    project.write(".gitignore", "models/\n")
    project.spec("stays", SPEC.replace("volume://shelf/m.gguf", "../models/m.gguf"))
    commit(project)
    ran = project.run("plan", "stays", "--base", "HEAD")
    assert ran.out.splitlines()[-1] == "Nothing to do.", ran.out + ran.err


def test_a_spec_that_was_wrong_then_is_not_compared(project: Project) -> None:
    in_git(project)
    project.spec("stays", SPEC + "gpu: [H1000]\n")
    commit(project)
    project.spec("stays", SPEC)
    (change,) = project.run("plan", "stays", "--base", "HEAD", "--output", "json").json["changes"]
    assert (change["action"], change["reasons"]) == (
        "redeploy",
        ["on HEAD this spec was wrong: not compared"],
    )


def environments(project: Project, said: str, name: str = "shop") -> None:
    project.write("modelctl.yaml", f"project: {name}\nenvironments:\n{said}")


def between(project: Project, before: str, after: str) -> tuple[list[str], str]:
    """What is planned when main has the first environments, and the folder the second."""
    environments(project, before)
    in_git(project)
    environments(project, after)
    return planned(project)


def planned(project: Project) -> tuple[list[str], str]:
    """What happens to each app, and the first line below the header."""
    ran = project.run("plan", "--env", "prod", "--base", "main", "--output", "json")
    lines = project.run("plan", "--env", "prod", "--base", "main").out.splitlines()
    return [change["action"] for change in ran.json["changes"]], " ".join(lines[2:5])


def test_an_environment_that_was_not_there_is_new(project: Project) -> None:
    actions, said = between(project, "  staging: {}\n", "  staging: {}\n  prod: {}\n")
    assert actions == ["create"] * 4
    assert "on main there was no environment prod: everything in it is new" in said


def test_an_environment_that_goes_elsewhere_starts_empty(project: Project) -> None:
    old, new = "  prod: {modal_environment: old}\n", "  prod: {modal_environment: main}\n"
    actions, said = between(project, old, new)
    assert actions == ["create"] * 4
    assert "prod goes to the Modal environment main, on main it was old: the apps there" in said
    environments(project, "  prod: {modal_environment: old, workspace: acme}\n")
    commit(project)
    environments(project, "  prod: {modal_environment: old, workspace: other}\n")
    assert "prod goes to the workspace other, on main it was acme" in planned(project)[1]


def test_the_apps_of_a_project_of_another_name_are_not_ours(project: Project) -> None:
    environments(project, "  prod: {}\n", "shop")
    in_git(project)
    environments(project, "  prod: {}\n", "store")
    (project.root / "specs" / "goes.yaml").unlink()
    project.spec("new", SPEC)
    actions, said = planned(project)
    assert sorted(actions) == ["create", "foreign", "foreign", "foreign"]
    assert "on main the project was called shop: its apps are not touched" in said


def test_no_version_is_made_up_and_a_commit_is_named_once(project: Project) -> None:
    in_git(project)
    project.spec("moves", SPEC.replace("2048", "4096"))
    sha = (project.root / ".git" / "refs" / "heads" / "main").read_text().strip()
    ran = project.run("plan", "--base", sha, "--output", "json").json
    assert {change["version"] for change in ran["changes"]} == {None}
    first = project.run("plan", "--base", sha).out.splitlines()[0]
    assert first == f"against {sha[:7]}, without a look at what lives · 4 apps"


def test_it_says_what_it_cannot_do(project: Project) -> None:
    in_git(project)
    ran = project.run("plan", "--base", "nothing")
    assert (ran.code, ran.err.splitlines()[0]) == (
        64,
        "error: --base nothing: git has no such commit here; in CI the checkout may be too shallow",
    )
    ran = project.run("plan", "--base", "main", "--refresh")
    assert (ran.code, ran.err.splitlines()[0]) == (
        64,
        "error: --base looks at no environment: leave out --refresh",
    )


def lock(project: Project, commit_: str, engine: str) -> None:
    files = [["config.json", 700, ""], ["model.safetensors", 8_044_936_192, ""]]
    source = {"commit": commit_, "config": QWEN3_4B, "files": files}
    said = {
        "format": 1,
        "engines": {"vllm": {"version": engine}},
        "sources": {"hf://Qwen/Qwen3-4B": source},
    }
    project.write("modelctl.lock", json.dumps(said))


def test_a_spec_that_leaves_the_environment_out_is_still_there(project: Project) -> None:
    environments(project, "  staging: {}\n  prod: {}\n")
    in_git(project)
    project.spec("goes", SPEC + "only: [staging]\n")
    options = ("plan", "--env", "prod", "--base", "main", "--detailed-exitcode")
    ran = project.run(*options, "--output", "json")
    assert [c["reasons"] for c in ran.json["changes"] if c["name"] == "goes"] == [
        ["its spec leaves this environment out (only) (needs --prune)"]
    ]
    assert ran.code == 0
    assert ran.json["summary"]["delete"] == 1


def test_another_lock_alone_says_what_is_another(project: Project) -> None:
    project.spec("chat", "model: hf://Qwen/Qwen3-4B\nbackend: vllm\ncontext: 16384\ngpu: L4\n")
    git(project.root, "init", "-q", "-b", "main")
    lock(project, "0123456" * 5 + "01234", "0.20.0")
    commit(project)
    lock(project, "1123456" * 5 + "01234", "0.21.0")
    ran = project.run("plan", "--base", "main", "--output", "json")
    (change,) = ran.json["changes"]
    assert (change["action"], change["reasons"]) == ("redeploy", []), ran.err
    assert change["impact"][0] == "new image"
    assert change["fields"] == [
        {"path": "backend.version (modelctl.lock)", "before": "0.20.0", "after": "0.21.0"},
        {"path": "model.commit (modelctl.lock)", "before": "0123456", "after": "1123456"},
    ]
