"""How does one container live? Started, watched until it is ready, drained, stopped, reported.

A server's container takes requests on a port; a function's one asks for inputs until it is told
that there are no more, and then ends by itself.
"""

import asyncio
import logging
import os
import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from grpclib.server import Server
from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.faults import Crash
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.journal import PACE, STDERR, STDOUT, SYSTEM, Journal, Lines
from modelctl.local.keeping.ledger import ContainerEntry, Ledger
from modelctl.local.keeping.records import Definition, Function
from modelctl.local.rpc import Router
from modelctl.local.running import isolation
from modelctl.local.running.launch import Launch, Launcher, listens
from modelctl.local.running.orphans import Orphans
from modelctl.local.running.placement import Placement, choices

log = logging.getLogger(__name__)

TERM_GRACE = 30.0  # seconds between SIGTERM and the end by force. See assumptions.
_POLL = 0.02
_RUNTIME_UP = 60.0  # seconds that a busy machine may take before the app's own time counts
_BOOT = 2.0  # seconds after which a start counts no more as booting: then an engine loads
_READ = 16 << 10  # bytes of output that are taken at once


class Phase(Enum):
    STARTING = "starting"
    LIVE = "live"
    DRAINING = "draining"  # takes no new requests, finishes those that it has
    STOPPING = "stopping"
    DEAD = "dead"


@dataclass(frozen=True)
class Means:
    """What every container needs of the plane."""

    launcher: Launcher
    journal: Journal
    router: Callable[[str], Router]  # the RPCs for the container of this id
    sockets: Path  # a short path: a Unix socket's is limited to about a hundred bytes
    declared: Counter[int]  # containers by the port of this machine that their app insists on
    clock: Clock
    placement: Placement
    ledger: Ledger
    orphans: Orphans
    crash: Callable[[str, str], Crash | None]  # what ends one of this app after `start` or `ready`
    boots: asyncio.Semaphore  # how many may start at once: they are heavy on the processor


