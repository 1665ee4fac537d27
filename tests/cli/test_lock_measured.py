"""Does the lock take what a boot measured from a log, and nothing that only looks like it?"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelctl.assess.fits import run_of
from modelctl.cli.options import Selection
from modelctl.cli.pipeline import check_all, project_here
from modelctl.facts.gpus import gpus
from modelctl.fit.types import GIB, VllmInputs
from modelctl.local import lifecycle
from modelctl.weights.measured import Measured, as_row
from tests.cli.test_fit import COMMIT, FILES, QWEN3_8B
from tests.cli.test_lock import InProcess
from tests.conftest import Project, place_model

SPEC = """\
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: {name: llama.cpp, args: {verbosity: 4}}
context: 1024
max_sequences: 2
gpu: none
keep_warm: 1
"""
ON_GPU = SPEC.replace("gpu: none", "gpu: L4")
QUIET = SPEC.replace(", args: {verbosity: 4}", "")
MODEL = "./models/SmolLM2-135M-Instruct.Q4_1.gguf"

pytestmark = pytest.mark.full
"""A boot is waited for; what is read from its logs is tests/fit/test_measured.py."""


@pytest.fixture(scope="module")
def booted(live: Project, gguf: Path) -> Project:
    place_model(gguf, live)
    live.spec("measured", SPEC)
    ran = live.run("apply", "--local", "--yes", timeout=300)
    assert ran.code == 0, ran.out + ran.err
    return live


@pytest.fixture(scope="module")
def others(booted: Project) -> Project:
    """Two apps more: one that was told to be on a GPU, one that writes little."""
    lifecycle.set_gpus(booted.plane, "L4=1")
    booted.spec("on-gpu", ON_GPU)
    booted.spec("quiet", QUIET)
    ran = booted.run("apply", "--local", "--yes", timeout=300)
    assert ran.code == 0, ran.out + ran.err
    return booted


@pytest.fixture(scope="module")
def measured(booted: Project) -> str:
    """The lock that a boot was written into."""
    ran = booted.run("lock", "--measured", "measured", "--local")
    assert ran.code == 0, ran.err
    first, last = ran.out.splitlines()
    assert first.startswith(
        "  + measured v1 on the CPU: weights 0.09 GiB, cache 0.04 GiB, 2,048 tokens ("
    )
    assert last == "modelctl.lock has 1 measurement of these boots."
    text = (booted.root / "modelctl.lock").read_text(encoding="utf-8")
    (booted.root / "modelctl.lock").unlink()
    return text


@pytest.fixture(autouse=True)
def as_deployed(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "booted" not in request.fixturenames:
        return
    booted = request.getfixturevalue("booted")
    (booted.root / "modelctl.lock").unlink(missing_ok=True)
    booted.spec("measured", SPEC)


@pytest.fixture
def here(booted: Project, capsys: pytest.CaptureFixture[str]) -> InProcess:
    """For what reads files alone: without a process for each command."""
    return InProcess(booted.root, said=capsys)


QWEN3 = """\
model: hf://Qwen/Qwen3-8B
backend: vllm
context: 32768
gpu: [H100!, L4]
"""


def known(project: Project, **changes: object) -> None:
    """A lock that knows qwen3-8b by its config.json, and a boot of it on an L4."""
    lock: dict[str, Any] = {
        "format": 1,
        "sources": {
            "hf://Qwen/Qwen3-8B": {"commit": COMMIT, "config": QWEN3_8B, "files": FILES},
        },
    }
    project.write("modelctl.lock", json.dumps(lock))
    project.spec("qwen3-8b", QWEN3)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        ((_, assessed),) = check_all(Selection(), project_here(), hashed=False).specs
    variant = next(v for v in assessed.resolved.variants if v.key == "L4")
    assert isinstance(variant.memory, VllmInputs)
    run = run_of(assessed.resolved, variant, variant.memory)
    boot = Measured(
        engine=run.engine,
        version=run.version,
        gpu=run.gpu,
        inputs=run.digest,
        alike=run.alike(gpus()["L4"]),
        model=assessed.model.shape_digest,
        at="2026-11-20",
        app="qwen3-8b",
        app_version=7,
        commit=COMMIT,
        weights=int(15.27 * GIB),
        cache=int(4.61 * GIB),
        tokens=33_568,
        run=run.shown(),
    )
    lock["measured"] = {"hf://Qwen/Qwen3-8B": [as_row(replace(boot, **changes))]}  # type: ignore[arg-type]
    project.write("modelctl.lock", json.dumps(lock))


def test_what_may_not_fit_fits_once_it_has_booted(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    inside = InProcess(project.root, {"COLUMNS": "100"}, said=capsys)
    known(project, model="0" * 16)  # of another model: nothing is measured
    before = inside.run("validate")
    assert "fit/may-not-fit" in before.err + before.out
    assert "L4 fits with" in inside.run("fit", "qwen3-8b").out
    known(project)
    after = inside.run("validate")
    assert "fit/may-not-fit" not in after.err + after.out
    shown = inside.run("fit", "qwen3-8b").out
    (row,) = [line for line in shown.splitlines() if line.startswith("L4 ") and "GiB" not in line][
        :1
    ]
    assert row.split()[-5:] == ["33,600", "1", "16", "fits", "(measured)"]
    assert (
        "L4: weights and cache as reported by qwen3-8b v7 on 2026-11-20, with a context of 32,768."
    ) in " ".join(shown.split())
    assert "Cheapest that fits: L4, $" in shown
    assert "L4 fits with" not in shown


def rows(project: Project) -> Any:
    return json.loads((project.root / "modelctl.lock").read_text()).get("measured", {})


def test_a_boot_is_measured_written_down_and_believed(
    booted: Project, measured: str, here: InProcess
) -> None:
    before = here.run("fit", "measured", "--output", "json").json["rows"][0]
    assert (before["key"], before["measured"], before["boot"]) == ("cpu", False, "")
    booted.write("modelctl.lock", measured)
    (row,) = rows(booted)[MODEL]
    assert (row["engine"], row["gpu"], row["app"], row["app_version"]) == (
        "llama.cpp",
        "cpu",
        "measured",
        1,
    )
    assert row["cache"] == 45 * 2**20
    assert row["run"] == {"context": 2048, "kv_cache": "f16", "slots": 2, "ubatch": 512}
    shown = here.run("fit", "measured")
    assert shown.code == 0, shown.err
    assert "  fits (measured)\n" in shown.out
    assert "cpu: weights and cache as reported by measured v1 on " in " ".join(shown.out.split())
    found = here.run("fit", "measured", "--output", "json").json["rows"][0]
    assert found["measured"] is True
    weights = round(row["weights"] / 2**30, 3)
    assert found["weights_gib"] == {"value": weights, "low": weights, "high": weights}
    assert found["kv_gib"]["value"] == round(45 / 1024, 3)
    # What is computed without it is close: both are of the same buffers.
    assert before["kv_gib"]["value"] == round(45 / 1024, 3)
    assert before["weights_gib"]["value"] == pytest.approx(weights, rel=0.01)


def test_measuring_again_changes_nothing_and_the_lock_is_not_stale(
    booted: Project, measured: str, here: InProcess
) -> None:
    booted.write("modelctl.lock", measured)
    text = (booted.root / "modelctl.lock").read_bytes()
    assert booted.run("lock", "--measured", "measured", "--local").code == 0
    assert here.run("lock", "--check").code == 0
    assert here.run("lock").out == "modelctl.lock is up to date: 0 sources.\n"
    assert (booted.root / "modelctl.lock").read_bytes() == text


def test_a_spec_that_runs_otherwise_is_computed(
    booted: Project, measured: str, here: InProcess
) -> None:
    booted.write("modelctl.lock", measured)
    booted.spec("measured", SPEC.replace("1024", "2048"))
    found = here.run("fit", "measured", "--output", "json").json["rows"][0]
    assert (found["measured"], found["boot"]) == (False, "")


def test_verbosity_may_go_once_it_was_measured(
    booted: Project, measured: str, here: InProcess
) -> None:
    booted.write("modelctl.lock", measured)
    booted.spec("measured", QUIET)
    found = here.run("fit", "measured", "--output", "json").json["rows"][0]
    assert found["measured"] is True


def test_a_gpu_that_is_not_there_was_not_measured(others: Project) -> None:
    ran = others.run("lock", "--measured", "on-gpu", "--local")
    assert (ran.code, ran.out) == (6, "")
    assert ran.err.splitlines() == [
        "not measured: on-gpu on L4: the local control plane has no GPUs, so this ran on a CPU",
        "help: nothing was measured, and modelctl.lock stays as it was",
    ]
    assert not (others.root / "modelctl.lock").exists()


def test_a_plane_that_is_taken_for_modal_measures_no_gpu_either(others: Project) -> None:
    """With the variables of `modelctl local env` and no --local: the engine's words tell."""
    as_modal = dataclasses.replace(others, variables=dict(lifecycle.environ(others.plane)))
    ran = as_modal.run("lock", "--measured", "on-gpu", env={"PATH": os.environ["PATH"]})
    assert (ran.code, ran.out) == (6, "")
    assert ran.err.splitlines()[0] == (
        "not measured: on-gpu on L4: its engine wrote nothing of a GPU's memory"
    )


