"""What a person does past the specs, on the real plane: it holds, each plan says so, it ends."""

from __future__ import annotations

import getpass
import platform
import subprocess
import sys

import pytest

from modelctl.local import lifecycle
from tests.conftest import Project

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


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("scale night", "error: say what: --keep-warm, --max, --buffer, --target or --idle"),
        ("scale night --idle soon", "error: --idle soon is no duration: 30s, 5m, 1h"),
        ("hold night", "error: Missing option '--why'."),
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
