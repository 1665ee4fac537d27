"""Does a spec become a live endpoint, with a real model, through the real SDK? In this order."""

from __future__ import annotations

import hashlib
import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from openai import OpenAI

from tests.conftest import Project, place_model

SPEC = """\
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: llama.cpp
context: {context}
max_sequences: 8
concurrency: {{target: 8}}
gpu: [T4, L4]
keep_warm: {keep_warm}
checks:
  knows-paris:
    messages:
      - {{role: system, content: You are a helpful assistant.}}
      - {{role: user, content: What is the capital of France?}}
    expect: Paris
    max_tokens: 24
"""
DEPLOYS = {"AppCreate", "AppPublish", "FunctionCreate", "FunctionPrecreate", "AppGetLayout"}


@pytest.fixture(scope="module")
def deployed(live: Project, gguf: Path) -> Project:
    """The project after its first apply."""
    place_model(gguf, live)
    live.spec("tiny", SPEC.format(context=1024, keep_warm=1))
    ran = live.run("apply", "--local", "--yes")
    assert ran.code == 0, ran.out + ran.err
    assert "  + tiny  create     T4 or L4, 1 kept warm, 98 MB to upload\n" in ran.out
    assert "Plan: 1 create.\n" in ran.out
    assert "1 applied · " in ran.out
    return live


def client(project: Project) -> OpenAI:
    plane = project.plane
    (app,) = project.run("status", "--local", "--output", "json").json["apps"]
    return OpenAI(
        base_url=f"{app['url']}/v1", api_key=f"{plane.proxy_token_id}.{plane.proxy_token_secret}"
    )


def ask(project: Project, question: str) -> str:
    answer = client(project).chat.completions.create(
        model="tiny",
        messages=[
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": question},
        ],
        temperature=0,
        max_tokens=24,
    )
    return answer.choices[0].message.content or ""


def generated_tokens(project: Project) -> int:
    """The engine's own counter, through the endpoint."""
    (app,) = project.run("status", "--local", "--output", "json").json["apps"]
    plane = project.plane
    request = urllib.request.Request(
        f"{app['url']}/metrics",
        headers={"Modal-Key": plane.proxy_token_id, "Modal-Secret": plane.proxy_token_secret},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        text = response.read().decode()
    (line,) = [t for t in text.splitlines() if t.startswith("llamacpp:tokens_predicted_total ")]
    return int(float(line.split()[1]))


def container_ids(project: Project) -> list[str]:
    (app,) = project.run("status", "--local", "--output", "json").json["apps"]
    return list(app["container_ids"])


def test_a_real_model_answers_and_its_own_token_counter_moves(deployed: Project) -> None:
    before = generated_tokens(deployed)
    assert "Paris" in ask(deployed, "What is the capital of France?")
    assert generated_tokens(deployed) > before


def test_the_volume_holds_the_model_under_its_own_hash(deployed: Project, gguf: Path) -> None:
    digest = hashlib.sha256(gguf.read_bytes()).hexdigest()
    (found,) = (deployed.root / ".modelctl" / "local").rglob(f"{digest}/{gguf.name}")
    assert hashlib.sha256(found.read_bytes()).hexdigest() == digest


def test_a_second_apply_does_nothing_and_says_so(deployed: Project) -> None:
    since = deployed.last_call()
    ran = deployed.run("apply", "--local", "--yes", env={"COLUMNS": "100"})
    assert ran.code == 0
    assert ran.out == (
        "local control plane · 1 app\n\n  1 unchanged\n\n"
        "On Modal this would cost (here it costs nothing):\n"
        "Warm cost   $436 a month, $588 on the dearest GPUs\n"
        "            on the first GPU of each list, computed from Modal's list prices of 2026-05-25"
        "\n\nNothing to do.\n"
    )
    made = {call["method"] for call in deployed.calls(since=since)}
    assert made
    assert not made & DEPLOYS


@pytest.mark.full
def test_eight_streams_at_once_are_whole_and_their_tokens_are_the_engine_s(
    deployed: Project,
) -> None:
    talk = client(deployed)
    before = generated_tokens(deployed)

    def stream(number: int) -> tuple[int, str]:
        tokens, finish = 0, ""
        for chunk in talk.chat.completions.create(
            model="tiny",
            messages=[{"role": "user", "content": f"Count from {number} to {number + 9}."}],
            max_tokens=8,
            temperature=0,
            stream=True,
            stream_options={"include_usage": True},
        ):
            if chunk.usage:
                tokens = chunk.usage.completion_tokens
            if chunk.choices and chunk.choices[0].finish_reason:
                finish = chunk.choices[0].finish_reason
        return tokens, finish

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(stream, range(8)))
    assert all(finish in {"stop", "length"} for _, finish in answers)
    assert all(tokens > 0 for tokens, _ in answers)
    assert sum(tokens for tokens, _ in answers) == generated_tokens(deployed) - before


def test_status_shows_sync_and_health(deployed: Project) -> None:
    ran = deployed.run("status", "--local")
    assert ran.code == 0
    assert "  tiny  in sync  healthy  1 of 1..∞ T4 or L4  v1               0.60\n" in ran.out


