"""Does a plane run in this state directory, and how is it started, stopped and reached?

Other code reaches a plane through this module alone. It imports the standard library only, and
of that what is slow to import (urllib, subprocess) where it is used: a command line starts with it.
"""

import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess

_POLL = 0.01
_LOG_TAIL = 15  # lines


class LocalError(Exception):
    """What went wrong with the local control plane, and what to do, in a user's words."""


@dataclass(frozen=True)
class Plane:
    """A local control plane that runs."""

    state_dir: Path
    pid: int
    url: str  # gRPC: what MODAL_SERVER_URL is
    admin_url: str  # HTTP: uploads, health, capabilities, call log
    token_id: str
    token_secret: str
    proxy_token_id: str
    proxy_token_secret: str
    workspace: str
    started_at: float
    engines: Mapping[str, str | None]  # where each engine is, None if this machine lacks it


def status(state_dir: Path) -> Plane | None:
    """The plane that runs in this directory, None if there is none.

    A running plane holds a lock that dies with it, so neither a plane.json left by a killed plane
    nor a process id that now belongs to somebody else can be mistaken for one.
    """
    state_dir = state_dir.absolute()
    if not _locked(state_dir / "plane.lock"):
        return None
    announced = _announced(state_dir)
    if announced is None or not _answers(announced):
        return None
    return _plane(state_dir, announced)


def up(state_dir: Path, *, timeout: float = 15.0) -> Plane:
    """Starts a plane, detached, or answers with the one that runs. Safe when called twice at once.

    Raises LocalError when it does not come up within `timeout` seconds.
    """
    state_dir = state_dir.absolute()
    deadline = time.monotonic() + timeout
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        state_dir.chmod(0o700)
        (state_dir / ".gitignore").write_text("*\n")  # tokens and weights are nobody's commit
    except OSError as error:
        raise LocalError(
            f"The local control plane cannot use {state_dir}: {error.strerror}. "
            "Choose another directory."
        ) from None
    with _exclusive(state_dir, deadline):
        while _locked(state_dir / "plane.lock"):  # by one that answers soon, or is on its way out
            if (running := status(state_dir)) is not None:
                return running
            if time.monotonic() > deadline:
                raise LocalError(
                    f"A local control plane runs in {state_dir} but does not answer. "
                    "Run `modelctl local down` and try again." + _log_tail(state_dir)
                )
            time.sleep(_POLL)
        process, said_before = _start(state_dir)
        return _await_answer(state_dir, process, deadline, timeout, said_before)


def down(state_dir: Path, *, timeout: float = 15.0) -> bool:
    """Stops the plane and all its containers; False if none ran.

    Containers run their exit hooks; what is left after `timeout` seconds is killed.
    """
    state_dir = state_dir.absolute()
    lock = state_dir / "plane.lock"
    ran = _locked(lock)
    if ran:
        _stop(lock, timeout)
    if (announced := _announced(state_dir)) is not None:  # it was killed
        with _exclusive(state_dir, time.monotonic() + timeout):
            if not _locked(lock):
                _clear_up(state_dir, announced)
    return ran


def _stop(lock: Path, timeout: float) -> None:
    try:
        pid = int(lock.read_text())
        os.kill(pid, signal.SIGTERM)
        if not _released(lock, timeout):
            os.kill(pid, signal.SIGKILL)
            _released(lock, 5.0)
        _reap(pid)
    except ProcessLookupError:
        return
    except ValueError:
        raise LocalError("The local control plane is just starting. Try again.") from None
    except OSError as error:
        raise LocalError(
            f"The local control plane could not be stopped: {error.strerror}. "
            "It may belong to another user."
        ) from None


def environ(plane: Plane, workspace: str | None = None) -> dict[str, str]:
    """The variables that point any Modal program at this plane, or at one workspace of it.

    A workspace is made when it is first asked for. Raises LocalError for what cannot name one.
    """
    if workspace is not None and workspace != plane.workspace:
        tokens = _ask(plane, "PUT", f"/workspaces/{_quoted(workspace)}")
        plane = replace(plane, **tokens)
    return {
        "MODAL_SERVER_URL": plane.url,
        "MODAL_TOKEN_ID": plane.token_id,
        "MODAL_TOKEN_SECRET": plane.token_secret,
        "MODAL_CONFIG_PATH": str(plane.state_dir / "modal.toml"),
        "MODAL_ENVIRONMENT": "main",
        "MODAL_PROFILE": "",  # a profile of the caller's is not in that file
        "MODAL_DISABLE_API_PROXY": "1",
        "MODELCTL_PROXY_TOKEN_ID": plane.proxy_token_id,
        "MODELCTL_PROXY_TOKEN_SECRET": plane.proxy_token_secret,
    }


