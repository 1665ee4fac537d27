"""Which servers and functions run? The pools and entrances of every app that is published."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping

from modal_proto import api_pb2

from modelctl.local.keeping.definitions import parsed, web_endpoints
from modelctl.local.keeping.function_calls import FunctionCalls
from modelctl.local.keeping.records import App, Endpoint, Function
from modelctl.local.keeping.state import State
from modelctl.local.running.cluster import Cluster
from modelctl.local.running.containers import Container, Means
from modelctl.local.running.pool import Pool
from modelctl.local.running.proxy import Entrance, Proxy

_IDLE_ENTRANCES = 500  # URLs of stopped apps that still answer, with a 404
log = logging.getLogger(__name__)

RUN_BY_CLIENT = frozenset(
    {
        api_pb2.APP_STATE_EPHEMERAL,
        api_pb2.APP_STATE_DETACHED,
        api_pb2.APP_STATE_DETACHED_DISCONNECTED,
    }
)
"""The states of apps that live only as long as a run does."""


class Fleet:
    """What is published, running. Apps come and go through `publish` and `withdraw`."""

    def __init__(self, state: State, means: Means, proxy: Proxy, calls: FunctionCalls) -> None:
        self._state = state
        self._means = means
        self._proxy = proxy
        self.calls = calls
        self._pools: dict[str, Pool] = {}  # by function id
        self._pools_of: dict[str, dict[str, Pool]] = {}  # the same, by app id
        self._entrances: dict[str, Entrance] = {}  # by endpoint id
        self._opening = asyncio.Lock()
        self._ended: deque[tuple[Container, float]] = deque(maxlen=2000)

    # -- URLs

    def _endpoint_id(self, function: Function, method: str = "") -> str:
        app = self._state.app(function.app_id)
        name = f"{function.name.removesuffix('.*')}.{method}" if method else function.name
        if app.state in RUN_BY_CLIENT:  # a run beside the deployed app has URLs of its own
            name += "-dev"
        return f"{app.environment}/{app.name or app.description}/{name}"

    async def entrance(self, function: Function, method: str = "") -> Entrance:
        """The URL of a server or web function: the same for every version and app of that name."""
        endpoint_id = self._endpoint_id(function, method)
        async with self._opening:  # two that ask at once are given the same one
            if found := self._entrances.get(endpoint_id):
                return found
            remembered = self._state.endpoints.get(endpoint_id)
            entrance = await self._proxy.open(remembered.port if remembered else None)
            entrance.method = method
            self._entrances[endpoint_id] = entrance
            if remembered is None or remembered.port != entrance.port:
                self._state.save(Endpoint(endpoint_id, entrance.port))
            await self._shut_oldest(endpoint_id)
            return entrance

    async def _shut_oldest(self, but: str) -> None:
        """Closes what too many apps that are over left; deployed again they have the same port."""
        idle = [
            endpoint_id
            for endpoint_id, entrance in self._entrances.items()
            if (entrance.stopped or entrance.pool is None) and endpoint_id != but
        ]
        for endpoint_id in idle[: max(0, len(idle) - _IDLE_ENTRANCES)]:
            await self._proxy.shut(self._entrances.pop(endpoint_id))

    async def open(self, function: Function, data: api_pb2.FunctionData) -> dict[str, str]:
        """Opens all entrances that a definition asks for; their URLs, by method."""
        return {method: (await self.entrance(function, method)).url for method in _answering(data)}

    def urls(self, function: Function) -> dict[str, str]:
        """The URLs of a server or web function, by method; its own one is ``""``."""
        definition = self._state.definitions.get(function.definition_id)
        methods = _answering(parsed(definition)) if definition else [""]
        found = {method: self.entrance_of(function, method) for method in methods}
        return {method: entrance.url for method, entrance in found.items() if entrance}

    def entrance_of(self, function: Function, method: str = "") -> Entrance | None:
        return self._entrances.get(self._endpoint_id(function, method))

    # -- apps

    async def restore(self) -> None:
        """After a restart of the plane: what was published is there again, and its inputs wait."""
        for app in list(self._state.apps.values()):
            deployed = self._state.deployed_app(app.environment, app.name) is app
            run = app.state in RUN_BY_CLIENT and app.function_ids and not app.stopped_at
            if not deployed and not run:
                continue
            try:
                await self.publish(app)
            except Exception:  # whatever is wrong with one app, the others are served
                log.exception("app %s (%s) cannot be restored", app.id, app.description)
        for call in self.calls.unfinished():
            pool = self.pool_for(call.function_id)
            unfinished = [made for made in call.inputs.values() if not made.done]
            if pool is not None:
                pool.inputs.put(unfinished)
            else:
                self.calls.forget(unfinished, "The app was stopped.", self._means.clock.time())

    async def publish(self, app: App) -> None:
        """Makes the app's pools those of its layout, each in the version that this names."""
        if any(pool.over for pool in self._pools.values()):
            self._forget_those_over()
        layout = set(app.function_ids.values())
        for function_id in layout:
            function = self._state.functions[function_id]
            data = parsed(self._state.definitions[function.definition_id])
            pool = self._pools.get(function_id)
            if pool is not None and pool.is_server != data.is_server:
                self._close(pool, _NOT_THERE)
                pool = None
            urls = await self.open(function, data)
            if pool is None:
                pool = self._add(function, urls)
            for method in _answering(data):
                entrance = await self.entrance(function, method)
                entrance.pool = pool
                entrance.stopped = False
            pool.renew()
        for pool in self.pools(app.id):
            if pool.function.base_id in layout:
                pool.renew()
            elif pool.function.id not in layout:
                self._close(pool, _NOT_THERE)

    def _add(self, function: Function, urls: Mapping[str, str]) -> Pool:
        pool = Pool(self._state, self._means, function, urls, self._died, self.calls)
        self._pools[function.id] = pool
        self._pools_of.setdefault(function.app_id, {})[function.id] = pool
        return pool

    def _forget_those_over(self) -> None:
        for entrance in self._entrances.values():
            if entrance.pool is not None and entrance.pool.over:
                entrance.pool = None
        self._pools = {key: pool for key, pool in self._pools.items() if not pool.over}
        self._pools_of = {}
        for key, pool in self._pools.items():
            self._pools_of.setdefault(pool.function.app_id, {})[key] = pool

    def withdraw(self, app: App) -> None:
        for pool in self.pools(app.id):
            self._close(pool, f"App '{app.name or app.description}' was stopped.")

    def _close(self, pool: Pool, reason: str) -> None:
        for endpoint_id, entrance in list(self._entrances.items()):
            if entrance.pool is pool:
                entrance.stopped = True
                self._entrances[endpoint_id] = self._entrances.pop(endpoint_id)  # the newest idle
        pool.close()
        pool.drop_inputs(reason)

    async def end(self, grace: float) -> None:
        await asyncio.gather(*(pool.end(grace) for pool in self._pools.values()))

    # -- what is there

    def _died(self, container: Container) -> None:
        self._ended.append((container, self._means.clock.time()))
        self._means.journal.wake(container.function.app_id)

    def pools(self, app_id: str) -> list[Pool]:
        return list(self._pools_of.get(app_id, {}).values())

    def pool(self, function_id: str) -> Pool | None:
        return self._pools.get(function_id)

    def pool_for(self, function_id: str) -> Pool | None:
        """The pool that takes a function's inputs; a variant's is made with its first one."""
        pool = self._pools.get(function_id)
        function = self._state.functions.get(function_id)
        if function is None or (pool is not None and pool.serving):
            return pool if function else None
        app = self._state.apps.get(function.app_id)
        published = (
            app is not None
            and function.base_id in app.function_ids.values()
            and function.definition_id in self._state.definitions
        )
        if not published or app is None or app.stopped_at:
            return None
        return self._add(function, {})

    def containers(self) -> list[Container]:
        return [c for pool in self._pools.values() for c in pool.running()]

    def clusters(self) -> list[Cluster]:
        """Those that `modal.clustered` made, each once."""
        found = (c for pool in self._pools.values() for c in pool.clusters.values())
        return list({cluster.id: cluster for cluster in found}.values())

    def container(self, task_id: str) -> Container | None:
        return next((c for c in self.containers() if c.id == task_id), None)

    def pool_of(self, container: Container) -> Pool | None:
        return next((p for p in self._pools.values() if container in p.containers), None)

    def ended(self) -> list[tuple[Container, float]]:
        """Containers that are gone, with when; the last two thousand."""
        return list(self._ended)


_NOT_THERE = "The app has this function no longer."


def _answering(data: api_pb2.FunctionData) -> list[str]:
    """What of a definition answers HTTP at a URL: itself, or methods of it."""
    return [""] if data.is_server else list(web_endpoints(data))
