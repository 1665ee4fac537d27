"""Which inference engines can this machine run, and where is each?

An engine is a command that containers spawn. One that a user registered comes first, then one on
PATH, then one installed beside this interpreter. Nothing of an engine is imported or started here.
Standard library only: a command line uses this too.
"""

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

_SHIM = """\
#!/bin/sh
# llama-server by way of the xllamacpp package; a real llama-server on PATH comes first.
{pythonpath}exec '{python}' -m modelctl.local.llama_server "$@"
"""
_MODULE = """\
#!/bin/sh
# {name} is a module of this Python. HOST, PORT and CONFIG_FILE would hold against its own flags.
exec env -u PYTHONPATH -u HOST -u PORT -u CONFIG_FILE '{python}' -m {runs} "$@"
"""
_REGISTRY = "engines.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Known:
    """An engine that specs can name: the package it comes with, and how to get it.

    `runs` is the module that a Python runs, for a package without a command: where it is, is then
    that Python.
    """

    name: str
    package: str
    module: str
    extra: str
    runs: str | None = None

    @property
    def install(self) -> str:
        return f"pip install 'modelctl[{self.extra}]'"


KNOWN = (
    Known("llama-server", "xllamacpp", "xllamacpp", "local"),
    Known("vllm", "vllm", "vllm", "vllm"),
    Known("llama-cpp-python", "llama_cpp_python", "llama_cpp", "llama-cpp", "llama_cpp.server"),
)
_RUNS = {known.name: known for known in KNOWN if known.runs is not None}


@dataclass(frozen=True)
class Engine:
    """What is known of one engine here; `where` is None if this machine lacks it."""

    name: str
    where: str | None
    source: str  # registered, PATH, this Python, missing
    version: str | None = None
    python: str | None = None  # the interpreter that it belongs to
    install: str = ""  # what would bring it


class NotAnEngine(ValueError):
    """What was to be registered cannot be, in a sentence."""


def prepare(state_dir: Path) -> Mapping[str, str | None]:
    """What there is, by engine, with where; makes all of it reachable in `<state>/bin`."""
    folder = state_dir / "bin"
    folder.mkdir(exist_ok=True)
    found = listed(state_dir)
    wanted = {engine.name: engine.where for engine in found if _needs_link(engine)}
    for name, where in wanted.items():
        partial = folder / f".{name}.part"
        partial.unlink(missing_ok=True)
        if where == str(folder / name):
            _write_shim(partial)
        elif _is_python(name, where):
            _write_module(partial, name, str(where))
        else:
            partial.symlink_to(str(where))
        partial.replace(folder / name)  # at once: a container may be looking for it
    for left in folder.iterdir():
        if left.name not in wanted:
            left.unlink()
    return {engine.name: engine.where for engine in found}


def _needs_link(engine: Engine) -> bool:
    """Whether it is a command that containers would not find on PATH, or not this one."""
    if engine.where is None or engine.source == "PATH":
        return False
    return Path(engine.where).name == engine.name or os.access(engine.where, os.X_OK)


def listed(state_dir: Path) -> list[Engine]:
    """Every engine that is known or registered, the known ones first."""
    registered = _registered(state_dir)
    found = [
        _given(known.name, registered[known.name], known.package)
        if known.name in registered
        else _found(known, state_dir)
        for known in KNOWN
    ]
    names = {known.name for known in KNOWN}
    found += [_given(name, where) for name, where in registered.items() if name not in names]
    return found


