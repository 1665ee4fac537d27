"""When is an endpoint healthy, and when is its answer right?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import pytest

from modelctl.health import Verdict, answers_right, proxy_headers, until_healthy
from modelctl.resolved import Check


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
            within=within,
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
    assert verdict(World(503), within=10) == Verdict(
        False, "not healthy within 10 s (last: HTTP 503)"
    )
    assert verdict(World(None), within=10) == Verdict(
        False, "not healthy within 10 s (last: no answer)"
    )


def test_a_refused_token_is_said_at_once() -> None:
    world = World(401)
    assert verdict(world) == Verdict(
        False,
        "the endpoint refuses the proxy token of MODELCTL_PROXY_TOKEN_ID and "
        "MODELCTL_PROXY_TOKEN_SECRET",
    )
    assert len(world.asked) == 1


def checked(check: Check, status: int, content: str) -> Verdict:
    async def post(
        url: str, headers: Mapping[str, str], body: object, within: float
    ) -> tuple[int, str] | None:
        assert url == "http://e/v1/chat/completions"
        assert body == {
            "model": "chat",
            "messages": [{"role": "user", "content": "Capital of France?"}],
            "max_tokens": 16,
            "temperature": 0,
        }
        if status == 200:
            return 200, json.dumps({"choices": [{"message": {"content": content}}]})
        return (status, content) if status else None

    return asyncio.run(answers_right("http://e", {}, [check], model="chat", post=post))


def check(**expect: object) -> Check:
    values: dict[str, object] = {"contains": None, "matches": None, "json_keys": ()}
    return Check(
        name="capital",
        messages=(("user", "Capital of France?"),),
        within=30,
        max_tokens=16,
        **{**values, **expect},  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("expect", "content"),
    [
        ({"contains": "Paris"}, "It is Paris."),
        ({"matches": "^Par.s$"}, "Paris"),
        ({"json_keys": ("city",)}, '{"city": "Paris"}'),
        ({}, "anything"),
    ],
)
def test_a_right_answer_passes(expect: dict[str, object], content: str) -> None:
    assert checked(check(**expect), 200, content) == Verdict(True)


@pytest.mark.parametrize(
    ("expect", "status", "content", "why"),
    [
        (
            {"contains": "Paris"},
            200,
            "Lyon,\n  I think",
            'check "capital" expected "Paris" in the answer; got "Lyon, I think"',
        ),
        ({"matches": "Par.s"}, 200, "Lyon", 'check "capital" expected /Par.s/; got "Lyon"'),
        ({"json_keys": ("city",)}, 200, "Lyon", 'check "capital" expected JSON; got "Lyon"'),
        (
            {"json_keys": ("city",)},
            200,
            "[]",
            'check "capital" expected JSON with city; got "[]"',
        ),
        ({}, 500, "out of memory", 'check "capital" got HTTP 500: out of memory'),
        ({}, 0, "", 'check "capital" got no answer within 30 s'),
    ],
)
def test_a_wrong_answer_says_what_was_expected_and_what_came(
    expect: dict[str, object], status: int, content: str, why: str
) -> None:
    assert checked(check(**expect), status, content) == Verdict(False, why)
