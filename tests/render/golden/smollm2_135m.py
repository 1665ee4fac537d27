"""A llama.cpp server on Modal.

Written by modelctl: change the spec, not this file.
"""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import threading
import time

import modal

NAME = "smollm2-135m"
SERVED_AS = "smollm2-135m"

# On Modal these hold as they stand; a container on a laptop is told its own.
HOST = os.environ.get("MODELCTL_HOST", "0.0.0.0")
PORT = int(os.environ.get("MODELCTL_PORT", "8000"))
MOUNT_ROOT = os.environ.get("MODELCTL_MOUNT_ROOT", "")

MODEL = (
    MOUNT_ROOT
    + "/models/b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53/"
    + "SmolLM2-135M-Instruct.Q4_1.gguf"
)
STARTUP_SECONDS = 600
DRAIN_SECONDS = 30
WARM_UP_PATH = "/v1/completions"
WARM_UP_BODY = {"prompt": "Hello", "max_tokens": 1}

COMMAND = ["llama-server"]

# Words in the names that nvidia-smi prints, and how FLAGS calls the card.
CARDS: list[tuple[str, str]] = [
    ("L4", "L4"),
    ("Tesla T4", "T4"),
    ("T4", "T4"),
]

COMMON: list[tuple[str, ...]] = [
    ("--alias", "smollm2-135m"),
    ("--ctx-size", "8192"),
    ("--parallel", "4"),
    ("--metrics",),
    ("--no-ui",),
]

# What differs from one GPU to another.
FLAGS: dict[str, list[tuple[str, ...]]] = {
    "L4": [
        ("--n-gpu-layers", "all"),
    ],
    "T4": [
        ("--n-gpu-layers", "all"),
    ],
    "cpu": [
        ("--n-gpu-layers", "0"),
    ],
}

image = (
    modal.Image.from_registry("ghcr.io/ggml-org/llama.cpp:server-cuda-b11312", add_python="3.12")
    .entrypoint([])
    .run_commands("which llama-server || ln -s /app/llama-server /usr/local/bin/")
)

TAGS = {"modelctl-project": "examples", "modelctl-digest": "f072b860292277df04fcb085f37e13d2"}

app = modal.App(NAME, tags=TAGS)


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


def engine_command(gpu: str) -> list[str]:
    command = [*COMMAND, "--model", MODEL, "--host", HOST, "--port", str(PORT)]
    for flag in COMMON + FLAGS[gpu]:
        command += flag
    return command


def start_engine(gpu: str) -> subprocess.Popen[bytes]:
    command = engine_command(gpu)
    print(f"{NAME} on {gpu}:", *command, flush=True)
    # A session of its own: the engine's helpers can be ended together with it.
    return subprocess.Popen(command, start_new_session=True)


def ask(method: str, path: str, body: object = None, timeout: float = 5.0) -> int:
    """The status that the engine answers with; 0 where nothing listens yet."""
    headers = {"Content-Type": "application/json"}
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=timeout)
    try:
        connection.request(method, path, body=json.dumps(body), headers=headers)
        answer = connection.getresponse()
        text = answer.read()
    except (ConnectionError, TimeoutError, http.client.HTTPException):
        return 0
    finally:
        connection.close()
    if answer.status >= 400 and method == "POST":
        print(f"{path} answered {answer.status}: {text[:2000]!r}", flush=True)
    return answer.status


def wait_until_healthy(engine: subprocess.Popen[bytes], deadline: float) -> None:
    while ask("GET", "/health") != 200:
        code = engine.poll()
        if code is not None:
            raise RuntimeError(f"the engine ended with exit code {code} before it was ready")
        if time.monotonic() > deadline:
            raise TimeoutError(f"the engine was not ready within {STARTUP_SECONDS} s")
        time.sleep(0.1)


def warm_up(deadline: float) -> None:
    """One real request: what does not answer here would not have answered a client."""
    left = max(10.0, deadline - time.monotonic())
    status = ask("POST", WARM_UP_PATH, {"model": SERVED_AS, **WARM_UP_BODY}, timeout=left)
    if status != 200:
        raise RuntimeError(f"the first request to {WARM_UP_PATH} failed: {status}")


def end(engine: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask the engine to end, wait, then kill it and whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(engine.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        engine.wait(timeout=seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(engine.pid, signal.SIGKILL)
    engine.wait()


class Server:
    @modal.enter()
    def start(self) -> None:
        # A little less than Modal waits, so that the reason stands in the log.
        deadline = time.monotonic() + STARTUP_SECONDS - 5
        self.stopping = False
        try:
            self.boot(deadline)
        except BaseException as problem:
            print(f"modelctl: could not boot: {problem}", flush=True)
            raise
        threading.Thread(target=self.watch, daemon=True).start()

    def boot(self, deadline: float) -> None:
        self.gpu = which_gpu()
        self.engine = start_engine(self.gpu)
        try:
            wait_until_healthy(self.engine, deadline)
            warm_up(deadline)
        except BaseException:
            end(self.engine, 1)
            raise

    def watch(self) -> None:
        """End the container with its engine: another takes its place."""
        code = self.engine.wait()
        if not self.stopping:
            print(f"the engine ended with exit code {code}: so does this container", flush=True)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.engine.pid, signal.SIGKILL)
            os._exit(1)

    @modal.exit()
    def stop(self) -> None:
        self.stopping = True
        end(self.engine, DRAIN_SECONDS)


server = app.server(
    image=image,
    gpu=["L4", "T4"],
    volumes={
        "/models": modal.Volume.from_name(
            "modelctl-weights",
            create_if_missing=True,
        ).with_mount_options(read_only=True),
    },
    min_containers=0,
    scaledown_window=300,
    target_concurrency=4,
    max_concurrency=16,
    startup_timeout=STARTUP_SECONDS,
    exit_grace_period=DRAIN_SECONDS,
    port=8000,
    routing_region="us-east",
)(Server)
