"""What did the project look like at an earlier commit? Its files, in a folder of their own."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
from msgspec import Struct
from msgspec.structs import replace

from modelctl.cli.options import Selection

_GIT = ("git", "-c", "core.fsmonitor=false")


class Inside(Struct, frozen=True):
    """The folder of the earlier project, and the folder of today's that the command ran in."""

    root: Path
    here: Path

    def chosen(self, chosen: Selection) -> Selection:
        """Absolute paths of what was chosen would lead back to today's files."""
        return replace(chosen, what=tuple(_relative(word, self.here) for word in chosen.what))


@contextlib.contextmanager
def at_commit(ref: str, root: Path, option: str) -> Iterator[Inside]:
    """Be in the project as it was at `ref`; `option` is what asked for that.

    Files that git does not have are as if they had not been there. Raises a UsageError where git
    knows no such commit.
    """
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="modelctl-earlier-") as folder:
        old = Path(folder).resolve() / root.name
        old.mkdir()
        _unpack(_archive(ref, root, option), old)
        inside = old / here.relative_to(root) if here.is_relative_to(root) else old
        inside.mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(inside):
            yield Inside(old, here)


def short(ref: str, root: Path) -> str:
    """`8f3ab1e`: which commit a name means now."""
    found = _git(
        root, "rev-parse", "--short=7", "--verify", "--end-of-options", f"{ref}^{{commit}}"
    )
    return found.decode().strip() if found else ref


def named(root: Path) -> list[str]:
    """Branches, tags and branches of remotes by their names; none outside a repository."""
    # A remote's HEAD is one of its branches under another name.
    short = "--format=%(if)%(symref)%(then)%(else)%(refname:short)%(end)"
    kinds = (f"refs/{kind}" for kind in ("heads", "remotes", "tags"))
    found = _git(root, "for-each-ref", short, *kinds)
    return [name for name in (found or b"").decode(errors="replace").splitlines() if name]


def _relative(word: str, here: Path) -> str:
    path = Path(word)
    below = path.is_absolute() and path.is_relative_to(here)
    return str(path.relative_to(here)) if below else word


def _archive(ref: str, root: Path, option: str) -> bytes:
    """The project's folder as it was, as a tar."""
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if commit is None:
        if shutil.which("git") is None:
            raise click.UsageError(f"{option} {ref} needs git, and there is no git on this machine")
        if _git(root, "rev-parse", "--is-inside-work-tree") is None:
            raise click.UsageError(f"{option} {ref} needs git, and {root} is in no repository")
        raise click.UsageError(
            f"{option} {ref}: git has no such commit here; in CI the checkout may be too shallow"
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
