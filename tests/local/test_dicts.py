"""Dicts: what is put is got, one winner among many, and what nobody uses is gone after a week."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modal_proto import api_pb2

from modelctl.local.clock import Clock
from modelctl.local.keeping.state import State
from modelctl.local.keeping.store import Store
from modelctl.local.keeping.workspaces import Workspaces
from modelctl.local.rpc import Refused, Status
from modelctl.local.services.creation import HELD
from modelctl.local.services.dicts import UNUSED, Dicts
from tests.examples import examples
from tests.local.conftest import Client, CommandLine, refusal

IF_MISSING = api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING
EPHEMERAL = api_pb2.OBJECT_CREATION_TYPE_EPHEMERAL
DAY = 86400.0


class Desk:
    """The service alone: no process, a clock that can be moved."""

    def __init__(self, path: Path) -> None:
        self.store = Store(path)
        self.state = State(self.store)
        Workspaces(self.state)
        self.clock = Clock(self.store)
        self.dicts = Dicts(self.state, self.clock)

    def make(self, name: str = "", how: api_pb2.ObjectCreationType.ValueType = IF_MISSING) -> str:
        asked = api_pb2.DictGetOrCreateRequest(deployment_name=name, object_creation_type=how)
        return self.dicts.dict_get_or_create(asked).dict_id

    def put(self, dict_id: str, key: bytes, value: bytes, only_new: bool = False) -> bool:
        entry = api_pb2.DictEntry(key=key, value=value)
        asked = api_pb2.DictUpdateRequest(dict_id=dict_id, updates=[entry], if_not_exists=only_new)
        return self.dicts.dict_update(asked).created

    def get(self, dict_id: str, key: bytes) -> bytes | None:
        answer = self.dicts.dict_get(api_pb2.DictGetRequest(dict_id=dict_id, key=key))
        return answer.value if answer.found else None

    def pop(self, dict_id: str, key: bytes) -> bytes | None:
        answer = self.dicts.dict_pop(api_pb2.DictPopRequest(dict_id=dict_id, key=key))
        return answer.value if answer.found else None

    def len(self, dict_id: str) -> int:
        return self.dicts.dict_len(api_pb2.DictLenRequest(dict_id=dict_id)).len

    def items(self, dict_id: str) -> dict[bytes, bytes]:
        asked = api_pb2.DictContentsRequest(dict_id=dict_id, keys=True, values=True)

        async def all_of_them() -> dict[bytes, bytes]:
            return {e.key: e.value async for e in self.dicts.dict_contents(asked)}

        return asyncio.run(all_of_them())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path / "state.db")
    yield desk
    desk.store.close()


# -- against a model


KEYS = st.sampled_from([b"", b"a", b"b", b"\0", b"a\0"])
STEPS = st.one_of(
    st.tuples(st.just("put"), KEYS, st.binary(max_size=8), st.booleans()),
    st.tuples(st.sampled_from(["get", "pop", "contains"]), KEYS),
    st.tuples(st.sampled_from(["len", "items", "clear"])),
    st.tuples(st.just("wait"), st.sampled_from([1.0, 3 * DAY, 4 * DAY, 7 * DAY])),
)


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    desk = Desk(tmp_path_factory.mktemp("desk") / "state.db")
    yield desk
    desk.store.close()


@settings(max_examples=examples(60), deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
def test_a_dict_behaves_as_a_python_dict_whose_entries_age(
    shared_desk: Desk, steps: list[tuple[object, ...]]
) -> None:
    desk = shared_desk
    dict_id = desk.make(how=EPHEMERAL)
    model: dict[bytes, bytes] = {}
    ages: dict[bytes, float] = {}  # without the real time that passes, which is far less than a day
    for step in steps:
        match step:
            case ("put", bytes(key), bytes(value), bool(only_new)):
                assert desk.put(dict_id, key, value, only_new) is not (only_new and key in model)
                if not (only_new and key in model):
                    model[key] = value
                ages[key] = 0.0
            case ("get", bytes(key)):
                assert desk.get(dict_id, key) == model.get(key)
                ages[key] = 0.0
            case ("contains", bytes(key)):
                asked = api_pb2.DictContainsRequest(dict_id=dict_id, key=key)
                assert desk.dicts.dict_contains(asked).found == (key in model)
                ages[key] = 0.0
            case ("pop", bytes(key)):
                assert desk.pop(dict_id, key) == model.pop(key, None)
            case ("len",):
                assert desk.len(dict_id) == len(model)
            case ("items",):
                assert desk.items(dict_id) == model
                ages = dict.fromkeys(ages, 0.0)
            case ("clear",):
                desk.dicts.dict_clear(api_pb2.DictClearRequest(dict_id=dict_id))
                model.clear()
            case ("wait", float(seconds)):
                desk.clock.advance(seconds)
                desk.state.dicts[dict_id].held_until = 0.0  # somebody holds on to it
                ages = {key: age + seconds for key, age in ages.items()}
                model = {key: value for key, value in model.items() if ages[key] < UNUSED}
    assert desk.items(dict_id) == model


# -- expiry


def test_an_entry_is_gone_after_a_week_without_use(desk: Desk) -> None:
    dict_id = desk.make("d")
    desk.put(dict_id, b"used", b"1")
    desk.put(dict_id, b"unused", b"1")
    for _ in range(3):
        desk.clock.advance(3 * DAY)
        assert desk.get(dict_id, b"used") == b"1"
    assert desk.get(dict_id, b"unused") is None
    assert desk.len(dict_id) == 1
    desk.clock.advance(6.9 * DAY)
    assert desk.len(dict_id) == 1  # to be counted is no use
    desk.clock.advance(0.2 * DAY)
    assert desk.len(dict_id) == 0


def test_an_expired_key_may_be_put_again(desk: Desk) -> None:
    lock = desk.make("lock")
    assert desk.put(lock, b"owner", b"a", only_new=True)
    assert not desk.put(lock, b"owner", b"b", only_new=True)
    desk.clock.advance(UNUSED + 1)
    assert desk.put(lock, b"owner", b"b", only_new=True)
    assert desk.get(lock, b"owner") == b"b"


def test_entries_and_their_age_survive_a_restart(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "state.db")
    dict_id = desk.make("d")
    desk.put(dict_id, b"k", b"v")
    desk.clock.advance(5 * DAY)
    desk.store.close()
    again = Desk(tmp_path / "state.db")
    assert again.make("d") == dict_id
    assert again.items(dict_id) == {b"k": b"v"}
    again.clock.advance(6 * DAY)
    again.store.close()


def test_an_ephemeral_dict_ends_some_time_after_its_last_heartbeat(desk: Desk) -> None:
    held = desk.make(how=EPHEMERAL)
    for _ in range(3):
        desk.clock.advance(HELD - 1)
        desk.dicts.dict_heartbeat(api_pb2.DictHeartbeatRequest(dict_id=held))
    desk.put(held, b"k", b"v")
    desk.clock.advance(HELD + 1)
    with pytest.raises(Refused) as caught:
        desk.get(held, b"k")
    assert caught.value.status is Status.NOT_FOUND
    assert caught.value.message == f"Dict with id '{held}' not found."
    desk.make(how=EPHEMERAL)
    assert held not in desk.state.dicts


# -- with the SDK and the CLI


def test_many_clients_at_once_have_one_winner(client: Client) -> None:
    winners = client.sdk(
        """
        import asyncio
        lock = modal.Dict.from_name("d-race", create_if_missing=True)

        async def race(round):
            async def one(number):
                return await lock.put.aio(f"owner-{round}", number, skip_if_exists=True)
            won = await asyncio.gather(*(one(number) for number in range(40)))
            return sum(won), won[await lock.get.aio(f"owner-{round}")]

        async def races():
            return [await race(round) for round in range(5)]

        result = asyncio.run(races())
        """
    )
    assert winners == [[1, True]] * 5


def test_the_sdk_speaks_to_a_dict_as_to_a_python_one(client: Client) -> None:
    assert client.sdk(
        """
        with modal.Dict.ephemeral() as d:
            d["a"] = 1
            d.update({"b": 2}, c=3)
            put = [d.put("a", 10), d.put("a", 11, skip_if_exists=True)]
            missing = d.get("x", "default"), d.pop("x", None)
            same = modal.Dict.from_id(d.object_id)
            try:
                d["x"]
            except KeyError as error:
                unknown = "x not in dict" in str(error)
            popped = d.pop("b")
            result = [
                put, missing, unknown, popped, same["c"], "a" in d, d.len(),
                sorted(d.keys()), sorted(d.values()), sorted(d.items()), same.info().name,
            ]
            d.clear()
            result.append(d.len())
        """
    ) == [
        [True, False],
        ["default", None],
        True,
        2,
        3,
        True,
        2,
        ["a", "c"],
        [3, 10],
        [["a", 10], ["c", 3]],
        None,
        0,
    ]


def test_the_cli_makes_shows_clears_and_deletes(client: Client, cli: CommandLine) -> None:
    cli("dict", "create", "d-cli")
    cli("dict", "create", "d-cli")  # does nothing
    client.sdk('modal.Dict.from_name("d-cli").update({"k": "v", "n": 1})')
    assert [row["created_by"] for row in cli.rows("dict", "list") if row["name"] == "d-cli"] == [
        "local"
    ]
    assert cli("dict", "get", "d-cli", "k").strip() == "v"
    assert sorted(cli.rows("dict", "items", "d-cli"), key=str) == [
        {"key": "k", "value": "v"},
        {"key": "n", "value": 1},
    ]
    cli("dict", "clear", "d-cli", "--yes")
    assert cli.rows("dict", "items", "d-cli") == []
    cli("dict", "delete", "d-cli", "--yes")
    assert "d-cli" not in cli("dict", "list")
    gone = " ".join(cli.fails("dict", "delete", "d-cli", "--yes").split())
    assert "Dict 'd-cli' not found in environment 'main'." in gone
    cli("dict", "delete", "d-cli", "--yes", "--allow-missing")


def test_an_unknown_dict_is_not_found(client: Client) -> None:
    unknown = "di-" + "0" * 22
    for method, request in (
        ("DictGet", api_pb2.DictGetRequest(dict_id=unknown)),
        ("DictGetById", api_pb2.DictGetByIdRequest(dict_id=unknown)),
        ("DictUpdate", api_pb2.DictUpdateRequest(dict_id=unknown)),
        ("DictPop", api_pb2.DictPopRequest(dict_id=unknown)),
        ("DictContains", api_pb2.DictContainsRequest(dict_id=unknown)),
        ("DictLen", api_pb2.DictLenRequest(dict_id=unknown)),
        ("DictClear", api_pb2.DictClearRequest(dict_id=unknown)),
        ("DictContents", api_pb2.DictContentsRequest(dict_id=unknown)),
        ("DictHeartbeat", api_pb2.DictHeartbeatRequest(dict_id=unknown)),
        ("DictDelete", api_pb2.DictDeleteRequest(dict_id=unknown)),
    ):
        expected = ("NOT_FOUND", f"Dict with id '{unknown}' not found.")
        assert refusal(client, method, request) == expected, method
