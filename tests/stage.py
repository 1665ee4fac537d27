"""What do tests of apply's order stand on? A platform in the domain's own words, and an endpoint.

This one is not real: it is for the orders of events that no real platform gives on demand. The
whole way against the SDK is in tests/cli.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec.structs import replace

from modelctl.apply import By, Gate, Outcome, apply
from modelctl.plan import Change, Desired, Plan, Seen
from modelctl.platform.types import (
    Capabilities,
    Deployed,
    Deployment,
    Details,
    Live,
    LiveApp,
    LogLine,
    Progress,
    silent,
)
from modelctl.record import AppRecord, Index, read_index
from modelctl.rendered import Rendered
from modelctl.resolved import Fetch, RemoteFile, Scaling, Upload
from tests.making import EVERYTHING, NOW, seen

BY = By("ana@laptop", "8f3ab1e", lambda: NOW)


@dataclass
class Stage:
    """A platform that does what the test says, and keeps what was asked of it.

    `live` are the apps that live; `rows` are the containers that each look shows in turn; `said` is
    in an app's log, since `said_at` if that is not now.
    """

    environment: str = "main"
    where: str = "stage"
    fails: dict[str, Exception] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    said_at: datetime | None = None
    rows: list[frozenset[str]] = field(default_factory=list)
    live: dict[str, LiveApp] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    scaled: dict[str, Scaling] = field(default_factory=dict)
    tagged: dict[str, Mapping[str, str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)

    async def open(self) -> None: ...

    async def workspace(self) -> str:
        return "acme"

    def capabilities(self) -> Capabilities:
        return EVERYTHING

    async def observe(self) -> Live:
        return Live(self.environment, dict(self.live))

    async def details(self, app: LiveApp) -> Details:
        return Details({}, None, None)

    async def history(self, app: LiveApp) -> Sequence[Deployment]:
        return ()

    async def containers(self, app: LiveApp) -> frozenset[str]:
        if not self.rows:
            return frozenset()
        return self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]

    def _next(self, name: str) -> LiveApp:
        before = self.live.get(name)
        made = LiveApp(name, f"ap-{name}", 1, "deployed", None, "ana", {"Server": "fu-1"})
        self.live[name] = replace(before, version=before.version + 1) if before else made
        return self.live[name]

    async def deploy(
        self, rendered: Rendered, *, tag: str, strategy: str, progress: Progress = silent
    ) -> Deployed:
        self._maybe_fail(f"deploy {rendered.name}", rendered.name)
        await asyncio.sleep(0)
        self.done.append(f"deploy {rendered.name}")
        app = self._next(rendered.name)
        return Deployed(app.app_id, app.version, f"http://{rendered.name}", at=datetime.now(UTC))

    async def roll_back(self, app: LiveApp, version: int, tags: Mapping[str, str]) -> LiveApp:
        self._maybe_fail(f"roll back {app.name}")
        self.done.append(f"roll back {app.name} to v{version}")
        self.tagged[app.name] = tags
        return self._next(app.name)

    async def roll_over(self, app: LiveApp) -> LiveApp:
        self.done.append(f"roll over {app.name}")
        return self._next(app.name)

    async def look(self, app: LiveApp) -> LiveApp:
        now = self.live.get(app.name)
        return now if now else replace(app, state="stopped")

    async def set_tags(self, app: LiveApp, tags: Mapping[str, str]) -> None:
        self.tagged[app.name] = tags

    async def stop(self, app: LiveApp) -> None:
        self._maybe_fail(f"stop {app.name}")
        self.done.append(f"stop {app.name}")
        self.live.pop(app.name, None)

    async def scale(self, app: LiveApp, scaling: Scaling) -> None:
        self._maybe_fail(f"scale {app.name}")
        self.scaled[app.name] = scaling

    def _maybe_fail(self, *whats: str) -> None:
        for what in whats:
            if what in self.fails:
                raise self.fails[what]

    async def upload(self, upload: Upload, progress: Progress) -> int:
        self.done.append(f"upload {upload.prefix}")
        return 1

    async def fetched(self, fetch: Fetch) -> bool:
        return fetch.prefix in self.there

    async def fetch(self, fetches: Sequence[Fetch], progress: Progress) -> int:
        sources = " ".join(fetch.source for fetch in fetches)
        self.done.append(f"fetch {sources}")
        self._maybe_fail(sources)
        progress("fetching")
        return 1

    async def read(self, volume: str, path: str) -> bytes | None:
        return self.files.get(f"{volume}/{path}")

    async def listed(self, volume: str, folder: str) -> Mapping[str, int]:
        base = f"{volume}/{folder}/"
        found = {p: len(c) for p, c in self.files.items() if p.startswith(f"{volume}/")}
        if not found:
            raise LookupError(volume)
        return {p.removeprefix(base): n for p, n in found.items() if p.startswith(base)}

    async def write(self, volume: str, files: Mapping[str, bytes]) -> None:
        self.files.update({f"{volume}/{path}": content for path, content in files.items()})

    async def logs(self, app: LiveApp, *, tail: int, follow: bool) -> AsyncIterator[LogLine]:
        if text := self.said.get(app.name):
            yield LogLine(self.said_at or datetime.now(UTC), "stdout", text, "ta-stage")
        await asyncio.Event().wait()


class Answers:
    """An endpoint that answers from a table; `None` never answers."""

    def __init__(self, status: int | None = 200) -> None:
        self.status = status
        self.now = 0.0
        self.asked = 0

    async def ask(self, url: str, headers: Mapping[str, str]) -> int | None:
        self.asked += 1
        if self.status is None:
            await asyncio.Event().wait()
        return self.status

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def gate(self, headers: Mapping[str, str] | None = None) -> Gate:
        return Gate(headers or {}, self.ask, self.clock, self.sleep)


async def listed(fetch: Fetch) -> Fetch:
    """The Hub's answer to which files a commit has."""
    return replace(fetch, files=(RemoteFile("model.safetensors", 7, sha256="a" * 64),))


async def applied(
    wanted: Sequence[Desired],
    changes: Sequence[Change],
    stage: Stage,
    *,
    gate: Gate | None = None,
    index: Index | None = None,
    records: Mapping[str, AppRecord] | None = None,
    width: int = 4,
    **more: object,
) -> dict[str, Outcome]:
    """What becomes of these changes; `stage.live` is what was seen for them."""
    found: Seen = replace(seen(*stage.live.values(), records=dict(records or {})), index=index)
    outcomes = await apply(
        Plan("main", "stage", tuple(changes)),
        wanted,
        platform=stage,
        seen=found,
        project="team",
        by=BY,
        gate=gate or Answers().gate(),
        list_files=listed,
        width=width,
        **{"tell": lambda step: None, **more},  # type: ignore[arg-type]
    )
    return {o.name: o for o in outcomes}


def carried_out(
    wanted: Sequence[Desired], changes: Sequence[Change], stage: Stage, **more: object
) -> dict[str, Outcome]:
    return asyncio.run(applied(wanted, changes, stage, **more))  # type: ignore[arg-type]


def remembered(stage: Stage) -> Index:
    index = asyncio.run(read_index(stage, "team"))
    assert index is not None
    return index
