"""Are slow questions asked side by side, and answered in order?"""

from __future__ import annotations

import asyncio
import threading

import pytest

from modelctl.weights.at_once import at_once, beside


def test_answers_come_in_the_order_of_the_questions() -> None:
    """The first is answered after the second: it waits for it."""
    second = threading.Event()

    def ask(number: int) -> int:
        if number == 0:
            assert second.wait(30)
        if number == 1:
            second.set()
        return number * number

    assert at_once(ask, range(5), 2) == [0, 1, 4, 9, 16]
    assert at_once(ask, [], 2) == []


def test_no_more_are_asked_at_the_same_time_than_may_be() -> None:
    three = threading.Barrier(3)
    running: list[int] = []
    most = []

    def ask(number: int) -> None:
        running.append(number)
        most.append(len(running))
        three.wait(30)  # all three are inside, and no fourth
        running.remove(number)
        three.wait(30)

    at_once(ask, range(6), 3)
    assert max(most) == 3


def test_what_goes_wrong_with_one_is_raised_here() -> None:
    def ask(number: int) -> int:
        if number == 3:
            raise ValueError("three")
        return number

    with pytest.raises(ValueError, match="three"):
        at_once(ask, range(5), 2)


def test_a_loop_goes_on_while_something_blocks() -> None:
    async def both() -> str:
        ticked = threading.Event()
        waiting = asyncio.create_task(beside(lambda: "done" if ticked.wait(30) else "late"))
        await asyncio.sleep(0)
        ticked.set()  # nobody could, if the loop stood still
        return await waiting

    def refuse() -> None:
        raise ValueError("no")

    assert asyncio.run(both()) == "done"
    with pytest.raises(ValueError, match="no"):
        asyncio.run(beside(refuse))
