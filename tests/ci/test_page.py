"""Do the snippets of docs/ci.md work? Held against each CI's published schema, and executed."""

from __future__ import annotations

import http.server
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from modelctl import __version__
from modelctl.local import lifecycle
from tests.ci.conftest import RUNS, live_repository
from tests.ci.runner import ROOT, read
from tests.cli.test_new_since import git
from tests.conftest import Project
from tests.docs.pages import Block, blocks_of, text_of

PAGE = ROOT / "docs" / "ci.md"
BLOCKS = {
    title[1]: block
    for block in blocks_of(PAGE)
    if (title := re.search(r'title="([^"]+)"', block.about))
}
SCHEMAS = {
    ".github/workflows/models.yml": "vendor.github-workflows",
    ".github/workflows/models-comment.yml": "vendor.github-workflows",
    ".github/workflows/own.yml": "vendor.github-workflows",
    ".gitlab-ci.yml": "vendor.gitlab-ci",
    ".buildkite/pipeline.yml": "vendor.buildkite",
    ".circleci/config.yml": "vendor.circle-ci",
}
BIN = Path(sys.executable).parent


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_snippet_follows_the_schema_of_its_ci(name: str, tmp_path: Path) -> None:
    file = tmp_path / Path(name).name
    file.write_text(BLOCKS[name].text)
    check = [BIN / "check-jsonschema", "--builtin-schema", SCHEMAS[name], file]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_hooks_are_configured_as_pre_commit_takes_it(tmp_path: Path) -> None:
    file = tmp_path / ".pre-commit-config.yaml"
    file.write_text(BLOCKS[file.name].text)
    subprocess.run([BIN / "pre-commit", "validate-config", file], check=True)
    (repo,) = yaml.safe_load(file.read_text())["repos"]
    known = {one["id"] for one in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
    assert {one["id"] for one in repo["hooks"]} == known


def test_the_workflows_are_what_init_writes() -> None:
    for name in ("models", "models-comment"):
        packaged = ROOT / "modelctl" / "starter" / f"github{name[6:]}-workflow.yml"
        shown = BLOCKS[f".github/workflows/{name}.yml"].text
        assert shown == packaged.read_text().replace(
            'environments: ""', 'environments: "staging prod"'
        )


def test_every_version_on_the_page_is_this_one() -> None:
    found = re.findall(r"(?:modelctl[\w./-]*@v|modelctl==|rev: v)([\w.]+)", text_of(PAGE))
    assert len(found) > 10
    assert set(found) == {__version__}


def test_every_input_and_output_of_the_action_is_on_the_page() -> None:
    action, text = read(ROOT / "action.yml"), text_of(PAGE)
    rows = "\n".join(line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `"))
    for name in (*action["inputs"], *action["outputs"]):
        assert f"`{name}`" in rows, name


# -- what their commands do


def scripts(block: Block) -> list[str]:
    """The commands of a snippet in the order in which its CI runs them."""
    if block.language == "bash":
        return block.text.splitlines()
    if block.language == "groovy":
        return re.findall(r"\bsh '([^']+)'", block.text)
    found = yaml.safe_load(block.text)
    if "steps" in found:  # Buildkite: at its upload two dollar signs become one
        return [c.replace("$$", "$") for s in found["steps"] if isinstance(s, dict)
                for c in s.get("commands", [])]  # fmt: skip
    if "executors" in found:
        return [s["run"] for job in found["jobs"].values() for s in job["steps"]
                if isinstance(s, dict) and "run" in s]  # fmt: skip
    return [c for job in found.values() if isinstance(job, dict) for c in job.get("script", [])]


class _Notes(http.server.BaseHTTPRequestHandler):
    said: list[tuple[str, str, str]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.said.append((self.path, self.headers["PRIVATE-TOKEN"], body))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def notes() -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """What stands for GitLab's API: its address, and the notes that it was sent."""
    said: list[tuple[str, str, str]] = []
    handler = type("Notes", (_Notes,), {"said": said})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api/v4", said
    server.shutdown()


@pytest.fixture(scope="module")
def team(live: Project, gguf: Path) -> Project:
    """A clone of a repository with an environment prod, whose Modal is the local plane."""
    ignored = ".modelctl/\nmodels/\n*.xml\n*.md\n*.html\n*.sarif\n*.plan\n"
    live_repository(live, gguf, "on-page", "prod", ignored)
    git(live.root, "remote", "add", "origin", str(live.root))
    subprocess.run(
        [sys.executable, "-m", "modal", "environment", "create", "prod"],
        env={**os.environ, **lifecycle.environ(live.plane)},
        check=True,
        capture_output=True,
    )
    return live


SNIPPETS = [
    pytest.param(block, id=title[1] if (title := re.search('"(.+)"', block.about)) else block.place)
    for block in blocks_of(PAGE)
    if block.language in ("bash", "groovy")
    or ("title=" in block.about and re.search(r"\.(gitlab-ci|buildkite|circleci)\b", block.about))
]


@pytest.mark.full
@pytest.mark.parametrize("block", SNIPPETS)
def test_the_commands_of_a_snippet_run(
    block: Block, team: Project, tmp_path: Path, notes: tuple[str, list[tuple[str, str, str]]]
) -> None:
    git(team.root, "checkout", "-q", "-f", "-B", f"change-{block.line}", "main")
    team.spec("on-page", RUNS + f"labels: {{page: '{block.line}'}}\n")
    git(team.root, "commit", "-qam", "a change")
    git(team.root, "fetch", "-q", "origin")
    base = subprocess.run(
        ["git", "rev-parse", "main"], cwd=team.root, capture_output=True, text=True
    )
    (tmp_path / "bin").mkdir()
    agent = tmp_path / "bin" / "buildkite-agent"  # a stub: it takes what it is given
    agent.write_text('#!/bin/sh\nif [ "$1" = annotate ]; then grep -q "### Plan"; fi\n')
    agent.chmod(0o755)
    modelctl = tmp_path / "bin" / "modelctl"
    modelctl.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -P -m modelctl "$@"\n')
    modelctl.chmod(0o755)
    given = {
        "BASE": base.stdout.strip(),
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": base.stdout.strip(),
        "CHANGE_TARGET": "main",
        "BUILDKITE_PULL_REQUEST_BASE_BRANCH": "main",
        "NOTES_TOKEN": "token-for-notes",
        "CI_API_V4_URL": notes[0],
        "CI_PROJECT_ID": "12",
        "CI_MERGE_REQUEST_IID": "34",
    }
    commands = scripts(block)
    assert len([c for c in commands if c.startswith("modelctl ")]) >= 2
    for text in commands:
        if "pip install" in text:
            continue
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", text],
            cwd=team.root,
            env={"HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
                 "MODAL_CONFIG_PATH": "/nonexistent", **lifecycle.environ(team.plane), **given},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}: {done.stdout}{done.stderr}"
        for report in re.findall(r"--report (\S+)", text):
            assert (team.root / report).stat().st_size > 0, text
    if "gitlab" in block.about:
        ((path, token, body),) = notes[1]
        assert (path, token) == (
            "/api/v4/projects/12/merge_requests/34/notes",
            "token-for-notes",
        )
        assert "### Plan for prod" in body
