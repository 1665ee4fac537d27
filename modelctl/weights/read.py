"""What can be found out about a spec's model here? From local files and the lock, never online."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from modelctl.inside import inside
from modelctl.resolved import RemoteFile, Selection, Unknown
from modelctl.weights import config, gguf
from modelctl.weights.facts import NOT_HASHED, NOT_LOCKED, NOT_READ, ModelFacts
from modelctl.weights.lock import COMMIT, Lock, Locked, LockedGguf, key
from modelctl.weights.needed import candidates, missing_part
from modelctl.weights.sources import local_path, looks_like_gguf, parse

if TYPE_CHECKING:
    from modelctl.weights.local import HashCache
    from modelctl.weights.remembered import Remembered

MAX_TEXT_BYTES = 256 * 2**10
LONGEST_PATH = 4096
"""Characters; no system has a longer one, and following it would take minutes."""
_TOO_LONG = f"a path has at most {LONGEST_PATH:,} characters"
_NO_CONFIG = Unknown("there is no config.json")
_UNREAD = Unknown("modelctl.lock does not have it")


def model_facts(
    source: str | None,
    folder: Path,
    root: Path,
    *,
    hashed: bool,
    revision: str | None = None,
    file: str | None = None,
    lock: Lock | None = None,
    beside: Iterable[str] = (),
    chat_template: str | None = None,
    dockerfile: str | None = None,
    cache: HashCache | None = None,
    remembered: Remembered | None = None,
) -> ModelFacts:
    """The facts of `source` as a spec in `folder` writes it. Never raises.

    `root` is the project's folder, which a local model must be in. `hashed` says whether the
    content's digest is wanted: reading it may mean reading gigabytes, once. `file` is the glob of
    a GGUF in a folder, `beside` are the other sources that the spec names. `remembered` has what
    other specs' models said, so that a file which several name is read once.
    """
    parsed = parse(source)
    facts = ModelFacts(kind=parsed.kind)
    locked = lock.find(source or "", revision) if lock else None
    if locked is not None and parsed.kind in ("hub", "bucket"):
        facts = _locked(parsed.kind, locked, file)
    elif locked is not None and parsed.kind == "volume":
        # What was read of a Volume says what the model is, and pins nothing.
        known = _locked("volume", locked, None if looks_like_gguf(parsed.path) else file)
        facts = replace(known, commit=NOT_LOCKED, digest=NOT_READ, remote=())
    elif parsed.kind == "hub":
        facts = _not_locked(facts, revision)
    elif parsed.kind == "local":
        path = local_path(parsed.path, folder)
        facts = _local(path, root, file, hashed=hashed, cache=cache, remembered=remembered)
    elif looks_like_gguf(parsed.path):
        facts = replace(facts, format="gguf")
    if lock is not None and lock.engines:
        facts = replace(facts, engines=lock.engines)
    if lock is not None and lock.measured:
        rows = lock.measured.get(measured_key(source or "", revision, folder, root), ())
        commit = locked.commit if locked is not None else ""
        facts = replace(facts, measured=tuple(row for row in rows if row.commit == commit))
    if chat_template is not None:
        facts = replace(facts, chat_template=_text(local_path(chat_template, folder), root))
    if dockerfile is not None:
        facts = replace(facts, dockerfile=_text(local_path(dockerfile, folder), root))
    others = {
        text: model_facts(
            text, folder, root, hashed=hashed, lock=lock, cache=cache, remembered=remembered
        )
        for text in beside
    }
    return replace(facts, beside=others) if others else facts


def measured_key(source: str, revision: str | None, folder: Path, root: Path) -> str:
    """What boots of a source are kept under; a local one goes by its path in the project."""
    parsed = parse(source)
    if parsed.kind != "local":
        return key(source, revision)
    path = local_path(parsed.path, folder)
    return "./" + os.path.relpath(path.resolve(), root.resolve()).replace(os.sep, "/")


def gguf_file(files: Iterable[str], file: str | None = None) -> str | None:
    """Which of several files is given to llama.cpp: the only model, or the first of its parts.

    `file` is the glob that the spec has for it.
    """
    found = candidates(files, file)
    return found[0] if len(found) == 1 else None


def _locked(
    kind: Literal["hub", "bucket", "volume"], locked: Locked, file: str | None
) -> ModelFacts:
    """What the lock knows: of a GGUF repository the files, and what is in the one that is meant."""
    paths = [file.path for file in locked.files]
    format: Literal["gguf", "safetensors"] | Unknown = NOT_READ
    if any(path.endswith(".safetensors") for path in paths):
        format = "safetensors"
    elif any(looks_like_gguf(path) for path in paths):
        format = "gguf"
    facts = ModelFacts(
        kind,
        format,
        commit=locked.commit,
        remote=locked.files,
        digest=locked.commit,
        access=locked.access,
        config=_NO_CONFIG,
        tensors=_UNREAD if locked.tensors is None else locked.tensors,
        header=_UNREAD,
    )
    if locked.config:
        facts = _with_config(facts, locked.config)
    # The engine reads the GGUF file, whatever the original's config.json beside it says.
    model = locked.gguf.get(gguf_file(locked.gguf, file) or "")
    if model is not None and (file is not None or locked.tensors is None):
        facts = _with_header(facts, model)
    return facts


def _with_config(facts: ModelFacts, said: Mapping[str, Any]) -> ModelFacts:
    """What config.json says, or an adapter's adapter_config.json."""
    if config.ADAPTER_RANK in said and "architectures" not in said:
        return replace(facts, adapter_rank=config.number(said, config.ADAPTER_RANK))
    return replace(
        facts,
        architecture=config.architecture(said),
        context_length=config.context_length(said),
        layers=config.number(said, *config.LAYERS),
        vocabulary=config.number(said, "vocab_size"),
        quantization=config.quantization(said),
        config=said,
        cache_per_token=config.cache_per_token(said),
    )


