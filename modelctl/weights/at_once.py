"""How are slow answers waited for, several at once, by somebody who may lose patience?

In threads that end with the process: those of concurrent.futures and asyncio are waited for at the
end, whatever socket they hang on, so that an interrupt would not be obeyed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import asyncio

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


def at_once(ask: Callable[[_Asked], _Answer], items: Sequence[_Asked], most: int) -> list[_Answer]:
    """`ask` of each, `most` at the same time; the answers in order. Raises what `ask` raises."""
    left = iter(enumerate(items))
    taking = threading.Lock()
    answers: SimpleQueue[tuple[int, _Answer] | BaseException] = SimpleQueue()

    def work() -> None:
        while True:
            with taking:
                taken = next(left, None)
            if taken is None:
                return
            try:
                answers.put((taken[0], ask(taken[1])))
            except BaseException as problem:  # noqa: BLE001 - it is raised where it is waited for
                answers.put(problem)

    for _ in range(min(most, len(items))):
        threading.Thread(target=work, daemon=True).start()
    found: dict[int, _Answer] = {}
    for _ in items:
        answer = answers.get()
        if isinstance(answer, BaseException):
            raise answer
        found[answer[0]] = answer[1]
    return [found[number] for number in range(len(items))]


async def beside(ask: Callable[[], _Answer]) -> _Answer:
    """The answer of something that blocks, while the loop goes on."""
    import asyncio

    loop = asyncio.get_running_loop()
    waiting: asyncio.Future[_Answer] = loop.create_future()

    def settle(how: Callable[[Any], None], what: Any) -> None:
        if not waiting.cancelled():
            how(what)

    def answer(how: Callable[[Any], None], what: Any) -> None:
        with suppress(RuntimeError):  # the loop is gone, and so is who waited
            loop.call_soon_threadsafe(settle, how, what)

    def work() -> None:
        try:
            found = ask()
        except BaseException as problem:  # noqa: BLE001 - it is raised where it is waited for
            answer(waiting.set_exception, problem)
        else:
            answer(waiting.set_result, found)

    threading.Thread(target=work, daemon=True).start()
    return await waiting
