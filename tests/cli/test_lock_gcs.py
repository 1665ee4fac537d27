"""Is a model in a bucket of Google's known by its headers? From an emulator, through gcsfs."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from gcp_storage_emulator.server import create_server

from tests.conftest import Project
from tests.weights.test_gguf import file as gguf


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with socket.socket() as free:  # its answers name the port that it was told
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="shelf")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


def put(address: str, name: str, content: bytes) -> None:
    query = urlencode({"uploadType": "media", "name": name})
    url = f"{address}/upload/storage/v1/b/shelf/o?{query}"
    urlopen(Request(url, content, {"Content-Type": "application/octet-stream"})).close()


@pytest.mark.full
def test_a_folder_and_one_file_are_locked_and_read_in_place(project: Project, address: str) -> None:
    put(address, "tiny/m-Q4.gguf", gguf())
    put(address, "tiny/m-Q8.gguf", gguf())
    rest = "backend: llama.cpp\ngpu: L4\ncontext: 256\n"
    project.spec("glob", "model: {source: gs://shelf/tiny, file: '*Q4*'}\n" + rest)
    project.spec("one", "model: gs://shelf/tiny/m-Q8.gguf\n" + rest)
    env = {"STORAGE_EMULATOR_HOST": address}
    ran = project.run("lock", env=env)
    assert ran.code == 0, ran.err
    lock = json.loads((project.root / "modelctl.lock").read_text(encoding="utf-8"))["sources"]
    assert {source: list(found["gguf"]) for source, found in lock.items()} == {
        "gs://shelf/tiny": ["m-Q4.gguf"],
        "gs://shelf/tiny/m-Q8.gguf": ["m-Q8.gguf"],
    }
    before = (project.root / "modelctl.lock").read_bytes()
    assert project.run("lock", "--upgrade", env=env).code == 0
    assert (project.root / "modelctl.lock").read_bytes() == before
    assert project.run("render", "-o", "out").code == 0
    app = (project.root / "out/serve_glob.py").read_text(encoding="utf-8")
    assert ' "/models/m-Q4.gguf"\n' in app
    assert 'bucket_endpoint_url="https://storage.googleapis.com"' in app
