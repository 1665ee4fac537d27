"""The pages about the local control plane say what the code says."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from modelctl.local.assumptions import ASSUMPTIONS, Assumption
from tests.local.conftest import Client

DOCS = Path(__file__).parents[2] / "docs"

OPENING = """\
# What the local control plane assumes of Modal

After this page you know which behaviour of the plane to trust less than the rest: rules of Modal's
that it follows without anybody having been able to check them, and where it differs on purpose.
Each row says what is assumed and how one would notice on Modal that it is wrong.

This page is written from `modelctl/local/assumptions/`.
"""


def table(rows: list[Assumption]) -> str:
    lines = ["| rule | assumed here | how it would show on Modal |", "| --- | --- | --- |"]
    lines += [f"| {row.rule} | {row.assumed} | {row.shows} |" for row in rows]
    return "\n".join(lines)


def test_the_page_of_assumptions_is_the_table_of_the_code() -> None:
    unverified = [row for row in ASSUMPTIONS if not row.deliberate]
    deliberate = [row for row in ASSUMPTIONS if row.deliberate]
    page = (
        f"{OPENING}\n## Unverified\n\n{table(unverified)}\n\n"
        f"## Different on purpose\n\n{table(deliberate)}\n"
    )
    path = DOCS / "local-assumptions.md"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(page, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == page


def test_no_rule_is_assumed_twice() -> None:
    rules = [row.rule for row in ASSUMPTIONS]
    assert len(rules) == len(set(rules))
    for row in ASSUMPTIONS:
        assert row.rule.endswith("?")
        assert row.assumed and row.shows
        assert "|" not in row.rule + row.assumed + row.shows


@pytest.mark.full
def test_the_commands_of_the_page_work(own_client: Client) -> None:
    """Those on how to steer a plane, in their order, on one that runs."""
    page = (DOCS / "local-control-plane.md").read_text(encoding="utf-8")
    lines = re.findall(r"^modelctl local (?!down)(.+?)(?: +#.*)?$", page, re.MULTILINE)
    assert len(lines) > 12
    for line in lines:
        done = subprocess.run(
            [sys.executable, "-m", "modelctl", "local", *shlex.split(line)],
            cwd=own_client.folder,
            env=os.environ | {"MODELCTL_LOCAL_DIR": str(own_client.plane.state_dir)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"modelctl local {line}: {done.stdout}{done.stderr}"
