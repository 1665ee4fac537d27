"""What do the clients of an endpoint see of a version that fails? Streams, and a real engine."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_fetching import locked
from tests.conftest import Project, Ran, place_model
from tests.hub.server import Hub
from tests.load import Load

pytestmark = pytest.mark.full

BASE = """\
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: llama.cpp
context: 1024
max_sequences: 8
gpu: none
keep_warm: 1
"""
CHECK = """\
checks:
  knows-paris:
    messages:
      - {role: system, content: You are a helpful assistant.}
      - {role: user, content: What is the capital of France?}
    expect: Paris
    max_tokens: 24
"""
WRONG = CHECK.replace("expect: Paris", "expect: Berlin")
NO_BOOT = BASE.replace("context: 1024", "context: 640")
FOR_EVER = BASE.replace("context: 1024", "context: 768")
OTHER = BASE.replace("context: 1024", "context: 512")
GPU = BASE.replace("gpu: none", "gpu: H100")
SOON = "rollout: {timeouts: {place: 12s, boot: 120s}}\n"
ENGINE = f"""\
#!/bin/sh
case " $* " in
*" --ctx-size 5120 "*) echo 'error: this engine has no such context'; exit 1;;
*" --ctx-size 6144 "*) echo 'WARNING: loading tensors takes its time'; exec sleep 3600;;
esac
exec '{sys.executable}' -m modelctl.local.llama_server "$@"
"""
"""The engine of these tests: with these contexts (of 8 sequences) it does not come up."""
EIGHTY = {"COLUMNS": "80"}


@pytest.fixture(scope="module")
def equipped(live: Project, gguf: Path) -> Project:
    place_model(gguf, live)
    live.write("engine", ENGINE).chmod(0o755)
    added = live.run(
        "local", "engines", "add", "llama-server", "--command", str(live.root / "engine")
    )
    assert added.code == 0, added.err
    return live


@pytest.fixture(autouse=True)
def fresh(live: Project) -> Iterator[None]:
    """Each test has specs of its own, and leaves no container behind."""
    yield
    live.write("modelctl.yaml", "project: team\n")
    for app in status(live):
        live.run("destroy", app["name"], "--local", "--yes")
    for file in (live.root / "specs").glob("*.yaml"):
        file.unlink()


def apply(project: Project, *arguments: str) -> Ran:
    return project.run("apply", *arguments, "--local", "--yes", env=EIGHTY)


def serves(project: Project, name: str, text: str) -> None:
    project.spec(name, text)
    ran = apply(project, name)
    assert ran.code == 0, ran.out + ran.err


def status(project: Project) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = project.run("status", "--local", "--output", "json").json["apps"]
    return rows


def row(project: Project, name: str) -> dict[str, Any]:
    return next(app for app in status(project) if app["name"] == name)


def load_on(project: Project, name: str, pause: float = 0.0) -> Load:
    plane = project.plane
    token = {"Modal-Key": plane.proxy_token_id, "Modal-Secret": plane.proxy_token_secret}
    return Load(row(project, name)["url"], name, token, pause=pause)


def ending(ran: Ran) -> str:
    """What apply says at the end, without times and figures of the engine."""
    text = ran.out[ran.out.index("✘ ") :].rpartition("\n\n")[0]
    return re.sub(r"\d\d:\d\d:\d\d", "hh:mm:ss", text)


def without_lines(ran: Ran) -> str:
    """The same without the lines of the log."""
    return re.sub(r"  last lines of .*?(?=  next: )", "", ending(ran), flags=re.DOTALL)


def happened(project: Project, name: str) -> list[tuple[str, int, int | None, str]]:
    """The app's history, the oldest first: what, which version, which one that is, how it ended."""
    ran = project.run("history", name, "--local", "--output", "json")
    assert ran.code == 0, ran.err
    events = [(e["did"], e["version"], e["is"], e["result"]) for e in ran.json["events"]]
    return events[::-1]


def plan(project: Project, *arguments: str) -> Ran:
    return project.run("plan", *arguments, "--local", env=EIGHTY)


# -- a version before it


