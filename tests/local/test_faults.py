"""Faults on demand: each meets what it names, as often as it says, and the SDK sees what Modal
would show it."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.exceptions import StreamTerminatedError
from hypothesis import given
from hypothesis import strategies as st
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientStub

from modelctl.local import lifecycle, once
from modelctl.local.faults import KINDS, STATUSES, Faults, Trouble, made
from modelctl.local.lifecycle import LocalError, Plane
from modelctl.local.once import Once
from modelctl.local.protobuf import Empty
from tests.local.conftest import Client, until

LOOKUP = "AppGetByDeploymentName"


@pytest.fixture
def plane(client: Client) -> Iterator[Plane]:
    """The shared plane, without faults before and after."""
    lifecycle.clear_faults(client.plane)
    yield client.plane
    lifecycle.clear_faults(client.plane)


def _look_up(client: Client, name: str = "nothing") -> Any:
    return client.rpc(LOOKUP, api_pb2.AppGetByDeploymentNameRequest(name=name))


def _refusal(call: Callable[[], object]) -> tuple[Status, str | None]:
    with pytest.raises(GRPCError) as refused:
        call()
    return refused.value.status, refused.value.message


def _statuses(client: Client, method: str, since: int) -> list[str]:
    return [call["status"] for call in client.calls(method, since)]


def _last(client: Client) -> int:
    calls = lifecycle.calls(client.plane)
    return int(calls[-1]["n"]) if calls else 0


def _versions(client: Client, name: str) -> list[int]:
    """The versions of the one app that ever had this name."""
    apps = client.rpc("AppList", api_pb2.AppListRequest()).apps
    (app_id,) = [app.app_id for app in apps if app.description == name]
    request = api_pb2.AppDeploymentHistoryRequest(app_id=app_id)
    history = client.rpc("AppDeploymentHistory", request).app_deployment_histories
    return [entry.version for entry in history]


# -- on calls


def test_a_refusal_has_any_status_of_grpc_but_ok() -> None:
    assert tuple(status.name for status in Status if status is not Status.OK) == STATUSES


def test_latency_delays_the_calls_that_its_pattern_names(client: Client, plane: Plane) -> None:
    lifecycle.add_fault(plane, "latency", method="AppGet*", seconds=0.4)
    began = time.monotonic()
    _look_up(client)
    late = time.monotonic() - began
    began = time.monotonic()
    client.rpc("AppList", api_pb2.AppListRequest())
    assert late >= 0.4 > time.monotonic() - began


def test_a_refusal_says_what_it_was_told_so_often(client: Client, plane: Plane) -> None:
    lifecycle.add_fault(
        plane, "refuse", method=LOOKUP, status="RESOURCE_EXHAUSTED", message="too many", times=2
    )
    for _ in range(2):
        assert _refusal(lambda: _look_up(client)) == (Status.RESOURCE_EXHAUSTED, "too many")
    assert not _look_up(client).app_id
    assert lifecycle.faults(plane) == []


def test_the_sdk_tries_again_what_was_refused_as_unavailable(client: Client, plane: Plane) -> None:
    since = _last(client)
    lifecycle.add_fault(plane, "refuse", method="AppPublish", times=2)
    client.deploy("stubborn-builder")
    assert _statuses(client, "AppPublish", since) == ["UNAVAILABLE", "UNAVAILABLE", "OK"]
    assert _versions(client, "stubborn-builder") == [1]


def test_a_lost_answer_is_asked_for_again_and_the_effect_is_there_once(
    client: Client, plane: Plane
) -> None:
    since = _last(client)
    for method in ("AppCreate", "AppPublish"):
        lifecycle.add_fault(plane, "lose-answer", method=method, times=1)
    client.deploy("once")
    assert _statuses(client, "AppCreate", since) == ["UNAVAILABLE", "OK"]
    assert _statuses(client, "AppPublish", since) == ["UNAVAILABLE", "OK"]
    assert _versions(client, "once") == [1]


def test_a_lock_that_was_taken_while_its_answer_was_lost_is_held(
    client: Client, plane: Plane
) -> None:
    lifecycle.add_fault(plane, "lose-answer", method="DictUpdate", times=1)
    taken = client.sdk(
        """
        locks = modal.Dict.from_name("locks", create_if_missing=True)
        result = [locks.put("me", 1, skip_if_exists=True) for _ in range(2)]
        """
    )
    assert taken == [True, False]


def test_an_answer_that_is_always_lost_is_an_error_of_the_sdk(client: Client, plane: Plane) -> None:
    fault = lifecycle.add_fault(plane, "lose-answer", method="EnvironmentCreate")
    said = client.sdk(
        """
        try:
            modal.Environment.objects.create("lost")
        except modal.exception.Error as error:
            result = [type(error).__name__, str(error)]
        """
    )
    assert said == [
        "ServiceError",
        f"The call took effect and its answer was lost (fault {fault}).",
    ]
    assert lifecycle.faults(plane)[0]["met"] == 4  # the call and three retries
    names = [e.name for e in client.rpc("EnvironmentList", Empty()).items]
    assert names.count("lost") == 1


def test_revoked_credentials_are_an_authentication_error(client: Client, plane: Plane) -> None:
    fault = lifecycle.add_fault(plane, "revoke")
    said = client.sdk(
        """
        try:
            modal.App.lookup("anything")
        except modal.exception.AuthError as error:
            result = str(error)
        """
    )
    assert said == f"The token was revoked (fault {fault})."


def test_containers_are_met_by_no_fault_on_calls(client: Client, plane: Plane) -> None:
    url = client.deploy("immune")
    lifecycle.add_fault(plane, "refuse")
    client.ready(url)


def test_a_stream_is_refused_delayed_or_cut_like_any_call(client: Client, plane: Plane) -> None:
    client.deploy("streamed")
    (app_id,) = {
        app.app_id
        for app in client.rpc("AppList", api_pb2.AppListRequest()).apps
        if app.name == "streamed"
    }
    lifecycle.add_fault(plane, "refuse", method="AppGetLogs", times=1)
    with pytest.raises(GRPCError):
        asyncio.run(_stream(plane, app_id))
    lifecycle.add_fault(plane, "cut", method="AppGetLogs", times=1)
    with pytest.raises(StreamTerminatedError):
        asyncio.run(_stream(plane, app_id))
    lifecycle.add_fault(plane, "cut", method="AppGetLogs", seconds=0.2, times=1)
    with pytest.raises(StreamTerminatedError):
        asyncio.run(_stream(plane, app_id))
    assert asyncio.run(_stream(plane, app_id)) == 1
    assert [call["status"] for call in client.calls("AppGetLogs")][-4:] == [
        "UNAVAILABLE", "CANCELLED", "CANCELLED", "OK",
    ]  # fmt: skip


async def _stream(plane: Plane, app_id: str) -> int:
    """Follows an app's logs for half a second; how many messages came."""
    place = urlsplit(plane.url)
    token = {"x-modal-token-id": plane.token_id, "x-modal-token-secret": plane.token_secret}
    async with Channel(place.hostname, place.port) as channel:
        method = ModalClientStub(channel).AppGetLogs
        async with method.open(metadata=token) as stream:
            await stream.send_message(
                api_pb2.AppGetLogsRequest(app_id=app_id, timeout=0.5), end=True
            )
            return len([message async for message in stream])


