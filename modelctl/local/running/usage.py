"""How much processor and memory do the containers use? Read from /proc, where there is one."""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from modelctl.local.clock import Clock
from modelctl.local.keeping.ledger import Ledger, Sample
from modelctl.local.running.containers import Container
from modelctl.local.running.fleet import Fleet

_PROC = Path("/proc")
_EVERY = 15.0  # seconds between two samples
_FRESH = 1.0  # seconds for which a sample is as good as a new one


@dataclass(frozen=True)
class Usage:
    """What a tree of processes has used: seconds of processor time, bytes of memory."""

    processor: float
    memory: int
    age: float  # seconds since its first process started


def usage(roots: Iterable[int], proc: Path = _PROC) -> dict[int, Usage]:
    """The use of each of these processes with all that descend from it; who is gone is left out."""
    try:
        ticks, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        uptime = float((proc / "uptime").read_text().split()[0])
        numbers = [int(entry.name) for entry in proc.iterdir() if entry.name.isdecimal()]
    except (OSError, ValueError):
        return {}  # no Linux
    children: dict[int, list[int]] = defaultdict(list)
    known: dict[int, tuple[float, int, float]] = {}
    for number in numbers:
        try:
            stat = (proc / str(number) / "stat").read_text("utf-8", "replace")
        except OSError:
            continue  # it has just ended
        # The name, in parentheses, may hold anything.
        values = stat.rpartition(")")[2].split()
        children[int(values[1])].append(number)
        # utime, stime and those of children that were waited for; starttime; rss
        busy = sum(int(value) for value in values[11:15]) / ticks
        known[number] = (busy, int(values[21]) * page, uptime - int(values[19]) / ticks)
    found = {}
    for root in roots:
        if root not in known:
            continue
        tree = [root]
        for number in tree:
            tree.extend(children[number])
        found[root] = Usage(
            sum(known[number][0] for number in tree),
            sum(known[number][1] for number in tree),
            known[root][2],
        )
    return found


class Sampler:
    """Writes what every running container uses into the ledger, every few seconds."""

    def __init__(self, fleet: Fleet, ledger: Ledger, clock: Clock) -> None:
        self._fleet = fleet
        self._ledger = ledger
        self._clock = clock
        self._before: dict[str, tuple[float, float]] = {}  # seconds of processor time, and when
        self._taken = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    def end(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            await self.take()

    async def take(self) -> None:
        """Samples now, unless that was done a moment ago."""
        now = time.monotonic()
        containers = [c for c in self._fleet.containers() if c.pid]
        if now - self._taken < _FRESH or not containers:
            return
        self._taken = now
        used = await asyncio.to_thread(usage, [c.pid for c in containers])
        before, self._before = self._before, {}
        for container in containers:
            if found := used.get(container.pid):
                last, at = before.get(container.id, (0.0, now - found.age))
                cores = max(0.0, found.processor - last) / max(now - at, 0.01)
                self._before[container.id] = (found.processor, now)
                self._write(container, cores, found.memory)

    def _write(self, container: Container, cores: float, memory: int) -> None:
        function_id, at = container.function.id, self._clock.time()
        self._ledger.add(Sample(function_id, container.id, at, cores, memory))
