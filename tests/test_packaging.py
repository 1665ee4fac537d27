"""Does what is released hold everything that a checkout does, and run on every Python there is?"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from modelctl import __version__

ROOT = Path(__file__).resolve().parent.parent
SPEC = "name: quiet\nmodel: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\n"


def pythons() -> Mapping[str, Path]:
    """Minor version → its newest interpreter on this machine, of 3.11 and later."""
    homes = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [Path(sys.executable), *homes.glob("3.*/bin/python")]
    for folder in os.environ["PATH"].split(os.pathsep):
        found += [one for one in Path(folder).glob("python3.*") if one.name[9:].isdigit()]
    versions: dict[str, tuple[tuple[int, ...], Path]] = {}
    for one in found:
        said = subprocess.run([one, "--version"], capture_output=True, text=True, check=False)
        if (number := re.fullmatch(r"Python (3\.(\d+))\.(\d+)", said.stdout.strip())) is None:
            continue  # a pyenv shim without its version, or a release candidate
        version = (int(number[2]), int(number[3]))
        if version >= (11,) and version > versions.get(number[1], ((),))[0]:
            versions[number[1]] = (version, one)
    return {minor: one for minor, (_, one) in sorted(versions.items())}


PYTHONS = pythons()


def done(*words: object, **how: object) -> str:
    """What a program printed that has to go well."""
    ran = subprocess.run(  # type: ignore[call-overload]
        [str(word) for word in words], capture_output=True, text=True, check=False, **how
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    out: str = ran.stdout
    return out


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    done(sys.executable, "-m", "build", "--no-isolation", "--sdist", "-o", folder, ROOT)
    (built,) = folder.glob("modelctl-*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from the sdist, as whoever packages modelctl elsewhere makes it."""
    folder = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    done(sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", folder / "dist", source)
    (built,) = (folder / "dist").glob("modelctl-*.whl")
    return built


@pytest.fixture(scope="module", params=PYTHONS)
def installed(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The bin folder of a new environment of one Python, with modelctl and its pins alone."""
    home = tmp_path_factory.mktemp(f"python-{request.param}") / "venv"
    uv = [sys.executable, "-m", "uv"]
    done(*uv, "venv", "--quiet", "--python", PYTHONS[request.param], home)
    into = [*uv, "pip", "install", "--quiet", "--python", home / "bin" / "python"]
    done(*into, "--require-hashes", "-r", ROOT / "requirements" / "modelctl.txt")
    done(*into, "--no-deps", wheel)
    return home / "bin"


def test_every_supported_python_of_this_machine_is_tried() -> None:
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    supported = {one.rpartition(" :: ")[2] for one in said if ":: Python :: 3." in one}
    assert f"3.{sys.version_info.minor}" in PYTHONS
    assert supported >= set(PYTHONS), "a Python is here that modelctl does not say to support"
    if absent := supported - set(PYTHONS):
        warnings.warn(f"not on this machine, so not tried: Python {sorted(absent)}", stacklevel=1)


def test_the_version_stands_in_one_place() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" not in stated["project"]
    assert stated["tool"]["hatch"]["version"]["path"] == "modelctl/__init__.py"
    for words in (["-m", "modelctl", "--version"], ["-c", "from modelctl.cli import main; main()",
                                                     "--version"]):  # fmt: skip
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        assert done(sys.executable, *words, env=env) == f"modelctl {__version__}\n"


@pytest.mark.full
def test_an_sdist_makes_the_same_wheel_as_the_checkout(
    sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    assert sdist.name == f"modelctl-{__version__}.tar.gz"
    done(sys.executable, "-m", "build", "--no-isolation", "--wheel", "-o", tmp_path, ROOT)
    (other,) = tmp_path.glob("*.whl")

    def content(file: Path) -> dict[str, bytes]:
        with zipfile.ZipFile(file) as opened:
            return {name: opened.read(name) for name in opened.namelist()}

    assert content(wheel) == content(other)


@pytest.mark.full
def test_it_runs_in_an_empty_folder_of_a_clean_machine(installed: Path, tmp_path: Path) -> None:
    def run(*words: str, code: int = 0) -> str:
        ran = subprocess.run(
            [installed / "modelctl", *words],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == code, ran.stdout + ran.stderr
        assert "Traceback (most recent call last)" not in ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    assert run("--version") == f"modelctl {__version__}\n"
    assert "Model endpoints on Modal, declared in YAML." in run("--help")
    assert json.loads(run("schema"))["title"]
    assert "there is no folder specs" in run("validate", code=1)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "quiet.yaml").write_text(SPEC)
    assert "1 spec" in run("validate")
    assert "modal.App(" in run("render")
    as_module = done(installed / "python", "-I", "-m", "modelctl", "--version", cwd=tmp_path)
    assert as_module == f"modelctl {__version__}\n"


PROGRAM = """\
from pathlib import Path

from modelctl import __version__
from modelctl.diagnostics import Diagnostic, Severity


def loud(found: list[Diagnostic]) -> list[str]:
    return [one.message for one in found if one.severity is Severity.ERROR]


version: str = __version__
"""


@pytest.mark.full
def test_a_program_that_imports_it_is_checked_by_its_types(installed: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=/dev/null",
            "--python-executable", installed / "python", program]  # fmt: skip
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done(*mypy, cwd=tmp_path, env=env)
    program.write_text(PROGRAM.replace("one.message", "one.no_such_thing"))
    ran = subprocess.run(mypy, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert '"Diagnostic" has no attribute "no_such_thing"' in ran.stdout


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
