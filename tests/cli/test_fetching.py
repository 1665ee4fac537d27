"""Are weights fetched once, before anything is deployed, whatever the Hub does?

Against the local control plane, with the real SDK, and the Hub on the loopback.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelctl.local import lifecycle
from tests.cli.test_fleet import by_hand
from tests.conftest import Project, Ran
from tests.hub.models import make_adapter, make_llama
from tests.hub.server import Hub
from tests.weights.test_gguf import file as header

pytestmark = pytest.mark.full


def gguf_of(size: int, fill: bytes = bytes(range(256))) -> bytes:
    """A file of that size with a whole header."""
    return (header() + fill * (size // len(fill) + 1))[:size]


GGUF = {"m-Q4.gguf": gguf_of(1048580), "m-Q8.gguf": b"GGUF8", "README.md": "m"}
"""A large file of a megabyte, one that is not wanted, and one that nobody wants."""
SPEC = "model: {source: hf://org/m, file: '*Q4*'}\nbackend: llama.cpp\nrollout: {gate: none}\n"


@pytest.fixture(scope="module")
def fetching(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A plane of its own: what lies in its Volume is what these tests put there."""
    made = Project(tmp_path_factory.mktemp("fetching"))
    made.write("modelctl.yaml", "project: team\n")
    # An engine that is only there: what is not here at all needs no weights either.
    made.write("bin/vllm", "#!/bin/sh\nexit 1\n").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{made.root / 'bin'}{os.pathsep}{os.environ['PATH']}")
        lifecycle.up(made.root / ".modelctl" / "local")
    try:
        yield made
    finally:
        lifecycle.down(made.root / ".modelctl" / "local")


@pytest.fixture
def project(fetching: Project, hub: Hub) -> Project:
    """Each test has a Hub, and specs, of its own."""
    for file in fetching.root.glob("specs/*.yaml"):
        file.unlink()
    (fetching.root / "modelctl.lock").unlink(missing_ok=True)
    fetching.variables.clear()
    fetching.variables.update(hub.variables, HF_TOKEN="", HF_TOKEN_PATH="/nonexistent")
    return fetching


def apply(project: Project, *arguments: str) -> Ran:
    return project.run("apply", "--local", "--yes", *arguments)


def detail(ran: Ran, code: int = 5) -> str:
    """What apply says about the one app that failed; 5: no version before it serves."""
    assert ran.code == code, ran.out + ran.err
    (outcome,) = [o for o in ran.json["outcomes"] if o["result"] == "failed"]
    assert isinstance(outcome["detail"], str)
    return outcome["detail"]


def lies(project: Project, repo: str, commit: str) -> dict[str, Path]:
    """The files of a commit in the Volume, by their paths."""
    (folder,) = (project.root / ".modelctl" / "local" / "volumes").rglob(f"{repo}/{commit}")
    return {f.relative_to(folder).as_posix(): f for f in folder.rglob("*") if f.is_file()}


def locked(project: Project, text: str = SPEC, name: str = "chat") -> None:
    project.spec(name, text)
    ran = project.run("lock")
    assert ran.code == 0, ran.err


def test_a_model_is_fetched_once_whole_and_nothing_else(project: Project, hub: Hub) -> None:
    commit = hub.add("org/m", GGUF)
    locked(project)
    asked = len(hub.log)
    ran = apply(project)
    assert ran.code == 0, ran.out + ran.err
    assert "    chat  weights: fetching 1 file, 1.0 MB\n" in ran.err
    found = lies(project, "org/m", commit)
    assert set(found) == {"m-Q4.gguf", ".modelctl.json"}
    assert found["m-Q4.gguf"].read_bytes() == GGUF["m-Q4.gguf"]
    manifest = json.loads(found[".modelctl.json"].read_text())
    assert manifest["commit"] == commit
    sha256 = hashlib.sha256(found["m-Q4.gguf"].read_bytes()).hexdigest()
    assert manifest["files"] == {"m-Q4.gguf": [1048580, f"sha256:{sha256}"]}
    assert hub.sent("/large/*", asked) == 1048580

    # The Hub is gone; a change deploys, another app serves the same model, and nothing is asked.
    hub.down()
    locked(project, SPEC + "context: 2048\n")
    locked(project, SPEC, "other")
    ran = apply(project, "--output", "json")
    assert ran.code == 0, ran.out + ran.err
    assert {o["name"]: o["result"] for o in ran.json["outcomes"]} == {
        "chat": "done",
        "other": "done",
    }
    assert hub.sent("/large/*", asked) == 1048580


