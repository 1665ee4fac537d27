"""What does a rendered app write to its log? The engine's lines, its own words, and figures."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.render.conftest import Running, Start

ENGINES = """\
INFO 11-21 09:12:13 [api_server.py:1234] vLLM API server version 0.32.0
(EngineCore pid=42) ERROR 11-21 09:12:14 [core.py:7] no memory
(APIServer pid=1) INFO:     Started server process [1]
INFO:     127.0.0.1:5 - "GET /health HTTP/1.1" 200 OK
0.00.004.108 I srv          init: initializing ...
0.00.006.305 W srv          init: no API key is set
a line without a level
\x1b[32m0.00.538.974 E\x1b[0m srv  load_model: failed
error: invalid argument: --no-such-flag
Traceback (most recent call last):
  File "x.py", line 1
I am no level
"""


def engine_lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("engine ")]


def test_each_line_of_an_engine_has_its_level_in_front(
    start: Start, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAYS", ENGINES)
    app = start("dies")
    with pytest.raises(RuntimeError):
        app.hook("start")
    said = capfd.readouterr().out
    assert engine_lines(said) == [
        "engine INFO [api_server.py:1234] vLLM API server version 0.32.0",
        "engine ERROR (EngineCore pid=42) [core.py:7] no memory",
        "engine INFO (APIServer pid=1) Started server process [1]",
        'engine INFO 127.0.0.1:5 - "GET /health HTTP/1.1" 200 OK',
        "engine INFO srv          init: initializing ...",
        "engine WARNING srv          init: no API key is set",
        "engine WARNING a line without a level",
        "engine ERROR srv  load_model: failed",
        "engine ERROR error: invalid argument: --no-such-flag",
        "engine ERROR Traceback (most recent call last):",
        'engine ERROR   File "x.py", line 1',
        "engine ERROR I am no level",
    ]
    # The reason comes last, behind the engine's own words.
    reason = "modelctl: could not boot: the engine ended with exit code 3 before it was ready"
    assert said.splitlines()[-1] == reason


def test_an_engine_that_writes_much_is_never_held_up(
    start: Start, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAYS", "\n".join(f"{n} " + "x" * 90 for n in range(1000)))
    app = start()
    app.hook("start")
    written = [line for line in engine_lines(capfd.readouterr().out) if line.endswith("xxx")]
    assert len(written) == 1000


def test_the_key_is_in_no_line(
    start: Start, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAYS", "0.00.1.2 I srv  api_keys: very-secret")
    app = start(app="llama_from_volume", gpus=["NVIDIA L4"])
    app.hook("start")
    app.hook("stop")
    said = capfd.readouterr().out
    assert "engine INFO srv  api_keys: ***\n" in said
    assert "very-secret" not in said


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        (None, "is missing or empty"),
        ("", "is missing or empty"),
        ("sk-very-secret-value\n", "holds a space or a line break"),
        ("sk-very secret-value", "holds a space or a line break"),
        ("sk-very,secret-value", "holds a comma, which makes several keys of it"),
        ("sk-very-sécret-value", "holds a character that is not printable ASCII"),
        ("sk-very-\x7fsecret-value", "holds a character that is not printable ASCII"),
    ],
)
def test_what_is_no_key_is_refused_before_the_engine_starts_and_not_quoted(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    key: str | None,
    wrong: str,
) -> None:
    app = start(app="llama_from_volume", gpus=["NVIDIA L4"])
    if key is None:
        monkeypatch.delenv("LLAMA_KEY")
    else:
        monkeypatch.setenv("LLAMA_KEY", key)
    with pytest.raises(ValueError) as refused:
        app.hook("start")
    why = f"LLAMA_KEY in the Secret llama-key {wrong}, so it is no API key: set it anew"
    assert str(refused.value) == why
    assert refused.value.__context__ is None
    assert capfd.readouterr().out == f"modelctl: could not boot: {why}\n"
    assert not app.seen.exists()


def test_a_key_with_a_comma_is_one_key_to_vllm(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = start(app="specs/llama_3_1_8b_eagle3")
    monkeypatch.setenv("API_KEY", "a,b")
    app.module.check_key()
    monkeypatch.setenv("API_KEY", "a b")
    with pytest.raises(ValueError, match="API_KEY in the Secret partner-api-key holds a space"):
        app.module.check_key()


def test_what_the_engine_answers_is_said_without_the_key(
    start: Start, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    app = start("breaks", app="llama_from_volume", gpus=["NVIDIA L4"])
    monkeypatch.setenv("LLAMA_KEY", "memory")  # the stub answers: out of memory
    with pytest.raises(RuntimeError) as failed:
        app.hook("start")
    assert str(failed.value) == "the first request to /v1/completions failed: 500 out of ***"
    app.module.say("modelctl WARNING a memory")
    said = capfd.readouterr().out
    assert f"modelctl: could not boot: {failed.value}\n" in said
    assert said.endswith("modelctl WARNING a ***\n")


def metrics(running: int, waiting: int, generated: int, prompt: int) -> str:
    return (
        "# HELP llamacpp:requests_processing Number of requests processing\n"
        f"llamacpp:requests_processing {running}\n"
        f'llamacpp:requests_deferred{{slot="1"}} {waiting}\n'
        f"llamacpp:tokens_predicted_total {generated}\n"
        f"llamacpp:prompt_tokens_total {prompt}\n"
    )


def figures(capfd: pytest.CaptureFixture[str], *, within: float = 10) -> dict[str, object]:
    """The next line of figures."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        for line in capfd.readouterr().out.splitlines():
            if line.startswith("modelctl METRICS "):
                found: dict[str, object] = json.loads(line.removeprefix("modelctl METRICS "))
                return found
        time.sleep(0.02)
    raise AssertionError("no line of figures came")


def counted(counters: Path, figures: str) -> None:
    """At once: an engine never answers with half of its figures."""
    beside = counters.with_name("beside")
    beside.write_text(figures)
    beside.replace(counters)


def started(start: Start, smi: str = "exit 1") -> tuple[Running, Path]:
    app = start()
    counters = app.seen.parent / "metrics"
    counted(counters, metrics(0, 0, 100, 50))
    script = app.seen.parent / "nvidia-smi"
    app.module.METRICS_SECONDS = 0.3
    app.module.which_gpu = lambda: "cpu"
    script.write_text(f"#!/bin/sh\n{smi}\n")
    script.chmod(0o755)
    app.hook("start")
    return app, counters


def test_figures_are_written_when_something_happens_and_only_then(
    start: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    _, counters = started(start)
    with pytest.raises(AssertionError, match="no line of figures came"):
        figures(capfd, within=1)
    counted(counters, metrics(3, 1, 130, 80))
    found = figures(capfd)
    assert {key: found[key] for key in ("gpu", "running", "waiting", "waiting_share")} == {
        "gpu": [],
        "running": 3,
        "waiting": 1,
        "waiting_share": 0.25,
    }
    # 30 tokens in 0.3 s, or somewhat more on a busy machine.
    assert isinstance(found["tokens_per_second"], float)
    assert 20 < found["tokens_per_second"] <= 100
    assert found["prompt_tokens_per_second"] == found["tokens_per_second"]


def test_figures_show_each_gpu(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    """The script named nvidia-smi stands for two cards, one of which does not tell its power."""
    smi = "echo '97, 70000, 81559, 612.5, 64'; echo '3, 1, 81559, [N/A], 40'"
    started(start, smi)
    assert figures(capfd)["gpu"] == [
        {
            "utilization": 97,
            "memory_used_mib": 70000,
            "memory_total_mib": 81559,
            "power_w": 612.5,
            "temperature_c": 64,
        },
        {
            "utilization": 3,
            "memory_used_mib": 1,
            "memory_total_mib": 81559,
            "power_w": None,
            "temperature_c": 40,
        },
    ]


def test_running_answers_are_given_before_the_engine_is_asked_to_end(start: Start) -> None:
    app, counters = started(start)
    counted(counters, metrics(1, 0, 130, 80))
    app.module.DRAIN_SECONDS = 20
    import threading

    threading.Timer(0.5, lambda: counted(counters, metrics(0, 0, 131, 80))).start()
    began = time.monotonic()
    app.hook("stop")
    assert 0.4 < time.monotonic() - began < 15
    assert app.server.engine.poll() == -15


@pytest.mark.parametrize("odd", ["NaN", "+Inf", "1e999", "many", ""])
def test_a_figure_that_is_no_number_ends_neither_the_figures_nor_the_drain(
    start: Start, capfd: pytest.CaptureFixture[str], odd: str
) -> None:
    app, counters = started(start)
    counted(counters, metrics(3, 1, 130, 80) + f"llamacpp:requests_processing {odd}\n")
    assert figures(capfd)["running"] == 3
    counted(counters, f"llamacpp:requests_processing {odd}\n")
    app.module.DRAIN_SECONDS = 20
    app.hook("stop")
    assert app.server.engine.poll() == -15
