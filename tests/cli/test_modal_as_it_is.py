"""What becomes of an apply when Modal is slow, refuses, or changes underneath, or is interrupted?

Real signals, a real plane: each outcome names its app, and says what is to be done.
"""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.commands import Command, Commands, commands
from tests.conftest import Project
from tests.local.conftest import until

QUIET = "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\nrollout: {gate: none}\n"
NUMBERS = itertools.count()
IMAGE = "image: {run: ['echo %s']}\n"


@pytest.fixture(scope="module")
def started(live: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(live, tmp_path_factory.mktemp("commands"), MODELCTL_LEASE_SECONDS="2") as made:
        made.client.sdk("modal.Volume.objects.create('shelf')")
        yield made


@pytest.fixture(autouse=True)
def afresh(started: Commands) -> Iterator[None]:
    """Each test is a project of its own, and leaves no fault behind."""
    started.project.write("modelctl.yaml", f"project: team-{next(NUMBERS)}\n")
    for file in (started.project.root / "specs").glob("*.yaml"):
        file.unlink()
    yield
    started.clear()


def outcomes(ran: Any) -> dict[str, tuple[str, str]]:
    return {o["name"]: (o["result"], o["detail"]) for o in ran.json["outcomes"]}


# -- interrupted


def held(started: Commands, *names: str, width: str = "1") -> Command:
    """An apply of these apps that waits for the answer to its first AppPublish."""
    for name in names:
        started.project.spec(name, QUIET)
    started.fault("latency", method="AppPublish", seconds=3600, when="after", times=1)
    command = started.start("apply", "--local", "--yes", "--width", width, "--output", "json")
    until(lambda: any(fault.get("waiting") for fault in started.faults()), 30)
    return command


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.full)]
)
def test_interrupted_once_it_finishes_what_is_under_way(
    started: Commands, number: signal.Signals
) -> None:
    word = number.name.lower()
    command = held(started, *(f"{word}-{n}" for n in "abc"))
    command.signal(number)
    until(lambda: "interrupted" in command.said())
    started.clear()
    ran = command.end()
    assert ran.code == 130
    assert "interrupted: what is under way is finished; once more stops at once\n" in ran.err
    assert outcomes(ran) == {
        f"{word}-a": ("done", ""),
        f"{word}-b": ("skipped", "not begun: interrupted"),
        f"{word}-c": ("skipped", "not begun: interrupted"),
    }
    plan = started.run("plan", "--local", "--output", "json").json["changes"]
    assert {c["name"]: c["action"] for c in plan} == {
        f"{word}-a": "unchanged",
        f"{word}-b": "create",
        f"{word}-c": "create",
    }


@pytest.mark.full
def test_interrupted_twice_it_stops_and_still_says_what_became_of_every_app(
    started: Commands,
) -> None:
    command = held(started, "twice-a", "twice-b")
    command.signal(signal.SIGINT)
    until(lambda: "interrupted" in command.said())
    command.signal(signal.SIGINT)
    ran = command.end(20)
    started.clear()
    assert ran.code == 130
    assert outcomes(ran) == {
        "twice-a": ("skipped", "interrupted: the next apply finds out how far it came"),
        "twice-b": ("skipped", "interrupted: the next apply finds out how far it came"),
    }
    assert started.run("apply", "--local", "--yes").code == 0
    assert started.run("plan", "--local").out.endswith("Nothing to do.\n")


# -- images


def test_a_build_that_fails_shows_its_last_lines_and_no_secret(started: Commands) -> None:
    started.project.spec("fails", QUIET + IMAGE % "$(cat /token)")
    started.fault("fail-build", app="fails", message="401: hf_abcdefghijklmnopqrstuvwx",
                  times=1)  # fmt: skip
    ran = started.run("apply", "--local", "--yes")
    assert ran.code == 5
    said = ran.out[ran.out.index("✘ fails") :]
    words = " ".join(said.split())
    assert words.startswith("✘ fails deploying fails: its image could not be built: 401: hf_")
    assert "\n  last lines of the image's build:\n    => Step 0: " in said
    assert "\n    401: hf_•" in said
    assert "hf_abc" not in ran.out + ran.err
    again = started.run("apply", "--local", "--yes")
    assert again.code == 0, again


