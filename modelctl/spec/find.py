"""Which files does a person mean? Paths, folders and names of specs, looked up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from modelctl.diagnostics import Diagnostic, error
from modelctl.inside import LED_OUT, leads_out
from modelctl.spec.project import FILE, shown
from modelctl.spec.quoting import quote
from modelctl.spec.sentences import close_to

_SUFFIXES = (".yaml", ".yml")


class Found(Struct, frozen=True):
    files: tuple[Path, ...]
    diagnostics: tuple[Diagnostic, ...]


def find(what: Sequence[str], root: Path, cwd: Path, name_of: Callable[[Path], str]) -> Found:
    """The files meant by `what` (default: the folder specs/ of the root), each once, in order.

    `name_of` says which spec a file holds; it is asked only where `what` holds a name.
    """
    specs = root / "specs"
    if not what:
        if not specs.is_dir():
            hint = "name files, or begin with modelctl init"
            return Found(
                (), (error("spec/not-found", f"there is no folder {shown(specs, cwd)}", hint=hint),)
            )
        what = [str(specs)]
    files: dict[Path, None] = {}
    found: list[Diagnostic] = []
    refused: dict[Path, None] = {}
    for word in what:
        path = _path(word, cwd, root, refused)
        if path is not None:
            files.update(dict.fromkeys(path))
            continue
        named = (
            [file for file in _under(specs, root, refused) if name_of(file) == word]
            if _may_be_name(word)
            else []
        )
        files.update(dict.fromkeys(named))
        if not named:
            found.append(_not_found(word, root, cwd, name_of))
    found += [_led_out(shown(path, cwd)) for path in refused]
    return Found(tuple(files), tuple(found))


def _path(word: str, cwd: Path, root: Path, refused: dict[Path, None]) -> list[Path] | None:
    if "\0" in word or not word:
        return None
    path = Path(os.path.normpath(cwd / word))
    try:
        if path.is_dir():
            return _under(path, root, refused)
        return [path] if os.path.lexists(path) else None
    except OSError:
        return None


def _may_be_name(word: str) -> bool:
    return "/" not in word and not word.endswith(_SUFFIXES)


def _under(folder: Path, root: Path, refused: dict[Path, None]) -> list[Path]:
    """All specs below a folder. Links to folders are followed, but no folder is entered twice.

    Those that lead out of the project at `root` are put into `refused` instead.
    """
    files: list[Path] = []
    entered: set[tuple[int, int]] = set()

    def walk(path: Path) -> None:
        if leads_out(path, root):
            refused[path] = None
            return
        try:
            state = path.stat()
            if (state.st_dev, state.st_ino) in entered:
                return
            entered.add((state.st_dev, state.st_ino))
            entries = sorted(os.scandir(path), key=lambda entry: entry.name)
        except OSError:
            return
        folders = []
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                is_folder = entry.is_dir()
            except OSError:
                is_folder = False
            if is_folder:
                folders.append(path / entry.name)
            elif entry.name.endswith(_SUFFIXES) and entry.name != FILE:
                files.append(path / entry.name)
        for inner in folders:
            walk(inner)

    walk(folder)
    return files


def _not_found(word: str, root: Path, cwd: Path, name_of: Callable[[Path], str]) -> Diagnostic:
    specs = root / "specs"
    if not word:
        return error("spec/not-found", "an empty word names no spec")
    if not _may_be_name(word):
        what = "file" if word.endswith(_SUFFIXES) else "file or folder"
        return error(
            "spec/not-found", f"there is no {what} {quote(word)}", hint=_near_path(word, cwd)
        )
    names: Iterable[str] = filter(None, (name_of(file) for file in _under(specs, root, {})))
    close = close_to(word, names)
    where = shown(specs, cwd)
    hint = f"did you mean {close}?" if close else "modelctl validate lists all specs"
    if not specs.is_dir():
        hint = f"there is no folder {where}"
    return error("spec/not-found", f"no spec in {where} has the name {quote(word)}", hint=hint)


def _led_out(folder: str) -> Diagnostic:
    return error(
        "yaml/unreadable",
        f"{quote(folder, 200)} {LED_OUT}",
        hint="put the folder itself there",
    )


def _near_path(word: str, cwd: Path) -> str:
    parent = Path(os.path.normpath(cwd / word)).parent
    try:
        siblings = [entry.name for entry in os.scandir(parent)]
    except (OSError, ValueError):
        return ""
    close = close_to(Path(word).name, siblings)
    return f"did you mean {quote(str(Path(word).parent / close))}?" if close else ""
