"""Was this call made before? Then it takes effect no second time, and its answer is the first one.

A client that lost an answer asks again under the same idempotency key. Its first call may still be
running, so calls that change something run to their end even if who asked goes away.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

from modelctl.local.keeping.store import Store

_KEPT = 4096
_KEPT_BYTES = 16 << 20  # of all answers together
_LASTING = frozenset(
    {"AppCreate", "AppPublish", "AppRollback", "AppRollover", "DictUpdate", "FunctionMap"}
)
"""Repeated after a restart of the plane, these would make a second version, app or call, or say of
a lock that somebody else has it.
"""
_LASTING_KEPT = 4096

_ASKS = re.compile(
    r"Get(?!OrCreate)|List|Fetch|Lookup|Count|Heartbeat|CheckExistence|Hello|Info|Peek|Len$"
    r"|Contains|Stats|Metrics|Wait"
)
"""Names of calls that change nothing: they may be carried out as often as they come."""
_TAKES = frozenset({"QueueGet", "FunctionGetInputs", "FunctionGetOutputs"})
"""These take what comes: who went away takes nothing more, so they end with their caller."""


_KEEP: ContextVar[Callable[[Any], None] | None] = ContextVar("keep", default=None)


def keep(answer: Any) -> None:
    """Says what the running call will answer, so that the answer is stored with its effect.

    To be called in the transaction of the effect: before the call gives way or commits.
    """
    if (store := _KEEP.get()) is not None:
        store(answer)


class Once:
    """The answers of the last calls by their keys; with a store, the weightiest for longer."""

    def __init__(self, store: Store | None = None) -> None:
        self._store = store
        self._made: dict[str, asyncio.Future[Any]] = {}
        self._sizes: dict[str, int] = {}  # in bytes, of those that are answered, oldest first
        self._held = 0

    async def answer(
        self, name: str, key: str, answer_type: Any, make: Callable[[], Awaitable[Any]]
    ) -> Any:
        """What `make` answers, or answered when it was called with this key before."""
        _KEEP.set(None)  # a container's connection has the context of the call that started it
        takes = name in _TAKES
        if not key or (_ASKS.search(name) and not takes):
            return await make()
        key = f"{name} {key}"
        if (before := self._made.get(key)) is not None:
            return await asyncio.shield(before)
        if (kept := self._load(name, key)) is not None:
            return answer_type.FromString(kept)
        if takes:
            answer = await make()
            self._made[key] = done = asyncio.get_running_loop().create_future()
            done.set_result(answer)
            self._count(key, answer)
            return answer
        made = asyncio.ensure_future(self._carry_out(name, key, make))
        made.add_done_callback(lambda over: over.cancelled() or over.exception())
        self._made[key] = made
        return await asyncio.shield(made)

    async def _carry_out(self, name: str, key: str, make: Callable[[], Awaitable[Any]]) -> Any:
        if name in _LASTING and self._store is not None:
            _KEEP.set(partial(self._keep, self._store, key))
        try:
            answer = await make()
        except BaseException as error:
            self._made.pop(key, None)  # it took no effect: it may be tried again
            if _KEEP.get() is not None and self._store is not None and isinstance(error, Exception):
                self._store.execute("DELETE FROM answers WHERE key = ?", [key])
            raise
        self._count(key, answer)
        return answer

    def _keep(self, store: Store, key: str, answer: Any) -> None:
        store.execute(
            "INSERT OR REPLACE INTO answers (key, answer) VALUES (?, ?)",
            [key, answer.SerializeToString()],
        )
        store.execute(
            "DELETE FROM answers WHERE n <= (SELECT max(n) FROM answers) - ?", [_LASTING_KEPT]
        )

    def _load(self, name: str, key: str) -> bytes | None:
        if name not in _LASTING or self._store is None:
            return None
        row = self._store.execute("SELECT answer FROM answers WHERE key = ?", [key]).fetchone()
        return None if row is None else bytes(row[0])

    def _count(self, key: str, answer: Any) -> None:
        """Keeps within bounds; the oldest go first."""
        self._sizes[key] = answer.ByteSize()
        self._held += self._sizes[key]
        while len(self._sizes) > _KEPT or self._held > _KEPT_BYTES:
            oldest = next(iter(self._sizes))
            self._held -= self._sizes.pop(oldest)
            del self._made[oldest]
