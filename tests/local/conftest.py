"""A plane of its own for the tests, and the unchanged SDK in a process beside it."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from grpclib.client import Channel
from grpclib.exceptions import GRPCError
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientStub

from modelctl.local import lifecycle
from modelctl.local.lifecycle import Plane

# A server app whose engine is a few lines of the standard library. What differs between tests is
# substituted for the capitals, so that the file stands alone as a rendered one does.
APP = '''
import os, subprocess, sys
import modal

ENGINE = r"""
import http.server, json, os, socket, sys, time

class Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def chunk(self, data):
        self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(data), data))
        self.wfile.flush()

    def reply(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def do_POST(self):
        self.reply(self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self):
        route, _, argument = self.path.lstrip("/").partition("/")
        if route == "who":
            self.reply(json.dumps({"pid": os.getpid(), "mark": "MARK"}).encode())
        elif route == "headers":
            self.reply(json.dumps(dict(self.headers.items())).encode())
        elif route == "env":
            self.reply(json.dumps(dict(os.environ)).encode())
        elif route == "read":
            with open(os.environ["MODELCTL_MOUNT_ROOT"] + "/" + argument, "rb") as file:
                self.reply(file.read())
        elif route == "write":
            with open(os.environ["MODELCTL_MOUNT_ROOT"] + "/" + argument, "w") as file:
                file.write("written")
            self.reply(b"")
        elif route == "say":
            print("said", argument, flush=True)
            print("complained", argument, file=sys.stderr, flush=True)
            self.reply(b"")
        elif route == "sleep":
            time.sleep(float(argument))
            self.reply(b"slept")
        elif route == "stream":
            count, gap = argument.split("/")
            self.stream()
            for number in range(int(count)):
                self.chunk(b"%d " % number)
                time.sleep(float(gap))
            self.wfile.write(b"0\\r\\n\\r\\n")
        elif route == "break":
            self.stream()
            self.chunk(b"half an ans")
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        elif route == "endless":
            self.stream()
            try:
                while True:
                    self.chunk(b"x")
                    time.sleep(0.02)
            except OSError:
                print("client left", flush=True)
        elif route == "crash":
            os.kill(os.getppid(), 9)

    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Engine).serve_forever()
"""

app = modal.App("NAME", tags=TAGS)

@app.server(ARGUMENTS)
class Server:
    @modal.enter()
    def start(self):
        BEFORE
        port = os.environ.get("MODELCTL_PORT", "8000")
        self.engine = subprocess.Popen(
            [sys.executable, "-c", ENGINE], env=os.environ | {"PORT": port}, start_new_session=True
        )

    @modal.exit()
    def stop(self):
        print("exit hook ran", flush=True)
        self.engine.terminate()
'''


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """The SDK, the CLI and plain HTTP against one plane."""

    plane: Plane
    folder: Path
    worker: "subprocess.Popen[str]"

    @property
    def environment(self) -> dict[str, str]:
        return sdk_environment(self.plane)

    def sdk(self, code: str) -> Any:
        """Runs code that has `modal` imported; what it assigns to `result` comes back as JSON."""
        assert self.worker.stdin is not None and self.worker.stdout is not None
        self.worker.stdin.write(json.dumps(textwrap.dedent(code)) + "\n")
        self.worker.stdin.flush()
        answer = json.loads(self.worker.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["result"]

    def sdk_alone(self, code: str, **environment: str) -> Any:
        """The same in a process of its own, with other variables."""
        script = f"import json, modal\nresult = None\n{textwrap.dedent(code)}"
        done = subprocess.run(
            [sys.executable, "-c", script + "\nprint('\\n' + json.dumps(result))"],
            env=self.environment | environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.rsplit("\n", 2)[-2])

    def modal(self, *arguments: str) -> str:
        """The modal CLI."""
        done = subprocess.run(
            [sys.executable, "-m", "modal", *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def write(
        self,
        name: str,
        arguments: str = "",
        *,
        mark: str = "",
        before: str = "pass",
        tags: dict[str, str] | None = None,
    ) -> Path:
        """A file with a server app."""
        source = APP.replace("NAME", name).replace("MARK", mark).replace("BEFORE", before)
        source = source.replace("TAGS", repr(tags or {})).replace("ARGUMENTS", arguments)
        path = self.folder / f"{name.replace('-', '_')}.py"
        path.write_text(source)
        return path

    def deploy(self, name: str, arguments: str = "", **how: Any) -> str:
        """Deploys a server app; its URL."""
        path = self.write(name, arguments, **how)
        self.sdk(f"load({str(path)!r}).app.deploy()")
        return self.url(name)

    def url(self, name: str) -> str:
        return str(self.sdk(f"result = modal.Server.from_name({name!r}, 'Server').get_url()"))

    @property
    def auth(self) -> dict[str, str]:
        plane = self.plane
        return {"Modal-Key": plane.proxy_token_id, "Modal-Secret": plane.proxy_token_secret}

    def get(
        self, url: str, headers: dict[str, str] | None = None, data: bytes | None = None
    ) -> Answer:
        given = self.auth if headers is None else headers
        request = urllib.request.Request(url, headers=given, data=data)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return Answer(response.status, response.read())
        except urllib.error.HTTPError as refusal:
            with refusal:
                return Answer(refusal.code, refusal.read())

    def ready(self, url: str, path: str = "/who") -> Any:
        """Waits until the server answers, as clients of Modal's servers do; the answer."""
        answer = until(lambda: (got := self.get(url + path)).status == 200 and got)
        return answer.json()

    def containers(self, name: str) -> list[str]:
        """The ids of the app's containers, those on their way out included."""
        tasks = self.rpc("TaskList", api_pb2.TaskListRequest(environment_name="main")).tasks
        return [task.task_id for task in tasks if task.app_description == name]

    def rpc(self, method: str, request: Any, **metadata: str) -> Any:
        """One RPC without the SDK."""

        async def call() -> Any:
            place = urlsplit(self.plane.url)
            token = {
                "x-modal-token-id": self.plane.token_id,
                "x-modal-token-secret": self.plane.token_secret,
            }
            async with Channel(place.hostname, place.port) as channel:
                stub = getattr(ModalClientStub(channel), method)
                return await stub(request, metadata=token | metadata)

        return asyncio.run(call())

    def logs(self, name: str) -> str:
        """The last thousand lines of the app's logs."""
        lines = self.sdk(
            f"result = [e.message for e in modal.App.lookup({name!r}).logs.tail(1000)]"
        )
        return "".join(lines)

    def calls(self, method: str, since: int = 0) -> list[dict[str, Any]]:
        return lifecycle.calls(self.plane, method, since)


