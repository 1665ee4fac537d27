"""How is the change of one app carried out, whatever goes wrong with it?"""

from __future__ import annotations

import time

from msgspec.structs import replace

from modelctl.apply.job import Job, entry_for, spoken_of
from modelctl.apply.types import NEEDS_PRUNE, Failure, Outcome, Result, Step
from modelctl.apply.undo import undo
from modelctl.apply.watching import Seeing, gate
from modelctl.lease import LeaseLost
from modelctl.plan import REFUSED, Action, Change, Desired
from modelctl.platform.types import BuildFailed, CouldNotFetch, LiveApp, PlatformError, Unreachable
from modelctl.record import Entry


async def carry_out(change: Change, desired: Desired, job: Job, waited: float) -> Outcome:
    """An outcome, whatever happens. `waited` are the seconds that its weights took."""
    began = time.monotonic() - waited
    outcome = Outcome(change.name, change.action, Result.UNCHANGED, change.version, change.url)
    if change.action is Action.UNCHANGED:
        return outcome
    try:
        if change.action in REFUSED:
            outcome = replace(outcome, result=Result.FAILED, detail="; ".join(change.reasons))
        elif change.action is Action.HELD:
            outcome = replace(outcome, result=Result.HELD, detail="; ".join(change.reasons))
        elif job.stop.soon.is_set():
            outcome = not_begun(change, "not begun: interrupted")
        elif change.does is Action.IN_PLACE:
            outcome = await _in_place(change, desired, job)
        else:
            outcome = await _deployed(change, desired, job)
    except LeaseLost as error:
        detail = f"{error.message}; what was under way may have taken effect"
        outcome = replace(outcome, result=Result.FAILED, detail=detail, again=True)
    except PlatformError as error:
        outcome = _refused(outcome, change, error)
    except Exception as error:  # noqa: BLE001 - one app's surprise must not lose the others
        detail = f"modelctl itself failed ({type(error).__name__}: {error})"
        outcome = replace(outcome, result=Result.FAILED, detail=detail, needs_person=True)
    outcome = replace(outcome, seconds=time.monotonic() - began)
    job.tell(Step(change.name, "ended", outcome=outcome))
    return outcome


def not_begun(change: Change, why: str) -> Outcome:
    return Outcome(change.name, change.action, Result.SKIPPED, change.version, detail=why)


def _refused(outcome: Outcome, change: Change, error: PlatformError) -> Outcome:
    """Modal, or the place where the model is, said no: what ran before runs on."""
    detail = f"{error.message}; {error.hint}" if error.hint else error.message
    failure = Failure.FETCH if isinstance(error, CouldNotFetch) else None
    if failure and not detail.startswith(failure):
        detail = f"{failure}: {detail}"
    if change.version is not None and isinstance(error, BuildFailed):
        detail = f"{detail}; v{change.version} serves, as it did all along"
    return replace(
        outcome,
        result=Result.FAILED,
        detail=detail,
        lines=error.lines if isinstance(error, BuildFailed) else (),
        failure=failure,
        needs_person=(failure is not None or isinstance(error, BuildFailed))
        and change.version is None,
        again=isinstance(error, Unreachable),
    )


async def _in_place(change: Change, desired: Desired, job: Job) -> Outcome:
    """No new version, no new container."""
    app, before = job.live(change.name), job.entry(change.name)
    assert app is not None and change.scaling is not None
    job.tell(Step(change.name, "scaling"))
    if change.retags:
        await job.check()
        await job.platform.set_tags(app, desired.rendered.tags)
    await job.scale(app, change.scaling)
    entry = entry_for(
        desired,
        app,
        scaling=change.scaling,
        url=change.url,
        commit=before.commit if before else "",
        before=before,
        unproven=before.unproven if before else "",
        hold=change.hold,
    )
    if not change.verify:
        events = (*job.overridden(change), job.event("scaled", change, version=app.version))
        await job.memory.note(change.name, entry, spoken_of(desired), *events)
        return Outcome(
            change.name,
            change.action,
            Result.DONE,
            app.version,
            change.url,
            detail="no new version",
        )
    entry = replace(entry, unproven=entry.unproven or "its gate was not seen to the end")
    return await _proved(change, desired, app, entry, None, job)


