"""What does a source mean? `hf://org/repo`, `volume://name/path`, `s3://…`, `./path`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from msgspec import Struct

Kind = Literal["hub", "volume", "bucket", "local", "none"]

_SCHEMES: dict[str, Kind] = {
    "hf": "hub",
    "volume": "volume",
    "s3": "bucket",
    "gs": "bucket",
    "r2": "bucket",
}

# The manifest of a folder, and what is still on its way into one.
_OURS = re.compile(r"^\.modelctl\.json|\.part$")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


class Source(Struct, frozen=True):
    """A source, taken apart. `where` is the repository, Volume or bucket; `path` what is in it.

    `scheme` is what stood before `://`; "" for a path. `unknown` names a scheme that is not ours.
    """

    kind: Kind
    scheme: str = ""
    where: str = ""
    path: str = ""
    unknown: str = ""

    @property
    def file(self) -> str:
        """The name of the one file that is meant; "" where it is a folder."""
        return self.path.rpartition("/")[2] if looks_like_gguf(self.path) else ""

    @property
    def folder(self) -> str:
        """The path of what can be mounted or listed: a file's own folder."""
        return self.path.rpartition("/")[0] if self.file else self.path


_NO_REVISION = re.compile(r"\.\.|^[/-]|/$|[\x00-\x20\x7f~^:?*\[\\]")
"""What `git check-ref-format` takes in no name, and what an option or a path begins with."""


def is_revision(text: str) -> bool:
    """Whether a branch, tag or commit may be called so."""
    return bool(text) and not _NO_REVISION.search(text)


def parse(text: str | None) -> Source:
    if not text:
        return Source("none")
    scheme, separator, rest = text.partition("://")
    if not separator:
        return Source("local", path=text)
    kind = _SCHEMES.get(scheme)
    if kind is None:
        return Source("none", scheme=scheme, unknown=scheme)
    if kind == "hub":
        return Source(kind, scheme, where=rest.strip("/"))
    where, _, path = rest.partition("/")
    return Source(kind, scheme, where=where, path=path.strip("/"))


def local_path(text: str, folder: Path) -> Path:
    """Where a `./path` of a spec in `folder` is."""
    path = Path(text)
    try:
        return folder / path.expanduser()
    except RuntimeError:  # ~ of somebody whom this machine does not know
        return folder / path


def is_plain(path: str) -> bool:
    """Whether a listing's path stays below its folder, and is none of our own files."""
    parts = path.split("/")
    return not ({"", ".", ".."} & set(parts) or _CONTROL.search(path) or _OURS.search(path))


def looks_like_gguf(text: str | None) -> bool:
    return bool(text) and str(text).lower().endswith(".gguf")
