"""Two hundred streams see nothing of what is done to their server; fifty apps come up at once."""

import asyncio
import threading
import time
from collections import Counter

import pytest

from tests.local import streaming
from tests.local.conftest import Client, until

STREAMS = 200
SECONDS = 60.0
EVENTS = 10

pytestmark = pytest.mark.full


class Streams:
    """Clients that ask for one stream after the other, and check that each one is whole."""

    def __init__(self, url: str) -> None:
        self.outcomes: Counter[tuple[int, bool, int]] = Counter()
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> "Streams":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    async def _all(self) -> None:
        await asyncio.gather(*(self._one(number) for number in range(STREAMS)))

    async def _one(self, number: int) -> None:
        await asyncio.sleep(number / STREAMS)
        while not self._over.is_set():
            reply = await streaming.fetch(self._url, f"/stream/chunked/{EVENTS}/0.1")
            self.outcomes[reply.status, reply.whole, reply.events] += 1


async def _engines(url: str) -> set[tuple[int, str]]:
    replies = await asyncio.gather(*(streaming.fetch(url, "/who") for _ in range(10)))
    assert all(reply.status == 200 for reply in replies)
    return {(reply.json()["pid"], reply.json()["mark"]) for reply in replies}


def test_two_hundred_streams_see_no_redeploy_rollback_or_scaling(client: Client) -> None:
    arguments = (
        "min_containers=1, max_containers=4, target_concurrency=110, scaledown_window=2, "
        "exit_grace_period=20, unauthenticated=True"
    )
    url = streaming.deploy(client, "loaded", arguments, mark="one")
    client.ready(url)

    def settles(containers: int, mark: str) -> None:
        """Seen from outside: this many containers, and only engines of this version answer."""

        def settled() -> bool:
            answering = asyncio.run(_engines(url))
            there = len(client.containers("loaded")) == containers
            return there and {version for _, version in answering} == {mark}

        until(settled, 30)

    def scale(**settings: float) -> None:
        server = "modal.Server.from_name('loaded', 'Server')"
        given = ", ".join(f"{name}={value}" for name, value in settings.items())
        client.sdk(f"{server}.autoscaler.update({given})")

    began = time.monotonic()
    with Streams(url) as streams:
        settles(2, "one")  # two times 110 hold two hundred
        rounds = 0
        while time.monotonic() - began < SECONDS:
            streaming.deploy(client, "loaded", arguments, mark="two")
            settles(2, "two")
            scale(target_concurrency=55)
            settles(4, "two")
            scale(max_containers=3)
            settles(3, "two")
            client.modal("app", "rollback", "loaded", "v1")  # forgets what was scaled live
            settles(2, "one")
            scale(min_containers=3)
            settles(3, "one")
            client.modal("app", "rollover", "loaded")
            settles(2, "one")
            rounds += 1
    assert rounds
    settles(1, "one")
    assert set(streams.outcomes) == {(200, True, EVENTS)}
    assert streams.outcomes.total() > STREAMS * SECONDS / 4
    client.sdk("modal.App.lookup('loaded').stop()")


def test_fifty_apps_deployed_at_once_all_answer(client: Client) -> None:
    names = [f"fifty-{number}" for number in range(50)]
    for name in names:
        client.write(name, "unauthenticated=True, scaledown_window=60", mark=name)
    client.sdk(
        f"""
        import asyncio
        apps = [load(name.replace("-", "_") + ".py").app for name in {names!r}]

        async def deploy():
            await asyncio.gather(*(app.deploy.aio() for app in apps))

        asyncio.run(deploy())
        """
    )
    urls = client.sdk(
        f"result = {{n: modal.Server.from_name(n, 'Server').get_url() for n in {names!r}}}"
    )

    async def answer(name: str) -> str:
        async with asyncio.timeout(120):
            while (reply := await streaming.fetch(urls[name], "/who")).status != 200:
                await asyncio.sleep(0.2)
        return str(reply.json()["mark"])

    async def all_answer() -> list[str]:
        return await asyncio.gather(*(answer(name) for name in names))

    assert asyncio.run(all_answer()) == names
    client.sdk(f"for name in {names!r}: modal.App.lookup(name).stop()")
    until(lambda: not [name for name in names if client.containers(name)], 60)