@pytest.mark.full
def test_a_version_that_answers_wrong_costs_no_client_an_answer(equipped: Project) -> None:
    serves(equipped, "wrong", BASE + CHECK)
    with load_on(equipped, "wrong") as load:
        equipped.spec("wrong", BASE + WRONG)
        ran = apply(equipped, "wrong")
        load.goes_on()
    assert load.failed == []
    assert ran.code == 4, ran.out + ran.err
    assert without_lines(ran) == (
        "✘ wrong  v2\n"
        '  answered wrong: check "knows-paris" expected "Berlin" in the answer; got "The\n'
        '  capital of France is Paris."; v1 serves, as it did all along\n'
        "  next: fix the spec and apply, or modelctl apply wrong --local --retry"
    )
    assert "  last lines of v2:\n    hh:mm:ss engine   " in ending(ran)


@pytest.mark.full
def test_what_answered_wrong_is_blocked_until_its_spec_changes(equipped: Project) -> None:
    scaled = "scaling: {max: 4}\n"
    serves(equipped, "blocked", BASE + CHECK + scaled)
    serves(equipped, "blocked", BASE + CHECK + scaled.replace("4", "3"))  # in place
    with load_on(equipped, "blocked") as load:
        equipped.spec("blocked", BASE + WRONG + scaled.replace("4", "3"))
        assert apply(equipped, "blocked").code == 4
        load.goes_on()
        seen = row(equipped, "blocked")
        assert (seen["sync"], seen["health"], seen["version"]) == ("blocked", "healthy", 3)
        assert seen["live"] == "1 of 1..3"
        why = (
            '  × blocked  blocked    v2 failed: answered wrong: check "knows-paris" expected\n'
            '                        "Berlin" in the answer; got "The capital of France is\n'
            '                        Paris.", v3 serves (v1 again); change the spec, or\n'
            "                        --retry\n"
        )
        planned = plan(equipped, "blocked")
        assert why in planned.out
        assert planned.code == 1
        since = equipped.last_call()
        again = apply(equipped, "blocked")
        assert why in again.out
        assert again.code == 1
        assert equipped.calls("AppPublish", since) == []
        equipped.spec("blocked", OTHER + CHECK + scaled.replace("4", "3"))
        fixed = apply(equipped, "blocked")
        load.goes_on()
    assert load.failed == []
    assert fixed.code == 0, fixed.out + fixed.err
    assert row(equipped, "blocked")["version"] == 4


def test_a_version_that_cannot_boot_costs_no_client_an_answer(equipped: Project) -> None:
    serves(equipped, "boots", BASE)
    with load_on(equipped, "boots", pause=0.5) as load:
        equipped.spec("boots", NO_BOOT)
        ran = apply(equipped, "boots")
        load.goes_on()
    assert load.failed == []
    assert ran.code == 4, ran.out + ran.err
    assert without_lines(ran) == (
        "✘ boots  v2\n"
        "  could not boot: the engine ended with exit code 1 before it was ready; v1\n"
        "  serves, as it did all along\n"
        "  next: fix the spec and apply, or modelctl apply boots --local --retry"
    )
    assert "    hh:mm:ss engine   ERROR   error: this engine has no such context\n" in ending(ran)


@pytest.mark.full
def test_a_version_that_never_becomes_healthy_costs_no_client_an_answer(equipped: Project) -> None:
    serves(equipped, "late", BASE)
    with load_on(equipped, "late") as load:
        equipped.spec("late", FOR_EVER + "rollout: {timeouts: {boot: 8s}}\n")
        ran = apply(equipped, "late")
        load.goes_on()
    assert load.failed == []
    assert ran.code == 4, ran.out + ran.err
    assert without_lines(ran) == (
        "✘ late  v2\n"
        "  could not boot: not healthy within 8 s (none of its containers takes\n"
        "  requests); v1 serves, as it did all along\n"
        "  next: fix the spec and apply, or modelctl apply late --local --retry"
    )
    assert "hh:mm:ss engine   WARNING loading tensors takes its time\n" in ending(ran)
    assert "slot " not in ending(ran)  # what v1 says of its requests explains nothing
    assert row(equipped, "late")["sync"] == "blocked"
    past = happened(equipped, "late")
    assert (past[0], past[-1]) == (
        ("deployed", 1, None, "done"),
        ("rolled back to v1", 3, 1, "done"),
    )
    assert [(version, result) for _, version, _, result in past[1:-1]][-1] == (2, "failed")