def until(condition: Callable[[], Any], timeout: float = 45.0) -> Any:
    """Waits for a condition; its value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return value


def sdk_environment(plane: Plane) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MODAL_", "MODELCTL_"))}
    return own | lifecycle.environ(plane) | {"NO_COLOR": "1", "COLUMNS": "200"}


@contextmanager
def client_in(folder: Path, state: Path) -> Iterator[Client]:
    """A plane and a client of it; both are gone afterwards."""
    (folder / "work").mkdir(parents=True)
    try:
        plane = lifecycle.up(state)
        with subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("sdk_worker.py"))],
            env=sdk_environment(plane),
            cwd=folder / "work",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as worker:
            yield Client(plane, folder / "work", worker)
    finally:
        lifecycle.down(state)


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One plane for all tests that do not end it; each uses app names of its own."""
    folder = tmp_path_factory.mktemp("plane")
    with client_in(folder, folder / "state") as client:
        yield client


@pytest.fixture
def own_client(tmp_path: Path) -> Iterator[Client]:
    """A plane for a test that ends it."""
    with client_in(tmp_path, tmp_path / "state") as client:
        yield client


@dataclass(frozen=True)
class CommandLine:
    """Modal's own CLI in a process that has it imported: a command takes no half second."""

    worker: "subprocess.Popen[str]"
    variables: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code, and what was printed."""
        assert self.worker.stdin is not None and self.worker.stdout is not None
        self.worker.stdin.write(json.dumps([arguments, self.variables]) + "\n")
        self.worker.stdin.flush()
        code, output = json.loads(self.worker.stdout.readline())
        return int(code), str(output)

    def __call__(self, *arguments: str) -> str:
        code, output = self.run(*arguments)
        assert code == 0, output
        return output

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """What the command prints with --json."""
        rows: list[dict[str, Any]] = json.loads(self(*arguments, "--json"))
        return rows

    def fails(self, *arguments: str) -> str:
        code, output = self.run(*arguments)
        assert code != 0, output
        return output


@pytest.fixture(scope="session")
def cli(client: Client) -> Iterator[CommandLine]:
    """The CLI on the plane of `client`, in its folder."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("cli_worker.py"))],
        env=client.environment,
        cwd=client.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        yield CommandLine(worker)
        assert worker.stdin is not None
        worker.stdin.close()


def refusal(client: Client, method: str, request: Any) -> tuple[str, str]:
    """The status and the sentence with which an RPC is refused."""
    with pytest.raises(GRPCError) as caught:
        client.rpc(method, request)
    return caught.value.status.name, str(caught.value.message)
