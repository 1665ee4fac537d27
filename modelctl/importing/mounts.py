"""What is mounted into a container, and which source of a spec is a path below it?"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from modelctl.importing.values import Called, Unread, Value

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_ON_THE_HUB = re.compile(
    r"https://huggingface\.co/(?P<repo>[\w.-]+/[\w.-]+)/(?:resolve|blob)/(?P<revision>[\w.-]+)/(?P<file>[\w./-]+)"
)
WEIGHTS_VOLUME = "modelctl-weights"


class Mount(Struct, frozen=True):
    """A Volume, or a bucket as a spec writes it (`s3://name`). `name` is Unread where it is none
    of the app's own words."""

    path: str
    kind: str
    name: str
    read_only: bool = False
    prefix: str = ""
    secret: str | None = None
    endpoint: str | None = None


class Source(Struct, frozen=True):
    """Where a model is, in a spec's words. `mount` is the path that it was read through."""

    text: str
    revision: str | None = None
    file: str | None = None
    secret: str | None = None
    endpoint: str | None = None
    mount: str | None = None


def mounts_of(value: Value) -> tuple[list[Mount], list[Unread]]:
    found: list[Mount] = []
    unread: list[Unread] = []
    if isinstance(value, Unread):
        return [], [value]
    for path, what in (value if isinstance(value, Mapping) else {}).items():
        mount = _mount(str(path), what)
        if isinstance(mount, Unread):
            unread.append(mount)
        else:
            found.append(mount)
    return found, unread


def _mount(path: str, what: Value) -> Mount | Unread:
    if not isinstance(what, Called):
        why = what.why if isinstance(what, Unread) else "it is no Volume and no bucket"
        return Unread(f"what is mounted at {path}: {why}", getattr(what, "line", 1))
    read_only, call = False, what
    while call.on is not None and call.last in ("with_mount_options", "read_only"):
        read_only = read_only or call.last == "read_only" or bool(call.options.get("read_only"))
        call = call.on
    name = call.args[0] if call.args else call.options.get("name", call.options.get("bucket_name"))
    if call.last in ("from_name", "persisted", "lookup") and "Volume" in call.name:
        if isinstance(name, str):
            return Mount(path, "volume", name, read_only)
    elif call.last == "CloudBucketMount" and isinstance(name, str):
        return _bucket(path, name, call.options)
    return Unread(f"what is mounted at {path}: {call.name}()", call.line)


def _bucket(path: str, name: str, options: Mapping[str, Value]) -> Mount:
    address = options.get("bucket_endpoint_url")
    endpoint = address if isinstance(address, str) else None
    scheme = "s3"
    if endpoint and endpoint.rstrip("/") == "https://storage.googleapis.com":
        scheme, endpoint = "gs", None
    elif endpoint and "r2.cloudflarestorage.com" in endpoint:
        scheme = "r2"
    prefix = options.get("key_prefix")
    return Mount(
        path,
        "bucket",
        f"{scheme}://{name}",
        bool(options.get("read_only")),
        prefix.strip("/") if isinstance(prefix, str) else "",
        secret_name(options.get("secret")),
        endpoint,
    )


def secret_name(value: Value) -> str | None:
    if isinstance(value, Called) and value.last == "from_name" and value.args:
        return value.args[0] if isinstance(value.args[0], str) else None
    return None


def source_of(text: str, mounts: list[Mount]) -> Source | None:
    """None for a path that is in no mount, and for what is no source at all."""
    if match := _ON_THE_HUB.match(text):
        revision = match["revision"] if match["revision"] != "main" else None
        return Source(f"hf://{match['repo']}", revision, match["file"])
    if re.match(r"(hf|s3|gs|r2|volume)://", text):
        return Source(text)
    if _REPOSITORY.fullmatch(text):
        return Source(f"hf://{text}")
    inside = [m for m in mounts if f"{text}/".startswith(f"{m.path.rstrip('/')}/")]
    if not inside:
        return None
    mount = max(inside, key=lambda m: len(m.path))
    rest = text[len(mount.path.rstrip("/")) :].strip("/")
    if mount.kind == "bucket":
        whole = "/".join(part for part in (mount.name, mount.prefix, rest) if part)
        return Source(whole, None, None, mount.secret, mount.endpoint, mount.path)
    parts = rest.split("/")
    if mount.name == WEIGHTS_VOLUME and len(parts) >= 3:  # `/org/repo/commit/…`, as apply puts it
        revision = parts[2] if _COMMIT.fullmatch(parts[2]) else None
        revision = revision or (parts[2] if parts[2] != "main" else None)
        file = "/".join(parts[3:]) or None
        return Source(f"hf://{parts[0]}/{parts[1]}", revision, file, mount=mount.path)
    return Source(f"volume://{mount.name}/{rest}".rstrip("/"), mount=mount.path)
