"""Does the rendered app of a model over two hosts run? Its engine here only speaks to itself."""

from __future__ import annotations

import sys
from typing import Any

from modelctl.render import render
from tests.local.conftest import Client, until
from tests.render.examples import example

# An engine in vLLM's words: rank 0 waits for the other host, then serves; the other one obeys.
STUB = """\
#!{python}
import json
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

words = sys.argv[1:]


def said(flag):
    return words[words.index(flag) + 1]


rank, master = int(said("--node-rank")), (said("--master-addr"), int(said("--master-port")))
if rank > 0:
    assert "--headless" in words
    while True:
        try:
            leader = socket.create_connection(master, timeout=1)
            break
        except OSError:
            pass
    leader.settimeout(None)
    leader.sendall(f"rank {{rank}}".encode())
    leader.recv(1)
    sys.exit(0)

meeting = socket.create_server(master)
worker, _ = meeting.accept()
hello = worker.recv(100).decode()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer()

    def answer(self):
        body = json.dumps({{"worker": hello, "words": words}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


ThreadingHTTPServer((said("--host"), int(said("--port"))), Handler).serve_forever()
"""


def test_both_hosts_start_rank_0_answers_and_they_end_together(own_client: Client) -> None:
    client = own_client
    engine = client.plane.state_dir / "bin" / "vllm"
    engine.parent.mkdir(exist_ok=True)
    engine.write_text(STUB.format(python=sys.executable))
    engine.chmod(0o755)
    rendered = render(example("deepseek-r1-two-hosts"))
    path = client.folder / f"{rendered.module}.py"
    path.write_text(rendered.text)
    client.sdk(f"load({str(path)!r}).app.deploy()")
    url = client.url("deepseek-r1-two-hosts")
    assert client.get(url).status == 503
    until(lambda: client.get(url + "/v1/models").status == 200, timeout=60)
    answer: dict[str, Any] = client.get(url + "/v1/models").json()
    assert answer["worker"] == "rank 1"
    assert "--headless" not in answer["words"]
    assert len(client.containers("deepseek-r1-two-hosts")) == 2
    log = client.logs("deepseek-r1-two-hosts")
    assert "could not boot" not in log
    assert "--node-rank 1" in log
    client.sdk("modal.App.lookup('deepseek-r1-two-hosts').stop()")
    until(lambda: client.containers("deepseek-r1-two-hosts") == [], timeout=60)
