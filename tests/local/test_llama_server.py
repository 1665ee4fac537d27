"""Does the llama-server stand-in serve, stop, and fail with one line?"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.full

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "modelctl.local.llama_server"]
THREADS = ["--threads", "2", "--threads-batch", "2"]


@pytest.fixture(scope="module")
def gguf() -> str:
    """SmolLM2-135M-Instruct, which the Makefile puts into models/."""
    default = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"
    path = Path(os.environ.get("MODELCTL_TEST_GGUF") or default)
    assert path.is_file(), f"{path} is missing: run make, or set MODELCTL_TEST_GGUF"
    return str(path)


@dataclass(frozen=True)
class Reply:
    status: int
    body: str

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    seen: list[int] = field(default_factory=list)

    def open(self, path: str, body: object = None, key: str | None = None) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if key is not None:
            request.add_header("Authorization", f"Bearer {key}")
        return urllib.request.urlopen(request, timeout=60)

    def ask(self, path: str, body: object = None, key: str | None = None) -> Reply:
        try:
            with self.open(path, body, key) as response:
                return Reply(response.status, response.read().decode())
        except urllib.error.HTTPError as error:
            return Reply(error.code, error.read().decode())

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.seen.append(self.ask("/health").status)
            except OSError:
                self.seen.append(0)
            if self.seen[-1] == 200:
                return
            time.sleep(0.005)
        pytest.fail(f"the server did not become healthy:\n{self.log.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(**extra: str) -> dict[str, str]:
    own = ("LLAMA_API_KEY", "MODAL_TASK_ID")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in own and not name.startswith("LLAMA_ARG_")
    }
    return {**kept, "PYTHONPATH": str(ROOT), **extra}


@contextlib.contextmanager
def serving(log: Path, gguf: str, *flags: str, **extra: str) -> Iterator[Running]:
    port = free_port()
    argv = [*COMMAND, "--model", gguf, "--port", str(port), *THREADS, *flags]
    with log.open("wb") as stderr:
        process = subprocess.Popen(argv, stderr=stderr, env=environment(**extra))
    try:
        running = Running(process, port, log)
        running.wait_until_healthy()
        yield running
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def server(gguf: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    log = tmp_path_factory.mktemp("llama") / "log"
    flags = ["--alias", "smol,other", "-np", "8", "-c", "4096", "--metrics", "--no-kv-unified"]
    with serving(log, gguf, *flags) as running:
        yield running


def chat(content: str, **extra: object) -> dict[str, object]:
    return {
        "model": "smol",
        "messages": [{"role": "user", "content": content}],
        "temperature": 0,
        **extra,
    }


# --- one server, many questions ------------------------------------------------------------------


def test_health_is_503_while_loading_and_then_200(server: Running) -> None:
    assert set(server.seen) <= {0, 503, 200}
    assert 503 in server.seen
    assert server.seen[-1] == 200


def test_chat_answers(server: Running) -> None:
    # Asked "What is …?" at temperature 0, this small model answers "L'Étoile".
    question = chat("Name the capital of France.", max_tokens=24)
    reply = server.ask("/v1/chat/completions", question)
    assert reply.status == 200
    assert "Paris" in reply.json["choices"][0]["message"]["content"]


def test_models_lists_the_aliases(server: Running) -> None:
    model = server.ask("/v1/models").json["data"][0]
    assert {model["id"], *model["aliases"]} == {"smol", "other"}


def test_embeddings_are_served_only_when_asked_for(server: Running) -> None:
    assert server.ask("/v1/embeddings", {"input": "a dog"}).status == 501


def test_context_is_divided_among_the_slots(server: Running) -> None:
    slots = server.ask("/slots").json
    assert [slot["n_ctx"] for slot in slots] == [512] * 8
    props = server.ask("/props").json
    assert props["total_slots"] == 8
    assert props["default_generation_settings"]["n_ctx"] == 512


def predicted(server: Running) -> int:
    for line in server.ask("/metrics").body.splitlines():
        if line.startswith("llamacpp:tokens_predicted_total "):
            return int(float(line.split()[1]))
    raise AssertionError("/metrics does not count predicted tokens")


def stream(server: Running, start: threading.Barrier, number: int) -> tuple[str, bool, int]:
    """How a stream ended, whether its last line was [DONE], and its count of tokens."""
    start.wait()
    body = chat(
        f"Write a story about {number} dogs.",
        stream=True,
        max_tokens=24 + number,
        stream_options={"include_usage": True},
    )
    reason, tokens, last = "", 0, ""
    with server.open("/v1/chat/completions", body) as response:
        for line in response:
            text = line.decode().strip()
            if not text.startswith("data: "):
                continue
            last = text.removeprefix("data: ")
            if last == "[DONE]":
                continue
            chunk = json.loads(last)
            for choice in chunk["choices"]:
                reason = choice["finish_reason"] or reason
            tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
    return reason, last == "[DONE]", tokens


def test_eight_streams_at_once_finish_whole_and_are_all_counted(server: Running) -> None:
    before = predicted(server)
    start = threading.Barrier(8)
    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(lambda number: stream(server, start, number), range(8)))
    for number, (reason, done, tokens) in enumerate(ends):
        assert done
        assert reason in ("length", "stop")
        assert tokens == 24 + number or reason == "stop"
    assert predicted(server) - before == sum(tokens for _, _, tokens in ends)


# --- what a flag does, as the server itself reports it -------------------------------------------


def test_flags_reach_llama_cpp(gguf: str, tmp_path: Path) -> None:
    flags = (
        "-c 1024 -np 2 -ctk q8_0 -ctv q5_0 -fa on -b 256 -ub 64 -lv 4 --no-warmup -cram 0 "
        "--no-ui --no-slots -n 7 --rope-scaling yarn --rope-scale 2 --rope-freq-base 20000 "
        "--spec-type draft-simple --spec-draft-n-max 5 -lm none --threads-http 3 -t 1"
    )
    with serving(tmp_path / "log", gguf, *flags.split(), "-md", gguf) as server:
        assert server.ask("/").status == 404
        assert server.ask("/slots").status == 501
        assert server.ask("/metrics").status == 501
        reply = server.ask("/v1/chat/completions", chat("Count to twenty.")).json
        assert reply["usage"]["completion_tokens"] == 7
        assert reply["timings"]["draft_n"] > 0
        log = server.log.read_text()
    for line in (
        "n_threads = 1 (n_threads_batch = 2)",
        "using 3 threads for HTTP server",
        "(load_mode = none)",
        "n_batch               = 256",
        "n_ubatch              = 64",
        "flash_attn            = enabled",
        "freq_base             = 20000.0",
        "freq_scale            = 0.5",
        "custom YaRN scaling",
        "K (q8_0)",
        "V (q5_0)",
        "n_slots = 2, n_ctx_slot = 512, kv_unified = 'false'",
        "adding speculative implementation 'draft-simple'",
        "prompt cache is disabled",
    ):
        assert line in log


def test_embeddings_template_file_and_unified_cache(gguf: str, tmp_path: Path) -> None:
    template = tmp_path / "template.jinja"
    template.write_text(
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}!{{ end }}"
    )
    flags = ["--embeddings", "--pooling", "mean", "--chat-template-file", str(template)]
    more = ["--chat-template-kwargs", '{"end": "so"}', "-kvu", "-np", "2", "-c", "512"]
    with serving(tmp_path / "log", gguf, *flags, *more) as server:
        reply = server.ask("/v1/embeddings", {"input": ["a dog", "a cat"]})
        vectors = [item["embedding"] for item in reply.json["data"]]
        assert [len(vector) for vector in vectors] == [576, 576]
        assert vectors[0] != vectors[1]
        messages = {"messages": [{"role": "user", "content": "hello"}]}
        assert server.ask("/apply-template", messages).json["prompt"] == "<user>hello!so"
        # One cache for both: each slot sees the whole of it.
        assert [slot["n_ctx"] for slot in server.ask("/slots").json] == [512, 512]


def test_key_from_the_environment(gguf: str, tmp_path: Path) -> None:
    body = chat("hello", max_tokens=1)
    flags = ["--api-key", "second", "-c", "256", "-np", "1"]
    with serving(tmp_path / "log", gguf, *flags, LLAMA_API_KEY="first") as server:
        assert server.ask("/health").status == 200
        assert server.ask("/v1/chat/completions", body).status == 401
        assert server.ask("/v1/chat/completions", body, key="wrong").status == 401
        for key in ("first", "second"):
            assert server.ask("/v1/chat/completions", body, key=key).status == 200


# --- stopping ------------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_the_middle_of_a_stream(
    gguf: str, tmp_path: Path, stop: signal.Signals
) -> None:
    with serving(tmp_path / "log", gguf, "-np", "1", "-c", "4096") as server:
        response = server.open("/completion", {"prompt": "1", "n_predict": 4000, "stream": True})
        assert response.readline()
        server.process.send_signal(stop)
        assert server.process.wait(5) == 0
        response.close()


PARENT = """
import subprocess, sys, time
child = subprocess.Popen(sys.argv[1:])
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("inside_modal", [True, False])
def test_it_outlives_a_killed_parent_except_on_modal(
    gguf: str, tmp_path: Path, inside_modal: bool
) -> None:
    port = free_port()
    argv = [*COMMAND, "-m", gguf, "--port", str(port), *THREADS, "-c", "256"]
    extra = {"MODAL_TASK_ID": "ta-1"} if inside_modal else {}
    with (tmp_path / "log").open("wb") as stderr:
        parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, *argv],
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment(**extra),
        )
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    try:
        server = Running(parent, port, tmp_path / "log")
        server.wait_until_healthy()
        parent.kill()
        parent.wait()
        dies = inside_modal and sys.platform == "linux"
        deadline = time.monotonic() + (5 if dies else 0.5)
        answers = True
        while answers and time.monotonic() < deadline:
            with contextlib.closing(socket.socket()) as probe:
                answers = probe.connect_ex(("127.0.0.1", port)) == 0
            time.sleep(0.05)
        assert answers is not dies
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