@pytest.mark.full
def test_a_whole_repository_with_its_adapter_by_two_apps_at_once(
    project: Project, hub: Hub, tmp_path: Path
) -> None:
    model = hub.add("org/llama", make_llama(tmp_path / "m", weights_in=2))
    adapter = hub.add("org/lora", make_adapter(tmp_path / "a"))
    text = "backend: vllm\ngpu: L4\ncontext: 1024\nrollout: {gate: none}\n"
    project.spec("one", "model: hf://org/llama\n" + text)
    project.spec("two", "model: {source: hf://org/llama, adapters: {p: hf://org/lora}}\n" + text)
    assert project.run("lock").code == 0
    asked = len(hub.log)
    ran = apply(project, "--output", "json")
    assert ran.code == 0, ran.out + ran.err
    assert set(lies(project, "org/lora", adapter)) == {
        "adapter_config.json",
        "adapter_model.safetensors",
        ".modelctl.json",
    }
    found = lies(project, "org/llama", model)
    assert "model-00002-of-00002.safetensors" in found
    assert "README.md" not in found
    for path in found.keys() - {".modelctl.json"}:
        assert found[path].read_bytes() == (tmp_path / "m" / path).read_bytes()
    assert len(hub.asked(f"/large/org/llama/{model}/*", "GET", asked)) == 2


def test_what_was_cut_goes_on_where_it_ended(project: Project, hub: Hub) -> None:
    hub.add("org/cut", GGUF)
    locked(project, SPEC.replace("org/m", "org/cut"))
    hub.fault("/large/*", cut=700_000, times=1)
    asked = len(hub.log)
    ran = apply(project)
    assert ran.code == 0, ran.out + ran.err
    assert [(a.start, a.sent) for a in hub.asked("/large/*", "GET", asked)] == [
        (0, 700_000),
        (700_000, 348_580),
    ]


