"""A llama.cpp server on Modal.

Written by modelctl: change the spec, not this file.
"""

import contextlib
import http.client
import json
import math
import os
import re
import select
import shlex
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator

import modal

NAME = "much-at-once"
SERVED_AS = "much-at-once"

# On Modal these hold as they stand; a container on a laptop is told its own.
HOST = os.environ.get("MODELCTL_HOST", "0.0.0.0")
PORT = int(os.environ.get("MODELCTL_PORT", "8000"))
MOUNT_ROOT = os.environ.get("MODELCTL_MOUNT_ROOT", "")

MODEL = MOUNT_ROOT + "/models/m.gguf"
STARTUP_SECONDS = 600
DRAIN_SECONDS = 30
WARM_UP_PATH = "/v1/rerank"
WARM_UP_BODY = {"query": "Hello", "documents": ["Hello", "Goodbye"]}

# What the engine calls its counters at /metrics.
COUNTERS = {
    "running": "llamacpp:requests_processing",
    "waiting": "llamacpp:requests_deferred",
    "generated": "llamacpp:tokens_predicted_total",
    "prompt": "llamacpp:prompt_tokens_total",
}
METRICS_SECONDS = 60
GPU_FIGURES = {
    "utilization.gpu": "utilization",
    "memory.used": "memory_used_mib",
    "memory.total": "memory_total_mib",
    "power.draw": "power_w",
    "temperature.gpu": "temperature_c",
}

COMMAND = ["llama-server"]

# Words in the names that nvidia-smi prints, and how FLAGS calls the card.
CARDS: list[tuple[str, str]] = []

COMMON: list[tuple[str, ...]] = [
    ("--alias", "much-at-once"),
    ("--ctx-size", "32768"),
    ("--parallel", "4"),
    ("--ubatch-size", "8192"),
    ("--n-gpu-layers", "0"),
    ("--reranking",),
    ("--metrics",),
    ("--no-ui",),
    ("--threads", "8"),
    ("--batch-size", "512"),
    ("--lora", MOUNT_ROOT + "/data/a"),
]

# What differs from one GPU to another.
FLAGS: dict[str, list[tuple[str, ...]]] = {
    "cpu": [],
}

CHAT_TEMPLATE = "{% for m in messages %}\n\t'{{ m.content }}' \"\xe9\"\n{% endfor %}"

image = (
    modal.Image.from_registry(
        "registry.example.com/llama:1",
        add_python="3.13",
        secret=modal.Secret.from_name("registry"),
    )
    .entrypoint([])
    .run_commands("which llama-server || ln -s /app/llama-server /usr/local/bin/")
)

TAGS = {
    "team": "search",
    "cost-centre": "1234",
    "modelctl-project": "examples",
    "modelctl-digest": "bb42f27ea77157f13544ae03bd2e3eda",
}

app = modal.App(NAME, tags=TAGS)

# How engines begin a line: who says it, when, and how serious it is.
LEVEL = re.compile(
    r"(?P<who>\([^)]*\) )?(?:[\d.]+ )?"
    r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL|(?<=\d )[DIWE])"
    r"(?:: *| (?:\d\d-\d\d [\d:]+ )?)"
)
LEVELS = {"D": "DEBUG", "I": "INFO", "W": "WARNING", "E": "ERROR", "CRITICAL": "ERROR"}


def say(line: str) -> None:
    print(f"{line}\n", end="", flush=True)  # in one piece: threads say things too


def lines_of(engine: subprocess.Popen[str], listening: threading.Event) -> Iterator[str]:
    """What the engine writes, as long as somebody listens: a snapshot must hold no thread."""
    assert engine.stdout is not None
    pipe, rest = engine.stdout.fileno(), b""
    while listening.is_set():
        if select.select([pipe], [], [], 0.2)[0]:
            if not (data := os.read(pipe, 65536)):
                break
            *lines, rest = re.split(rb"[\r\n]+", rest + data)
            yield from (line.decode(errors="replace") for line in lines)


def pass_on(engine: subprocess.Popen[str], listening: threading.Event) -> None:
    """Write what the engine writes to the log, with its level in front."""
    level = "INFO"
    for line in lines_of(engine, listening):
        text = re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip()
        if found := LEVEL.match(text):
            level = LEVELS.get(found["level"], found["level"])
            text = (found["who"] or "") + text[found.end() :]
        elif re.match(r"Traceback |(\S+ )*error: ", text):
            level = "ERROR"
        if text:
            say(f"engine {level} {text}")