def test_logs_show_the_engine_s_own_lines(deployed: Project) -> None:
    ran = deployed.run("logs", "tiny", "--local", "--tail", "200")
    assert ran.code == 0
    assert "llama-server --model " in ran.out + ran.err
    assert "server is listening" in ran.out + ran.err or "listening on" in ran.out + ran.err


def test_chat_prints_the_answer(deployed: Project) -> None:
    ran = deployed.run("chat", "tiny", "Say hello.", "--local")
    assert ran.code == 0
    assert len(ran.out.strip()) > 0


def test_a_wrong_proxy_token_is_refused(deployed: Project) -> None:
    import openai

    talk = client(deployed).with_options(api_key="wk-no.ws-no", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        talk.models.list()


@pytest.mark.full
def test_keep_warm_changes_in_place_with_the_same_version_and_container(deployed: Project) -> None:
    before = container_ids(deployed)
    since = deployed.last_call()
    deployed.spec("tiny", SPEC.format(context=1024, keep_warm=2))
    ran = deployed.run("apply", "--local", "--yes")
    assert ran.code == 0
    assert "  ~ tiny  in place   keep_warm 1 → 2\n" in ran.out
    made = {call["method"] for call in deployed.calls(since=since)}
    assert not made & DEPLOYS
    deadline = time.monotonic() + 30
    while len(after := container_ids(deployed)) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert set(before) < set(after)
    deployed.spec("tiny", SPEC.format(context=1024, keep_warm=1))
    assert deployed.run("apply", "--local", "--yes").code == 0
    (app,) = deployed.run("status", "--local", "--output", "json").json["apps"]
    assert app["version"] == 1


@pytest.mark.full
def test_another_context_redeploys(deployed: Project) -> None:
    deployed.spec("tiny", SPEC.format(context=2048, keep_warm=1))
    ran = deployed.run("plan", "--local", "--detailed-exitcode", "--output", "json")
    assert ran.code == 2
    (change,) = ran.json["changes"]
    assert change["action"] == "redeploy"
    assert change["fields"] == [{"path": "context", "before": 1024, "after": 2048}]
    before = set(container_ids(deployed))
    ran = deployed.run("apply", "--local", "--yes")
    assert ran.code == 0, ran.out + ran.err
    (app,) = deployed.run("status", "--local", "--output", "json").json["apps"]
    assert (app["version"], app["sync"]) == (2, "in sync")
    assert not before & set(app["container_ids"])
    assert "Paris" in ask(deployed, "What is the capital of France?")


def test_the_model_was_uploaded_once(deployed: Project) -> None:
    uploads = [
        call
        for call in deployed.calls()
        if call["method"] in {"VolumePutFiles", "VolumePutFiles2"}
        and ".gguf" in json.dumps(call["request"])
    ]
    assert len(uploads) == 1


@pytest.mark.full
def test_a_check_that_is_answered_wrong_fails_the_apply_with_what_came(deployed: Project) -> None:
    deployed.spec(
        "wrong",
        SPEC.format(context=1024, keep_warm=1).replace("expect: Paris", "expect: Berlin"),
    )
    ran = deployed.run("apply", "wrong", "--local", "--yes")
    assert ran.code == 5
    said = " ".join(ran.out.split())
    assert 'answered wrong: check "knows-paris" expected "Berlin" in the answer; got "' in said
    assert "left at zero containers" in said
    assert "next: fix the spec and apply, or modelctl apply wrong --local --retry" in said
    assert deployed.run("destroy", "wrong", "--local", "--yes").code == 0
    (deployed.root / "specs" / "wrong.yaml").unlink()


@pytest.mark.full
def test_a_model_that_cannot_boot_is_noticed_at_once_and_left_at_zero(deployed: Project) -> None:
    deployed.spec(
        "dead",
        SPEC.format(context=1024, keep_warm=1).replace(
            "backend: llama.cpp", "backend: {name: llama.cpp, args: {chat-template: '{% if %}'}}"
        ),
    )
    # Ten minutes are allowed for a boot: the log says much sooner that there will be none.
    ran = deployed.run("apply", "dead", "--local", "--yes", timeout=90)
    assert ran.code == 5
    said = " ".join(ran.out.split())
    assert (
        "could not boot: the engine ended with exit code 1 before it was ready; "
        "left at zero containers" in said
    )
    assert "llama.cpp could not serve" in said
    again = deployed.run("apply", "dead", "--local", "--yes")
    assert again.code == 1
    assert "v1 failed: could not boot: the engine ended" in " ".join(again.out.split())
    assert deployed.run("destroy", "dead", "--local", "--yes").code == 0
    (deployed.root / "specs" / "dead.yaml").unlink()


def test_destroy_takes_it_away_and_the_next_plan_creates(deployed: Project) -> None:
    ran = deployed.run("destroy", "tiny", "--local", "--yes")
    assert ran.code == 0
    assert "✔ tiny  destroyed" in ran.out
    (change,) = deployed.run("plan", "--local", "--output", "json").json["changes"]
    assert change["action"] == "create"
