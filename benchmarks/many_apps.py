"""What do many apps cost a control plane's client? They are deployed, and then looked at.

    python -m benchmarks.many_apps COUNT RUNS

The seconds of the deploys and of each look go to standard output, as JSON.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import modal.runner

from modelctl.platform.sdk import ModalPlatform

AT_ONCE = 16

_APP = """\
import os, subprocess, sys
import modal

ENGINE = '''
import os, socket
listener = socket.create_server(("127.0.0.1", int(os.environ["MODELCTL_PORT"])))
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\\\\r\\\\nContent-Length: 2\\\\r\\\\n\\\\r\\\\nok")
    connection.close()
'''

app = modal.App("{name}", tags={{"made-by": "bench"}})

@app.server(
    gpu=["H100", "A100-80GB", "L40S:2"], min_containers=0, max_containers=4,
    target_concurrency=16, unauthenticated=True, env={{"KEY": "value"}},
    volumes={{"/weights": modal.Volume.from_name("bench-weights")}},
)
class Server:
    @modal.enter()
    def start(self):
        self.engine = subprocess.Popen([sys.executable, "-S", "-c", ENGINE])

    @modal.exit()
    def stop(self):
        self.engine.kill()
"""


async def main(count: int, runs: int) -> dict[str, list[float]]:
    runner: Any = modal.runner
    commit = await runner.get_git_commit_info()

    async def known() -> Any:  # it starts four processes, for each app anew
        return commit

    runner.get_git_commit_info = known
    turns = asyncio.Semaphore(AT_ONCE)
    with tempfile.TemporaryDirectory(prefix="modelctl-bench-") as folder:

        async def deploy(number: int) -> None:
            async with turns:
                await _app(Path(folder), f"many-{number:04}").deploy.aio()

        began = time.perf_counter()
        await asyncio.gather(*(deploy(number) for number in range(count)))
        deployed = time.perf_counter() - began
    platform = ModalPlatform(None)
    await platform.open()
    looks = []
    for _ in range(runs):
        began = time.perf_counter()
        live = await platform.observe()
        looks.append(time.perf_counter() - began)
        assert len(live.apps) == count
    return {"deploy": [deployed], "observe": looks}


def _app(folder: Path, name: str) -> Any:
    file = folder / f"{name}.py"
    file.write_text(_APP.format(name=name), encoding="utf-8")
    module = name.replace("-", "_")
    spec = importlib.util.spec_from_file_location(module, file)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[module] = loaded  # the SDK looks there for the class
    spec.loader.exec_module(loaded)
    return loaded.app


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))))
