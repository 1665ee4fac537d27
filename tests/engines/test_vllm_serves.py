"""Does the real vLLM serve what a spec says, deployed to a plane on this machine? On the CPU.

From a Volume that was filled from a Hub on the loopback, which is down while the engine starts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from modelctl.local import lifecycle
from tests.conftest import ROOT, Project
from tests.hub.models import TINY, make_adapter, make_llama
from tests.hub.server import Hub

pytestmark = pytest.mark.full

VLLM = ROOT / ".engines" / "vllm"
KEY = "correct-horse-battery-staple"
# In 32 bit: in 16 bit vLLM takes a processor's AMX, which not every virtual machine has as it says.
CHAT = """\
model:
  source: hf://team/tiny
  served_as: [tiny, tiny-too]
  adapters: {{pirate: hf://team/pirate}}
backend: vllm
dtype: float32
context: 512
max_sequences: {sequences}
gpu: L4
keep_warm: 1
endpoint:
  auth: api-key
  api_key: {{secret: tiny-key, key: API_KEY}}
  drain: 30s
"""
EMBED = """\
model: {source: hf://team/tiny, task: embed}
backend: vllm
dtype: float32
context: 256
gpu: L4
keep_warm: 1
"""
TWO_HOSTS = """\
model: ../eight-heads
backend: vllm
dtype: float32
context: 256
gpu: "H100:8"
nodes: 2
keep_warm: 1
endpoint: {drain: 30s}
"""


@dataclass(frozen=True)
class Answer:
    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Endpoint:
    """One deployed model, as a client has it."""

    url: str
    headers: dict[str, str]

    def ask(self, path: str, body: object = None, **headers: str) -> Answer:
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **self.headers, **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Answer(response.status, response.read().decode())
        except urllib.error.HTTPError as refused:
            return Answer(refused.code, refused.read().decode())

    def chat(self, model: str, *, max_tokens: int = 8, **more: object) -> Answer:
        messages = [{"role": "user", "content": "What is the capital of France?"}]
        body = {"model": model, "messages": messages, "max_tokens": max_tokens, "temperature": 0}
        return self.ask("/v1/chat/completions", {**body, **more})

    def said(self, model: str, **more: object) -> str:
        answer = self.chat(model, **more)  # type: ignore[arg-type]
        assert answer.status == 200, answer.text
        text: str = answer.json["choices"][0]["message"]["content"]
        return text

    def stream(self, tokens: int) -> list[dict[str, Any]]:
        """The chunks of a streamed answer that ended as it should."""
        options = {"stream": True, "stream_options": {"include_usage": True}, "ignore_eos": True}
        answer = self.chat("tiny", max_tokens=tokens, **options)
        assert answer.status == 200, answer.text
        *events, last, rest = answer.text.split("\n\n")
        assert (last, rest) == ("data: [DONE]", "")
        return [json.loads(event.removeprefix("data: ")) for event in events]


def endpoint(project: Project, name: str, key: str | None = None) -> Endpoint:
    rows = project.run("status", "--local", "--output", "json").json["apps"]
    url = next(row["url"] for row in rows if row["name"] == name)
    token = f"{project.plane.proxy_token_id}.{project.plane.proxy_token_secret}"
    return Endpoint(url, {"Authorization": f"Bearer {key or token}"})


def applied(project: Project, name: str) -> None:
    ran = project.run("apply", name, "--local", "--yes", timeout=300)
    assert ran.code == 0, ran.out + ran.err


def gone(project: Project, name: str) -> None:
    ran = project.run("destroy", name, "--local", "--yes", timeout=120)
    assert ran.code == 0, ran.out + ran.err


def modal(project: Project, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "modal", *words],
        env={**os.environ, **lifecycle.environ(project.plane)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def command_lines(project: Project, word: str) -> list[str]:
    """Of the engines of this project's plane that have the word in their own."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in line and str(project.root) in line:
            found.append(line)
    return found


def until(condition: Callable[[], object], *, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in time"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def plane(live: Project) -> Iterator[Project]:
    """A plane that knows this checkout's vLLM, and a project whose models were fetched once.

    When the first test begins the Hub is down, and stays so.
    """
    assert (VLLM / "bin" / "vllm").is_file(), f"{VLLM} is missing: make engines makes it"
    assert live.run("local", "engines", "add", "vllm", "--venv", str(VLLM)).code == 0
    modal(live, "secret", "create", "tiny-key", f"API_KEY={KEY}")
    hub = Hub()
    make_llama(live.root / "tiny")
    hub.add("team/tiny", live.root / "tiny")
    hub.add("team/pirate", make_adapter(live.root / "lora"))
    live.variables.update(hub.variables, HF_TOKEN="", HF_TOKEN_PATH="/nonexistent")
    live.spec("tiny-chat", CHAT.format(sequences=8))
    live.spec("tiny-embed", EMBED)
    try:
        assert live.run("lock", "tiny-chat", "tiny-embed").code == 0
        applied(live, "tiny-chat")
        hub.down()
        yield live
    finally:
        hub.down()
        gone(live, "tiny-chat")
        (live.root / "modelctl.lock").unlink(missing_ok=True)
        live.variables.clear()


@pytest.fixture(scope="module")
def chat(plane: Project) -> Endpoint:
    return endpoint(plane, "tiny-chat", KEY)


def test_it_answers_under_each_of_its_names(chat: Endpoint) -> None:
    first = chat.chat("tiny").json
    assert first["model"] == "tiny"
    assert first["usage"]["completion_tokens"] == 8
    assert chat.said("tiny-too") == first["choices"][0]["message"]["content"]
    listed = [model["id"] for model in chat.ask("/v1/models").json["data"]]
    assert listed == ["tiny", "tiny-too", "pirate"]
    assert chat.chat("another").status == 404


def test_an_adapter_answers_by_its_name_and_says_something_else(chat: Endpoint) -> None:
    assert chat.chat("pirate").json["model"] == "pirate"
    assert chat.said("pirate") != chat.said("tiny")
    assert chat.said("pirate") == chat.said("pirate")


def test_the_context_is_what_the_spec_says(chat: Endpoint) -> None:
    models = chat.ask("/v1/models").json["data"]
    assert models[0]["max_model_len"] == 512
    refused = chat.chat("tiny", max_tokens=2000)
    assert refused.status == 400
    assert "512" in refused.text


def test_a_streamed_answer_is_whole_and_says_what_it_took(chat: Endpoint) -> None:
    chunks = chat.stream(40)
    texts = [c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]]
    (finish,) = [
        c["choices"][0]["finish_reason"]
        for c in chunks
        if c["choices"] and c["choices"][0]["finish_reason"]
    ]
    assert finish == "length"
    assert chunks[-1]["usage"]["completion_tokens"] == 40
    assert "".join(texts) == chat.said("tiny", max_tokens=40, ignore_eos=True)


def test_a_schema_is_kept(chat: Endpoint) -> None:
    """A model of noise answers with a word of the list: the engine lets it say nothing else."""
    assert chat.said("tiny", structured_outputs={"choice": ["yes", "no"]}) in {"yes", "no"}


def test_only_the_key_opens_it(chat: Endpoint) -> None:
    assert chat.chat("tiny").status == 200
    for wrong in (f"Bearer {KEY}x", "Bearer ", KEY):
        refused = chat.ask("/v1/models", Authorization=wrong)
        assert refused.status == 401
        assert "Unauthorized" in refused.text
    # vLLM itself would answer all but the first.
    for path in ("/v1/models", "/invocations", "/metrics", "/version"):
        assert Endpoint(chat.url, {}).ask(path).status == 401
    assert Endpoint(chat.url, {}).ask("/health").status == 200


def test_the_key_is_in_no_command_line_and_no_log(plane: Project, chat: Endpoint) -> None:
    lines = command_lines(plane, "--served-model-name tiny")
    assert lines
    assert not [line for line in lines if KEY in line]
    log = modal(plane, "app", "logs", "tiny-chat", "--tail", "10000")
    assert "engine INFO" in log
    assert KEY not in log


def test_streams_end_whole_when_it_is_taken_away_and_the_next_start_finds_the_caches(
    plane: Project, chat: Endpoint
) -> None:
    (info,) = (plane.root / ".modelctl").rglob("modelinfos/*.json")  # in the Volume of caches
    written, before = info.stat().st_mtime_ns, begun(chat)
    with ThreadPoolExecutor(4) as clients:
        streams = [clients.submit(chat.stream, 450) for _ in range(4)]
        until(lambda: begun(chat) >= before + 4)
        gone(plane, "tiny-chat")
        made = [stream.result()[-1]["usage"]["completion_tokens"] for stream in streams]
    assert made == [450] * 4
    until(lambda: not command_lines(plane, "--served-model-name tiny"), within=90)
    applied(plane, "tiny-chat")
    assert endpoint(plane, "tiny-chat", KEY).chat("tiny").status == 200
    assert info.stat().st_mtime_ns == written, "the second start did not find what the first wrote"


def begun(chat: Endpoint) -> int:
    """Requests that the engine works on or has answered, by its own count."""
    counters = ("vllm:num_requests_running", "vllm:request_success_total")
    lines = chat.ask("/metrics").text.splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith(counters)))


def test_it_embeds(plane: Project) -> None:
    applied(plane, "tiny-embed")
    embed = endpoint(plane, "tiny-embed")
    answer = embed.ask("/v1/embeddings", {"model": "tiny-embed", "input": ["one", "two", "one"]})
    assert answer.status == 200, answer.text
    one, two, again = (row["embedding"] for row in answer.json["data"])
    assert len(one) == TINY.hidden
    assert one == pytest.approx(again, abs=1e-3)
    assert one != pytest.approx(two, abs=1e-3)
    assert answer.json["usage"]["prompt_tokens"] > 0
    assert embed.chat("tiny-embed").status == 404
    gone(plane, "tiny-embed")


def test_two_hosts_serve_one_model_and_end_together(plane: Project) -> None:
    """Each lays out half of every layer; the first answers, and says what one host would say."""
    # On the GPUs that it asks for, each would have a head.
    make_llama(plane.root / "eight-heads", shape=replace(TINY, heads=8))
    plane.spec("two-hosts", TWO_HOSTS)
    applied(plane, "two-hosts")
    both = endpoint(plane, "two-hosts")
    first, second = sorted(
        command_lines(plane, "--nnodes 2"), key=lambda line: "--headless" in line
    )[:2]
    assert "--node-rank 0" in first
    assert "--node-rank 1" in second
    assert "--headless" in second
    answer = both.chat("two-hosts", max_tokens=16)
    assert answer.status == 200, answer.text
    assert answer.json["usage"]["completion_tokens"] == 16
    began = time.monotonic()
    gone(plane, "two-hosts")
    until(lambda: not command_lines(plane, "--nnodes 2"))
    assert time.monotonic() - began < 25, "the second host did not see the first one end"
