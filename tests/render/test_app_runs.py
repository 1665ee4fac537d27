"""Does a rendered app start its engine, notice when it ends, and end it? With a stub engine."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.render.conftest import GOLDEN, Start


def test_it_starts_waits_warms_up_and_stops(start: Start) -> None:
    app = start()
    began = time.monotonic()
    app.hook("start")
    assert time.monotonic() - began > 0.3, "it did not wait until the engine was healthy"
    assert app.arguments == [
        "--model",
        "/mnt/root/models/b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
        "/SmolLM2-135M-Instruct.Q4_1.gguf",
        *("--host", "0.0.0.0", "--port", str(app.module.PORT)),
        *("--alias", "smollm2-135m", "--ctx-size", "8192", "--parallel", "4"),
        *("--metrics", "--no-ui", "--n-gpu-layers", "0"),
    ]
    body = {"model": "smollm2-135m", "prompt": "Hello", "max_tokens": 1}
    assert app.asked[0][:2] == ["/v1/completions", body]
    app.hook("stop")
    assert app.server.engine.poll() is not None


@pytest.mark.parametrize(
    ("gpus", "layers"),
    [(["Tesla T4"], "all"), (["NVIDIA L4"], "all")],
)
def test_it_finds_out_which_gpu_it_has(start: Start, gpus: list[str], layers: str) -> None:
    app = start(gpus=gpus)
    app.hook("start")
    assert app.arguments[-2:] == ["--n-gpu-layers", layers]
    app.hook("stop")


@pytest.mark.parametrize(
    "gpus", [["NVIDIA L40S"], ["NVIDIA L4", "NVIDIA L4"], ["NVIDIA GeForce RTX 3060"]]
)
def test_a_gpu_without_flags_is_an_error(start: Start, gpus: list[str]) -> None:
    app = start(gpus=gpus)
    with pytest.raises(RuntimeError) as refused:
        app.hook("start")
    assert str(refused.value) == f"no flags for {gpus}; there are some for ['L4', 'T4', 'cpu']"


@pytest.mark.parametrize(
    ("gpus", "key"),
    [
        (["NVIDIA H100 80GB HBM3"], "H100"),
        (["NVIDIA H200"], "H200"),
        (["NVIDIA A100-SXM4-80GB"], "A100-80GB"),
        (["NVIDIA A100 80GB PCIe"], "A100-80GB"),
        (["NVIDIA L40S", "NVIDIA L40S"], "L40S:2"),
    ],
)
def test_names_of_nvidia_smi(start: Start, gpus: list[str], key: str) -> None:
    assert start(gpus=gpus, app="qwen3_8b").module.which_gpu() == key


def test_it_may_be_told_the_gpu(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELCTL_GPU", "cpu")
    assert start(gpus=["NVIDIA GeForce RTX 3060"]).module.which_gpu() == "cpu"


def test_an_app_without_gpus_asks_for_none(start: Start) -> None:
    assert start(gpus=["NVIDIA L4"], app="much_at_once").module.which_gpu() == "cpu"


def test_an_engine_that_dies_is_said_at_once(start: Start) -> None:
    app = start("dies")
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="the engine ended with exit code 3 before it was ready"):
        app.hook("start")
    assert time.monotonic() - began < 5


def test_an_engine_that_is_never_ready_is_ended(start: Start) -> None:
    app = start("never")
    app.module.STARTUP_SECONDS = 6
    with pytest.raises(TimeoutError, match="the engine was not ready within 6 s"):
        app.hook("start")
    assert app.server.engine.poll() is not None


def test_an_engine_that_answers_no_request_is_ended(start: Start) -> None:
    app = start("breaks")
    with pytest.raises(RuntimeError) as failed:
        app.hook("start")
    assert str(failed.value) == "the first request to /v1/completions failed: 500 out of memory"
    assert app.server.engine.poll() is not None


@pytest.mark.parametrize("name", ["smollm2_135m", "qwen3_8b_snapshot", "embed_bge"])
def test_a_start_without_an_engine_can_be_stopped(start: Start, name: str) -> None:
    app = start(app=name, gpus=["NVIDIA GeForce RTX 3060"])
    with pytest.raises(RuntimeError, match="no flags for"):
        app.hook("start")
    app.hook("stop")


def test_an_engine_that_does_not_end_is_killed(start: Start) -> None:
    app = start("stubborn")
    app.hook("start")
    app.module.DRAIN_SECONDS = 0.5
    app.hook("stop")
    assert app.server.engine.poll() == -9


def test_the_key_comes_from_the_secret_and_is_in_no_argument(start: Start) -> None:
    app = start(app="llama_from_volume", gpus=["NVIDIA A10G"])
    app.hook("start")
    assert '"key": "very-secret"' in app.seen.read_text()
    assert "very-secret" not in app.arguments
    assert app.asked[0][2] == "Bearer very-secret"
    app.hook("stop")


def test_the_container_ends_with_its_engine(start: Start, tmp_path: Path) -> None:
    """In a process of its own: the watcher ends the whole process."""
    start()  # sets the environment that the child inherits
    code = textwrap.dedent(
        """
        import importlib.util, os, signal, sys, time
        spec = importlib.util.spec_from_file_location("app", sys.argv[1])
        app = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(app)
        server = app.Server()
        app.prove = lambda: None
        app.Server.start._get_raw_f()(server)
        os.kill(server.engine.pid, signal.SIGKILL)
        time.sleep(20)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(GOLDEN / "smollm2_135m.py")],
        capture_output=True,
        text=True,
        timeout=30,
        env=dict(os.environ),
        check=False,
    )
    assert done.returncode == 1, done.stderr
    last = "modelctl ERROR the engine was ended by signal 9 (Killed): so does this container"
    assert done.stdout.splitlines()[-1] == last
