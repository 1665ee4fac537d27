"""Do clients that stream all the time see anything of what is done to their endpoint?"""

from __future__ import annotations

import http.client
import itertools
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from urllib.parse import urlsplit


@dataclass
class Stream:
    """One request. `tokens` came, `finish` is the engine's reason for the end, `done` its [DONE].

    An error is one of HTTP, or an event of the stream that says so: clients of OpenAI's raise both.
    """

    at: float
    tokens: int = 0
    finish: str = ""
    done: bool = False
    error: str = ""

    @property
    def whole(self) -> bool:
        return bool(self.tokens and self.finish and self.done) and not self.error


@dataclass
class Load:
    """Clients of one endpoint that stream answer after answer until the block ends.

    Every client asks for other lengths, so that some streams are under way whenever something
    happens. `pause` is how many seconds each of them waits before it asks again.
    """

    url: str
    model: str
    headers: Mapping[str, str] = field(default_factory=dict)
    clients: int = 4
    pause: float = 0.0
    lengths: tuple[int, ...] = (4, 8, 12, 24)
    streams: list[Stream] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    @property
    def failed(self) -> list[Stream]:
        """Those that were refused, broke off or ended without an end."""
        return [one for one in self.streams if not one.whole]

    def __enter__(self) -> Load:
        for client in range(self.clients):
            thread = threading.Thread(target=self._client, args=(client,), daemon=True)
            thread.start()
            self._threads.append(thread)
        self.goes_on()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(120)

    def goes_on(self, within: float = 120) -> None:
        """Wait until as many answers as there are clients were asked for since now, and ended."""
        now, deadline = time.monotonic(), time.monotonic() + within
        while sum(one.at > now for one in list(self.streams)) < self.clients:
            assert time.monotonic() < deadline, "the load came to a halt"
            time.sleep(0.05)

    def _client(self, number: int) -> None:
        for turn in itertools.count(number):
            if self._over.is_set():
                return
            length = self.lengths[turn % len(self.lengths)]
            one = stream(self.url, self.model, length, self.headers)
            self.streams.append(one)
            time.sleep(self.pause or (0.1 if one.error else 0.0))


def stream(
    url: str,
    model: str,
    tokens: int,
    headers: Mapping[str, str],
) -> Stream:
    """Ask for one answer of so many tokens and read it to its end, whatever that is."""
    found = Stream(time.monotonic())
    body = {
        "model": model,
        "prompt": "Once upon a time",
        "max_tokens": tokens,
        "ignore_eos": True,
        "stream": True,
    }
    sent = {**headers, "Content-Type": "application/json"}
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=240)
    try:
        connection.request("POST", "/v1/completions", json.dumps(body), sent)
        answer = connection.getresponse()
        if answer.status != 200:
            found.error = f"HTTP {answer.status}"
            return found
        while line := answer.readline():
            _event(line.decode().strip().removeprefix("data: "), found)
    except (OSError, http.client.HTTPException) as error:
        found.error = type(error).__name__
    finally:
        connection.close()
    return found


def _event(text: str, into: Stream) -> None:
    if text == "[DONE]":
        into.done = True
    elif text.startswith("{"):
        chunk = json.loads(text)
        into.error = str(chunk.get("error") or into.error)
        for choice in chunk.get("choices", []):
            into.tokens += bool(choice.get("text"))
            into.finish = choice.get("finish_reason") or into.finish
