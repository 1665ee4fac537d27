"""What time is it, as the plane's windows see it? The machine's time, and what was added to it.

Idle windows last minutes and Dict entries live for days. Who wants to see them end does not have to
wait: moving the clock forward ends them at once. Processes are real, so what they need (a start, a
grace period) is measured in the machine's own time and not here.
"""

import asyncio
import time
from collections.abc import Callable

from modelctl.local.keeping.store import Store

FARTHEST = 10 * 365 * 86400.0  # seconds ahead in all: nanoseconds must fit into 64 bits
_KEY = "clock"


class Alarm:
    """A call that will be made at a time; `cancel` takes it back."""

    def __init__(self, at: float, call: Callable[[], None], alarms: set["Alarm"]) -> None:
        self._at = at
        self._call = call
        self._alarms = alarms
        self._handle: asyncio.TimerHandle | None = None
        alarms.add(self)

    def arm(self, now: float) -> None:
        """Sets it for what is left until its time."""
        if self._handle is not None:
            self._handle.cancel()
        # A little later, never earlier: who is called must find its time come.
        delay = max(0.0, self._at - now) + 0.001
        self._handle = asyncio.get_running_loop().call_later(delay, self._ring)

    def cancel(self) -> None:
        self._alarms.discard(self)
        if self._handle is not None:
            self._handle.cancel()

    def _ring(self) -> None:
        self._alarms.discard(self)
        self._call()


def moved(ahead: float, seconds: float) -> float:
    """How far ahead it then is; raises ValueError with a sentence if it cannot be moved so."""
    if not 0 <= seconds < float("inf"):
        raise ValueError(f"a clock moves forward, not by {seconds:g} s")
    if seconds > FARTHEST - ahead:
        raise ValueError(
            "the clock can be at most 3650d ahead of this machine's: there is room for "
            f"{FARTHEST - ahead:.0f}s more"
        )
    return ahead + seconds


class Clock:
    """The plane's clock. It can be moved forward, never back, and stays moved after a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ahead = min(float(store.get_meta(_KEY) or 0.0), FARTHEST)
        self._alarms: set[Alarm] = set()

    @property
    def ahead(self) -> float:
        """How many seconds it is ahead of the machine's clock."""
        return self._ahead

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time() + self._ahead

    def monotonic(self) -> float:
        """Seconds since some moment, for spans: no change of the machine's clock disturbs it."""
        return time.monotonic() + self._ahead

    def call_at(self, when: float, call: Callable[[], None]) -> Alarm:
        """Calls once `monotonic` has reached `when`."""
        alarm = Alarm(when, call, self._alarms)
        alarm.arm(self.monotonic())
        return alarm

    def advance(self, seconds: float) -> None:
        """Moves it forward; what is due by then happens now."""
        self._ahead = moved(self._ahead, seconds)
        self._store.set_meta(_KEY, repr(self._ahead))
        for alarm in list(self._alarms):
            alarm.arm(self.monotonic())
