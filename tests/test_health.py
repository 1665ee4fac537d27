"""When is an endpoint healthy?"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from modelctl.health import Verdict, proxy_headers, until_healthy


class World:
    """A clock that only sleeping moves, and an endpoint that answers from a list of statuses."""

    def __init__(self, *statuses: int | None) -> None:
        self.statuses = list(statuses)
        self.now = 0.0
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    async def ask(self, url: str, headers: Mapping[str, str]) -> int | None:
        self.asked.append((url, headers))
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def verdict(world: World, within: float = 60) -> Verdict:
    return asyncio.run(
        until_healthy(
            "http://e",
            proxy_headers("wk-1", "ws-1"),
            ask=world.ask,
            until=lambda: within,
            clock=world.clock,
            sleep=world.sleep,
        )
    )


def test_it_asks_until_the_first_200_with_the_proxy_token() -> None:
    world = World(None, 503, 503, 200)
    assert verdict(world) == Verdict(True)
    assert len(world.asked) == 4
    assert world.asked[0] == (
        "http://e/health",
        {"Modal-Key": "wk-1", "Modal-Secret": "ws-1"},
    )


def test_it_gives_up_after_the_time_that_it_has_and_says_the_last_answer() -> None:
    late = verdict(World(503), within=10)
    assert late == Verdict(False, "not healthy in time", 503)
    assert late.last == "last: HTTP 503"
    assert verdict(World(None), within=10).last == "last: no answer"


def test_a_refused_token_is_said_at_once() -> None:
    world = World(401)
    assert verdict(world) == Verdict(
        False,
        "the endpoint refuses the proxy token of MODELCTL_PROXY_TOKEN_ID and "
        "MODELCTL_PROXY_TOKEN_SECRET",
        401,
    )
    assert len(world.asked) == 1


def test_an_engine_without_a_health_route_is_asked_for_its_models() -> None:
    world = World(404, 200)
    assert verdict(world) == Verdict(True)
    assert [url for url, _ in world.asked] == ["http://e/health", "http://e/v1/models"]


def test_an_engine_that_wants_its_own_key_is_up() -> None:
    async def ask(url: str, headers: Mapping[str, str]) -> int | None:
        return 404 if url.endswith("/health") else 401

    world = World()
    found = until_healthy(
        "http://e", {}, ask=ask, until=lambda: 9, clock=world.clock, sleep=world.sleep
    )
    assert asyncio.run(found) == Verdict(True)
