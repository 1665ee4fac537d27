"""Are the files for GitHub what GitHub takes, and what a careful reader of them would let pass?"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelctl import __version__
from scripts.release_check import wrong
from tests.ci.runner import OWN, ROOT, read

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
STARTERS = sorted((ROOT / "modelctl" / "starter").glob("github-*.yml"))
ACTIONS = [ROOT / "action.yml", ROOT / "comment" / "action.yml"]
BIN = Path(sys.executable).parent


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def checked(*words: object, **variables: str) -> None:
    done = subprocess.run(
        [str(word) for word in words],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def steps(file: Path) -> Iterator[dict[str, Any]]:
    found = read(file)
    if "runs" in found:
        yield from found["runs"]["steps"]
    for job in found.get("jobs", {}).values():
        yield job
        yield from job.get("steps", [])


def test_they_follow_the_published_schemas() -> None:
    check = [BIN / "check-jsonschema", "--builtin-schema"]
    checked(*check, "vendor.github-workflows", *WORKFLOWS, *STARTERS)
    checked(*check, "vendor.github-actions", *ACTIONS)


def test_a_search_for_injection_permissions_and_pins_finds_nothing() -> None:
    """zizmor, with its strictest rules; offline, because what it would fetch changes."""
    zizmor = [BIN / "zizmor", "--offline", "--persona", "pedantic", "--config", "zizmor.yml"]
    checked(*zizmor, *WORKFLOWS, *STARTERS, *ACTIONS)


@pytest.mark.parametrize("file", [*WORKFLOWS, *STARTERS, *ACTIONS], ids=name)
def test_no_expression_stands_in_a_script(file: Path) -> None:
    assert not [one["run"] for one in steps(file) if "${{" in one.get("run", "")]


@pytest.mark.parametrize("file", [*WORKFLOWS, *STARTERS, *ACTIONS], ids=name)
def test_others_are_pinned_by_hash_and_ours_by_this_version(file: Path) -> None:
    for one in steps(file):
        if "uses" not in one or one["uses"].startswith("./"):
            continue
        where, _, pin = one["uses"].partition("@")
        if where.startswith(OWN):
            assert pin == f"v{__version__}", f"{where}@{pin}: this is {__version__}"
        else:
            assert re.fullmatch(r"[0-9a-f]{40}", pin), one["uses"]
            assert where.startswith("actions/"), f"{where}: GitHub's own actions alone"


@pytest.mark.parametrize("file", [*WORKFLOWS, *STARTERS], ids=name)
def test_a_workflow_begins_with_no_permissions(file: Path) -> None:
    found = read(file)
    assert found["permissions"] == {}
    assert all("permissions" in job for job in found["jobs"].values())
    assert "pull_request_target" not in found["on"]


def test_scripts_of_the_shell_are_right() -> None:
    shellcheck = BIN / "shellcheck"
    checked(shellcheck, ROOT / ".ci" / "run", ROOT / "scripts" / "system-packages")
    for file in (*WORKFLOWS, *ACTIONS):
        for one in steps(file):
            if "run" in one:
                done = subprocess.run(
                    [shellcheck, "--shell=bash", "--exclude=SC2154", "-"],
                    input=one["run"],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                assert done.returncode == 0, f"{name(file)}: {done.stdout}"


def test_every_input_of_the_action_is_described_and_used() -> None:
    for file in ACTIONS:
        found, text = read(file), file.read_text()
        for one, said in found["inputs"].items():
            assert said["description"].endswith("."), one
            assert re.search(rf"\$\{{\{{ inputs\.{one} \}}\}}|inputs\.{one} !=", text), one


def test_a_release_is_what_its_tag_says() -> None:
    told = f"# Changelog\n\n## {__version__} (a day)\n"
    assert wrong(f"v{__version__}", told) is None
    assert wrong("v9.9.9", told) == f"the tag is v9.9.9, the version v{__version__}"
    assert wrong(f"v{__version__}", "## Unreleased\n") == (
        f"CHANGELOG.md has no heading `## {__version__}`"
    )


def test_the_hooks_are_what_pre_commit_takes() -> None:
    checked(BIN / "pre-commit", "validate-manifest", ROOT / ".pre-commit-hooks.yaml")
