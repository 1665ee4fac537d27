"""What is in the Volumes that specs name? Read from Modal as far as it lets itself be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from modelctl.platform.types import PlatformError
from modelctl.resolve import engine_of
from modelctl.resolve.sources import selections_of
from modelctl.resolved import Selection
from modelctl.spec.wanted import Wanted
from modelctl.weights import volume
from modelctl.weights.at_once import beside
from modelctl.weights.headers import lacking
from modelctl.weights.hub import Found, HubProblem
from modelctl.weights.lock import Lock, key
from modelctl.weights.sources import parse
from modelctl.weights.tensors import Read

if TYPE_CHECKING:
    from modelctl.platform.types import Platform


class InVolume(Struct, frozen=True):
    """A source in a Volume, and the environment of the first spec that names it."""

    source: str
    environment: str
    selections: frozenset[Selection] = field(default_factory=frozenset)


def volumes_named(specs: Iterable[Wanted]) -> dict[str, InVolume]:
    """Every source in a Volume that one of the specs names, by its key in the lock."""
    found: dict[str, InVolume] = {}
    for wanted in specs:
        chosen = selections_of(wanted.spec, gguf=engine_of(wanted.spec).takes_gguf)
        for source, selection in chosen.items():
            parsed = parse(source)
            if parsed.kind == "volume" and parsed.where:
                overlay = wanted.environment.partition("+")[0]
                environment = "" if overlay == "local" else overlay
                known = found.setdefault(key(source), InVolume(source, environment))
                both = known.selections | {selection}
                found[key(source)] = replace(known, selections=both)
    return found


def unread(named: Mapping[str, InVolume], lock: Lock) -> dict[str, InVolume]:
    """Those of which the lock has nothing, or less than would be read now."""
    return {
        name: item
        for name, item in named.items()
        if name not in lock.sources
        or lacking(lock.sources[name], volume.selections_in(item.source, item.selections))
    }


def read_all(
    named: Mapping[str, InVolume], platform: Platform
) -> tuple[dict[str, Found], dict[str, str]]:
    """What was found, and why the others could not be read."""
    return asyncio.run(_read_all(named, platform))


async def _read_all(
    named: Mapping[str, InVolume], platform: Platform
) -> tuple[dict[str, Found], dict[str, str]]:
    try:
        await platform.open()
    except PlatformError as problem:
        return {}, dict.fromkeys(named, problem.message)
    found: dict[str, Found] = {}
    problems: dict[str, str] = {}
    for name, item in named.items():
        try:
            found[name] = await _read(item, platform)
        except (PlatformError, HubProblem) as problem:
            problems[name] = problem.message.removeprefix(f"{item.source}: ")
    return found, problems


async def _read(item: InVolume, platform: Platform) -> Found:
    where, folder = parse(item.source).where, volume.folder_of(item.source)
    sizes = await platform.listed(where, folder)
    loop = asyncio.get_running_loop()

    def open_(path: str) -> Read:
        have = b""

        def read(start: int, end: int) -> bytes:
            nonlocal have
            if end > len(have):
                taking = platform.beginning(where, f"{folder}/{path}".lstrip("/"), end)
                have = asyncio.run_coroutine_threadsafe(taking, loop).result()
            return have[start:end]

        return read

    return await beside(partial(volume.look_up, item.source, item.selections, sizes, open_))
