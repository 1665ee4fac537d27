"""What has to be read for a plan, beyond the list of apps and the index? As little as will do."""

from __future__ import annotations

from collections.abc import Sequence

from modelctl.plan.types import Desired, Seen
from modelctl.platform.types import Live, LiveApp
from modelctl.record import Entry, Index
from modelctl.rendered import TAG_DIGEST, TAG_PROJECT


def unsettled(
    live: Live,
    index: Index | None,
    desired: Sequence[Desired],
    *,
    all_apps: bool,
    thorough: bool = False,
    refresh: bool = False,
) -> list[LiveApp]:
    """The live apps that the list and the index cannot speak for: each must be read by itself.

    These are wanted apps that the index does not know, or knows at another version. With
    `all_apps`, those to delete are looked for too: at another version than the index has, and,
    without an index or where `thorough` asks for it, all there are. With `refresh` what the index
    knows is read as well: only that shows what was scaled or tagged by hand.
    """
    names = {d.name for d in desired} | {d.renamed_from for d in desired}
    return [
        app
        for app in live.apps.values()
        if (
            app.name in names
            or (all_apps and (thorough or index is None or app.name in index.apps))
        )
        and (refresh or not settled(app, index))
    ]


def changed_digests(live: Live, index: Index | None, desired: Sequence[Desired]) -> list[str]:
    """The apps whose earlier spec is worth reading, because something about them changes."""
    if index is None:
        return []
    return [
        d.name
        for d in desired
        if d.name in live.apps
        and (entry := index.apps.get(d.name)) is not None
        and (entry.digest != d.rendered.digest or entry.scaling != d.rendered.resolved.scaling)
    ]


def settled(app: LiveApp, index: Index | None) -> bool:
    """Whether what was recorded speaks of the very version that lives."""
    entry = entry_of(app, index)
    return entry is not None and entry.version == app.version


def entry_of(app: LiveApp, index: Index | None) -> Entry | None:
    """What was recorded of this app; not of an earlier one of its name."""
    entry = index.apps.get(app.name) if index else None
    return entry if entry is not None and entry.app_id == app.app_id else None


def owner(app: LiveApp, seen: Seen, project: str | None) -> str:
    """ "" where the app is this project's, else the sentence that says whose it is.

    The mark on the app decides wherever it was read; the index speaks for the rest, and for an app
    whose mark somebody took off.
    """
    details = seen.details.get(app.name)
    if details is None:
        return "" if entry_of(app, seen.index) else "nobody knows whose this app is"
    mark = details.tags.get(TAG_PROJECT)
    if mark == project and TAG_DIGEST in details.tags:
        return ""
    if mark and mark != project:
        return f"the project {mark} has an app of this name"
    if settled(app, seen.index):
        return ""
    if TAG_DIGEST in details.tags:
        return "an app of this name was deployed by modelctl without a project"
    by = f" by {app.deployed_by}" if app.deployed_by else ""
    return f"an app of this name was deployed{by} without modelctl"
