"""What goes into an apply beside the plan, and what comes out of it?"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum

from msgspec import Struct, field

from modelctl.health import Ask, http_get
from modelctl.plan import Action

NEEDS_PRUNE = "needs --prune"
"""Why a deletion that nobody asked for is left; the plan said it."""


class Result(StrEnum):
    DONE = "done"
    FAILED = "failed"
    """Nothing runs that should, or the version that ran before does: see `needs_person`."""
    SKIPPED = "skipped"
    HELD = "held"
    UNCHANGED = "unchanged"


class Failure(StrEnum):
    """Why a version did not come to serve. The last two are its own fault: they condemn it."""

    PLACE = "could not place"
    FETCH = "could not fetch"
    UNSEEN = "could not be seen"
    BOOT = "could not boot"
    ANSWER = "answered wrong"

    @property
    def condemns(self) -> bool:
        return self in {Failure.BOOT, Failure.ANSWER}


class Outcome(Struct, frozen=True):
    """What became of one app. `lines` are the log lines that matter where it failed.

    `version` is the one that lives now, `tried` the one that failed where that is another.
    `needs_person`: nothing serves that should. `again`: nothing was changed, and trying again may
    help. `served`: a version that ran before runs on.
    """

    name: str
    action: Action
    result: Result
    version: int | None = None
    url: str | None = None
    detail: str = ""
    lines: tuple[str, ...] = ()
    seconds: float = 0.0
    needs_person: bool = False
    again: bool = False
    failure: Failure | None = None
    tried: int | None = None


class Step(Struct, frozen=True):
    """One thing that began (or ended, with an outcome) for one app; without a name, for all."""

    name: str
    phase: str
    detail: str = ""
    outcome: Outcome | None = None


Tell = Callable[[Step], None]
Check = Callable[[], Awaitable[None]]
"""Raises LeaseLost where this process may not change anything any more."""


class Gate(Struct, frozen=True):
    """What is needed to see an endpoint through its URL; no headers: skipped aloud."""

    headers: Mapping[str, str] | None
    ask: Ask = http_get
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class By(Struct, frozen=True):
    """Who applies, what (the commit of the specs, "" for none), and when: ISO 8601, UTC."""

    who: str
    commit: str
    now: Callable[[], str]


class Stop(Struct, eq=False):
    """What somebody asked for with Ctrl-C: to begin nothing more; to end at once."""

    soon: asyncio.Event = field(default_factory=asyncio.Event)
    now: asyncio.Event = field(default_factory=asyncio.Event)

    def asked(self) -> None:
        """The first time finishes what is under way, the second does not."""
        (self.now if self.soon.is_set() else self.soon).set()


async def always() -> None:
    """The Check of who is alone anyway."""
