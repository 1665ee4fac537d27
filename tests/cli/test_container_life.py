"""What happens to a container of a rendered app, and what do its clients see? A real engine."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from modelctl.local import leftovers, lifecycle
from tests.conftest import Project, place_model

pytestmark = pytest.mark.full

CHECK = """\
    messages:
      - {role: system, content: You are a helpful assistant.}
      - {role: user, content: What is the capital of France?}
    expect: Paris
    max_tokens: 24
"""
SPEC = f"""\
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: llama.cpp
context: 1024
max_sequences: 8
gpu: none
keep_warm: 1
metrics: 1s
scaling: {{idle_timeout: 2s}}
endpoint: {{drain: 10s}}
checks:
  knows-paris:
{CHECK}"""


def until(condition: Callable[[], object], *, within: float = 240) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.1)


def log(project: Project, name: str = "life") -> list[str]:
    """The app's log as its containers wrote it."""
    done = subprocess.run(
        [sys.executable, "-m", "modal", "app", "logs", name, "--tail", "10000"],
        env={**os.environ, **lifecycle.environ(project.plane)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def row(project: Project, name: str = "life") -> Mapping[str, object]:
    rows = project.run("status", "--local", "--output", "json").json["apps"]
    found: Mapping[str, object] = next(app for app in rows if app["name"] == name)
    return found


def containers(project: Project, name: str = "life") -> list[str]:
    return list(row(project, name)["container_ids"])  # type: ignore[call-overload]


def headers(project: Project, session: str = "") -> dict[str, str]:
    plane = project.plane
    token = {"Modal-Key": plane.proxy_token_id, "Modal-Secret": plane.proxy_token_secret}
    return {**token, "Modal-Session-ID": session} if session else token


def connect(project: Project, name: str = "life") -> http.client.HTTPConnection:
    address = urlsplit(str(row(project, name)["url"]))
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=240)


def counters(connection: http.client.HTTPConnection, sent: Mapping[str, str]) -> dict[str, int]:
    """The engine's own counters, by name without its prefix."""
    connection.request("GET", "/metrics", headers=dict(sent))
    lines = connection.getresponse().read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("llamacpp:"))
    return {name.removeprefix("llamacpp:"): int(float(value)) for name, value in pairs}


@pytest.fixture(scope="module")
def deployed(live: Project, gguf: Path) -> Project:
    place_model(gguf, live)
    live.spec("life", SPEC)
    ran = live.run("apply", "life", "--local", "--yes")
    assert ran.code == 0, ran.out + ran.err
    return live


def test_a_version_proves_itself_before_its_first_container_takes_requests(
    deployed: Project,
) -> None:
    lines = log(deployed)
    proven = lines.index("modelctl INFO answered right: 1 of 1 checks")
    assert any(line.startswith("engine INFO ") for line in lines[:proven])
    ready = next(n for n, line in enumerate(lines) if "Ready for task" in line)
    assert proven < ready


def test_later_containers_of_the_version_are_not_asked_again(deployed: Project) -> None:
    """By the engines' own counters: a warm-up makes one token, the check several more."""
    deployed.spec("life", SPEC.replace("keep_warm: 1", "keep_warm: 2"))
    assert deployed.run("apply", "life", "--local", "--yes").code == 0
    until(lambda: len(containers(deployed)) == 2)
    connection = connect(deployed)
    made = {
        counters(connection, headers(deployed, f"session-{n}"))["tokens_predicted_total"]
        for n in range(20)
    }
    assert len(made) == 2
    assert min(made) == 1
    assert max(made) > 5
    assert log(deployed).count("modelctl INFO answered right: 1 of 1 checks") == 1
    deployed.spec("life", SPEC)
    assert deployed.run("apply", "life", "--local", "--yes").code == 0
    until(lambda: len(containers(deployed)) == 1)


@dataclass
class Answer:
    """What one client saw. `finish` is the engine's reason for its end, "" where none came.

    An error is one of HTTP, or an event of the stream that says so: clients of OpenAI's raise both.
    """

    chunks: int = 0
    finish: str = ""
    done: bool = False
    error: str = ""

    @property
    def whole(self) -> bool:
        return bool(self.finish) and self.done and not self.error


def stream(
    project: Project, into: Answer, tokens: int, choices: int, begun: threading.Event
) -> None:
    """Ask for a stream and read it to its end, whatever that is."""
    body = {
        "model": "life",
        "prompt": "Once upon a time",
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
        **({"n": choices} if choices > 1 else {}),
    }
    sent = {**headers(project), "Content-Type": "application/json"}
    connection = connect(project)
    try:
        connection.request("POST", "/v1/completions", json.dumps(body), sent)
        answer = connection.getresponse()
        if answer.status != 200:
            into.error = f"HTTP {answer.status}"
            return
        while line := answer.readline():
            text = line.decode().strip().removeprefix("data: ")
            if text == "[DONE]":
                into.done = True
            elif text.startswith("{"):
                chunk = json.loads(text)
                into.chunks += 1
                begun.set()
                into.error = str(chunk.get("error") or into.error)
                for choice in chunk.get("choices", []):
                    into.finish = choice.get("finish_reason") or into.finish
    except (OSError, http.client.HTTPException) as error:
        into.error = type(error).__name__
    finally:
        begun.set()
        connection.close()


