"""Who gets an answer? Each kind of auth, with the right key, a wrong one, and none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from modelctl.local import lifecycle
from tests.conftest import Project, place_model

pytestmark = pytest.mark.full

SPEC = """\
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: llama.cpp
context: 512
max_sequences: 2
gpu: none
keep_warm: 1
endpoint: {endpoint}
"""
KEY = "a-key-of-the-partner-1d9f"
CHAT = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}).encode()


def modal(project: Project, *arguments: str) -> str:
    """Modal's own command line on the project's plane."""
    done = subprocess.run(
        [sys.executable, "-m", "modal", *arguments],
        env={**os.environ, **lifecycle.environ(project.plane)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def urls(live: Project, gguf: Path) -> dict[str, str]:
    """The URL of one endpoint of each kind."""
    place_model(gguf, live)
    modal(live, "secret", "create", "partner", f"API_KEY={KEY}")
    for name, endpoint in {
        "by-proxy": "{}",
        "by-key": "{auth: api-key, api_key: {secret: partner, key: API_KEY}}",
    }.items():
        live.spec(name, SPEC.format(endpoint=endpoint))
    ran = live.run("apply", "--local", "--yes")
    assert ran.code == 0, ran.out + ran.err
    status = live.run("status", "--local", "--output", "json").json
    return {app["name"]: app["url"] for app in status["apps"]}


def ask(url: str, path: str = "/v1/chat/completions", **headers: str) -> int:
    data = CHAT if path.startswith("/v1/chat") else None
    given = {"Content-Type": "application/json"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url + path, data=data, headers=given)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code


def test_modal_asks_for_its_token_before_the_engine_hears_of_it(
    live: Project, urls: dict[str, str]
) -> None:
    url, plane = urls["by-proxy"], live.plane
    token, secret = plane.proxy_token_id, plane.proxy_token_secret
    assert ask(url, Modal_Key=token, Modal_Secret=secret) == 200
    assert ask(url, Authorization=f"Bearer {token}.{secret}") == 200
    assert ask(url) == 401
    assert ask(url, Modal_Key=token, Modal_Secret="ws-wrong") == 401
    assert ask(url, Modal_Key="wk-wrong", Modal_Secret=secret) == 401
    for path in ("/health", "/metrics", "/v1/models", "/props"):
        assert ask(url, path) == 401


def test_the_engine_asks_for_the_key_of_the_secret(live: Project, urls: dict[str, str]) -> None:
    url, plane = urls["by-key"], live.plane
    assert ask(url, Authorization=f"Bearer {KEY}") == 200
    assert ask(url) == 401
    assert ask(url, Authorization="Bearer wrong") == 401
    # Modal's token is none of its keys.
    token = f"{plane.proxy_token_id}.{plane.proxy_token_secret}"
    assert ask(url, Authorization=f"Bearer {token}") == 401
    assert ask(url, "/metrics") == 401
    assert ask(url, "/health") == 200


def test_the_key_is_in_no_argument_no_log_and_no_file(
    live: Project, urls: dict[str, str], tmp_path: Path
) -> None:
    ask(urls["by-key"], Authorization=f"Bearer {KEY}")
    assert KEY not in live.run("logs", "by-key", "--local", "--tail", "500").out
    assert live.run("render", "by-key", "-o", str(tmp_path)).code == 0
    written = [path.read_text() for path in tmp_path.rglob("*.py")]
    assert len(written) == 1
    assert KEY not in written[0]
    arguments = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments.append(process.read_bytes())
        except OSError:  # it ended meanwhile
            continue
    assert any(b"llama-server" in words or b"llama_server" in words for words in arguments)
    assert not any(KEY.encode() in words for words in arguments)


def test_a_secret_without_the_key_is_said_and_nothing_changes(live: Project) -> None:
    modal(live, "secret", "create", "empty", "OTHER=x")
    live.spec(
        "no-key", SPEC.format(endpoint="{auth: api-key, api_key: {secret: empty, key: API_KEY}}")
    )
    ran = live.run("apply", "no-key", "--local", "--yes")
    (live.root / "specs" / "no-key.yaml").unlink()
    assert ran.code == 4
    assert "API_KEY" in ran.out + ran.err