def add(state_dir: Path, name: str, *, command: Path | None, venv: Path | None) -> Engine:
    """Registers an engine by its command or by the virtual environment that has it."""
    if not _NAME.fullmatch(name):
        raise NotAnEngine(f"{name!r} cannot be the name of a command")
    if venv is not None:
        python = venv / "bin" / "python"
        if not python.exists():
            raise NotAnEngine(f"{venv} is no virtual environment: it has no bin/python")
        command = venv / "bin" / name
        known = _RUNS.get(name)
        if known is not None and not command.is_file():
            if _version(str(python), known.package) is None:
                raise NotAnEngine(f"{venv} has no {name}; install it there first")
            command = python
        if not command.is_file():
            raise NotAnEngine(f"{venv} has no command {name}; install it there first")
    if command is None:
        raise NotAnEngine("say where it is: --venv DIR or --command PATH")
    command = command.absolute()  # a link stays one: what it leads to may change
    if not command.is_file() or not os.access(command, os.X_OK):
        raise NotAnEngine(f"{command} is no file that can be run")
    _write(state_dir, _registered(state_dir) | {name: str(command)})
    return _given(name, str(command))


def remove(state_dir: Path, name: str) -> None:
    """Forgets what was registered under this name; the engine itself stays where it is."""
    registered = _registered(state_dir)
    if name not in registered:
        raise NotAnEngine(f"no engine {name} is registered")
    del registered[name]
    _write(state_dir, registered)


def _registered(state_dir: Path) -> dict[str, str]:
    try:
        known = json.loads((state_dir / _REGISTRY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(where) for name, where in known.items()}


def _write(state_dir: Path, registered: Mapping[str, str]) -> None:
    state_dir.mkdir(parents=True, exist_ok=True)
    partial = state_dir / f"{_REGISTRY}.part"
    partial.write_text(json.dumps(dict(registered), indent=1), encoding="utf-8")
    partial.replace(state_dir / _REGISTRY)


def _given(name: str, where: str, package: str = "") -> Engine:
    python = where if _is_python(name, where) else _interpreter(Path(where))
    there = where if os.access(where, os.X_OK) else None
    version = _version(python, package or name.replace("-", "_"))
    return Engine(name, there, "registered", version, python)


def _found(known: Known, state_dir: Path) -> Engine:
    beside = Path(sys.executable).with_name(known.name)
    if (where := shutil.which(known.name)) is not None:
        python = _interpreter(Path(where))
        version = _version(python, known.package)
        return Engine(known.name, where, "PATH", version, python)
    if os.access(beside, os.X_OK):
        where = str(beside)
    elif find_spec(known.module) is not None:
        # No command of its own: llama-server is one that we write, the other is a module.
        where = sys.executable if known.runs else str(state_dir / "bin" / known.name)
    if where is None:
        return Engine(known.name, None, "missing", install=known.install)
    version = _version(sys.executable, known.package)
    return Engine(known.name, where, "this Python", version, sys.executable)


def _write_shim(path: Path) -> None:
    python_path = f"PYTHONPATH='{Path(__file__).parents[2]}' "
    path.write_text(_SHIM.format(python=sys.executable, pythonpath=python_path))
    path.chmod(0o755)


def _is_python(name: str, where: str | None) -> bool:
    """Whether that is the Python which runs the engine's module."""
    return name in _RUNS and where is not None and Path(where).name.startswith("python")


def _write_module(path: Path, name: str, python: str) -> None:
    path.write_text(_MODULE.format(name=name, python=python, runs=_RUNS[name].runs))
    path.chmod(0o755)


def _interpreter(command: Path) -> str | None:
    """The Python that a console script runs on; None for what is no such script."""
    try:
        with command.open("rb") as file:
            first = file.readline(512).decode(errors="replace").strip()
    except OSError:
        return None
    path, _, _ = first.removeprefix("#!").strip().partition(" ")
    return path if first.startswith("#!") and "python" in Path(path).name else None


def _version(python: str | None, package: str) -> str | None:
    """The package's version as its metadata beside that interpreter has it."""
    if python is None:
        return None
    # Not resolved: in a virtual environment the interpreter is a link to another one.
    lib = Path(python).parent.parent / "lib"
    pattern = f"python3*/site-packages/{package.replace('-', '_')}-*.dist-info"
    found = sorted(folder.name for folder in lib.glob(pattern))
    return found[-1].removesuffix(".dist-info").rpartition("-")[2] if found else None
