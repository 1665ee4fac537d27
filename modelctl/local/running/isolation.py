"""Which containers get a network of their own? Those whose app insists on the port it declares.

On Modal a container is a machine: each may listen on port 8000. An app that takes its port from
MODELCTL_PORT, as rendered apps do, runs beside others on this machine's network. Any other one that
declares a port runs in a network namespace, where that port is free, if this machine permits it.
"""

import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from modal_proto import api_pb2

from modelctl.local.keeping.content import Content
from modelctl.local.keeping.state import State

_VARIABLE = b"MODELCTL_PORT"
_PROGRAM = Path(__file__).with_name("isolate.py")
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
    spec = data.ranked_functions[0].function
    if any(_VARIABLE in code for code in (spec.class_serialized, spec.function_serialized)):
        return False
    files = (file for mount_id in spec.mount_ids for file in state.mounts[mount_id].files)
    return not any(
        _names_it(content.path(str(sha256)))
        for path, sha256, _ in files
        if str(path).endswith(".py")
    )


@lru_cache(maxsize=4096)
def _names_it(path: Path) -> bool:
    return path.is_file() and _VARIABLE in path.read_bytes()  # its name is its content's hash


@lru_cache(maxsize=1)
def permitted() -> bool:
    """Whether a process of ours may have a network namespace: on Linux often, elsewhere never."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        probe = [sys.executable, "-I", "-S", str(_PROGRAM)]
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
    bare_python = (sys.executable, "-I", "-S")
    return (*bare_python, str(_PROGRAM), str(outside), str(inside), ports, next_proxy)
