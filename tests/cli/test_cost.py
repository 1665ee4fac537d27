"""Does modelctl cost add up Modal's bill, beside what plan said of keep-warm?"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from modelctl.facts.prices import list_prices
from modelctl.local import lifecycle
from modelctl.views.paint import Paint
from modelctl.views.spent import Spending, Spent, bar, money, text
from tests.conftest import Project

pytestmark = pytest.mark.full

QUIET = "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\nrollout: {gate: none}\n"
HOUR = 3600


def app_ids(project: Project) -> dict[str, str]:
    said = (
        "import modal\n"
        "for a in modal.Environment.from_name('main').apps.list(): print(a.name, a.app_id)"
    )
    done = subprocess.run(
        [sys.executable, "-c", said],
        env={"PATH": "/usr/bin:/bin", **lifecycle.environ(project.plane)},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(line.split() for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def billed(live: Project) -> Iterator[Project]:
    """Two apps of the project and one of others; one ran for 90 minutes on an H100 yesterday."""
    env = {"PATH": "/usr/bin:/bin", **lifecycle.environ(live.plane)}
    code = "import modal; modal.Volume.objects.create('shelf'); modal.App('theirs').deploy()"
    subprocess.run([sys.executable, "-c", code], env=env, cwd=live.root, check=True)
    live.spec("busy", QUIET + "gpu: H100\nlabels: {tier: gold}\n")
    live.spec("idle", QUIET + "gpu: L4\n")
    ran = live.run("apply", "--local", "--yes", "--output", "json")
    assert ran.code == 0, ran.err
    ids = app_ids(live)
    state = lifecycle.status(live.root / ".modelctl" / "local")
    assert state is not None
    lifecycle.down(state.state_dir)
    start = time.time() // 86400 * 86400 - 12 * HOUR
    lives = [
        ("ta-a", ids["busy"], "H100", 2.0, 4096, start, start + 1.5 * HOUR),
        ("ta-b", ids["theirs"], "L4", 0.0, 0, start, start + HOUR),
    ]
    store = sqlite3.connect(state.state_dir / "state.db")
    with store:
        store.executemany(
            "INSERT INTO containers VALUES (?1, ?2, 'fu', 'de', ?3, ?3, ?4, ?5, ?6, ?6, ?6, ?7,"
            " 0, 0, x'')",
            lives,
        )
    store.close()
    lifecycle.up(state.state_dir)
    yield live


def apps(project: Project, *words: str) -> dict[str, float]:
    ran = project.run("cost", "--local", "--output", "json", *words)
    assert ran.code == 0, ran.err
    (found,) = ran.json["environments"]
    return {app["name"]: app["usd"] for app in found["apps"]}


def test_what_an_app_cost_is_modal_s_own_bill(billed: Project) -> None:
    prices = list_prices()
    an_hour = HOUR * (prices.cards["H100"] + 2 * prices.core + 4 * prices.gib)
    assert apps(billed) == {"busy": pytest.approx(1.5 * an_hour), "idle": 0}
    assert apps(billed, "-l", "tier=gold") == {"busy": pytest.approx(1.5 * an_hour)}
    assert apps(billed, "--since", "1h")["busy"] == 0
    (found,) = billed.run("cost", "--local", "--output", "json").json["environments"]
    least = HOUR * (prices.cards["L4"] + 0.125 * prices.core + 0.125 * prices.gib)
    assert found["others_usd"] == pytest.approx(least)
    assert {app["note"] for app in found["apps"]} == {"scale to zero"}


def test_a_line_an_app_with_a_bar(billed: Project) -> None:
    lines = billed.run("cost", "--local").out.splitlines()
    assert lines[0].startswith("local control plane · 20")
    assert lines[1] == "On Modal this would cost (here it costs nothing):"
    assert lines[2].split() == ["cost", "planned"]
    assert lines[3].endswith(f"-  {'▓' * 20}  scale to zero")
    assert lines[3].split()[:2] == ["busy", "$6.11"]
    assert lines[4].split()[:3] == ["idle", "$0.00", "-"]
    assert lines[5].split() == ["this", "project", "$6.11", "-"]
    assert lines[6].split() == ["others", "$0.81"]


@pytest.mark.full
def test_what_cannot_be_asked_is_said_by_environment(billed: Project) -> None:
    billed.write(
        "modelctl.yaml",
        "project: team\nenvironments:\n  main: {}\n  gone: {}\n",
    )
    env = {**lifecycle.environ(billed.plane)}
    ran = billed.run("cost", "--output", "json", env=env)
    assert ran.code == 0, ran.err
    main, gone = ran.json["environments"]
    assert (main["not_asked"], gone["environment"]) == (None, "gone")
    assert gone["not_asked"].startswith("looking for the environment gone: ")
    fault = lifecycle.add_fault(
        billed.plane, "refuse", method="WorkspaceBillingReport", status="PERMISSION_DENIED",
        message="billing is for owners",
    )  # fmt: skip
    try:
        ran = billed.run("cost", "--env", "main", env=env)
    finally:
        lifecycle.clear_faults(billed.plane, fault)
    assert ran.code == 6
    assert " ".join(ran.out.split("\n", 1)[1].split()) == (
        "not asked: these credentials may not do that (asking what the apps cost): billing is for "
        "owners; ask the workspace's owner for the right, or use another token"
    )


def test_without_a_plane_or_with_a_spec_that_is_not_there(project: Project) -> None:
    ran = project.run("cost", "--local")
    assert (ran.code, ran.err) == (
        6,
        "error: no local control plane runs here; start one: modelctl local up\n",
    )
    ran = project.run("cost")
    assert ran.out.startswith("Modal environment of this profile · ")
    project.spec("a", QUIET)
    ran = project.run("cost", "nobody")
    assert ran.code == 1
    assert "no spec in specs has the name nobody" in ran.err


def test_the_whole_screen() -> None:
    found = Spending(
        "prod",
        "Modal environment prod",
        (
            Spent("chat-8b", 150.0, planned=144.0, warm=0.6, hours=240),
            Spent("embed", 0.0031, warm=0.0, note="scale to zero"),
            Spent("old", 20.0, note="lives no more"),
            Spent("search", 75.0, planned=120.0, warm=0.5, hours=240),
        ),
        others=3.5,
    )
    dark = Spending("staging", "Modal environment staging", not_asked="nobody answers; try again")
    since, until = datetime(2026, 10, 22, tzinfo=UTC), datetime(2026, 11, 21, 20, 5, tzinfo=UTC)
    assert text([found, dark], since, until, paint=Paint(on=False), width=80) == (
        "Modal environment prod · 2026-10-22 00:00 to 2026-11-21 20:05 UTC\n"
        "                      cost     planned\n"
        "  chat-8b          $150.00     $144.00  ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓█  104% of it\n"
        "  embed            $0.0031           -                        scale to zero\n"
        "  old               $20.00           -  ▓▓▓                   lives no more\n"
        "  search            $75.00     $120.00  ▓▓▓▓▓▓▓▓▓▓░░░░░░      62% of it\n"
        "  this project     $245.00     $264.00\n"
        "  others             $3.50\n"
        "\n"
        "Modal environment staging · 2026-10-22 00:00 to 2026-11-21 20:05 UTC\n"
        "  not asked: nobody answers; try again\n"
        "\n"
        "  planned: what keep_warm costs, as plan says it, for as long as the app lived;\n"
        "  ▓ cost, ░ planned and not used, █ past what was planned"
    )


def test_small_money_and_empty_bars() -> None:
    assert [money(x) for x in (0, 0.0031, 0.01, 1234.5)] == [
        "$0.00",
        "$0.0031",
        "$0.01",
        "$1,234.50",
    ]
    assert bar(Spent("a", 0.0), 0.0) == ""
