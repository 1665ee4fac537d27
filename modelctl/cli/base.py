"""What does a change of the specs change, seen from another commit? Nothing of Modal is asked."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from modelctl.diagnostics import Rejected
from modelctl.plan import Action, Change, Desired, Plan, Seen, plan
from modelctl.platform.types import Capabilities, Details, Live, LiveApp
from modelctl.record import AppRecord, Entry, Index, Spoken

if TYPE_CHECKING:
    from modelctl.cli.earlier import Inside
    from modelctl.cli.options import Selection
    from modelctl.cli.pipeline import Broken, Prepared
    from modelctl.spec.wanted import ProjectFile


class _Before(Struct, frozen=True):
    """What was wanted then, of the specs that were right; `wrong` are the others, by file. `notes`
    say what of it cannot be compared."""

    desired: Sequence[Desired] = ()
    wrong: Sequence[Broken] = ()
    notes: tuple[str, ...] = ()
    project: str | None = None


def plan_against(
    ref: str, ready: Prepared, templates: str | None, *, allow_unlocked: bool
) -> tuple[Plan, Seen]:
    """The plan of an environment that is as the specs said at `ref`; what was seen for it."""
    from modelctl.cli.earlier import at_commit, short

    root = ready.project.root
    folder = Path(templates).absolute() if templates else None
    with at_commit(ref, root, "--base") as inside:
        commit = short(ref, root)
        said = commit if _COMMIT.fullmatch(ref) and ref.startswith(commit) else ref
        before = _before(said, inside, ready.chosen, ready.project, folder)
    seen = _as_if_deployed(before.desired, marked=before.project != ready.project.name)
    result = plan(
        ready.desired,
        seen,
        project=ready.project.name,
        where=f"against {said if said == commit else f'{said} ({commit})'}, "
        "without a look at what lives",
        whole_project=ready.chosen.everything,
        capabilities=Capabilities(engines=None),
        allow_unlocked=allow_unlocked,
        limits=ready.bill.limits,
        prices=ready.bill.words,
        left_out=ready.left_out,
        paid=not ready.chosen.local,
    )
    wrong = _named(before.wrong, ready)
    changes = tuple(
        _uncompared(c, said) if c.name in wrong else replace(c, version=None)
        for c in result.changes
    )
    environment = ready.chosen.env or ""
    return replace(result, environment=environment, changes=changes, notes=before.notes), seen


_COMMIT = re.compile(r"[0-9a-f]{7,40}")


def _named(wrong: Sequence[Broken], ready: Prepared) -> frozenset[str]:
    """The apps of today whose specs were wrong then, by their names or their files."""
    names, files = {one.name for one in wrong}, {one.file for one in wrong}
    return frozenset(
        w.name for w, _ in ready.specs if w.name in names or w.file.as_posix() in files
    )


def _uncompared(change: Change, ref: str) -> Change:
    """What lives of it is what was right before that: nobody knows here."""
    if change.action is not Action.CREATE:
        return replace(change, version=None)
    why = f"on {ref} this spec was wrong: not compared"
    return replace(change, action=Action.REDEPLOY, reasons=(why,), impact=())


def _before(
    ref: str, inside: Inside, chosen: Selection, project: ProjectFile, templates: Path | None
) -> _Before:
    """All specs of then, also where few were chosen: what is gone is among them."""
    from modelctl.cli.pipeline import check_all, desired_apps, project_here, sound

    everything = replace(inside.chosen(chosen), what=(), labels=())
    try:
        then = replace(project_here(), outside=project.outside)
        if gone := _elsewhere(ref, chosen, then, project):
            return _Before(notes=(gone,), project=project.name)
        _lend_weights(inside, everything, then, project.root)
        checked = check_all(everything, then, hashed=True)
        if any(
            d.code == "spec/undeclared-environment" and not d.place for d in checked.diagnostics
        ):
            none = f"on {ref} there was no environment {chosen.env}: everything in it is new"
            return _Before(notes=(none,), project=project.name)
        desired = desired_apps(sound(checked), templates)
    except Rejected as wrong:
        first = wrong.diagnostics[0].message if wrong.diagnostics else ""
        why = f"on {ref} the project could not be read ({first}): everything counts as new"
        return _Before(notes=(why,), project=project.name)
    notes: tuple[str, ...] = ()
    if then.name != project.name and desired:
        called = f"was called {then.name}" if then.name else "had no name"
        notes = (f"on {ref} the project {called}: its apps are not touched",)
    return _Before(desired, checked.broken, notes, then.name)


def _elsewhere(ref: str, chosen: Selection, then: ProjectFile, now: ProjectFile) -> str:
    """Why nothing of what was deployed then can be where this plan goes; "" where it can."""
    if chosen.local:
        return ""
    if chosen.env is None:
        declared = ", ".join(then.project.environments or ())
        new = "everything outside of them is new"
        return f"on {ref} the project had the environments {declared}: {new}" if declared else ""
    before = (then.project.environments or {}).get(chosen.env)
    after = (now.project.environments or {}).get(chosen.env)
    if before is None or after is None:
        return ""
    stay = "the apps there are not touched, and what lives in the new place is not known here"
    place, was = (one.modal_environment or chosen.env for one in (after, before))
    if place != was:
        return f"{chosen.env} goes to the Modal environment {place}, on {ref} it was {was}: {stay}"
    if after.workspace != before.workspace and after.workspace and before.workspace:
        return (
            f"{chosen.env} goes to the workspace {after.workspace}, on {ref} it was "
            f"{before.workspace}: {stay}"
        )
    return ""


def _lend_weights(inside: Inside, chosen: Selection, then: ProjectFile, root: Path) -> None:
    """Weights beside the specs are seldom in git: those of today stand in for them."""
    from modelctl.cli.pipeline import load_chosen

    specs, _ = load_chosen(chosen, then)
    for wanted in specs:
        source = wanted.spec.model.source if wanted.spec.model else None
        if source is None or not source.startswith("."):
            continue
        place = (wanted.file.parent / source).resolve()
        if place.exists() or not place.is_relative_to(inside.root):
            continue
        today = root / place.relative_to(inside.root)
        if today.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            if today.is_dir():
                shutil.copytree(today, place, copy_function=_lend)
            else:
                _lend(today, place)


def _lend(today: str | Path, place: str | Path) -> None:
    """A second name for the same content where the file system allows it."""
    try:
        os.link(today, place)
    except OSError:
        shutil.copyfile(today, place)


def _as_if_deployed(before: Sequence[Desired], *, marked: bool) -> Seen:
    """An environment in which just these live. `marked`: whose they are is read from themselves."""
    apps, entries, records, details = {}, {}, {}, {}
    for number, one in enumerate(before):
        resolved, digest = one.rendered.resolved, one.rendered.digest
        entry = Entry(
            app_id=f"base-{number}",
            version=1,
            digest=digest,
            scaling=resolved.scaling,
            protect=resolved.protect,
            usd_per_hour=one.usd_per_hour,
            weights=((1, resolved.stored),),
            good=(1, digest),
        )
        apps[one.name] = LiveApp(one.name, entry.app_id, 1, "deployed", None, "", {})
        entries[one.name] = entry
        if marked:
            details[one.name] = Details(one.rendered.tags, None, None)
        spoken = Spoken(digest, one.fields, one.rendered.text, one.rendered.tags)
        records[one.name] = AppRecord(entry, (spoken,))
    return Seen(Live("", apps), Index(entries), details, records, {})