# -- a call that waits


WRITES = """
import modal
words = modal.Dict.from_name({name!r}, create_if_missing=True)
words.put("word", "there")
"""


@contextmanager
def _writing(client: Client, name: str, fault: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A client that puts a word into a Dict, while its call waits."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITES.format(name=name)],
        env=client.environment,
    ) as process:
        try:
            until(lambda: _waiting(client.plane, fault) == 1)
            yield process
        finally:
            process.kill()


def _waiting(plane: Plane, fault: str) -> int:
    return sum(held["waiting"] for held in lifecycle.faults(plane) if held["id"] == fault)


def _word(client: Client, name: str) -> Any:
    return client.sdk(f"result = modal.Dict.from_name({name!r}).get('word')")


@pytest.mark.parametrize(("when", "word"), [("before", None), ("after", "there")])
def test_a_client_is_killed_while_its_call_waits_before_or_after_its_effect(
    client: Client, plane: Plane, when: str, word: str | None
) -> None:
    since = _last(client)
    fault = lifecycle.add_fault(
        plane, "latency", method="DictUpdate", seconds=3600, times=1, when=when
    )
    with _writing(client, f"killed-{when}", fault) as process:
        (held,) = lifecycle.faults(plane)
        assert (held["met"], held["waiting"]) == (1, 1)
        process.kill()
        until(lambda: lifecycle.faults(plane) == [])
    until(lambda: _statuses(client, "DictUpdate", since) == ["CANCELLED"])
    assert _word(client, f"killed-{when}") == word


