"""The lease: one owner at a time, whoever is slow, stopped, killed or cut off, and a word to those
who have to wait. In simulated time, with a Dict in memory; tests/local has it on the plane."""

import asyncio
import json
import random
import re
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl.lease import (
    SECONDS,
    Lease,
    LeaseHeld,
    LeaseLost,
    boot_clock,
    dict_of,
    owner_of,
    seconds_of,
)
from modelctl.platform.types import PlatformError, Unreachable
from tests.examples import examples

DAY = 86400.0


class _Jumping(selectors.SelectSelector):
    """Waits for nothing: time moves on to when something is due."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "everybody waits for ever"
        self.now += max(timeout, 0.0)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    """An event loop in simulated time: a minute takes no time at all."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def simulated(scene: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(scene)


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class World:
    """The Dict, and who changed something when."""

    chance: random.Random = field(default_factory=lambda: random.Random(0))
    entries: dict[str, str] = field(default_factory=dict)
    owners: list["Process"] = field(default_factory=list)
    changes: list[int] = field(default_factory=list)
    troubled: bool = True
    used: float = 0.0

    def touch(self) -> None:
        """Entries that nobody used for seven days are gone."""
        if now() - self.used > 7 * DAY:
            self.entries.clear()
        self.used = now()


class Process:
    """One modelctl: its clock, and its way to Modal. It may be stopped or killed at any await."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.rate = world.chance.uniform(0.95, 1.05) if world.troubled else 1.0
        self.stopped_until = 0.0
        self.mute_until = 0.0
        self.killed = False
        self.away = False
        self.between: Callable[[str, str], Awaitable[None]] | None = None
        self.lease = self.new_lease()
        self.number = -1
        self.owns = False

    def new_lease(self, ttl: float = SECONDS) -> Lease:
        self.lease = Lease(
            self,
            "team",
            where="prod",
            owner=self.name,
            ttl=ttl,
            clock=self.clock,
            sleep=self.sleep,
        )
        return self.lease

    def clock(self) -> float:
        return now() * self.rate

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._running()

    async def _running(self) -> None:
        while self.killed or now() < self.stopped_until:
            if self.killed:
                await asyncio.Event().wait()
            await asyncio.sleep(self.stopped_until - now())

    async def _on_the_way(self) -> None:
        """A call or an answer travels; now and then the whole process stops meanwhile."""
        chance = self.world.chance
        if not self.world.troubled:
            await self.sleep(0.01)
            return
        if chance.random() < 0.02:
            self.stopped_until = now() + chance.choice([1.0, 10.0, 14.0, 16.0, 40.0])
        await self.sleep(chance.choice([0.0, 0.01, 0.05, 0.05, 0.4, 2.0]))

    async def _call(self, key: str, effect: Callable[[], Any]) -> Any:
        """One call of a client, with what a network does to it."""
        if self.between is not None:
            await self.between(self.name, key)
        await self._on_the_way()
        how = self.world.chance.random() if self.world.troubled else 0.5
        if how > 0.98:
            self.mute_until = now() + self.world.chance.choice([5.0, 30.0])
        if self.away or (key.startswith("beat/") and now() < self.mute_until) or how < 0.02:
            raise Unreachable("it did not arrive")
        if how < 0.05:  # it arrives after the client gave up, or a second time
            asyncio.get_running_loop().call_later(self.world.chance.uniform(0, 40), effect)
            if how < 0.03:
                raise Unreachable("no answer")
        answer = effect()
        await self._on_the_way()
        if how < 0.07:
            raise Unreachable("the answer was lost")
        return answer

    async def dict_items(self, name: str) -> Mapping[str, str]:
        """A walk over the entries that others change meanwhile."""
        assert name == dict_of("team")
        found: dict[str, str] = {}

        def walk(parity: int) -> None:
            self.world.touch()
            entries = self.world.entries.items()
            found.update({k: v for k, v in entries if crc32(k.encode()) % 2 == parity})

        first = self.world.chance.randrange(2)
        await self._call("items", lambda: walk(first))
        if self.world.troubled:
            await self.sleep(self.world.chance.choice([0.0, 0.0, 0.0, 0.3]))
        walk(1 - first)
        return dict(found)

    async def dict_put(self, name: str, key: str, value: str, *, if_absent: bool = False) -> bool:
        assert if_absent

        def put() -> bool:
            self.world.touch()
            return self.world.entries.setdefault(key, value) is value

        return bool(await self._call(key, put))

    async def dict_pop(self, name: str, key: str) -> None:
        highest = max(int(k[6:]) for k in self.world.entries if k.startswith("claim/"))
        assert key != f"claim/{highest}"
        await self._call(f"pop {key}", lambda: self.world.entries.pop(key, None))

    # -- what it does with the lease

    async def own(self, wait: float = 0.0) -> None:
        await self.lease.acquire(wait)
        self.number = len(self.world.owners)
        self.world.owners.append(self)
        self.owns = True

    async def change(self) -> None:
        """Changes something, at the moment at which the lease says that it may."""
        await self.lease.check()
        for other in self.world.owners:
            if other.lease is not self.lease and other.owns:
                assert other.clock() >= other.lease.valid_until, f"{self.name} and {other.name}"
        self.world.changes.append(self.number)

    async def let_go(self) -> None:
        self.owns = False
        await self.lease.release()


async def _apply(world: World, name: str, until: float) -> None:
    """Applies again and again, each time as a process of its own."""
    chance = world.chance
    while now() < until:
        process = Process(world, name)
        await asyncio.sleep(chance.choice([0.0, 0.1, 5.0, 30.0]))
        try:
            await process.own(chance.choice([0.0, 20.0, 100.0]))
            for _ in range(chance.randrange(8)):
                await process.change()
                if chance.random() < 0.05:
                    process.killed = True
                    break
                await process.sleep(chance.choice([0.0, 0.5, 2.0, 10.0, 30.0]))
        except (LeaseHeld, LeaseLost, Unreachable):
            pass
        if not process.killed:
            await process.let_go()


@settings(max_examples=examples(150), deadline=None)
@given(seed=st.integers(0, 2**32), candidates=st.integers(2, 6))
def test_two_never_change_something_at_the_same_time(seed: int, candidates: int) -> None:
    async def scene() -> None:
        world = World(random.Random(seed))
        async with asyncio.TaskGroup() as group:
            for number in range(candidates):
                group.create_task(_apply(world, f"apply {number}", until=400.0))
        assert world.changes == sorted(world.changes), "owners' changes interleave"
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    simulated(scene())


# -- one scene each


def scene(play: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
    """A test in simulated time, on a network without trouble."""

    def test() -> None:
        async def whole() -> None:
            await play(World(troubled=False))
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

        simulated(whole())

    test.__name__ = play.__name__
    test.__doc__ = play.__doc__
    return test


def _two(world: World) -> tuple[Process, Process]:
    return Process(world, "ci/1842"), Process(world, "ann@laptop")


@scene
async def test_who_has_the_lease_asks_nobody_before_a_change(world: World) -> None:
    first, _ = _two(world)
    began = now()
    await first.own()
    assert now() - began < 0.1
    taken = now()
    for _ in range(100):
        await first.change()
    assert now() == taken


@scene
async def test_who_comes_second_is_told_who_is_at_it(world: World) -> None:
    first, second = _two(world)
    await first.own()
    await first.sleep(100)
    began = now()
    with pytest.raises(LeaseHeld) as held:
        await second.own()
    assert now() - began < SECONDS / 3
    said = re.fullmatch(
        r"ci/1842 is applying to prod since (\d\d:\d\d); its lease was renewed 1 s ago",
        held.value.message,
    )
    assert said, held.value.message
    assert held.value.hint == "try again when it is done, or let --wait do that"
    await first.change()


@scene
async def test_who_waits_begins_when_the_first_is_done(world: World) -> None:
    first, second = _two(world)
    await first.own()
    waiting = asyncio.create_task(second.own(wait=60))
    await first.sleep(40)
    await first.change()
    await first.let_go()
    done = now()
    await waiting
    assert now() - done <= SECONDS / 10 + 0.1
    await second.change()


@scene
async def test_a_killed_holder_is_followed_when_its_lease_is_over(world: World) -> None:
    first, second = _two(world)
    await first.own()
    await first.sleep(30)
    first.killed = True
    died = now()
    await second.own()
    assert SECONDS * 3 / 4 < now() - died < SECONDS * 1.3
    await second.change()


@scene
async def test_a_holder_that_was_stopped_too_long_is_told_who_took_over(world: World) -> None:
    first, second = _two(world)
    await first.own()
    first.stopped_until = now() + 60
    await second.own()
    await second.change()
    await asyncio.sleep(60)
    with pytest.raises(LeaseLost) as lost:
        await first.change()
    said = r"another apply \(ann@laptop, since \d\d:\d\d\) took over while this one was stopped; "
    assert re.fullmatch(said + "this one changes nothing more", lost.value.message)
    await first.let_go()
    await second.change()


@scene
async def test_a_holder_that_was_stopped_while_nobody_came_goes_on(world: World) -> None:
    first, second = _two(world)
    await first.own()
    first.stopped_until = now() + 600
    await first.sleep(1)
    await first.change()
    with pytest.raises(LeaseHeld):
        await second.own()


@scene
async def test_of_five_that_come_together_one_begins(world: World) -> None:
    five = [Process(world, f"apply {number}") for number in range(5)]
    came = await asyncio.gather(*(one.own() for one in five), return_exceptions=True)
    assert [type(said) for said in came if said is not None] == [LeaseHeld] * 4
    assert len(world.owners) == 1


@scene
async def test_a_claim_whose_answer_was_lost_is_a_claim(world: World) -> None:
    first, _ = _two(world)
    lost = [True]

    async def put(name: str, key: str, value: str, *, if_absent: bool = False) -> bool:
        won = await Process.dict_put(first, name, key, value, if_absent=if_absent)
        if lost.pop():
            lost.append(False)
            raise Unreachable("the answer was lost")
        lost.append(False)
        return won

    first.dict_put = put  # type: ignore[method-assign]
    await first.own()
    await first.change()
    assert [key for key in world.entries if key.startswith("claim/")] == ["claim/1"]


@scene
async def test_a_claim_that_is_not_ours_as_the_answer_says_but_has_our_nonce_is_ours(
    world: World,
) -> None:
    first, _ = _two(world)

    async def put(name: str, key: str, value: str, *, if_absent: bool = False) -> bool:
        await Process.dict_put(first, name, key, value, if_absent=if_absent)
        return False

    first.dict_put = put  # type: ignore[method-assign]
    await first.own()
    await first.change()
    assert [key for key in world.entries if key.startswith("claim/")] == ["claim/1"]


@scene
async def test_a_holder_whose_beat_was_late_is_waited_for_and_told(world: World) -> None:
    """Its beat was sent in time and arrived just after somebody believed it dead."""
    first, second = _two(world)
    await first.own()
    await first.sleep(1)
    late = asyncio.Event()

    async def slow(_: str, key: str) -> None:
        if key.startswith("beat/"):
            await late.wait()

    async def first_beats(_: str, key: str) -> None:
        if key == "claim/2":
            late.set()
            await asyncio.sleep(1)

    first.between, second.between = slow, first_beats
    await second.own()
    with pytest.raises(LeaseLost):
        await first.change()
    await second.change()


@scene
async def test_who_slept_before_its_claim_finds_the_number_taken(world: World) -> None:
    first, second = _two(world)
    third = Process(world, "bob@desk")

    async def asleep(_: str, key: str) -> None:
        if key == "claim/1":
            second.stopped_until = now() + 100
            await second.sleep(0)

    second.between = asleep
    waking = asyncio.create_task(second.own())
    await asyncio.sleep(1)
    await first.own()
    await first.let_go()
    await third.own()  # it has removed claim 1
    await third.sleep(1)
    assert "claim/1" not in world.entries
    with pytest.raises(LeaseHeld):
        await waking
    await third.change()


@scene
async def test_who_slept_a_week_before_its_claim_does_not_disturb(world: World) -> None:
    """Meanwhile the entries are gone and numbers have started again."""
    first, second = _two(world)
    for _ in range(3):
        first.new_lease()
        await first.own()
        await first.let_go()

    async def asleep(_: str, key: str) -> None:
        if key == "claim/4":
            second.stopped_until = now() + 8 * DAY
            await second.sleep(0)

    second.between = asleep
    waking = asyncio.create_task(second.own())
    await asyncio.sleep(8 * DAY - 5)
    first.new_lease()
    await first.own()
    assert "claim/1" in world.entries
    await first.change()
    await waking  # its high number wins, after the other was told and its time was over
    with pytest.raises(LeaseLost):
        await first.change()
    await second.change()


@scene
async def test_a_lease_that_somebody_deleted_is_lost(world: World) -> None:
    first, _ = _two(world)
    await first.own()
    world.entries.clear()
    await first.sleep(20)
    with pytest.raises(LeaseLost) as lost:
        await first.change()
    assert lost.value.message == (
        "the lease in the Dict modelctl-team-lease is gone: somebody removed it"
    )


@scene
async def test_a_network_that_is_away_for_a_moment_is_no_loss(world: World) -> None:
    first, _ = _two(world)
    await first.own()
    first.away = True
    await first.sleep(8)
    await first.change()
    await first.sleep(6)
    with pytest.raises(Unreachable, match="it did not arrive"):
        await first.change()
    first.away = False
    await first.change()


@scene
async def test_many_applies_leave_little_behind(world: World) -> None:
    for number in range(40):
        process = Process(world, f"apply {number}")
        await process.own()
        await process.sleep(20)
        await process.change()
        await process.let_go()
    assert len(world.entries) <= 4


@scene
async def test_a_claim_of_a_later_version_is_watched_like_any(world: World) -> None:
    world.entries |= {"claim/7": json.dumps({"format": 9}), "else": "of somebody"}
    first, _ = _two(world)
    began = now()
    await first.own()
    assert SECONDS < now() - began < SECONDS * 1.3
    await first.sleep(1)
    assert world.entries.keys() == {"claim/8", "else"}


# -- names and numbers


def test_the_owner_is_the_run_in_ci_else_user_and_machine() -> None:
    assert owner_of({"GITHUB_RUN_ID": "1842"}) == "GitHub run 1842"
    assert owner_of({"CI_JOB_ID": "77"}) == "GitLab job 77"
    assert re.fullmatch(r".+@.+", owner_of({}))


def test_the_lease_of_no_project_is_one_that_no_project_has() -> None:
    assert dict_of("team") == "modelctl-team-lease"
    assert dict_of(None) == "modelctl.default.lease"


def test_the_time_to_live_is_said_by_a_variable() -> None:
    assert seconds_of({}) == SECONDS
    assert seconds_of({"MODELCTL_LEASE_SECONDS": "2"}) == 2
    for wrong in ("soon", "0", "-1", "nan", "inf"):
        with pytest.raises(PlatformError) as refused:
            seconds_of({"MODELCTL_LEASE_SECONDS": wrong})
        assert refused.value.message == (
            "MODELCTL_LEASE_SECONDS must be a number of seconds from 0.5 to 3600"
        )


def test_the_clock_goes_on() -> None:
    assert boot_clock() <= boot_clock()


class _WalkedInTwo:
    """A Dict whose claims are walked before its beats; `meanwhile` happens between the two."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.meanwhile: Callable[[], None] = lambda: None
        self.lost: list[str] = []
        self.losing = False

    async def dict_items(self, name: str) -> Mapping[str, str]:
        claims = {k: v for k, v in self.entries.items() if k.startswith("claim/")}
        self.meanwhile()
        return {**{k: v for k, v in self.entries.items() if not k.startswith("claim/")}, **claims}

    async def dict_put(self, name: str, key: str, value: str, *, if_absent: bool = False) -> bool:
        if self.losing:
            self.lost.append(key)
            raise Unreachable("it did not arrive")
        return self.entries.setdefault(key, value) is value

    async def dict_pop(self, name: str, key: str) -> None:
        self.entries.pop(key, None)


def test_a_beat_that_comes_late_while_it_is_looked_for_proves_nothing() -> None:
    """Somebody may have claimed what was walked already, and never seen that beat."""
    shared, time = _WalkedInTwo(), [0.0]

    async def sleep(seconds: float) -> None:
        time[0] += seconds
        await asyncio.sleep(0)

    async def play() -> None:
        lease = Lease(shared, "team", where="prod", owner="a", clock=lambda: time[0], sleep=sleep)
        board = await lease._acquire(0.0)  # without the task that renews it
        assert board.top is not None
        time[0] += SECONDS
        shared.losing = True
        rival = json.dumps(
            {"nonce": "b", "owner": "b", "what": "apply", "since": "", "ttl": SECONDS}
        )

        def meanwhile() -> None:
            shared.losing = False
            shared.entries.setdefault("claim/2", rival)
            shared.entries.update(dict.fromkeys(shared.lost, ""))

        shared.meanwhile = meanwhile
        with pytest.raises(LeaseLost):
            await lease.check()

    asyncio.run(play())
