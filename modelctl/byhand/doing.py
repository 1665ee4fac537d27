"""How is it carried out, so that a kill at any moment leaves what the next apply understands?

A hold is written before what it holds is changed: what was begun is then left alone, not undone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from modelctl.apply.job import Job
from modelctl.apply.types import Step
from modelctl.apply.watching import NO_TOKEN, PASSED, Seeing, Within, serves
from modelctl.byhand.types import Found
from modelctl.byhand.versions import Back
from modelctl.plan import FieldChange
from modelctl.platform.types import LiveApp, PlatformError
from modelctl.record import Entry, Event, Fields, Hold
from modelctl.rendered import TAG_DIGEST
from modelctl.resolved import Scaling


class Done(Struct, frozen=True):
    """What lives now, what is remembered of it, and how it was seen to serve."""

    app: LiveApp
    entry: Entry
    seeing: Seeing = PASSED


async def roll_back(found: Found, back: Back, hold: Hold, within: Within, job: Job) -> Done:
    """An earlier version serves, with today's scaling."""
    tags = dict(found.details.tags)
    spoken = found.record.of(back.digest or "")
    if spoken is not None and spoken.tags:
        tags = dict(spoken.tags)
    tags[TAG_DIGEST] = back.digest or "unknown"
    job.tell(Step(found.app.name, "rolling back", f"v{back.version} again"))
    await _held(found, hold, job)
    now = await _next(
        found, job, lambda: job.platform.roll_back(found.app, back.version, tags), tags
    )
    folders = dict(found.entry.weights or ()).get(back.version)
    condemned = found.entry.condemned
    entry = replace(
        found.entry,
        version=now.version,
        digest=back.digest or "",
        scaling=found.scaling,
        weights=None if folders is None else ((now.version, folders),),
        condemned=None if condemned and condemned.digest == back.digest else condemned,
        unproven=_UNSEEN,
        again=back.version,
        hold=hold,
        commit=back.commit,
        usd_per_hour=_same_price(found, back.digest),
    )
    event = _event("rolled back", job, version=now.version, why=hold.why)
    fields = found.fields(back.digest or "")
    return await _proved(found, now, entry, event, fields, within, job, asks=True)


async def restart(found: Found, within: Within, job: Job, why: str = "") -> Done:
    """Fresh containers of the same. What sleeps is not woken to be looked at."""
    job.tell(Step(found.app.name, "restarting"))
    now = await _next(found, job, lambda: job.platform.roll_over(found.app))
    entry = found.entry
    if entry.version == found.app.version:
        folders = dict(entry.weights or ()).get(entry.version)
        entry = replace(
            entry,
            version=now.version,
            scaling=found.scaling,
            weights=None if folders is None else ((now.version, folders),),
            unproven=entry.unproven or _UNSEEN,
        )
    event = _event("restarted", job, version=now.version, why=why)
    awake = bool(found.details.containers or found.scaling.min_containers)
    fields = found.fields(entry.digest)
    return await _proved(found, now, entry, event, fields, within, job, asks=awake)


async def scale(
    found: Found,
    after: Scaling,
    changes: tuple[FieldChange, ...],
    hold: Hold,
    usd_per_hour: float | None,
    job: Job,
) -> Done:
    """In place: no new version, no new container of one that runs."""
    entry = replace(found.entry, scaling=after, hold=hold, usd_per_hour=usd_per_hour)
    event = _event("scaled", job, version=found.app.version, why=hold.why, fields=changes)
    await _held(found, hold, job)
    try:
        await job.scale(found.app, after)
    except PlatformError:
        await _as_before(found, job)
        raise
    await job.memory.note(found.app.name, entry, None, event)
    await job.memory.keep()
    return Done(found.app, entry)


async def hold(found: Found, kept: Hold, job: Job) -> Done:
    """What lives stays, whatever its spec says."""
    entry = replace(found.entry, hold=kept)
    event = _event("held", job, version=found.app.version, why=kept.why)
    await job.memory.note(found.app.name, entry, None, event)
    await job.memory.keep()
    return Done(found.app, entry)


async def release(found: Found, job: Job) -> Done:
    """The next apply does as the spec says."""
    entry = replace(found.entry, hold=None)
    event = _event("released", job, version=found.app.version)
    await job.memory.note(found.app.name, entry, None, event)
    await job.memory.keep()
    return Done(found.app, entry)


_UNSEEN = "its gate was not seen to the end"


async def _held(found: Found, hold: Hold, job: Job) -> None:
    await job.memory.note(found.app.name, replace(found.entry, hold=hold), None)
    await job.memory.keep()


async def _as_before(found: Found, job: Job) -> None:
    """Nothing was changed, so nothing new is held."""
    await job.memory.note(found.app.name, found.entry, None)
    await job.memory.keep_now()


async def _next(
    found: Found,
    job: Job,
    change: Callable[[], Awaitable[LiveApp]],
    tags: Mapping[str, str] | None = None,
) -> LiveApp:
    """The version that this change makes, also where its answer was lost on the way."""
    await job.check()
    try:
        return await change()
    except PlatformError:
        with suppress(PlatformError):
            now = (await job.platform.observe()).apps.get(found.app.name)
            if now and now.app_id == found.app.app_id and now.version > found.app.version:
                if tags is not None:
                    await job.platform.set_tags(now, tags)
                return now
            await _as_before(found, job)
        raise


async def _proved(
    found: Found,
    now: LiveApp,
    entry: Entry,
    event: Event,
    fields: Fields | None,
    within: Within,
    job: Job,
    *,
    asks: bool,
) -> Done:
    """A new version begins with the scaling of its text: today's is set again."""
    name = found.app.name
    await job.memory.note(name, entry, None, event)
    await job.memory.keep_now()
    await job.scale(now, found.scaling)
    seeing = PASSED
    if asks and entry.url is not None and (fields or {}).get("rollout.gate") != "none":
        before = frozenset(found.details.containers)
        headers = job.gate.headers
        if headers is None:
            seeing = NO_TOKEN
        else:
            asked = replace(within, gpus=found.details.gpus)
            since = now.deployed_at if now.deployed_at != found.app.deployed_at else None
            seeing = await serves(now, entry.url, asked, before, job, headers, since)
    if seeing.failure is not None:
        fault = f"{seeing.failure}: {seeing.why}"
        entry = replace(entry, unproven=fault)
        tried = _event("tried", job, version=now.version, why=fault, result="failed")
        await job.memory.note(name, entry, None, tried)
    elif entry.version == now.version:
        entry = replace(entry, unproven="", good=(now.version, entry.digest))
        await job.memory.note(name, entry, None)
    await job.memory.keep()
    return Done(now, entry, seeing)


def _same_price(found: Found, digest: str | None) -> float | None:
    """What keep-warm costs is known where the version that came back asks for the same."""
    here, back = found.fields(found.entry.digest), found.fields(digest or "")
    if here is None or back is None:
        return None
    asked = ("gpu", "cpu", "memory", "disk", "nodes", "endpoint")
    both = {path for path in {*here, *back} if path.split(".")[0].split("[")[0] in asked}
    same = all(here.get(path) == back.get(path) for path in both)
    return found.entry.usd_per_hour if same else None


def _event(
    did: str,
    job: Job,
    *,
    version: int,
    why: str = "",
    result: str = "done",
    fields: tuple[FieldChange, ...] = (),
) -> Event:
    said = tuple((f.path, f.before, f.after) for f in fields)
    return Event(job.by.now(), job.by.who, job.by.commit, did, version, result, why, said)
