"""The log of calls says what clients asked for, in little room, and keeps no secret."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modal_proto import api_pb2

from modelctl.local import calls, lifecycle
from modelctl.local.calls import CallLog
from modelctl.local.keeping.store import Store
from modelctl.local.lifecycle import LocalError
from modelctl.local.rpc import Caller
from tests.local.conftest import Client


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state.db")


def read(
    log: CallLog, since: int = 0, method: str | None = None, limit: int | None = None
) -> list[dict[str, Any]]:
    answer = json.loads(asyncio.run(log.as_json(since, method, limit)))
    found: list[dict[str, Any]] = answer["calls"]
    return found


def logged(store: Store, request: Any) -> Any:
    log = CallLog(store)
    method = type(request).__name__.removesuffix("Request")
    log.add(method, request, 1.0, "OK", Caller())
    return read(log)[-1]["request"]


def test_bytes_are_not_logged_whatever_holds_them(store: Store) -> None:
    secret = b"pickled-secret"
    for request in (
        api_pb2.DictUpdateRequest(
            dict_id="di-1", updates=[api_pb2.DictEntry(key=secret, value=secret)]
        ),
        api_pb2.QueuePutRequest(queue_id="qu-1", values=[secret], partition_key=secret),
        api_pb2.FunctionMapRequest(
            function_id="fu-1",
            pipelined_inputs=[
                api_pb2.FunctionPutInputsItem(input=api_pb2.FunctionInput(args=secret))
            ],
        ),
        api_pb2.MountPutFileRequest(sha256_hex="ab", data=secret),
    ):
        assert logged(store, request)
    kept = store.execute("SELECT request FROM calls").fetchall()
    assert not any(secret in request for (request,) in kept)


def test_values_of_secrets_are_not_logged(store: Store) -> None:
    created = api_pb2.SecretGetOrCreateRequest(env_dict={"KEY": "value"})
    assert logged(store, created) == {"env_dict": {"KEY": "***"}}
    updated = api_pb2.SecretUpdateRequest(secret_id="st-1")
    updated.updates.add(key="KEY", value="value")
    assert logged(store, updated)["updates"] == [{"key": "KEY", "value": "***"}]
    assert created.env_dict["KEY"] == "value"  # the call itself has it


@given(
    cpu=st.integers(0, 64),
    tags=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=4),
    secrets=st.lists(st.text(max_size=9), max_size=4),
    lowest=st.integers(0, 3),
)
def test_what_is_short_is_logged_as_it_is(
    cpu: int, tags: dict[str, str], secrets: list[str], lowest: int
) -> None:
    request = api_pb2.FunctionCreateRequest(app_id="ap-1")
    request.function.secret_ids.extend(secrets)
    request.function.resources.milli_cpu = cpu
    request.function.autoscaler_settings.min_containers = lowest
    request.function.experimental_options.update(tags)
    request.function.webhook_config.SetInParent()
    request.function_data.ranked_functions.add(rank=0).function.resources.gpu_config.count = 2
    assert calls._presentable(request) == request


def test_long_strings_and_long_requests_are_cut(store: Store) -> None:
    long = logged(store, api_pb2.AppCreateRequest(description="x" * 100_000))
    assert long == {"description": "x" * 4096 + "…"}
    many = api_pb2.VolumePutFilesRequest(volume_id="vo-1")
    for number in range(20_000):
        many.files.add(filename=f"{number}.txt", sha256_hex="a" * 64)
    shown = logged(store, many)
    assert shown["files"][0]["filename"] == "0.txt"
    assert len(json.dumps(shown)) < 100_000


def test_the_log_is_bounded_in_bytes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "KEEP_BYTES", 100_000)
    monkeypatch.setattr(calls, "_TRIM_EVERY_BYTES", 10_000)
    log = CallLog(store)
    for _ in range(100):
        request = api_pb2.AppCreateRequest(description="x" * 4000)
        log.add("AppCreate", request, 1.0, "OK", Caller())
    (size,) = store.execute("SELECT sum(length(request)) FROM calls").fetchone()
    assert 80_000 < size <= 115_000
    assert [call["n"] for call in read(log)][-1] == 100
    monkeypatch.setattr(calls, "KEEP_BYTES", 10_000)
    CallLog(store)  # a plane that starts on a log that was kept by other rules
    assert store.execute("SELECT count(*) FROM calls").fetchone() == (2,)


def test_the_last_calls_are_read_oldest_first(store: Store) -> None:
    log = CallLog(store)
    for number in range(10):
        method = "AppCreate" if number % 2 else "AppList"
        log.add(method, api_pb2.AppCreateRequest(), 1.0, "OK", Caller())
    assert [call["n"] for call in read(log, 0, None, 3)] == [8, 9, 10]
    assert [call["n"] for call in read(log, 2, "AppC*", 3)] == [6, 8, 10]
    assert len(read(log)) == 10


def test_others_have_their_turn_while_a_long_log_is_read(store: Store) -> None:
    log = CallLog(store)
    request = api_pb2.AppCreateRequest(description="x")
    for _ in range(1000):
        log.add("AppCreate", request, 1.0, "OK", Caller())

    async def turns() -> int:
        reading = asyncio.create_task(log.as_json(0, None, None))
        count = 0
        while not reading.done():
            count += 1
            await asyncio.sleep(0)
        return count

    assert asyncio.run(turns()) > 20


def test_a_limit_is_a_number(client: Client) -> None:
    assert len(lifecycle.calls(client.plane, limit=1)) <= 1
    with pytest.raises(LocalError) as caught:
        lifecycle.calls(client.plane, limit=-1)
    assert str(caught.value) == "limit must be a number of calls."


def test_the_calls_of_one_process_are_told_from_those_of_another(client: Client) -> None:
    look = "import modal; modal.Volume.from_name('whose', create_if_missing=True).hydrate()\n" * 2
    client.sdk(look)
    client.sdk_alone(look)
    whose = [
        call["connection"]
        for call in client.calls("VolumeGetOrCreate")
        if call["request"]["deployment_name"] == "whose"
    ]
    assert whose[0] == whose[1] != whose[2] == whose[3]