# --- what it refuses -----------------------------------------------------------------------------


def fails(argv: Sequence[str], **extra: str) -> str:
    """Our one line on stderr of a run that ends with code 1, quickly and without a traceback.

    llama.cpp writes its own lines from another thread, in pieces: they may come before ours or
    after, and an unfinished one on the same line.
    """
    done = subprocess.run(
        [*COMMAND, *argv], capture_output=True, text=True, timeout=20, env=environment(**extra)
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (ours,) = re.findall(r"llama_server: .*", done.stderr)
    return str(ours)


def test_a_missing_or_broken_model_is_one_line(gguf: str, tmp_path: Path) -> None:
    missing = tmp_path / "none.gguf"
    assert fails(["-m", str(missing)]) == (
        f"llama_server: cannot open the model file {missing}: No such file or directory."
    )
    text = tmp_path / "text.gguf"
    text.write_text("hello")
    assert fails(["-m", str(text)]) == f"llama_server: {text} is not a GGUF model file."
    short = tmp_path / "short.gguf"
    with Path(gguf).open("rb") as whole:
        short.write_bytes(whole.read(3_000_000))
    assert fails(["-m", str(short), "--port", str(free_port())]) == (
        f"llama_server: llama.cpp could not serve {short}; its own lines say why."
    )


def test_a_port_in_use_is_one_line(gguf: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert fails(["-m", gguf, "--port", str(port)]) == (
            f"llama_server: cannot listen on 127.0.0.1:{port}: Address already in use."
        )


def test_a_broken_template_is_one_line(gguf: str) -> None:
    flags = ["-m", gguf, "--port", str(free_port()), "--chat-template", "{% if %}"]
    assert fails(flags).startswith("llama_server: llama.cpp could not serve ")


def test_an_unknown_flag_ends_the_command() -> None:
    assert fails(["--grpc-port", "1"]) == (
        "llama_server: --grpc-port is not a flag of this stand-in (--help lists them); "
        "put a real llama-server on PATH to use it."
    )
