"""Is an environment changed only by who means it? Its workspace, and its name said aloud."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from tests.cli.test_fleet import QUIET
from tests.conftest import Project, Ran

pytestmark = pytest.mark.full

PROJECT = """\
project: team
environments:
  prod: {modal_environment: main, workspace: acme, confirm: true}
"""


def signed_in(project: Project, workspace: str) -> dict[str, str]:
    """The variables that point any Modal program at a workspace of the plane."""
    ran = project.run("local", "env", "--workspace", workspace)
    assert ran.code == 0, ran.err
    exports = [line.removeprefix("export ") for line in ran.out.splitlines() if "=" in line]
    return dict(shlex.split(line)[0].split("=", 1) for line in exports)


@pytest.fixture(scope="module")
def pinned(live: Project) -> Project:
    made = "import modal; modal.Volume.objects.create('shelf')"
    subprocess.run([sys.executable, "-c", made], env=signed_in(live, "acme"), check=True)
    live.write("modelctl.yaml", PROJECT)
    live.spec("pinned", QUIET)
    return live


def apply(project: Project, workspace: str, *arguments: str) -> Ran:
    return project.run("apply", "--env", "prod", *arguments, env=signed_in(project, workspace))


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_credentials_of_another_workspace_see_and_change_nothing(
    pinned: Project, command: str
) -> None:
    ran = pinned.run(command, "--env", "prod", env=signed_in(pinned, "local"))
    assert (ran.code, ran.out, ran.err.splitlines()) == (
        6,
        "",
        [
            "error: the credentials are of the workspace local, and prod is in acme",
            "help: use a token of acme, or change workspace in modelctl.yaml",
        ],
    )


def test_an_environment_that_asks_for_it_is_changed_only_with_its_name(pinned: Project) -> None:
    ran = apply(pinned, "acme", "--yes")
    assert (ran.code, ran.err.splitlines()[-2]) == (
        64,
        "error: modelctl.yaml says confirm for prod: say --confirm prod too",
    )
    ran = apply(pinned, "acme", "--yes", "--confirm", "staging")
    assert ran.code == 64
    ran = apply(pinned, "acme")
    assert (ran.code, ran.err.splitlines()[-2]) == (
        64,
        "error: there is no terminal to ask on: say --yes --confirm prod",
    )
    assert pinned.run("plan", "--env", "prod", env=signed_in(pinned, "acme")).out.endswith(
        "Plan: 1 create.\n"
    )
    ran = apply(pinned, "acme", "--yes", "--confirm", "prod")
    assert ran.code == 0, ran.out + ran.err


def test_how_long_to_wait_is_a_duration(pinned: Project) -> None:
    ran = apply(pinned, "acme", "--wait", "5x")
    assert (ran.code, ran.err.splitlines()[0]) == (
        64,
        "error: Invalid value for '--wait': 5x is no duration: 90s, 20m, 1h",
    )