def which_gpu() -> str:
    """The key of FLAGS for this machine; MODELCTL_GPU may say it instead."""
    told = os.environ.get("MODELCTL_GPU")
    if told in FLAGS:
        return told
    if not CARDS:
        return "cpu"
    try:
        asked = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return "cpu"
    if asked.returncode != 0:
        raise RuntimeError(f"nvidia-smi failed: {asked.stdout}{asked.stderr}")
    names = asked.stdout.strip().splitlines()
    for words, card in CARDS:
        if names and f" {words} " in f" {names[0]} ":
            key = card if len(names) == 1 else f"{card}:{len(names)}"
            if key in FLAGS:
                return key
    raise RuntimeError(f"no flags for {names}; there are some for {list(FLAGS)}")


def written(text: str) -> str:
    """The path of a new file that holds the text."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", delete=False) as file:
        file.write(text)
    return file.name


# Threads that have to share a core spin: there are no more of them than cores.
THREADS = ["--threads"]


def engine_command(gpu: str) -> list[str]:
    command = [*COMMAND, "--model", MODEL, "--host", HOST, "--port", str(PORT)]
    command += ["--chat-template-file", written(CHAT_TEMPLATE)]
    for name, *values in COMMON + FLAGS[gpu]:
        if name in THREADS:
            values = [str(min(int(float(count)), os.cpu_count() or 1)) for count in values]
        command += [name, *values]
    return command


def start_engine(gpu: str) -> subprocess.Popen[str]:
    command = engine_command(gpu)
    say(f"modelctl INFO {NAME} on {gpu}: {shlex.join(command)}")
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # A session of its own: the engine's helpers can be ended together with it.
        start_new_session=True,
    )


def ask(method: str, path: str, body: object = None, timeout: float = 5.0) -> tuple[int, str]:
    """What the engine answers, as status and text; 0 where there is no answer in time."""
    headers = {"Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=timeout)
    try:
        connection.request(method, path, body=json.dumps(body), headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def wait_until_healthy(engine: subprocess.Popen[str], deadline: float) -> None:
    while ask("GET", "/health")[0] != 200:
        code = engine.poll()
        if code is not None:
            raise RuntimeError(f"the engine {how_it_ended(code)} before it was ready")
        if time.monotonic() > deadline:
            raise TimeoutError(f"the engine was not ready within {STARTUP_SECONDS} s")
        time.sleep(0.1)


def warm_up(deadline: float) -> None:
    """One real request: what does not answer here would not have answered a client."""
    left = max(10.0, deadline - time.monotonic())
    status, text = ask("POST", WARM_UP_PATH, {"model": SERVED_AS, **WARM_UP_BODY}, timeout=left)
    if status != 200:
        raise RuntimeError(f"the first request to {WARM_UP_PATH} failed: {status} {short(text)}")


def short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:199] + "\u2026"


def how_it_ended(code: int) -> str:
    if code < 0:
        return f"was ended by signal {-code} ({signal.strsignal(-code)})"
    return f"ended with exit code {code}"


def end(engine: subprocess.Popen[str], seconds: float) -> None:
    """Ask the engine to end, wait, then kill it and whatever it started."""
    engine.terminate()  # it alone: it ends its helpers itself, once they have nothing to do
    with contextlib.suppress(subprocess.TimeoutExpired):
        engine.wait(timeout=seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(engine.pid, signal.SIGKILL)
    engine.wait()


def number(text: str) -> float | None:
    """None for what is no finite number: a card says [N/A] to what it does not measure."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def counted() -> dict[str, float]:
    """The engine's own counters, in our words; none where it does not answer."""
    status, text = ask("GET", "/metrics")
    found = dict.fromkeys(COUNTERS, 0.0)
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        for word, counter in COUNTERS.items():
            if name.partition("{")[0] == counter:
                found[word] += number(value) or 0
    return found if status == 200 else {}


def busy() -> bool:
    now = counted()
    return bool(now) and now["running"] + now["waiting"] > 0


