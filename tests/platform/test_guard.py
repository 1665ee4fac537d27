"""Which calls of a deployment are still sent once the lease is over?"""

from __future__ import annotations

import asyncio
import threading

from modelctl.lease import LeaseLost
from modelctl.platform.guard import Guard


class OverAfterOne:
    """A permission that everybody is told of, and that ends while the first call is being sent."""

    def __init__(self) -> None:
        self.asked = 0
        self.told = asyncio.Event()
        self.over = False

    async def check(self) -> None:
        if self.over:
            raise LeaseLost("another apply took over")
        self.asked += 1
        if self.asked == 3:
            self.told.set()
        await self.told.wait()

    def holds(self) -> bool:
        held, self.over = not self.over, True
        return held


async def before(guard: Guard, methods: list[str], sent: list[str]) -> list[BaseException]:
    """Send calls from a thread of their own, as the SDK does; what ended those that were not."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def call(method: str) -> None:
        await guard.before(method)
        sent.append(method)

    calls = [asyncio.run_coroutine_threadsafe(call(method), loop) for method in methods]
    ends = await asyncio.gather(*map(asyncio.wrap_future, calls), return_exceptions=True)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    return [end for end in ends if end is not None]


def test_who_was_stopped_sends_the_call_that_it_was_in_and_no_other() -> None:
    """Three calls of one deployment have their answer when the process is stopped."""

    async def deployed() -> None:
        guard, sent = Guard(), list[str]()
        guard.ask("here", OverAfterOne())
        ends = await before(guard, ["FunctionCreate"] * 3, sent)
        assert sent == ["FunctionCreate"]
        assert [str(end) for end in ends] == ["another apply took over"] * 2

    asyncio.run(deployed())


def test_what_changes_nothing_is_not_asked_about() -> None:
    async def looked() -> None:
        guard, permission, sent = Guard(), OverAfterOne(), list[str]()
        guard.ask("here", permission)
        assert await before(guard, ["AppGetLayout"], sent) == []
        assert (sent, permission.asked) == (["AppGetLayout"], 0)

    asyncio.run(looked())


def test_nothing_is_asked_once_the_lease_was_given_back() -> None:
    async def changed() -> None:
        guard, permission, sent = Guard(), OverAfterOne(), list[str]()
        guard.ask("here", permission)
        guard.ask("here", None)
        assert await before(guard, ["AppPublish"], sent) == []
        assert (sent, permission.asked) == (["AppPublish"], 0)

    asyncio.run(changed())