@pytest.mark.full
def test_a_build_that_fails_leaves_what_ran_before(started: Commands) -> None:
    started.project.spec("rebuilt", QUIET)
    assert started.run("apply", "--local", "--yes").code == 0
    started.project.spec("rebuilt", QUIET + IMAGE % "more")
    started.fault("fail-build", app="rebuilt")
    ran = started.run("apply", "--local", "--yes")
    assert ran.code == 4
    assert "its image could not be built: The build failed on demand.;" in " ".join(ran.out.split())


@pytest.mark.full
def test_a_slow_build_is_seen_to_go_on(started: Commands) -> None:
    started.project.spec("slow", QUIET + IMAGE % "slow")
    started.fault("slow-build", app="slow", seconds=1)
    ran = started.run("apply", "--local", "--yes")
    assert ran.code == 0
    assert "\n    slow  image: => Step 0: " in ran.err


# -- calls


@pytest.mark.full
def test_an_app_that_is_stopped_underneath_is_said_and_created_again(started: Commands) -> None:
    started.project.spec("under", QUIET)
    command = held(started, "under")
    started.client.sdk("modal.App.lookup('under').stop()")
    started.clear()
    ran = command.end()
    assert (ran.code, outcomes(ran)["under"][0]) == (6, "failed"), ran
    assert started.run("apply", "--local", "--yes").code == 0
    assert started.run("plan", "--local").out.endswith("Nothing to do.\n")


@pytest.mark.full
def test_a_token_that_is_revoked_in_the_middle(started: Commands) -> None:
    for name in ("revoked-a", "revoked-b"):
        started.project.spec(name, QUIET)
    since = started.project.last_call()
    command = held(started, "revoked-a", "revoked-b")
    started.fault("revoke")
    started.clear_latency()
    ran = command.end(120)
    assert started.project.calls("AppPublish", since)
    found = outcomes(ran)
    assert set(found) == {"revoked-a", "revoked-b"}
    assert found["revoked-b"][0] == "failed"
    assert "Modal refused the credentials: The token was revoked (fault f" in found["revoked-b"][1]
    assert ran.code == 4, ran
    started.clear()
    assert started.run("apply", "--local", "--yes").code == 0


@pytest.mark.parametrize(
    "method",
    [
        pytest.param("AppList", marks=pytest.mark.full),
        pytest.param("VolumePutFiles", marks=pytest.mark.full),
        pytest.param("AppPublish", marks=pytest.mark.full),
        pytest.param("VolumeGetFile2", marks=pytest.mark.full),
        pytest.param("FunctionGet", marks=pytest.mark.full),
        pytest.param("AppGetInfo", marks=pytest.mark.full),
    ],
)
def test_three_calls_that_nobody_answers_are_made_again(started: Commands, method: str) -> None:
    name = f"again-{method.lower()}"
    started.project.spec(name, QUIET)
    assert started.run("apply", "--local", "--yes").code == 0
    started.project.spec(name, QUIET + "env: {MORE: x}\n")
    started.fault("refuse", method=method, status="UNAVAILABLE", times=3)
    ran = started.run("apply", "--local", "--yes", "--output", "json")
    assert ran.code == 0, ran
    assert outcomes(ran) == {name: ("done", "")}
    assert started.faults() == []


def test_what_may_be_asked_twice_is_asked_again_when_modal_is_too_busy(started: Commands) -> None:
    started.project.spec("busy", QUIET)
    for method in ("AppList", "VolumeGetFile2", "VolumePutFiles", "AppGetInfo"):
        started.fault("refuse", method=method, status="RESOURCE_EXHAUSTED", times=1)
    ran = started.run("apply", "--local", "--yes", "--output", "json")
    assert (ran.code, outcomes(ran)) == (0, {"busy": ("done", "")}), ran


@pytest.mark.full
def test_a_deployment_is_not_repeated_when_modal_is_too_busy(started: Commands) -> None:
    started.project.spec("once", QUIET)
    started.fault("refuse", method="AppPublish", status="RESOURCE_EXHAUSTED", message="slow down")
    since = started.project.last_call()
    ran = started.run("apply", "--local", "--yes", "--output", "json")
    started.clear()
    assert ran.code == 6
    assert outcomes(ran) == {
        "once": ("failed", "Modal asks to slow down while deploying once: slow down; try again")
    }
    assert len(started.project.calls("AppPublish", since)) == 1
    assert started.run("apply", "--local", "--yes").code == 0
