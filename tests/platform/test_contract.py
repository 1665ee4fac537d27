"""Does a Platform behave as the rest of modelctl takes for granted? The catalogue is in cases.py.

Against the local control plane, through the real SDK; `pytest tests/platform --modal` asks Modal.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.platform.cases import CASES
from tests.platform.conftest import Contract, table


@pytest.mark.parametrize("case", CASES)
def test_the_contract_holds(contract: Contract, case: str) -> None:
    contract.holds(case)


def test_here_the_assumptions_hold(contract: Contract, request: pytest.FixtureRequest) -> None:
    """On Modal they are printed instead: modelctl works either way."""
    if not request.config.getoption("modal", False):
        assert [question for question, held in contract.answers.items() if not held] == []


def test_what_was_seen_of_assumptions_is_a_table() -> None:
    rows = table(
        {"Do tags come back with a rollback?": False, "What does a revoked token get?": True}
    )
    assert rows[:3] == [
        "DID NOT HOLD  Do tags come back with a rollback?",
        "              assumed: No: tags belong to the app and stay as they were last set.",
        "held          What does a revoked token get?",
    ]
    assert rows[-1].endswith(" more were not looked at: docs/local-assumptions.md")


def test_without_credentials_modal_is_not_asked(tmp_path: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MODAL_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "tests/platform", "--modal"],
        env={**kept, "MODAL_CONFIG_PATH": str(tmp_path / "none.toml")},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert done.stderr.strip() == (
        "ERROR: --modal needs a Modal account: run modal setup, or set MODAL_TOKEN_ID and "
        "MODAL_TOKEN_SECRET"
    )
