"""What does status say of an app: is it in sync, is it healthy, what runs, what does that cost?"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from modelctl.assess import Assessed
from modelctl.assess.cost import Cost as Price
from modelctl.assess.cost import VariantCost
from modelctl.cli.status import row_of
from modelctl.local import lifecycle
from modelctl.plan import Action, Change
from modelctl.platform.types import Details
from modelctl.record import Hold
from modelctl.resolved import Unknown
from modelctl.views.rows import StatusRow
from tests.conftest import Project, place_model
from tests.making import NOW, entry, live_app, resolved, scaling, seen

HOLD = Hold("version", "ana", "latency", NOW, None, "rolled back to v6")
SIX_MINUTES_AGO = datetime(2026, 11, 21, 11, 54, tzinfo=UTC)


def assessed(usd: float | Unknown = 4.84, gpus: tuple[str, ...] = ("H100",)) -> Assessed:
    placed = replace(resolved().placement, gpus=gpus)
    price = Price((), usd, 0.0, 0.0)
    return Assessed(replace(resolved(), placement=placed), None, price, None)  # type: ignore[arg-type]


def row(
    change: Change,
    *,
    containers: int = 2,
    gpus: tuple[str, ...] = ("H100",),
    health: str = "healthy",
    found: Assessed | None = None,
    waits: tuple[str, datetime] | None = None,
    got: Mapping[str, str] | None = None,
    **recorded: object,
) -> StatusRow:
    lives = live_app(version=change.version or 1)
    known = replace(entry(version=change.version or 1), **recorded)
    ids = tuple(f"ta-{n}" for n in range(containers))
    details = Details({}, "http://chat", scaling(2, max_containers=8), gpus, containers=ids)
    world = seen(lives, index={"chat": known})
    return row_of(change, world, details, health, waits, found or assessed(), got or {})


@pytest.mark.parametrize(
    ("change", "sync"),
    [
        (Change("chat", Action.UNCHANGED), "in sync"),
        (Change("chat", Action.HELD, ("rolled back to v6 by ana",), hold=HOLD), "held"),
        (Change("chat", Action.BLOCKED, ("v9 failed: answered wrong",)), "blocked"),
        (Change("chat", Action.DRIFT, ("live max 12, spec 4",)), "drifted"),
        (Change("chat", Action.DRIFT, ("live max 12, spec 4",), verify=True), "drifted"),
        (Change("chat", Action.REDEPLOY), "out of date"),
        (Change("chat", Action.IN_PLACE), "out of date"),
        (Change("chat", Action.IN_PLACE, ("tried again",), verify=True), "not proven"),
        (Change("chat", Action.DELETE, ("not in specs (needs --prune)",)), "no spec"),
        (Change("chat", Action.FOREIGN, ("the project b has an app of this name",)), "foreign"),
        (Change("chat", Action.CREATE, ("H100, 1 kept warm",)), "not deployed"),
    ],
)  # fmt: skip
def test_sync_is_what_the_plan_would_do(change: Change, sync: str) -> None:
    said = row(change)
    assert said.sync == sync
    quiet = {Action.CREATE, Action.DELETE, Action.UNCHANGED}
    assert said.reasons == (() if change.action in quiet else change.reasons)
    assert said.hold == change.hold


@pytest.mark.parametrize("action", [Action.HELD, Action.UNCHANGED])
def test_what_failed_its_gate_and_was_kept_answers_but_is_not_healthy(action: Action) -> None:
    said = row(Change("chat", action), unproven="answered wrong: capital")
    assert said.health == "not proven"
    assert said.reasons == ("not proven: answered wrong: capital",)


def test_what_runs_is_counted_and_costs_what_its_spec_s_first_gpu_does() -> None:
    said = row(Change("chat", Action.UNCHANGED, version=12), commit="8f3ab1e", again=None)
    assert (said.live, said.usd_per_hour) == ("2 of 2..8 H100", 9.68)
    assert (said.version, said.commit, said.again) == (12, "8f3ab1e", None)


def test_what_sleeps_costs_nothing_whatever_its_gpu() -> None:
    said = row(Change("chat", Action.UNCHANGED), containers=0, found=assessed(Unknown("no price")))
    assert said.usd_per_hour == 0.0


@pytest.mark.parametrize("found", [assessed(Unknown("no price")), assessed(gpus=("L40S",))])
def test_what_has_no_known_price_is_not_guessed(found: Assessed) -> None:
    assert row(Change("chat", Action.UNCHANGED), found=found).usd_per_hour is None


def test_a_list_of_gpus_is_said_as_one_of_them() -> None:
    change = Change("chat", Action.UNCHANGED)
    assert row(change, gpus=("H100", "L40S:2")).live == "2 of 2..8 H100 or L40S:2"
    assert row(change, gpus=("H100", "A100-80GB", "L40S:2")).live == "2 of 2..8 H100 or others"
    assert row(change, gpus=()).live == "2 of 2..8"


def test_what_containers_got_is_said_and_paid_for() -> None:
    change, both = Change("chat", Action.UNCHANGED), ("H100", "L40S:2")
    found = assessed(gpus=both)
    prices = (VariantCost("H100", 4.84), VariantCost("L40S:2", 4.0))
    found = replace(found, cost=replace(found.cost, variants=prices))
    said = row(change, gpus=both, found=found, got={"ta-0": "L40S:2", "ta-1": "L40S:2"})
    assert (said.live, said.usd_per_hour) == ("2 of 2..8 L40S:2", 8.0)
    said = row(change, gpus=both, found=found, got={"ta-0": "H100", "ta-1": "L40S:2"})
    assert (said.live, said.usd_per_hour) == ("2 of 2..8 H100, L40S:2", 8.84)
    said = row(change, gpus=both, found=found, got={"ta-1": "L40S:2"})
    assert (said.live, said.usd_per_hour) == ("2 of 2..8 H100 or L40S:2", 8.84)


def test_a_version_that_nobody_recorded_has_no_commit() -> None:
    change = Change("chat", Action.DRIFT, version=3)
    world = seen(live_app(version=3), index={"chat": replace(entry(version=2), commit="8f3ab1e")})
    said = row_of(change, world, None, "-", None, None, {})
    assert (said.version, said.commit, said.live, said.usd_per_hour) == (3, "", "-", None)


def test_what_waits_says_for_how_long_and_for_what() -> None:
    said = row(
        Change("chat", Action.UNCHANGED), health="starting", waits=("H100:2", SIX_MINUTES_AGO)
    )
    assert (said.health, said.waiting_for) == ("waiting 6 min", "H100:2")
    assert said.waiting_since == SIX_MINUTES_AGO


WAITS = """\
model: volume://shelf/m.gguf
backend: llama.cpp
context: 2048
gpu: ["H100:2"]
keep_warm: 1
rollout: {gate: none}
"""


@pytest.mark.full
def test_no_gpu_is_said_with_since_when_and_for_what(live: Project) -> None:
    variables = {"PATH": "/usr/bin:/bin", **lifecycle.environ(live.plane)}
    made = "import modal; modal.Volume.objects.create('shelf')"
    subprocess.run([sys.executable, "-c", made], env=variables, check=True, capture_output=True)
    lifecycle.add_fault(live.plane, "no-capacity", gpu="H100*")
    live.spec("waits", WAITS)
    assert live.run("apply", "waits", "--local", "--yes").code == 0
    out = shown(live, "waits", "waiting for")
    assert re.search(r"  waits  in sync  waiting \d+ s +0 of 1\.\.∞ H100:2  v1 +0\.00\n", out), out
    assert "         waiting for 2 × H100\n" in out
    (app,) = live.run("status", "waits", "--local", "--output", "json").json["apps"]
    assert app["waiting_for"] == "H100:2"
    assert app["usd_per_hour"] == 0.0


@pytest.mark.full
def test_the_gpu_that_was_free_is_the_one_that_is_said_and_paid_for(
    live: Project, gguf: Path
) -> None:
    place_model(gguf, live)
    lifecycle.set_gpus(live.plane, "L4=1")
    real = "model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf\nbackend: llama.cpp\ncontext: 1024\n"
    live.spec("lucky", f"{real}gpu: [A10, L4]\nkeep_warm: 1\n")
    assert live.run("apply", "lucky", "--local", "--yes").code == 0
    out = shown(live, "lucky", "healthy")
    assert re.search(r"  lucky  in sync  healthy  1 of 1\.\.∞ L4  v1 +0\.\d\d\n", out), out


def shown(project: Project, name: str, awaited: str) -> str:
    for _ in range(40):
        out = project.run("status", name, "--local").out
        if awaited in out:
            break
        time.sleep(0.25)
    return out
