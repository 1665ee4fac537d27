"""Who may change this project's apps in this environment now, and is it still so?

A Dict of the environment holds it. Every key is written once and never changed, so that a call
that comes late or comes twice changes nothing:

- `claim/N`: who wants to be the owner number N; a put that only the first one wins
- `beat/NONCE/K`: the holder of the claim with this nonce was alive
- `released/NONCE`: it is done

**When one is the owner.** Its claim is the highest, and every other claim was released or has not
beaten for its time to live while we watched. Both are read after the claim was put: a holder that
was slow, not dead, is seen then, and waited for.

**Until when.** Its time to live, less a margin, after the sending of the last beat (or claim) that
was known to be there before a reading began which showed no higher claim. Why there are never two:
let R be the beginning of a holder's last such reading, and P when somebody's higher claim was put.
The reading has not seen it, so P is later than R; the candidate reads after P, hence sees that beat
or a later one, and waits for the time to live from when it first saw it, which is later than when
it was sent. The margin is for clocks that run at different rates, and for the call that follows a
check.

**What may be removed.** The owner removes what belongs to claims below its own, never a highest
claim: a candidate that slept since it read an older one must find its number taken, or lower than
another. Modal ends entries that nobody used for seven days, and numbers start again at 1. Who slept
that long finds another nonce at the top, or its own high number beside a living claim, for which it
waits like anybody.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import platform
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Protocol

from msgspec import Struct

from modelctl.platform.types import PlatformError, Unreachable

SECONDS = 15.0
"""A lease's time to live: so long after its holder died somebody else may begin."""
VARIABLE = "MODELCTL_LEASE_SECONDS"
_LEAST, _MOST = 0.5, 3600.0
_MARGIN = 1 / 4  # of the time to live: a holder stops so much earlier than others may begin
_BEAT = 1 / 5  # of the time to live
_LOOK = 1 / 10
_DOING = {"apply": "applying to", "destroy": "destroying apps of"}


class LeaseHeld(PlatformError):
    """Somebody else has the lease: nothing was changed, and trying again may help."""


class LeaseLost(PlatformError):
    """Somebody else took the lease over: nothing may be changed any more."""


class Dicts(Protocol):
    """Where the lease is kept: the part of the platform that reads and writes Dicts."""

    async def dict_items(self, name: str) -> Mapping[str, str]: ...

    async def dict_put(
        self, name: str, key: str, value: str, *, if_absent: bool = False
    ) -> bool: ...

    async def dict_pop(self, name: str, key: str) -> None: ...


def dict_of(project: str | None) -> str:
    """One Dict a project; without a name, one that no project's name can make."""
    return f"modelctl-{project}-lease" if project else "modelctl.default.lease"


def boot_clock() -> float:
    """Seconds on a clock that goes on while this process is stopped or the machine sleeps."""
    # macOS has no CLOCK_BOOTTIME; there CLOCK_MONOTONIC counts sleep, time.monotonic() does not.
    best = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return time.monotonic() if best is None else time.clock_gettime(best)


class Claim(Struct, frozen=True):
    number: int
    nonce: str
    owner: str
    what: str
    since: str
    ttl: float

    @property
    def at(self) -> str:
        """`14:02`, with the day where it is not today's."""
        try:
            since = datetime.fromisoformat(self.since).astimezone()
        except ValueError:
            return "an unknown time"
        today = since.date() == datetime.now().astimezone().date()
        return f"{since:%H:%M}" if today else f"{since:%Y-%m-%d %H:%M}"


class _Board(Struct, frozen=True):
    """What the Dict says, by nonce."""

    claims: tuple[Claim, ...]
    beats: Mapping[str, int]
    released: frozenset[str]
    keys: Mapping[str, str]
    """Which nonce a key belongs to."""

    @property
    def top(self) -> Claim | None:
        return self.claims[-1] if self.claims else None

    def unreleased(self) -> list[Claim]:
        return [claim for claim in self.claims if claim.nonce not in self.released]


def _board(items: Mapping[str, str]) -> _Board:
    claims, beats, released, keys = [], dict[str, int](), set(), {}
    for key, value in items.items():
        match key.split("/"):
            case ["claim", number] if number.isdecimal():
                claims.append(claim := _claim(int(number), value))
                keys[key] = claim.nonce
            case ["beat", nonce, count] if count.isdecimal():
                beats[nonce] = max(int(count), beats.get(nonce, 0))
                keys[key] = nonce
            case ["released", nonce]:
                released.add(nonce)
                keys[key] = nonce
    claims.sort(key=lambda claim: claim.number)
    return _Board(tuple(claims), beats, frozenset(released), keys)


async def holder(dicts: Dicts, project: str | None) -> Claim | None:
    """Whose lease was not given back: its holder is at work, or was killed. Only reads."""
    held = _board(await dicts.dict_items(dict_of(project))).unreleased()
    return held[-1] if held else None