def test_a_quiet_server_is_said_with_what_makes_it_speak(others: Project) -> None:
    ran = others.run("lock", "--measured", "quiet", "--local")
    assert ran.code == 6
    assert ran.err.splitlines()[0] == (
        "not measured: quiet on the CPU: llama-server writes what it allocates with backend.args "
        "{verbosity: 4} alone: add it, modelctl apply, measure, and take it away again"
    )


def test_an_app_that_runs_otherwise_than_its_spec_says_nothing_of_it(booted: Project) -> None:
    booted.spec("measured", SPEC.replace("max_sequences: 2", "max_sequences: 4"))
    ran = booted.run("lock", "--measured", "measured", "--local")
    assert ran.code == 6
    assert ran.err.splitlines()[0] == (
        "not measured: measured on the CPU: it was started with other options than its spec has "
        "now: modelctl apply first"
    )


def test_one_that_does_not_live_is_said_beside_those_that_do(booted: Project) -> None:
    booted.spec("nowhere", SPEC)
    ran = booted.run("lock", "--measured", "measured", "nowhere", "--local")
    (booted.root / "specs" / "nowhere.yaml").unlink()
    assert ran.code == 0
    assert ran.err == "not measured: no app nowhere lives in the local control plane\n"
    assert ran.out.endswith("modelctl.lock has 1 measurement of these boots.\n")


def test_it_goes_alone(booted: Project) -> None:
    ran = booted.run("lock", "--measured", "--upgrade", "--local")
    assert ran.code == 64
    assert "--measured goes with neither --upgrade nor --check" in ran.err