async def _deployed(change: Change, desired: Desired, job: Job) -> Outcome:
    resolved = desired.rendered.resolved
    await job.stock.ready(resolved)
    live, recorded = job.live(change.name), job.entry(change.name)
    before = await job.platform.containers(live) if live else frozenset()
    strategy = "recreate" if change.does is Action.RECREATE else resolved.rollout.strategy
    job.tell(Step(change.name, "deploying"))
    await job.check()
    deployed = await job.platform.deploy(
        desired.rendered,
        tag=desired.rendered.digest,
        strategy=strategy,
        progress=lambda line: job.tell(Step(change.name, "image", line)),
    )
    app = LiveApp(change.name, deployed.app_id, deployed.version, "deployed", deployed.at, "", {})
    scaling = change.scaling or resolved.scaling
    gated = resolved.rollout.gate != "none"
    entry = entry_for(
        desired,
        app,
        scaling=scaling,
        url=deployed.url,
        commit=job.by.commit,
        before=recorded,
        unproven="its gate was not seen to the end" if gated else "",
        hold=change.hold,
    )
    events = (*job.overridden(change), job.event("deployed", change, version=app.version))
    await job.memory.note(change.name, entry, spoken_of(desired), *events)
    # A long gate, or an end without a warning: what lives is known by then.
    await job.memory.keep_now()
    # The SDK swallows what goes wrong after a version is published, a lost lease too.
    await job.check()
    if scaling != resolved.scaling:
        await job.scale(app, scaling)
    return await _proved(change, desired, app, entry, before, job)


async def _proved(
    change: Change,
    desired: Desired,
    app: LiveApp,
    entry: Entry,
    before: frozenset[str] | None,
    job: Job,
) -> Outcome:
    """Keep the version that passes its gate; undo the one that does not."""
    outcome = Outcome(change.name, change.action, Result.DONE, app.version, entry.url)
    seeing = await gate(app, entry.url, desired.rendered.resolved, before, job)
    if seeing.moved:
        # What a person does meanwhile is theirs: nothing is undone, nothing condemned.
        return replace(outcome, result=Result.FAILED, detail=seeing.why, again=True)
    if seeing.failure is None:
        good = replace(entry, unproven="", good=(app.version, entry.digest), condemned=None)
        await job.memory.note(change.name, good, None)
        return replace(outcome, detail=seeing.note)
    return await _failed(outcome, change, desired, app, entry, seeing, job)


async def _failed(
    outcome: Outcome,
    change: Change,
    desired: Desired,
    app: LiveApp,
    entry: Entry,
    seeing: Seeing,
    job: Job,
) -> Outcome:
    left = await undo(desired, change, app, entry, seeing, job)
    fault = f"{seeing.failure}: {seeing.why}"
    tried = replace(change, fields=())  # they are said of the deployment
    events = [job.event("tried", tried, version=app.version, result="failed", why=fault)]
    if left.entry.version != app.version:
        events.append(job.event("rolled back", tried, version=left.entry.version, why=left.said))
    await job.memory.note(change.name, left.entry, None, *events)
    await job.memory.keep_now()
    return replace(
        outcome,
        result=Result.FAILED,
        version=left.entry.version,
        tried=app.version,
        detail=f"{fault}; {left.said}",
        lines=seeing.lines,
        failure=seeing.failure,
        needs_person=not left.serves,
    )


async def delete(change: Change, job: Job, *, clean: bool, serves: bool) -> Outcome:
    """`clean`: nothing failed before. `serves`: so does the app that takes its place, if any."""
    why = ""
    if change.protected:
        why = "protected: put its spec back, take protect out, and apply"
    elif not change.asked_for:
        why = NEEDS_PRUNE
    elif change.after is not None and not serves:
        why = f"not deleted, because {change.after} does not serve"
    elif change.after is None and not clean:
        why = "not deleted, because something failed before"
    elif job.stop.soon.is_set():
        why = "not begun: interrupted"
    if why:
        return not_begun(change, why)
    app = job.live(change.name)
    assert app is not None
    job.tell(Step(change.name, "deleting"))
    outcome = Outcome(change.name, change.action, Result.DONE, change.version)
    try:
        await job.check()
        await job.platform.stop(app)
    except PlatformError as error:
        outcome = replace(
            outcome,
            result=Result.FAILED,
            detail=error.message,
            again=isinstance(error, LeaseLost | Unreachable),
        )
    else:
        event = job.event("deleted", change, version=change.version)
        await job.memory.note_gone(change.name, event)
    job.tell(Step(change.name, "ended", outcome=outcome))
    return outcome
