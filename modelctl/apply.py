"""How is a plan carried out safely? Fetch, deploy, remember, wait, then prune."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum

from msgspec import Struct, field
from msgspec.structs import replace

from modelctl.health import Ask, Verdict, http_get, until_healthy
from modelctl.loglines import Said, read, telling
from modelctl.plan import DEPLOYS, Action, Change, Desired, Plan
from modelctl.platform.types import Deployed, LiveApp, Platform, PlatformError
from modelctl.record import AppRecord, Entry, Index, remember
from modelctl.resolved import Scaling
from modelctl.stock import ListFiles, Stock, begin


class Result(StrEnum):
    DONE = "done"
    FAILED = "failed"
    """Nothing runs that should, or the version that ran before does: see `needs_person`."""
    SKIPPED = "skipped"
    UNCHANGED = "unchanged"


class Outcome(Struct, frozen=True):
    """What became of one app. `lines` are the log lines that matter where it failed.

    `scaling` is what it was left at where that is not what its spec says.
    """

    name: str
    action: Action
    result: Result
    version: int | None = None
    url: str | None = None
    app_id: str = ""
    detail: str = ""
    lines: tuple[str, ...] = ()
    seconds: float = 0.0
    needs_person: bool = False
    scaling: Scaling | None = None


class Step(Struct, frozen=True):
    """One thing that began (or ended, with an outcome) for one app."""

    name: str
    phase: str
    detail: str = ""
    outcome: Outcome | None = None


Tell = Callable[[Step], None]


class Gate(Struct, frozen=True):
    """What is needed to see an endpoint through its URL; no headers: skipped aloud."""

    headers: Mapping[str, str] | None
    ask: Ask = http_get
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class _Memory(Struct):
    """What is written down of the apps; one write at a time, so that none undoes another."""

    platform: Platform
    project: str | None
    index: Index | None
    written: dict[str, AppRecord] = field(default_factory=dict)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def keep(self, records: Callable[[], Mapping[str, AppRecord]]) -> None:
        """Write what is not written yet, if anything. Who waited may find its own done."""
        async with self.turn:
            new = {n: r for n, r in records().items() if self.written.get(n) != r}
            if new:
                await self.write(new, frozenset())

    async def write(self, records: Mapping[str, AppRecord], gone: frozenset[str]) -> None:
        self.index = await remember(self.platform, self.project, self.index, records, gone)
        self.written.update(records)


class _Job(Struct, frozen=True):
    """What every app of one apply is done with."""

    platform: Platform
    live: Mapping[str, LiveApp]
    gate: Gate
    tell: Tell
    stock: Stock
    memory: _Memory
    wanted: Mapping[str, Desired]
    deployed: dict[str, Outcome] = field(default_factory=dict)
    """Every version that came to be, also where its gate did not get to an end."""
    outcomes: list[Outcome] = field(default_factory=list)

    def records(self) -> dict[str, AppRecord]:
        return _records(self.deployed, self.outcomes, self.wanted, self.live)


async def apply(
    plan: Plan,
    desired: Sequence[Desired],
    *,
    platform: Platform,
    live: Mapping[str, LiveApp],
    index: Index | None,
    project: str | None,
    gate: Gate,
    list_files: ListFiles,
    prune: bool,
    width: int,
    tell: Tell,
) -> tuple[Outcome, ...]:
    """Carry out a plan, several apps at once, and give an outcome for every one of them.

    An app that fails does not stop the others. Deletions come last, and only if all passed.
    """
    wanted = {d.name: d for d in desired}
    turns = asyncio.Semaphore(width)
    deployed = {
        c.name: resolved
        for c in plan.changes
        if c.action in DEPLOYS
        and not platform.capabilities().lacks(
            (resolved := wanted[c.name].rendered.resolved).command[0]
        )
    }
    stock = begin(
        deployed, platform, list_files, lambda name, words: tell(Step(name, "weights", words))
    )
    job = _Job(platform, live, gate, tell, stock, _Memory(platform, project, index), wanted)

    async def one(change: Change) -> Outcome:
        # A long download takes nobody's turn.
        began = time.monotonic()
        if change.action in DEPLOYS:
            await stock.settled(wanted[change.name].rendered.resolved)
        waited = time.monotonic() - began
        async with turns:
            return await _carry_out(change, wanted[change.name], job, waited)

    running = [asyncio.create_task(one(c)) for c in plan.changes if c.action is not Action.DELETE]
    outcomes = job.outcomes
    gone: set[str] = set()
    try:
        for done in asyncio.as_completed(running):
            outcomes.append(await done)
        clean = not any(o.result is Result.FAILED for o in outcomes)
        for change in plan.changes:
            if change.action is not Action.DELETE:
                continue
            outcome = await _delete(change, job, asked=prune, clean=clean)
            outcomes.append(outcome)
            if outcome.result is Result.DONE:
                gone.add(change.name)
    finally:
        # Interrupted or not: nothing goes on behind our back, and what was done is remembered.
        left = [*running, *stock.tasks.values()]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        changed = {**forgotten(plan, desired, live, index), **job.records()}
        if changed or gone:
            await job.memory.write(changed, frozenset(gone))
    return tuple(sorted(outcomes, key=lambda o: o.name))


def forgotten(
    plan: Plan, desired: Sequence[Desired], live: Mapping[str, LiveApp], index: Index | None
) -> dict[str, AppRecord]:
    """The apps that are as they should be, and of which that is not written down: an index that
    was lost, or of a modelctl that did not write down what they read."""
    wanted = {d.name: d for d in desired}
    records = {}
    for change in plan.changes:
        app = live.get(change.name)
        if change.action is not Action.UNCHANGED or app is None:
            continue
        entry = index.apps.get(app.name) if index else None
        known = entry is not None and entry.app_id == app.app_id
        if not known or entry is None or app.version not in dict(entry.weights or ()):
            records[app.name] = _record(wanted[app.name], app.app_id, app.version, change.url)
    return records


async def _carry_out(change: Change, desired: Desired, job: _Job, waited: float) -> Outcome:
    """`waited` are the seconds that its weights took."""
    began = time.monotonic() - waited
    outcome = Outcome(change.name, change.action, Result.UNCHANGED, change.version, change.url)
    try:
        match change.action:
            case Action.UNCHANGED:
                return outcome
            case Action.BLOCKED | Action.FOREIGN:
                outcome = replace(outcome, result=Result.FAILED, detail="; ".join(change.reasons))
            case Action.IN_PLACE:
                job.tell(Step(change.name, "scaling"))
                await job.platform.scale(job.live[change.name], desired.rendered.resolved.scaling)
                outcome = replace(outcome, result=Result.DONE, detail="no new version")
            case _:
                outcome = await _deploy(change, desired, job)
    except PlatformError as error:
        detail = f"{error.message}; {error.hint}" if error.hint else error.message
        outcome = replace(outcome, result=Result.FAILED, detail=detail)
    except Exception as error:  # noqa: BLE001 - one app's surprise must not lose the others
        detail = f"modelctl itself failed ({type(error).__name__}: {error})"
        outcome = replace(outcome, result=Result.FAILED, detail=detail, needs_person=True)
    outcome = replace(outcome, seconds=time.monotonic() - began)
    job.tell(Step(change.name, "ended", outcome=outcome))
    return outcome


async def _deploy(change: Change, desired: Desired, job: _Job) -> Outcome:
    resolved = desired.rendered.resolved
    await job.stock.ready(resolved)
    before = await _containers(change, job)
    job.tell(Step(change.name, "deploying"))
    deployed = await job.platform.deploy(
        desired.rendered, tag=desired.rendered.digest, strategy=resolved.rollout.strategy
    )
    outcome = Outcome(
        change.name, change.action, Result.DONE, deployed.version, deployed.url, deployed.app_id
    )
    job.deployed[change.name] = outcome
    # A long gate, or an end without a warning: what lives is known by then. A failure to write is
    # told by the write at the end.
    with suppress(PlatformError):
        await job.memory.keep(job.records)
    if resolved.rollout.gate == "none" or deployed.url is None:
        return outcome
    command = resolved.command[0]
    if job.platform.capabilities().lacks(command):
        return replace(outcome, detail=f"not seen running: this machine has no {command}")
    auth = resolved.endpoint.auth
    headers = job.gate.headers if auth == "proxy" else {}
    if headers is None:
        return replace(
            outcome,
            detail="health not checked: MODELCTL_PROXY_TOKEN_ID and "
            "MODELCTL_PROXY_TOKEN_SECRET are not set",
        )
    job.tell(Step(change.name, "booting", "waiting for the first answer"))
    verdict, lines = await _see(change, desired, deployed, headers, before, job)
    if verdict.healthy:
        return outcome
    return await _failed(outcome, change, desired, deployed, verdict, lines, job)


async def _see(
    change: Change,
    desired: Desired,
    deployed: Deployed,
    headers: Mapping[str, str],
    before: frozenset[str],
    job: _Job,
) -> tuple[Verdict, tuple[str, ...]]:
    """Wait for the new version's answer; give up at once when its log says that there is none.

    Its containers ask the checks inside, before they take requests.
    """
    assert deployed.url is not None
    app = _live(change.name, deployed)
    seen: list[Said] = []

    async def dies() -> Verdict:
        async for entry in job.platform.logs(app, tail=0, follow=True):
            for line in read(entry):
                seen.append(line)
                if line.condemns and line.container not in before:
                    seen[:] = [one for one in seen if one.container == line.container]
                    return Verdict(False, line.text)
        return await asyncio.Future()

    async def answers() -> Verdict:
        rollout = desired.rendered.resolved.rollout
        within = rollout.boot_timeout
        within += rollout.checks_timeout if rollout.gate == "checks" else 0
        deadline = job.gate.clock() + within
        # While a version rolls, the one before answers: wait for a container that is new.
        # Where none of the old ones is left either, asking is what starts one.
        while before and job.gate.clock() < deadline:
            now = await job.platform.containers(app)
            if now - before or not now & before:
                break
            await job.gate.sleep(0.25)
        return await until_healthy(
            deployed.url or "",
            headers,
            ask=job.gate.ask,
            within=max(deadline - job.gate.clock(), 1.0),
            clock=job.gate.clock,
            sleep=job.gate.sleep,
        )

    tasks = {asyncio.create_task(dies()), asyncio.create_task(answers())}
    try:
        while True:
            done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            verdicts = [task.result() for task in done if task.exception() is None]
            if verdicts:  # a log that says no outweighs an answer that came at the same moment
                return min(verdicts, key=lambda v: v.healthy), tuple(map(str, telling(seen)))
            if not tasks:  # both broke off: what the last one said is the reason
                raise next(iter(done)).exception() or RuntimeError
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, PlatformError):
                await task


async def _failed(
    outcome: Outcome,
    change: Change,
    desired: Desired,
    deployed: Deployed,
    verdict: Verdict,
    lines: tuple[str, ...],
    job: _Job,
) -> Outcome:
    """A first version that does not come up is left at zero, not in a crash loop on the bill."""
    detail, scaling = verdict.why, desired.rendered.resolved.scaling
    if change.action is Action.CREATE and scaling.min_containers:
        scaling = replace(scaling, min_containers=0, buffer_containers=0)
        await job.platform.scale(_live(change.name, deployed), scaling)
        detail += "; left at zero containers"
    return replace(
        outcome,
        result=Result.FAILED,
        detail=detail,
        lines=lines,
        needs_person=True,
        scaling=scaling,
    )


async def _containers(change: Change, job: _Job) -> frozenset[str]:
    app = job.live.get(change.name)
    return await job.platform.containers(app) if app else frozenset()


async def _delete(change: Change, job: _Job, *, asked: bool, clean: bool) -> Outcome:
    if not asked or not clean or change.protected:
        why = "needs --prune" if not asked else "not deleted, because something failed before"
        if change.protected:
            why = "protected: put its spec back, take protect out, and apply"
        return Outcome(change.name, change.action, Result.SKIPPED, change.version, detail=why)
    job.tell(Step(change.name, "deleting"))
    try:
        await job.platform.stop(job.live[change.name])
        outcome = Outcome(change.name, change.action, Result.DONE, change.version)
    except PlatformError as error:
        outcome = Outcome(
            change.name, change.action, Result.FAILED, change.version, detail=error.message
        )
    job.tell(Step(change.name, "ended", outcome=outcome))
    return outcome


def _live(name: str, deployed: Deployed) -> LiveApp:
    return LiveApp(name, deployed.app_id, deployed.version, "deployed", None, "", {})


def _records(
    deployed: Mapping[str, Outcome],
    outcomes: Sequence[Outcome],
    wanted: Mapping[str, Desired],
    live: Mapping[str, LiveApp],
) -> dict[str, AppRecord]:
    """What is worth remembering: every version that came to be, and everything scaled in place.

    A version whose gate was not seen to the end (interrupted) is remembered as deployed; one that
    failed it is remembered as condemned, so that it is not tried again as it is.
    """
    ended = {o.name: o for o in outcomes}
    scaled = [o for o in outcomes if o.action is Action.IN_PLACE and o.result is Result.DONE]
    records = {}
    for outcome in [*deployed.values(), *scaled]:
        last = ended.get(outcome.name, outcome)
        app = live.get(outcome.name)
        assert outcome.version is not None
        record = _record(
            wanted[outcome.name],
            outcome.app_id or (app.app_id if app else ""),
            outcome.version,
            outcome.url,
        )
        entry = replace(
            record.entry,
            scaling=last.scaling or record.entry.scaling,
            condemned=last.detail if last.result is Result.FAILED else "",
        )
        records[outcome.name] = replace(record, entry=entry)
    return records


def _record(desired: Desired, app_id: str, version: int, url: str | None) -> AppRecord:
    resolved = desired.rendered.resolved
    entry = Entry(
        app_id=app_id,
        version=version,
        digest=desired.rendered.digest,
        scaling=resolved.scaling,
        url=url,
        protect=resolved.protect,
        usd_per_hour=desired.usd_per_hour,
        weights=((version, resolved.stored),),
    )
    return AppRecord(entry, desired.fields, desired.rendered.text)
