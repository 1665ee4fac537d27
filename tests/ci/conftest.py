"""A repository of specs on GitHub, as the tests of the Action have it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ci.runner import ROOT, GitHub
from tests.cli.test_new_since import commit, git
from tests.conftest import Project, place_model

SPEC = "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\n"
RUNS = """\
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: llama.cpp
context: 512
gpu: none
rollout: {gate: none}
"""
"""A spec whose engine runs here."""
PROJECT = "project: team\nenvironments:\n  dev: {}\n  prod: {confirm: true}\n"

Make = Callable[..., GitHub]


def modelctl_of_the_checkout(scratch: Path) -> None:
    """Put `modelctl` on PATH, as `version: installed` expects it."""
    file = scratch / "bin" / "modelctl"
    file.write_text(
        f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -P -m modelctl "$@"\n',
        encoding="utf-8",
    )
    file.chmod(0o755)


def live_repository(
    live: Project, gguf: Path, name: str, environment: str, ignored: str = ".modelctl/\n"
) -> Project:
    """A repository whose main has one spec and one environment, with a plane for Modal."""
    place_model(gguf, live)
    live.write(".gitignore", ignored)
    live.write("modelctl.yaml", f"project: team\nenvironments:\n  {environment}: {{}}\n")
    live.spec(name, RUNS)
    git(live.root, "init", "-q", "-b", "main")
    commit(live)
    return live


@pytest.fixture
def repository(project: Project) -> Project:
    """Two environments and three specs on main; the last commit changes one and adds one."""
    project.write("modelctl.yaml", PROJECT)
    git(project.root, "init", "-q", "-b", "main")
    for name in ("moves", "stays", "scales"):
        project.spec(name, SPEC)
    commit(project)
    return project


@pytest.fixture
def github(tmp_path_factory: pytest.TempPathFactory) -> Make:
    def make(project: Project, **how: Any) -> GitHub:
        made = GitHub(project.root, tmp_path_factory.mktemp("github"), **how)
        modelctl_of_the_checkout(made.scratch)
        return made

    return make


def pull_request(number: int = 7, head: str = "acme/models", sha: str = "abc") -> dict[str, Any]:
    """The event of a pull request; `head` is the repository that it comes from."""
    return {
        "event_name": "pull_request",
        "event": {"pull_request": {"number": number, "head": {"repo": {"full_name": head},
                                                              "sha": sha}}},
    }  # fmt: skip
