"""Do both real servers of llama.cpp serve what a spec says? Through the plane and its proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from modelctl.local import engines, lifecycle
from tests.conftest import ROOT, Project, place_model
from tests.engines.ggufs import adapter, split

pytestmark = pytest.mark.full

ENGINES = ROOT / ".engines"
KEY = "sk-llama-of-the-tests"
COMMON = """\
context: 512
gpu: none
cpu: 1
keep_warm: 1
"""
"""Of one core each: six engines share what the machine has."""
LOCAL = "model: {source: ../models/SmolLM2-135M-Instruct.Q4_1.gguf"
SPECS = {
    "chat": LOCAL + "}\nbackend: llama.cpp\nmax_sequences: 8\n",
    "one": LOCAL + "}\nbackend: {name: llama.cpp, server: llama-cpp-python}\n"
    "endpoint: {auth: api-key, api_key: {secret: llama-key, key: LLAMA_KEY}}\n"
    "kv_cache: q8_0\nspeculative: {method: ngram, tokens: 4}\n",
    "more": LOCAL
    + ", adapters: {noise: ../models/noise.gguf}}\nbackend: llama.cpp\nmax_sequences: 2\n"
    "speculative: {method: draft_model, tokens: 3, "
    "model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf}\n"
    "endpoint: {auth: api-key, api_key: {secret: llama-key, key: LLAMA_KEY}}\n",
    "vectors": LOCAL
    + ", task: embed}\nbackend: {name: llama.cpp, args: {pooling: mean}}\nmax_sequences: 2\n",
    "vectors-one": LOCAL + ", task: embed}\nbackend: {name: llama.cpp, server: llama-cpp-python}\n",
    "parts": "model: {source: volume://parts/a, file: smol-00001-of-00003.gguf}\n"
    "backend: llama.cpp\nmax_sequences: 2\nkv_cache: q8_0\nmax_batched_tokens: 256\n",
}
BY_KEY = {"one", "more"}


def modal(project: Project, *arguments: str) -> None:
    environment = {**os.environ, **lifecycle.environ(project.plane)}
    command = [sys.executable, "-m", "modal", *arguments]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, gguf: Path) -> Iterator[Project]:
    """A plane with both servers, and one app a spec."""
    made = Project(tmp_path_factory.mktemp("llama"))
    made.write("modelctl.yaml", "project: llama\n")
    state = made.root / ".modelctl" / "local"
    engines.add(state, "llama-server", command=ENGINES / "llama.cpp" / "llama-server", venv=None)
    engines.add(state, "llama-cpp-python", command=None, venv=ENGINES / "llama-cpp-python")
    lifecycle.up(state)
    try:
        place_model(gguf, made)
        adapter(gguf, made.root / "models" / "noise.gguf")
        (made.root / "parts").mkdir()
        split(gguf, made.root / "parts" / "smol.gguf", parts=3)
        modal(made, "volume", "create", "parts")
        modal(made, "volume", "put", "parts", str(made.root / "parts"), "/a")
        modal(made, "secret", "create", "llama-key", f"LLAMA_KEY={KEY}")
        for name, text in SPECS.items():
            made.spec(name, text + COMMON)
        ran = made.run("apply", "--local", "--yes", timeout=300)
        assert ran.code == 0, ran.out + ran.err
        yield made
    finally:
        lifecycle.down(state)


def url(project: Project, name: str) -> str:
    apps = project.run("status", "--local", "--output", "json").json["apps"]
    return next(str(app["url"]) for app in apps if app["name"] == name)


def client(project: Project, name: str, key: str | None = None) -> OpenAI:
    plane = project.plane
    own = KEY if name in BY_KEY else f"{plane.proxy_token_id}.{plane.proxy_token_secret}"
    return OpenAI(base_url=f"{url(project, name)}/v1", api_key=key or own, max_retries=0)


def ask(talk: OpenAI, question: str, **more: Any) -> str:
    answer = talk.chat.completions.create(
        model="any",
        messages=[
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": question},
        ],
        temperature=0,
        **{"max_tokens": 24, **more},
    )
    return answer.choices[0].message.content or ""


@pytest.mark.parametrize("name", ["chat", "one", "more", "parts"])
def test_it_answers(served: Project, name: str) -> None:
    # The beginning of the answer: a cache of 8 bit is coarse, and processors round differently.
    assert "Paris" in ask(client(served, name), "The capital of France is")


@pytest.mark.parametrize("name", ["chat", "one"])
def test_it_streams(served: Project, name: str) -> None:
    chunks = client(served, name).chat.completions.create(
        model="any",
        messages=[{"role": "user", "content": "Count from 1 to 5."}],
        max_tokens=16,
        temperature=0,
        stream=True,
    )
    parts = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert len(parts) > 5
    assert parts[-1].finish_reason in {"stop", "length"}
    assert "".join(part.delta.content or "" for part in parts)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "big": {"type": "boolean"}},
    "required": ["city", "big"],
}


@pytest.mark.parametrize(
    ("name", "response_format"),
    [
        ("chat", {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}),
        ("one", {"type": "json_object", "schema": SCHEMA}),
    ],
)
def test_what_a_json_schema_asks_for_parses(
    served: Project, name: str, response_format: dict[str, Any]
) -> None:
    said = ask(
        client(served, name),
        "Name a city, as JSON.",
        max_tokens=120,
        extra_body={"response_format": response_format},
    )
    found = json.loads(said)
    assert set(found) == {"city", "big"}
    assert isinstance(found["big"], bool)


@pytest.mark.parametrize("name", ["chat", "one"])
def test_eight_clients_at_once_get_whole_answers(served: Project, name: str) -> None:
    talk = client(served, name)

    def stream(number: int) -> tuple[int, str]:
        tokens, finish = 0, ""
        for chunk in talk.chat.completions.create(
            model="any",
            messages=[{"role": "user", "content": f"Write about the number {number}."}],
            max_tokens=24,
            temperature=0,
            stream=True,
        ):
            choice = chunk.choices[0] if chunk.choices else None
            tokens += bool(choice and choice.delta.content)
            finish = (choice and choice.finish_reason) or finish
        return tokens, finish

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(stream, range(8)))
    assert {finish for _, finish in answers} <= {"stop", "length"}
    whole = [tokens for tokens, finish in answers if finish == "length"]
    assert all(tokens > 12 for tokens in whole)
    assert len(whole) > 4


@pytest.mark.parametrize("name", ["one", "more"])
def test_only_the_right_key_opens_it(served: Project, name: str) -> None:
    def status(headers: dict[str, str]) -> int:
        body = json.dumps({"prompt": "Hello", "max_tokens": 1}).encode()
        sent = {"Content-Type": "application/json", **headers}
        request = urllib.request.Request(f"{url(served, name)}/v1/completions", body, sent)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return int(response.status)
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code

    assert status({"Authorization": f"Bearer {KEY}"}) == 200
    assert status({"Authorization": "Bearer sk-wrong"}) == 401
    assert status({}) == 401


@pytest.mark.parametrize("name", ["vectors", "vectors-one"])
def test_it_embeds(served: Project, name: str) -> None:
    texts = ["A cat sat on the mat.", "A cat sat on a mat.", "Interest rates rose in May."]
    answer = client(served, name).embeddings.create(
        model="any", input=texts, encoding_format="float"
    )
    if name == "vectors":  # one vector a text
        cat, other_cat, rates = (item.embedding for item in answer.data)
        assert len(cat) == 576
        assert like(cat, other_cat) > like(cat, rates)
    assert len(answer.data) == 3


def test_without_pooling_it_does_not_boot(served: Project) -> None:
    """What engine/no-pooling says of a spec, and what becomes of it where that is allowed."""
    allowed = "allow: {engine/no-pooling: {reason: to see what it answers}}\n"
    text = LOCAL + ", task: embed}\nbackend: llama.cpp\nmax_sequences: 2\n" + allowed + COMMON
    served.spec("unpooled", text)
    ran = served.run("apply", "specs/unpooled.yaml", "--local", "--yes", timeout=120)
    assert ran.code != 0
    assert "400" in ran.out + ran.err
    assert "Pooling type 'none' is not OAI compatible" in ran.out + ran.err


def like(one: list[float], other: list[float]) -> float:
    return float(sum(a * b for a, b in zip(one, other, strict=True)))


def test_an_adapter_answers_when_a_request_asks_for_it(served: Project) -> None:
    talk, question = client(served, "more"), "What is the capital of France?"
    adapted = ask(talk, question, extra_body={"lora": [{"id": 0, "scale": 1.0}]})
    assert "Paris" not in adapted
    assert "Paris" in ask(talk, question)


def test_a_draft_model_guesses_and_is_mostly_right(served: Project) -> None:
    talk = client(served, "more")
    ask(talk, "Count from 1 to 20.", max_tokens=32)
    request = urllib.request.Request(
        f"{url(served, 'more')}/metrics", headers={"Authorization": f"Bearer {KEY}"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        lines = response.read().decode().splitlines()
    counted = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    drafted = float(counted["llamacpp:spec_decode_num_draft_tokens_total"])
    assert drafted > 0
    assert float(counted["llamacpp:spec_decode_num_accepted_tokens_total"]) > drafted / 2


def test_the_command_line_is_the_log_s_and_no_key_is_in_it(served: Project) -> None:
    for name, word in (("one", "--interrupt_requests false"), ("more", "--lora-scaled ")):
        ran = served.run("logs", name, "--local", "--tail", "3000")
        text = ran.out + ran.err
        assert word in text
        assert KEY not in text
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert KEY not in processes.stdout