def at_once(
    project: Project,
    clients: int,
    tokens: int,
    then: Callable[[], None] = lambda: None,
    *,
    choices: int = 1,
) -> list[Answer]:
    """What that many clients saw; `then` is called once each of them has got a part."""
    answers = [Answer() for _ in range(clients)]
    begun = [threading.Event() for _ in answers]
    threads = [
        threading.Thread(target=stream, args=(project, answer, tokens, choices, event))
        for answer, event in zip(answers, begun, strict=True)
    ]
    for thread in threads:
        thread.start()
    for event in begun:
        assert event.wait(240)
    then()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.full
def test_figures_of_the_log_are_those_of_the_engine(deployed: Project) -> None:
    connection = connect(deployed)
    before = counters(connection, headers(deployed))
    said = len([line for line in log(deployed) if line.startswith("modelctl METRICS ")])
    answers = at_once(deployed, 4, 24)
    assert all(answer.whole for answer in answers)
    after = counters(connection, headers(deployed))
    assert after["tokens_predicted_total"] - before["tokens_predicted_total"] == 4 * 24

    def found() -> list[dict[str, float]]:
        lines = [line for line in log(deployed) if line.startswith("modelctl METRICS ")][said:]
        return [json.loads(line.removeprefix("modelctl METRICS ")) for line in lines]

    def tokens(word: str = "tokens_per_second") -> float:
        return sum(figures[word] * figures["seconds"] for figures in found())

    # Rates and seconds are rounded to a tenth.
    until(lambda: tokens() > 0.85 * 4 * 24)
    assert tokens() < 1.15 * 4 * 24
    prompt = after["prompt_tokens_total"] - before["prompt_tokens_total"]
    assert tokens("prompt_tokens_per_second") == pytest.approx(prompt, rel=0.2, abs=2)
    assert all(figures["gpu"] == [] for figures in found())


def test_logs_show_figures_when_asked_and_the_serious_lines_alone(deployed: Project) -> None:
    assert all(answer.whole for answer in at_once(deployed, 1, 8))
    until(lambda: any(line.startswith("modelctl METRICS ") for line in log(deployed)))
    everything = deployed.run("logs", "life", "--local", "--tail", "1000").out
    assert " modelctl INFO    life on cpu: llama-server --model " in everything
    assert " METRICS " not in everything
    with_figures = deployed.run("logs", "life", "--local", "--tail", "1000", "--metrics").out
    assert " modelctl METRICS 0 requests running, 0 waiting (0 %) · " in with_figures
    serious = deployed.run("logs", "life", "--local", "--level", "warning").out
    assert " WARNING " in serious
    assert " INFO " not in serious


def engine_of(project: Project) -> int:
    """The process of the one engine that runs."""
    found = []
    for pid in leftovers.carriers(leftovers.mark(project.plane.state_dir)):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"--ctx-size\0" in line:
                found.append(pid)
    (engine,) = found
    return engine


def test_a_killed_engine_leaves_each_client_a_whole_answer_or_an_error_and_is_replaced(
    deployed: Project,
) -> None:
    before = containers(deployed)
    engine = engine_of(deployed)
    # Far more tokens than there is time for: all eight are in the midst of their answers.
    answers = at_once(deployed, 8, 100, lambda: os.kill(engine, signal.SIGKILL))
    assert all(answer.whole or answer.error for answer in answers), answers
    broken = [answer for answer in answers if answer.error]
    assert broken
    assert not any(answer.finish or answer.done for answer in broken)
    until(lambda: len(containers(deployed)) == 1 and containers(deployed) != before)
    assert all(answer.whole for answer in at_once(deployed, 2, 4))
    last = "modelctl ERROR the engine was ended by signal 9 (Killed): so does this container"
    assert log(deployed).count(last) == 1


@pytest.mark.full
def test_a_drained_container_answers_first(deployed: Project) -> None:
    """The version after it waits for its clients: none of them sees an error."""

    def redeploy() -> None:
        deployed.spec("life", SPEC.replace("context: 1024", "context: 512"))
        threading.Thread(
            target=deployed.run, args=("apply", "life", "--local", "--yes"), daemon=True
        ).start()

    before = containers(deployed)
    answers = at_once(deployed, 4, 64, redeploy)
    assert Counter(answer.whole for answer in answers) == {True: 4}, answers
    until(lambda: row(deployed)["version"] == 2)
    until(lambda: not set(before) & set(containers(deployed)) and containers(deployed))


def test_a_version_that_answers_wrong_is_condemned_and_the_one_before_it_serves(
    deployed: Project,
) -> None:
    until(lambda: len(containers(deployed)) == 1)
    version = f"v{int(str(row(deployed)['version'])) + 1}"
    deployed.spec("life", SPEC.replace("expect: Paris", "expect: Berlin"))
    ran = deployed.run("apply", "life", "--local", "--yes")
    assert ran.code == 4
    said = " ".join(ran.out.split())
    assert 'answered wrong: check "knows-paris" expected "Berlin" in the answer; got "' in said
    assert "Paris" in said
    assert f"last lines of {version}:" in said
    # What ran before never left: the new version was never shown to anybody.
    assert all(answer.whole for answer in at_once(deployed, 2, 4))
    again = deployed.run("apply", "life", "--local", "--yes")
    assert again.code == 1
    assert f"{version} failed: answered wrong: check" in " ".join(again.out.split())