def _claim(number: int, value: str) -> Claim:
    try:
        data: Any = json.loads(value)
        said = {name: str(data[name]) for name in ("nonce", "owner", "what", "since")}
        ttl = float(data["ttl"])
        if not 0 < ttl <= _MOST:
            raise ValueError(ttl)
        return Claim(number, ttl=ttl, **said)
    except (ValueError, KeyError, TypeError):
        # Of another version: nobody knows whether its holder lives, so it is watched like any.
        return Claim(number, f"?{number}", "somebody", "", "", SECONDS)


class _Watched(Struct):
    """What was last seen of a claim, since when, and whether it ever moved."""

    beat: int
    since: float
    alive: bool


class Lease:
    """One try to be the owner, and the ownership while it lasts. Not to be used twice."""

    def __init__(
        self,
        dicts: Dicts,
        project: str | None,
        *,
        where: str,
        owner: str,
        what: str = "apply",
        ttl: float = SECONDS,
        clock: Callable[[], float] = boot_clock,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._dicts = dicts
        self._name = dict_of(project)
        self._where = where
        self._owner = owner
        self._what = what
        self._ttl = ttl
        self._clock = clock
        self._sleep = sleep
        self._watched: dict[str, _Watched] = {}
        self._looked = False
        self._renewing = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._lost: LeaseLost | None = None
        self._over = False
        self.valid_until = float("-inf")
        """Until then, on the lease's clock, nobody else can be the owner."""
        self._claim_anew()

    def _claim_anew(self) -> None:
        self._nonce = secrets.token_hex(8)
        self._since = datetime.now(UTC).isoformat(timespec="seconds")
        self._sent: dict[int, float] = {}  # when the claim (0) and each beat was first sent
        self._count = 0
        self._there = -1  # the claim (0) or beat that is known to be in the Dict

    # -- becoming the owner

    @asynccontextmanager
    async def held(self, wait: float = 0.0) -> AsyncIterator[Lease]:
        await self.acquire(wait)
        try:
            yield self
        finally:
            await self.release()

    async def acquire(self, wait: float = 0.0) -> None:
        """Become the owner; raises LeaseHeld if after `wait` seconds somebody else is, and lives.

        Whether a holder lives is known when it renews its lease, or does not: that takes a moment
        even without waiting.
        """
        try:
            board = await self._acquire(wait)
        except BaseException:
            if self._sent:
                with suppress(PlatformError):
                    await self._put(f"released/{self._nonce}")
            raise
        self._tasks = [asyncio.create_task(work) for work in (self._keep(), self._clean(board))]

    async def _acquire(self, wait: float) -> _Board:
        began = answered = self._clock()
        while True:
            try:
                known = self._there
                board = await self._read()
                answered = self._clock()
                self._watch(board, answered)
                others = [claim for claim in board.unreleased() if claim.nonce != self._nonce]
                living = [claim for claim in others if not self._dead(claim)]
                if self._on_top(board):
                    if not living and known >= 0:
                        self._confirm(board, known)
                        return board
                    if self._clock() - max(self._sent.values()) >= _BEAT * self._ttl:
                        await self._beat()
                else:
                    if any(claim.nonce == self._nonce for claim in board.claims):
                        await self._put(f"released/{self._nonce}")
                        self._claim_anew()
                    if not living:
                        await self._claim(board)
                        continue
                    renewed = [c for c in living if self._watched[c.nonce].alive]
                    if renewed and answered >= began + wait:
                        raise self._held_by(renewed[-1])
            except Unreachable:
                if self._clock() - answered >= self._ttl:
                    raise
            await self._sleep(_LOOK * self._ttl)

    def _watch(self, board: _Board, now: float) -> None:
        for claim in board.claims:
            beat = board.beats.get(claim.nonce, 0)
            seen = self._watched.get(claim.nonce)
            if seen is None:
                # What was not there at our first look was made by somebody who lives.
                self._watched[claim.nonce] = _Watched(beat, now, alive=self._looked)
            elif seen.beat != beat:
                self._watched[claim.nonce] = _Watched(beat, now, alive=True)
        self._looked = True

    def _dead(self, claim: Claim) -> bool:
        return self._clock() - self._watched[claim.nonce].since >= claim.ttl

    def _held_by(self, claim: Claim) -> LeaseHeld:
        doing = _DOING.get(claim.what, "changing")
        ago = max(1, round(self._clock() - self._watched[claim.nonce].since))
        return LeaseHeld(
            f"{claim.owner} is {doing} {self._where} since {claim.at}; "
            f"its lease was renewed {ago} s ago",
            "try again when it is done, or let --wait do that",
        )

    async def _claim(self, board: _Board) -> None:
        claim = {
            "nonce": self._nonce,
            "owner": self._owner,
            "what": self._what,
            "since": self._since,
            "ttl": self._ttl,
        }
        number = board.top.number + 1 if board.top else 1
        # Of several tries under this nonce any may take effect, so the first one's time counts.
        self._sent.setdefault(0, self._clock())
        # Where the answer was lost, the next reading tells.
        if await self._put(f"claim/{number}", json.dumps(claim)):
            self._there = max(self._there, 0)

    # -- being the owner

    async def check(self) -> None:
        """Return if this is still the owner; to be awaited right before each change.

        Asks Modal only where the lease could not be renewed in time. Raises LeaseLost where
        somebody else took over, and Unreachable where that could not be found out.
        """
        began = self._clock()
        while True:
            if self._lost is not None:
                raise self._lost
            if self.holds():
                return
            try:
                await self._renew()
            except Unreachable:
                if self._clock() - began >= self._ttl:
                    raise
                await self._sleep(_LOOK * self._ttl)

    def holds(self) -> bool:
        """Whether nobody else can be the owner at this moment; asks nobody, from any thread."""
        return self._lost is None and self._clock() < self.valid_until

    async def release(self) -> None:
        """Let others begin at once. Harmless where the lease was lost, or never held."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        owned, self.valid_until = self.valid_until > float("-inf"), float("-inf")
        if owned and self._lost is None:
            with suppress(PlatformError):  # it expires by itself
                await self._put(f"released/{self._nonce}")

    async def _keep(self) -> None:
        while self._lost is None and not self._over:
            await self._sleep(_BEAT * self._ttl)
            with suppress(PlatformError):  # check() decides what it means
                await self._renew()

    async def _renew(self) -> None:
        async with self._renewing:
            unreachable: Unreachable | None = None
            try:
                await self._beat()
            except Unreachable as problem:
                unreachable = problem  # it may have arrived all the same
            known = self._there
            board = await self._read()
            if not self._on_top(board):
                self._lost = _lost_to(board.top, self._name)
                raise self._lost
            self._confirm(board, known)
            if unreachable is not None and self._clock() >= self.valid_until:
                raise unreachable
            newest = f"beat/{self._nonce}/{board.beats.get(self._nonce, 0)}"
            for key, nonce in board.keys.items():
                if nonce == self._nonce and key.startswith("beat/") and key != newest:
                    await self._dicts.dict_pop(self._name, key)

    async def _clean(self, board: _Board) -> None:
        """Remove what was left by those who had the lease before.

        Not where the lease may be somebody else's: numbers may have started again.
        """
        for key, nonce in board.keys.items():
            if nonce != self._nonce and self._clock() < self.valid_until:
                with suppress(PlatformError):
                    await self._dicts.dict_pop(self._name, key)

    # -- the Dict

    async def _read(self) -> _Board:
        board = _board(await self._dicts.dict_items(self._name))
        if any(claim.nonce == self._nonce for claim in board.claims):
            self._there = max(self._there, board.beats.get(self._nonce, 0))
        return board

    async def _put(self, key: str, value: str = "") -> bool:
        return await self._dicts.dict_put(self._name, key, value, if_absent=True)

    async def _beat(self) -> None:
        self._count += 1
        beat = self._count
        self._sent[beat] = self._clock()
        await self._put(f"beat/{self._nonce}/{beat}")
        self._there = max(self._there, beat)

    def _on_top(self, board: _Board) -> bool:
        return board.top is not None and board.top.nonce == self._nonce

    def _confirm(self, board: _Board, known: int) -> None:
        """What was `known` to be there before this reading began counts; it shows no higher claim.

        What came late, in the middle of the reading, may not have been there for whoever put a
        higher claim after this reading had passed that place.
        """
        sent = self._sent[min(board.beats.get(self._nonce, 0), known)]
        self.valid_until = max(self.valid_until, sent + (1 - _MARGIN) * self._ttl)


def _lost_to(claim: Claim | None, name: str) -> LeaseLost:
    hint = "modelctl plan shows what is left to do"
    if claim is None:
        return LeaseLost(f"the lease in the Dict {name} is gone: somebody removed it", hint)
    return LeaseLost(
        f"another {claim.what or 'command'} ({claim.owner}, since {claim.at}) took over while this "
        "one was stopped; this one changes nothing more",
        hint,
    )


_RUNS = {
    "GITHUB_RUN_ID": "GitHub run",
    "CI_JOB_ID": "GitLab job",
    "BUILDKITE_BUILD_NUMBER": "Buildkite build",
    "CIRCLE_BUILD_NUM": "CircleCI build",
    "BUILD_BUILDID": "Azure build",
    "BUILD_NUMBER": "Jenkins build",
}
"""The variables by which CI systems name a run."""


def owner_of(variables: Mapping[str, str]) -> str:
    """Who this is, for people: the run in CI, else user and machine."""
    for variable, run in _RUNS.items():
        if number := variables.get(variable):
            return f"{run} {number}"
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = "somebody"
    return f"{user}@{platform.node() or 'this machine'}"


def seconds_of(variables: Mapping[str, str]) -> float:
    """The time to live that MODELCTL_LEASE_SECONDS says, or the usual one."""
    try:
        seconds = float(variables.get(VARIABLE) or SECONDS)
    except ValueError:
        seconds = 0.0
    if not _LEAST <= seconds <= _MOST:
        raise PlatformError(
            f"{VARIABLE} must be a number of seconds from {_LEAST:g} to {_MOST:g}",
            "without it a lease lasts 15 s after its holder died",
        )
    return seconds
