"""Does one run write what everybody reads, wherever it ends? The real commands, with no account."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from modelctl.cli import run
from tests.cli.test_base import SPEC, in_git
from tests.cli.test_fleet import QUIET, by_hand
from tests.cli.test_new_since import git
from tests.conftest import Project, Ran
from tests.outputs import holds, holds_where_printed
from tests.views.test_github import commands
from tests.views.test_junit import shape
from tests.views.test_sarif import shape as sarif_shape

WRONG = SPEC.replace("context", "contxt")


Quick = Callable[..., Ran]


@pytest.fixture
def quick(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Quick:
    """The command line in this process, in the project's folder: what is written is the same."""
    monkeypatch.chdir(project.root)
    for name in ("NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)

    def command(*words: str, **variables: str) -> Ran:
        with monkeypatch.context() as there:
            for name, value in variables.items():
                there.setenv(name, value)
            code = run(list(words))
        out, err = capsys.readouterr()
        holds_where_printed(words, out)
        return Ran(code, out, err)

    return command


def xml(text: str) -> ET.Element:
    shape().validate(text)
    (suite,) = ET.fromstring(text.encode())
    return suite


def test_one_run_writes_every_format_and_they_say_the_same(project: Project) -> None:
    in_git(project)
    project.spec("moves", SPEC.replace("2048", "4096"))
    base = ("plan", "--base", "main")
    reports = [f"--report={name}" for name in ("p.md", "p.json", "p.xml", "p.html")]
    ran = project.run(*base, *reports)
    assert ran.code == 0, ran.err
    assert "± moves  redeploy   context 2048 → 4096" in ran.out
    written = {p.suffix: p.read_text() for p in project.root.glob("p.*")}
    for output, suffix in (("json", ".json"), ("markdown", ".md"), ("junit", ".xml")):
        assert project.run(*base, "--output", output).out == written[suffix]
    assert "| ± | **moves** | redeploy | `context` 2048 → 4096 |" in written[".md"]
    moved = xml(written[".xml"]).find("testcase[@name='moves']/system-out")
    assert moved is not None and moved.text == "redeploy: context 2048 → 4096"
    (change,) = (c for c in json.loads(written[".json"])["changes"] if c["action"] != "unchanged")
    assert change["fields"] == [{"path": "context", "before": 2048, "after": 4096}]


@pytest.mark.parametrize("command", ["validate", "plan", "apply", "status"])
@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("plan.pdf", "plan.pdf: the suffix says how, one of .json, "),
        ("nowhere/plan.md", "nowhere/plan.md: there is no folder nowhere"),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_anything_is_done(
    project: Project, quick: Quick, command: str, file: str, said: str
) -> None:
    project.spec("wrong", WRONG)
    ran = quick(command, "--report", file)
    assert ran.code == 64
    assert said in ran.err and "contxt" not in ran.err


def test_where_a_spec_is_wrong_each_format_says_so(project: Project, quick: Quick) -> None:
    project.spec("wrong", WRONG)
    for command in (("plan", "--base", "main"), ("apply", "--yes")):
        name = command[0]
        files = [f"--report={name}.{suffix}" for suffix in ("md", "json", "xml")]
        ran = quick(*command, *files, "--output", "github")
        assert ran.code == 1
        assert "specs/wrong.yaml:4:1 error spec/unknown-field" in ran.err
        (note,) = commands(ran.out)
        assert note == (
            "error",
            {
                "file": "specs/wrong.yaml",
                "line": "4",
                "col": "1",
                "endColumn": "6",
                "title": "spec/unknown-field",
            },
            "contxt: no such field; did you mean context?",
        )
        text = (project.root / f"{name}.md").read_text()
        assert text.splitlines()[0] == f"<!-- modelctl: {name} -->"
        assert text.splitlines()[1].endswith(": rejected, 1 error")
        assert (
            "| **error** | `specs/wrong.yaml:4` | `spec/unknown-field` contxt: no such field; did "
            "you mean context? |" in text
        )
        data = json.loads((project.root / f"{name}.json").read_text())
        assert "changes" not in data
        assert (data["exit_code"], data["error"]) == (1, None)
        assert [d["code"] for d in data["diagnostics"]] == ["spec/unknown-field"]
        suite = xml((project.root / f"{name}.xml").read_text())
        assert suite.attrib["failures"] == "1"


def test_where_there_is_nobody_to_ask_each_format_says_so(project: Project, quick: Quick) -> None:
    project.spec("chat", SPEC)
    for command in ("plan", "apply", "status"):
        files = [f"--report={command}.{suffix}" for suffix in ("json", "xml")]
        ran = quick(command, "--local", *files, "--output", "markdown")
        assert ran.code == 6, ran.err
        assert ran.out.splitlines()[0] == f"<!-- modelctl: {command} local -->"
        assert "> no local control plane runs here; start one: modelctl local up" in ran.out
        data = json.loads((project.root / f"{command}.json").read_text())
        assert data["exit_code"] == 6
        assert data["environment"] == "local"
        assert data["error"]["message"] == (
            "no local control plane runs here; start one: modelctl local up"
        )
        suite = xml((project.root / f"{command}.xml").read_text())
        assert suite.attrib["errors"] == "1"


def test_without_credentials_the_comment_of_the_environment_says_so(project: Project) -> None:
    project.write("modelctl.yaml", "project: team\nenvironments: {prod: {}}\n")
    project.spec("chat", SPEC)
    ran = project.run("plan", "--output", "markdown")
    assert ran.code == 6
    assert ran.out.splitlines()[:2] == [
        "<!-- modelctl: plan prod -->",
        "### Plan for prod: it could not go on",
    ]


def test_a_base_that_git_does_not_have_is_said_in_the_comment(
    project: Project, quick: Quick
) -> None:
    in_git(project)
    ran = quick("plan", "--base", "nothing", "--output", "markdown")
    assert ran.code == 64
    assert (
        "> --base nothing: git has no such commit here; in CI the checkout may be too shallow"
        in ran.out
    )


def test_a_project_file_that_is_wrong_is_said_by_validate_in_each_format(
    project: Project, quick: Quick
) -> None:
    project.write("modelctl.yaml", "projct: team\n")
    project.spec("chat", SPEC)
    ran = quick("validate", "--output", "sarif", "--report", "v.md", "--report", "v.xml")
    assert ran.code == 1
    log = json.loads(ran.out)
    sarif_shape().validate(log)
    (found,) = log["runs"][0]["results"]
    assert found["ruleId"] == "spec/unknown-field"
    assert "`modelctl.yaml:1`" in (project.root / "v.md").read_text()
    assert xml((project.root / "v.xml").read_text()).attrib["failures"] == "1"


def test_sarif_of_validate_is_what_is_published(project: Project, quick: Quick) -> None:
    project.spec("wrong", WRONG)
    project.spec("open", SPEC + "endpoint: {auth: none}\n")
    ran = quick("validate", "--report", "v.sarif", "--output", "junit")
    log = json.loads((project.root / "v.sarif").read_text())
    sarif_shape().validate(log)
    levels = {r["ruleId"]: r["level"] for r in log["runs"][0]["results"]}
    assert levels["spec/unknown-field"] == "error"
    assert {c.attrib["name"] for c in xml(ran.out).iter("testcase")} == {
        "specs/wrong.yaml",
        "specs/open.yaml",
    }


def test_a_file_that_cannot_be_written_is_said_and_is_an_error(project: Project) -> None:
    in_git(project)
    project.write("p.md", "").chmod(0o400)
    ran = project.run("plan", "--base", "main", "--report", "p.md", without_privileges=True)
    assert (ran.code, ran.err) == (1, "error: p.md could not be written: Permission denied\n")
    assert "Nothing to do." in ran.out


# -- GitHub


def subproject(project: Project) -> Project:
    """A project in a folder of a repository."""
    git(project.root, "init", "-q", "-b", "main")
    inner = Project(project.root / "models team")
    inner.write("modelctl.yaml", "project: team\n")
    inner.spec("wrong", WRONG)
    return inner


def test_annotations_name_files_from_the_top_of_the_repository(project: Project) -> None:
    inner = subproject(project)
    for env in ({}, {"GITHUB_WORKSPACE": str(project.root)}):
        ran = inner.run("validate", "--output", "github", env=env)
        ((_, properties, _),) = commands(ran.out)
        assert properties["file"] == "models team/specs/wrong.yaml"
    log = json.loads(inner.run("validate", "--output", "sarif").out)
    (found,) = log["runs"][0]["results"]
    place = found["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "models%20team/specs/wrong.yaml", "uriBaseId": "%SRCROOT%"}
    assert inner.run("validate", "--output", "json").json["diagnostics"][0]["file"] == (
        "specs/wrong.yaml"
    )


def test_the_summary_of_a_step_gets_the_comment_once_a_run(project: Project, quick: Quick) -> None:
    project.spec("wrong", WRONG)
    summary = project.root / "summary.md"
    env = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_ACTIONS": "true"}
    comment = quick("validate", "--output", "markdown").out
    for _ in range(2):
        assert quick("validate", "--output", "github", **env).code == 1
    assert summary.read_text() == f"{comment}\n" * 2
    summary.write_text("x" * (1024 * 1024 - 900))
    quick("validate", "--output", "github", **env)
    assert 0 < summary.stat().st_size <= 1024 * 1024


def test_a_summary_that_cannot_be_written_is_an_error(project: Project, quick: Quick) -> None:
    project.spec("right", SPEC)
    assert quick("validate", "--output", "github").code == 0
    ran = quick("validate", "--output", "github", GITHUB_STEP_SUMMARY="nowhere/summary.md")
    assert ran.code == 1
    assert "error: nowhere/summary.md could not be written: No such file or directory" in ran.err


def test_no_value_of_a_spec_can_give_a_runner_a_command(project: Project, quick: Quick) -> None:
    evil = '"\\n::set-output name=a::b\\n##[add-path]/tmp"'
    project.spec("evil", SPEC + f"labels: {{team: {evil}}}\n{evil}: 1\n")
    env = {"GITHUB_ACTIONS": "true"}
    for output in ("human", "github", "markdown"):
        ran = quick("validate", "--output", output, **env)
        assert ran.code == 1
        obeyed = {name for text in (ran.err, ran.out) for name, _, _ in commands(text)}
        assert obeyed <= ({"error", "warning", "notice"} if output == "github" else set())


# -- colour


@pytest.mark.parametrize("command", ["validate", "plan", "apply", "status"])
def test_colour_is_for_terminals_and_for_who_asks(
    project: Project, quick: Quick, command: str
) -> None:
    project.spec("open", SPEC + "endpoint: {auth: none}\n")
    if command != "status":  # which shows the others then
        project.spec("wrong", WRONG)

    def coloured(*words: str, **variables: str) -> bool:
        ran = quick(command, "--local", *words, **variables)
        return "\x1b" in (ran.out if words else ran.out + ran.err)

    assert not coloured()
    # Without a plane status has one sentence.
    assert coloured(FORCE_COLOR="1") is (command != "status")
    for output in ("json", "markdown", "github", "junit"):
        assert not coloured("--output", output, FORCE_COLOR="1")
    assert not coloured(FORCE_COLOR="1", NO_COLOR="1")


# -- what was done


@pytest.mark.full
def test_an_apply_that_fails_is_a_comment_tests_and_annotations(live: Project) -> None:
    by_hand(
        live,
        "import modal; modal.Volume.objects.create('shelf');"
        "modal.Secret.objects.create('half', {'ONE': '1'})",
    )
    live.spec("reports-good", QUIET)
    live.spec("reports-bad", QUIET + "secrets: {half: [OTHER]}\n")
    files = [f"--report=a.{suffix}" for suffix in ("md", "xml", "json")]
    ran = live.run("apply", "--local", "--yes", *files, "--output", "github")
    assert ran.code == 4
    data = json.loads((live.root / "a.json").read_text())
    holds("apply", (live.root / "a.json").read_text())
    detail = {o["name"]: o["detail"] for o in data["outcomes"]}["reports-bad"]
    assert "OTHER" in detail
    comment = (live.root / "a.md").read_text()
    assert comment.splitlines()[:1] == ["<!-- modelctl: apply local -->"]
    assert "### Apply to local: 1 applied, 1 failed · " in comment
    assert "| ✘ | **reports-bad** | create |" in comment
    assert "| ✔ | **reports-good** | create | v1 |" in comment
    suite = xml((live.root / "a.xml").read_text())
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "1")
    failure = suite.find("testcase[@name='reports-bad']/failure")
    assert failure is not None and failure.attrib["message"] == detail
    notes = [(kind, p["title"], p["file"]) for kind, p, _ in commands(ran.out) if "title" in p]
    assert ("error", "reports-bad failed", "specs/reports-bad.yaml") in notes

    again = live.run("apply", "reports-good", "--local", "--yes", "--output", "markdown")
    assert again.code == 0
    assert again.out.splitlines()[1] == "### Apply to local: nothing to do"

    seen = live.run("status", "--local", "--report", "s.xml", "--report", "s.md")
    assert "reports-good" in seen.out
    assert "| **reports-good** | in sync | asleep | 0 of 0..∞" in (live.root / "s.md").read_text()
    assert {c.attrib["name"] for c in xml((live.root / "s.xml").read_text()).iter("testcase")} == {
        "reports-good",
        "reports-bad",
    }
