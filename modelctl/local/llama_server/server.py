"""How does the stand-in start, serve, stop and fail?"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from modelctl.local.llama_server.applying import Engine, api_keys
from modelctl.local.llama_server.flags import DEFAULT_PORT, FLAGS, parse
from modelctl.local.llama_server.values import RefusedError, read_rows

PR_SET_PDEATHSIG = 1


def library() -> Any:
    """xllamacpp, set up to share the machine.

    Its threads spin while they wait for each other, for seconds where they may: several engines on
    a few cores then mostly watch each other spin. A short spin costs one engine alone nothing that
    can be measured. GNU OpenMP reads the variable when it is loaded.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    try:
        # By name, so that everything above works where the wheel is not installed.
        return importlib.import_module("xllamacpp")
    except ImportError as error:
        raise RefusedError(
            f"xllamacpp is not usable here ({error}): pip install 'modelctl[local]', "
            "or put llama-server on PATH."
        ) from error


def configure(argv: Sequence[str], environ: Mapping[str, str]) -> Engine:
    """What the command line and LLAMA_API_KEY ask for, as xllamacpp's CommonParams."""
    settings = parse(argv)
    for variable in sorted(environ):
        if variable.startswith("LLAMA_ARG_"):
            raise RefusedError(
                f"{variable} is set, but this stand-in reads flags only: write the flag."
            )
    xllamacpp = library()
    engine = Engine(xllamacpp, xllamacpp.CommonParams())
    # Where llama-server's own start differs from a fresh CommonParams.
    engine.params.port = DEFAULT_PORT
    engine.params.n_parallel = -1
    engine.params.default_template_kwargs = {"preserve_reasoning": "true"}
    if environ.get("LLAMA_API_KEY"):
        keys = read_rows(environ["LLAMA_API_KEY"])
        if not keys:
            # llama.cpp would serve everyone.
            raise RefusedError("LLAMA_API_KEY is set but holds no key.")
        api_keys(engine, keys)
    for setting in settings:
        setting.flag.apply(engine, setting.value)
    if not engine.params.model.path:
        raise RefusedError("--model is required.")
    return engine


def die_with_parent() -> None:
    """Inside a Modal container, leave no engine behind when the container process is killed.

    Not elsewhere: a person who runs this in the background may well end the shell before it. The
    kernel watches the thread that started this process, so a starter has to keep that one alive.
    """
    if sys.platform != "linux" or not os.environ.get("MODAL_TASK_ID"):
        return
    parent = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)
    # SIGKILL, since while a model loads nothing in Python can answer a gentler signal.
    if libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise RefusedError(f"prctl(PR_SET_PDEATHSIG): {os.strerror(ctypes.get_errno())}.")
    if os.getppid() != parent:
        raise RefusedError("the process that started this one has died.")


def check_addresses(engine: Engine) -> None:
    """Whether the port is free, since xllamacpp tells a bind from a load error in its log only."""
    port = engine.params.port
    for host in engine.params.hostnames:
        if host.endswith(".sock"):
            continue
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            # The first of the host's addresses is the one llama.cpp takes, while it is free.
            with socket.socket(*found[0][:3]) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(found[0][4])
        except OSError as error:
            raise RefusedError(f"cannot listen on {host}:{port}: {error.strerror}.") from error


def serve(engine: Engine) -> NoReturn:
    """Load the model, serve until SIGTERM or SIGINT, and end the process with code 0."""
    stops = (signal.SIGTERM, signal.SIGINT)
    try:
        server = engine.library.Server(engine.params)
    except (RuntimeError, ValueError) as error:
        raise RefusedError(
            f"llama.cpp could not serve {engine.params.model.path}; its own lines say why."
        ) from error
    # The signal may reach any of llama.cpp's threads, which would leave a waiting main thread
    # asleep; Python's C-level handler writes to this socket whichever thread it runs in.
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno())
    for stop in stops:
        signal.signal(stop, lambda *_: None)
    heard.recv(1)
    sys.stderr.write(f"llama_server: stops on {server.listening_address}.\n")
    # Not through the destructor of `server`: it waits until every client of an open stream has hung
    # up, and holds Python's lock meanwhile. There is nothing to save, and the system takes back the
    # port and the memory.
    os._exit(0)


def usage() -> str:
    lines = ["usage: python -m modelctl.local.llama_server --model FILE [flags]", ""]
    for flag in FLAGS:
        left = ", ".join(flag.names) + (f" {flag.kind.shown}" if flag.kind else "")
        lines += [f"  {left}", f"      {flag.meaning}"]
        if flag.off:
            lines += [f"  {', '.join(flag.off)}", "      the opposite"]
    lines += ["  --help, -h", "  --version"]
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    # While a model loads, xllamacpp holds Python's lock and no handler of Python's could run: let
    # the system end the process, as it does with the real server until its model is loaded.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        if {"--help", "-h"} & set(argv):
            sys.stdout.write(usage() + "\n")
        elif "--version" in argv:
            version = library().__version__
            sys.stdout.write(f"stand-in for llama-server, from xllamacpp {version}\n")
        else:
            die_with_parent()
            engine = configure(argv, os.environ)
            check_addresses(engine)
            serve(engine)
    except RefusedError as refusal:
        sys.stderr.write(f"llama_server: {refusal}\n")
        return 1
    return 0
