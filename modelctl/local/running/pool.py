"""How many containers should a server or function have, and which? From zero and back.

One pool each. What differs between the two is asked of its demand.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping

from modal_proto import api_pb2

from modelctl.local.clock import Alarm
from modelctl.local.keeping.definitions import effective_settings, parsed
from modelctl.local.keeping.function_calls import FunctionCalls
from modelctl.local.keeping.records import Function
from modelctl.local.keeping.state import State
from modelctl.local.running.cluster import Cluster, size_of
from modelctl.local.running.containers import Container, Means, Phase
from modelctl.local.running.demand import Demand, Requests, Work
from modelctl.local.running.inputs import FAILURE, Inputs, is_web

log = logging.getLogger(__name__)

DEFAULT_SCALEDOWN_WINDOW = 60.0  # See assumptions.
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.5, 30.0
_HEALTHY_AFTER = 60.0  # a container that lived this long ends a row of crashes
_STARTS = (
    3  # crashes in a row after which those that wait for a function are told. See assumptions.
)


class Pool:
    """The containers of one server or function, and a function's inputs.

    A cluster counts as its first container, which answers for it. Everything that may change the
    number of containers calls `reconcile`.
    """

    def __init__(
        self,
        state: State,
        means: Means,
        function: Function,
        urls: Mapping[str, str],
        died: Callable[[Container], None],
        calls: FunctionCalls,
    ) -> None:
        self.function = function
        self.containers: list[Container] = []
        self.clusters: dict[str, Cluster] = {}  # by the ids of their containers
        self.started = 0
        self.crashed = 0
        self._state = state
        self._means = means
        self._urls = urls
        self._died = died
        self._serving = True
        self._woken = False  # a request came while nothing could take it
        self._pressed_since: float | None = None
        self._failures = 0
        self._not_before = 0.0
        self._clock = means.clock
        self._alarm: Alarm | None = None
        self._again = False
        self.is_server = self.data.is_server
        self.inputs = Inputs(
            calls, means.ledger, means.clock, self._spec, self.look_again, self._succeeded
        )
        self._demand: Demand = Requests() if self.is_server else Work(self.inputs)

    def _spec(self) -> api_pb2.Function:
        spec: api_pb2.Function = self.data.ranked_functions[0].function
        return spec

    @property
    def data(self) -> api_pb2.FunctionData:
        return parsed(self._state.definitions[self.function.definition_id])

    @property
    def settings(self) -> api_pb2.AutoscalerSettings:
        return effective_settings(self.data, self.function)

    @property
    def over(self) -> bool:
        """Closed, and nothing is left of it."""
        return not self._serving and not self.containers

    @property
    def serving(self) -> bool:
        return self._serving

    def live(self) -> list[Container]:
        return [c for c in self.containers if c.phase is Phase.LIVE and self._answers(c)]

    def _answers(self, container: Container) -> bool:
        cluster = self.clusters.get(container.id)
        return cluster is None or cluster.leader is container

    def running(self) -> list[Container]:
        return [c for c in self.containers if c.phase is not Phase.DEAD]

    def wake(self) -> None:
        """A request found no live container: have one soon."""
        if not self._woken:
            self._woken = True
            self.reconcile()

    def renew(self) -> None:
        """A new version was published: what went wrong with the old one counts no more."""
        self._serving = True
        self._failures = 0
        self._not_before = 0.0
        self.reconcile()

    def close(self) -> None:
        """The app was stopped, or has this server no longer."""
        self._serving = False
        self.reconcile()

    def drop_inputs(self, reason: str) -> None:
        """Nobody works on them any more: who waits is told why, and work is interrupted."""
        self.inputs.close(reason)
        for container in [] if self.is_server else self.running():
            if container.inflight:  # idle ones end by themselves
                container.stop()

    def look_again(self) -> None:
        """Reconciles soon: once for the many inputs that may come and go in one turn."""
        if not self._again:
            self._again = True
            asyncio.get_running_loop().call_soon(self.reconcile)

    async def end(self, grace: float) -> None:
        self._serving = False
        if self._alarm is not None:
            self._alarm.cancel()
        await asyncio.gather(*(container.end(grace) for container in self.containers))

    def _current(self, container: Container) -> bool:
        return (container.definition.id, container.epoch) == (
            self.function.definition_id,
            self.function.epoch,
        )

    def reconcile(self) -> None:
        """Starts what is missing, drains what is too much, and looks again when time matters."""
        self._again = False
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        active = [
            c
            for c in self.containers
            if c.phase in (Phase.STARTING, Phase.LIVE) and self._answers(c)
        ]
        if not self._serving:
            for container in active:
                container.drain()
            return
        now = self._clock.monotonic()
        fresh = [c for c in active if self._current(c)]
        old = [c for c in active if not self._current(c)]
        wanted, look_again = self._wanted(fresh, old, now)
        self._spare(fresh, wanted)
        if len(fresh) < wanted:
            if now >= self._not_before:
                for _ in range(wanted - len(fresh)):
                    fresh.append(self._start())
            else:
                look_again = min(look_again, self._not_before)
        else:
            look_again = min(look_again, self._shrink(fresh, wanted, now))
        ready = sum(c.phase is Phase.LIVE for c in fresh)
        enough = max(int(self._demand.keeps_answering), min(wanted, len(old)))
        if old and ready >= enough:
            for container in old:
                container.drain()
        for container in old:
            if container.phase is Phase.STARTING:
                container.stop()
        if look_again < math.inf:
            self._alarm = self._clock.call_at(look_again, self.reconcile)

    def _wanted(
        self, fresh: list[Container], old: list[Container], now: float
    ) -> tuple[int, float]:
        """How many containers of the current version there should be, and when that may change."""
        settings = self.settings
        size = size_of(self.data) or 1  # what is set counts containers, clusters are counted here
        load = self._demand.load(fresh, old)
        target = self._demand.target(self.data, settings)
        fixed = self._demand.fixed(settings)
        if fixed:  # autoscaling is off: as many as there are
            need = len(fresh)
        elif target > 0:
            need = math.ceil(load / target)
        else:
            need = 1 if load else 0
        if need and not fixed:
            need += settings.buffer_containers // size
        look_again = math.inf
        if need > len(fresh) and fresh and settings.scaleup_window:
            self._pressed_since = self._pressed_since or now
            due = self._pressed_since + settings.scaleup_window
            if now < due:
                need, look_again = len(fresh), due
        else:
            self._pressed_since = None
        answers = self._demand.keeps_answering and any(c.phase is Phase.LIVE for c in old)
        if self._woken or answers:
            need = max(need, 1)
        least = settings.min_containers // size
        wanted = max(need, least)
        if most := settings.max_containers // size or self._demand.most_unasked:
            wanted = min(wanted, max(most, least))
        return wanted, look_again

    def _spare(self, fresh: list[Container], wanted: int) -> None:
        """Marks what is too much: requests go elsewhere, for it has to become idle to leave."""
        surplus = len(fresh) - wanted
        for number, container in enumerate(sorted(fresh, key=lambda c: (not c.spare, c.inflight))):
            container.spare = number < surplus

    def _shrink(self, fresh: list[Container], wanted: int, now: float) -> float:
        """Drains idle containers past their window; answers when the next one will be."""
        surplus = len(fresh) - wanted
        window = self.settings.scaledown_window or DEFAULT_SCALEDOWN_WINDOW
        next_due = math.inf
        idle = [c for c in fresh if c.phase is Phase.LIVE and not c.inflight]
        for container in sorted(idle, key=lambda c: c.idle_since)[: max(0, surplus)]:
            due = container.idle_since + window
            if now >= due:
                container.drain()
            else:
                next_due = min(next_due, due)
        return next_due

    def _start(self) -> Container:
        """Starts a container, or all of a cluster: the one that answers."""
        size = size_of(self.data)
        first, *others = (self._start_one() for _ in range(size or 1))
        if size:
            cluster = Cluster([first, *others])
            self.clusters |= {container.id: cluster for container in cluster.members}
        return first

    def _start_one(self) -> Container:
        self.started += 1
        definition = self._state.definitions[self.function.definition_id]
        container = Container(
            self._means, self.function, definition, self.data, self._urls, self._changed
        )
        self.containers.append(container)
        return container

    def _changed(self, container: Container) -> None:
        log.info("%s %s is %s", self.function.name, container.id, container.phase.value)
        if cluster := self.clusters.get(container.id):
            cluster.changed(container)
        if container.phase is Phase.LIVE:
            self._woken = False
        elif container.phase is Phase.DEAD:
            self.containers.remove(container)
            self.clusters.pop(container.id, None)
            self._died(container)
            if container.failed:
                self._count_crash(container)
            self.inputs.gone(container)
        elif not self.is_server:
            self.inputs.dismiss(container)
            if container.phase is Phase.STOPPING:
                self.inputs.gone(container)
        # Not at once: the change may have been made by a reconciliation that is under way.
        asyncio.get_running_loop().call_soon(self.reconcile)

    def _count_crash(self, container: Container) -> None:
        self.crashed += 1
        lived = self._clock.time() - container.ready_at if container.ready_at else 0.0
        self._failures = 1 if lived > _HEALTHY_AFTER else self._failures + 1
        pause = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** (self._failures - 1))
        self._not_before = self._clock.monotonic() + pause
        if not container.ready_at:
            self._woken = False  # the next request may try again; nobody else pays for this one
        if self._failures >= _STARTS:
            deployed = self._state.app(self.function.app_id).state == api_pb2.APP_STATE_DEPLOYED
            why = container.result or api_pb2.GenericResult(
                status=FAILURE,
                exception=f"{_STARTS} containers of this function ended in a row, the last one "
                f"with exit code {container.exit_code}. The app's logs say more.",
            )
            # A deployed function goes on trying; an HTTP client cannot wait for that.
            self.inputs.give_up(why, is_web if deployed else lambda _: True)

    def _succeeded(self) -> None:
        self._failures = 0
