"""Where is everything that the engine reads, inside the container? Sources, their mounts, paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, count
from pathlib import PurePosixPath
from typing import Literal

from msgspec import Struct

from modelctl.engines.base import WEIGHTS_PATH
from modelctl.resolved import Bucket, Fetch, Mount, Selection, Unknown, Upload, Weights
from modelctl.spec import models
from modelctl.spec.models import Spec
from modelctl.weights.facts import NOT_LOCKED, ModelFacts
from modelctl.weights.needed import needed
from modelctl.weights.read import gguf_file
from modelctl.weights.sources import Source, is_revision, parse

WEIGHTS_VOLUME = "modelctl-weights"
# Where that Volume goes when something else is at WEIGHTS_PATH: the model, or a mount of the spec.
BESIDE_PATH = "/weights"

Purpose = Literal["model", "gguf", "adapter", "tokenizer", "draft"]
"""What a source is for: `gguf` is one file of llama.cpp's, the others are folders."""

Layout = Literal["", "hf", "mistral", "both"]
# vLLM's flags that choose among the formats of a repository, and the words that leave it open.
_FORMATS = ("config-format", "load-format")
_OPEN = ("auto", "dummy")

NO_MODEL = models.Model.model_construct()

_ENDPOINTS = {"gs": "https://storage.googleapis.com"}
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Sources(Struct, frozen=True):
    """The model, what stands beside it, and what has to be mounted for both."""

    weights: Weights
    beside: tuple[Weights, ...]
    mounts: tuple[Mount, ...]
    buckets: tuple[Bucket, ...]

    def path_of(self, source: str | None) -> str | Unknown:
        """Where a source that the spec names beside the model is in the container."""
        for weights in self.beside:
            if weights.source == source:
                return weights.argument
        return Unknown("not a source")


def sources_beside(spec: Spec) -> dict[str, Purpose]:
    """What the spec names beside the model, each once, and what it is for."""
    model = spec.model or NO_MODEL
    found: dict[str, Purpose] = {}
    if model.tokenizer:
        found[model.tokenizer] = "tokenizer"
    for adapter in (model.adapters or {}).values():
        if adapter.source:
            found[adapter.source] = "adapter"
    if spec.speculative is not None and spec.speculative.model:
        found[spec.speculative.model] = "draft"
    return found


def selections_of(spec: Spec, *, gguf: bool) -> dict[str, Selection]:
    """Which part of each source the spec means, by the source's text."""
    said, layout = spec.model or NO_MODEL, _layout(spec)
    found = {
        source: _selection(
            _said_beside(said, source, purpose, gguf=gguf), _purpose(purpose, gguf=gguf), layout
        )
        for source, purpose in sources_beside(spec).items()
    }
    if said.source:
        found[said.source] = _selection(said, "gguf" if gguf else "model", layout)
    return found


def _selection(said: models.Model, purpose: Purpose, layout: Layout) -> Selection:
    layout = layout if purpose in ("model", "draft") else ""
    return Selection(purpose, said.file, said.mmproj, bool(said.trust_remote_code), layout)


def _purpose(purpose: Purpose, *, gguf: bool) -> Purpose:
    """What stands beside a model that is one file is one file too, but for a tokenizer."""
    return "gguf" if gguf and purpose in ("draft", "adapter") else purpose


def sources_of(spec: Spec, facts: ModelFacts, *, gguf: bool) -> Sources:
    """Resolve every source. `gguf` says whether the engine takes one file or a whole folder."""
    said = spec.model or NO_MODEL
    places = _Places(spec, _layout(spec))
    weights = places.resolve(
        said.source or "",
        facts,
        said,
        purpose="gguf" if gguf else "model",
        main=True,
    )
    beside = tuple(
        places.resolve(
            source,
            facts.beside.get(source, ModelFacts(kind=parse(source).kind)),
            _said_beside(said, source, purpose, gguf=gguf),
            purpose=_purpose(purpose, gguf=gguf),
        )
        for source, purpose in sources_beside(spec).items()
    )
    return Sources(weights, beside, tuple(places.mounts.values()), tuple(places.buckets.values()))


