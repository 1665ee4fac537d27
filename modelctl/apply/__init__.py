"""How is a plan carried out safely? Fetch, deploy, wait, keep or undo, then prune, and remember."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from modelctl.apply.job import Job, Memory, entry_for, spoken_of
from modelctl.apply.one import carry_out, delete, not_begun
from modelctl.apply.types import (
    NEEDS_PRUNE,
    By,
    Check,
    Failure,
    Gate,
    Outcome,
    Result,
    Step,
    Stop,
    Tell,
    always,
)
from modelctl.apply.waves import Wave, in_waves
from modelctl.plan import DEPLOYS, Action, Change, Desired, Plan, Seen, entry_of
from modelctl.platform.types import LiveApp, Platform, PlatformError
from modelctl.record import Entry, Spoken
from modelctl.rendered import TAG_DIGEST
from modelctl.resolved import Resolved, Scaling
from modelctl.stock import ListFiles, begin

__all__ = [
    "NEEDS_PRUNE",
    "By",
    "Check",
    "Failure",
    "Gate",
    "Outcome",
    "Result",
    "Step",
    "Stop",
    "Tell",
    "always",
    "apply",
    "forgotten",
]


async def apply(
    plan: Plan,
    desired: Sequence[Desired],
    *,
    platform: Platform,
    seen: Seen,
    project: str | None,
    by: By,
    gate: Gate,
    list_files: ListFiles,
    width: int,
    tell: Tell,
    waves: Sequence[str] = (),
    check: Check = always,
    stop: Stop | None = None,
) -> tuple[Outcome, ...]:
    """Carry out a plan, several apps at once, and give an outcome for every one of them.

    Without waves an app that fails does not stop the others; with them, no later wave begins.
    Deletions come last, and only if all passed. `check` is asked before each change.
    """
    wanted = {d.name: d for d in desired}
    stop = stop or Stop()
    memory = Memory(platform, project, check, seen.index, dict(seen.records))
    stock = begin(
        _needs_weights(plan, wanted, platform),
        platform,
        list_files,
        lambda name, words: tell(Step(name, "weights", words)),
    )
    job = Job(platform, seen, gate, tell, stock, memory, by, check, stop)
    outcomes: list[Outcome] = []
    try:
        for wave in in_waves(plan, wanted, waves):
            outcomes += await _carried_out(wave, outcomes, wanted, job, width)
        outcomes += await _deleted(plan, outcomes, job)
        outcomes = await _seen_again(outcomes, job)
    finally:
        # Whatever happened: nothing goes on behind our back, and what was done is remembered.
        await _ended(stock.tasks.values())
        try:
            for name, (entry, spoken) in forgotten(plan, desired, seen).items():
                await memory.note(name, entry, spoken)
            for name in plan.gone:
                await memory.note_gone(name, job.ended())
            await memory.keep()
        except PlatformError as error:
            # Modal is the truth: the next apply reads there what was done.
            tell(Step("", "record", f"what was done could not be written down: {error.message}"))
    return tuple(sorted(outcomes, key=lambda o: o.name))


def forgotten(
    plan: Plan, desired: Sequence[Desired], seen: Seen
) -> dict[str, tuple[Entry, Spoken | None]]:
    """The apps that are as they should be, and of which that is not written down: an index that
    was lost or torn, or of a modelctl that did not write down what they read. And those without a
    spec of which nobody knows any more whether they were protected."""
    rebuilt = seen.index is not None and seen.index.rebuilt
    wanted = {d.name: d for d in desired}
    found: dict[str, tuple[Entry, Spoken | None]] = {}
    for change in plan.changes:
        app = seen.live.apps.get(change.name)
        if app is not None and change.action is Action.DELETE and seen.index is None:
            found[app.name] = _lost(app, seen), None
        if change.action is not Action.UNCHANGED or app is None:
            continue
        entry = entry_of(app, seen.index)
        if entry is None or app.version not in dict(entry.weights or ()):
            one = wanted[app.name]
            scaling = change.scaling or one.rendered.resolved.scaling
            remembered = entry_for(
                one, app, scaling=scaling, url=change.url, commit="", before=entry
            )
            found[app.name] = remembered, spoken_of(one)
        elif rebuilt:
            found[app.name] = entry, spoken_of(wanted[app.name])
    return found


def _lost(app: LiveApp, seen: Seen) -> Entry:
    """What can still be known of an app without a spec whose record is gone."""
    details = seen.details.get(app.name)
    tags = details.tags if details else {}
    scaling = details.scaling if details else None
    return Entry(
        app_id=app.app_id,
        version=app.version,
        digest=tags.get(TAG_DIGEST, ""),
        scaling=scaling or Scaling(0, None, 0, 0, None, None),
        url=details.url if details else None,
        lost=True,
    )


def _needs_weights(
    plan: Plan, wanted: Mapping[str, Desired], platform: Platform
) -> dict[str, Resolved]:
    """The apps that are deployed, without those that this machine could not run."""
    lacks = platform.capabilities().lacks
    return {
        c.name: resolved
        for c in plan.changes
        if c.does in DEPLOYS
        and not lacks((resolved := wanted[c.name].rendered.resolved).command[0])
    }


async def _carried_out(
    wave: Wave, earlier: Sequence[Outcome], wanted: Mapping[str, Desired], job: Job, width: int
) -> list[Outcome]:
    """The outcomes of one wave; of one that does not begin too."""
    failed = [o.name for o in earlier if o.result is Result.FAILED]
    if failed:
        why = f"wave {wave.number} was not begun: {', '.join(failed)} failed"
        return [_left(change, why) for change in wave.changes]
    if wave.count > 1:
        job.tell(Step("", "wave", f"{wave.number} of {wave.count}: {wave.name or 'the rest'}"))
    turns = asyncio.Semaphore(width)

    async def one(change: Change) -> Outcome:
        # A long download takes nobody's turn.
        began = time.monotonic()
        if change.does in DEPLOYS:
            await job.stock.settled(wanted[change.name].rendered.resolved)
        waited = time.monotonic() - began
        async with turns:
            return await carry_out(change, wanted[change.name], job, waited)

    running = {change.name: asyncio.create_task(one(change)) for change in wave.changes}
    at_once = asyncio.create_task(job.stop.now.wait())
    left: set[asyncio.Task[Any]] = set(running.values())
    try:
        while left and not at_once.done():
            _, left = await asyncio.wait({*left, at_once}, return_when=asyncio.FIRST_COMPLETED)
            left.discard(at_once)
    finally:
        await _ended([*running.values(), at_once])
    return [_outcome(change, running[change.name], job) for change in wave.changes]


def _left(change: Change, why: str) -> Outcome:
    """What was not begun; what nothing was to be done about is as it was."""
    if change.action is Action.UNCHANGED:
        return Outcome(change.name, change.action, Result.UNCHANGED, change.version, change.url)
    return not_begun(change, why)


def _outcome(change: Change, task: asyncio.Task[Outcome], job: Job) -> Outcome:
    if not task.cancelled():
        return task.result()
    if change.action is Action.UNCHANGED:
        return _left(change, "")
    noted = job.memory.records.get(change.name)
    if change.name in job.memory.changed and noted is not None:
        why = f"interrupted before v{noted.entry.version} was seen to work: the next apply looks"
        return Outcome(change.name, change.action, Result.FAILED, noted.entry.version, detail=why)
    return not_begun(change, "interrupted: the next apply finds out how far it came")


async def _deleted(plan: Plan, earlier: Sequence[Outcome], job: Job) -> list[Outcome]:
    """One after the other; what a person holds is left."""
    clean = all(o.result in {Result.DONE, Result.UNCHANGED, Result.HELD} for o in earlier)
    serving = {o.name for o in earlier if o.result in {Result.DONE, Result.UNCHANGED}}
    outcomes: list[Outcome] = []
    named = {o.name for o in earlier}
    for change in plan.changes:
        if change.name in named:
            continue
        if change.action is Action.HELD:
            why = "; ".join(change.reasons)
            outcomes.append(
                Outcome(change.name, change.action, Result.HELD, change.version, detail=why)
            )
            continue
        serves = change.after is None or change.after in serving
        outcomes.append(await delete(change, job, clean=clean, serves=serves))
    return outcomes


async def _seen_again(outcomes: list[Outcome], job: Job) -> list[Outcome]:
    """One call more shows whether somebody else deployed what this apply did."""
    mine = {n: job.memory.records[n].entry for n in job.memory.changed - job.memory.gone}
    if not mine:
        return outcomes
    try:
        live = await job.platform.observe()
    except PlatformError:
        return outcomes
    found = []
    for outcome in outcomes:
        entry, app = mine.get(outcome.name), live.apps.get(outcome.name)
        if (
            entry is None
            or outcome.again
            or (app and (app.app_id, app.version) == (entry.app_id, entry.version))
        ):
            found.append(outcome)
            continue
        lives = f"v{app.version} lives" if app else "it was stopped"
        why = f"{lives}, this apply left v{entry.version}: somebody else changed it meanwhile"
        detail = f"{outcome.detail}; {why}" if outcome.detail else why
        found.append(replace(outcome, result=Result.FAILED, detail=detail, again=True))
    return found


async def _ended(tasks: Iterable[asyncio.Task[Any]]) -> None:
    left = list(tasks)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
