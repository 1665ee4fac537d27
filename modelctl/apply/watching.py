"""Does a new version come to serve? Placed, booted, answered right inside, seen through its URL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from msgspec import Struct, field

from modelctl.apply.job import Job
from modelctl.apply.types import Failure, Step
from modelctl.health import UNAUTHORIZED, until_healthy
from modelctl.loglines import Said, read, telling
from modelctl.platform.types import LiveApp, LogLine, PlatformError, Unreachable
from modelctl.rendered import ANSWERED_WRONG
from modelctl.resolved import Resolved


class Seeing(Struct, frozen=True):
    """How the gate ended. Without a failure and with a `note`: nobody could look, and why.

    `moved`: somebody else changed the app meanwhile, so that it is not this version's any more.
    """

    failure: Failure | None = None
    why: str = ""
    lines: tuple[str, ...] = ()
    note: str = ""
    moved: bool = False


PASSED = Seeing()
NO_TOKEN = Seeing(
    note="health not checked: MODELCTL_PROXY_TOKEN_ID and MODELCTL_PROXY_TOKEN_SECRET are not set"
)


_PATIENCE = 5.0
"""Seconds after which a container that is not there is waiting for its GPU."""
_LOOK = 3.0
"""Seconds between the looks at whether the version is still the one that lives."""
_TAIL = 200
"""Lines of the log that are read of what was said before somebody listened."""


class Within(Struct, frozen=True):
    """How long is waited for a container, and then for its answer, in seconds. `gpus` are what it
    asks for."""

    place: float
    boot: float
    gpus: tuple[str, ...] = ()


async def gate(
    app: LiveApp, url: str | None, resolved: Resolved, before: frozenset[str] | None, job: Job
) -> Seeing:
    """Wait until the version answers, or it is known that it does not.

    `before` are the containers of the version before it; None where this version is not new, so
    that what it said once is no news.
    """
    if resolved.rollout.gate == "none" or url is None:
        return PASSED
    command = resolved.command[0]
    if job.platform.capabilities().lacks(command):
        return Seeing(note=f"not seen running: this machine has no {command}")
    headers = job.gate.headers if resolved.endpoint.auth == "proxy" else {}
    if headers is None:
        return NO_TOKEN
    rollout = resolved.rollout
    boot = rollout.boot_timeout + (rollout.checks_timeout if rollout.gate == "checks" else 0)
    within = Within(rollout.place_timeout, boot, resolved.placement.gpus)
    since = app.deployed_at if before is not None else None
    return await serves(app, url, within, before or frozenset(), job, headers, since)


async def serves(
    app: LiveApp,
    url: str,
    within: Within,
    before: frozenset[str],
    job: Job,
    headers: Mapping[str, str],
    since: datetime | None = None,
) -> Seeing:
    """Wait until a container that is not one of `before` answers, or it is known that none does.

    What was said after `since` is heard too; what was said earlier is of another version.
    """
    return await _Watch(app, url, within, before, job, headers, since).end()


class _Watch(Struct, eq=False):
    """One version that is waited for. `before` are the containers of the version before it."""

    app: LiveApp
    url: str
    within: Within
    before: frozenset[str]
    job: Job
    headers: Mapping[str, str]
    since: datetime | None
    placed: asyncio.Event = field(default_factory=asyncio.Event)
    said: list[Said] = field(default_factory=list)
    _booting_since: float | None = None

    async def end(self) -> Seeing:
        tasks = {
            asyncio.create_task(one)
            for one in (self._dies(), self._answers(), self._is_another_s())
        }
        waits = asyncio.create_task(self._waits())
        try:
            while True:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                found = [task.result() for task in done if task.exception() is None]
                if found:  # a log that says no outweighs an answer that came at the same moment
                    return max(found, key=lambda one: one.failure is not None or one.moved)
                if not tasks:  # both broke off: what the last one said is the reason
                    raise next(iter(done)).exception() or RuntimeError
        finally:
            for task in (*tasks, waits):
                task.cancel()
                with suppress(asyncio.CancelledError, PlatformError):
                    await task

    async def _dies(self) -> Seeing:
        """Give up at once when the log says that the version does not come up."""
        since, heard = self.since, set[LogLine]()
        tail = _TAIL if since else 0
        while True:
            with suppress(Unreachable):
                async for entry in self.job.platform.logs(self.app, tail=tail, follow=True):
                    if entry.container in self.before:
                        continue  # it serves its clients: what it says explains nothing
                    if entry in heard or (since and entry.at < since):
                        continue
                    heard.add(entry)
                    for line in read(entry):
                        if (found := self._heard(line)) is not None:
                            return found
            await self.job.gate.sleep(1.0)  # it broke off: what was said meanwhile is read

    def _heard(self, line: Said) -> Seeing | None:
        self.said.append(line)
        # What ended had begun: a container that dies at once was placed all the same.
        if line.container and (line.who != "modal" or " exited with " in line.text):
            self._placed()
        if not line.condemns:
            return None
        self.said[:] = [one for one in self.said if one.container == line.container]
        kind = _kind(line)
        return self._failed(kind, line.text.removeprefix(f"{kind}: "))

    @property
    def gpus(self) -> str:
        """`2 × H100 or A100-80GB`; "" where it asks for none."""
        named = (gpu.partition(":") for gpu in self.within.gpus)
        return " or ".join(f"{count} × {kind}" if count else kind for kind, _, count in named)

    async def _is_another_s(self) -> Seeing:
        """Somebody rolled it back, deployed past modelctl or stopped it: it is theirs now."""
        while True:
            await asyncio.sleep(_LOOK)
            with suppress(Unreachable):
                now = await self.job.platform.look(self.app)
                if now.state == "stopped":
                    return Seeing(why=f"v{self.app.version} was stopped past modelctl", moved=True)
                if now.version != self.app.version:
                    why = f"v{now.version} lives: somebody else changed it meanwhile"
                    return Seeing(why=why, moved=True)

    async def _waits(self) -> None:
        await asyncio.sleep(_PATIENCE)
        if self.gpus and not self.placed.is_set():
            self.job.tell(Step(self.app.name, "placing", f"waiting for {self.gpus}"))

    def _placed(self) -> None:
        if not self.placed.is_set():
            self.placed.set()
            self.job.tell(Step(self.app.name, "booting", "waiting for the first answer"))

    async def _answers(self) -> Seeing:
        gate = self.job.gate
        began = gate.clock()
        self.job.tell(Step(self.app.name, "starting", "waiting for a container"))
        while self.before and not await self._on_its_own():
            if gate.clock() >= self._deadline(began):
                return self._late("none of its containers takes requests")
            await gate.sleep(0.25)
        answered = await until_healthy(
            self.url,
            self.headers,
            ask=gate.ask,
            until=lambda: self._deadline(began),
            clock=gate.clock,
            sleep=gate.sleep,
        )
        if answered.healthy:
            return PASSED
        if answered.status == UNAUTHORIZED:
            return self._failed(Failure.UNSEEN, answered.why)
        return self._late(answered.last)

    async def _on_its_own(self) -> bool:
        """Whether its answers are those of the new version. While it rolls, the one before answers
        until a new container takes requests. Where none of the old ones is left either, asking is
        what starts one."""
        now = await self.job.platform.containers(self.app)
        if now - self.before:
            self._placed()
            return True
        return not now & self.before

    def _late(self, last: str) -> Seeing:
        if self.placed.is_set():
            why = f"not healthy within {self.within.boot:.0f} s ({last})"
            return self._failed(Failure.BOOT, why)
        time = f"within {self.within.place:,.0f} s"
        why = f"no {self.gpus} was free {time}" if self.gpus else f"no container began {time}"
        return self._failed(Failure.PLACE, why)

    def _deadline(self, began: float) -> float:
        """Booting is given its own time from when a container was there."""
        if not self.placed.is_set():
            return began + self.within.place
        if self._booting_since is None:
            self._booting_since = self.job.gate.clock()
        return self._booting_since + self.within.boot

    def _failed(self, failure: Failure, why: str) -> Seeing:
        return Seeing(failure, why, tuple(map(str, telling(self.said))))


def _kind(line: Said) -> Failure:
    wrong = f"modelctl: {line.text}".startswith(ANSWERED_WRONG)
    return Failure.ANSWER if wrong else Failure.BOOT
