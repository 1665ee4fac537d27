"""Which engines can run here: found, registered or missing, and how containers reach them."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from modelctl.local import engines, lifecycle
from modelctl.local.engines import KNOWN, Engine, NotAnEngine
from tests.local.conftest import Client


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without any engine, and a folder on it."""
    (tmp_path / "python").mkdir()
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python" / "python3"))
    monkeypatch.setattr(engines, "find_spec", lambda _: None)
    return tmp_path


def _script(path: Path, first: str = "#!/bin/sh") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{first}\necho I am {path}\n")
    path.chmod(0o755)
    return path


def _venv(root: Path, command: str, package: str, version: str) -> Path:
    python = _script(root / "bin" / "python")
    _script(root / "bin" / command, f"#!{python}")
    (root / "lib/python3.12/site-packages" / f"{package}-{version}.dist-info").mkdir(parents=True)
    return root


def _one(state: Path, name: str) -> Engine:
    (found,) = [engine for engine in engines.listed(state) if engine.name == name]
    return found


def test_what_is_missing_says_how_to_get_it(bare: Path) -> None:
    assert [(e.name, e.where, e.source, e.install) for e in engines.listed(bare)] == [
        ("llama-server", None, "missing", "pip install 'modelctl[local]'"),
        ("vllm", None, "missing", "pip install 'modelctl[vllm]'"),
        ("llama-cpp-python", None, "missing", "pip install 'modelctl[llama-cpp]'"),
    ]


def test_the_extras_that_it_names_are_there() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    for known in KNOWN:
        assert f"\n{known.extra} = [" in project


def test_one_on_path_is_found_with_its_version(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    venv = _venv(bare / "elsewhere", "vllm", "vllm", "0.32.0")
    monkeypatch.setenv("PATH", str(venv / "bin"))
    python = str(venv / "bin" / "python")
    assert _one(bare, "vllm") == Engine(
        "vllm", str(venv / "bin" / "vllm"), "PATH", "0.32.0", python
    )


def test_a_binary_on_path_has_no_version_that_is_cheap_to_know(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = _script(bare / "usr" / "llama-server", "\x7fELF")
    monkeypatch.setenv("PATH", str(binary.parent))
    assert _one(bare, "llama-server") == Engine("llama-server", str(binary), "PATH")


def test_one_beside_this_interpreter_is_found(bare: Path) -> None:
    beside = _script(bare / "python" / "vllm")
    found = _one(bare, "vllm")
    assert (found.where, found.source) == (str(beside), "this Python")
    engines.prepare(bare)
    assert (bare / "bin" / "vllm").readlink() == beside


def test_the_stand_in_for_llama_server_is_written_only_where_there_is_no_real_one(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: name == "xllamacpp" or None)
    stand_in = bare / "bin" / "llama-server"
    assert engines.prepare(bare)["llama-server"] == str(stand_in)
    assert os.access(stand_in, os.X_OK)
    assert "-m modelctl.local.llama_server" in stand_in.read_text()
    real = _script(bare / "usr" / "llama-server")
    monkeypatch.setenv("PATH", str(real.parent))
    assert engines.prepare(bare)["llama-server"] == str(real)
    assert not stand_in.exists()


def test_a_registered_one_comes_before_one_on_path(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    venv = _venv(bare / "mine", "vllm", "vllm", "0.33.1")
    other = _script(bare / "usr" / "vllm")
    monkeypatch.setenv("PATH", str(other.parent))
    added = engines.add(bare, "vllm", command=None, venv=venv)
    assert (added.where, added.source) == (str(venv / "bin" / "vllm"), "registered")
    assert _one(bare, "vllm").version == "0.33.1"
    engines.prepare(bare)
    assert (bare / "bin" / "vllm").readlink() == venv / "bin" / "vllm"
    engines.remove(bare, "vllm")
    assert _one(bare, "vllm").where == str(other)
    assert engines.prepare(bare)["vllm"] == str(other)
    assert not list((bare / "bin").iterdir())


def test_an_engine_that_nobody_knows_may_be_registered(bare: Path) -> None:
    mine = _script(bare / "my-server")
    engines.add(bare, "my-server", command=mine, venv=None)
    assert engines.prepare(bare)["my-server"] == str(mine)
    mine.unlink()
    assert engines.prepare(bare)["my-server"] is None
    assert _one(bare, "my-server").source == "registered"


def test_what_cannot_be_registered_is_a_sentence(bare: Path) -> None:
    (bare / "text").write_text("")
    _script(bare / "venv" / "bin" / "python")

    def refusal(name: str, command: Path | None = None, venv: Path | None = None) -> str:
        with pytest.raises(NotAnEngine) as refused:
            engines.add(bare, name, command=command, venv=venv)
        return str(refused.value)

    assert refusal("vllm") == "say where it is: --venv DIR or --command PATH"
    assert refusal("../vllm") == "'../vllm' cannot be the name of a command"
    text = bare / "text"
    assert refusal("vllm", command=text) == f"{text} is no file that can be run"
    venv = bare / "venv"
    assert refusal("vllm", venv=venv) == f"{venv} has no command vllm; install it there first"
    assert refusal("vllm", venv=bare) == (f"{bare} is no virtual environment: it has no bin/python")
    with pytest.raises(NotAnEngine, match="no engine vllm is registered"):
        engines.remove(bare, "vllm")


def test_an_engine_that_is_a_module_is_run_by_its_python(bare: Path) -> None:
    name, venv = "llama-cpp-python", bare / "mine"
    python = _script(venv / "bin" / "python")
    with pytest.raises(NotAnEngine) as refused:
        engines.add(bare, name, command=None, venv=venv)
    assert str(refused.value) == f"{venv} has no {name}; install it there first"
    site = venv / "lib/python3.12/site-packages"
    (site / "llama_cpp_python-0.3.36.dist-info").mkdir(parents=True)
    added = engines.add(bare, name, command=None, venv=venv)
    assert (added.where, added.version) == (str(python), "0.3.36")
    engines.prepare(bare)
    command = bare / "bin" / name
    assert os.access(command, os.X_OK)
    assert command.read_text().endswith(
        "exec env -u PYTHONPATH -u HOST -u PORT -u CONFIG_FILE "
        f"'{python}' -m llama_cpp.server \"$@\"\n"
    )


def test_a_registry_that_cannot_be_read_is_empty(bare: Path) -> None:
    (bare / "engines.json").write_text("{")
    assert _one(bare, "vllm").source == "missing"


def test_looking_starts_no_engine_and_takes_no_time(bare: Path) -> None:
    slow = _script(bare / "slow")
    slow.write_text("#!/bin/sh\nsleep 5\n")
    engines.add(bare, "slow", command=slow, venv=None)
    began = time.perf_counter()
    engines.prepare(bare)
    assert time.perf_counter() - began < 1


def test_a_container_finds_what_was_registered_while_the_plane_runs(
    own_client: Client, tmp_path: Path
) -> None:
    state = own_client.plane.state_dir
    mine = _script(tmp_path / "bin" / "my-engine")
    engines.add(state, "my-engine", command=mine, venv=None)
    lifecycle.look_for_engines(own_client.plane)
    plane = lifecycle.status(state)
    assert plane is not None
    assert plane.engines["my-engine"] == str(mine)
    say = "subprocess.run(['my-engine'])"
    own_client.ready(own_client.deploy("engined", before=say))
    assert f"I am {mine}\n" in own_client.logs("engined")
    assert json.loads((state / "engines.json").read_text()) == {"my-engine": str(mine)}