@pytest.mark.full
def test_a_version_that_finds_no_gpu_is_tried_again_once_there_is_one(equipped: Project) -> None:
    assert equipped.run("local", "gpus", "H100=1").code == 0
    serves(equipped, "place", GPU)
    with load_on(equipped, "place") as load:
        equipped.spec("place", GPU.replace("1024", "512") + SOON)
        ran = apply(equipped, "place")
        load.goes_on()
        assert ran.code == 4, ran.out + ran.err
        assert "    place  placing: waiting for H100\n" in ran.err
        assert without_lines(ran) == (
            "✘ place  v2\n"
            "  could not place: no H100 was free within 12 s; v1 serves, as it did all along\n"
            "  next: modelctl apply place --local, which tries it again as it is"
        )
        assert equipped.run("local", "gpus", "H100=2").code == 0
        again = apply(equipped, "place")
        load.goes_on()
    assert load.failed == []
    assert again.code == 0, again.out + again.err
    assert row(equipped, "place")["version"] == 4


@pytest.mark.full
def test_where_old_containers_end_first_the_version_before_comes_back(equipped: Project) -> None:
    recreate = "rollout: {strategy: recreate}\n"
    serves(equipped, "recreate", BASE + recreate)
    equipped.spec("recreate", NO_BOOT + recreate)
    ran = apply(equipped, "recreate")
    assert ran.code == 4, ran.out + ran.err
    assert without_lines(ran) == (
        "✘ recreate  v2\n"
        "  could not boot: the engine ended with exit code 1 before it was ready; v1\n"
        "  serves again\n"
        "  next: fix the spec and apply, or modelctl apply recreate --local --retry"
    )
    with load_on(equipped, "recreate") as load:
        pass
    assert load.failed == []


@pytest.mark.full
def test_a_failed_version_is_kept_where_its_spec_says_so(equipped: Project) -> None:
    serves(equipped, "kept", BASE)
    equipped.spec("kept", NO_BOOT + "rollout: {on_failure: keep}\n")
    ran = apply(equipped, "kept")
    assert ran.code == 5
    assert without_lines(ran) == (
        "✘ kept  v2\n"
        "  could not boot: the engine ended with exit code 1 before it was ready; v2 is\n"
        "  kept, as rollout.on_failure says\n"
        "  next: fix the spec and apply, or modelctl apply kept --local --retry"
    )
    seen = row(equipped, "kept")
    assert (seen["sync"], seen["version"]) == ("blocked", 2)


# -- no version before it


@pytest.mark.full
def test_without_a_version_that_worked_nothing_is_left_running(equipped: Project) -> None:
    equipped.spec("first", NO_BOOT)
    ran = apply(equipped, "first")
    assert ran.code == 5
    assert without_lines(ran) == (
        "✘ first  v1\n"
        "  could not boot: the engine ended with exit code 1 before it was ready; left at\n"
        "  zero containers\n"
        "  next: fix the spec and apply, or modelctl apply first --local --retry"
    )
    seen = row(equipped, "first")
    assert (seen["sync"], seen["health"], seen["container_ids"]) == ("blocked", "asleep", [])
    equipped.spec("first", BASE + WRONG)
    ran = apply(equipped, "first")
    assert ran.code == 5
    assert without_lines(ran) == (
        "✘ first  v2\n"
        '  answered wrong: check "knows-paris" expected "Berlin" in the answer; got "The\n'
        '  capital of France is Paris."; left at zero containers\n'
        "  next: fix the spec and apply, or modelctl apply first --local --retry"
    )
    assert row(equipped, "first")["version"] == 2
    serves(equipped, "first", BASE)


@pytest.mark.full
def test_a_first_version_that_finds_no_gpu_costs_nothing_and_waits_for_the_next_apply(
    equipped: Project,
) -> None:
    assert equipped.run("local", "gpus", "H100=0").code == 0
    equipped.spec("nowhere", GPU + SOON)
    ran = apply(equipped, "nowhere")
    assert ran.code == 5
    assert "    nowhere  placing: waiting for H100\n" in ran.err
    assert without_lines(ran) == (
        "✘ nowhere  v1\n"
        "  could not place: no H100 was free within 12 s; left at zero containers\n"
        "  next: modelctl apply nowhere --local, which tries it again as it is"
    )
    seen = row(equipped, "nowhere")
    assert (seen["health"], seen["container_ids"]) == ("asleep", [])
    planned = plan(equipped, "nowhere")
    assert planned.code == 0
    assert " ".join(planned.out.split()).startswith(
        "local control plane · 1 app ~ nowhere in place could not place: no H100 was free "
        "within 12 s; tried again, keep_warm 0 → 1"
    )
    assert equipped.run("local", "gpus", "H100=1").code == 0
    ran = apply(equipped, "nowhere")
    assert ran.code == 0, ran.out + ran.err
    assert row(equipped, "nowhere")["health"] == "healthy"


