"""Does a machine that has never seen this project get what the tests use, or a clear sentence?"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.ci.runner import ROOT

PROGRAMS = ("chromium", "zsh", "fish")


def machine(folder: Path, *there: str, user: int = 0) -> Path:
    """A PATH with little on it; apt-get writes down what it was asked."""
    folder.mkdir()
    for name in ("bash", "env", "grep"):
        (folder / name).symlink_to(str(shutil.which(name)))
    stubs = dict.fromkeys((*there, "true"), "exit 0")
    stubs["id"] = f"echo {user}"
    stubs["fc-list"] = "echo Liberation Mono"
    stubs["apt-get"] = f'echo "$@" >> {folder}/asked'
    for name, line in stubs.items():
        (folder / name).write_text(f"#!{shutil.which('bash')}\n{line}\n")
        (folder / name).chmod(0o755)
    return folder


def run(path: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [path / "bash", ROOT / "scripts" / "system-packages"],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )
    asked = path / "asked"
    return done.returncode, done.stdout + done.stderr, asked.read_text() if asked.exists() else ""


def test_who_has_everything_installs_nothing(tmp_path: Path) -> None:
    assert run(machine(tmp_path / "bin", *PROGRAMS)) == (0, "", "")


def test_root_installs_what_is_missing(tmp_path: Path) -> None:
    assert run(machine(tmp_path / "bin", "zsh")) == (
        0,
        "installing chromium fish\n",
        "update -qq\ninstall -qq --yes --no-install-recommends chromium fish\n",
    )


@pytest.mark.parametrize("missing", PROGRAMS)
def test_who_may_not_install_is_told_what_to_ask_for(tmp_path: Path, missing: str) -> None:
    there = [name for name in PROGRAMS if name != missing]
    assert run(machine(tmp_path / "bin", *there, user=1000)) == (
        1,
        f"The tests use {missing}, which this machine lacks and only its administrator can "
        f"install, with: sudo apt-get install {missing}\n",
        "",
    )


def test_the_font_of_the_pictures_is_installed_too(tmp_path: Path) -> None:
    path = machine(tmp_path / "bin", *PROGRAMS)
    (path / "fc-list").unlink()
    assert run(path)[1] == "installing fontconfig fonts-liberation\n"
