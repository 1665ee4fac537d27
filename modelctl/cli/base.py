"""What does a change of the specs change, seen from another commit? Nothing of Modal is asked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from modelctl.diagnostics import Rejected
from modelctl.plan import Desired, Plan, Seen, plan
from modelctl.platform.types import Capabilities, Live, LiveApp
from modelctl.record import AppRecord, Entry, Index, Spoken

if TYPE_CHECKING:
    from modelctl.cli.earlier import Inside
    from modelctl.cli.options import Selection
    from modelctl.cli.pipeline import Prepared
    from modelctl.spec.wanted import ProjectFile


def plan_against(
    ref: str, ready: Prepared, templates: str | None, *, allow_unlocked: bool
) -> tuple[Plan, Seen]:
    """The plan of an environment that is as the specs said at `ref`; what was seen for it."""
    from modelctl.cli.earlier import at_commit, short

    root = ready.project.root
    folder = Path(templates).absolute() if templates else None
    with at_commit(ref, root, "--base") as inside:
        before = _desired(inside, ready.chosen, ready.project, folder)
    seen = _as_if_deployed(before)
    result = plan(
        ready.desired,
        seen,
        project=ready.project.name,
        where=f"against {ref} ({short(ref, root)}), without a look at what lives",
        whole_project=ready.chosen.everything,
        capabilities=Capabilities(engines=None),
        allow_unlocked=allow_unlocked,
        limits=ready.bill.limits,
        prices=ready.bill.words,
    )
    return replace(result, environment=ready.chosen.env or ""), seen


def _desired(
    inside: Inside, chosen: Selection, project: ProjectFile, templates: Path | None
) -> Sequence[Desired]:
    """What was wanted then, of the specs that were right then; all of them, for what is gone."""
    from modelctl.cli.pipeline import check_all, desired_apps, project_here, sound

    everything = replace(inside.chosen(chosen), what=(), labels=())
    try:
        then = replace(project_here(), outside=project.outside)
        _lend_weights(inside, everything, then, project.root)
        checked = sound(check_all(everything, then, hashed=True))
        return desired_apps(checked, templates)
    except Rejected:  # not even the project file could be read: everything is new
        return ()


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


def _as_if_deployed(before: Sequence[Desired]) -> Seen:
    """An environment in which just these live, as their first versions."""
    apps, entries, records = {}, {}, {}
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
        spoken = Spoken(digest, one.fields, one.rendered.text, one.rendered.tags)
        records[one.name] = AppRecord(entry, (spoken,))
    return Seen(Live("", apps), Index(entries), {}, records, {})
