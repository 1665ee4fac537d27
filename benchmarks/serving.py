"""Is a rendered app, through the plane and its proxy, slower than its server started by hand?

Both are started, and asked in turn by one, four and eight clients. Whoever is not asked is stopped
meanwhile: the threads of an engine that has just answered go on spinning, on the same cores. By
hand means the server's own defaults.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Endpoint, Seen, load
from benchmarks.planes import Target
from benchmarks.processes import MODELCTL, cost, environment
from benchmarks.result import CannotMeasure, Figure, Goal, Row, milliseconds, paired
from modelctl.local import engines, leftovers, lifecycle

NAME, NAME_VLLM = "serving", "serving-vllm"
ROOT = Path(__file__).parents[1]
CLIENTS = (1, 4, 8)
NOISE = 0.9
"""Of two runs of the same server on a machine that does other things; more is a difference."""
_BOOT = 240.0


@dataclass(frozen=True)
class Contest:
    """One server on both sides. `place` puts the model into a folder and says where it is.

    `each` is how many requests a client makes in a round: as many as take about a second.
    """

    name: str
    command: Path
    spec: str
    place: Callable[[Path], Path]
    by_hand: Callable[[Path, Path, int], Sequence[str]]
    name_by_hand: Callable[[Path], str]
    each: int


@dataclass(frozen=True)
class Side:
    """Where a server answers, and which processes it is made of."""

    endpoint: Endpoint
    processes: Callable[[], Collection[int]]

    def asked(self, clients: int, each: int, mark: str, *, beside: Side) -> Seen:
        """What clients saw while the other side's processes stood still."""
        with _stopped(beside.processes()):
            load(self.endpoint, clients, each=1, mark=f"awake, {mark}")
            return load(self.endpoint, clients, each=each, mark=mark)


@contextmanager
def _stopped(processes: Collection[int]) -> Iterator[None]:
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


def _engines_of(pids: Collection[int], contest: Contest) -> Collection[int]:
    """Those of the processes that are the engine or its helpers, not what watches over it."""
    word = contest.command.name.encode()
    found = []
    for pid in pids:
        with suppress(OSError):
            if word in Path(f"/proc/{pid}/cmdline").read_bytes().lower():
                found.append(pid)
    return found


