"""What did the containers say? Every line that came in, and who waits for the next one."""

import asyncio
import time
from collections import Counter

from modal_proto import api_pb2

from modelctl.local.keeping.store import Store

KEEP = 200_000  # lines of all apps together; the oldest go first
STDOUT = int(api_pb2.FILE_DESCRIPTOR_STDOUT)
STDERR = int(api_pb2.FILE_DESCRIPTOR_STDERR)
SYSTEM = int(api_pb2.FILE_DESCRIPTOR_INFO)


class Journal:
    """The lines of all apps in the order in which they came; `last` numbers the newest."""

    def __init__(self, store: Store) -> None:
        self._store = store
        row = store.execute("SELECT max(id) FROM logs").fetchone()
        self.last = int(row[0] or 0)
        self.speakers: Counter[str] = Counter()
        """How many containers of an app there are: until they are gone, more may come."""
        self._news: dict[str, asyncio.Event] = {}

    def write(self, app_id: str, function_id: str, task_id: str, fd: int, data: str) -> None:
        self.last += 1
        self._store.execute(
            "INSERT INTO logs VALUES (?, ?, ?, ?, ?, ?, ?)",
            (self.last, app_id, function_id, task_id, fd, time.time_ns(), data),
        )
        if self.last % 5000 == 0:
            self._store.execute("DELETE FROM logs WHERE id <= ?", (self.last - KEEP,))
        self.wake(app_id)

    def wake(self, app_id: str) -> None:
        """Lets the streams of this app look again: a line came, or its state changed."""
        if event := self._news.pop(app_id, None):
            event.set()

    def news(self, app_id: str) -> asyncio.Event:
        """Set once something about this app is new."""
        return self._news.setdefault(app_id, asyncio.Event())