@pytest.mark.full
def test_a_killed_fetch_is_taken_up_by_the_next_apply(project: Project, hub: Hub) -> None:
    content = {"m-Q4.gguf": gguf_of(4_000_004)}
    commit = hub.add("org/killed", content)
    locked(project, SPEC.replace("org/m", "org/killed"))
    asked = len(hub.log)
    hub.fault("/large/*", per_second=1_000_000)
    running = subprocess.Popen(
        [sys.executable, "-P", "-m", "modelctl", "apply", "--local", "--yes"],
        cwd=project.root,
        env={**os.environ, "MODAL_CONFIG_PATH": "/nonexistent", **project.variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    state = project.root / ".modelctl" / "local" / "volumes"
    while not any(part.stat().st_size > 1_000_000 for part in state.rglob(f"{commit}/*.part")):
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    hub.down()  # what the killed one's container still asks for breaks off
    hub.up()
    hub.clear()
    ran = apply(project)
    while ran.code == 5:
        assert "somebody else is fetching" in ran.out
        ran = apply(project)
    assert ran.code == 0, ran.out + ran.err
    assert lies(project, "org/killed", commit)["m-Q4.gguf"].read_bytes() == content["m-Q4.gguf"]
    last = hub.asked("/large/*", "GET")[-1]
    assert last.start > 1_000_000
    assert hub.sent("/large/*", asked) < 4_000_004 + 1_500_000


def test_a_wrong_hash_is_refused_by_name_and_nothing_is_deployed(
    project: Project, hub: Hub
) -> None:
    commit = hub.add("org/wrong", GGUF)
    locked(project, SPEC.replace("org/m", "org/wrong"), "wrong")
    hub.fault("/large/*", wrong=True)
    said = detail(apply(project, "--output", "json"))
    content = GGUF["m-Q4.gguf"]
    assert isinstance(content, bytes)
    got = hashlib.sha256(bytes(255 - byte for byte in content)).hexdigest()
    assert said == (
        "could not fetch hf://org/wrong: m-Q4.gguf is not what was locked: its hash should be "
        f"{hashlib.sha256(content).hexdigest()} and is {got}; it was deleted; apply again; if it "
        "stays so, look at the repository and run modelctl lock"
    )
    assert lies(project, "org/wrong", commit) == {}
    assert project.run("plan", "--local", "--output", "json").json["summary"]["create"] == 1
    hub.clear()
    ran = apply(project)
    assert ran.code == 0, ran.out + ran.err
    assert set(lies(project, "org/wrong", commit)) == {"m-Q4.gguf", ".modelctl.json"}


@pytest.mark.full
def test_what_ran_before_still_runs_when_the_next_version_cannot_be_fetched(
    project: Project, hub: Hub
) -> None:
    hub.add("org/before", GGUF)
    spec = SPEC.replace("org/m", "org/before")
    locked(project, spec, "stays")
    assert apply(project).code == 0
    hub.add("org/before", {"m-Q4.gguf": gguf_of(20_000, b"more of it")})
    assert project.run("lock", "--upgrade").code == 0
    hub.fault("/org/before/resolve/*", status=403)
    said = detail(apply(project, "--output", "json"), 4)
    assert said.startswith("could not fetch hf://org/before: there is no repository org/before")
    (app,) = project.run("status", "stays", "--local", "--output", "json").json["apps"]
    assert app["version"] == 1
    hub.clear()
    ran = apply(project, "--output", "json")
    versions = {o["name"]: o["version"] for o in ran.json["outcomes"]}
    assert (ran.code, versions["stays"]) == (0, 2)


@pytest.mark.full
def test_a_gated_model_names_the_secret_to_make_and_then_takes_it(
    project: Project, hub: Hub
) -> None:
    hub.add("org/gated", GGUF, gated="manual", members=("hf_member",))
    project.variables["HF_TOKEN"] = "hf_member"
    spec = SPEC.replace("org/m", "org/gated")
    locked(project, spec, "gated")
    said = detail(apply(project, "--output", "json"))
    assert said == (
        "could not fetch hf://org/gated: org/gated is gated; accept its terms on its page on the "
        "Hub, then modal secret create huggingface HF_TOKEN=…, and model: {secret: huggingface}"
    )
    project.spec("gated", spec.replace("file:", "secret: huggingface, file:"))
    said = detail(apply(project, "--output", "json"))
    assert said.endswith("; modal secret create huggingface HF_TOKEN=…")
    for token, code in (("hf_stranger", 5), ("hf_member", 0)):
        hub.tokens.add("hf_stranger")
        by_hand(
            project,
            "import modal\nmodal.Secret.objects.delete('huggingface', allow_missing=True)\n"
            f"modal.Secret.objects.create('huggingface', {{'HF_TOKEN': '{token}'}})",
        )
        ran = apply(project, "--output", "json")
        assert ran.code == code, ran.out + ran.err
        if code:
            assert "the token in the Secret huggingface is of nobody who accepted" in detail(ran)
        assert token not in ran.out + ran.err
    assert {a.token for a in hub.asked("/large/*")} == {""}


@pytest.mark.full
def test_a_commit_in_the_spec_needs_no_lock_and_is_listed_only_to_be_fetched(
    project: Project, hub: Hub, tmp_path: Path
) -> None:
    commit = hub.add("org/pinned", make_llama(tmp_path / "m"))
    text = (
        f"model: {{source: hf://org/pinned, revision: {commit}}}\nbackend: vllm\ngpu: L4\n"
        "context: 1024\nrollout: {gate: none}\n"
    )
    project.spec("pinned", text)
    ran = apply(project)
    assert ran.code == 0, ran.out + ran.err
    assert "model.safetensors" in lies(project, "org/pinned", commit)
    hub.down()
    project.spec("pinned", text.replace("1024", "512"))
    ran = apply(project)
    assert ran.code == 0, ran.out + ran.err


@pytest.mark.full
def test_what_nothing_pins_is_blocked_and_allowed_at_the_commit_of_that_moment(
    project: Project, hub: Hub, tmp_path: Path
) -> None:
    commit = hub.add("org/loose", make_llama(tmp_path / "m"))
    project.spec(
        "loose",
        "model: hf://org/loose\nbackend: vllm\ngpu: L4\ncontext: 1024\nrollout: {gate: none}\n",
    )
    ran = apply(project)
    assert ran.code == 1
    assert "hf://org/loose is not pinned: run modelctl lock, or say --allow-unlocked" in re.sub(
        r"\s+", " ", ran.out
    )
    ran = apply(project, "--allow-unlocked")
    assert ran.code == 0, ran.out + ran.err
    assert "model.safetensors" in lies(project, "org/loose", commit)
    assert not (project.root / "modelctl.lock").exists()
    plan: Any = project.run("plan", "--local", "--allow-unlocked", "--output", "json").json
    assert plan["summary"]["unchanged"] == 1


@pytest.mark.full
def test_a_hub_that_went_down_stops_neither_a_new_version_nor_a_start(
    project: Project, hub: Hub, gguf: Path
) -> None:
    hub.add("org/smollm2", {"SmolLM2.Q4_1.gguf": gguf})
    text = (
        "model: {source: hf://org/smollm2, file: '*.gguf'}\nbackend: llama.cpp\ncontext: 512\n"
        "gpu: none\nkeep_warm: 1\n"
    )
    locked(project, text, "smollm2")
    ran = apply(project)
    assert ran.code == 0, ran.out + ran.err
    asked = len(hub.log)
    hub.down()
    project.spec("smollm2", text.replace("512", "1024"))
    ran = apply(project, "--output", "json")
    assert ran.code == 0, ran.out + ran.err
    (outcome,) = [o for o in ran.json["outcomes"] if o["name"] == "smollm2"]
    assert (outcome["version"], outcome["detail"]) == (2, "")
    said = project.run("chat", "smollm2", "--local", "Say hello.")
    assert said.code == 0, said.err
    assert said.out.strip()
    assert hub.log[asked:] == []


def test_weights_are_listed_and_only_what_nothing_needs_is_removed(
    project: Project, hub: Hub
) -> None:
    def listed() -> dict[str, Any]:
        ran = project.run("weights", "ls", "--local", "--output", "json")
        assert ran.code == 0, ran.err
        return {w["commit"]: w for w in ran.json["weights"] if w["source"] == "hf://org/kept"}

    def gc(*arguments: str) -> Ran:
        return project.run("weights", "gc", "--local", "--older-than", "0s", *arguments)

    spec = SPEC.replace("org/m", "org/kept")
    first = hub.add("org/kept", GGUF)
    locked(project, spec, "kept")
    assert apply(project).code == 0
    second = hub.add("org/kept", {"m-Q4.gguf": gguf_of(20_000, b"again")})
    assert project.run("lock", "--upgrade").code == 0
    assert apply(project).code == 0
    found = listed()
    assert (found[first]["apps"], found[first]["named"]) == (["kept"], False)
    assert (found[second]["apps"], found[second]["named"]) == (["kept"], True)
    assert (found[first]["bytes"] > 1048580, found[first]["complete"]) == (True, True)
    ran = project.run("weights", "ls", "--local")
    assert re.search(rf"hf://org/kept +{first[:12]} +1\.0 MB  complete  kept\n", ran.out), ran.out

    # A roll-back may need the first: it stays, while the app lives.
    assert gc("--yes").code == 0
    assert set(listed()) == {first, second}
    assert project.run("destroy", "kept", "--local", "--yes").code == 0
    ran = project.run("weights", "gc", "--local", "--yes")
    assert (ran.code, ran.out) == (0, "Nothing to remove.\n")  # younger than a day
    ran = gc("--dry-run")
    assert first[:12] in ran.out
    assert second[:12] not in ran.out  # the spec names it
    assert set(listed()) == {first, second}
    assert gc().code == 64
    ran = gc("--yes")
    assert f"✔ /org/kept/{first}/  removed\n" in ran.out
    assert set(listed()) == {second}
