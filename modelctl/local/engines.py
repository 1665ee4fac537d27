"""Which inference engines can this machine run?"""

import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

_SHIM = """\
#!/bin/sh
# llama-server by way of the xllamacpp package; a real llama-server on PATH comes first.
{pythonpath}exec '{python}' -m modelctl.local.llama_server "$@"
"""


def prepare(state_dir: Path) -> Mapping[str, str | None]:
    """What there is, by engine, with where; writes the stand-in for llama-server if it can run."""
    folder = state_dir / "bin"
    folder.mkdir(exist_ok=True)
    shim = folder / "llama-server"
    if find_spec("xllamacpp") is not None:
        package_root = Path(__file__).parents[2]
        python_path = f"PYTHONPATH='{package_root}' "
        shim.write_text(_SHIM.format(python=sys.executable, pythonpath=python_path))
        shim.chmod(0o755)
    else:
        shim.unlink(missing_ok=True)
    return {
        "llama-server": shutil.which("llama-server") or (str(shim) if shim.exists() else None),
        "vllm": _beside_python("vllm"),
        "llama-cpp-python": _module("llama_cpp"),
    }


def _module(name: str) -> str | None:
    spec = find_spec(name)
    return spec.origin if spec is not None else None


def _beside_python(command: str) -> str | None:
    """The command on PATH, or the one installed with this interpreter."""
    beside = Path(sys.executable).with_name(command)
    return shutil.which(command) or (str(beside) if beside.exists() else None)
