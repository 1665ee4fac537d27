"""Does somebody who has never seen it get from an empty folder to a live endpoint in minutes?

`UPDATE_GOLDEN=1` writes what was typed and shown to docs/tutorial-transcript.txt.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.test_init import package
from tests.conftest import ROOT
from tests.docs.stage import comparable

PAGE = ROOT / "docs" / "tutorial-transcript.txt"
TYPED = [
    "init --yes",
    "doctor --local",
    "validate",
    "local up",
    "apply --local --yes",
    'chat smollm2 --local "What is gravity?"',
    "status --local",
    "local down",
]
TALKS = ("chat", "doctor")
"""What a model says, and what there is on a machine, is not the same twice."""


def typed(words: str, folder: Path, variables: dict[str, str]) -> str:
    """The command as a person types it, and all that the terminal shows after it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MODAL_", "MODELCTL_"))}
    command = f'modelctl() {{ "{sys.executable}" -P -m modelctl "$@"; }}; modelctl {words}'
    done = subprocess.run(
        ["bash", "--norc", "-c", command],
        cwd=folder,
        env={**kept, "MODAL_CONFIG_PATH": "/nonexistent", "COLUMNS": "80", **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return f"$ modelctl {words}\n{done.stdout}"


@pytest.mark.full
def test_from_an_empty_folder_to_a_live_endpoint(tmp_path: Path, gguf: Path) -> None:
    folder = tmp_path / "my-models"
    folder.mkdir()
    variables = package(tmp_path / "shelf", gguf)
    began, shown = time.monotonic(), {}
    try:
        for words in TYPED:
            shown[words] = typed(words, folder, variables)
    finally:
        subprocess.run(
            [sys.executable, "-P", "-m", "modelctl", "local", "down"], cwd=folder, check=False
        )
    took = time.monotonic() - began
    assert took < 300, f"{took:.0f} s, and a person has to read and type beside it"
    assert "1 spec is valid" in shown["init --yes"]
    assert "nothing is missing" in shown["doctor --local"]
    assert "1 applied · " in shown["apply --local --yes"]
    assert "healthy" in shown["status --local"]
    if os.environ.get("UPDATE_GOLDEN"):
        text = "\n".join(shown.values()).replace(str(tmp_path), "/home/you")
        PAGE.write_text(text, encoding="utf-8")
    kept = PAGE.read_text(encoding="utf-8").split("\n$ ")
    assert [part.partition("\n")[0].removeprefix("$ ") for part in kept] == [
        f"modelctl {words}" for words in TYPED
    ]
    for words, part in zip(TYPED, kept, strict=True):
        if not words.startswith((*TALKS, "local up", "status")):
            now = shown[words].partition("\n")[2]
            assert comparable(part.partition("\n")[2]) == comparable(now.rstrip("\n")), words
