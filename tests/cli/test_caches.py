"""Does a second start find what the first one kept? A stub named vllm, on the real plane."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modelctl.local import lifecycle
from tests.cli.test_container_life import containers, log, until
from tests.conftest import Project
from tests.hub.models import make_llama

pytestmark = pytest.mark.full

# Stands for an engine that compiles: it keeps a file where the app tells it to keep its cache.
STUB = """\
#!{python}
import http.server, os, pathlib, sys
kept = pathlib.Path(os.environ["VLLM_CACHE_ROOT"]) / "compiled"
print("INFO 11-21 09:12:13 [stub.py:1]", "found" if kept.exists() else "compiling", flush=True)
kept.write_text("x")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "2"); self.end_headers()
        self.wfile.write(b"{{}}")
    do_POST = do_GET
    def log_message(self, *_): pass
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def test_a_second_start_finds_what_the_first_one_compiled(live: Project) -> None:
    stub = live.write("vllm-stub", STUB.format(python=sys.executable))
    stub.chmod(0o755)
    added = live.run("local", "engines", "add", "vllm", "--command", str(stub))
    assert added.code == 0, added.err
    make_llama(live.root / "models" / "tiny")
    live.spec("caching", "model: ../models/tiny\nbackend: vllm\ngpu: L4\nkeep_warm: 1\n")
    ran = live.run("apply", "caching", "--local", "--yes")
    assert ran.code == 0, ran.out + ran.err
    assert "engine INFO [stub.py:1] compiling" in log(live, "caching")
    (first,) = containers(live, "caching")
    stop = [sys.executable, "-m", "modal", "container", "stop", first, "--yes"]
    subprocess.run(stop, env=lifecycle.environ(live.plane), check=True, capture_output=True)
    until(lambda: "engine INFO [stub.py:1] found" in log(live, "caching"))
    assert not any("WARNING Modal did not answer" in line for line in log(live, "caching"))
