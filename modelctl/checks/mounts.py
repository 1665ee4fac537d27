"""Is there room for what is mounted, and does it say what it is?"""

from __future__ import annotations

from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, wrong
from modelctl.engines.base import CACHE_PATH, WEIGHTS_PATH, Finding
from modelctl.spec.wanted import Path_


def mounts(case: Case) -> Iterator[Finding]:
    volumes, buckets = case.spec.volumes or {}, case.spec.buckets or {}
    said: list[tuple[Path_, str]] = [(("volumes", path), path) for path in volumes]
    said += [(("buckets", path), path) for path in buckets]
    for where, path in said:
        if not path.startswith("/") or path.rstrip("/") == "" or ".." in path.split("/"):
            yield wrong(where, "mounts/path", f"{path} is no mount path", "such as /data", key=True)
        elif any(_overlap(path, taken) for taken in (WEIGHTS_PATH, CACHE_PATH)):
            yield wrong(
                where,
                "mounts/taken",
                f"{path} is where modelctl mounts the weights and caches",
                "any path outside /models and /cache, such as /data",
                key=True,
            )
    for path, volume in volumes.items():
        if not volume.name:
            yield wrong(
                ("volumes", path), "mounts/name", f"{path} names no Volume", f"{path}: my-volume"
            )
    for path, bucket in buckets.items():
        if not bucket.bucket:
            yield wrong(
                ("buckets", path), "mounts/name", f"{path} names no bucket", f"{path}: my-bucket"
            )


def one_volume_twice(case: Case) -> Iterator[Finding]:
    """Modal mounts a Volume at one path of a container; what modelctl mounts itself counts too."""
    said = case.spec.volumes or {}
    places = {m.volume: m.path for m in case.resolved.mounts if m.path not in said}
    for path, mount in said.items():
        if mount.name and mount.name in places:
            yield wrong(
                ("volumes", path),
                "mounts/volume-twice",
                f"the Volume {mount.name} is mounted at {places[mount.name]} already",
                "mount it once; a container sees all of it there",
            )
        elif mount.name:
            places[mount.name] = path


def _overlap(path: str, taken: str) -> bool:
    path = path.rstrip("/")
    return path == taken or path.startswith(f"{taken}/")


RULES: tuple[Rule, ...] = (mounts, one_volume_twice)
