"""Which GPU a container gets, in which order, and who waits."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from modal_proto import api_pb2

from modelctl.facts import gpus
from modelctl.local import lifecycle
from modelctl.local.inventory import parse_inventory, written
from modelctl.local.lifecycle import LocalError
from modelctl.local.running.placement import Choice, Placement, candidates, choices
from tests.local.conftest import Client, until

TYPES = ["H100", "H200", "L40S", "A100-40GB", "A100-80GB", "T4"]
inventories = st.dictionaries(st.sampled_from(TYPES), st.integers(0, 4))
wishes = st.lists(
    st.builds(Choice, st.sampled_from([*TYPES, "H100!", "A100"]), st.integers(1, 3)),
    min_size=1,
    max_size=3,
)


def _list(*asked: str) -> list[Choice]:
    found = []
    for one in asked:
        kind, _, count = one.partition(":")
        found.append(Choice(kind, int(count or 1)))
    return found


# -- an inventory


@pytest.mark.parametrize(
    ("text", "inventory"),
    [
        ("H100=2,L40S=4", {"H100": 2, "L40S": 4}),
        (" h100=2 , a100-80gb=1,", {"H100": 2, "A100-80GB": 1}),
        ("H100=0", {"H100": 0}),
    ],
)
def test_an_inventory_is_types_with_counts(text: str, inventory: dict[str, int]) -> None:
    assert parse_inventory(text) == inventory


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("H100", "'H100' is no entry of an inventory; write TYPE=COUNT: H100=2,L40S=4"),
        ("H100=-1", "'H100=-1' is no entry of an inventory; write TYPE=COUNT: H100=2,L40S=4"),
        ("H100=two", "'H100=two' is no entry of an inventory; write TYPE=COUNT: H100=2,L40S=4"),
        ("", "an inventory names at least one type of GPU; write TYPE=COUNT: H100=2"),
        (",,", "an inventory names at least one type of GPU; write TYPE=COUNT: H100=2"),
        ("H100=1,h100=2", "H100 stands twice in the inventory"),
    ],
)
def test_what_is_no_inventory_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="inventory") as refused:
        parse_inventory(text)
    assert str(refused.value) == sentence


def test_a_name_for_others_takes_any_of_them() -> None:
    placement = Placement({"L4": 1, "A10": 1})
    assert placement.try_now("ta-1", [Choice("A10G", 1)]) == "A10"
    assert placement.try_now("ta-2", [Choice("ANY", 1)]) == "L4"
    assert placement.try_now("ta-3", [Choice("ANY", 1)]) is None


@given(inventory=inventories.filter(bool))
def test_a_written_inventory_reads_the_same(inventory: dict[str, int]) -> None:
    assert parse_inventory(written(inventory)) == inventory


@given(text=st.text())
def test_any_text_is_an_inventory_or_a_sentence(text: str) -> None:
    try:
        inventory = parse_inventory(text)
    except ValueError as error:
        assert str(error)
    else:
        assert all(count >= 0 for count in inventory.values())


# -- what is given


@pytest.mark.parametrize(
    ("inventory", "asked", "given_"),
    [
        (None, ["H100"], "cpu"),
        (None, [], "cpu"),
        ({"H100": 1}, [], "cpu"),
        ({"H100": 1}, ["H100"], "H100"),
        ({"H100": 2}, ["H100:2"], "H100:2"),
        ({"H100": 1}, ["H100:2"], None),
        ({"L40S": 1, "H100": 1}, ["H100", "L40S"], "H100"),
        ({"L40S": 1}, ["H100", "L40S"], "L40S"),
        ({"H200": 1}, ["H100"], "H200"),
        ({"H200": 1, "H100": 1}, ["H100"], "H100"),
        ({"H200": 1}, ["H100!"], None),
        ({"H100": 1}, ["H100!"], "H100"),
        ({"H100": 1}, ["H200"], None),
        ({"A100-80GB": 1}, ["A100"], "A100-80GB"),
        ({"A100-80GB": 1}, ["A100-40GB"], None),
        ({"B300": 1}, ["B200+"], "B300"),
        ({"B300": 1}, ["B200"], None),
        ({}, ["T4"], None),
    ],
)
def test_the_first_of_the_list_that_is_free_is_given(
    inventory: dict[str, int] | None, asked: list[str], given_: str | None
) -> None:
    assert Placement(inventory).try_now("ta-1", _list(*asked)) == given_


def test_what_cannot_be_had_is_passed_over() -> None:
    placement = Placement({"H100": 1, "H200": 1})
    placement.blocked = lambda choice: choice.type == "H100"
    assert placement.try_now("ta-1", _list("H100")) == "H200"
    assert placement.try_now("ta-2", _list("H100!")) is None
    placement.set_inventory(None)
    assert placement.try_now("ta-3", _list("H100")) is None
    assert placement.try_now("ta-3", _list("H100", "T4")) == "cpu"


@given(inventory=inventories, wanted=st.lists(wishes, max_size=12))
def test_never_more_is_given_than_there_is_and_nothing_that_was_not_asked_for(
    inventory: dict[str, int], wanted: list[Sequence[Choice]]
) -> None:
    placement = Placement(inventory)
    for number, list_ in enumerate(wanted):
        given_ = placement.try_now(str(number), list_)
        if given_ is None:
            used = placement.in_use()
            for choice in list_:
                for kind in candidates(choice.type):
                    assert inventory.get(kind, 0) - used[kind] < choice.count
        else:
            assert given_ in {
                str(Choice(kind, choice.count))
                for choice in list_
                for kind in candidates(choice.type)
            }
        assert all(placement.in_use()[kind] <= inventory.get(kind, 0) for kind in TYPES)


# -- waiting


def test_who_waits_longest_is_served_first_when_something_is_released() -> None:
    async def scene() -> list[str]:
        placement = Placement({"H100": 1})
        placement.try_now("first", _list("H100"))
        placed: list[str] = []

        async def wait(name: str) -> None:
            await placement.place(name, _list("H100"))
            placed.append(name)

        tasks = [asyncio.create_task(wait(name)) for name in ("a", "b", "c")]
        await asyncio.sleep(0)
        assert list(placement.waiting()) == ["a", "b", "c"]
        for leaving in ("first", "a", "b"):
            placement.release(leaving)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        return placed

    assert asyncio.run(scene()) == ["a", "b", "c"]


def test_who_waits_for_something_else_holds_up_nobody() -> None:
    async def scene() -> None:
        placement = Placement({"L40S": 0, "T4": 0})
        first = asyncio.create_task(placement.place("a", _list("L40S")))
        second = asyncio.create_task(placement.place("b", _list("T4")))
        await asyncio.sleep(0)
        placement.set_inventory({"T4": 1})
        assert await second == "T4"
        assert list(placement.waiting()) == ["a"]
        placement.set_inventory(None)
        assert await first == "cpu"

    asyncio.run(scene())


def test_who_stops_waiting_gives_back_what_it_was_just_given() -> None:
    async def scene() -> None:
        placement = Placement({"H100": 0})
        waiting = asyncio.create_task(placement.place("a", _list("H100")))
        await asyncio.sleep(0)
        placement.set_inventory({"H100": 1})
        waiting.cancel()  # in the same turn: it was given one and never learns of it
        await asyncio.gather(waiting, return_exceptions=True)
        assert not placement.in_use()
        assert not placement.waiting()

    asyncio.run(scene())


class Comings(RuleBasedStateMachine):
    """Containers come, wait, give up and leave; the inventory changes under them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.inventory: dict[str, int] = {"H100": 1, "H200": 1, "L40S": 2}
        self.placement = Placement(self.inventory)
        self.tasks: dict[str, asyncio.Task[str]] = {}
        self.came = 0

    def _turn(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.run_until_complete(asyncio.sleep(0))

    @rule(wanted=wishes)
    def come(self, wanted: list[Choice]) -> None:
        self.came += 1
        name = f"c{self.came}"
        self.tasks[name] = self.loop.create_task(self.placement.place(name, wanted))
        self._turn()

    @rule(number=st.integers(0, 100))
    def leave(self, number: int) -> None:
        if self.tasks:
            name = list(self.tasks)[number % len(self.tasks)]
            task = self.tasks.pop(name)
            if task.done():
                self.placement.release(name)
            else:
                task.cancel()
            self._turn()

    @rule(inventory=inventories)
    def change(self, inventory: dict[str, int]) -> None:
        used = self.placement.in_use()
        self.inventory = {kind: max(used[kind], inventory.get(kind, 0)) for kind in TYPES}
        self.placement.set_inventory(self.inventory)
        self._turn()

    @invariant()
    def nothing_is_given_twice_and_nobody_waits_in_vain(self) -> None:
        used = self.placement.in_use()
        assert all(used[kind] <= self.inventory.get(kind, 0) for kind in TYPES)
        waiting = self.placement.waiting()
        assert list(waiting) == [name for name, task in self.tasks.items() if not task.done()]
        for wanted in waiting.values():
            for choice in wanted:
                for kind in candidates(choice.type):
                    assert self.inventory.get(kind, 0) - used[kind] < choice.count

    def teardown(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        self._turn()
        self.loop.close()


TestComings = Comings.TestCase


# -- what rendered apps know


def test_what_a_container_is_told_is_a_key_that_rendered_apps_look_up() -> None:
    for name, choice in gpus.choices().items():
        cards = [card.name for card in choice.cards]
        real = [kind for kind in candidates(choice.modal.upper()) if not kind.endswith("+")]
        assert real == cards, name
        for count in (1, 2):
            told = [str(Choice(kind, count)) for kind in real]
            assert told == [gpus.key(card, count) for card in cards], name


def test_a_list_of_fallbacks_is_read_in_its_order() -> None:
    data = api_pb2.FunctionData()
    for kind, count in (("H100", 2), ("l40s", 1), ("H100!", 1)):
        asked = data.ranked_functions.add().function.resources.gpu_config
        asked.gpu_type, asked.count = kind, count
    assert [str(choice) for choice in choices(data)] == ["H100:2", "L40S", "H100!"]


# -- on a plane


def test_containers_wait_take_turns_and_are_told_what_they_got(own_client: Client) -> None:
    plane = own_client.plane
    assert lifecycle.gpus(plane) == {"inventory": None, "in_use": {}, "waiting": []}
    assert lifecycle.set_gpus(plane, "H100=1")["inventory"] == {"H100": 1}
    first = own_client.deploy("first", 'gpu="H100", min_containers=1')
    assert own_client.ready(first, "/env")["MODELCTL_GPU"] == "H100"
    own_client.deploy("second", 'gpu=["H100", "L40S"], min_containers=1')
    (waiting,) = until(lambda: lifecycle.gpus(plane)["waiting"])
    assert (waiting["app"], waiting["wants"]) == ("second", ["H100", "L40S"])
    assert lifecycle.gpus(plane)["in_use"] == {"H100": 1}
    (task,) = [t for t in _tasks(own_client) if t.app_description == "second"]
    assert (task.task_id, task.started_at) == (waiting["container"], 0)
    own_client.modal("app", "stop", "first", "--yes")
    url = own_client.url("second")
    assert own_client.ready(url, "/env")["MODELCTL_GPU"] == "H100"
    assert own_client.logs("second").splitlines()[:2] == [
        f"Container {waiting['container']} waits for H100 or L40S: none is free.",
        f"Container {waiting['container']} got H100.",
    ]


def test_an_inventory_outlives_the_plane_and_can_be_taken_away(own_client: Client) -> None:
    state = own_client.plane.state_dir
    lifecycle.set_gpus(own_client.plane, "h100=2")
    lifecycle.down(state)
    plane = lifecycle.up(state)
    assert lifecycle.gpus(plane)["inventory"] == {"H100": 2}
    with pytest.raises(LocalError, match="is no entry of an inventory"):
        lifecycle.set_gpus(plane, "H100")
    lifecycle.set_gpus(plane, None)
    lifecycle.down(state)
    assert lifecycle.gpus(lifecycle.up(state))["inventory"] is None


def test_no_capacity_is_waited_out(own_client: Client) -> None:
    fault = lifecycle.add_fault(own_client.plane, "no-capacity", gpu="L40S*")
    own_client.deploy("patient", 'gpu="L40S:2", min_containers=1')
    until(lambda: lifecycle.gpus(own_client.plane)["waiting"])
    assert "waits for L40S:2: none is free." in own_client.logs("patient")
    lifecycle.clear_faults(own_client.plane, fault)
    assert own_client.ready(own_client.url("patient"), "/env")["MODELCTL_GPU"] == "cpu"


def _tasks(client: Client) -> list[api_pb2.TaskStats]:
    request = api_pb2.TaskListRequest(environment_name="main")
    return list(client.rpc("TaskList", request).tasks)