def _session_of(leader: int) -> Collection[int]:
    """The processes that this one started, and itself."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if os.getsid(int(entry.name)) == leader:
                found.append(int(entry.name))
    return found


def measure(folder: Path, runs: int) -> Sequence[Row]:
    return _contest(LLAMA_CPP, folder / "bench", runs)


def measure_vllm(folder: Path, runs: int) -> Sequence[Row]:
    return _contest(VLLM, folder / "bench", runs)


def _contest(contest: Contest, folder: Path, runs: int) -> list[Row]:
    if not contest.command.is_file():
        raise CannotMeasure(f"{contest.name} is not below .engines/: make engines")
    (folder / "specs").mkdir(parents=True)
    (folder / "modelctl.yaml").write_text("project: bench\n", encoding="utf-8")
    (folder / "specs" / "bench.yaml").write_text(contest.spec, encoding="utf-8")
    model = contest.place(folder / "models")
    with (
        _by_hand(contest, model, folder) as theirs,
        _rendered(contest, folder) as ours,
    ):
        for side in (ours, theirs):
            load(side.endpoint, max(CLIENTS), each=contest.each, mark="warm-up")
        return [row for clients in CLIENTS for row in _rows(contest, ours, theirs, clients, runs)]


def _rows(contest: Contest, ours: Side, theirs: Side, clients: int, runs: int) -> Iterator[Row]:
    rounds: list[tuple[Seen, Seen]] = []
    for number in range(runs):
        mark = f"{clients} at once, round {number}"
        # Who is first alternates: what grows warm or tired meanwhile helps both.
        first, second = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        seen = (
            first.asked(clients, contest.each, mark, beside=second),
            second.asked(clients, contest.each, mark, beside=first),
        )
        rounds.append(seen if number % 2 == 0 else (seen[1], seen[0]))
    what = f"{contest.name}, {clients} client{'s' if clients > 1 else ''}"
    rates = ([one.rate for one, _ in rounds], [other.rate for _, other in rounds])
    firsts = ([one.first for one, _ in rounds], [other.first for _, other in rounds])
    # More than 1 where the rendered app is better, for both.
    rate, other_rate = (Figure(tuple(values), "tok/s") for values in rates)
    yield _row(what, rate, other_rate, paired(rates[1], rates[0]))
    soon, other_soon = (milliseconds(values) for values in firsts)
    yield _row("  until the first token", soon, other_soon, paired(firsts[0], firsts[1]))


def _row(what: str, ours: Figure, theirs: Figure, ratio: float) -> Row:
    goal = Goal(f"≥ {NOISE:g}× by hand", ratio >= NOISE)
    return Row(what, ours, theirs, ratio, (goal,))


@contextmanager
def _rendered(contest: Contest, folder: Path) -> Iterator[Side]:
    """The app that modelctl renders, deployed to a plane of its own."""
    state = folder / ".modelctl" / "local"
    engines.add(state, contest.command.name, command=contest.command, venv=None)
    try:
        plane = lifecycle.up(state)
        variables = {**lifecycle.environ(plane), "MODELCTL_LOCAL_DIR": str(state)}
        target = Target(plane, environment(variables, state))
        cost([MODELCTL, "apply", "--local", "--yes"], cwd=folder, env=target.env)
        listed = subprocess.run(
            [MODELCTL, "status", "--local", "--output", "json"],
            cwd=folder,
            env=target.env,
            capture_output=True,
            check=True,
        )
        (app,) = json.loads(listed.stdout)["apps"]
        token = {"Modal-Key": plane.proxy_token_id, "Modal-Secret": plane.proxy_token_secret}
        value = leftovers.mark(state)
        yield Side(
            Endpoint(app["url"], "bench", token),
            lambda: _engines_of(leftovers.carriers(value), contest),
        )
    finally:
        lifecycle.down(state)


@contextmanager
def _by_hand(contest: Contest, model: Path, folder: Path) -> Iterator[Side]:
    """The same server as its documentation starts it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    said = folder / "by-hand.log"
    kept = {name: v for name, v in os.environ.items() if not name.startswith("MODELCTL_")}
    # Apart from the benchmark's own path, where modelctl is and the engine is not.
    kept.pop("PYTHONPATH", None)
    with said.open("wb") as log:
        process = subprocess.Popen(
            contest.by_hand(contest.command, model, port),
            stdout=log,
            stderr=log,
            env=kept,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _BOOT
        while not _answers(f"{url}/health"):
            if process.poll() is not None or time.monotonic() > deadline:
                words = said.read_text(errors="replace")[-2000:]
                raise CannotMeasure(f"{contest.name} by hand did not start:\n{words}")
            time.sleep(0.2)
        yield Side(Endpoint(url, contest.name_by_hand(model), {}), lambda: _session_of(process.pid))
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _smollm2(folder: Path) -> Path:
    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    folder.mkdir()
    target = folder / name
    if not (ROOT / "models" / name).is_file():
        raise CannotMeasure(f"models/{name} is missing: make setup fetches it")
    target.hardlink_to(ROOT / "models" / name)
    return target


def _noise(folder: Path) -> Path:
    """As large as the other engine's model: one that is tiny measures who wakes up first."""
    from tests.hub.models import SMOLLM2, make_llama  # random, so that every machine can make it

    (folder / "noise").mkdir(parents=True)
    return make_llama(folder / "noise", shape=SMOLLM2)


LLAMA_CPP = Contest(
    "llama.cpp",
    ROOT / ".engines" / "llama.cpp" / "llama-server",
    """\
name: bench
model: ../models/SmolLM2-135M-Instruct.Q4_1.gguf
backend: llama.cpp
context: 2048
max_sequences: 8
gpu: none
keep_warm: 1
""",
    _smollm2,
    lambda command, model, port: (str(command), "--model", str(model), "--port", str(port)),
    lambda model: model.name,
    each=2,
)

VLLM = Contest(
    "vllm",
    ROOT / ".engines" / "vllm" / "bin" / "vllm",
    """\
name: bench
model: ../models/noise
backend: vllm
context: 256
compile: full
gpu: L4
keep_warm: 1
""",
    _noise,
    # Its default takes nine tenths of a machine's memory, which two of them do not have.
    lambda command, model, port: (
        str(command),
        "serve",
        str(model),
        "--port",
        str(port),
        "--kv-cache-memory-bytes",
        str(2**30),
    ),
    str,
    each=2,
)
