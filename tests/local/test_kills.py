"""Whatever is killed, and when: nothing is left, nothing told is lost, and no part looks whole."""

import asyncio
import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from modal_proto import api_pb2

from modelctl.local import leftovers, lifecycle
from modelctl.local.__main__ import shorten
from tests.cli.rounds import KILLS
from tests.local import streaming
from tests.local.conftest import Client, client_in, until

pytestmark = pytest.mark.full

# -- what there is to kill


def processes(client: Client) -> dict[str, list[int]]:
    """The processes that carry the plane's mark, by what they are."""
    found: dict[str, list[int]] = {"supervisor": [], "runner": [], "engine": []}
    for pid in sorted(leftovers.carriers(leftovers.mark(client.plane.state_dir))):
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            kind = "supervisor" if b"supervise.py" in line else "engine"
            found["runner" if b"_container_entrypoint" in line and kind == "engine" else kind] += [
                pid
            ]
    return found


def kill(*pids: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


# -- one thing at a time


def test_what_a_killed_supervisor_leaves_is_ended_and_replaced(client: Client) -> None:
    url = streaming.deploy(client, "unwatched", "min_containers=1, unauthenticated=True")
    engine = client.ready(url)["pid"]
    kill(supervisor_of(engine))
    until(lambda: not alive(engine))
    assert client.ready(url)["pid"] != engine
    # Nothing stays in the table of processes either.
    until(lambda: not zombies(client.plane.pid))
    client.sdk("modal.App.lookup('unwatched').stop()")


@pytest.mark.parametrize("how", ["up", "down"])
def test_what_a_killed_plane_and_its_supervisors_leave_is_ended_by_the_next(
    own_client: Client, tmp_path: Path, how: str
) -> None:
    arguments = "min_containers=1, unauthenticated=True"
    url = streaming.deploy(own_client, "left", arguments)
    engine = own_client.ready(url)["pid"]
    with client_in(tmp_path / "other", tmp_path / "other" / "state") as other:
        neighbour = other.ready(streaming.deploy(other, "left", arguments))["pid"]
        # Stopped first, the supervisor cannot do its work any more.
        supervisor = supervisor_of(engine)
        os.kill(supervisor, signal.SIGSTOP)
        kill(own_client.plane.pid, supervisor)
        sockets = list(Path(announced_sockets(own_client)).iterdir())
        assert sockets
        assert alive(engine)
        if how == "up":
            lifecycle.up(own_client.plane.state_dir)
        else:
            lifecycle.down(own_client.plane.state_dir)
            assert processes(own_client) == {"supervisor": [], "runner": [], "engine": []}
        assert not alive(engine)
        assert not any(socket.exists() for socket in sockets)
        assert alive(neighbour)
        assert other.ready(other.url("left"))["pid"] == neighbour


def test_an_engine_with_an_environment_of_its_own_is_ended_too(own_client: Client) -> None:
    bare = "subprocess.Popen(['/bin/sleep', '600'], env={}, start_new_session=True)"
    own_client.ready(own_client.deploy("bare", "min_containers=1", before=bare))
    sleeper = next(pid for pid in processes(own_client)["engine"] if b"sleep" in command(pid))
    kill(supervisor_of(sleeper))
    until(lambda: not alive(sleeper))


def test_the_log_goes_on_where_the_last_plane_was_killed(own_client: Client) -> None:
    kill(own_client.plane.pid)
    until(lambda: not lifecycle.status(own_client.plane.state_dir))
    lifecycle.up(own_client.plane.state_dir)
    log = (own_client.plane.state_dir / "plane.log").read_text()
    assert log.count("serving at") == 2


def test_the_log_stays_below_its_limit(tmp_path: Path) -> None:
    log = tmp_path / "plane.log"
    with log.open("a") as file:
        for number in range(1000):
            file.write(f"line {number}\n")
            file.flush()
            shorten(log, file.fileno(), 1000)
    lines = log.read_text().splitlines()
    assert log.stat().st_size <= 1000 + len("line 999\n")
    assert lines[-1] == "line 999"
    assert lines == [f"line {number}" for number in range(1000 - len(lines), 1000)]


def supervisor_of(pid: int) -> int:
    while b"supervise.py" not in command(pid):
        pid = parent(pid)
        assert pid > 1, "nobody supervises it"
    return pid


def command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def zombies(plane: int) -> list[int]:
    children = Path(f"/proc/{plane}/task/{plane}/children").read_text().split()
    return [int(pid) for pid in children if not alive(int(pid))]


def announced_sockets(client: Client) -> str:
    announced = lifecycle._announced(client.plane.state_dir)
    assert announced is not None
    return str(announced["sockets"])


# -- everything at once


@dataclass
class Told:
    """What the plane told its client that it did; of what failed nobody knows."""

    versions: Counter[str] = field(default_factory=Counter)  # acknowledged publishes
    perhaps: Counter[str] = field(default_factory=Counter)  # publishes without an answer
    marks: dict[str, set[str]] = field(default_factory=dict)  # what may be live
    tags: dict[str, set[str]] = field(default_factory=dict)
    settings: dict[str, set[int]] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    locks: dict[str, str] = field(default_factory=dict)


class Changes:
    """A client that goes on deploying, tagging, scaling, uploading and locking."""

    def __init__(self, client: Client, rng: random.Random) -> None:
        self.told = Told()
        self.failed = 0
        self._client = client
        self._rng = rng
        self._number = 0
        self._running = threading.Event()
        self._idle = threading.Lock()
        self._over = False
        self._thread = threading.Thread(target=self._run)
        self.error: BaseException | None = None

    def start(self) -> None:
        self._running.set()
        self._thread.start()

    def stop(self) -> None:
        self._over = True
        self._running.set()
        self._thread.join()

    @contextlib.contextmanager
    def paused(self) -> Any:
        self._running.clear()
        with self._idle:
            yield
        self._running.set()

    def _run(self) -> None:
        try:
            while not self._over:
                self._running.wait()
                with self._idle:
                    if self._running.is_set() and not self._over:
                        self.one()
                time.sleep(0.02)
        except BaseException as error:
            self.error = error

    def one(self) -> None:
        self._number += 1
        change = self._rng.choice([self.deploy, self.deploy, self.tag, self.scale, self.upload,
                                   self.lock])  # fmt: skip
        change(f"kill-{self._rng.randrange(3)}", str(self._number))

    def _told(self, code: str) -> Any:
        try:
            return [self._client.sdk(code)]
        except AssertionError:
            self.failed += 1
            return None

    def deploy(self, name: str, number: str) -> None:
        path = self._client.folder / f"{name.replace('-', '_')}.py"
        path.write_text(streaming.source(name, "min_containers=1, unauthenticated=True", number))
        if self._told(f"load({str(path)!r}).app.deploy()"):
            self.told.versions[name] += 1
            self.told.marks[name] = {number}
            self.told.tags[name] = {""}  # a publish sets them, and forgets what was scaled live
            self.told.settings[name] = {1}
        else:
            self.told.perhaps[name] += 1
            self.told.marks.setdefault(name, {""}).add(number)
            self.told.tags.setdefault(name, {""}).add("")
            self.told.settings.setdefault(name, {1}).add(1)

    def tag(self, name: str, number: str) -> None:
        if self.told.versions[name]:
            done = self._told(f"modal.App.lookup({name!r}).set_tags({{'n': {number!r}}})")
            self.told.tags[name] = {number} if done else self.told.tags[name] | {number}

    def scale(self, name: str, number: str) -> None:
        if self.told.versions[name]:
            least = 1 + int(number) % 2
            done = self._told(
                f"modal.Server.from_name({name!r}, 'Server')"
                f".autoscaler.update(min_containers={least})"
            )
            self.told.settings[name] = {least} if done else self.told.settings[name] | {least}

    def upload(self, _: str, number: str) -> None:
        done = self._told(
            f"""
            import io
            volume = modal.Volume.from_name("kills", create_if_missing=True)
            with volume.batch_upload(force=True) as batch:
                batch.put_file(io.BytesIO(b"content of {number}"), "/{number}")
            """
        )
        if done:
            self.told.files[number] = f"content of {number}"

    def lock(self, _: str, number: str) -> None:
        key = f"lock-{int(number) // 8}"
        got = self._told(
            "locks = modal.Dict.from_name('kills', create_if_missing=True)\n"
            f"result = locks.put({key!r}, {number!r}, skip_if_exists=True)"
        )
        if got == [True]:
            assert key not in self.told.locks, "a lock was given twice"
            self.told.locks[key] = number

    def verify(self) -> None:
        """Asks the plane for everything that it had told."""
        names = sorted(self.told.versions)
        found = self._client.sdk(
            f"""
            result = {{}}
            for name in {names!r}:
                app = modal.App.lookup(name)
                settings = modal.Server.from_name(name, "Server").autoscaler.settings()
                result[name] = [
                    app.info().lifecycle.version, app.get_tags().get("n", ""),
                    settings.min_containers, app.app_id,
                ]
            """
        )
        for name, (version, tag, least, app_id) in found.items():
            told = self.told.versions[name]
            assert told <= version <= told + self.told.perhaps[name]
            assert tag in self.told.tags[name]
            assert least in self.told.settings[name]
            asked = api_pb2.AppDeploymentHistoryRequest(app_id=app_id)
            history = self._client.rpc("AppDeploymentHistory", asked).app_deployment_histories
            assert [entry.version for entry in history] == list(range(version, 0, -1))
        assert self.told.locks == self._client.sdk(
            "locks = modal.Dict.from_name('kills', create_if_missing=True)\n"
            f"result = {{key: locks[key] for key in {sorted(self.told.locks)!r}}}"
        )
        if self.told.files:
            assert self.told.files == self._client.sdk(
                f"""
                volume = modal.Volume.from_name("kills")
                result = {{
                    name: b"".join(volume.read_file("/" + name)).decode()
                    for name in {sorted(self.told.files)!r}
                }}
                """
            )


class Traffic:
    """Clients that go on asking, and look at how each answer ends."""

    def __init__(self, urls: list[str], clients: int, rng: random.Random) -> None:
        self.outcomes: Counter[str] = Counter()
        self.lies: list[streaming.Reply] = []
        self._urls = urls
        self._rng = rng
        self._clients = clients
        self._over = False

    async def run(self) -> None:
        await asyncio.gather(*(self._one() for _ in range(self._clients)))

    def stop(self) -> None:
        self._over = True

    async def _one(self) -> None:
        while not self._over:
            url = self._rng.choice(self._urls)
            version = self._rng.choice(["1.0", "1.1", "1.1"])
            events = self._rng.choice([2, 30])
            framing = self._rng.choice(["chunked", "length", "closing"])
            reply = await streaming.fetch(url, f"/stream/{framing}/{events}/0.02", version=version)
            if reply.status == 200 and reply.whole and reply.events != events:
                self.lies.append(reply)
            whole = "whole" if reply.whole else "broken off"
            self.outcomes[f"{reply.status} {whole}"] += 1
            if reply.status != 200:
                await asyncio.sleep(0.05)


def strangers(client: Client) -> list[int]:
    """Processes with the plane's mark above which there is no supervisor of this plane's."""
    found = []
    for pid in leftovers.carriers(leftovers.mark(client.plane.state_dir)):
        above = pid
        while above > 1 and parent(above) != client.plane.pid:
            above = parent(above)
        if alive(pid) and (above <= 1 or b"supervise.py" not in command(above)):
            found.append(pid)
    return found


def campaign(folder: Path, seed: int, kills: int, clients: int) -> None:
    """Kills at random moments while everything goes on, and looks at what became of it."""
    rng = random.Random(seed)
    killed: Counter[str] = Counter()
    with client_in(folder, folder / "state") as client:
        mark = leftovers.mark(client.plane.state_dir)
        changes = Changes(client, random.Random(seed + 1))
        for number in range(3):
            changes.deploy(f"kill-{number}", "0")
        urls = [client.url(f"kill-{number}") for number in range(3)]
        for url in urls:
            client.ready(url)
        traffic = Traffic(urls, clients, random.Random(seed + 2))
        asking = threading.Thread(target=lambda: asyncio.run(traffic.run()))
        asking.start()
        changes.start()
        try:
            for number in range(1, kills + 1):
                time.sleep(rng.uniform(0.02, 0.4))
                there = processes(client)
                kind = rng.choice(["plane", "supervisor", "runner", "engine"])
                if kind == "plane" or not there[kind]:
                    kind = "plane"
                    pid = int((client.plane.state_dir / "plane.lock").read_text())
                    kill(pid)
                    client = after_restart(client)
                else:
                    kill(rng.choice(there[kind]))
                killed[kind] += 1
                if number % 10 == 0 or number == kills:
                    with changes.paused():
                        until(lambda plane=client: not strangers(plane))  # type: ignore[misc]
                        changes.verify()
                assert not traffic.lies
                assert changes.error is None
        finally:
            traffic.stop()
            changes.stop()
            asking.join()
        assert changes.error is None
        assert not traffic.lies
        assert traffic.outcomes["200 whole"]
        # When nobody kills any more, everything comes back as it was told.
        lifecycle.down(client.plane.state_dir)
        client = after_restart(client)
        for number, url in enumerate(urls):
            assert client.ready(url)["mark"] in changes.told.marks[f"kill-{number}"]
        changes.verify()
        expected = sum(
            client.sdk(
                f"s = modal.Server.from_name('kill-{number}', 'Server').autoscaler.settings()\n"
                "result = s.min_containers"
            )
            for number in range(3)
        )
        until(lambda: len(processes(client)["supervisor"]) == expected)
        sockets = announced_sockets(client)
        assert lifecycle.down(client.plane.state_dir)
        assert not leftovers.carriers(mark)
        assert Path(sockets).name == f"modelctl-{mark}"  # every plane of this state had the same
        assert not Path(sockets).exists()
        assert not list((client.plane.state_dir / "containers").iterdir())
    log = (client.plane.state_dir / "plane.log").read_text()
    assert "Traceback" not in log, log[log.index("Traceback") - 500 :][:3000]


def after_restart(client: Client) -> Client:
    return Client(lifecycle.up(client.plane.state_dir), client.folder, client.worker)


def test_six_kills_under_load(tmp_path: Path) -> None:
    campaign(tmp_path, seed=6, kills=6, clients=8)


@pytest.mark.full
def test_many_kills_under_load(tmp_path: Path) -> None:
    campaign(tmp_path, seed=100, kills=max(30, KILLS), clients=24)