def _said_beside(model: models.Model, source: str, purpose: Purpose, *, gguf: bool) -> models.Model:
    """What `model` says that holds for a source beside it as well."""
    scheme, own = parse(source).scheme, parse(model.source).scheme
    # The address of an account of R2 is neither Google's nor Amazon's.
    elsewhere = scheme == "gs" or (scheme, own) == ("s3", "r2")
    one_file = gguf and purpose in ("draft", "adapter")
    return models.Model.model_construct(
        secret=model.secret,
        endpoint=None if elsewhere else model.endpoint,
        copy_=None if one_file else model.copy_,
        trust_remote_code=model.trust_remote_code if purpose != "adapter" else None,
    )


def _layout(spec: Spec) -> Layout:
    """The format that the engine's own flags ask for, on any of the GPUs; "" where they do not."""
    said = [spec.backend.args if spec.backend else None, *(gpu.args for gpu in spec.gpu or ())]
    asked = {
        str(value)
        for args in said
        for name, value in (args or {}).items()
        if name.lstrip("-").replace("_", "-") in _FORMATS and value not in _OPEN
    }
    if "mistral" in asked:
        return "mistral" if asked == {"mistral"} else "both"
    return "hf" if asked else ""


class _Places:
    """Hands out mount paths: a Volume has one; one that the spec mounts itself keeps its own."""

    def __init__(self, spec: Spec, layout: Layout) -> None:
        self.layout = layout
        self.mounts: dict[str, Mount] = {}
        self.buckets: dict[str, Bucket] = {}
        self._paths = {
            mount.name: path for path, mount in (spec.volumes or {}).items() if mount.name
        }
        self._taken = {*(spec.volumes or ()), *(spec.buckets or ())}

    def resolve(
        self,
        text: str,
        facts: ModelFacts,
        said: models.Model,
        *,
        purpose: Purpose,
        main: bool = False,
    ) -> Weights:
        source = parse(text)
        if source.kind == "local":
            return self._uploaded(text, facts, said, purpose)
        if source.kind == "hub" or (source.kind == "bucket" and said.copy_):
            return self._fetched(text, source, facts, said, purpose)
        if source.kind == "volume":
            beside = f"/volumes/{source.where}"
            path = self._volume(source.where, *((WEIGHTS_PATH, beside) if main else (beside,)))
            inside = _file_in(source, facts, said, purpose)
            within = inside if isinstance(inside, Unknown) else _join(path, source.folder, inside)
            return Weights("volume", text, within)
        if source.kind == "bucket":
            beside = _join("/buckets", source.where, source.folder)
            path = self._free((WEIGHTS_PATH, beside) if main else (beside,))
            self.buckets[path] = _mounted(path, source, said)
            commit = None if isinstance(facts.commit, Unknown) else facts.commit
            inside = _file_in(source, facts, said, purpose)
            argument = inside if isinstance(inside, Unknown) else _join(path, inside)
            return Weights("bucket", text, argument, revision=commit)
        return Weights("none", text, Unknown("the spec names no model that can be found"))

    def _uploaded(
        self, text: str, facts: ModelFacts, said: models.Model, purpose: Purpose
    ) -> Weights:
        """A local model lies in the Volume under its digest: the same content is put once."""
        path = self._weights_volume()
        if isinstance(facts.digest, Unknown) or facts.root is None:
            reason = facts.digest if isinstance(facts.digest, Unknown) else Unknown(facts.detail)
            return Weights("local", text, reason)
        folder = f"/{facts.digest}/"
        inside: str | Unknown = ""
        if facts.root.is_file():
            inside = facts.files[0].path
        elif purpose == "gguf":
            named = gguf_file((file.path for file in facts.files), said.file)
            inside = named or Unknown("which of its files is served is not known")
        upload = Upload(
            root=str(facts.root.parent if facts.root.is_file() else facts.root),
            files=facts.files,
            volume=WEIGHTS_VOLUME,
            prefix=folder,
        )
        argument = inside if isinstance(inside, Unknown) else _join(path, folder, inside)
        return Weights("local", text, argument, upload=upload)

    def _fetched(
        self,
        text: str,
        source: Source,
        facts: ModelFacts,
        said: models.Model,
        purpose: Purpose,
    ) -> Weights:
        """What is fetched lies under its own address: `/org/repo/commit/`."""
        revision = said.revision or "main"
        if not is_revision(revision):
            return Weights(source.kind, text, Unknown("the revision is none that git has"))
        path = self._weights_volume()
        commit = facts.commit
        if isinstance(commit, Unknown) and _COMMIT.fullmatch(revision):
            commit = revision
        name = revision if isinstance(commit, Unknown) else commit
        where = source.where if source.kind == "hub" else _join(source.scheme, text.split("://")[1])
        folder = f"/{where}/{name}/"
        selection = _selection(said, purpose, self.layout)
        files = needed(facts.remote, selection)
        fetch = Fetch(
            source=text,
            commit=commit,
            volume=WEIGHTS_VOLUME,
            prefix=folder,
            files=files.files if facts.remote else NOT_LOCKED,
            secret=said.secret,
            selection=selection,
            bucket=_copied_from(source, said),
        )
        inside: str | Unknown | None = None
        if purpose == "gguf":
            inside = files.first if facts.remote else _exact(source.file or said.file)
        argument = inside if isinstance(inside, Unknown) else _join(path, folder, inside)
        return Weights(source.kind, text, argument, revision=name, fetch=fetch)

    def _weights_volume(self) -> str:
        return self._volume(WEIGHTS_VOLUME, WEIGHTS_PATH, BESIDE_PATH, create=True)

    def _volume(self, name: str, *paths: str, create: bool = False) -> str:
        if name not in self._paths:
            self._paths[name] = path = self._free(paths)
            self.mounts[name] = Mount(path, name, read_only=True, create=create)
        return self._paths[name]

    def _free(self, paths: Sequence[str]) -> str:
        """The first path where nothing is yet, with a number behind it where all are taken."""
        numbered = (f"{paths[-1]}-{number}" for number in count(2))
        path = next(path for path in chain(paths, numbered) if path not in self._taken)
        self._taken.add(path)
        return path