def test_a_call_that_waits_goes_on_when_the_fault_is_taken_back(
    client: Client, plane: Plane
) -> None:
    fault = lifecycle.add_fault(plane, "latency", method="DictUpdate", seconds=3600, times=1)
    with _writing(client, "freed", fault) as process:
        assert lifecycle.clear_faults(plane, fault) == 1
        assert process.wait(timeout=20) == 0
    assert _word(client, "freed") == "there"


def test_a_plane_ends_although_a_call_waits(own_client: Client) -> None:
    fault = lifecycle.add_fault(own_client.plane, "latency", method="DictUpdate", seconds=3600)
    with _writing(own_client, "left-behind", fault):
        began = time.monotonic()
        lifecycle.down(own_client.plane.state_dir)
        assert time.monotonic() - began < 30


def test_the_first_calls_pass_by(client: Client, plane: Plane) -> None:
    lifecycle.add_fault(plane, "refuse", method=LOOKUP, skip=2, times=1, message="the third")
    _look_up(client)
    client.rpc("AppList", api_pb2.AppListRequest())
    _look_up(client)
    assert lifecycle.faults(plane)[0]["met"] == 0
    assert _refusal(lambda: _look_up(client)) == (Status.UNAVAILABLE, "the third")
    _look_up(client)


@pytest.mark.parametrize("kind", ["latency", "refuse", "lose-answer", "cut", "revoke"])
def test_every_fault_on_calls_can_let_calls_pass_by(kind: str) -> None:
    faults = Faults()
    faults.add(made(kind, {"skip": 3, **({"seconds": 1} if kind == "latency" else {})}))
    met = [faults.of_call("AnyCall", streaming=kind == "cut") != Trouble() for _ in range(5)]
    assert met == [False, False, False, True, True]


@pytest.mark.parametrize(("when", "first"), [("before", 0.4), ("after", 0.0)])
def test_a_stream_waits_before_its_beginning_or_before_its_end(
    client: Client, plane: Plane, when: str, first: float
) -> None:
    client.sdk("modal.Dict.from_name('streamed-words', create_if_missing=True).put('word', 1)")
    lifecycle.add_fault(plane, "latency", method="DictContents", seconds=0.4, when=when)
    came, ended = client.sdk(
        """
        import time
        words = modal.Dict.from_name("streamed-words")
        words.hydrate()
        began = time.monotonic()
        result = [time.monotonic() - began for _ in words.keys()]
        result.append(time.monotonic() - began)
        """
    )
    assert ended >= 0.4
    assert came >= first
    assert first or came < 0.4


# -- one key, one effect


def _create(client: Client, key: str, name: str = "keyed") -> str:
    request = api_pb2.AppCreateRequest(
        description=name, app_state=api_pb2.APP_STATE_INITIALIZING, environment_name="main"
    )
    return str(client.rpc("AppCreate", request, **{"x-idempotency-key": key}).app_id)


def _lock(client: Client, key: str) -> bool:
    made = api_pb2.DictGetOrCreateRequest(
        deployment_name="keyed-locks",
        environment_name="main",
        object_creation_type=api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING,
    )
    update = api_pb2.DictUpdateRequest(
        dict_id=client.rpc("DictGetOrCreate", made).dict_id,
        if_not_exists=True,
        updates=[api_pb2.DictEntry(key=b"lock", value=b"mine")],
    )
    return bool(client.rpc("DictUpdate", update, **{"x-idempotency-key": key}).created)


def test_one_key_is_one_effect_even_after_a_restart_of_the_plane(own_client: Client) -> None:
    first = _create(own_client, "key-1")
    assert _create(own_client, "key-1") == first
    assert _create(own_client, "key-2") != first
    assert _lock(own_client, "key-3")
    lifecycle.down(own_client.plane.state_dir)
    lifecycle.up(own_client.plane.state_dir)
    assert _create(own_client, "key-1") == first
    assert _lock(own_client, "key-3")
    assert not _lock(own_client, "key-4")
    apps = own_client.rpc("AppList", api_pb2.AppListRequest()).apps
    assert sum(app.description == "keyed" for app in apps) == 2


