"""Does a wheel hold everything that a checkout does?"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SPEC = "name: quiet\nmodel: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("modelctl-*.whl")
    return built


@pytest.mark.full
def test_a_wheel_holds_templates_facts_types_and_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "modelctl/_templates/shared/app.py.j2" in names
    assert "modelctl/_templates/vllm/app.py.j2" in names
    assert "modelctl/py.typed" in names
    assert any(name.startswith("modelctl/facts/data/") for name in names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "models/"))]


@pytest.mark.full
def test_a_wheel_renders_the_same_bytes_as_the_checkout(wheel: Path, tmp_path: Path) -> None:
    unpacked, project = tmp_path / "site", tmp_path / "project"
    zipfile.ZipFile(wheel).extractall(unpacked)
    (project / "specs").mkdir(parents=True)
    (project / "specs" / "quiet.yaml").write_text(SPEC)

    def rendered(python_path: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "modelctl", "render"],
            cwd=project,
            env={**os.environ, "PYTHONPATH": python_path},
            check=True,
            capture_output=True,
        )
        return done.stdout.decode()

    where = subprocess.run(
        [sys.executable, "-P", "-c", "import modelctl; print(modelctl.__file__)"],
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        check=True,
        capture_output=True,
    )
    assert where.stdout.decode().startswith(str(unpacked))
    assert rendered(str(unpacked)) == rendered(str(ROOT))
