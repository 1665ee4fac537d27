"""Is there room for what is mounted, and does it say what it is?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from modelctl.checks.case import Case, Rule, wrong
from modelctl.engines.base import CACHE_PATH, WEIGHTS_PATH, Finding
from modelctl.spec.quoting import quote
from modelctl.spec.wanted import Path_
from modelctl.weights.sources import parse

BUCKETS = ("s3", "gs", "r2")
_MODALS = ("/root", "/tmp")  # noqa: S108 - modal 1.6.4 refuses both, see validate_mount_points
# Folders that no image leaves empty: Modal mounts nothing over what is there.
_SYSTEM = {
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys", "/usr"),
    *("/usr/bin", "/usr/lib", "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/share"),
    *("/home", "/var", "/var/lib", "/etc/ssl"),
}
_OF_THE_IMAGE = {"vllm": ("/vllm-workspace",), "llama-server": ("/app",)}
# Absolute and canonical: no empty part, no dot, no way up.
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[^/\x00]+)+/?")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
# is_valid_object_name of modal 1.6.4.
_OBJECT = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_APP_ID = re.compile(r"ap-[a-zA-Z0-9]{22}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS = re.compile(r"https://[A-Za-z0-9.-]+(:\d+)?/?")


def mounts(case: Case) -> Iterator[Finding]:
    volumes, buckets = case.spec.volumes or {}, case.spec.buckets or {}
    said: list[tuple[Path_, str]] = [(("volumes", path), path) for path in volumes]
    said += [(("buckets", path), path) for path in buckets]
    for where, path in said:
        if path.rstrip("/") in _MODALS:
            yield wrong(
                where,
                "mounts/taken",
                f"{path} is a folder of Modal's own: nothing is mounted there",
                f"{path.rstrip('/')}/data, or a path of its own",
                key=True,
            )
        elif path.rstrip("/") in _SYSTEM:
            yield wrong(
                where,
                "mounts/taken",
                f"{path} is a folder of the image's own: nothing is mounted over it",
                "a path of its own, such as /data",
                key=True,
            )
        elif path.rstrip("/") in _folders_of_the_engine(case):
            yield wrong(
                where,
                "mounts/taken",
                f"{path} is where the image has {case.setting.server}: nothing is mounted over it",
                "a path of its own, such as /data",
                key=True,
            )
        elif not _PATH.fullmatch(path):
            yield wrong(where, "mounts/path", f"{path} is no mount path", "such as /data", key=True)
        elif any(_overlap(path, taken) for taken in (WEIGHTS_PATH, CACHE_PATH)):
            yield wrong(
                where,
                "mounts/taken",
                f"{path} is where modelctl mounts the weights and caches",
                "any path outside /models and /cache, such as /data",
                key=True,
            )
    yield from _same_path(said)
    for path, volume in volumes.items():
        if not volume.name:
            yield wrong(
                ("volumes", path), "mounts/name", f"{path} names no Volume", f"{path}: my-volume"
            )


def _folders_of_the_engine(case: Case) -> Sequence[str]:
    """Where the engine's official image has its programs."""
    image = case.spec.image
    official = image is None or not (image.base or image.dockerfile or image.install == "pip")
    return _OF_THE_IMAGE.get(case.setting.server, ()) if official else ()


def object_names(case: Case) -> Iterator[Finding]:
    """What Modal's client refuses as the name of a Volume or a Secret, and what is no variable."""
    spec = case.spec
    model, image = spec.model, spec.image
    key = spec.endpoint.api_key if spec.endpoint else None
    said: list[tuple[Path_, str, str | None, bool]] = [
        (("model", "secret"), "Secret", model.secret if model else None, False),
        (("endpoint", "api_key", "secret"), "Secret", key.secret if key else None, False),
        (("image", "secret"), "Secret", image.secret if image else None, False),
    ]
    said += [(("secrets", name), "Secret", name, True) for name in spec.secrets or {}]
    said += [
        (("volumes", path, "name"), "Volume", volume.name or None, False)
        for path, volume in (spec.volumes or {}).items()
    ]
    for where, kind, name, at_key in said:
        if name is not None and (not _OBJECT.fullmatch(name) or _APP_ID.fullmatch(name)):
            yield wrong(
                where,
                "mounts/object-name",
                f"{quote(name)!r} cannot be the name of a {kind} of Modal",
                "1 to 64 letters, digits, dots, dashes and underscores",
                key=at_key,
            )
    for name, keys in (spec.secrets or {}).items():
        for index, variable in enumerate(keys or ()):
            if not _VARIABLE.fullmatch(variable):
                yield wrong(
                    ("secrets", name, index),
                    "env/name",
                    f"{quote(variable)!r} cannot be a variable's name",
                    "letters, digits and underscores, the first no digit",
                )


def _same_path(said: Sequence[tuple[Path_, str]]) -> Iterator[Finding]:
    seen: dict[str, Path_] = {}
    for where, path in said:
        first = seen.setdefault(path.rstrip("/"), where)
        if first is not where:
            yield wrong(
                where,
                "mounts/same-path",
                f"{path} is where {first[0]} mounts something already",
                "a path of its own",
                key=True,
            )


def bucket_address(case: Case) -> Iterator[Finding]:
    for path, said in (case.spec.buckets or {}).items():
        text, where = said.bucket or "", ("buckets", path)
        scheme = text.partition("://")[0] if "://" in text else "s3"
        name = parse(text).where if "://" in text else text
        if not text:
            yield wrong(where, "mounts/name", f"{path} names no bucket", f"{path}: my-bucket")
        elif scheme not in BUCKETS:
            yield wrong(
                (*where, "bucket"),
                "mounts/bucket",
                f"{scheme}:// is no bucket",
                "s3://name, gs://name, or r2://name with its endpoint",
            )
        elif not _BUCKET.fullmatch(name):
            yield wrong(
                (*where, "bucket"),
                "mounts/bucket",
                f"{name!r} cannot be a bucket's name",
                "lower-case letters, digits, dots and dashes; what is in it is prefix",
            )
        elif scheme == "r2" and said.endpoint is None:
            yield wrong(
                where,
                "mounts/endpoint",
                "a bucket of R2 is found by its account's address, and none is given",
                "endpoint: https://ACCOUNT.r2.cloudflarestorage.com",
            )
        if said.endpoint is not None and not _ADDRESS.fullmatch(said.endpoint):
            yield wrong(
                (*where, "endpoint"),
                "mounts/endpoint",
                f"{said.endpoint!r} is no address of buckets",
                "https:// and a host, such as https://ACCOUNT.r2.cloudflarestorage.com",
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


RULES: tuple[Rule, ...] = (mounts, object_names, bucket_address, one_volume_twice)
