"""What does the app look like that fetches a model's files into a Volume?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from modelctl.literals import Call, Chain, Rows
from modelctl.render import bucket_call, fill, packaged
from modelctl.resolved import FETCH_APP, Fetch, RemoteFile

APP_NAME = FETCH_APP
CLIENT = "huggingface_hub==2.4.0"
PYTHON = "3.12"
TOKEN = "HF_TOKEN"  # noqa: S105 - the variable that the Hub's client reads

# Nobody needs to know that a machine fetched something.
_ENV = {"HF_HUB_DISABLE_TELEMETRY": "1"}


def render_fetch(
    fetches: Sequence[Fetch], *, variables: Mapping[str, str], templates: Path | None = None
) -> str:
    """One app for fetches of one commit into one folder. `variables` are for its environment."""
    first = fetches[0]
    files = {file.path: file for fetch in fetches for file in files_of(fetch)}
    if first.bucket is not None:
        return fill(templates or packaged(), "weights/bucket.py.j2", _copying(fetches, files))
    view: dict[str, Any] = {
        "name": APP_NAME,
        "repository": first.source.partition("://")[2],
        "commit": first.commit,
        "folder": str(PurePosixPath("/weights", first.prefix.strip("/"))),
        "files": Rows([_row(files[path]) for path in sorted(files)]) if files else [],
        "selections": Rows({f.selection.key: [file.path for file in files_of(f)] for f in fetches}),
        "image": Chain(
            (
                Call("modal.Image.debian_slim", (), {"python_version": PYTHON}),
                Call(".uv_pip_install", (CLIENT,)),
                Call(".env", (dict(_ENV),)),
            )
        ),
        "volume": Call("modal.Volume.from_name", (first.volume,), {"create_if_missing": True}),
        "secrets": [Call("modal.Secret.from_name", (first.secret,), {"required_keys": [TOKEN]})]
        if first.secret
        else [],
        "env": dict(variables),
    }
    return fill(templates or packaged(), "weights/hub.py.j2", view)


def files_of(fetch: Fetch) -> tuple[RemoteFile, ...]:
    """The files, which are known by the time that anything is fetched."""
    assert isinstance(fetch.files, tuple), fetch.files
    return fetch.files


def _copying(fetches: Sequence[Fetch], files: Mapping[str, RemoteFile]) -> dict[str, Any]:
    first = fetches[0]
    assert first.bucket is not None
    return {
        "name": APP_NAME,
        "source": first.source,
        "commit": first.commit,
        "folder": str(PurePosixPath("/weights", first.prefix.strip("/"))),
        "files": Rows([(path, files[path].size) for path in sorted(files)]) if files else [],
        "selections": Rows({f.selection.key: [file.path for file in files_of(f)] for f in fetches}),
        "image": Call("modal.Image.debian_slim", (), {"python_version": PYTHON}),
        "volume": Call("modal.Volume.from_name", (first.volume,), {"create_if_missing": True}),
        "bucket": bucket_call(first.bucket),
    }


def _row(file: RemoteFile) -> tuple[str, int, str, str]:
    if file.sha256 is not None:
        return file.path, file.size, "sha256", file.sha256
    return file.path, file.size, "git", file.git_sha1 or ""
