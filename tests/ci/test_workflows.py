"""Do the workflows that `init` writes do their work? All jobs run for real, on the local plane."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from modelctl.local import lifecycle
from tests.ci.conftest import SPEC, Make, live_repository, pull_request
from tests.ci.runner import ROOT, GitHub, read
from tests.cli.test_new_since import commit
from tests.conftest import Project

sys.path.insert(0, str(ROOT / "action"))  # where the action's own folder stands on a runner
from speaking import foreign

STARTER = ROOT / "modelctl" / "starter"
KEY = "<!-- modelctl: comment . -->\n"


def starter(folder: Path, **inputs: str) -> Path:
    """The workflow as a team has it, with its own inputs. What is tried out is not on PyPI yet."""
    found = read(STARTER / "github-workflow.yml")
    found["jobs"]["models"]["with"] |= inputs
    file = folder / "models.yml"
    file.write_text(yaml.safe_dump(found))
    return file


def secrets() -> dict[str, str]:
    return {"MODAL_TOKEN_ID": "ak-of-the-team", "MODAL_TOKEN_SECRET": "as-of-the-team"}


@pytest.fixture
def changed(repository: Project) -> Project:
    repository.spec("moves", SPEC.replace("2048", "4096"))
    commit(repository)
    return repository


def installed(run: GitHub) -> GitHub:
    """Take the modelctl of this checkout for the one that PyPI has."""
    run.defaults["version"] = "installed"
    return run


@pytest.mark.full
def test_a_pull_request_is_checked_planned_and_commented(
    changed: Project, github: Make, tmp_path: Path
) -> None:
    run = installed(github(changed, **pull_request()))
    assert run.workflow(starter(run.scratch, environments="dev prod"), secrets=secrets()), run.log
    assert run.jobs == {"check": "success", "models": "success"}
    (comment,) = run.posted("comments", "7")
    assert comment["body"].startswith(f"{KEY}<!-- modelctl: plan dev -->")
    assert "of-the-team" not in run.log, "a pull request runs without credentials"
    assert not [v for v in run.seen if v.startswith("MODAL_TOKEN")]


@pytest.mark.full
def test_a_wrong_spec_is_said_on_the_pull_request_until_it_is_right(
    changed: Project, github: Make
) -> None:
    changed.spec("new", SPEC + "gpu: [H1000]\n")
    commit(changed)
    run = installed(github(changed, **pull_request()))
    workflow = starter(run.scratch, environments="dev")
    assert not run.workflow(workflow)
    (comment,) = run.posted("comments", "7")
    assert "H1000" in comment["body"]
    changed.spec("new", SPEC)
    commit(changed)
    assert run.workflow(workflow), run.log
    (comment,) = run.posted("comments", "7")
    assert "H1000" not in comment["body"]
    assert comment["body"].startswith(f"{KEY}<!-- modelctl: plan dev -->")


FORK: dict[str, Any] = {
    "id": 4711,
    "event": "pull_request",
    "head_repository": {"full_name": "someone/models", "owner": {"login": "someone"}},
    "head_branch": "more-$(id)",
    "head_sha": "abc",
}


def of_a_fork(run: GitHub, github: Make, project: Project, left: str | None = None) -> GitHub:
    """The run that begins on the repository when the one of the fork's pull request has ended."""
    second = github(project, event_name="workflow_run", event={"workflow_run": FORK})
    if (run.scratch / "artifacts").exists():
        (second.scratch / "artifacts").rmdir()
        (run.scratch / "artifacts").rename(second.scratch / "artifacts")
    if left is not None:
        folder = second.scratch / "artifacts" / "modelctl-check"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "all.md").write_text(left)
    pulls = [
        {"number": 6, "label": "someone:more-$(id)", "head": {"sha": "of another time"}},
        {"number": 7, "label": "someone:more-$(id)", "head": {"sha": "abc"}},
        {"number": 8, "label": "other:more-$(id)", "head": {"sha": "abc"}},
    ]
    (second.scratch / "gh").mkdir()
    (second.scratch / "gh" / "pulls.json").write_text(json.dumps(pulls))
    return second


@pytest.mark.full
def test_the_plan_of_a_fork_becomes_a_comment_in_a_second_run(
    changed: Project, github: Make
) -> None:
    run = installed(github(changed, **pull_request(head="someone/models")))
    assert run.workflow(starter(run.scratch, environments="dev")), run.log
    assert run.calls() == []
    second = of_a_fork(run, github, changed)
    assert second.workflow(STARTER / "github-comment-workflow.yml"), second.log
    (comment,) = second.posted("comments", "7")
    assert comment["body"].startswith(
        f"{KEY}_From a fork: the run of the pull request itself wrote what follows._\n\n"
        "### Plan for dev: 1 redeploy\n"
    )
    assert second.posted("comments", "6") == second.posted("comments", "8") == []
    assert "actions/checkout" not in " ".join(second.used), "no code of the fork"


