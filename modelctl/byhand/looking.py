"""What is known of the one app that a person speaks of, whatever its spec says?"""

from __future__ import annotations

import asyncio
from difflib import get_close_matches

from modelctl.byhand.types import Found, NotOurs, Refusal
from modelctl.byhand.versions import Back
from modelctl.plan import Seen, entry_of, owner
from modelctl.plan.holding import active
from modelctl.platform.types import Details, Live, LiveApp, NotThere, Platform
from modelctl.record import AppRecord, Entry, Index, read_app, read_index
from modelctl.rendered import TAG_DIGEST


async def look(
    platform: Platform,
    project: str | None,
    name: str,
    now: str,
    *,
    gone: bool = False,
    options: str = "",
) -> tuple[Found, Seen]:
    """Raises NotThere where no such app lives, and NotOurs where it is not this project's. With
    `gone` an app that was stopped, and is remembered, will do. `options` say where, to be typed
    again: `--local`."""
    live, index = await asyncio.gather(platform.observe(), read_index(platform, project))
    app = live.apps.get(name)
    if app is None and gone and index is not None and name in index.apps:
        return await _stopped(platform, project, name, now, live, index)
    if app is None:
        close = get_close_matches(name, live.apps, n=1)
        hint = f"did you mean {close[0]}?" if close else f"see modelctl status {options}".rstrip()
        raise NotThere(f"no app {name} lives in the {platform.where}", hint)
    details, history, record = await asyncio.gather(
        platform.details(app), platform.history(app), read_app(platform, project, name)
    )
    past = tuple(sorted(history, key=lambda one: -one.version))
    seen = Seen(
        live,
        index,
        {name: details},
        {name: record} if record else {},
        {name: past},
        now,
    )
    if whose := owner(app, seen, project):
        raise NotOurs(name, whose)
    entry = entry_of(app, index)
    hold = active(entry, now)
    if entry is None:
        if details.scaling is None:
            raise NotOurs(name, "it has no server of modelctl's")
        digest = details.tags.get(TAG_DIGEST, "")
        entry = Entry(app.app_id, app.version, digest, details.scaling, details.url)
    return Found(app, details, entry, record or AppRecord(entry), past, hold), seen


async def _stopped(
    platform: Platform, project: str | None, name: str, now: str, live: Live, index: Index
) -> tuple[Found, Seen]:
    entry = index.apps[name]
    record = await read_app(platform, project, name) or AppRecord(entry)
    app = LiveApp(name, entry.app_id, entry.version, "stopped", None, "", {})
    found = Found(app, Details({}, None, None), entry, record, (), active(entry, now))
    return found, Seen(live, index, {}, {name: record}, {}, now)


async def refuse_without_weights(platform: Platform, found: Found, back: Back, volume: str) -> None:
    """Raise Refusal where the version reads weights that lie in the Volume no more. What it reads
    may not have been written down: then its gate finds out."""
    folders = dict(found.entry.weights or ()).get(back.version, ())
    if not folders:
        return
    whole = {one.prefix for one in await platform.stored(volume) if one.complete}
    if lacking := [folder for folder in folders if folder not in whole]:
        raise Refusal(
            f"v{back.version} of {found.app.name} reads {', '.join(lacking)}, which the Volume "
            f"{volume} does not have any more",
            "apply a spec with that model: it is put there again",
        )
