"""Which versions of an engine are known, in which image are they, and which flags are gone?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from modelctl.facts.tables import Source, source_of, table


class Version(Struct, frozen=True):
    """`image` is the engine's own, `cpu_image` a smaller one that needs no GPU; "" for none."""

    version: str
    image: str
    cpu_image: str
    source: Source


class RemovedFlag(Struct, frozen=True):
    """A flag that the known versions refuse, and what to write instead."""

    flag: str
    instead: str
    source: Source


class EngineFacts(Struct, frozen=True):
    default: str
    versions: Mapping[str, Version]
    removed: Mapping[str, RemovedFlag]
    kv_cache: tuple[str, ...]

    def image(self, version: str, *, on_cpu: bool = False) -> str:
        """The engine's own image; an unknown version is put where the known ones have theirs."""
        known = self.versions.get(version) or self.versions[self.default]
        image = (known.cpu_image if on_cpu else "") or known.image
        return image.replace(known.version, version)


@cache
def engine_facts(engine: str) -> EngineFacts:
    row = table("engines")[engine]
    return EngineFacts(
        default=row["default"],
        versions={
            version: Version(
                version, found.get("image", ""), found.get("cpu_image", ""), source_of(found)
            )
            for version, found in row["versions"].items()
        },
        removed={
            flag: RemovedFlag(flag, found["instead"], source_of(found))
            for flag, found in row["removed"].items()
        },
        kv_cache=tuple(row["kv_cache"]),
    )
