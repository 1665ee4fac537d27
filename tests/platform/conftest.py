"""Against what does the contract run? The local control plane, or with --modal Modal itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from modelctl.local import lifecycle
from modelctl.local.assumptions import ASSUMPTIONS
from tests.local.conftest import sdk_environment

SEEN: dict[str, bool] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--modal", action="store_true", help="Run the platform's contract against Modal itself."
    )


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("modal", False):
        return
    from modal.config import config as theirs

    if not (theirs.get("token_id") and theirs.get("token_secret")):
        raise pytest.UsageError(
            "--modal needs a Modal account: run modal setup, or set MODAL_TOKEN_ID and "
            "MODAL_TOKEN_SECRET"
        )


@dataclass
class Contract:
    """The process that runs cases."""

    worker: subprocess.Popen[str]
    answers: dict[str, bool] = field(default_factory=dict)

    def heard(self) -> Mapping[str, Any]:
        assert self.worker.stdout is not None
        line = self.worker.stdout.readline()
        assert line, "the process that runs the cases ended"
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    def holds(self, case: str) -> None:
        assert self.worker.stdin is not None
        print(case, file=self.worker.stdin, flush=True)
        answer = self.heard()
        self.answers.update(answer["answers"])
        assert not answer["error"], answer["error"]


@pytest.fixture(scope="session")
def contract(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Contract]:
    folder = tmp_path_factory.mktemp("contract")
    on_modal = request.config.getoption("modal", False)
    try:
        variables = dict(os.environ)
        if not on_modal:
            variables = sdk_environment(lifecycle.up(folder / "state"))
        with subprocess.Popen(
            [sys.executable, "-m", "tests.platform.worker"],
            env=variables,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for who reads: this one cleans up
        ) as worker:
            made = Contract(worker)
            began = made.heard()
            assert not began["error"], began["error"]
            yield made
            SEEN.update(made.answers)
            assert worker.stdin is not None
            worker.stdin.close()
            assert worker.wait(600) == 0, "something was left behind, see above"
    finally:
        if not on_modal:
            lifecycle.down(folder / "state")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Which assumptions of the local plane held, and what follows where one did not."""
    if not SEEN or not config.getoption("modal", False):
        return
    terminalreporter.section("what the local control plane assumes of Modal")
    for row in table(SEEN):
        terminalreporter.line(row)


def table(seen: Mapping[str, bool]) -> list[str]:
    """One row an assumption; of one that did not hold, what the local plane does instead."""
    rows = []
    for one in ASSUMPTIONS:
        if one.rule in seen:
            rows.append(f"{'held' if seen[one.rule] else 'DID NOT HOLD':<14}{one.rule}")
            if not seen[one.rule]:
                rows.append(f"{'':<14}assumed: {one.assumed}")
    unseen = len(ASSUMPTIONS) - len(seen)
    return [*rows, f"{unseen} more were not looked at: docs/local-assumptions.md"]
