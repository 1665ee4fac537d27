"""What a person does past the specs, on the real plane: it holds, each plan says so, it ends."""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from modelctl.local import lifecycle
from tests.conftest import Project, place_model

QUIET = "model: volume://shelf/m.gguf\nbackend: llama.cpp\nrollout: {gate: none}\n"
ME = f"{getpass.getuser()}@{platform.node()}"
WIDE = {"COLUMNS": "200"}


def by_sdk(project: Project, program: str) -> None:
    """What somebody does with the SDK alone, past modelctl."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/usr/bin:/bin", **lifecycle.environ(project.plane)},
        cwd=project.root,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="module")
def place(live: Project) -> Project:
    """Two apps at their second version, whose engines nothing starts."""
    by_sdk(live, "import modal; modal.Volume.objects.create('shelf')")
    for context in (2048, 4096):
        for name in ("night", "busy"):
            live.spec(name, f"{QUIET}context: {context}\nscaling: {{max: 4}}\n")
        ran = live.run("apply", "--local", "--yes")
        assert ran.code == 0, ran.out + ran.err
    return live


def plan_of(project: Project, name: str) -> str:
    """The line of the plan that says what is done to it."""
    (change,) = project.run("plan", name, "--local", "--output", "json").json["changes"]
    return f"{change['action']}: {', '.join(change['reasons'])}"


@pytest.mark.full
def test_what_was_rolled_back_by_hand_stands_until_it_is_released(place: Project) -> None:
    ran = place.run(
        *("rollback", "night", "--local", "--yes", "--why", "latency"),
        *("--until", "2030-01-07T09:00Z"),
        env=WIDE,
    )
    held = f'rolled back to v1 by {ME}, "latency", until 2030-01-07 09:00 UTC'
    assert (ran.code, ran.out) == (
        0,
        f"✔ night  v3 (is v1) serves\n  {held}\n  next: modelctl release night --local\n",
    )
    assert plan_of(place, "night") == f"held: {held}, the spec has changed since"
    again = place.run("rollback", "night", "v1", "--local", "--yes")
    assert (again.code, again.err) == (1, "error: v1 of night lives already, as v3\n")
    released = place.run("release", "night", "--local", "--yes", env=WIDE)
    assert released.code == 0
    assert released.out.startswith(
        f"✔ night  released\n  it was {held}\n"
        "\nThe next apply, with the specs that are here:\n"
        "\nlocal control plane · 1 app\n"
        "\n  ± night  redeploy   context 2048 → 4096\n"
    )


def test_what_was_scaled_by_hand_is_held_and_said(place: Project) -> None:
    since = place.last_call()
    ran = place.run("scale", "busy", "--max", "8", "--idle", "1m", "--local", "--yes", env=WIDE)
    held = f"scaled to max 8, idle_timeout 1m by {ME}, until released"
    assert (ran.code, ran.out) == (
        0,
        "  keep_warm $0.00 an hour, at most $1.76\n"
        f"✔ busy  v2 is scaled\n  {held}\n  next: modelctl release busy --local\n",
    )
    (call,) = place.calls("FunctionUpdateSchedulingParams", since)
    assert call["request"]["settings"] == {
        "min_containers": 0,
        "max_containers": 8,
        "buffer_containers": 0,
        "scaledown_window": 60,
    }
    assert plan_of(place, "busy") == f"held: {held}"
    too_many = place.run("scale", "busy", "--keep-warm", "9", "--local", "--yes")
    assert (too_many.code, too_many.err) == (
        1,
        "error: keep_warm 9 is more than max 8\nhelp: say --max 9 too\n",
    )


@pytest.mark.full  # the roll-back of the first test is in it
def test_history_says_who_did_what_and_why_the_newest_first(place: Project) -> None:
    ran = place.run("history", "night", "--local", "--output", "json")
    rows = ran.json["events"]
    assert [(row["version"], row["is"], row["did"], row["why"]) for row in rows][-3:] == [
        (3, 1, "rolled back to v1", "latency"),
        (2, None, "deployed", ""),
        (1, None, "deployed", ""),
    ]
    assert {row["who"] for row in rows} == {ME}
    assert rows[-2]["fields"] == [{"path": "context", "before": 2048, "after": 4096}]
    ran = place.run("history", "night", "--diff", "v3", "v2", "--local")
    assert ran.out == "night · v3 → v2\n  context  2048 → 4096\n"


@pytest.mark.full
def test_a_hold_keeps_what_lives_and_a_restart_holds_nothing(place: Project) -> None:
    ran = place.run("hold", "busy", "--why", "a demo", "--local", "--yes", env=WIDE)
    assert ran.out.startswith("✔ busy  v2 is held\n")
    assert f'held by {ME}, "a demo", until released' in plan_of(place, "busy")
    assert place.run("release", "busy", "--local", "--yes").code == 0
    assert place.run("apply", "busy", "--local", "--yes").code == 0
    ran = place.run("restart", "busy", "--local", "--yes")
    assert (ran.code, ran.out) == (0, "✔ busy  v3 sleeps; its next container is a fresh one\n")
    assert plan_of(place, "busy") == "unchanged: "


@pytest.mark.full
def test_what_a_release_leads_to_is_said_of_an_app_without_a_spec_too(place: Project) -> None:
    names = ("leaves", "former", "halted")
    for name in names:
        place.spec(name, f"{QUIET}context: 2048\n")
    assert place.run("apply", *names, "--local", "--yes").code == 0
    for name in names:
        assert place.run("hold", name, "--why", "a demo", "--local", "--yes").code == 0
    (place.root / "specs" / "leaves.yaml").unlink()
    (place.root / "specs" / "former.yaml").rename(place.root / "specs" / "latter.yaml")
    place.spec("latter", f"{QUIET}context: 2048\nrenamed_from: former\n")
    by_sdk(
        place,
        "import subprocess, sys\n"
        "stop = [sys.executable, '-m', 'modal', 'app', 'stop', '-y', 'halted']\n"
        "subprocess.run(stop, check=True)",
    )
    ran = place.run("release", *names, "--local", "--yes", env=WIDE)
    assert (ran.code, ran.err) == (0, "")
    assert "\n  leaves: not in specs: modelctl apply --prune deletes it\n" in ran.out
    gone = "former: renamed to latter: the next apply deletes it once that one serves"
    assert f"\n  {gone}\n" in ran.out
    assert "v1 was stopped past modelctl; apply creates it again" in ran.out
    wrong = place.spec("wrong", "context: many\n")
    ran = place.run("release", "leaves", "--local", "--yes")
    wrong.unlink()
    assert (ran.code, ran.out) == (0, "· leaves  nothing was held\n")
    assert ran.err == (
        "what the next apply does to leaves is not known: modelctl validate says why\n"
    )


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("scale night", "error: say what: --keep-warm, --max, --buffer, --target or --idle"),
        ("scale night --idle soon", "error: --idle soon is no duration: 30s, 5m, 1h"),
        ("hold night", "error: Missing option '--why'."),
        ("rollback night --why=", "error: --why is empty: say the reason, or leave it out"),
        ("hold night --why x --until soon", "error: --until soon is no time: say 9:00, 2h, 3d, "),
        ("rollback night --within soon", "error: --within soon is no duration: 90s, 20m, 1h"),
    ],
)
def test_what_makes_no_sense_is_said_before_anybody_is_asked(
    project: Project, line: str, sentence: str
) -> None:
    ran = project.run(*line.split())
    assert ran.code == 64
    assert ran.err.startswith(sentence)


@pytest.mark.full
def test_an_app_that_does_not_live_is_said_with_the_nearest_name(place: Project) -> None:
    ran = place.run("restart", "bussy", "--local", "--yes")
    assert (ran.code, ran.err) == (
        1,
        "error: no app bussy lives in the local control plane\nhelp: did you mean busy?\n",
    )


def test_without_a_terminal_it_wants_yes(place: Project) -> None:
    ran = place.run("restart", "busy", "--local")
    assert ran.code == 64
    assert ran.err.startswith("error: there is no terminal to ask on: say --yes\n")


@pytest.mark.full
def test_a_night(place: Project) -> None:
    """Rolled back, another one scaled; then three merges that have nothing to do with it."""
    for name in ("back", "wide", "other"):
        place.spec(name, f"{QUIET}context: 2048\nscaling: {{max: 4}}\n")
    names = ("back", "wide", "other")
    assert place.run("apply", *names, "--local", "--yes").code == 0
    place.spec("back", f"{QUIET}context: 4096\nscaling: {{max: 4}}\n")
    assert place.run("apply", *names, "--local", "--yes").code == 0
    by_night = ("--why", "latency", "--local", "--yes")
    assert place.run("rollback", "back", *by_night).code == 0
    assert place.run("scale", "wide", "--max", "9", *by_night).code == 0

    rolled = f'rolled back to v1 by {ME}, "latency", until released'
    scaled = f'scaled to max 9 by {ME}, "latency", until released'
    for merge, (context, most) in enumerate(((2048, 5), (4096, 5), (8192, 6)), 1):
        place.spec("other", f"{QUIET}context: {context}\nscaling: {{max: {most}}}\n")
        # The apps of the night change too: what is held is not undone, and not lost.
        place.spec("back", f"{QUIET}context: {8192 * merge}\nscaling: {{max: 4}}\n")
        place.spec("wide", f"{QUIET}context: {2048 + merge}\nscaling: {{max: 4}}\n")
        ran = place.run("apply", *names, "--local", "--yes", "--output", "json")
        assert ran.code == 0, ran.out + ran.err
        reasons = {change["name"]: change["reasons"] for change in ran.json["changes"]}
        assert reasons["back"] == [rolled, "the spec has changed since"]
        assert reasons["wide"][-1] == f"scaling kept: {scaled}"
        results = {o["name"]: (o["result"], o["version"]) for o in ran.json["outcomes"]}
        assert results["back"] == ("held", 3)
        assert results["wide"] == ("done", 1 + merge)
        assert results["other"][0] == "done"
    status = place.run("status", *names, "--local", "--output", "json").json["apps"]
    rows = {row["name"]: row for row in status}
    assert (rows["back"]["sync"], rows["back"]["version"], rows["back"]["again"]) == ("held", 3, 1)
    assert (rows["wide"]["sync"], rows["wide"]["live"]) == ("held", "0 of 0..9")
    assert rows["other"]["sync"] == "in sync"

    assert place.run("release", "back", "wide", "--local", "--yes").code == 0
    ran = place.run("apply", *names, "--local", "--yes", "--output", "json")
    assert {c["name"]: c["action"] for c in ran.json["changes"]} == {
        "back": "redeploy",
        "wide": "in-place",
        "other": "unchanged",
    }
    assert plan_of(place, "back") == "unchanged: "
    assert plan_of(place, "wide") == "unchanged: "


@pytest.mark.full
def test_a_hold_that_is_overridden_is_gone(place: Project) -> None:
    applied = ("apply", "kept", "--local", "--yes")
    place.spec("kept", f"{QUIET}context: 2048\n")
    assert place.run(*applied).code == 0
    assert place.run("hold", "kept", "--why", "a demo", "--local", "--yes").code == 0
    place.spec("kept", f"{QUIET}context: 4096\n")
    assert place.run(*applied, "--override-hold").code == 0
    place.spec("kept", f"{QUIET}context: 8192\n")
    assert plan_of(place, "kept") == "redeploy: "
    assert place.run("destroy", "kept", "--local", "--yes").code == 0
    rows = place.run("history", "kept", "--local", "--output", "json").json["events"]
    assert [(row["version"], row["did"]) for row in rows] == [
        (2, "destroyed"),
        (2, "deployed"),
        (1, "released"),
        (1, "held"),
        (1, "deployed"),
    ]


@pytest.mark.full
def test_a_roll_back_that_is_killed_while_it_takes_effect_is_left_alone_by_the_next_apply(
    place: Project,
) -> None:
    for context in (2048, 4096):
        place.spec("killed", f"{QUIET}context: {context}\n")
        assert place.run("apply", "killed", "--local", "--yes").code == 0
    soon = {"MODELCTL_LEASE_SECONDS": "2"}
    fault = lifecycle.add_fault(
        place.plane, "latency", method="AppRollback", seconds=60.0, when="after"
    )
    rolling = subprocess.Popen(
        [sys.executable, "-P", "-m", "modelctl", "rollback", "killed", "--local", "--yes"],
        cwd=place.root,
        env={**os.environ, **soon, "MODAL_CONFIG_PATH": "/nonexistent"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    while not lifecycle.faults(place.plane)[0]["waiting"]:
        assert time.monotonic() < end
        time.sleep(0.05)
    rolling.kill()
    rolling.wait()
    lifecycle.clear_faults(place.plane, fault)
    ran = place.run("apply", "killed", "--local", "--yes", "--wait", "30s", env={**soon, **WIDE})
    assert ran.code == 0, ran.out + ran.err
    assert f"killed  held       rolled back to v1 by {ME}, until released" in ran.out
    row = row_of(place, "killed")
    assert (row["sync"], row["version"]) == ("held", 3)


ENVIRONMENTS = """\
project: team
environments:
  staging: {modal_environment: main}
  prod: {modal_environment: prod, confirm: true}
