"""What is in modelctl.lock? Each source's commit, its files with sizes and hashes, and its facts.

The same content is the same bytes on any machine, with a file of a model on each line: a diff shows
what changed.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelctl.diagnostics import Diagnostic, Place, Rejected, error
from modelctl.resolved import RemoteFile

FILE = "modelctl.lock"
FORMAT = 1
MAX_BYTES = 32 * 2**20
_AGAIN = "take it from version control, or delete it and run modelctl lock"
_CONFLICT = re.compile(r"^(<<<<<<<|=======|>>>>>>>)", re.MULTILINE)
COMMIT = re.compile(r"[0-9a-f]{40}")
_HASH = re.compile(r"(sha256:[0-9a-f]{64}|git:[0-9a-f]{40})?")


@dataclass(frozen=True)
class Locked:
    """One source at one commit.

    `revision` is what the spec asked for, None for the repository's main branch. `files` are all
    that an engine could need. `config` holds the plain values of config.json; `access` says whom
    the files are for: everybody (""), who accepted the terms ("gated"), or members ("private").
    """

    commit: str
    files: tuple[RemoteFile, ...]
    revision: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    access: str = ""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Lock:
    """Every locked source by its key."""

    sources: Mapping[str, Locked] = field(default_factory=dict)

    def find(self, source: str, revision: str | None) -> Locked | None:
        return self.sources.get(key(source, revision))


def key(source: str, revision: str | None = None) -> str:
    """`hf://org/repo`, with `@revision` where the spec names one."""
    return f"{source.rstrip('/')}@{revision}" if revision else source.rstrip("/")


def dump(lock: Lock) -> str:
    """The file's text."""
    parts = [_entry(name, lock.sources[name]) for name in sorted(lock.sources)]
    sources = "{\n" + ",\n".join(parts) + "\n }" if parts else "{}"
    return f'{{\n "format": {FORMAT},\n "sources": {sources}\n}}\n'


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
    if conflict := _CONFLICT.search(text):
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
        except (KeyError, TypeError, ValueError) as problem:
            why = f"{name} is not as modelctl lock writes it"
            if isinstance(problem, ValueError) and problem.args:
                why += f": {problem.args[0]}"
            wrong.append(_wrong(shown, why, text, _line_of(text, json.dumps(name))))
    if wrong:
        raise Rejected(wrong)
    return Lock(sources)


def _entry(name: str, locked: Locked) -> str:
    lines = [f'   "commit": {json.dumps(locked.commit)}']
    if locked.revision is not None:
        lines.append(f'   "revision": {json.dumps(locked.revision)}')
    if locked.access:
        lines.append(f'   "access": {json.dumps(locked.access)}')
    if locked.config:
        lines.append('   "config": ' + _mapping(locked.config))
    files = [
        "    " + json.dumps([file.path, file.size, _hash(file)], ensure_ascii=False)
        for file in sorted(locked.files, key=lambda file: file.path)
    ]
    lines.append('   "files": ' + ("[\n" + ",\n".join(files) + "\n   ]" if files else "[]"))
    return f"  {json.dumps(name, ensure_ascii=False)}: {{\n" + ",\n".join(lines) + "\n  }"


def _mapping(config: Mapping[str, Any]) -> str:
    rows = [
        f"    {json.dumps(name, ensure_ascii=False)}: "
        + json.dumps(config[name], sort_keys=True, ensure_ascii=False)
        for name in sorted(config)
    ]
    return "{\n" + ",\n".join(rows) + "\n   }"


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
    return Locked(commit, files, revision, config, access)


def _file(row: Any) -> RemoteFile:
    path, size, digest = row
    if not (isinstance(path, str) and path) or path.startswith("/") or ".." in path.split("/"):
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
