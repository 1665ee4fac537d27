"""Which problems did a change bring? Those that an earlier commit of the project did not have."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
from msgspec.structs import replace

from modelctl.cli.options import Selection
from modelctl.diagnostics import Diagnostic, Rejected
from modelctl.spec.wanted import ProjectFile

_GIT = ("git", "-c", "core.fsmonitor=false")


def brought_since(
    ref: str, chosen: Selection, found: Iterable[Diagnostic], project: ProjectFile
) -> tuple[Diagnostic, ...]:
    """Those of `found` that were not there at `ref`, wherever in its file a problem stands now.

    The old project is checked by this modelctl and by today's policy from outside, so that neither
    a new rule nor a stricter policy is a change of the project; its own policy is a part of it.
    Files that git does not have (weights beside the specs, say) are as if they had not been there.
    Raises a UsageError where git knows no such commit.
    """
    before = _keys_at(ref, chosen, project)
    new = []
    for diagnostic in found:
        key = _key(diagnostic, project.root)
        if before[key] > 0:
            before[key] -= 1
        else:
            new.append(diagnostic)
    return tuple(new)


def _key(found: Diagnostic, root: Path) -> tuple[object, ...]:
    """What makes two problems the same one: all but the line, and what depends on the folder."""
    file, message = (
        text.replace(f"{root}{os.sep}", "")
        for text in (found.place.file if found.place else "", found.message)
    )
    return found.severity, found.code, message, found.path, file, found.environments


def _keys_at(ref: str, chosen: Selection, project: ProjectFile) -> Counter[tuple[object, ...]]:
    from modelctl.cli.pipeline import check_all, project_here

    here, root = Path.cwd(), project.root
    with tempfile.TemporaryDirectory(prefix="modelctl-since-") as folder:
        old = Path(folder).resolve() / root.name
        old.mkdir()
        _unpack(_archive(ref, root), old)
        inside = old / here.relative_to(root) if here.is_relative_to(root) else old
        inside.mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(inside):
            try:
                then = replace(project_here(), outside=project.outside)
                found = check_all(_there(chosen, here), then, hashed=False).diagnostics
            except Rejected as wrong:  # its project file could not be read
                found = wrong.diagnostics
            return Counter(_key(d, old) for d in found)


def _there(chosen: Selection, here: Path) -> Selection:
    """Absolute paths of what was chosen would lead back to today's files."""
    return replace(chosen, what=tuple(_relative(word, here) for word in chosen.what))


def _relative(word: str, here: Path) -> str:
    path = Path(word)
    below = path.is_absolute() and path.is_relative_to(here)
    return str(path.relative_to(here)) if below else word


def _archive(ref: str, root: Path) -> bytes:
    """The project's folder as it was, as a tar."""
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if commit is None:
        if _git(root, "rev-parse", "--is-inside-work-tree") is None:
            raise click.UsageError(f"--new-since {ref} needs git, and {root} is in no repository")
        raise click.UsageError(
            f"--new-since {ref}: git has no such commit here; in CI the checkout may be too shallow"
        )
    # `.` is the folder that git runs in, also where the project is a part of a repository.
    tree = _git(root, "archive", "--format=tar", commit.decode().strip(), ".")
    return tree or b""


def _git(root: Path, *arguments: str) -> bytes | None:
    """What git says; None where it refuses, or is not there."""
    try:
        done = subprocess.run([*_GIT, *arguments], cwd=root, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def _unpack(content: bytes, folder: Path) -> None:
    if not content:
        return  # the project did not exist then
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        tar.extractall(folder, members=_plain(tar), filter="data")


def _plain(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Links may lead out of the folder, and would show today's files."""
    return (member for member in tar if member.isfile() or member.isdir())
