"""What is left behind where a version fails: the one before it, or nothing that costs."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from modelctl.apply.job import Job
from modelctl.apply.types import Step
from modelctl.apply.watching import Seeing
from modelctl.health import until_healthy
from modelctl.plan import Action, Change, Desired
from modelctl.platform.types import LiveApp, PlatformError
from modelctl.record import Condemned, Entry, Weights
from modelctl.rendered import TAG_DIGEST
from modelctl.resolved import Scaling


class Before(Struct, frozen=True):
    """The version that a new one takes the place of: its number, its digest, None where nobody
    knows that, and the scaling that it had, as far as that was recorded."""

    version: int
    digest: str | None
    scaling: Scaling | None


class Left(Struct, frozen=True):
    """How an app was left: what is recorded of it, the sentence, and whether something serves."""

    entry: Entry
    said: str
    serves: bool


def worth_returning_to(change: Change, job: Job) -> Before | None:
    """The version that served before, None where none did: a failed one is not gone back to."""
    if change.version is None:
        return None
    entry = job.entry(change.name)
    if entry is None:
        # Nothing is known of it but that it lived; of one that is only looked at again, not that.
        return None if change.verify else Before(change.version, None, None)
    if entry.version != change.version and change.action is Action.DRIFT:
        return Before(change.version, None, entry.scaling)
    if entry.good is not None:
        return Before(entry.good[0], entry.good[1], entry.scaling)
    failed = entry.unproven or (entry.condemned and entry.condemned.digest == entry.digest)
    return None if failed else Before(entry.version, entry.digest, entry.scaling)


async def undo(
    desired: Desired, change: Change, app: LiveApp, entry: Entry, seeing: Seeing, job: Job
) -> Left:
    """Bring back what served before; or leave a first version at zero containers.

    `entry` is what was recorded of the version that failed. Only its own fault condemns it: what
    had no GPU is tried again by the next apply.
    """
    assert seeing.failure is not None
    fault = f"{seeing.failure}: {seeing.why}"
    condemned = None
    if seeing.failure.condemns:
        condemned = Condemned(entry.digest, app.version, fault)
    failed = replace(entry, condemned=condemned, unproven=fault)
    if desired.rendered.resolved.rollout.on_failure == "keep":
        return Left(failed, f"v{app.version} is kept, as rollout.on_failure says", serves=False)
    before = worth_returning_to(change, job)
    if before is None:
        return await _left_at_zero(app, failed, job)
    try:
        return await _brought_back(desired, app, failed, before, job)
    except PlatformError as error:
        why = f"v{before.version} could not be brought back: {error.message}"
        return Left(failed, why, serves=False)


async def _left_at_zero(app: LiveApp, failed: Entry, job: Job) -> Left:
    """Not in a crash loop on the bill."""
    scaling = replace(failed.scaling, min_containers=0, buffer_containers=0)
    if scaling != failed.scaling:
        await job.scale(app, scaling)
    costs_nothing = replace(failed, scaling=scaling, usd_per_hour=0.0)
    return Left(costs_nothing, "left at zero containers", serves=False)


async def _brought_back(
    desired: Desired, app: LiveApp, failed: Entry, before: Before, job: Job
) -> Left:
    resolved = desired.rendered.resolved
    rolled = resolved.rollout.strategy == "rolling"
    job.tell(Step(app.name, "rolling back", f"v{before.version} again"))
    await job.check()
    tags = {**desired.rendered.tags, TAG_DIGEST: before.digest or "unknown"}
    now = await job.platform.roll_back(app, before.version, tags)
    entry = replace(
        failed,
        version=now.version,
        digest=before.digest or "",
        again=before.version,
        good=(now.version, before.digest or ""),
        unproven="",
        weights=None,
    )
    recorded = job.entry(app.name)
    if recorded is not None:
        entry = replace(
            entry,
            protect=recorded.protect,
            usd_per_hour=recorded.usd_per_hour,
            commit=recorded.commit,
            weights=_read_by(recorded, before.version, now.version),
        )
    if before.scaling is not None:
        # A roll-back brings back the scaling of that version's text, not what held since.
        await job.scale(now, before.scaling)
        entry = replace(entry, scaling=before.scaling)
    if rolled or before.scaling is None or not before.scaling.min_containers:
        as_before = ", as it did all along" if rolled else " again"
        return Left(entry, f"v{before.version} serves{as_before}", serves=True)
    headers = job.gate.headers if resolved.endpoint.auth == "proxy" else {}
    if headers is None or entry.url is None:
        return Left(entry, f"v{before.version} was brought back", serves=True)
    deadline = job.gate.clock() + resolved.rollout.place_timeout + resolved.rollout.boot_timeout
    verdict = await until_healthy(
        entry.url,
        headers,
        ask=job.gate.ask,
        until=lambda: deadline,
        clock=job.gate.clock,
        sleep=job.gate.sleep,
    )
    if verdict.healthy:
        return Left(entry, f"v{before.version} serves again", serves=True)
    why = f"v{before.version} was brought back and does not answer ({verdict.last})"
    return Left(entry, why, serves=False)


def _read_by(recorded: Entry, before: int, now: int) -> Weights | None:
    """What the version that came back reads, None where that was not written down."""
    folders = dict(recorded.weights or ()).get(before)
    return None if folders is None else ((now, folders),)