def test_a_call_that_comes_again_while_it_runs_is_carried_out_once() -> None:
    made_answers: list[int] = []

    async def make() -> api_pb2.AppPublishResponse:
        number = len(made_answers)
        made_answers.append(number)
        await asyncio.sleep(0.01)
        return api_pb2.AppPublishResponse(url=str(number))

    async def scene() -> list[str]:
        calls = Once()
        answers = [calls.answer("AppPublish", "k", None, make) for _ in range(3)]
        gone = asyncio.ensure_future(calls.answer("AppPublish", "left", None, make))
        await asyncio.sleep(0)
        gone.cancel()  # the caller hangs up; what it began is carried out all the same
        again = calls.answer("AppPublish", "left", None, make)
        return [answer.url for answer in await asyncio.gather(*answers, again)]

    first, second, third, left = asyncio.run(scene())
    assert first == second == third != left
    assert made_answers == [0, 1]


def test_a_call_that_failed_may_be_tried_again_under_its_key() -> None:
    outcomes: list[Exception | api_pb2.AppStopRequest] = [OSError(), api_pb2.AppStopRequest()]

    async def make() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def scene() -> None:
        calls = Once()
        with pytest.raises(OSError):
            await calls.answer("AppStop", "k", None, make)
        await calls.answer("AppStop", "k", None, make)
        await calls.answer("AppStop", "k", None, make)

    asyncio.run(scene())
    assert outcomes == []


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(once, "_KEPT", 3)
    monkeypatch.setattr(once, "_KEPT_BYTES", 1000)
    answers: list[api_pb2.DictPopResponse] = []

    async def scene(sizes: dict[str, int]) -> list[str]:
        """Makes a call for each key; those of the keys that are carried out a second time."""
        calls = Once()

        async def make(size: int) -> api_pb2.DictPopResponse:
            answers.append(api_pb2.DictPopResponse(value=bytes(size)))
            return answers[-1]

        again = []
        for key, size in sizes.items():
            await calls.answer("DictPop", key, None, partial(make, size))
        for key, size in reversed(sizes.items()):
            before = len(answers)
            await calls.answer("DictPop", key, None, partial(make, size))
            if len(answers) > before:
                again.append(key)
                break
        return again

    assert asyncio.run(scene({"a": 1, "b": 1, "c": 1})) == []
    assert asyncio.run(scene({"a": 1, "b": 1, "c": 1, "d": 1})) == ["a"]
    assert asyncio.run(scene({"a": 600, "b": 600})) == ["a"]
    assert asyncio.run(scene({"a": 2000})) == ["a"]


@pytest.mark.parametrize("method", ["AppList", "DictGet", "AppHeartbeat", "AppFetchLogs"])
def test_what_only_reads_is_read_again(method: str) -> None:
    read: list[int] = []

    async def make() -> api_pb2.AppListResponse:
        read.append(1)
        return api_pb2.AppListResponse()

    async def scene() -> None:
        calls = Once()
        for _ in range(2):
            await calls.answer(method, "k", None, make)

    asyncio.run(scene())
    assert len(read) == 2


def test_who_waited_for_an_item_and_went_away_takes_none() -> None:
    taken: list[int] = []

    async def make() -> api_pb2.QueueGetResponse:
        await asyncio.sleep(0.01)
        taken.append(1)
        return api_pb2.QueueGetResponse(values=[b"item"])

    async def scene() -> None:
        calls = Once()
        gone = asyncio.ensure_future(calls.answer("QueueGet", "gone", None, make))
        await asyncio.sleep(0)
        gone.cancel()
        for _ in range(2):  # the answer was lost, and the item is not
            answer = await calls.answer("QueueGet", "again", None, make)
            assert list(answer.values) == [b"item"]

    asyncio.run(scene())
    assert len(taken) == 1


# -- on containers


@pytest.mark.parametrize("after", ["start", "ready"])
def test_a_container_crashes_on_demand_and_is_replaced(
    client: Client, plane: Plane, after: str
) -> None:
    name = f"crashing-{after}"
    lifecycle.add_fault(
        plane, "crash", app="crashing-*", code=42, seconds=0.1, after=after, times=1
    )
    url = client.deploy(name, "min_containers=1")
    until(lambda: "exited with code 42." in client.logs(name))
    assert lifecycle.faults(plane) == []
    client.ready(url)


# -- asking for them


