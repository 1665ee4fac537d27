"""Which servers run? The pools and entrances of every deployed app."""

import asyncio

from modelctl.local.keeping.definitions import parsed
from modelctl.local.keeping.records import App, Endpoint, Function
from modelctl.local.keeping.state import State
from modelctl.local.running.containers import Container, Means
from modelctl.local.running.pool import Pool
from modelctl.local.running.proxy import Entrance, Proxy


class Fleet:
    """What is published, running. Apps come and go through `publish` and `withdraw`."""

    def __init__(self, state: State, means: Means, proxy: Proxy) -> None:
        self._state = state
        self._means = means
        self._proxy = proxy
        self._pools: dict[str, Pool] = {}  # by function id
        self._entrances: dict[str, Entrance] = {}  # by endpoint id

    # -- URLs

    def _endpoint_id(self, function: Function) -> str:
        app = self._state.app(function.app_id)
        return f"{app.environment}/{app.name or app.description}/{function.name}"

    async def entrance(self, function: Function) -> Entrance:
        """The server's URL: the same for every version and every app id of that name."""
        endpoint_id = self._endpoint_id(function)
        if found := self._entrances.get(endpoint_id):
            return found
        remembered = self._state.endpoints.get(endpoint_id)
        entrance = await self._proxy.open(remembered.port if remembered else None)
        self._entrances[endpoint_id] = entrance
        if remembered is None or remembered.port != entrance.port:
            self._state.save(Endpoint(endpoint_id, entrance.port))
        return entrance

    def url(self, function: Function) -> str:
        entrance = self._entrances.get(self._endpoint_id(function))
        return entrance.url if entrance else ""

    # -- apps

    async def restore(self) -> None:
        """After a restart of the plane: what was deployed is there again."""
        for app in self._state.deployed_apps():
            await self.publish(app)

    async def publish(self, app: App) -> None:
        """Makes the app's servers those of its layout, each in the version that this names."""
        self._pools = {key: pool for key, pool in self._pools.items() if not pool.over}
        layout = set(app.function_ids.values())
        for function_id in layout:
            function = self._state.functions[function_id]
            data = parsed(self._state.definitions[function.definition_id])
            if not data.is_server:
                continue
            entrance = await self.entrance(function)
            pool = self._pools.get(function_id)
            if pool is None:
                pool = Pool(self._state, self._means, function, entrance.url, self._died)
                self._pools[function_id] = pool
            entrance.pool = pool
            entrance.stopped = False
            pool.renew()
        for pool in self.pools(app.id):
            if pool.function.id not in layout:
                self._close(pool)

    def withdraw(self, app: App) -> None:
        for pool in self.pools(app.id):
            self._close(pool)

    def _close(self, pool: Pool) -> None:
        entrance = self._entrances.get(self._endpoint_id(pool.function))
        if entrance is not None and entrance.pool is pool:
            entrance.stopped = True
        pool.close()

    async def end(self, grace: float) -> None:
        await asyncio.gather(*(pool.end(grace) for pool in self._pools.values()))

    # -- what is there

    def _died(self, container: Container) -> None:
        self._means.journal.wake(container.function.app_id)

    def pools(self, app_id: str) -> list[Pool]:
        return [pool for pool in self._pools.values() if pool.function.app_id == app_id]

    def pool(self, function_id: str) -> Pool | None:
        return self._pools.get(function_id)

    def entrance_of(self, function: Function) -> Entrance | None:
        return self._entrances.get(self._endpoint_id(function))

    def containers(self) -> list[Container]:
        return [c for pool in self._pools.values() for c in pool.running()]

    def container(self, task_id: str) -> Container | None:
        return next((c for c in self.containers() if c.id == task_id), None)