def test_a_fork_can_leave_no_words_that_act(repository: Project, github: Make) -> None:
    hostile = (
        "<!-- modelctl: comment . --> @maintainer &#64;maintainer ![x](https://evil.example/a) "
        "[here](//evil.example) https://evil.example www.evil.example closes #1 acme/models#2\n"
        "<img src=x> <a href='https://evil.example'>x</a> "
        "<details><summary>fine</summary></details> a &lt; b\n<!-- never ends"
    )
    run = github(repository)
    second = of_a_fork(run, github, repository, hostile)
    assert second.workflow(STARTER / "github-comment-workflow.yml"), second.log
    (comment,) = second.posted("comments", "7")
    told = comment["body"].partition("what follows._\n\n")[2].replace("\u200b", "·")
    assert told == (
        "@·maintainer &amp;#·64;maintainer !·[x]·(https:/·/·evil.example/·a) "
        "[here]·(/·/·evil.example) https:/·/·evil.example www·.evil.example closes #·1 "
        "acme/·models#·2\n"
        "&lt;img src=x> &lt;a href='https:/·/·evil.example'>x&lt;/·a> "
        "<details><summary>fine</summary></details> a &lt; b"
    )


@given(st.text(alphabet="@!#&/<>[]():.-w a1\\`\n", max_size=60))
def test_no_words_of_a_fork_mention_link_or_picture(text: str) -> None:
    told = foreign(text)
    assert not re.search(r"[@#](?=\w)|!\[|\]\(|\][\[:]|//|(?i:www)\.", told), told
    assert "<!--" not in told
    assert re.fullmatch(r"[^<]*", re.sub(r"</?(details|summary|b|br|code|sub)>", "", told))
    assert not re.search(r"&(?!(amp|lt|gt|quot|nbsp|#124);)", told)


def test_a_fork_that_left_nothing_gets_no_comment(repository: Project, github: Make) -> None:
    second = of_a_fork(github(repository), github, repository)
    assert second.workflow(STARTER / "github-comment-workflow.yml"), second.log
    assert "::notice::no comment: the run left no plan" in second.log
    assert second.posted("comments", "7") == []


def test_a_pull_request_of_the_repository_itself_is_not_told_twice(
    repository: Project, github: Make
) -> None:
    own = {**FORK, "head_repository": {"full_name": "acme/models", "owner": {"login": "acme"}}}
    second = github(repository, event_name="workflow_run", event={"workflow_run": own})
    assert second.workflow(STARTER / "github-comment-workflow.yml")
    assert "comment" not in second.jobs or second.used == []


@pytest.fixture
def on_main(live: Project, gguf: Path) -> Project:
    """A repository whose main has one spec, with a plane that stands for Modal."""
    return live_repository(live, gguf, "from-main", "local")


@pytest.mark.full
def test_main_is_planned_applied_watched_and_mended(on_main: Project, github: Make) -> None:
    """One repository's day: what main says is applied, drifts, is told, and told to be over."""
    inputs = {"plan-args": "--local"}

    def happens(event: str) -> GitHub:
        run = installed(github(on_main, event_name=event))
        if event == "schedule" and (store := on_main.root / ".modelctl" / "gh").exists():
            store.rename(run.scratch / "gh")
        assert run.workflow(starter(run.scratch, **inputs), secrets=secrets()), run.log
        if (run.scratch / "gh").exists():
            (run.scratch / "gh").rename(on_main.root / ".modelctl" / "gh")
        assert "of-the-team" not in run.log
        return run

    pushed = happens("push")
    assert pushed.jobs == {"plan": "success", "apply ": "success", "models": "success"}
    assert "from-main" in pushed.summary
    asked = {"command": "status", "args": "--local", "version": "installed", "artifact": "off"}
    standing = github(on_main)
    assert standing.action(ROOT, asked).outputs["exit-code"] == "0", standing.log
    assert "from-main" in standing.summary
    again = happens("push")
    assert again.jobs == {"plan": "success", "models": "success"}, "nothing to apply"

    assert issues(happens("schedule"), on_main) == []
    stopped = subprocess.run(
        [sys.executable, "-m", "modal", "app", "stop", "--yes", "from-main"],
        env={**os.environ, **lifecycle.environ(on_main.plane)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 0, stopped.stderr
    (told,) = issues(happens("schedule"), on_main)
    assert (told["state"], told["title"]) == ("open", "What lives is not what main says")
    assert "from-main" in told["body"]
    (told,) = issues(happens("schedule"), on_main)
    assert told["state"] == "open", "one issue, however often it is looked"
    alone = installed(github(on_main, event_name="schedule"))
    loud = starter(alone.scratch, **inputs, **{"drift-issue": ""})
    assert not alone.workflow(loud), "without an issue the job itself fails"
    assert "::error::what lives is not what main says" in alone.log
    assert alone.calls() == []
    happens("push")
    (told,) = issues(happens("schedule"), on_main)
    assert told["state"] == "closed"


def issues(run: GitHub, project: Project) -> list[dict[str, Any]]:
    file = project.root / ".modelctl" / "gh" / "issues.json"
    found: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    return found


def test_the_runner_refuses_more_permissions_than_the_caller_gave(
    repository: Project, github: Make
) -> None:
    """As GitHub does: the starter's permissions are those that its jobs need."""
    found = read(STARTER / "github-workflow.yml")
    inner = read(ROOT / ".github" / "workflows" / "modelctl.yml")
    needed: dict[str, str] = {}
    for job in inner["jobs"].values():
        needed |= job["permissions"]
    assert found["jobs"]["models"]["permissions"] == needed