def test_what_holds_is_listed_until_it_is_cleared(plane: Plane) -> None:
    first = lifecycle.add_fault(plane, "latency", seconds=0.001, times=3)
    second = lifecycle.add_fault(plane, "no-capacity", gpu="H100*")
    assert lifecycle.faults(plane) == [
        {
            **{"id": first, "kind": "latency", "times": 3, "met": 0, "method": "*"},
            **{"seconds": 0.001, "skip": 0, "when": "before", "waiting": 0},
        },
        {"id": second, "kind": "no-capacity", "times": None, "met": 0, "gpu": "H100*"},
    ]
    assert lifecycle.clear_faults(plane, first) == 1
    with pytest.raises(LocalError, match=f"there is no fault {first}"):
        lifecycle.clear_faults(plane, first)
    assert lifecycle.clear_faults(plane) == 1
    assert lifecycle.faults(plane) == []


@pytest.mark.parametrize(
    ("kind", "said", "sentence"),
    [
        ("earthquake", {}, "there is no fault earthquake; there are latency, refuse"),
        ("latency", {}, "latency needs seconds"),
        ("latency", {"seconds": -1}, "seconds must be a number of at least 0, not -1"),
        ("latency", {"seconds": 1, "when": "never"}, "when must be before or after, not 'never'"),
        ("refuse", {"skip": -1}, "skip must be a whole number of at least 0, not -1"),
        ("crash", {"skip": 1}, "crash takes no skip; it takes after and app and code and seconds"),
        ("revoke", {"seconds": 1}, "revoke takes no seconds; it takes skip and times"),
        ("no-capacity", {"times": 1}, "no-capacity takes no times; it takes gpu"),
        ("refuse", {"status": "BROKEN"}, "there is no status BROKEN; there are CANCELLED, "),
        ("refuse", {"status": "OK"}, "there is no status OK"),
        ("refuse", {"times": 0}, "times must be a whole number of at least 1, not 0"),
        ("refuse", {"method": ""}, "method must be a text that is not empty, not ''"),
        ("crash", {"code": 256}, "code must be an exit code from 0 to 255, not 256"),
        ("crash", {"after": "lunch"}, "after must be start or ready, not 'lunch'"),
    ],
)
def test_a_fault_that_cannot_be_is_a_sentence(
    plane: Plane, kind: str, said: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(LocalError) as refused:
        lifecycle.add_fault(plane, kind, **said)
    assert str(refused.value).startswith(sentence)
    assert lifecycle.faults(plane) == []


@given(
    kind=st.sampled_from(sorted(KINDS)),
    said=st.dictionaries(
        st.sampled_from(
            ["method", "app", "gpu", "seconds", "times", "skip", "when", "status", "code", "x"]
        ),
        st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.booleans()),
    ),
)
def test_whatever_is_said_is_a_fault_or_a_sentence(kind: str, said: dict[str, Any]) -> None:
    try:
        fault = made(kind, said)
    except ValueError as error:
        assert str(error)
        return
    faults = Faults()
    faults.add(fault)
    json.dumps(faults.listed())
    faults.of_call("AppPublish", streaming=False)
    faults.of_build("app")
    faults.of_container("app", "ready")
    faults.keeps_back("H100")


def test_steering_needs_the_token_secret(plane: Plane) -> None:
    for path in ("/faults", "/gpus", "/clock", "/images"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(plane.admin_url + path)
        with refused.value:
            assert refused.value.code == 401
            assert json.load(refused.value) == {
                "error": "this needs the token secret of the local control plane"
            }


# -- the clock


def test_the_clock_is_moved_forward_and_never_back(own_client: Client) -> None:
    before = lifecycle.clock(own_client.plane)
    after = lifecycle.advance(own_client.plane, 3600)
    assert before["ahead"] == 0
    assert after["ahead"] == 3600
    assert after["now"] - before["now"] >= 3600
    with pytest.raises(LocalError, match="a clock moves forward, not by -1 s"):
        lifecycle.advance(own_client.plane, -1)


def test_an_idle_server_scales_to_zero_when_the_clock_has_passed_its_window(
    own_client: Client,
) -> None:
    url = own_client.deploy("idle", "scaledown_window=600")
    own_client.ready(url)
    assert len(own_client.containers("idle")) == 1
    lifecycle.advance(own_client.plane, 600)
    until(lambda: not own_client.containers("idle"))