def gpu_figures() -> list[dict[str, float | None]]:
    """What nvidia-smi says of each GPU; nothing where there is none, or no answer."""
    try:
        asked = subprocess.run(
            ["nvidia-smi", f"--query-gpu={','.join(GPU_FIGURES)}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [line.split(", ") for line in asked.stdout.splitlines()]
    return [dict(zip(GPU_FIGURES.values(), map(number, row), strict=False)) for row in rows]


def report() -> None:
    """A line of figures for every interval in which something happened."""
    before, then = counted(), time.monotonic()
    while True:
        time.sleep(METRICS_SECONDS)
        gpus, found, now = gpu_figures(), counted(), time.monotonic()
        active = found != before or any(gpu["utilization"] for gpu in gpus)
        if before and found and (active or found["running"]):
            requests = found["running"] + found["waiting"]
            made = {word: found[word] - before[word] for word in ("generated", "prompt")}
            figures = {
                "seconds": round(now - then, 1),
                "gpu": gpus,
                "running": int(found["running"]),
                "waiting": int(found["waiting"]),
                "waiting_share": round(found["waiting"] / requests, 3) if requests else 0,
                "tokens_per_second": round(made["generated"] / (now - then), 1),
                "prompt_tokens_per_second": round(made["prompt"] / (now - then), 1),
            }
            say(f"modelctl METRICS {json.dumps(figures)}")
        before, then = found, now


class Server:
    @modal.enter(snap=True)
    def start(self) -> None:
        self.stopping = False
        # A little less than Modal waits, so that the reason stands in the log.
        deadline = time.monotonic() + STARTUP_SECONDS - 5
        try:
            self.boot(deadline)
        except BaseException as problem:
            self.give_up(problem)
            raise
        # A snapshot is taken now: what goes on in threads ends before it, and begins again after.
        self.listening.clear()
        self.lines.join()

    @modal.enter(snap=False)
    def restore(self) -> None:
        try:
            self.listen()
            wait_until_healthy(self.engine, time.monotonic() + STARTUP_SECONDS - 5)
        except BaseException as problem:
            self.give_up(problem)
            raise
        self.attend()

    def boot(self, deadline: float) -> None:
        self.gpu = which_gpu()
        self.engine = start_engine(self.gpu)
        self.listen()
        wait_until_healthy(self.engine, deadline)
        warm_up(deadline)

    def listen(self) -> None:
        self.listening = threading.Event()
        self.listening.set()
        given = (self.engine, self.listening)
        self.lines = threading.Thread(target=pass_on, args=given, daemon=True)
        self.lines.start()

    def attend(self) -> None:
        """Begin what goes on beside the engine."""
        threading.Thread(target=self.watch, daemon=True).start()
        threading.Thread(target=report, daemon=True).start()

    def give_up(self, problem: BaseException) -> None:
        """End the engine, and say why behind its last lines."""
        self.stopping = True
        if hasattr(self, "engine"):
            end(self.engine, 1)
            self.lines.join(5)
        say(f"modelctl: could not boot: {problem}")

    def watch(self) -> None:
        """End the container with its engine: another takes its place."""
        code = self.engine.wait()
        if not self.stopping:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.engine.pid, signal.SIGKILL)
            self.lines.join(5)  # the engine's last lines come first
            say(f"modelctl ERROR the engine {how_it_ended(code)}: so does this container")
            os._exit(1)

    @modal.exit()
    def stop(self) -> None:
        """Modal sends no more requests: those that are running are answered first."""
        self.stopping = True
        if not hasattr(self, "engine"):
            return  # the start did not come this far
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline and busy():
            time.sleep(0.1)
        end(self.engine, max(1, deadline - time.monotonic()))


server = app.server(
    image=image,
    cpu=7.5,
    memory=16384,
    ephemeral_disk=524288,
    volumes={
        "/data": modal.Volume.from_name("adapters").with_mount_options(read_only=True),
        "/logs": modal.Volume.from_name("logs"),
        "/models": modal.CloudBucketMount(
            "weights",
            key_prefix="llama/",
            secret=modal.Secret.from_name("aws"),
            read_only=True,
        ),
        "/archive": modal.CloudBucketMount(
            "archive",
            key_prefix="2026/",
            secret=modal.Secret.from_name("aws"),
        ),
    },
    secrets=[
        modal.Secret.from_name("one", required_keys=["A", "B"]),
        modal.Secret.from_name("two"),
    ],
    env={
        "LLAMA_LOG_COLORS": "off",
        "A_LONG_TEXT": "word word word word word word word word word word word word ",
    },
    min_containers=0,
    max_containers=3,
    buffer_containers=1,
    scaleup_window=15,
    scaledown_window=90,
    startup_timeout=STARTUP_SECONDS,
    exit_grace_period=DRAIN_SECONDS,
    port=8000,
    unauthenticated=True,
    routing_region="eu-west",
    compute_region=["eu-west", "eu-north"],
    cloud="aws",
    nonpreemptible=True,
    enable_memory_snapshot=True,
)(Server)
