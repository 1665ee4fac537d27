"""What has to lie in Volumes before engines start, and who puts it there? Each thing once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from modelctl.platform.types import Platform, Progress
from modelctl.resolved import Fetch, Resolved, Unknown, Upload

ListFiles = Callable[[Fetch], Awaitable[Fetch]]
"""Asks the source which files a fetch is of, where nothing locked them."""

Tell = Callable[[str, str], None]
"""Takes an app's name and one short phrase about its weights."""

_Place = tuple[str, str]

FETCHING = 4
"""How many apps that fetch run at once."""


class Stock(Struct):
    """The uploads and fetches that are under way, one task each, however many apps need them."""

    tasks: dict[Upload | _Place, asyncio.Task[int]] = field(default_factory=dict)

    async def settled(self, resolved: Resolved) -> None:
        """Wait until nothing that this app reads is under way any more, there or not."""
        if tasks := self._of(resolved):
            await asyncio.wait(tasks)

    async def ready(self, resolved: Resolved) -> None:
        """Wait until everything that this app reads is there. Raises a PlatformError."""
        for task in self._of(resolved):
            await asyncio.shield(task)

    def _of(self, resolved: Resolved) -> list[asyncio.Task[int]]:
        needs = (w.upload or (w.fetch and _place(w.fetch)) for w in resolved.sources)
        return [self.tasks[one] for one in needs if one in self.tasks]


def begin(
    wanted: Mapping[str, Resolved], platform: Platform, list_files: ListFiles, tell: Tell
) -> Stock:
    """Start to put there what these apps need. What nobody could run needs nothing."""
    stock, turns = Stock(), asyncio.Semaphore(FETCHING)
    uploads: dict[Upload, list[str]] = {}
    fetches: dict[_Place, tuple[list[str], list[Fetch]]] = {}
    for name, resolved in wanted.items():
        for weights in resolved.sources:
            if weights.upload is not None:
                uploads.setdefault(weights.upload, []).append(name)
            if weights.fetch is not None:
                names, parts = fetches.setdefault(_place(weights.fetch), ([], []))
                names.append(name)
                parts.append(weights.fetch)
    for upload, names in uploads.items():
        stock.tasks[upload] = asyncio.create_task(platform.upload(upload, _to(names, tell)))
    for place, (names, parts) in fetches.items():
        once = list(dict.fromkeys(parts))
        stock.tasks[place] = asyncio.create_task(
            _fetched(once, platform, list_files, _to(names, tell), turns)
        )
    return stock


async def _fetched(
    fetches: Sequence[Fetch],
    platform: Platform,
    list_files: ListFiles,
    progress: Progress,
    turns: asyncio.Semaphore,
) -> int:
    """What is there is not asked for again; of the rest the files are known before it is fetched.

    Parts of one commit go into one folder, by one app: an engine's model and another's tokenizer.
    """
    there = await asyncio.gather(*(platform.fetched(fetch) for fetch in fetches))
    missing = [fetch for fetch, found in zip(fetches, there, strict=True) if not found]
    if not missing:
        return 0
    listed = [
        await list_files(fetch) if isinstance(fetch.files, Unknown) else fetch for fetch in missing
    ]
    secret = next((fetch.secret for fetch in listed if fetch.secret), None)
    async with turns:
        return await platform.fetch([replace(fetch, secret=secret) for fetch in listed], progress)


def _place(fetch: Fetch) -> _Place:
    return fetch.volume, fetch.prefix


def _to(names: Iterable[str], tell: Tell) -> Progress:
    once = list(dict.fromkeys(names))

    def progress(phrase: str) -> None:
        for name in once:
            tell(name, phrase)

    return progress
