"""What do tests of the engines stand on? The real ones, as `make engines` has made them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

ENGINES = Path(os.environ.get("MODELCTL_TEST_ENGINES") or ROOT / ".engines")
WORKER = Path(__file__).with_name("vllm_worker.py")


def made(path: str) -> Path:
    found = ENGINES / path
    assert found.exists(), f"{found} is missing: make engines makes it"
    return found


@dataclass(frozen=True)
class VllmParser:
    """The real `vllm serve`, up to the point where it would load a model."""

    process: subprocess.Popen[str]
    log: Path

    def answer(self, argv: list[str], depth: str, env: dict[str, str] | None = None) -> Any:
        """None where vLLM takes the command line, or what it says."""
        assert self.process.stdin is not None
        question = {"argv": argv, "depth": depth, "env": env or {}}
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self._line(120))

    def _line(self, seconds: float) -> str:
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        line = self.process.stdout.readline() if ready else ""
        assert line, f"vLLM said nothing; its log ends:\n{self.log.read_text()[-2000:]}"
        return line


@contextlib.contextmanager
def _vllm(folder: Path) -> Iterator[VllmParser]:
    log = folder / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [str(made("vllm/bin/python")), str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=folder,
            # As in the container: nothing is asked for on any network.
            env={**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"},
        )
    parser = VllmParser(process, log)
    try:
        assert parser._line(180) == "ready\n"
        yield parser
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def vllm_parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmParser]:
    """One process for all tests: importing vLLM takes ten seconds."""
    with _vllm(tmp_path_factory.mktemp("vllm")) as parser:
        yield parser


@pytest.fixture(scope="session")
def vllm_configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmParser]:
    """One of its own: the engine's arguments of one command line change defaults of the next."""
    with _vllm(tmp_path_factory.mktemp("vllm")) as parser:
        yield parser


@pytest.fixture(scope="session")
def llama_server() -> Path:
    return made("llama.cpp/llama-server")
