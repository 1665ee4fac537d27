"""One modelctl that changes things under a lease, so that tests can stop and kill it: commands come
as lines of standard input, and each answer is a JSON line.

    lease_worker.py OWNER SECONDS
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from modelctl.lease import Lease
from modelctl.platform.sdk import ModalPlatform
from modelctl.platform.types import PlatformError
from modelctl.rendered import Rendered


class Worker:
    def __init__(self, owner: str, seconds: float) -> None:
        self.platform = ModalPlatform(None)
        self._lease: Lease | None = None
        self._owner = owner
        self._seconds = seconds

    @property
    def lease(self) -> Lease:
        assert self._lease is not None
        return self._lease

    async def acquire(self, project: str, wait: str = "0") -> None:
        self._lease = Lease(
            self.platform,
            project,
            where=self.platform.environment,
            owner=self._owner,
            ttl=self._seconds,
        )
        await self.lease.acquire(float(wait))

    async def check(self) -> None:
        await self.lease.check()

    async def release(self) -> None:
        await self.lease.release()

    async def guard(self) -> bool:
        return self.platform.guard(self.lease)

    async def deploy(self, name: str, file: str) -> int:
        nothing: Any = None
        text = await asyncio.to_thread(Path(file).read_text) + "\nserver = Server\n"
        rendered = Rendered(name, name.replace("-", "_"), text, "", {}, nothing)
        return (await self.platform.deploy(rendered, tag="", strategy="rolling")).version

    async def put(self, name: str, key: str, value: str) -> bool:
        return await self.platform.dict_put(name, key, value, if_absent=True)

    async def pop(self, name: str, key: str) -> None:
        await self.platform.dict_pop(name, key)

    async def items(self, name: str) -> dict[str, str]:
        return dict(await self.platform.dict_items(name))


async def main() -> None:
    worker = Worker(sys.argv[1], float(sys.argv[2]))
    await worker.platform.open()
    while line := await asyncio.to_thread(sys.stdin.readline):
        command, *words = line.split()
        run: Callable[..., Awaitable[Any]] = getattr(worker, command)
        try:
            answer = {"answer": await run(*words)}
        except PlatformError as problem:
            answer = {"error": type(problem).__name__, "said": problem.message}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
