"""Does a live app become a spec: one of the project's own, and one that others deployed?"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelctl.local import lifecycle
from tests.conftest import Project, place_model

FOREIGN = """\
import modal

app = modal.App("by-hand")


@app.server(
    image=modal.Image.debian_slim(), gpu=["H100:2", "A100-80GB"], port=8000, memory=8192,
    max_containers=3, scaledown_window=120, target_concurrency=12, startup_timeout=900,
    exit_grace_period=10, routing_region="us-west", unauthenticated=True,
    volumes={"/data": modal.Volume.from_name("shelf", create_if_missing=True)},
    secrets=[modal.Secret.from_name("tracing"), modal.Secret.from_dict({"A": "hidden-value"})],
)
class Engine:
    @modal.enter()
    def start(self):
        pass
"""
IMPORTED = """\
name: by-hand
model:  # not read: Modal does not tell what an app serves
gpu: [H100:2, A100-80GB]
memory: 8GiB
scaling: {max: 3, idle_timeout: 2m}
# not read: concurrency.max: Modal does not tell how many requests it lets in
concurrency: {target: 12}
# guessed: endpoint.auth: Modal asks for no token; the engine may for a key
endpoint: {auth: none, region: us-west, startup_timeout: 15m, drain: 10s}
# not read: secrets: a Secret has no name: made in the app, or no longer there
secrets: [tracing]
volumes: {/data: shelf}
# not read: backend: Modal does not tell the engine, its version and its flags
# not read: context: it is one of the engine's flags
# not read: image: Modal tells only its id
# not read: env: Modal tells no variables
# not read: snapshot: Modal does not tell whether there is one
"""
OURS = """\
name: kept
labels: {a.b: c}
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: llama.cpp
context: 1024
max_sequences: 2
gpu: [T4, L4:2]
scaling: {max: 3}
secrets: {tracing: []}
checks:
  paris:
    prompt: Where is it
    expect: {matches: P.*}
rollout: {gate: none}
"""


@pytest.fixture(scope="module")
def deployed(live: Project, gguf: Path) -> Iterator[Project]:
    """A plane with an app of the project and one that is not its own."""
    variables = {"PATH": "/usr/bin:/bin", **lifecycle.environ(live.plane)}
    file = live.write("by_hand.py", FOREIGN)
    create = "import modal; modal.Secret.objects.create('tracing', {'DSN': 'x'})"
    for words in (["-c", create], ["-m", "modal", "deploy", str(file)]):
        subprocess.run([sys.executable, *words], env=variables, check=True, capture_output=True)
    place_model(gguf, live)
    live.write("specs/kept.yaml", OURS)
    assert live.run("apply", "kept", "--local", "--yes").code == 0
    yield live


def test_an_app_of_others_is_what_modal_tells_of_it(deployed: Project) -> None:
    ran = deployed.run("import", "by-hand", "--local")
    assert ran.out == IMPORTED
    assert ran.code == 1  # a spec names a model
    assert "by-hand.yaml:2:1 error spec/missing\n" in ran.err
    assert "model is missing" in ran.err


def test_with_a_model_filled_in_it_validates(deployed: Project) -> None:
    filled = IMPORTED.replace("model:  #", "model: hf://Qwen/Qwen3-8B  #")
    deployed.write("filled/by-hand.yaml", filled.replace("\nmodel", "\ncontext: 8192\nmodel"))
    ran = deployed.run("validate", "filled/by-hand.yaml")
    assert ran.code == 0, ran.err


def test_an_app_of_the_project_is_the_spec_that_was_applied(deployed: Project) -> None:
    ran = deployed.run("import", "kept", "--local")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.replace("secrets: [tracing]", "secrets: {tracing: []}") == OURS


@pytest.mark.full
def test_what_was_scaled_by_hand_is_said(deployed: Project) -> None:
    scale = (
        "import modal\n"
        "modal.Server.from_name('kept', 'Server').autoscaler.update(min_containers=0, "
        "max_containers=7, buffer_containers=0, scaledown_window=300)"
    )
    variables = {"PATH": "/usr/bin:/bin", **lifecycle.environ(deployed.plane)}
    subprocess.run([sys.executable, "-c", scale], env=variables, check=True, capture_output=True)
    ran = deployed.run("import", "kept", "--local")
    assert ran.err == (
        "note: not taken: scaling: what was scaled by hand: 0 kept warm and at most 7 now\n"
    )


def test_a_name_that_nobody_has(deployed: Project) -> None:
    ran = deployed.run("import", "kepd", "--local")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        "error: no app kepd lives in the local control plane\nhelp: did you mean kept?\n"
    )


def test_several_servers_ask_which(project: Project) -> None:
    one = "@app.server(port=1, gpu='L4')\nclass {}:\n  @modal.enter()\n  def s(self):\n"
    start = "    subprocess.Popen(['vllm', 'serve', 'a/{}'])\n"
    servers = "".join((one + start).format(name, name) for name in "AB")
    head = "import modal, subprocess\napp = modal.App('both')\n"
    project.write("two.py", head + servers)
    ran = project.run("import", "two.py")
    assert ran.code == 64
    assert ran.err.startswith(
        "error: two.py has 2 servers: say two.py::A or two.py::B, or -o FOLDER/ for all of them\n"
    )
    assert project.run("import", "two.py::B").out.startswith("name: both-b\n")
    ran = project.run("import", "two.py", "-o", "specs/")
    assert (ran.code, ran.err) == (0, "specs/both-a.yaml\nspecs/both-b.yaml\n")
