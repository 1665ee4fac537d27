"""What did the containers say? Every line that came in, and who waits for the next one.

Lines come by the thousand: those of one turn of the event loop are written together. What is kept
is bounded, in lines and in their length, and the oldest go first.
"""

import asyncio
import codecs
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator

from modal_proto import api_pb2

from modelctl.local.keeping.store import Store

KEEP = 200_000  # lines of all apps together
KEEP_LENGTH = 256 << 20  # characters of all lines together
LONGEST = 64 << 10  # characters of one entry; a longer line becomes several
PACE = 9_000  # entries a second of one stream: the SDK fetches 20,000 within two seconds at most
_BLOCK = 5000  # lines that go together
_BLOCK_LENGTH = 4 << 20
STDOUT = int(api_pb2.FILE_DESCRIPTOR_STDOUT)
STDERR = int(api_pb2.FILE_DESCRIPTOR_STDERR)
SYSTEM = int(api_pb2.FILE_DESCRIPTOR_INFO)

Row = tuple[int, str, str, str, int, int, str]


class Journal:
    """The lines of all apps in the order in which they came; `last` numbers the newest."""

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now
        row = store.execute("SELECT max(id), max(ns) FROM logs").fetchone()
        self.last = int(row[0] or 0)
        self.speakers: Counter[str] = Counter()
        """How many containers of an app there are: until they are gone, more may come."""
        self._last_ns = int(row[1] or 0)
        self._news: dict[str, asyncio.Event] = {}
        self._waiting: list[Row] = []
        self._flush_planned = False
        self._blocks: deque[tuple[int, int]] | None = None  # the last number, the length of all
        self._block_length = 0
        self._block_start = self.last

    def write(self, app_id: str, function_id: str, task_id: str, fd: int, data: str) -> None:
        self.write_all(app_id, function_id, task_id, fd, (data,))

    def write_all(
        self, app_id: str, function_id: str, task_id: str, fd: int, entries: Iterable[str]
    ) -> None:
        """Writes what came at once. No two entries have the same time."""
        ns = int(self._now() * 1e9)
        for data in entries:
            self.last += 1
            ns = self._last_ns = max(ns, self._last_ns + 1)
            self._waiting.append((self.last, app_id, function_id, task_id, fd, ns, data))
        self._plan_flush()

    def _plan_flush(self) -> None:
        if self._flush_planned or not self._waiting:
            return
        try:
            asyncio.get_running_loop().call_soon(self._planned_flush)
        except RuntimeError:
            self.flush()  # no loop yet
        else:
            self._flush_planned = True

    def _planned_flush(self) -> None:
        self._flush_planned = False
        self.flush()

    def flush(self) -> None:
        """Writes what waits. Whoever reads the lines does it first, or asks for news."""
        rows, self._waiting = self._waiting, []
        if not rows:
            return
        self._store.execute_many("INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        self._block_length += sum(len(row[-1]) for row in rows)
        if self.last - self._block_start >= _BLOCK or self._block_length >= _BLOCK_LENGTH:
            self._trim()
        for app_id in {row[1] for row in rows}:
            self.wake(app_id)

    def _trim(self) -> None:
        """Closes a block, and drops the oldest ones if there is too much."""
        if self._blocks is None:  # the first one since the start: what was there before?
            self._blocks = deque(
                self._store.execute(
                    "SELECT max(id), sum(length(data)) FROM logs WHERE id <= ? GROUP BY id / ? "
                    "ORDER BY 1",
                    (self._block_start, _BLOCK),
                )
            )
        self._blocks.append((self.last, self._block_length))
        self._block_start, self._block_length = self.last, 0
        length = sum(block for _, block in self._blocks)
        gone = 0
        while len(self._blocks) > 1 and (
            length > KEEP_LENGTH or self._blocks[0][0] <= self.last - KEEP
        ):
            gone, dropped = self._blocks.popleft()
            length -= dropped
        if gone:
            self._store.execute("DELETE FROM logs WHERE id <= ?", (gone,))

    def wake(self, app_id: str) -> None:
        """Lets the streams of this app look again: a line came, or its state changed."""
        if event := self._news.pop(app_id, None):
            event.set()

    def news(self, app_id: str) -> asyncio.Event:
        """Set once something about this app is new. All that came until now can be read."""
        self.flush()
        return self._news.setdefault(app_id, asyncio.Event())


class Lines:
    """Makes entries of a container's output: one a line, however it was cut on its way here."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""

    def feed(self, chunk: bytes) -> list[str]:
        """The entries that are complete; what is no UTF-8 shows as replacement characters."""
        *whole, self._held = (self._held + self._decoder.decode(chunk)).split("\n")
        entries = [piece for line in whole for piece in _pieces(line.rstrip("\r") + "\n")]
        if len(self._held) > LONGEST:
            *pieces, self._held = _pieces(self._held)
            entries += pieces
        return entries

    def rest(self) -> list[str]:
        """What came after the last line's end."""
        held, self._held = self._held + self._decoder.decode(b"", final=True), ""
        return list(_pieces(held + "\n")) if held else []


def _pieces(line: str) -> Iterator[str]:
    """Only the last one of a line ends it."""
    for start in range(0, len(line), LONGEST):
        yield line[start : start + LONGEST]
