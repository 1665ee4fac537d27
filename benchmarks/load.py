"""What do so many clients at once see of a server? Tokens a second, and how soon the first came."""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from benchmarks.result import CannotMeasure

TOKENS = 48
PATIENCE = 120.0  # seconds for one answer


@dataclass(frozen=True)
class Endpoint:
    """Where one side listens, and what opens it. `model` is the name that it answers to."""

    url: str
    model: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Seen:
    """`first` is the median of the seconds until the first token; `rate` in tokens a second."""

    rate: float
    first: float


def load(endpoint: Endpoint, clients: int, *, each: int = 2, mark: str = "") -> Seen:
    """`clients` at once, `each` one request after another, every answer exactly TOKENS long.

    `mark` begins each prompt, so that no answer comes from what was cached of another round.
    """
    start = threading.Barrier(clients + 1)

    def client(number: int) -> list[float]:
        start.wait()
        return [_stream(endpoint, f"{mark} {number}.{turn}") for turn in range(each)]

    with ThreadPoolExecutor(clients) as pool:
        waiting = [pool.submit(client, number) for number in range(clients)]
        start.wait()
        began = time.perf_counter()
        firsts = [first for one in waiting for first in one.result()]
        took = time.perf_counter() - began
    return Seen(clients * each * TOKENS / took, statistics.median(firsts))


def _stream(endpoint: Endpoint, mark: str) -> float:
    """Seconds until the first token of one whole answer. Raises CannotMeasure for any other."""
    address = urlsplit(endpoint.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE)
    body = {
        "model": endpoint.model,
        "prompt": f"{mark}: Once upon a time there was a small town by the sea, and in it",
        "max_tokens": TOKENS,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    began, first, counted = time.perf_counter(), 0.0, 0
    try:
        sent = {"Content-Type": "application/json", **endpoint.headers}
        connection.request("POST", "/v1/completions", json.dumps(body), sent)
        answer = connection.getresponse()
        if answer.status != 200:
            raise CannotMeasure(f"HTTP {answer.status}: {answer.read()[:500]!r}")
        for line in answer:
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line.removeprefix(b"data: "))
            first = first or time.perf_counter() - began
            counted = (chunk.get("usage") or {}).get("completion_tokens", counted)
    except (OSError, http.client.HTTPException, ValueError) as problem:
        raise CannotMeasure(f"an answer of {endpoint.url} broke off: {problem}") from problem
    finally:
        connection.close()
    if counted != TOKENS:
        raise CannotMeasure(f"an answer had {counted} tokens, and {TOKENS} were asked for")
    return first
