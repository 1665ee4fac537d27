"""Which modelctl runs, and how does it get onto the runner?"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from github import Failed, asked, given, outputs

HERE = Path(__file__).resolve().parent.parent
VERSION = re.compile(r"[0-9][0-9A-Za-z.+!]*")


def main() -> None:
    wanted = asked("VERSION")
    if wanted == "installed":
        found = shutil.which("modelctl")
        if found is None:
            raise Failed("version is `installed`, but there is no modelctl on PATH")
        outputs({"modelctl": found})
        return
    if wanted and wanted != "source" and not VERSION.fullmatch(wanted):
        raise Failed(f"version {wanted!r} is none: a number like {own_version()}")
    home = Path(given("RUNNER_TEMP")) / f"modelctl-{wanted or own_version()}"
    if not (home / "ready").exists():  # a second step of the job finds it ready
        _make(home, wanted)
        (home / "ready").touch()
    outputs({"modelctl": str(_program(home, "modelctl"))})


def own_version() -> str:
    """Of the modelctl whose repository this action is a part of."""
    text = (HERE / "modelctl" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise Failed("this checkout of the action is not whole: it has no version")
    return found[1]


def _make(home: Path, wanted: str) -> None:
    _done([sys.executable, "-m", "venv", "--clear", str(home)])
    pip = [str(_program(home, "python")), "-m", "pip", "install", "--quiet", "--no-compile"]
    pip += ["--disable-pip-version-check"]
    if wanted in ("", "source", own_version()):
        # What this version was tested with, by hash; another version has other dependencies.
        pins = HERE / "requirements" / "modelctl.txt"
        _done([*pip, "--require-hashes", "--requirement", str(pins)])
        what = str(HERE) if wanted == "source" else f"modelctl=={own_version()}"
        _done([*pip, "--no-deps", what])
    else:
        _done([*pip, f"modelctl=={wanted}"])


def _program(home: Path, name: str) -> Path:
    return home / ("Scripts" if os.name == "nt" else "bin") / name


def _done(words: list[str]) -> None:
    code = subprocess.run(words, check=False).returncode
    if code:
        raise Failed(f"modelctl could not be installed: {words[2]} ended with {code}", 6)