def calls(
    plane: Plane, method: str | None = None, since: int = 0, limit: int | None = None
) -> list[dict[str, Any]]:
    """The RPCs that clients made, oldest first: n, at, method, ms, status, request, client.

    `method` is a name or a pattern of names (``App*``), `since` the number of the last one known,
    `limit` how many of the last are wanted. Requests come without bytes, and long ones cut.
    """
    import urllib.parse

    query = {"since": str(since)} | ({"method": method} if method else {})
    if limit is not None:
        query["limit"] = str(limit)
    answer = _ask(plane, "GET", f"/calls?{urllib.parse.urlencode(query)}")
    found: list[dict[str, Any]] = answer["calls"]
    return found


def faults(plane: Plane) -> list[dict[str, Any]]:
    """The faults that hold: id, kind, times, met, and what is said of their kind."""
    found: list[dict[str, Any]] = _ask(plane, "GET", "/faults")["faults"]
    return found


def add_fault(plane: Plane, kind: str, **said: Any) -> str:
    """Has something go wrong until it is cleared, or so many `times`; the fault's id.

    `modelctl.local.faults` says which kinds there are, and what each of them takes.
    """
    return str(_ask(plane, "POST", "/faults", {"kind": kind, **said})["id"])


def clear_faults(plane: Plane, fault_id: str | None = None) -> int:
    """Takes one fault back, or all; how many there were."""
    path = "/faults" if fault_id is None else f"/faults/{_quoted(fault_id)}"
    return int(_ask(plane, "DELETE", path)["cleared"])


def gpus(plane: Plane) -> dict[str, Any]:
    """The inventory (None: all runs on the processor), what of it is in use, and who waits."""
    return _ask(plane, "GET", "/gpus")


def set_gpus(plane: Plane, inventory: str | None) -> dict[str, Any]:
    """Has the plane behave as if it had these (``H100=2,L40S=4``); None: as if it had any."""
    return _ask(plane, "PUT", "/gpus", {"inventory": inventory})


def set_prices(plane: Plane, prices: Mapping[str, float]) -> dict[str, Any]:
    """Has it answer these as the workspace's own prices, USD a second; none: Modal's list."""
    return _ask(plane, "PUT", "/prices", {"prices": dict(prices)})


def clock(plane: Plane) -> dict[str, Any]:
    """What time it is for the plane's windows, and how far that is ahead of this machine's."""
    return _ask(plane, "GET", "/clock")


def advance(plane: Plane, seconds: float) -> dict[str, Any]:
    """Moves that clock forward; what is due by then happens now."""
    return _ask(plane, "POST", "/clock", {"advance": seconds})


def images(plane: Plane) -> list[dict[str, Any]]:
    """Every image in a few words, oldest first."""
    found: list[dict[str, Any]] = _ask(plane, "GET", "/images")["images"]
    return found


def image(plane: Plane, image_id: str) -> dict[str, Any]:
    """One image with its recipe: `layers`, the lowest first, each with an id and lines."""
    return _ask(plane, "GET", f"/images/{_quoted(image_id)}")


def look_for_engines(plane: Plane) -> None:
    """Has a plane notice what was registered or installed since it started."""
    _ask(plane, "POST", "/engines")


# -- inside


def _quoted(word: str) -> str:
    import urllib.parse

    return urllib.parse.quote(word, safe="")


