"""What is in modelctl.lock? Each source's commit, its files with sizes and hashes, and its facts.

The same content is the same bytes on any machine, with a file or a tensor of a model on each line:
a diff shows what changed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict

from modelctl.diagnostics import Diagnostic, Place, Rejected, error
from modelctl.inside import LED_OUT, leads_out
from modelctl.resolved import RemoteFile
from modelctl.weights.measured import Measured, as_row, from_row
from modelctl.weights.shape import Header, TensorRow

FILE = "modelctl.lock"
FORMAT = 1
MAX_BYTES = 32 * 2**20
_AGAIN = "take it from version control, or delete it and run modelctl lock"
_CONFLICT = re.compile(r"^(<<<<<<<|=======|>>>>>>>)", re.MULTILINE)
COMMIT = re.compile(r"[0-9a-f]{40}")
_HASH = re.compile(r"(sha256:[0-9a-f]{64}|git:[0-9a-f]{40})?")


class LockedGguf(Struct, frozen=True):
    """What the header of one GGUF model says, that of all its parts together."""

    header: Header
    tensors: tuple[TensorRow, ...]


class Locked(Struct, frozen=True):
    """One source at one commit.

    `revision` is what the spec asked for, None for the repository's main branch. `files` are all
    that an engine could need. `config` holds the plain values of config.json; `access` says whom
    the files are for: everybody (""), who accepted the terms ("gated"), or members ("private").
    `tensors` are those of its safetensors, None where these were not read. `gguf` has the headers
    of the GGUF models that specs mean, by the first file of each.
    """

    commit: str
    files: tuple[RemoteFile, ...]
    revision: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    access: str = ""
    tensors: tuple[TensorRow, ...] | None = None
    gguf: Mapping[str, LockedGguf] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


class LockedEngine(Struct, frozen=True):
    """What "the default" meant for an engine when it was locked. An image is "" for none."""

    version: str
    image: str = ""
    cpu_image: str = ""


class Lock(Struct, frozen=True):
    """Every locked source by its key, and every engine by its name.

    `facts` is the version of the tables that this modelctl had when the lock was written.
    `measured` is what boots reported, by the source that they served.
    """

    sources: Mapping[str, Locked] = field(default_factory=dict)
    engines: Mapping[str, LockedEngine] = field(default_factory=dict)
    facts: str = ""
    measured: Mapping[str, tuple[Measured, ...]] = field(default_factory=dict)

    def find(self, source: str, revision: str | None) -> Locked | None:
        return self.sources.get(key(source, revision))


def still_measured(lock: Lock, named: Collection[str] | None) -> Mapping[str, tuple[Measured, ...]]:
    """The boots that speak of what is locked: those at the same commits.

    `named` are all sources of specs, None where not all specs were read.
    """
    found = {}
    for name, rows in lock.measured.items():
        commit = lock.sources[name].commit if name in lock.sources else ""
        same = tuple(row for row in rows if row.commit == commit)
        if same and (named is None or name in named):
            found[name] = same
    return found


def key(source: str, revision: str | None = None) -> str:
    """`hf://org/repo`, with `@revision` where the spec names one."""
    return f"{source.rstrip('/')}@{revision}" if revision else source.rstrip("/")


def dump(lock: Lock) -> str:
    """The file's text."""
    parts = [_entry(name, lock.sources[name]) for name in sorted(lock.sources)]
    sources = "{\n" + ",\n".join(parts) + "\n }" if parts else "{}"
    lines = [f' "format": {FORMAT}']
    if lock.facts:
        lines.append(f' "facts": {_json(lock.facts)}')
    if lock.engines:
        engines = {
            name: {key: said for key, said in asdict(engine).items() if said}
            for name, engine in lock.engines.items()
        }
        lines.append(' "engines": ' + _mapping(engines, 2))
    lines.append(f' "sources": {sources}')
    if lock.measured:
        boots = [_boots(name, lock.measured[name]) for name in sorted(lock.measured)]
        lines.append(' "measured": {\n' + ",\n".join(boots) + "\n }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def write(root: Path, lock: Lock) -> None:
    """Put the lock beside modelctl.yaml: all of it, or what was there before stays.

    Raises an OSError that names the file.
    """
    file = (root / FILE).resolve()  # a link stays one
    beside = file.with_name(f".{FILE}.{os.getpid()}")
    try:
        beside.write_text(dump(lock), encoding="utf-8")
        beside.replace(file)
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(file)) from problem
    finally:
        beside.unlink(missing_ok=True)


