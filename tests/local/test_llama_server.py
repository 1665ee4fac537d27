"""Does the llama-server stand-in apply every flag it takes, refuse the rest, serve and stop?"""

from __future__ import annotations

import contextlib
import json
import os
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

from modelctl.local.llama_server.flags import FLAGS, parse
from modelctl.local.llama_server.server import configure, main
from modelctl.local.llama_server.values import RefusedError

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

    llama.cpp writes its own lines from another thread: they may come before ours or after.
    """
    done = subprocess.run(
        [*COMMAND, *argv], capture_output=True, text=True, timeout=20, env=environment(**extra)
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (ours,) = [line for line in done.stderr.splitlines() if line.startswith("llama_server: ")]
    return ours


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


NO_HANDLE = (
    "is refused: this stand-in cannot: xllamacpp gives no handle on it; a real llama-server can."
)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("--log-prefix", f"--log-prefix {NO_HANDLE}"),
        ("--override-kv a=int:1", f"--override-kv {NO_HANDLE}"),
        ("--mlock", "--mlock is refused: llama.cpp removed it: use --load-mode mlock."),
        ("hello", "'hello' stands alone: llama-server takes flags and their values only."),
        (
            "--port=80",
            "llama-server does not take --port=…: write --port and its value as two words.",
        ),
        ("--port", "--port needs a value after it: a whole number from 0 to 65535."),
        ("--port 80a", "--port takes a whole number from 0 to 65535, not '80a'."),
        ("--port 65536", "--port takes a whole number from 0 to 65535, not '65536'."),
        ("-c 4k", "-c takes a whole number of at least 0, not '4k'."),
        ("-np 0", "-np takes a whole number of at least 1, or -1, not '0'."),
        ("-np 9999999999", "-np takes a whole number of at least 1, or -1, not '9999999999'."),
        ("-ngl most", "-ngl takes a whole number, auto or all, not 'most'."),
        ("-fa --metrics", "-fa takes one of auto, on, off, not '--metrics'."),
        (
            "-ctk q3_K",
            "-ctk takes one of f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0, q5_1, not 'q3_K'.",
        ),
        ("-sm rows", "-sm takes one of none, layer, row, tensor, not 'rows'."),
        ("-ts 1,x", "-ts takes shares of at least 0, separated by commas, not '1,x'."),
        ("--rope-scale 0", "--rope-scale takes a number above 0, not '0'."),
        ("--rope-scale nan", "--rope-scale takes a number above 0, not 'nan'."),
        ("--chat-template-kwargs [1]", "--chat-template-kwargs takes a JSON object, not '[1]'."),
        (
            "--chat-template-file /nowhere",
            "--chat-template-file takes the path of a readable text file, not '/nowhere'.",
        ),
        (
            "--lora-scaled a:b:c",
            "--lora-scaled takes FILE:SCALE pairs separated by commas, not 'a:b:c'.",
        ),
    ],
)
def test_refusals(line: str, sentence: str) -> None:
    with pytest.raises(RefusedError) as refused:
        parse(line.split())
    assert str(refused.value) == sentence


def test_a_model_is_needed() -> None:
    with pytest.raises(RefusedError, match=r"^--model is required\.$"):
        configure([], {})


def test_llama_arg_variables_are_refused() -> None:
    with pytest.raises(
        RefusedError, match=r"^LLAMA_ARG_CTX_SIZE is set, but this stand-in reads flags"
    ):
        configure([], {"LLAMA_ARG_CTX_SIZE": "1"})


def test_without_xllamacpp_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(RefusedError) as refused:
        configure([], {})
    assert str(refused.value).endswith(
        "pip install 'modelctl[local]', or put llama-server on PATH."
    )


# --- every flag of the table, as CommonParams holds it -------------------------------------------


def attribute(params: Any, path: str) -> Any:
    for name in path.split("."):
        params = getattr(params, name)
    return params


EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU"
PROCESSORS = os.cpu_count()

# A command line, and what it sets: one line at least for each flag and each of its spellings.
APPLIED: list[tuple[str, dict[str, Any]]] = [
    ("", {"port": 8080, "n_parallel": -1, "hostnames": ["127.0.0.1"], "n_ctx": 0}),
    ("", {"default_template_kwargs": {"preserve_reasoning": "true"}, "api_keys": []}),
    ("--model GGUF", {"model.path": "GGUF"}),
    ("-m GGUF", {"model.path": "GGUF"}),
    ("--alias a,b -a c", {"model_alias": {"a", "b", "c"}}),
    ("--host 0.0.0.0,::1", {"hostnames": ["0.0.0.0", "::1"]}),
    ("--port 81", {"port": 81}),
    ("--ctx-size 4096", {"n_ctx": 4096, "fit_params_min_ctx": 4096}),
    ("--ctx_size 4096", {"n_ctx": 4096}),
    ("-c 0", {"n_ctx": 0, "fit_params_min_ctx": -1}),
    ("--parallel 3", {"n_parallel": 3}),
    ("-np 3", {"n_parallel": 3}),
    ("--kv-unified", {"kv_unified": True}),
    ("-kvu", {"kv_unified": True}),
    ("-kvu --no-kv-unified", {"kv_unified": False}),
    ("-kvu -no-kvu", {"kv_unified": False}),
    ("--n-gpu-layers 7", {"n_gpu_layers": 7}),
    ("--gpu-layers auto", {"n_gpu_layers": -1}),
    ("-ngl all", {"n_gpu_layers": -2}),
    ("--split-mode none", {"split_mode.name": "LLAMA_SPLIT_MODE_NONE"}),
    ("-sm row", {"split_mode.name": "LLAMA_SPLIT_MODE_ROW"}),
    ("-sm tensor", {"split_mode.name": "LLAMA_SPLIT_MODE_TENSOR"}),
    ("--tensor-split 3,1", {"tensor_split": [3.0, 1.0] + [0.0] * 126}),
    ("-ts 3/1", {"tensor_split": [3.0, 1.0] + [0.0] * 126}),
    ("--main-gpu 1", {"main_gpu": 1}),
    ("-mg 2", {"main_gpu": 2}),
    ("--cache-type-k q8_0", {"cache_type_k.name": "GGML_TYPE_Q8_0"}),
    ("-ctk iq4_nl", {"cache_type_k.name": "GGML_TYPE_IQ4_NL"}),
    ("--cache-type-v q5_1", {"cache_type_v.name": "GGML_TYPE_Q5_1"}),
    ("-ctv bf16", {"cache_type_v.name": "GGML_TYPE_BF16"}),
    ("--flash-attn on", {"flash_attn_type.name": "LLAMA_FLASH_ATTN_TYPE_ENABLED"}),
    ("-fa off", {"flash_attn_type.name": "LLAMA_FLASH_ATTN_TYPE_DISABLED"}),
    ("-fa on -fa auto", {"flash_attn_type.name": "LLAMA_FLASH_ATTN_TYPE_AUTO"}),
    ("-fa 1", {"flash_attn_type.name": "LLAMA_FLASH_ATTN_TYPE_ENABLED"}),
    ("--batch-size 64", {"n_batch": 64}),
    ("-b 65", {"n_batch": 65}),
    ("--ubatch-size 32", {"n_ubatch": 32}),
    ("-ub 33", {"n_ubatch": 33}),
    ("--threads 3", {"cpuparams.n_threads": 3}),
    ("-t -1", {"cpuparams.n_threads": PROCESSORS}),
    ("--threads-batch 5", {"cpuparams_batch.n_threads": 5}),
    ("-tb 0", {"cpuparams_batch.n_threads": PROCESSORS}),
    ("--threads-http 9", {"n_threads_http": 9}),
    ("--load-mode mmap+mlock", {"load_mode.name": "LLAMA_LOAD_MODE_MMAP_MLOCK"}),
    ("-lm dio", {"load_mode.name": "LLAMA_LOAD_MODE_DIRECT_IO"}),
    ("--fit off", {"fit_params": False}),
    ("-fit off -fit on", {"fit_params": True}),
    ("--metrics", {"endpoint_metrics": True}),
    ("--no-slots", {"endpoint_slots": False}),
    ("--no-slots --slots", {"endpoint_slots": True}),
    ("--no-jinja", {"use_jinja": False}),
    ("--no-jinja --jinja", {"use_jinja": True}),
    ("--chat-template chatml", {"chat_template": "chatml"}),
    ("--chat-template-file TEXT", {"chat_template": "from a file"}),
    (
        '--chat-template-kwargs {"a":{"b":[1,true]}}',
        {"default_template_kwargs": {"preserve_reasoning": "true", "a": '{"b":[1,true]}'}},
    ),
    ("--reasoning-format none", {"reasoning_format.name": "COMMON_REASONING_FORMAT_NONE"}),
    (
        "--reasoning-format deepseek-legacy",
        {"reasoning_format.name": "COMMON_REASONING_FORMAT_DEEPSEEK_LEGACY"},
    ),
    ("--embeddings", {"embedding": True}),
    ("--embedding", {"embedding": True}),
    ("--pooling cls", {"pooling_type.name": "LLAMA_POOLING_TYPE_CLS"}),
    ("--reranking", {"embedding": True, "pooling_type.name": "LLAMA_POOLING_TYPE_RANK"}),
    ("--rerank", {"embedding": True, "pooling_type.name": "LLAMA_POOLING_TYPE_RANK"}),
    ("--no-cont-batching", {"cont_batching": False}),
    ("-nocb --cont-batching", {"cont_batching": True}),
    ("-nocb -cb", {"cont_batching": True}),
    ("--cache-ram 100", {"cache_ram_mib": 100}),
    ("-cram -1", {"cache_ram_mib": -1}),
    ("--cpu-moe", {"tensor_buft_overrides": EXPERTS}),
    ("-cmoe", {"tensor_buft_overrides": EXPERTS}),
    (
        "--n-cpu-moe 2",
        {"tensor_buft_overrides": rf"blk\.0{EXPERTS},blk\.1{EXPERTS}"},
    ),
    ("-ncmoe 1 -cmoe", {"tensor_buft_overrides": rf"blk\.0{EXPERTS},{EXPERTS}"}),
    ("-ncmoe 0", {"tensor_buft_overrides": ""}),
    ("--swa-full", {"swa_full": True}),
    (
        "--lora GGUF,GGUF --lora-scaled GGUF:0.5",
        {"lora_adapters": [("GGUF", 1.0), ("GGUF", 1.0), ("GGUF", 0.5)]},
    ),
    ('--api-key a,b --api-key "c,d"', {"api_keys": ["a", "b", "c,d"]}),
    ("--no-ui", {"ui": False}),
    ("--no-webui", {"ui": False}),
    ("--no-ui --ui", {"ui": True}),
    ("--no-ui --webui", {"ui": True}),
    ("--no-warmup", {"warmup": False}),
    ("--no-warmup --warmup", {"warmup": True}),
    ("--n-predict 5", {"n_predict": 5}),
    ("--predict 6", {"n_predict": 6}),
    ("-n 5 -n -1", {"n_predict": -1}),
    ("--timeout 7", {"timeout_read": 7, "timeout_write": 7}),
    ("-to 8", {"timeout_read": 8, "timeout_write": 8}),
    ("--log-verbosity 1", {"verbosity": 1}),
    ("--verbosity 2", {"verbosity": 2}),
    ("-lv 4", {"verbosity": 4}),
    ("--spec-draft-model GGUF", {"speculative.draft.mparams.path": "GGUF"}),
    ("--model-draft GGUF", {"speculative.draft.mparams.path": "GGUF"}),
    ("-md GGUF", {"speculative.draft.mparams.path": "GGUF"}),
    (
        "--spec-type draft-mtp,ngram-map-k4v",
        {"speculative.types": ["NONE", "DRAFT_MTP", "NGRAM_MAP_K4V"]},
    ),
    ("--spec-type draft-mtp,none", {"speculative.types": ["NONE", "NONE"]}),
    ("--spec-draft-n-max 9", {"speculative.draft.n_max": 9}),
    ("--spec-draft-n-min 2", {"speculative.draft.n_min": 2}),
    ("--spec-draft-ngl 4", {"speculative.draft.n_gpu_layers": 4}),
    ("--gpu-layers-draft all", {"speculative.draft.n_gpu_layers": -2}),
    ("--n-gpu-layers-draft auto", {"speculative.draft.n_gpu_layers": -1}),
    ("-ngld 3", {"speculative.draft.n_gpu_layers": 3}),
    ("--rope-scaling yarn", {"rope_scaling_type.name": "LLAMA_ROPE_SCALING_TYPE_YARN"}),
    ("--rope-scale 4", {"rope_freq_scale": 0.25}),
    ("--rope-freq-base 10000", {"rope_freq_base": 10000.0}),
    ("--rope-freq-scale 0.5", {"rope_freq_scale": 0.5}),
    ("--yarn-orig-ctx 2048", {"yarn_orig_ctx": 2048}),
]


@pytest.mark.parametrize(("line", "expected"), APPLIED)
def test_applied(line: str, expected: dict[str, Any], tmp_path: Path) -> None:
    gguf = tmp_path / "model.gguf"
    gguf.write_bytes(b"GGUF")
    text = tmp_path / "text"
    text.write_text("from a file")

    def fill(word: str) -> str:
        return word.replace("GGUF", str(gguf)).replace("TEXT", str(text))

    params = configure(["-m", str(gguf), *map(fill, line.split())], {}).params
    for path, value in expected.items():
        found = attribute(params, path)
        if path == "lora_adapters":
            found = [(adapter.path.replace(str(gguf), "GGUF"), adapter.scale) for adapter in found]
        if path == "speculative.types":
            found = [kind.name.removeprefix("COMMON_SPECULATIVE_TYPE_") for kind in found]
        assert found == (fill(value) if isinstance(value, str) else value)


def test_every_spelling_of_every_flag_is_among_them() -> None:
    tried = {word for line, _ in APPLIED for word in line.split() if word.startswith("-")}
    table = {name for flag in FLAGS for name in (*flag.names, *flag.off)}
    assert table - tried == set()


def test_keys_of_the_environment_come_first(tmp_path: Path) -> None:
    gguf = tmp_path / "model.gguf"
    gguf.write_bytes(b"GGUF")
    argv = ["-m", str(gguf), "--api-key", "c"]
    assert configure(argv, {"LLAMA_API_KEY": "a,b"}).params.api_keys == ["a", "b", "c"]
    assert configure(argv, {"LLAMA_API_KEY": ""}).params.api_keys == ["c"]
    with pytest.raises(RefusedError, match=r"^LLAMA_API_KEY is set but holds no key\.$"):
        configure(argv, {"LLAMA_API_KEY": ","})
    with pytest.raises(RefusedError, match=r"^a comma-separated value holds a line break\.$"):
        configure(argv, {"LLAMA_API_KEY": "a\nb"})


def test_help_lists_every_flag_and_version_says_what_it_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = [signal.getsignal(stop) for stop in (signal.SIGTERM, signal.SIGINT)]
    try:
        assert main(["--help"]) == 0
        listed = capsys.readouterr().out
        assert main(["--version"]) == 0
        assert capsys.readouterr().out.startswith("stand-in for llama-server, from xllamacpp 20")
    finally:
        for stop, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(stop, handler)
    for flag in FLAGS:
        for name in (*flag.names, *flag.off):
            assert name in listed
