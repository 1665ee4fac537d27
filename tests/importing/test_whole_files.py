"""Does a file as people write them become the spec that says the same? Whole, word for word."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from modelctl.importing import imported
from modelctl.importing.written import text
from tests.conftest import Project

FILES = Path(__file__).parent / "files"
NAMES = sorted(path.stem for path in FILES.glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_the_spec_is_the_reviewed_one(name: str) -> None:
    (one,) = imported((FILES / f"{name}.py").read_bytes(), f"{name}.py")
    assert text(one) == (FILES / f"{name}.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_it_validates(project: Project, name: str) -> None:
    shutil.copy(FILES / f"{name}.py", project.root)
    ran = project.run("import", f"{name}.py", "-o", f"specs/{name}.yaml")
    assert (ran.code, ran.out, ran.err) == (0, "", f"specs/{name}.yaml\n")


def test_what_goes_to_a_terminal_has_its_notes_beside_it(project: Project) -> None:
    shutil.copy(FILES / "llama_shell.py", project.root)
    ran = project.run("import", "llama_shell.py")
    assert ran.out == (FILES / "llama_shell.yaml").read_text(encoding="utf-8")
    assert ran.err == (
        "note: guessed: concurrency.max: above 8 requests wait for this function, and an endpoint "
        "of modelctl answers 429\n"
        "note: guessed: image: the engine's own image, where the app builds llama.cpp by itself\n"
        "note: not read: image: add_local_file() of the image (line 11)\n"
    )


def test_a_file_that_is_there_stays(project: Project) -> None:
    shutil.copy(FILES / "llama_shell.py", project.root)
    project.write("specs/mine.yaml", "name: mine\n")
    ran = project.run("import", "llama_shell.py", "-o", "specs/mine.yaml")
    assert ran.code == 64
    assert "error: specs/mine.yaml is there already; --force writes over it\n" in ran.err
    assert (project.root / "specs/mine.yaml").read_text() == "name: mine\n"
    assert project.run("import", "llama_shell.py", "-o", "specs/mine.yaml", "--force").code == 0


def test_no_secret_is_copied() -> None:
    secrets = ("hf_abcdefghijklmnopqrstuvwxyz", "not-for-everybody")
    source = (FILES / "web_function.py").read_text(encoding="utf-8")
    assert all(secret in source for secret in secrets)
    (one,) = imported(source.encode(), "web_function.py")
    assert not any(secret in text(one) for secret in secrets)


def test_reading_needs_neither_modal_nor_the_network() -> None:
    program = (
        "import socket, sys\n"
        "sys.modules['modal'] = None\n"
        "socket.socket.connect = None\n"
        "from modelctl.importing import imported\n"
        "from pathlib import Path\n"
        f"imported(Path({str(FILES / 'web_function.py')!r}).read_bytes(), 'web_function.py')\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