"""


@pytest.mark.full
def test_what_is_good_in_one_environment_is_applied_to_the_next(place: Project) -> None:
    token = lifecycle.environ(place.plane)
    by_sdk(
        place,
        "import modal; modal.Environment.objects.create('prod')\n"
        "modal.Volume.objects.create('shelf', environment_name='prod')",
    )
    place.write("modelctl.yaml", ENVIRONMENTS)
    try:
        promoted = ("promote", "onward", "--from", "staging", "--to", "prod", "--yes")
        spec = f"{QUIET}context: 2048\nenvironments: {{prod: {{scaling: {{max: 7}}}}}}\n"
        place.spec("onward", spec)
        ran = place.run(*promoted, "--confirm", "prod", env=token)
        assert (ran.code, ran.err.splitlines()[-1]) == (
            1,
            "error: onward does not live in staging: modelctl apply onward --env staging first",
        )
        ran = place.run("apply", "onward", "--env", "staging", "--yes", env=token)
        assert ran.code == 0, ran.out + ran.err
        ran = place.run(*promoted, env=token)
        assert ran.code == 64
        assert "modelctl.yaml says confirm for prod: say --confirm prod too" in ran.err
        ran = place.run(*promoted, "--confirm", "prod", env=token)
        assert ran.code == 0, ran.out + ran.err
        assert "onward is asleep in staging: not asked whether it answers\n" in ran.err
        assert "onward: good in staging, with the model and the engine that prod asks" in ran.err
        assert "local control plane, environment prod · 1 app\n" in ran.out
        assert "1 applied" in ran.out
        place.spec("onward", spec.replace("2048", "4096"))
        ran = place.run(*promoted, "--confirm", "prod", env=token)
        assert (ran.code, ran.err.splitlines()[-1]) == (
            1,
            "error: onward in staging is not what its spec says now (context): "
            "modelctl apply onward --env staging first",
        )
    finally:
        place.write("modelctl.yaml", "project: team\n")


REAL = """\
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: llama.cpp
context: {context}
keep_warm: 1
"""


@pytest.mark.full
def test_a_real_engine_comes_back_while_its_endpoint_answers(place: Project, gguf: Path) -> None:
    place_model(gguf, place)
    for context in (1024, 2048):
        place.spec("real", REAL.format(context=context))
        assert place.run("apply", "real", "--local", "--yes").code == 0
    assert context_of(place) == 2048
    plane = place.plane
    keys = {"Modal-Key": plane.proxy_token_id, "Modal-Secret": plane.proxy_token_secret}
    url = row_of(place)["url"]
    answers: list[int] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            request = urllib.request.Request(f"{url}/health", headers=keys)
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    answers.append(response.status)
            except urllib.error.HTTPError as error:
                answers.append(error.code)

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        before = set(row_of(place)["container_ids"])
        ran = place.run("rollback", "real", "--local", "--yes")
        assert ran.code == 0, ran.out + ran.err
        assert ran.out.startswith("✔ real  v3 (is v1) serves\n")
        assert context_of(place) == 1024
        ran = place.run("restart", "real", "--local", "--yes")
        assert ran.code == 0, ran.out + ran.err
        assert ran.out.startswith("✔ real  v4 (is v1) serves, with fresh containers\n")
    finally:
        stop.set()
        asking.join()
    assert set(answers) == {200}
    assert not before & set(row_of(place)["container_ids"])
    assert row_of(place)["health"] == "healthy"


@pytest.mark.full
def test_a_version_that_came_back_and_does_not_start_is_said_with_its_lines(
    place: Project,
) -> None:
    broken = "model: volume://shelf/missing.gguf\nbackend: llama.cpp\nkeep_warm: 1\n"
    place.spec("hollow", f"{broken}context: 2048\nrollout: {{gate: none}}\n")
    assert place.run("apply", "hollow", "--local", "--yes").code == 0
    place.spec("hollow", f"{broken}context: 4096\nrollout: {{gate: none}}\n")
    assert place.run("apply", "hollow", "--local", "--yes").code == 0
    # Without a record nobody knows that its spec wants no gate.
    by_sdk(place, "import modal; modal.Volume.objects.delete('modelctl-team')")
    ran = place.run("rollback", "hollow", "v1", "--local", "--yes")
    assert ran.code == 5
    said = " ".join(ran.out.split())
    assert said.startswith("✘ hollow v3 (is v1) does not serve could not boot: ")
    assert "last lines of its log:" in said
    assert "rolled back to v1 by" in said
    assert said.endswith("next: modelctl history hollow --local")


def row_of(project: Project, name: str = "real") -> dict[str, Any]:
    (row,) = project.run("status", name, "--local", "--output", "json").json["apps"]
    assert isinstance(row, dict)
    return row


def context_of(project: Project) -> int:
    """What the engine itself says that a request may hold."""
    plane = project.plane
    request = urllib.request.Request(
        f"{row_of(project)['url']}/props",
        headers={"Modal-Key": plane.proxy_token_id, "Modal-Secret": plane.proxy_token_secret},
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return int(json.load(response)["default_generation_settings"]["n_ctx"])
