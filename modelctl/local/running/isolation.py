"""Which containers get a network of their own, and which see their files where they belong?

On Modal a container is a machine: each may listen on port 8000, and its Volumes are at their paths.
A rendered app takes its port from MODELCTL_PORT and the root of its paths from MODELCTL_MOUNT_ROOT:
it runs beside others on this machine's network and files. An app that does not name the variable
runs in a namespace, where that port is free and those paths are there, if this machine permits it.
"""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from modal_proto import api_pb2

from modelctl.local.keeping.content import Content
from modelctl.local.keeping.recipes import files
from modelctl.local.keeping.state import State

_PORT, _MOUNT_ROOT = b"MODELCTL_PORT", b"MODELCTL_MOUNT_ROOT"
_BARE_PYTHON = (sys.executable, "-I", "-S")
_ISOLATE = Path(__file__).with_name("isolate.py")
_MOUNTING = Path(__file__).with_name("mounting.py")
_PROBE_TIMEOUT = 5.0


def declared_port(data: api_pb2.FunctionData) -> int:
    """Where a server or a web_server listens; 0 for a function that takes inputs only."""
    if data.is_server:
        return int(data.http_config.port)
    hooks = [data.webhook_config, *(one.webhook_config for one in data.method_definitions.values())]
    return next((int(hook.web_server_port) for hook in hooks if hook.web_server_port), 0)


def insists(data: api_pb2.FunctionData, state: State, content: Content) -> bool:
    """Whether it needs the port that it declares, and no other one will do.

    A server's app may name MODELCTL_PORT in its own code. A web_server is looked for by Modal's
    runtime, in the container, where it says that it listens.
    """
    if not data.is_server:
        return declared_port(data) != 0
    return not _code_names(_PORT, data, state, content)


def names_paths(data: api_pb2.FunctionData, state: State, content: Content) -> bool:
    """Whether it has Volumes or files, besides its code, that it looks for at their own paths."""
    spec = data.ranked_functions[0].function
    if not spec.volume_mounts and all(path.endswith(".py") for path, _ in _files(data, state)):
        return False
    return not _code_names(_MOUNT_ROOT, data, state, content)


def _files(data: api_pb2.FunctionData, state: State) -> Iterator[tuple[str, str]]:
    """The paths of what is mounted, with their contents' hashes."""
    spec = data.ranked_functions[0].function
    return ((path, sha256) for path, sha256, _ in files(state.images, state.mounts, spec))


def _code_names(
    variable: bytes, data: api_pb2.FunctionData, state: State, content: Content
) -> bool:
    """Whether the variable occurs anywhere in the app's own code."""
    spec = data.ranked_functions[0].function
    if any(variable in code for code in (spec.class_serialized, spec.function_serialized)):
        return True
    code = (content.path(sha) for path, sha in _files(data, state) if path.endswith(".py"))
    return any(_contains(path, variable) for path in code)


@lru_cache(maxsize=4096)
def _contains(path: Path, variable: bytes) -> bool:
    return path.is_file() and variable in path.read_bytes()  # its name is its content's hash


def networks_permitted() -> bool:
    """Whether a process of ours may have a network namespace: on Linux often, elsewhere never."""
    return _succeeds(_ISOLATE)


def mounts_permitted() -> bool:
    """Whether it may have mounts of its own."""
    return _succeeds(_MOUNTING)


@lru_cache(maxsize=2)
def _succeeds(program: Path) -> bool:
    """Whether the program, asked, says that it can do here what it is for."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        probe = [*_BARE_PYTHON, str(program)]
        return subprocess.run(probe, timeout=_PROBE_TIMEOUT, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def taken(data: api_pb2.FunctionData) -> str:
    """What is to be said where the port is another one's and no namespace is permitted."""
    port = declared_port(data)
    by_variable = "Take the port from the variable MODELCTL_PORT, as rendered apps do, or stop"
    way_out = by_variable if data.is_server else "Stop"
    return (
        f"its app listens on port {port}, which another process on this machine has taken. "
        f"{way_out} what listens on port {port}."
    )


def argv(outside: int, inside: int, through: Sequence[int], proxy: str) -> tuple[str, ...]:
    """What to put before a container's own command.

    The port `outside` of this machine leads to `inside`; `through` are ports of this machine that
    the container may reach; `proxy` is this machine's own way to the web, if it has one.
    """
    ports = ",".join(map(str, through))
    next_proxy = proxy if proxy.startswith("http://") else ""
    return (*_BARE_PYTHON, str(_ISOLATE), str(outside), str(inside), ports, next_proxy)


def mounts_argv(root: Path) -> tuple[str, ...]:
    """What to put before a container's own command: all below `root` is to be found below /."""
    return (*_BARE_PYTHON, str(_MOUNTING), str(root))