def _config_in(folder: Path, paths: Collection[str]) -> Mapping[str, Any]:
    """A local model's or adapter's own words; none where they cannot be read."""

    def read(path: str) -> Any:
        try:
            return json.loads((folder / path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None  # the engine will say what is wrong with it

    return config.gathered(paths, read)


def _not_locked(facts: ModelFacts, revision: str | None) -> ModelFacts:
    """A commit that the spec names is a commit, although nothing is known of it here."""
    return replace(
        facts,
        commit=revision if revision and COMMIT.fullmatch(revision) else NOT_LOCKED,
        format=NOT_LOCKED,
        size=NOT_LOCKED,
        digest=NOT_LOCKED,
        architecture=NOT_LOCKED,
        name=NOT_LOCKED,
        context_length=NOT_LOCKED,
        layers=NOT_LOCKED,
        vocabulary=NOT_LOCKED,
        quantization=NOT_LOCKED,
        config=NOT_LOCKED,
        tensors=NOT_LOCKED,
        header=NOT_LOCKED,
    )


def _local(
    path: Path,
    root: Path,
    file: str | None,
    *,
    hashed: bool,
    cache: HashCache | None,
    remembered: Remembered | None,
) -> ModelFacts:
    from modelctl.weights.local import examine, files_of

    facts = ModelFacts(kind="local")
    if len(str(path)) > LONGEST_PATH:
        return replace(facts, problem="unreadable", detail=_TOO_LONG)
    try:
        if not inside(path, root):
            return replace(facts, problem="outside")
        if not path.exists():
            return replace(facts, problem="missing", detail=str(path))
        found = files_of(path)
        for one in found:
            if not inside(one, root):
                return replace(facts, problem="outside", detail=one.name)
        size = sum(file.stat().st_size for file in found)
        if size == 0:
            return replace(facts, root=path, problem="empty", detail=str(path))
        facts = replace(facts, size=size, digest=NOT_HASHED)
        if remembered is None:
            facts = _read(facts, path, found, file)
        else:
            facts = remembered.of(path, found, file, partial(_read, facts, path, found, file))
        facts = replace(facts, root=path)
        if hashed and not facts.problem:
            model = examine(path, cache)
            facts = replace(facts, digest=model.digest, files=model.files)
    except ValueError:
        return replace(facts, problem="unreadable", detail="no path holds a zero byte")
    except (OSError, RuntimeError) as problem:
        return replace(facts, problem="unreadable", detail=getattr(problem, "strerror", None) or "")
    return facts


def _read(facts: ModelFacts, path: Path, found: list[Path], file: str | None) -> ModelFacts:
    """Formats and headers. A file that no engine could load is a problem, said as one."""
    from modelctl.weights.headers import BrokenWeights, read_headers
    from modelctl.weights.local import reader

    folder = path if path.is_dir() else path.parent
    listing = tuple(
        RemoteFile(one.relative_to(folder).as_posix(), one.stat().st_size) for one in found
    )
    names = [one.path for one in listing]
    weights = any(name.endswith(".safetensors") for name in names)
    first = gguf_file(names, file)
    if weights:
        facts = replace(facts, format="safetensors")
        said = _config_in(folder, names)
        facts = _with_config(facts, said) if said else replace(facts, config=_NO_CONFIG)
        wanted = Selection("model")
    elif first is not None:
        facts = replace(facts, format="gguf")
        wanted = Selection("gguf", first)
    else:
        return facts
    try:
        headers = read_headers(listing, [wanted], lambda one: reader(folder / one.path))
    except BrokenWeights as problem:
        broken = isinstance(problem.__cause__, gguf.NotGguf)
        detail = str(problem.__cause__) if broken else str(problem)
        return replace(facts, problem="not-gguf" if broken else "broken", detail=detail)
    if weights:
        return facts if headers.tensors is None else replace(facts, tensors=headers.tensors)
    if not headers.gguf:
        unread = Unknown(missing_part(first or "", names))
        return replace(facts, tensors=unread, header=unread)
    return _with_header(facts, headers.gguf[first or ""])


def _with_header(facts: ModelFacts, model: LockedGguf) -> ModelFacts:
    unsaid = Unknown("not in the GGUF header")

    def known(value: int | None) -> int | Unknown:
        return unsaid if value is None else value

    header = model.header
    return replace(
        facts,
        architecture=gguf.architecture(header) or unsaid,
        name=gguf.text(header, "general.name") or unsaid,
        context_length=known(gguf.context_length(header)),
        layers=known(gguf.layers(header)),
        vocabulary=known(gguf.vocabulary(header)),
        quantization=gguf.quantization(header) or unsaid,
        header=header,
        tensors=model.tensors,
    )


def _text(path: Path, root: Path) -> str | Unknown:
    """The text of a file that goes into the app; what stands in the way is said as the reason."""
    if len(str(path)) > LONGEST_PATH:
        return Unknown(_TOO_LONG)
    try:
        if not inside(path, root):
            return Unknown("outside the project's folder")
        if path.exists() and not path.is_file():
            return Unknown("a folder, a device or a pipe, not a file")
        with path.open("rb") as file:
            text = b"".join(itertools.islice(iter(lambda: file.read(65_536), b""), 5))
    except OSError as problem:
        return Unknown(problem.strerror or "cannot be read")
    except ValueError:
        return Unknown("no path holds a zero byte")
    if len(text) > MAX_TEXT_BYTES:
        return Unknown("larger than 256 KiB")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return Unknown("not UTF-8")
