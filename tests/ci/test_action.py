"""Does the Action do its work on a runner? Its steps run for real, GitHub is a stub of gh."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.ci.conftest import SPEC, Make, pull_request
from tests.ci.runner import ROOT, GitHub, Refused, commands
from tests.cli.test_new_since import commit
from tests.conftest import Project

PINS = ROOT / "requirements" / "modelctl.txt"
KEY = "<!-- modelctl: comment . -->\n"


def changed(repository: Project) -> Project:
    """A pull request that changes one spec and adds one."""
    repository.spec("moves", SPEC.replace("2048", "4096"))
    repository.spec("new", SPEC)
    commit(repository)
    return repository


def stand_in(github: GitHub, script: str) -> None:
    """A `modelctl` that is none: what only a failing or slow one shows."""
    file = github.scratch / "bin" / "modelctl"
    file.write_text(f"#!{sys.executable}\nimport pathlib, signal, sys, time\n{script}\n")
    file.chmod(0o755)


def planned(github: GitHub, **inputs: str) -> dict[str, str]:
    given = {"command": "plan", "base": "HEAD^1", "version": "installed", **inputs}
    return github.action(ROOT, given).outputs


def test_a_pull_request_has_one_comment_of_all_environments(
    repository: Project, github: Make
) -> None:
    run = github(changed(repository), **pull_request())
    outputs = planned(run, environments="dev, prod")
    assert outputs["exit-code"] == "0", run.log
    assert (outputs["changes"], outputs["pending"]) == ("true", '["dev", "prod"]')
    (comment,) = run.posted("comments", "7")
    assert comment["body"].startswith(f"{KEY}<!-- modelctl: plan dev -->\n")
    assert "<!-- modelctl: plan prod -->\n" in comment["body"]
    assert comment["body"] == KEY + Path(outputs["markdown"]).read_text()
    assert run.used == [f"actions/upload-artifact@{'bbbca2ddaa5d8feaa63e36b76fdaad77386f024f'}"]
    lying = {file.name for file in run.artifact("modelctl-job-plan-dev-prod").iterdir()}
    assert {"plan-dev.json", "plan-dev.html", "plan-dev.md", "plan-dev.xml", "all.md"} <= lying
    assert {call["token"] for call in run.calls()} == {"token-of-the-run"}


@pytest.mark.full
def test_the_next_push_updates_the_comment(repository: Project, github: Make) -> None:
    run = github(changed(repository), **pull_request())
    planned(run, environments="dev")
    first = run.posted("comments", "7")
    for filler in ("thanks", "looks good", f"{KEY} a quote by somebody else"):
        first.insert(0, {"id": len(first) + 1, "author": "somebody", "body": filler})
    (run.scratch / "gh" / "comments" / "7.json").write_text(json.dumps(first))
    repository.spec("moves", SPEC)
    (repository.root / "specs" / "new.yaml").unlink()
    commit(repository)
    planned(run, environments="dev", base="HEAD~2")
    *others, ours = run.posted("comments", "7")
    assert [one["body"] for one in others] == [one["body"] for one in first[:-1]]
    assert ours["id"] == first[-1]["id"]
    assert "### Plan for dev: nothing to do\n" in ours["body"], ours["body"]


@pytest.mark.full
def test_who_changes_nothing_gets_no_comment(repository: Project, github: Make) -> None:
    repository.write("README.md", "hello")
    commit(repository)
    run = github(repository, **pull_request())
    assert planned(run, environments="dev")["changes"] == "false"
    assert run.posted("comments", "7") == []


def test_a_wrong_spec_is_an_annotation_a_comment_and_a_failure(
    repository: Project, github: Make
) -> None:
    repository.spec("new", SPEC + "gpu: [H1000]\n")
    commit(repository)
    run = github(repository, **pull_request())
    given = {"command": "validate", "version": "installed", "comment": "failures"}
    outputs = run.action(ROOT, given).outputs
    assert (outputs["exit-code"], run.exit_code) == ("1", 1)
    (said,) = [line for line in commands(run.log) if line.startswith("::error")]
    assert said.startswith("::error file=specs/new.yaml,line=5,")
    (comment,) = run.posted("comments", "7")
    assert "H1000" in comment["body"]
    assert json.loads(Path(outputs["sarif"]).read_text())["version"] == "2.1.0"


@pytest.mark.full
def test_a_right_spec_is_no_comment(repository: Project, github: Make) -> None:
    run = github(repository, **pull_request())
    given = {"command": "validate", "version": "installed", "comment": "failures"}
    assert run.action(ROOT, given).outputs["exit-code"] == "0"
    assert run.posted("comments", "7") == []


@pytest.mark.full
def test_a_fork_is_planned_and_told_where_its_plan_is(repository: Project, github: Make) -> None:
    run = github(changed(repository), **pull_request(head="someone/models"))
    assert planned(run, environments="dev")["exit-code"] == "0"
    assert run.calls() == []
    assert (
        "::notice::no comment: the pull request comes from a fork, whose token may not write."
        in (run.log)
    )
    assert "<!-- modelctl: plan dev -->" in run.summary


@pytest.mark.parametrize(
    ("inputs", "code", "told"),
    [
        ({"comment": "on"}, 0, "::notice::no comment: the token may not write on pull requests; "
         "the job needs `permissions: pull-requests: write`. GitHub says: gh: Resource not "
         "accessible by integration (HTTP 403)"),
        ({"comment": "off", "issue": "Drift"}, 1, "::error::the job needs `permissions: issues: "
         "write`. GitHub says: gh: Resource not accessible by integration (HTTP 403)"),
    ],
)  # fmt: skip
def test_what_a_token_may_not_is_said(
    repository: Project, github: Make, inputs: dict[str, str], code: int, told: str
) -> None:
    run = github(repository, **pull_request())
    stand_in(run, "sys.exit(2)")
    planned(run, token="token-that-may-only-read", **inputs)
    assert (run.exit_code, commands(run.log)[-1]) == (code, told)


@pytest.mark.parametrize(
    ("text", "kept", "gone"),
    [
        ("| one | row |\n<details>\n" + "x" * 70_000 + "\n</details>\nend\n",
         "| one | row |\nend\n\n\n_What is left out here", "xxx"),
        ("line\n" * 20_000, "line\nline", "line\n" * 12_100),
    ],
)  # fmt: skip
def test_a_comment_is_no_longer_than_github_takes(
    repository: Project, github: Make, text: str, kept: str, gone: str
) -> None:
    run = github(repository, **pull_request())
    stand_in(
        run,
        "file = next(w[9:] for w in sys.argv if w.endswith('.md'))\n"
        f"pathlib.Path(file).write_text({text!r})\nsys.exit(2)",
    )
    planned(run)
    (comment,) = run.posted("comments", "7")
    assert len(comment["body"]) < 65_536
    assert kept in comment["body"] and gone not in comment["body"]
    assert comment["body"].endswith("is in the summary of the run and in its artifact._\n")


@pytest.mark.full
def test_a_folder_below_the_checkout_has_a_comment_of_its_own(
    repository: Project, github: Make
) -> None:
    inner = Project(repository.root / "infra" / "models")
    inner.write("modelctl.yaml", "project: inner\n")
    commit(repository)
    inner.spec("deep", SPEC)
    commit(repository)
    run = github(repository, **pull_request())
    outputs = planned(run, **{"working-directory": "infra/models", "what": "deep"})
    assert outputs["exit-code"] == "0", run.log
    (comment,) = run.posted("comments", "7")
    assert comment["body"].startswith("<!-- modelctl: comment infra/models -->\n")


HOSTILE = (
    "$(touch hacked)",
    "`touch hacked`",
    "';touch hacked;'",
    '"; touch hacked; "',
    "--report=hacked.md",
    "x\nexit-code=0\ntouch hacked",
    "x\r\n::error::hacked",
    "<<END\nhacked\nEND",
)
INPUTS = ("environments", "what", "base", "args", "working-directory", "policy", "plans", "version",
          "command", "python", "comment", "issue", "artifact", "confirm", "token")  # fmt: skip


def inert(repository: Project, github: Make, name: str, *values: str) -> None:
    run = github(repository, **pull_request())
    stand_in(run, "sys.exit(0)")
    for hostile in values:
        run.log = ""
        command = "apply" if name == "plans" else "plan"
        try:
            ended = run.action(
                ROOT, {"command": command, "version": "installed", "comment": "off", name: hostile}
            )
        except Refused:  # GitHub itself refuses such a name of an artifact
            assert name == "artifact"
            continue
        assert "::error::hacked" not in commands(run.log)
        assert ended.outputs["exit-code"] in ("", "0")
    assert not list(repository.root.glob("**/hacked*"))
    assert not list(run.scratch.glob("**/hacked*"))


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_are_words_and_never_code(repository: Project, github: Make, name: str) -> None:
    inert(repository, github, name, " ".join(HOSTILE))


@pytest.mark.full
@pytest.mark.parametrize("name", INPUTS)
def test_no_single_word_is_code(repository: Project, github: Make, name: str) -> None:
    inert(repository, github, name, *HOSTILE)


def test_what_comes_from_inputs_reaches_modelctl_as_it_was_written(
    repository: Project, github: Make
) -> None:
    run = github(repository)
    stand_in(run, 'pathlib.Path("seen").write_text(repr(sys.argv[1:]))')
    planned(
        run,
        environments="dev",
        base="$(id)'\"",
        what="specs/a b.yaml\n--yes\n",
        args="--prices workspace '--policy=a b'",
    )
    seen = (repository.root / "seen").read_text()
    assert "'--base=$(id)\\'\"', '--prices', 'workspace', '--policy=a b'" in seen
    assert seen.endswith("'--', 'specs/a b.yaml', '--yes']")


def test_what_is_said_of_a_spec_is_no_command_to_the_runner(
    repository: Project, github: Make
) -> None:
    run = github(repository)
    stand_in(run, 'print("::add-mask::a", file=sys.stderr); print("::error::spoken to the runner")')
    planned(run)
    assert [c for c in commands(run.log) if "group" not in c] == ["::error::spoken to the runner"]


@pytest.mark.parametrize("code", [0, 1, 3, 4, 5, 6, 64, 130])
def test_the_job_ends_with_the_code_of_modelctl(
    repository: Project, github: Make, code: int
) -> None:
    run = github(repository)
    stand_in(run, f"sys.exit({code})")
    assert planned(run)["exit-code"] == str(code)
    assert run.exit_code == code


def test_of_several_environments_the_gravest_counts(repository: Project, github: Make) -> None:
    codes = {"a": 2, "b": 1, "c": 5, "d": 6}
    run = github(repository)
    stand_in(run, f"sys.exit(next(c for e, c in {codes}.items() if f'--env={{e}}' in sys.argv))")
    outputs = planned(run, environments="a b\nc,d")
    assert (outputs["exit-code"], outputs["pending"]) == ("5", '["a"]')
    outputs = run.action(
        ROOT, {"command": "apply", "environments": "b c", "version": "installed"}
    ).outputs
    assert outputs["exit-code"] == "1", "what comes after a failed environment has to wait"


def test_a_cancelled_run_lets_modelctl_end_in_good_order(repository: Project, github: Make) -> None:
    run = github(repository)
    begun = repository.root / "begun"
    stand_in(
        run,
        "signal.signal(signal.SIGINT, lambda *_: sys.exit(130))\n"
        'pathlib.Path("begun").write_text("")\n'
        "time.sleep(60)",
    )

    def cancel() -> None:
        while not begun.exists():
            time.sleep(0.05)
        said = subprocess.run(["pgrep", "-f", f"{ROOT}/action run"], capture_output=True, text=True)
        for pid in said.stdout.split():
            inside = Path(f"/proc/{pid}/environ").read_bytes().decode()
            if str(run.scratch) in inside:
                os.kill(int(pid), signal.SIGINT)

    threading.Thread(target=cancel, daemon=True).start()
    assert planned(run)["exit-code"] == "130"


@pytest.mark.full
def test_modelctl_is_installed_at_its_pins_once_a_job(repository: Project, github: Make) -> None:
    run = github(repository)
    (run.scratch / "bin" / "modelctl").unlink()
    home = run.scratch / "temp" / "modelctl-source"
    made = set()
    for _ in range(2):
        ended = run.action(ROOT, {"command": "validate", "version": "source", "artifact": "off"})
        assert ended.outputs["exit-code"] == "0", run.log
        made.add((home / "bin" / "modelctl").stat().st_mtime_ns)
    assert len(made) == 1, "the second step of a job installs nothing"
    assert run.used == []
    asked = [home / "bin" / "python", "-m", "pip", "list", "--format=json"]
    listed = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    there = {canonicalize_name(one["name"]): one["version"] for one in listed}
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", PINS.read_text(), flags=re.MULTILINE))
    for own in ("pip", "setuptools", "modelctl"):
        there.pop(own, None)
    assert there and there.items() <= pinned.items()


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("latest; touch hacked", "version 'latest; touch hacked' is none: a number like 0."),
        ("installed", "version is `installed`, but there is no modelctl on PATH"),
    ],
)
def test_what_cannot_be_installed_is_said(
    repository: Project, github: Make, version: str, told: str
) -> None:
    run = github(repository, variables={"PATH": "/usr/bin:/bin"})
    given = {"command": "validate", "version": version, "python": sys.executable}
    assert not run.action(ROOT, given).ok
    assert f"::error::{told}" in run.log
    assert run.exit_code == 64


def test_an_old_python_is_told_so() -> None:
    script = "import runpy, sys; sys.version_info = (3, 10, 0); sys.argv[1:] = ['run'];"
    done = subprocess.run(
        [sys.executable, "-c", f"{script} runpy.run_path({str(ROOT / 'action')!r})"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr.strip()) == (
        1,
        "::error::modelctl needs Python 3.11 or later; the input `python` names one",
    )
