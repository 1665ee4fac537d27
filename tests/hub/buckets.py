"""A real S3 server on the loopback, and how much was read from it."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "kept", "AWS_DEFAULT_REGION": "auto"}


@dataclass
class Buckets:
    """`answers` has the path of every request for an object, and how many bytes it got."""

    url: str
    answers: list[tuple[str, int]] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """What the bucket's own tools read too."""
        return {**KEYS, "AWS_ENDPOINT_URL_S3": self.url}

    def sent(self, ending: str) -> int:
        return sum(size for path, size in self.answers if path.endswith(ending))

    def put(self, bucket: str, prefix: str, files: Path | dict[str, bytes]) -> None:
        if isinstance(files, Path):
            files = {
                path.relative_to(files).as_posix(): path.read_bytes()
                for path in files.rglob("*")
                if path.is_file()
            }
        there = self._filesystem()
        # The name alone, as the protocol's oldest servers take it: s3fs adds a region of its own.
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/{bucket}", method="PUT")).close()
        for name, content in files.items():
            there.pipe_file(f"{bucket}/{prefix}/{name}", content)
        self.answers.clear()

    def _filesystem(self) -> Any:
        return fsspec.filesystem(
            "s3",
            skip_instance_cache=True,
            key=KEYS["AWS_ACCESS_KEY_ID"],
            secret=KEYS["AWS_SECRET_ACCESS_KEY"],
            client_kwargs={"endpoint_url": self.url, "region_name": "us-east-1"},
        )


@contextmanager
def serving() -> Iterator[Buckets]:
    application = DomainDispatcherApplication(create_backend_app)
    found = Buckets("")

    def counted(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        parts = list(application(environ, start))
        if environ["REQUEST_METHOD"] == "GET":
            found.answers.append((environ["PATH_INFO"], sum(map(len, parts))))
        return parts

    server = make_server("127.0.0.1", 0, counted, threaded=True)
    found.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        thread.join()
