"""What do tests of the whole way stand on? A project in a folder, a real plane, a real model."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from modelctl.local import lifecycle
from tests.examples import SHARE
from tests.hub.server import Hub
from tests.outputs import holds_where_printed

# On a shared machine the same run must end the same way; at home each run looks elsewhere.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("searching", deadline=None)
settings.load_profile("steady" if os.environ.get("CI") else "searching")


def pytest_configure(config: pytest.Config) -> None:
    """The default tests try a share of each property's examples, all tests try all."""
    if "not full" in str(config.getoption("markexpr")):
        settings.register_profile("share", settings.default, max_examples=SHARE)
        settings.load_profile("share")


# Tests start a command hundreds of times: the package is compiled once and not by each of them,
# also where the environment wants no compiled files.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def obey_interrupts() -> None:
    """What runs in the background of a script inherits that it ignores them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _obey_file_modes() -> None:
    """Even root, in a container say, is then told no by a file that nobody may read."""
    drop_from_bounding_set, may_read_everything = 24, (1, 2)
    libc = ctypes.CDLL(None)
    for capability in may_read_everything:
        libc.prctl(drop_from_bounding_set, capability, 0, 0, 0)


@dataclass(frozen=True)
class Ran:
    """One finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Project:
    """A folder with a project in it, and the command line as a user has it there."""

    root: Path
    variables: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def spec(self, name: str, text: str) -> Path:
        return self.write(f"specs/{name}.yaml", f"name: {name}\n{text}")

    def run(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        timeout: float = 120,
        without_privileges: bool = False,
    ) -> Ran:
        # Nothing of the machine's own Modal account may leak in; -P: the folder is not imported.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("MODAL_", "MODELCTL_"))}
        done = subprocess.run(
            [sys.executable, "-P", "-m", "modelctl", *arguments],
            cwd=self.root,
            env={**kept, "MODAL_CONFIG_PATH": "/nonexistent", **self.variables, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            preexec_fn=_obey_file_modes if without_privileges else None,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        assert "Traceback (most recent call last)" not in out + err
        holds_where_printed(arguments, out)
        return Ran(done.returncode, out, err)

    @property
    def plane(self) -> lifecycle.Plane:
        plane = lifecycle.status(self.root / ".modelctl" / "local")
        assert plane is not None
        return plane

    def calls(self, method: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        return lifecycle.calls(self.plane, method, since)

    def last_call(self) -> int:
        return max((call["n"] for call in lifecycle.calls(self.plane, limit=1)), default=0)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """An empty project."""
    made = Project(tmp_path)
    made.write("modelctl.yaml", "project: team\n")
    return made


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project whose local control plane runs; the tests of a module share it."""
    made = Project(tmp_path_factory.mktemp("live"))
    made.write("modelctl.yaml", "project: team\n")
    lifecycle.up(made.root / ".modelctl" / "local")
    try:
        yield made
    finally:
        lifecycle.down(made.root / ".modelctl" / "local")


@pytest.fixture
def hub() -> Iterator[Hub]:
    """An empty Hub on the loopback: `hub.add(repo, files)`, and `hub.variables` for programs."""
    made = Hub()
    try:
        yield made
    finally:
        made.down()


@pytest.fixture(scope="session")
def gguf() -> Path:
    """SmolLM2-135M-Instruct, which `make setup` puts into models/."""
    path = Path(os.environ.get("MODELCTL_TEST_GGUF") or MODEL)
    assert path.is_file(), f"{path} is missing: make setup fetches it"
    return path


def place_model(gguf: Path, project: Project) -> None:
    """Put the model into a project's folder: a spec may not reach outside of it."""
    target = project.root / "models" / gguf.name
    target.parent.mkdir(exist_ok=True)
    try:
        os.link(gguf, target)
    except OSError:
        shutil.copyfile(gguf, target)
