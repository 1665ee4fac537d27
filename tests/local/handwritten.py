"""An app as people write them by hand, and the engine that it starts, for the tests."""

import threading
from pathlib import Path
from typing import Any

from tests.local.conftest import Client

# What all the apps start: no engine, but it sleeps, wakes and streams like one.
ENGINE = """
import http.server, json, os, socket, sys, threading, urllib.request

PORT = int(sys.argv[1])
events, go = [], threading.Event()

class Engine(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def chunk(self, data):
        self.wfile.write(b"%x\\r\\n%s\\r\\n" % (len(data), data))
        self.wfile.flush()

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        events.append(self.path.strip("/"))
        self.reply("done")

    def do_GET(self):
        if self.path == "/health":
            self.reply("up")
        elif events and events[-1] == "sleep":
            self.reply("asleep", 503)
        elif self.path == "/state":
            self.reply({"pid": os.getpid(), "events": events, "port": PORT})
        elif self.path == "/go":
            go.set()
            self.reply("gone")
        elif self.path.startswith("/fetch/"):
            with urllib.request.urlopen(self.path.removeprefix("/fetch/")) as response:
                self.reply(response.read().decode())
        else:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.chunk(b"first ")
            if self.path == "/stream":
                go.wait(20)
                self.chunk(b"last")
                self.wfile.write(b"0\\r\\n\\r\\n")
            elif self.path == "/break":
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
            else:
                try:
                    while not go.wait(0.02):
                        self.chunk(b"more ")
                except OSError:
                    print("client left", flush=True)

    def log_message(self, *arguments):
        pass

http.server.ThreadingHTTPServer.request_queue_size = 128
http.server.ThreadingHTTPServer(("0.0.0.0", PORT), Engine).serve_forever()
"""

SERVER = '''
import subprocess
import sys
import time
import urllib.error
import urllib.request

import modal

MINUTES = 60
PORT = 8000
ENGINE = r"""ENGINE"""

image = (
    modal.Image.from_registry("registry.example/engine:1.0")
    .entrypoint([])
    .pip_install("engine==1.0")
    .env({"ENGINE_DEV_MODE": "1"})
)
cache = modal.Volume.from_name("handwritten-cache", create_if_missing=True)

with image.imports():
    import http.client
    import not_installed_here


def wait_ready(process, timeout=2 * MINUTES):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the engine exited with {process.returncode}")
        try:
            connection = http.client.HTTPConnection("localhost", PORT, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("the engine does not come up")


def post(path):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", data=b"{}", method="POST")
    urllib.request.urlopen(request).close()


app = modal.App("NAME")


@app.server(
    image=image,
    gpu="H100:2",
    volumes={"/root/.cache/weights": cache},
    enable_memory_snapshot=True,
    experimental_options={"enable_gpu_snapshot": True},
    compute_region="us",
    routing_region="us-east",
    port=PORT,
    startup_timeout=2 * MINUTES,
    exit_grace_period=5,
    target_concurrency=10,
    unauthenticated=True,
    MORE
)
class Inference:
    @modal.enter(snap=True)
    def startup(self):
        self.process = subprocess.Popen([sys.executable, "-c", ENGINE, str(PORT)])
        wait_ready(self.process)

    @modal.enter(snap=True)
    def then_warm_up(self):
        post("/warmup")
        post("/sleep")

    @modal.enter(snap=False)
    def restore(self):
        BEFORE
        post("/wake_up")

    @modal.exit()
    def stop(self):
        self.process.terminate()
        print(f"the engine ended with {self.process.wait()}")


@app.local_entrypoint()
def main(path: str = "/state", timeout: float = 1 * MINUTES):
    url = Inference.get_url()
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url + path) as response:
                print("answer:", response.read().decode())
                return
        except urllib.error.HTTPError as error:
            if error.code != 503:
                raise
            time.sleep(0.05)
    raise TimeoutError("no answer")
'''


def write(client: Client, name: str, more: str = "", before: str = "pass") -> Path:
    source = SERVER.replace('ENGINE"""', ENGINE + '"""').replace("NAME", name)
    source = source.replace("MORE", more).replace("BEFORE", before)
    path = client.folder / f"{name.replace('-', '_')}.py"
    path.write_text(source.replace("    import not_installed_here\n", ""))
    return path


def deployed(client: Client, name: str, more: str = "", before: str = "pass") -> str:
    """The server's URL."""
    client.sdk(f"load({str(write(client, name, more, before))!r}).app.deploy()")
    return str(client.sdk(f"result = modal.Server.from_name({name!r}, 'Inference').get_url()"))


def engines(client: Client, url: str, at_once: int = 12) -> set[int]:
    """The processes that answer when many ask at the same time."""
    answers: list[Any] = []
    asking = [
        threading.Thread(target=lambda: answers.append(client.get(url + "/state", {})))
        for _ in range(at_once)
    ]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
    return {answer.json()["pid"] for answer in answers if answer.status == 200}
