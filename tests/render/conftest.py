"""What do tests of running apps stand on? A rendered app, its hooks, and a stub of an engine."""

from __future__ import annotations

import importlib.util
import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"

# Answers as `llama-server` does: 503 while loading, then 200; MODE says what goes wrong.
STUB = """\
#!{python}
import http.server, json, os, signal, sys, time
arguments, mode = sys.argv[1:], os.environ.get("MODE", "")
for line in os.environ.get("SAYS", "").splitlines(): print(line, flush=True)
if mode == "dies": sys.exit(3)
ready = time.monotonic() + 0.4
open(os.environ["SEEN"], "w").write(json.dumps(
    {{"arguments": arguments, "key": os.environ.get("LLAMA_API_KEY"), "pid": os.getpid()}}))
if mode == "stubborn": signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, text="{{}}"):
        self.send_response(status); self.send_header("Content-Length", str(len(text)))
        self.end_headers(); self.wfile.write(text.encode())
    def do_GET(self):
        if self.path == "/metrics": return self.answer(200, open(os.environ["METRICS"]).read())
        self.answer(200 if time.monotonic() > ready and mode != "never" else 503)
    def do_POST(self):
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        print("INFO 11-21 09:12:13 [stub.py:1]", self.path, flush=True)
        with open(os.environ["SEEN"] + ".asked", "a") as file:
            file.write(json.dumps(
                [self.path, json.loads(asked), self.headers.get("Authorization")]) + "\\n")
        if mode == "breaks": return self.answer(500, "out of memory")
        if "chat" not in self.path: return self.answer(200)
        if mode == "slow": time.sleep(1.5)
        if mode == "no chat": return self.answer(404, "no such route")
        said = os.environ.get("ANSWER", "It is Paris.")
        self.answer(200, json.dumps({{"choices": [{{"message": {{"content": said}}}}]}}))
    def log_message(self, *_): pass
port = int(arguments[arguments.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


class Kept(dict[str, object]):
    """What outlives a container: stands where the app has a modal.Dict."""

    def put(self, key: str, value: object) -> None:
        self[key] = value


@dataclass
class Running:
    module: ModuleType
    server: Any
    seen: Path
    kept: Kept

    def hook(self, name: str) -> None:
        getattr(self.module.Server, name)._get_raw_f()(self.server)

    @property
    def arguments(self) -> list[str]:
        found: list[str] = json.loads(self.seen.read_text())["arguments"]
        return found

    @property
    def asked(self) -> list[Any]:
        """Every POST that the engine got: path, body, Authorization."""
        return [json.loads(line) for line in Path(f"{self.seen}.asked").read_text().splitlines()]


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Makes a golden app (`app`), whose engine is the stub in a `mode`, and nvidia-smi a script.

    The script named nvidia-smi prints `gpus`, one name a line.
    """
    for name in ("llama-server", "vllm"):
        engine = tmp_path / name
        engine.write_text(STUB.format(python=sys.executable))
        engine.chmod(0o755)
    (tmp_path / "metrics").write_text("")
    smi = tmp_path / "nvidia-smi"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running: list[Running] = []
    kept = Kept()

    def make(mode: str = "", gpus: list[str] | None = None, app: str = "smollm2_135m") -> Running:
        if gpus is not None:
            smi.write_text("#!/bin/sh\n" + "".join(f"echo '{name}'\n" for name in gpus))
            smi.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
        monkeypatch.setenv("MODE", mode)
        monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
        monkeypatch.setenv("METRICS", str(tmp_path / "metrics"))
        monkeypatch.setenv("LLAMA_KEY", "very-secret")
        monkeypatch.setenv("MODELCTL_PORT", str(port))
        monkeypatch.setenv("MODELCTL_MOUNT_ROOT", "/mnt/root")
        spec = importlib.util.spec_from_file_location(f"golden_{app}", GOLDEN / f"{app}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(module.modal.Dict, "from_name", lambda *_, **__: kept)
        made = Running(module, module.Server(), tmp_path / "seen", kept)
        running.append(made)
        return made

    yield make
    for made in running:
        # Here the process outlives the container: what counts at an interval counts no more.
        made.module.gpu_figures = threading.Event().wait  # type: ignore[attr-defined]
        engine_process = getattr(made.server, "engine", None)
        if engine_process is not None and engine_process.poll() is None:
            made.server.stopping = True
            engine_process.kill()
            engine_process.wait()
