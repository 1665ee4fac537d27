"""Is a call put again while Modal does not answer, a few times and no more?"""

from __future__ import annotations

import asyncio

import pytest

from modelctl.platform import again as room
from modelctl.platform.again import PAUSES, again
from modelctl.platform.types import Refused, Unreachable


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(room.asyncio, "sleep", sleep)
    return found


def asked(*answers: Exception | str) -> tuple[str, int]:
    """What a call says that ends so in turn, and how often it was put."""
    left, times = list(answers), 0

    @again
    async def call() -> str:
        nonlocal times
        times += 1
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    try:
        return asyncio.run(call()), times
    except (Unreachable, Refused) as problem:
        return str(problem), times


DOWN = Unreachable("Modal did not answer", "try again")


def test_what_is_answered_the_third_time_is_answered(slept: list[float]) -> None:
    assert asked(DOWN, DOWN, "yes") == ("yes", 3)
    assert [0.5 <= waited / pause <= 1.5 for waited, pause in zip(slept, PAUSES, strict=False)] == [
        True,
        True,
    ]


def test_what_is_never_answered_ends() -> None:
    assert asked(DOWN) == ("Modal did not answer", len(PAUSES) + 1)


def test_a_no_is_a_no_the_first_time() -> None:
    assert asked(Refused("that is not allowed")) == ("that is not allowed", 1)


def test_what_hangs_counts_as_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LIMIT", 0.01)

    @again
    async def call() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Unreachable) as problem:
        asyncio.run(call())
    assert problem.value.message == "Modal did not answer within 0 s"