def read(root: Path, shown: str = FILE) -> Lock | None:
    """The lock beside modelctl.yaml; None where there is none. Raises Rejected, with the line."""
    file = root / FILE
    if leads_out(file, root):
        hint = "put the file itself there, or delete the link and run modelctl lock"
        raise Rejected([error("lock/unreadable", f"{shown} {LED_OUT}", hint=hint)])
    try:
        if file.stat().st_size > MAX_BYTES:
            raise Rejected([_wrong(shown, f"it is larger than {MAX_BYTES // 2**20} MiB")])
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as problem:
        raise Rejected([_wrong(shown, "it is not UTF-8")]) from problem
    except OSError as problem:
        why = problem.strerror or "the disk refused"
        raise Rejected([error("lock/unreadable", f"{shown} cannot be read: {why}")]) from problem
    return parse(text, shown)


def parse(text: str, shown: str = FILE) -> Lock:
    """The lock in this text. Raises Rejected with what is wrong, and the line."""
    # Looking for the letters first is much faster on megabytes.
    marked = any(marker in text for marker in ("<<<<<<<", "=======", ">>>>>>>"))
    if marked and (conflict := _CONFLICT.search(text)):
        line = text.count("\n", 0, conflict.start()) + 1
        hint = "take either side, then run modelctl lock"
        raise Rejected(
            [_wrong(shown, "a merge left its conflict markers in it", text, line, hint=hint)]
        )
    try:
        data = json.loads(text)
    except json.JSONDecodeError as problem:
        raise Rejected(
            [_wrong(shown, f"no JSON: {problem.msg}", text, problem.lineno, problem.colno)]
        ) from problem
    except RecursionError as problem:
        raise Rejected([_wrong(shown, "nested too deeply", text)]) from problem
    except ValueError as problem:
        raise Rejected(
            [_wrong(shown, "it holds a number of thousands of digits", text)]
        ) from problem
    if not isinstance(data, dict) or not isinstance(data.get("sources"), dict):
        raise Rejected([_wrong(shown, "it has no sources", text)])
    if data.get("format") != FORMAT:
        hint = "install the modelctl that wrote it"
        why = f"its format is {data.get('format')!r}, and this modelctl reads {FORMAT}"
        raise Rejected([_wrong(shown, why, text, _line_of(text, '"format"'), hint=hint)])
    sources, wrong = {}, []
    for name, entry in data["sources"].items():
        try:
            sources[name] = _locked(entry)
        except (AttributeError, KeyError, TypeError, ValueError) as problem:
            why = f"{name} is not as modelctl lock writes it"
            if isinstance(problem, ValueError) and problem.args:
                why += f": {problem.args[0]}"
            wrong.append(_wrong(shown, why, text, _line_of(text, json.dumps(name))))
    try:
        engines = {name: _engine(entry) for name, entry in data.get("engines", {}).items()}
        facts = _text(data.get("facts", ""))
    except (AttributeError, KeyError, TypeError, ValueError):
        line = _line_of(text, '"engines"')
        wrong.append(_wrong(shown, "its engines are not as modelctl lock writes them", text, line))
    try:
        measured = {
            name: tuple(map(from_row, rows)) for name, rows in data.get("measured", {}).items()
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        line = _line_of(text, '"measured"')
        why = "its measurements are not as modelctl lock writes them"
        wrong.append(_wrong(shown, why, text, line))
    if wrong:
        raise Rejected(wrong)
    return Lock(sources, engines, facts, measured)


def _boots(name: str, rows: Iterable[Measured]) -> str:
    ordered = sorted(rows, key=lambda row: row.key)
    return f"  {_json(name)}: " + _rows(map(as_row, ordered), 3)


def _entry(name: str, locked: Locked) -> str:
    lines = [f'   "commit": {_json(locked.commit)}']
    if locked.revision is not None:
        lines.append(f'   "revision": {_json(locked.revision)}')
    if locked.access:
        lines.append(f'   "access": {_json(locked.access)}')
    if locked.config:
        lines.append('   "config": ' + _mapping(locked.config, 4))
    if locked.tensors is not None:
        lines.append('   "tensors": ' + _rows(map(_tensor_row, locked.tensors), 4))
    if locked.gguf:
        headers = [_gguf_entry(path, locked.gguf[path]) for path in sorted(locked.gguf)]
        lines.append('   "gguf": {\n' + ",\n".join(headers) + "\n   }")
    files = sorted(locked.files, key=lambda file: file.path)
    lines.append('   "files": ' + _rows(([f.path, f.size, _hash(f)] for f in files), 4))
    return f"  {_json(name)}: {{\n" + ",\n".join(lines) + "\n  }"


def _gguf_entry(path: str, said: LockedGguf) -> str:
    header, tensors = _mapping(said.header, 6), _rows(map(_tensor_row, said.tensors), 6)
    return f'    {_json(path)}: {{\n     "header": {header},\n     "tensors": {tensors}\n    }}'


def _tensor_row(row: TensorRow) -> list[Any]:
    return [row.name, row.dtype, list(row.shape), row.count]


def _rows(rows: Iterable[Any], indent: int) -> str:
    """A list with an entry on each line."""
    lines = [" " * indent + _json(row) for row in rows]
    return "[\n" + ",\n".join(lines) + "\n" + " " * (indent - 1) + "]" if lines else "[]"


def _mapping(said: Mapping[str, Any], indent: int) -> str:
    """A mapping with a key on each line, in order."""
    lines = [f"{' ' * indent}{_json(name)}: {_json(said[name])}" for name in sorted(said)]
    return "{\n" + ",\n".join(lines) + "\n" + " " * (indent - 1) + "}" if lines else "{}"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _hash(file: RemoteFile) -> str:
    if file.sha256 is not None:
        return f"sha256:{file.sha256}"
    return f"git:{file.git_sha1}" if file.git_sha1 is not None else ""


def _locked(entry: Any) -> Locked:
    commit, revision = entry["commit"], entry.get("revision")
    if not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise ValueError("its commit has not 40 digits")
    config, access = entry.get("config", {}), entry.get("access", "")
    if not isinstance(config, dict) or access not in ("", "gated", "private"):
        raise ValueError
    if not (revision is None or isinstance(revision, str)):
        raise ValueError("its revision is no text")
    files = tuple(_file(row) for row in entry["files"])
    tensors = entry.get("tensors")
    gguf = entry.get("gguf")
    return Locked(
        commit,
        files,
        revision,
        config,
        access,
        None if tensors is None else _tensors(tensors),
        {path: _gguf(said) for path, said in gguf.items()} if gguf else {},
    )


def _gguf(entry: Any) -> LockedGguf:
    header = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in entry["header"].items()
    }
    whole = all(
        all(type(number) is int for number in value)
        if isinstance(value, tuple)
        else isinstance(value, str | int | float)
        for value in header.values()
    )
    if not whole:
        raise ValueError("a GGUF header holds something else than texts and numbers")
    return LockedGguf(header, _tensors(entry["tensors"]))