def volumes_of(spec: Spec) -> Iterator[Mount]:
    for path, mount in (spec.volumes or {}).items():
        yield Mount(path, mount.name or "", read_only=bool(mount.read_only))


def buckets_of(spec: Spec) -> Iterator[Bucket]:
    """A bucket's address and its prefix are one path: Modal wants that to end in a slash."""
    for path, mount in (spec.buckets or {}).items():
        source = parse(mount.bucket)
        inside = (source.path if source.where else "", mount.prefix or "")
        prefix = "/".join(part.strip("/") for part in inside if part.strip("/"))
        yield Bucket(
            path=path,
            bucket=source.where or mount.bucket or "",  # a bare name is one of Amazon's
            read_only=bool(mount.read_only),
            prefix=f"{prefix}/" if prefix else None,
            secret=mount.secret,
            endpoint=mount.endpoint or _ENDPOINTS.get(source.scheme),
        )


def _copied_from(source: Source, said: models.Model) -> Bucket | None:
    """How the app that copies a bucket's files mounts it."""
    return _mounted("/bucket", source, said) if source.kind == "bucket" else None


def _mounted(path: str, source: Source, said: models.Model) -> Bucket:
    prefix = f"{source.folder}/" if source.folder else None
    endpoint = said.endpoint or _ENDPOINTS.get(source.scheme)
    return Bucket(path, source.where, True, prefix, said.secret, endpoint)


def _file_in(
    source: Source, facts: ModelFacts, said: models.Model, purpose: Purpose
) -> str | Unknown | None:
    """What of a folder in a Volume or a bucket the engine is given; None for all of it."""
    named = source.file or said.file
    if purpose == "gguf" and facts.remote:
        return needed(facts.remote, Selection("gguf", named, said.mmproj)).first
    return _exact(named) if purpose == "gguf" and named else named


def _exact(file: str | None) -> str | Unknown:
    """A file that is named in full needs no listing."""
    if file and not re.search(r"[*?\[]", file):
        return file
    return NOT_LOCKED


@lru_cache(maxsize=4096)
def _join(first: str, *more: str | None) -> str:
    return str(PurePosixPath(first, *(part.strip("/") for part in more if part)))
