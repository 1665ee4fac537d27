"""What lies in a Modal Dict of an environment? Short texts by key, and who was first to put one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelctl.platform.errors import speaking_of

if TYPE_CHECKING:
    import modal

_SECONDS = 10.0
"""For one question. The SDK gives most of its calls no time limit, and a lease cannot wait long."""


class Dicts:
    """The Dicts of one environment; each is looked up once."""

    def __init__(self, environment: str) -> None:
        self._environment = environment
        self._found: dict[str, modal.Dict] = {}

    async def items(self, name: str) -> Mapping[str, str]:
        import modal.exception as theirs

        with speaking_of(f"reading the Dict {name}"):
            try:
                async with asyncio.timeout(_SECONDS) as limit:
                    named = await self._named(name)
                    found = [(key, value) async for key, value in named.items.aio()]
                if limit.expired():  # the SDK's iteration just ends: that was not all there is
                    raise TimeoutError
            except theirs.NotFoundError:
                self._found.pop(name, None)
                return {}
        return {k: v for k, v in found if isinstance(k, str) and isinstance(v, str)}

    async def put(self, name: str, key: str, value: str, *, if_absent: bool) -> bool:
        import modal.exception as theirs

        with speaking_of(f"writing the Dict {name}"):
            async with asyncio.timeout(_SECONDS):
                named = await self._named(name, create=True)
                try:
                    return await named.put.aio(key, value, skip_if_exists=if_absent)
                except theirs.NotFoundError:  # it was deleted since it was looked up
                    del self._found[name]
                    named = await self._named(name, create=True)
                    return await named.put.aio(key, value, skip_if_exists=if_absent)

    async def pop(self, name: str, key: str) -> None:
        import modal.exception as theirs

        with speaking_of(f"writing the Dict {name}"):
            try:
                async with asyncio.timeout(_SECONDS):
                    await (await self._named(name)).pop.aio(key, None)
            except theirs.NotFoundError:
                self._found.pop(name, None)

    async def _named(self, name: str, *, create: bool = False) -> modal.Dict:
        import modal

        if name not in self._found:
            named = modal.Dict.from_name(
                name, environment_name=self._environment, create_if_missing=create
            )
            await named.hydrate.aio()
            self._found[name] = named
        return self._found[name]