def _tensors(rows: Any) -> tuple[TensorRow, ...]:
    found = []
    for row in rows:
        name, dtype, shape, count = row
        if not (type(name) is str and type(dtype) is str and type(count) is int and count > 0):
            raise ValueError(f"{row!r} is no tensor")
        for side in shape:
            if not (type(side) is int and side >= 0):
                raise ValueError(f"{row!r} is no tensor")
        found.append(TensorRow(name, dtype, tuple(shape), count))
    return tuple(found)


def _engine(entry: Any) -> LockedEngine:
    return LockedEngine(
        _text(entry["version"]), _text(entry.get("image", "")), _text(entry.get("cpu_image", ""))
    )


def _text(said: Any) -> str:
    if not isinstance(said, str):
        raise TypeError
    return said


def _file(row: Any) -> RemoteFile:
    path, size, digest = row
    leaves = ".." in path and ".." in path.split("/") if isinstance(path, str) else True
    if leaves or not path or path[0] == "/":
        raise ValueError(f"{path!r} is no file of a repository")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"{path} has no size")
    if not isinstance(digest, str) or not _HASH.fullmatch(digest):
        raise ValueError(f"{path} has no hash")
    kind, _, digits = digest.partition(":")
    return RemoteFile(
        path,
        size,
        sha256=digits if kind == "sha256" else None,
        git_sha1=digits if kind == "git" else None,
    )


def _line_of(text: str, word: str) -> int:
    at = text.find(word)
    return text.count("\n", 0, at) + 1 if at >= 0 else 1


def _wrong(
    shown: str, why: str, text: str = "", line: int = 1, column: int = 1, *, hint: str = _AGAIN
) -> Diagnostic:
    lines = text.splitlines()
    content = lines[line - 1][:200] if line <= len(lines) else ""
    return error(
        "lock/unreadable",
        f"{shown} cannot be understood: {why}",
        hint=hint,
        place=Place(shown, line, column, 1, content),
    )
