"""What lies in a bucket? Its files with sizes, and one digest over what the bucket says of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from modelctl.resolved import RemoteFile, Selection
from modelctl.weights import config as configs
from modelctl.weights.hub import MAX_READ, Found, HubProblem, read_headers_of
from modelctl.weights.lock import Locked
from modelctl.weights.needed import belongs_to
from modelctl.weights.sources import is_plain, parse
from modelctl.weights.tensors import Read

_PROTOCOLS = {"s3": "s3", "r2": "s3", "gs": "gcs"}
_EXTRAS = {"s3": "s3", "gcs": "gcs"}
# What a bucket's own list says of a file's content, by the names of the two libraries.
_STAMPS = ("ETag", "etag", "md5Hash", "crc32c", "LastModified", "mtime")


def look_up(source: str, endpoint: str | None, selections: Iterable[Selection] = ()) -> Found:
    """The files below `s3://bucket/prefix`, or the one GGUF file that it names.

    Raises HubProblem with the way out. Of the weights that the selections mean, the headers are
    read. Credentials are those that the bucket's own tools find on this machine.
    """
    parsed = parse(source)
    base = f"{parsed.where}/{parsed.folder}".rstrip("/")
    filesystem = _filesystem(_PROTOCOLS[parsed.scheme], endpoint)
    try:
        deep = {"maxdepth": 1} if parsed.file else {}
        found: Mapping[str, Mapping[str, Any]] = filesystem.find(base, detail=True, **deep)
        files = {
            name: entry
            for path, entry in found.items()
            if entry.get("type") == "file" and is_plain(name := path[len(base) + 1 :])
            if not parsed.file or belongs_to(name, parsed.file)
        }
        said = _config(filesystem, base, files)
        remote = tuple(
            RemoteFile(path, int(files[path].get("size") or 0)) for path in sorted(files)
        )

        def open_(file: RemoteFile) -> Read:
            path = f"{base}/{file.path}"
            return lambda start, end: bytes(filesystem.cat_file(path, start=start, end=end))

        headers = read_headers_of(source, remote, selections, open_)
    except HubProblem:
        raise
    except (PermissionError, FileNotFoundError) as problem:
        raise HubProblem(
            "wrong",
            f"{source} cannot be listed: {problem}",
            "is its name right, and may these credentials list it?",
        ) from problem
    except Exception as problem:
        # The libraries raise what their clients raise: hundreds of classes of their own.
        kind = type(problem).__name__
        raise HubProblem(
            "again",
            f"{source} cannot be listed: {kind}: {problem}",
            "set the credentials as for the bucket's own command line, and try again",
        ) from problem
    if not files:
        raise HubProblem("wrong", f"nothing lies in {source}", "is its prefix right?")
    listing = [[file.path, file.size, _stamp(files[file.path])] for file in remote]
    digest = hashlib.sha256(json.dumps(listing).encode()).hexdigest()[:40]
    return Found(
        Locked(digest, remote, None, said, tensors=headers.tensors, gguf=headers.gguf), base
    )


def _stamp(entry: Mapping[str, Any]) -> str:
    return next((str(entry[name]) for name in _STAMPS if entry.get(name)), "")


def _filesystem(protocol: str, endpoint: str | None) -> Any:
    import fsspec

    options: dict[str, Any] = {"skip_instance_cache": True}
    if protocol == "s3" and endpoint is not None:
        options["client_kwargs"] = {"endpoint_url": endpoint}
    try:
        return fsspec.filesystem(protocol, **options)
    except ImportError as problem:
        extra = _EXTRAS[protocol]
        raise HubProblem(
            "wrong",
            f"this machine cannot list {protocol} buckets: {problem}",
            f"pip install 'modelctl[{extra}]'",
        ) from problem


def _config(filesystem: Any, base: str, files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    def read(path: str) -> Any:
        if int(files[path].get("size") or 0) > MAX_READ:
            return None
        try:
            return json.loads(filesystem.cat_file(f"{base}/{path}"))
        except (ValueError, RecursionError):
            return None

    return configs.gathered(files, read)
