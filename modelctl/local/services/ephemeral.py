"""How long does an app live that was not deployed? As long as the client that runs it.

A client sends heartbeats, while it deploys too; when they stop coming, the app ends. A detached app
goes on until nothing of it waits or runs, and one that answers at a URL until it is stopped.
"""

import asyncio
from collections.abc import Callable

from modal_proto import api_pb2

from modelctl.local.clock import Alarm, Clock
from modelctl.local.keeping.records import App
from modelctl.local.keeping.state import State
from modelctl.local.running.fleet import Fleet

HEARTBEATS_MISSED = 60.0  # seconds without one after which a client is gone. See assumptions.
_LOOK_AGAIN = 0.2

INITIALIZING = api_pb2.APP_STATE_INITIALIZING
EPHEMERAL = api_pb2.APP_STATE_EPHEMERAL
DETACHED = api_pb2.APP_STATE_DETACHED
DISCONNECTED = api_pb2.APP_STATE_DETACHED_DISCONNECTED
_HEARD = (INITIALIZING, EPHEMERAL, DETACHED)  # states in which a client sends heartbeats


class Ephemeral:
    """Watches over the apps that clients run; `end` is called with those that are over."""

    def __init__(
        self, state: State, fleet: Fleet, clock: Clock, end: Callable[[App], None]
    ) -> None:
        self._state = state
        self._fleet = fleet
        self._clock = clock
        self._end = end
        self._alarms: dict[str, Alarm] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}
        self._begun = asyncio.Event()

    def begin(self) -> None:
        """After a restart: once what was published is there again, with its inputs."""
        self._begun.set()
        for app in self._state.apps.values():
            if app.state == DISCONNECTED and not app.stopped_at:
                self._end_when_done(app, answering=True)
            else:
                self.heartbeat(app)

    def heartbeat(self, app: App) -> None:
        """Its client is there."""
        if app.state not in _HEARD or app.stopped_at:
            return
        if alarm := self._alarms.pop(app.id, None):
            alarm.cancel()
        due = self._clock.monotonic() + HEARTBEATS_MISSED
        self._alarms[app.id] = self._clock.call_at(due, lambda: self._missed(app))

    def _missed(self, app: App) -> None:
        self.disconnected(app, api_pb2.APP_DISCONNECT_REASON_UNSPECIFIED)

    def disconnected(self, app: App, reason: "api_pb2.AppDisconnectReason.ValueType") -> None:
        """Its client left, or is not heard of any more."""
        if alarm := self._alarms.pop(app.id, None):
            alarm.cancel()
        if app.stopped_at or app.state not in (*_HEARD, DISCONNECTED):
            return
        if app.state in (INITIALIZING, EPHEMERAL):
            self._end(app)
            return
        app.state = DISCONNECTED
        self._state.save(app)
        completed = reason == api_pb2.APP_DISCONNECT_REASON_ENTRYPOINT_COMPLETED
        self._end_when_done(app, answering=not completed)

    def _end_when_done(self, app: App, answering: bool) -> None:
        if app.id not in self._waiting:
            self._waiting[app.id] = asyncio.create_task(self._wait(app, answering))

    async def _wait(self, app: App, answering: bool) -> None:
        await self._begun.wait()
        while not app.stopped_at:
            await asyncio.sleep(_LOOK_AGAIN)
            pools = self._fleet.pools(app.id)
            answers = answering and any(self._fleet.urls(pool.function) for pool in pools)
            if not answers and not any(pool.inputs.unfinished for pool in pools):
                break
        self._waiting.pop(app.id, None)
        if not app.stopped_at:
            self._end(app)
