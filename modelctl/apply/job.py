"""What do all apps of one apply share, and what is written down of each as it goes?"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from msgspec import Struct, field
from msgspec.structs import replace

from modelctl.apply.types import By, Check, Gate, Stop, Tell
from modelctl.plan import Change, Desired, Seen
from modelctl.plan.holding import active, words
from modelctl.platform.types import LiveApp, Platform, PlatformError
from modelctl.record import (
    AppRecord,
    Entry,
    Event,
    Hold,
    Index,
    Spoken,
    read_app,
    recorded,
    remember,
)
from modelctl.resolved import Scaling
from modelctl.stock import Stock


class Memory(Struct, eq=False):
    """What is written down of the apps; one write at a time, so that none undoes another."""

    platform: Platform
    project: str | None
    check: Check
    index: Index | None
    records: dict[str, AppRecord] = field(default_factory=dict)
    """What is known of each app, as it was read, or as it is to be."""
    written: dict[str, AppRecord] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    there: frozenset[str] | None = None
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def note(self, name: str, entry: Entry, spoken: Spoken | None, *events: Event) -> None:
        """Take down what is so from now on; `keep` writes it."""
        if name not in self.records:
            # One that went away, and comes back, keeps its history.
            known = name in await self._written_down()
            found = await read_app(self.platform, self.project, name) if known else None
            self.records[name] = found or AppRecord(entry)
        self.records[name] = self.records[name].after(entry, spoken, *events)
        self.changed.add(name)

    async def _written_down(self) -> frozenset[str]:
        """The apps that anything was ever written down of; asked for once."""
        async with self.asking:
            if self.there is None:
                self.there = await recorded(self.platform, self.project)
        return self.there

    async def note_gone(self, name: str, event: Event) -> None:
        """Take down that it does not live any more; of what nobody wrote down, nothing."""
        entry = self.index.apps.get(name) if self.index else None
        if entry is not None:
            self.gone.add(name)
            await self.note(name, entry, None, event)

    async def keep(self) -> None:
        """Write what is not written yet, if anything. Who waited may find its own done."""
        async with self.turn:
            new = {n: r for n in self.changed if self.written.get(n) != (r := self.records[n])}
            left = {n: r for n, r in new.items() if n in self.gone}
            for name in left:
                del new[name]
            if not new and not left:
                return
            await self.check()
            self.index = await remember(self.platform, self.project, self.index, new, left)
            self.written.update({**new, **left})

    async def keep_now(self) -> None:
        """The same before a long wait. A failure to write is told by the write at the end."""
        with suppress(PlatformError):
            await self.keep()


class Job(Struct, frozen=True):
    """What every app of one apply is done with. `check` is asked before each change."""

    platform: Platform
    seen: Seen
    gate: Gate
    tell: Tell
    stock: Stock
    memory: Memory
    by: By
    check: Check
    stop: Stop

    def live(self, name: str) -> LiveApp | None:
        return self.seen.live.apps.get(name)

    def entry(self, name: str) -> Entry | None:
        """What was recorded of the app that lives; not of an earlier one of its name."""
        app = self.live(name)
        entry = self.seen.index.apps.get(name) if self.seen.index else None
        return entry if app and entry and entry.app_id == app.app_id else None

    def event(
        self,
        did: str,
        change: Change,
        *,
        version: int | None,
        result: str = "done",
        why: str = "",
    ) -> Event:
        fields = tuple((f.path, f.before, f.after) for f in change.fields)
        return Event(self.by.now(), self.by.who, self.by.commit, did, version, result, why, fields)

    def ended(self) -> Event:
        """The end of an app that nobody wrote down."""
        why = "it does not live any more, and no spec has it"
        return Event(self.by.now(), self.by.who, self.by.commit, "found gone", why=why)

    def overridden(self, change: Change) -> tuple[Event, ...]:
        """That a person's hold was taken back, where this change does that."""
        hold = active(self.entry(change.name), self.by.now())
        if hold is None or change.hold is not None:
            return ()
        why = f"overridden by this apply: {words(hold)}"
        by = self.by
        return (Event(by.now(), by.who, by.commit, "released", change.version, why=why),)

    async def scale(self, app: LiveApp, scaling: Scaling) -> None:
        await self.check()
        await self.platform.scale(app, scaling)


def spoken_of(desired: Desired) -> Spoken:
    rendered = desired.rendered
    return Spoken(rendered.digest, desired.fields, rendered.text, rendered.tags)


def entry_for(
    desired: Desired,
    app: LiveApp,
    *,
    scaling: Scaling,
    url: str | None,
    commit: str,
    before: Entry | None,
    unproven: str = "",
    hold: Hold | None = None,
) -> Entry:
    """What the index says of an app that is what its spec says. What was good or condemned before
    stays so, until something else is known; a hold that is over or overridden is gone."""
    digest, resolved = desired.rendered.digest, desired.rendered.resolved
    entry = Entry(
        app_id=app.app_id,
        version=app.version,
        digest=digest,
        scaling=scaling,
        url=url or (before.url if before else None),
        protect=resolved.protect,
        usd_per_hour=desired.usd_per_hour,
        weights=((app.version, resolved.stored),),
        unproven=unproven,
        good=(app.version, digest) if not unproven else before.good if before else None,
        commit=commit,
        hold=hold,
    )
    if before is None:
        return entry
    return replace(entry, condemned=before.condemned if unproven else None)
