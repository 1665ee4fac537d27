"""How do commands that change something read, at 80 and at 160 columns? One night, on a real plane.

`UPDATE_GOLDEN=1` writes tests/views/screens again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelctl.local import lifecycle
from tests.cli.test_by_hand import by_sdk
from tests.cli.test_import import FOREIGN
from tests.conftest import Project, place_model
from tests.views.screens import WIDTHS, hold
from tests.views.terminal import on_a_terminal

pytestmark = pytest.mark.full

ASLEEP = "model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf\nbackend: llama.cpp\ngpu: [T4, L4]\n"
SPECS = {
    "night-chat": f"{ASLEEP}context: 2048\nscaling: {{max: 4}}\nrollout: {{gate: none}}\n",
    "night-search": f"{ASLEEP}context: 2048\nscaling: {{max: 2}}\nrollout: {{gate: none}}\n",
}
STORY: list[tuple[str, tuple[str, ...]]] = [
    ("live-plan", ("plan", "--local")),
    ("live-apply", ("apply", "--local", "--yes")),
    ("live-again", ("apply", "--local", "--yes")),
    ("live-change", ("plan", "--local", "--diff")),
    ("live-apply-change", ("apply", "--local", "--yes")),
    ("scale", ("scale", "night-chat", "--max", "8", "--why", "launch day", "--local", "--yes")),
    ("rollback", ("rollback", "night-search", "--local", "--yes", "--why", "latency")),
    ("hold", ("hold", "night-chat", "--why", "until the launch is over", "--local",
              "--yes")),
    ("live-held", ("plan", "--local")),
    ("live-status", ("status", "--local")),
    ("live-history", ("history", "night-search", "--local")),
    ("release", ("release", "night-search", "--local", "--yes")),
    ("restart", ("restart", "night-chat", "--local", "--yes")),
    ("live-weights-ls", ("weights", "ls", "--local")),
    ("import", ("import", "by-hand", "--local")),
    ("promote-unproven", ("promote", "night-chat", "--from", "staging", "--to", "prod", "--yes")),
    ("promote-first", ("apply", "night-chat", "--env", "staging", "--yes")),
    ("promote", ("promote", "night-chat", "--from", "staging", "--to", "prod", "--yes")),
    ("status-prod", ("status", "--env", "prod")),
    ("destroy", ("destroy", "night-chat", "--local", "--yes")),
    ("local-status", ("local", "status")),
    ("local-gpus", ("local", "gpus")),
    ("local-engines", ("local", "engines", "ls")),
    ("local-down", ("local", "down")),
]  # fmt: skip


ENVIRONMENTS = """\
project: assistants
environments:
  staging: {modal_environment: staging}
  prod: {modal_environment: prod}
"""
MORE = """\
import modal
for name in ("staging", "prod"):
    modal.Environment.objects.create(name)
"""
WHOLE = {"live-change"}
"""Code is as long as it is."""


@pytest.fixture(scope="module", params=WIDTHS)
def night(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, gguf: Path
) -> Iterator[tuple[int, dict[str, str]]]:
    """What each command of the story said, by its name."""
    width = int(request.param)
    made = Project(tmp_path_factory.mktemp("night"))
    made.write("modelctl.yaml", "project: assistants\n")
    lifecycle.up(made.root / ".modelctl" / "local")
    try:
        place_model(gguf, made)
        said = {}
        way = lifecycle.environ(made.plane)
        for name, text in SPECS.items():
            made.spec(name, text)
        by_sdk(made, FOREIGN + "\nmodal.Secret.objects.create('tracing', {'A': 'b'})\n"
               "app.deploy()\n")  # fmt: skip
        for name, command in STORY:
            if name == "live-change":
                for spec, text in SPECS.items():
                    made.spec(spec, text.replace("2048", "4096"))
            if name == "promote-unproven":
                made.write("modelctl.yaml", ENVIRONMENTS)
                by_sdk(made, MORE)
            arguments = ("-P", "-m", "modelctl", *command)
            said[name] = on_a_terminal(arguments, made.root, width, variables=way)
        yield width, said
    finally:
        lifecycle.down(made.root / ".modelctl" / "local")


@pytest.mark.parametrize("name", [name for name, _ in STORY])
def test_a_night(night: tuple[int, dict[str, str]], name: str) -> None:
    width, said = night
    hold(name, width, _steady(said[name]), whole=name in WHOLE)


def _sorted(lines: re.Match[str]) -> str:
    return "".join(sorted(lines[0].splitlines(keepends=True)))


def _steady(text: str) -> str:
    """Without what differs from run to run and from machine to machine: who is done first, say."""
    text = re.sub(r"(?:^  ✔ .*\n)+", _sorted, text, flags=re.M)
    text = re.sub(r"20\d\d-\d\d-\d\d \d\d:\d\d", "2026-11-21 12:00", text)
    text = re.sub(r"for \d+ min \(pid \d+\)", "for 6 min (pid 4711)", text)
    return re.sub(r"^( *(?:llama-server|vllm|llama-cpp-python)  +).*", r"\1…", text, flags=re.M)
