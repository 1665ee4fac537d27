"""What happens before a memory snapshot, and what after it? With a stub engine, hook by hook."""

from __future__ import annotations

import threading
import time

import pytest

from modelctl.render import render
from tests.render.apps import QWEN3, resolved
from tests.render.conftest import Start

H100 = ["NVIDIA H100 80GB HBM3"]


def test_the_engine_sleeps_before_a_gpu_snapshot_and_wakes_after_it(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    app = start(app="qwen3_8b_snapshot", gpus=H100)
    # There is no Modal to commit a Volume to.
    app.module.CACHES = []
    before = set(threading.enumerate())
    app.hook("start")
    assert [path for path, *_ in app.asked] == ["/v1/completions", "/sleep?level=1"]
    assert set(threading.enumerate()) == before, "a thread would be part of the snapshot"
    assert app.server.engine.poll() is None
    app.hook("restore")
    assert [path for path, *_ in app.asked][2:] == ["/wake_up"]
    # What the engine says is passed on again.
    deadline = time.monotonic() + 10
    said = ""
    while "/wake_up" not in said and time.monotonic() < deadline:
        said += capfd.readouterr().out
        time.sleep(0.02)
    assert said.count("engine INFO [stub.py:1] /sleep?level=1\n") == 1
    assert said.count("engine INFO [stub.py:1] /wake_up\n") == 1
    assert {t.name.partition("(")[2] for t in set(threading.enumerate()) - before} == {
        "pass_on)",
        "watch)",
        "report)",
    }
    app.hook("stop")


def test_caches_are_committed_after_a_start(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELCTL_GPU", "cpu")
    app = start(app="qwen3_8b_snapshot")
    committed = threading.Event()

    class Cache:
        def commit(self) -> None:
            committed.set()

    app.module.VOLUMES = {path: Cache() for path in app.module.CACHES}
    app.hook("start")
    assert not committed.is_set()
    app.hook("restore")
    assert committed.wait(10)


def test_on_a_processor_nothing_sleeps(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELCTL_GPU", "cpu")
    app = start(app="qwen3_8b_snapshot")
    app.module.CACHES = []
    app.hook("start")
    app.hook("restore")
    assert [path for path, *_ in app.asked] == ["/v1/completions"]


def test_an_engine_that_does_not_come_back_is_said(
    start: Start, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODELCTL_GPU", "cpu")
    app = start(app="qwen3_8b_snapshot")
    app.hook("start")
    app.server.engine.kill()
    app.server.engine.wait()
    with pytest.raises(RuntimeError):
        app.hook("restore")
    assert capfd.readouterr().out.splitlines()[-1] == (
        "modelctl: could not boot: the engine was ended by signal 9 (Killed) before it was ready"
    )


def test_before_a_cpu_snapshot_no_engine_starts_that_needs_a_gpu() -> None:
    text = render(resolved({**QWEN3, "snapshot": "cpu"})).text
    assert "enable_memory_snapshot=True" in text
    assert "@modal.enter()" in text
    assert "snap=True" not in text
    assert "enable_gpu_snapshot" not in text


def test_an_engine_that_needs_no_gpu_is_part_of_a_cpu_snapshot() -> None:
    text = render(resolved({**QWEN3, "gpu": [{"type": "none"}], "snapshot": "cpu"})).text
    assert "@modal.enter(snap=True)" in text
    assert "enable_memory_snapshot=True" in text
