"""Do the other engines live and die in a container as llama-server does? The real ones."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from modelctl.local import leftovers
from tests.cli.test_container_life import at_once, containers, log, until
from tests.conftest import ROOT, Project, place_model
from tests.hub.models import make_llama

pytestmark = pytest.mark.full

ENGINES = ROOT / ".engines"


@pytest.fixture(scope="module")
def equipped(live: Project) -> Project:
    """A project whose plane has the engines that `make engines` makes."""
    for name in ("vllm", "llama-cpp-python"):
        added = live.run("local", "engines", "add", name, "--venv", str(ENGINES / name))
        assert added.code == 0, added.err
    return live


def process(project: Project, word: bytes) -> int:
    """The oldest process of a container whose command line has that word."""
    found = [
        pid
        for pid in leftovers.carriers(leftovers.mark(project.plane.state_dir))
        if word in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return min(found)


@pytest.mark.parametrize("victim", [b"EngineCore", b"--served-model-name"], ids=["core", "server"])
def test_a_killed_vllm_leaves_each_client_a_whole_answer_or_an_error_and_is_replaced(
    equipped: Project, victim: bytes
) -> None:
    name = "life"
    make_llama(equipped.root / "models" / "tiny")
    equipped.spec(
        name,
        "model: ../models/tiny\nbackend: vllm\ndtype: float32\ngpu: L4\nkeep_warm: 1\nmetrics: 1s\n"
        "context: 2048\nmax_sequences: 64\nmemory: 4GiB\n",
    )
    ran = equipped.run("apply", name, "--local", "--yes", timeout=600)
    assert ran.code == 0, ran.out + ran.err
    until(lambda: len(containers(equipped, name)) == 1, within=600)
    before = containers(equipped, name)
    engine = process(equipped, victim)
    # All 64 sequences are made side by side: each client has its part when the last one gets it.
    answers = at_once(equipped, 8, 1900, lambda: os.kill(engine, signal.SIGKILL), choices=8)
    assert all(answer.whole or answer.error for answer in answers), answers
    assert any(answer.error for answer in answers)
    assert not any(answer.finish for answer in answers if answer.error)
    until(lambda: containers(equipped, name) not in ([], before), within=600)
    assert all(answer.whole for answer in at_once(equipped, 2, 8))
    lines = log(equipped, name)
    assert any(": so does this container" in line for line in lines)
    figures = [line for line in lines if line.startswith("modelctl METRICS ")]
    assert any(json.loads(line.split(" ", 2)[2])["tokens_per_second"] > 0 for line in figures)
    assert any(line.startswith("engine WARNING (") for line in lines)
    measured = equipped.run("lock", "--measured", name, "--local")
    assert (measured.code, measured.err.splitlines()[0]) == (
        6,
        "not measured: life on the CPU: a CPU in place of a GPU says nothing of the GPU",
    )


def test_llama_cpp_python_proves_itself_and_is_seen_through_its_url(
    equipped: Project, gguf: Path
) -> None:
    place_model(gguf, equipped)
    equipped.spec(
        "python-life",
        f"model: ../models/{gguf.name}\nbackend: {{name: llama.cpp, server: llama-cpp-python}}\n"
        "gpu: none\nkeep_warm: 1\ncontext: 512\nchecks:\n  polite:\n    prompt: Say hello.\n"
        "    expect: {matches: '[a-z]'}\n    max_tokens: 8\n",
    )
    ran = equipped.run("apply", "python-life", "--local", "--yes", timeout=300)
    assert ran.code == 0, ran.out + ran.err
    lines = log(equipped, "python-life")
    assert "modelctl INFO answered right: 1 of 1 checks" in lines
    assert any("Uvicorn running on" in line for line in lines if line.startswith("engine INFO "))
    measured = equipped.run("lock", "--measured", "python-life", "--local")
    assert measured.code == 0, measured.err
    assert measured.out.startswith(
        "  + python-life v1 on the CPU: weights 0.09 GiB, cache 0.01 GiB, 512 tokens ("
    )