class Container:
    """One container of a server or function. `changed` is called whenever its phase changes."""

    def __init__(
        self,
        means: Means,
        function: Function,
        definition: Definition,
        data: api_pb2.FunctionData,
        urls: Mapping[str, str],
        changed: Callable[["Container"], None],
    ) -> None:
        self._means = means
        self.id = new_id("ta")
        self.function = function
        self.definition = definition
        self.epoch = function.epoch
        self.data = data
        self.phase = Phase.STARTING
        self.port = 0
        self.gpu = ""  # what it was given, once it was placed
        self.pid = 0
        self.inflight = 0
        self.spare = False  # more than needed: requests go to others that have room
        self.enqueued_at = self._means.clock.time()
        self.started_at = 0.0
        self.ready_at = 0.0
        self.ended_at = 0.0
        self.idle_since = self._means.clock.monotonic()
        self.failed = False  # ended without having been asked to
        self.exit_code: int | None = None
        self.result: api_pb2.GenericResult | None = None
        self.greeted = asyncio.Event()  # its runtime is up; the app's own code comes now
        self.hooks_done = asyncio.Event()  # the enter hooks have returned
        self.idle = asyncio.Event()
        self.idle.set()
        self._urls = urls
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._stop: asyncio.Task[None] | None = None
        self._boot_over: asyncio.TimerHandle | None = None
        self._cancelled: list[str] = []
        self._cancelling = asyncio.Event()
        self._crashed: Crash | None = None  # a fault ended it
        self._note()
        self._means.journal.speakers[function.app_id] += 1
        self._life = asyncio.create_task(self._live())
        self._life.add_done_callback(self._tell)

    def _tell(self, life: "asyncio.Task[None]") -> None:
        if not life.cancelled() and (error := life.exception()) is not None:
            log.error("container %s: %s", self.id, error)

    @property
    def is_server(self) -> bool:
        return self.data.is_server

    @property
    def startup_timeout(self) -> int:
        """Seconds until its enter hooks must have returned, and a server must listen."""
        if self.is_server:
            return int(self.data.http_config.startup_timeout or 30)
        return int(self.data.startup_timeout_secs or self.data.timeout_secs or 300)

    @property
    def _single_use(self) -> bool:
        spec = self.data.ranked_functions[0].function
        return bool(spec.single_use_containers or spec.max_inputs == 1)

    @property
    def max_concurrent(self) -> int:
        """How many requests it takes at once; 0 means any number."""
        return int(self.data.ranked_functions[0].function.max_concurrent_inputs)

    def enter_request(self) -> None:
        self.inflight += 1
        self.idle.clear()

    def leave_request(self) -> None:
        self.inflight -= 1
        self.idle_since = self._means.clock.monotonic()
        if not self.inflight:
            self.idle.set()
            if self._single_use and not self.is_server:
                self.drain()

    def start_serving(self) -> None:
        """A function's container asks for its first input: it is ready."""
        self.hooks_done.set()
        self._be_ready()

    def cancel_inputs(self, ids: Sequence[str]) -> None:
        """Has the container told, with its next heartbeat, to end its work on these."""
        self._cancelled.extend(ids)
        self._cancelling.set()

    async def cancellations(self, timeout: float) -> list[str]:
        """The inputs to be ended that it was not told of yet, once there are any."""
        try:
            async with asyncio.timeout(timeout):
                await self._cancelling.wait()
        except TimeoutError:
            return []
        self._cancelling.clear()
        told, self._cancelled = self._cancelled, []
        return told

    def say(self, sentence: str) -> None:
        """A line of the plane's own in the app's logs."""
        self._means.journal.write(
            self.function.app_id, self.function.id, self.id, SYSTEM, f"{sentence}\n"
        )

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self._give_back_boot()  # ready or ended: the next one may start
        try:
            self._note()
        finally:
            self._changed(self)

    def _note(self) -> None:
        """Has the ledger know how far it has come."""
        asked = self.data.ranked_functions[0].function.resources
        self._means.ledger.note(
            ContainerEntry(
                id=self.id,
                app_id=self.function.app_id,
                function_id=self.function.id,
                definition_id=self.definition.id,
                gpu_asked=",".join(map(str, choices(self.data))),
                gpu=self.gpu,
                cpu=asked.milli_cpu / 1000,
                memory=asked.memory_mb,
                enqueued_at=self.enqueued_at,
                started_at=self.started_at,
                ready_at=self.ready_at,
                ended_at=self.ended_at,
                failed=self.failed,
                exit_code=self.exit_code,
                result=self.result.SerializeToString() if self.result else b"",
            )
        )

    def _give_back_boot(self) -> None:
        """The place among the booting ones, once: when it is ready, ends, or took its time."""
        if self._boot_over is not None:
            self._boot_over.cancel()
            self._boot_over = None
            self._means.boots.release()

    async def _live(self) -> None:
        socket_path = self._means.sockets / f"{self.id[-12:]}.sock"
        server = Server([self._means.router(self.id)])
        layout: asyncio.Task[Launch] | None = None
        readiness: asyncio.Task[None] | None = None
        declared = 0  # the port of this machine that it insists on
        try:
            _private(self._means.sockets)
            await server.start(path=str(socket_path))
            self.gpu = await self._placed()
            layout = asyncio.create_task(self._laid_out(f"unix://{socket_path}"))
            launch = await asyncio.shield(layout)
            self.port = launch.port
            alone = launch.isolated or not launch.insists
            wanted = 0 if alone else isolation.declared_port(self.data)
            if wanted and (listens(wanted) or self._means.declared[wanted] > 0):
                self.failed = True
                self.say(f"Container {self.id} cannot start: {isolation.taken(self.data)}")
                return
            declared = wanted
            self._means.declared[declared] += declared > 0
            await self._means.boots.acquire()
            self._boot_over = asyncio.get_running_loop().call_later(_BOOT, self._give_back_boot)
            self._process = await asyncio.create_subprocess_exec(
                *launch.argv,
                env=launch.environment,
                cwd=launch.cwd,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
            self.pid = self._process.pid
            self._means.orphans.watch(self._process, self.id)
            self.started_at = self._means.clock.time()
            self._note()
            assert self._process.stdout is not None and self._process.stderr is not None
            pumps = [
                asyncio.create_task(self._pump(self._process.stdout, STDOUT)),
                asyncio.create_task(self._pump(self._process.stderr, STDERR)),
            ]
            self._meet_crash("start")
            readiness = asyncio.create_task(self._become_ready(declared))
            code = await self._process.wait()
            code = self.exit_code = code if self._crashed is None else self._crashed.code
            await asyncio.wait(pumps, timeout=2.0)
            if self.phase in (Phase.STARTING, Phase.LIVE):
                self.failed = True
                self.say(f"Container {self.id} exited with code {code}.")
        except Exception as error:
            self.failed = True
            log.exception("container %s", self.id)
            self.say(f"Container {self.id} could not be started: {error}")
        finally:
            if readiness is not None:
                readiness.cancel()
            self._means.declared[declared] -= declared > 0
            self._kill()
            while layout is not None and not layout.done():  # a thread cannot be interrupted
                with suppress(Exception, asyncio.CancelledError):
                    await asyncio.shield(layout)
            async with AsyncExitStack() as last:  # whatever fails, all is done, the last line first
                last.push_async_callback(asyncio.to_thread, self._means.launcher.remove, self.id)
                last.callback(self._die)
                last.callback(socket_path.unlink, missing_ok=True)
                last.callback(_close, server)
                last.callback(self._means.placement.release, self.id)

    def _die(self) -> None:
        self.ended_at = self._means.clock.time()
        self._means.journal.speakers[self.function.app_id] -= 1
        self._enter(Phase.DEAD)

    async def _laid_out(self, server_url: str) -> Launch:
        return await asyncio.to_thread(
            self._means.launcher.lay_out,
            self.id,
            self.function,
            self.definition,
            self.data,
            self._urls,
            self.gpu,
            server_url,
        )

    def _meet_crash(self, after: str) -> None:
        """A fault may have it exit some time after this."""

        def crash(fault: Crash) -> None:
            self._crashed = fault
            self._kill()

        if (fault := self._means.crash(self.function.app_id, after)) is not None:
            asyncio.get_running_loop().call_later(fault.seconds, crash, fault)

    async def _placed(self) -> str:
        wanted = choices(self.data)
        if (given := self._means.placement.try_now(self.id, wanted)) is not None:
            return given
        self.say(f"Container {self.id} waits for {' or '.join(map(str, wanted))}: none is free.")
        given = await self._means.placement.place(self.id, wanted)
        self.say(f"Container {self.id} got {given}.")
        return given

    async def _pump(self, stream: asyncio.StreamReader, fd: int) -> None:
        lines = Lines()
        while chunk := await stream.read(_READ):
            entries = lines.feed(chunk)
            self._write(fd, entries)
            # Who says too much waits for the plane, which has others to serve.
            await asyncio.sleep(len(entries) / PACE)
        self._write(fd, lines.rest())

    def _write(self, fd: int, entries: list[str]) -> None:
        origin = (self.function.app_id, self.function.id, self.id)
        self._means.journal.write_all(*origin, fd, entries)

    async def _become_ready(self, declared: int) -> None:
        """Ready once the enter hooks have returned and the port takes connections.

        That is the port that we gave it; an app that insists on the one that it declares, and is
        not in a network of its own, is found there.
        """
        limit = self.startup_timeout
        try:
            if not self.is_server:
                async with asyncio.timeout(_RUNTIME_UP):
                    await self.greeted.wait()
            async with asyncio.timeout(limit):
                await self.hooks_done.wait()
                while self.is_server:
                    if await _accepts(self.port):
                        break
                    if declared and await _accepts(declared):
                        self.port = declared
                        break
                    await asyncio.sleep(_POLL)
        except TimeoutError:
            if self.phase is Phase.STARTING:
                self.say(
                    f"Container {self.id} was not ready within the startup timeout of {limit} s."
                )
                self._kill()
            return
        self._be_ready()

    def _be_ready(self) -> None:
        if self.phase is Phase.STARTING:
            self.ready_at = self._means.clock.time()
            self.idle_since = self._means.clock.monotonic()
            self._enter(Phase.LIVE)
            self._meet_crash("ready")

    def drain(self) -> None:
        """Takes it out of service: what it has may be finished, then it stops."""
        if self.phase is Phase.STARTING:
            self.stop()
        elif self.phase is Phase.LIVE:
            self._enter(Phase.DRAINING)
            self._stop = asyncio.create_task(self._drain_and_stop())

    async def _drain_and_stop(self) -> None:
        if not self.is_server:  # inputs have time limits of their own
            await self.idle.wait()
            await asyncio.wait([self._life], timeout=TERM_GRACE)
            await self._terminate()
            return
        try:
            async with asyncio.timeout(self.data.http_config.exit_grace_period):
                await self.idle.wait()
        except TimeoutError:
            self.say(f"Container {self.id} stops with {self.inflight} requests unfinished.")
        await self._terminate()

    def stop(self) -> None:
        """Ends it now, with its exit hooks but without waiting for requests or inputs."""
        if self.phase in (Phase.STARTING, Phase.LIVE, Phase.DRAINING):
            if self._stop is not None:
                self._stop.cancel()
            self._enter(Phase.STOPPING)
            self._stop = asyncio.create_task(self._terminate())

    async def _terminate(self, grace: float = TERM_GRACE) -> None:
        if self.phase is Phase.DEAD:
            return
        self.phase = Phase.STOPPING
        if self._process is None:  # it is still being laid out
            self._life.cancel()
            return
        if self._process.returncode is None:
            # A function's exit hooks run when it is interrupted, a server's on SIGTERM.
            self._process.send_signal(signal.SIGTERM if self.is_server else signal.SIGINT)
        await asyncio.wait([self._life], timeout=grace)
        self._kill()

    def _kill(self) -> None:
        """Closes the supervisor's input, which makes it kill all that the container started."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()

    async def end(self, grace: float) -> None:
        """For the plane's own end: stops, and returns when nothing is left of it."""
        if self.phase is Phase.DEAD:
            return
        if self._stop is not None:
            self._stop.cancel()
        await self._terminate(grace)
        await asyncio.wait([self._life], timeout=5.0)

    def fail(self, result: api_pb2.GenericResult) -> None:
        """The container's runtime reports that its code raised."""
        self.result = result


def _private(folder: Path) -> None:
    """Has the sockets' folder there, again if somebody cleaned up temporary files."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")


def _close(server: Server) -> None:
    with suppress(RuntimeError):  # it could not be started
        server.close()


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