@pytest.mark.full
def test_a_hub_that_is_down_condemns_nothing(equipped: Project, hub: Hub, gguf: Path) -> None:
    variables = {**hub.variables, "HF_TOKEN": "", "HF_TOKEN_PATH": "/nonexistent"}
    project = Project(equipped.root, variables)
    hub.add("org/smol", {"m-Q4_1.gguf": gguf.read_bytes()})
    source = "{source: hf://org/smol, file: '*Q4*'}"
    locked(project, BASE.replace("../models/SmolLM2-135M-Instruct.Q4_1.gguf", source), "hubbed")
    assert apply(project, "hubbed").code == 0
    hub.add("org/smol", {"m-Q4_1.gguf": gguf.read_bytes() + b"more"})
    assert project.run("lock", "--upgrade", "hubbed").code == 0
    with load_on(equipped, "hubbed") as load:
        with hub.out():
            ran = apply(project, "hubbed")
        load.goes_on()
        assert ran.code == 4, ran.out + ran.err
        assert "  could not fetch hf://org/smol: " in ending(ran)
        assert "  next: modelctl apply hubbed --local, which tries it again as it is" in ending(ran)
        again = apply(project, "hubbed")
        load.goes_on()
    assert load.failed == []
    assert again.code == 0, again.out + again.err
    assert row(equipped, "hubbed")["version"] == 2


# -- several apps


@pytest.mark.full
def test_a_renamed_app_answers_under_its_old_name_until_the_new_one_does(
    equipped: Project,
) -> None:
    serves(equipped, "older", BASE)
    with load_on(equipped, "older") as load:
        (equipped.root / "specs" / "older.yaml").unlink()
        equipped.spec("newer", NO_BOOT + "renamed_from: older\n")
        ran = apply(equipped, "newer")
        load.goes_on()
        assert ran.code == 5
        assert ran.out.startswith(
            "local control plane · 2 apps\n\n"
            "  + newer  create     CPU, 1 kept warm, 98 MB to upload\n"
            "  - older  delete     renamed to newer: deleted once that one serves, its URL\n"
            "                      goes away\n"
        )
        assert "\n  · older  not deleted, because newer does not serve\n" in ran.out
        assert "\n1 failed, 1 not deleted · " in ran.out
        equipped.spec("newer", BASE + "renamed_from: older\n")
        load.goes_on()
        assert load.failed == []
    ran = apply(equipped, "newer")
    assert ran.code == 0, ran.out + ran.err
    assert [app["name"] for app in status(equipped)] == ["newer"]


@pytest.mark.full
def test_the_next_wave_is_not_begun_where_one_failed(equipped: Project) -> None:
    equipped.write(
        "modelctl.yaml",
        "project: team\nenvironments:\n  prod:\n    modal_environment: main\n    waves: [canary]\n",
    )
    equipped.spec("w-first", NO_BOOT + "rollout: {wave: canary}\n")
    equipped.spec("w-rest", BASE)
    ran = apply(equipped, "--env", "prod")
    assert ran.code == 5
    assert "wave 1 of 2: canary\n" in ran.err
    assert "wave 2 of 2" not in ran.err
    assert "\n  · w-rest  wave 2 was not begun: w-first failed\n" in ran.out
    assert "\n1 failed, 1 not started · " in ran.out
    assert row(equipped, "w-rest")["version"] is None
    equipped.spec("w-first", BASE + "rollout: {wave: canary}\n")
    ran = apply(equipped, "--env", "prod")
    assert ran.code == 0, ran.out + ran.err
    assert ran.err.index("✔ w-first") < ran.err.index("wave 2 of 2: the rest\n")