def _ask(
    plane: Plane, verb: str, path: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """One request to a running plane's HTTP side, and its JSON; LocalError if it refuses."""
    import urllib.error
    import urllib.request

    # Never through a proxy: the plane is on the loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(  # noqa: S310 - our own http URL
        plane.admin_url + path,
        method=verb,
        data=None if body is None else json.dumps(body).encode(),
        headers={"x-modal-token-secret": plane.token_secret},
    )
    try:
        with opener.open(request, timeout=10.0) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as refusal:
        with refusal:
            said = refusal.read().decode(errors="replace")
        try:
            raise LocalError(str(json.loads(said)["error"])) from None
        except (ValueError, KeyError, TypeError):
            raise LocalError(said.strip() or f"the plane answered {refusal.code}") from None
    except (OSError, ValueError) as error:
        raise LocalError(f"The local control plane does not answer: {error}.") from None


def _locked(lock: Path) -> bool:
    """Whether a live process holds the lock."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _released(lock: Path, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while _locked(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _clear_up(state_dir: Path, announced: Mapping[str, Any]) -> None:
    """Does what a plane that was killed could not: ends its processes, removes its sockets."""
    import shutil

    from modelctl.local import leftovers

    leftovers.end(leftovers.mark(state_dir))
    if sockets := announced.get("sockets"):
        shutil.rmtree(sockets, ignore_errors=True)
    (state_dir / "plane.json").unlink(missing_ok=True)


def _reap(pid: int) -> None:
    """Takes note of its end where this process had started it, so that no zombie stays."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return


def _announced(state_dir: Path) -> dict[str, Any] | None:
    try:
        announced = json.loads((state_dir / "plane.json").read_text())
    except (OSError, ValueError):
        return None
    return announced if isinstance(announced, dict) else None


def _answers(announced: Mapping[str, Any], timeout: float = 0.8) -> bool:
    """Whether the plane that announced this, and no other, answers at its address."""
    answer = b""
    try:
        port = int(str(announced["admin_url"]).rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            connection.sendall(b"GET /health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            while piece := connection.recv(4096):
                answer += piece
        health = json.loads(answer.partition(b"\r\n\r\n")[2])
        return bool(health["instance"] == announced["instance"])
    except (OSError, ValueError, KeyError):
        return False


def _plane(state_dir: Path, announced: Mapping[str, Any]) -> Plane:
    fields = {name: announced[name] for name in Plane.__dataclass_fields__ if name in announced}
    return Plane(**(fields | {"state_dir": state_dir}))


@contextmanager
def _exclusive(state_dir: Path, deadline: float) -> Iterator[None]:
    """One `up` at a time."""
    descriptor = os.open(state_dir / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise LocalError(
                        f"Another process has been starting the local control plane in {state_dir} "
                        "for too long. Stop it and try again."
                    ) from None
                time.sleep(_POLL)
        yield
    finally:
        os.close(descriptor)


def _start(state_dir: Path) -> "tuple[subprocess.Popen[bytes], int]":
    """The process, and where in its log what it says begins."""
    import subprocess

    package_root = str(Path(__file__).parents[2])
    environment = dict(os.environ)
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = os.pathsep.join([package_root] + ([inherited] if inherited else []))
    descriptor = os.open(state_dir / "plane.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as output:
        said_before = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "modelctl.local", "--state-dir", str(state_dir)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=state_dir,
            env=environment,
            start_new_session=True,
        )
    return process, said_before


def _await_answer(
    state_dir: Path,
    process: "subprocess.Popen[bytes]",
    deadline: float,
    timeout: float,
    said_before: int,
) -> Plane:
    while True:
        if (running := status(state_dir)) is not None:
            process.returncode = 0  # it outlives us on purpose: nothing to warn of
            return running
        if process.poll() is not None:
            raise LocalError(
                f"The local control plane did not start (exit code {process.returncode})."
                + _log_tail(state_dir, said_before)
            )
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise LocalError(
                f"The local control plane did not start within {timeout:g} s."
                + _log_tail(state_dir, said_before)
            )
        time.sleep(_POLL)


def _log_tail(state_dir: Path, said_before: int = 0) -> str:
    log = state_dir / "plane.log"
    try:
        text = log.read_bytes()[said_before:].decode(errors="replace")
    except OSError:
        text = ""
    # Of a traceback only the last line, which says what happened: the rest is for the log.
    lines = [
        line
        for line in text.splitlines()
        if line.strip() and not line.startswith(("Traceback (", " "))
    ][-_LOG_TAIL:]
    if not lines:
        return f" Its log, {log}, is empty."
    return f" The end of its log, {log}:\n" + "\n".join(f"  {line}" for line in lines)
