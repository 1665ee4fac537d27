"""Does a followed log go on where its stream breaks, and while its app rolls?"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from modelctl.cli.logs import followed
from modelctl.local import lifecycle
from modelctl.platform.types import LiveApp, LogLine, Unreachable
from tests.conftest import Project, obey_interrupts, place_model
from tests.making import live_app


def line(second: int, text: str = "") -> LogLine:
    at = datetime(2026, 11, 21, 12, 0, second, tzinfo=UTC)
    return LogLine(at, "stdout", text or f"line {second}", "ta-1")


class Wire:
    """A platform whose streams break where the test says; `written` is what its log has by then."""

    def __init__(self, *streams: list[LogLine | Exception], written: list[LogLine]) -> None:
        self.streams = list(streams)
        self.written = written
        self.tails: list[int] = []

    async def logs(self, app: LiveApp, *, tail: int, follow: bool) -> AsyncIterator[LogLine]:
        if not follow:
            self.tails.append(tail)
            for one in self.written:
                yield one
            return
        for one in self.streams.pop(0):
            if isinstance(one, Exception):
                raise one
            yield one


def heard(wire: Wire) -> tuple[list[str], list[float]]:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    async def all_of_it() -> list[str]:
        found = followed(wire, live_app(), sleep)  # type: ignore[arg-type]
        return [entry.text async for entry in found]

    return asyncio.run(all_of_it()), waited


BROKEN = Unreachable("nobody answers")


def test_a_log_that_is_followed_ends_where_its_app_is_stopped() -> None:
    assert heard(Wire([line(1), line(2)], written=[])) == (["line 1", "line 2"], [])


def test_what_was_written_while_the_stream_was_broken_is_caught_up_with(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wire = Wire(
        [line(5), BROKEN],
        [BROKEN],
        [line(7), line(8)],
        written=[line(3), line(5), line(6), line(7)],
    )
    assert heard(wire) == (["line 5", "line 6", "line 7", "line 8"], [1.0, 1.0])
    assert capsys.readouterr().err == (
        "nobody answers: trying again\nconnected again\n"
        "nobody answers: trying again\nconnected again\n"
    )


def test_what_was_there_before_is_not_told_where_nothing_was_heard_yet() -> None:
    wire = Wire([BROKEN], [line(7)], written=[line(3), line(5)])
    assert heard(wire)[0] == ["line 7"]


REAL = """\
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: llama.cpp
context: 1024
keep_warm: 1
"""


@pytest.mark.full
def test_a_followed_log_goes_on_while_its_app_rolls_and_its_stream_is_cut(
    live: Project, gguf: Path, tmp_path: Path
) -> None:
    place_model(gguf, live)
    live.spec("rolls", REAL)
    assert live.run("apply", "rolls", "--local", "--yes").code == 0
    lifecycle.add_fault(live.plane, "cut", method="AppGetLogs", seconds=0.5)
    out = tmp_path / "log"
    with out.open("wb") as file:
        following = subprocess.Popen(
            [sys.executable, "-P", "-m", "modelctl", "logs", "rolls", "-f", "--local"],
            cwd=live.root,
            env={**os.environ, "MODAL_CONFIG_PATH": "/nonexistent"},
            stdout=file,
            stderr=subprocess.STDOUT,
            preexec_fn=obey_interrupts,
        )
    try:
        for version in (1, 2, 3):
            until(lambda version=version: len(ready(out)) >= version)  # type: ignore[misc]
            if version < 3:
                assert live.run("restart", "rolls", "--local", "--yes").code == 0
    finally:
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 130
    (fault,) = lifecycle.faults(live.plane)
    assert fault["met"] > 4
    assert len(ready(out)) == len(set(ready(out))) == 3  # of each container, and once


def ready(out: Path) -> list[str]:
    return re.findall(r"Ready for task (\S+)", out.read_text())


def until(so: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not so():
        assert time.monotonic() < end
        time.sleep(0.1)
