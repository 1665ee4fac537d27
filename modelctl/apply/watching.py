"""Does a new version come to serve? Placed, booted, answered right inside, seen through its URL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from msgspec import Struct, field

from modelctl.apply.job import Job
from modelctl.apply.types import Failure, Step
from modelctl.health import UNAUTHORIZED, until_healthy
from modelctl.loglines import Said, read, telling
from modelctl.platform.types import LiveApp, PlatformError, Unreachable
from modelctl.rendered import ANSWERED_WRONG
from modelctl.resolved import Resolved


class Seeing(Struct, frozen=True):
    """How the gate ended. Without a failure and with a `note`: nobody could look, and why."""

    failure: Failure | None = None
    why: str = ""
    lines: tuple[str, ...] = ()
    note: str = ""


PASSED = Seeing()
NO_TOKEN = Seeing(
    note="health not checked: MODELCTL_PROXY_TOKEN_ID and MODELCTL_PROXY_TOKEN_SECRET are not set"
)


class Within(Struct, frozen=True):
    """How long is waited for a container, and then for its answer, in seconds. `gpus` are what it
    asks for."""

    place: float
    boot: float
    gpus: tuple[str, ...] = ()


async def gate(
    app: LiveApp, url: str | None, resolved: Resolved, before: frozenset[str], job: Job
) -> Seeing:
    """Wait until the version answers, or it is known that it does not."""
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
    return await serves(app, url, within, before, job, headers)


async def serves(
    app: LiveApp,
    url: str,
    within: Within,
    before: frozenset[str],
    job: Job,
    headers: Mapping[str, str],
) -> Seeing:
    """Wait until a container that is not one of `before` answers, or it is known that none does."""
    return await _Watch(app, url, within, before, job, headers).end()


class _Watch(Struct, eq=False):
    """One version that is waited for. `before` are the containers of the version before it."""

    app: LiveApp
    url: str
    within: Within
    before: frozenset[str]
    job: Job
    headers: Mapping[str, str]
    placed: asyncio.Event = field(default_factory=asyncio.Event)
    waits: str = ""
    said: list[Said] = field(default_factory=list)
    _booting_since: float | None = None

    async def end(self) -> Seeing:
        tasks = {asyncio.create_task(self._dies()), asyncio.create_task(self._answers())}
        try:
            while True:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                found = [task.result() for task in done if task.exception() is None]
                if found:  # a log that says no outweighs an answer that came at the same moment
                    return max(found, key=lambda one: one.failure is not None)
                if not tasks:  # both broke off: what the last one said is the reason
                    raise next(iter(done)).exception() or RuntimeError
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError, PlatformError):
                    await task

    async def _dies(self) -> Seeing:
        """Give up at once when the log says that the version does not come up."""
        tail = 0
        while True:
            with suppress(Unreachable):
                async for entry in self.job.platform.logs(self.app, tail=tail, follow=True):
                    for line in read(entry):
                        if (found := self._heard(line)) is not None:
                            return found
            # It broke off: what was said meanwhile is read, some of it twice.
            tail = 100
            await self.job.gate.sleep(1.0)

    def _heard(self, line: Said) -> Seeing | None:
        self.said.append(line)
        new = line.container not in self.before
        if line.who == "modal":
            self._waiting(line)
        elif new and line.container:
            self._placed()
        if not (line.condemns and new):
            return None
        self.said[:] = [one for one in self.said if one.container == line.container]
        kind = _kind(line)
        return self._failed(kind, line.text.removeprefix(f"{kind}: "))

    def _waiting(self, line: Said) -> None:
        if not self.placed.is_set() and " waits for " in line.text:
            self.waits = line.text.partition(" waits for ")[2].partition(": ")[0]
            self.job.tell(Step(self.app.name, "placing", f"waiting for {self.waits}"))

    def _placed(self) -> None:
        if not self.placed.is_set():
            self.placed.set()
            self.job.tell(Step(self.app.name, "booting", "waiting for the first answer"))

    async def _answers(self) -> Seeing:
        gate, within = self.job.gate, self.within
        began = gate.clock()
        self.job.tell(Step(self.app.name, "placing", "waiting for a container"))
        # While a version rolls, the one before answers: wait for a container that is new.
        # Where none of the old ones is left either, asking is what starts one.
        while self.before and gate.clock() < self._deadline(began):
            now = await self.job.platform.containers(self.app)
            if now - self.before:
                self._placed()
                break
            if not now & self.before:
                break
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
        if not self.placed.is_set():
            asked = self.waits or " or ".join(within.gpus)
            time = f"within {within.place:,.0f} s"
            why = f"no {asked} was free {time}" if asked else f"no container began {time}"
            return self._failed(Failure.PLACE, why)
        return self._failed(
            Failure.BOOT, f"not healthy within {within.boot:.0f} s ({answered.last})"
        )

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
