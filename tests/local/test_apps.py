"""What an app is stays true whatever a client asks of it, and whenever the plane is killed."""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from modal_proto import api_pb2

from modelctl.local import lifecycle
from modelctl.local.clock import FARTHEST, Clock
from modelctl.local.keeping.function_calls import FunctionCalls
from modelctl.local.keeping.journal import Journal
from modelctl.local.keeping.ledger import Ledger
from modelctl.local.keeping.records import App, Definition, Environment, Function
from modelctl.local.keeping.state import State
from modelctl.local.keeping.store import Store
from modelctl.local.once import Once, keep
from modelctl.local.rpc import Caller, Router
from modelctl.local.running import fleet as fleets
from modelctl.local.running.fleet import Fleet
from modelctl.local.running.proxy import Proxy
from modelctl.local.services import ephemeral
from modelctl.local.services.apps import Apps
from tests.local.conftest import Client, client_in, refusal, until

INITIALIZING = api_pb2.APP_STATE_INITIALIZING
DEPLOYED = api_pb2.APP_STATE_DEPLOYED


# -- what is published has to be there


def _created(client: Client, name: str) -> str:
    request = api_pb2.AppCreateRequest(
        description=name, app_state=INITIALIZING, environment_name="main"
    )
    return str(client.rpc("AppCreate", request).app_id)


def _precreated(client: Client, app_id: str) -> str:
    request = api_pb2.FunctionPrecreateRequest(app_id=app_id, function_name="f")
    return str(client.rpc("FunctionPrecreate", request).function_id)


def test_a_layout_that_names_what_is_not_there_changes_nothing(client: Client) -> None:
    app_id = _created(client, "hollow")
    announced = _precreated(client, app_id)
    foreign = _precreated(client, _created(client, "hollow-too"))

    def refused(**layout: dict[str, str]) -> tuple[str, str]:
        request = api_pb2.AppPublishRequest(
            app_id=app_id, name="hollow", app_state=DEPLOYED, tags={"n": "1"}, **layout
        )
        return refusal(client, "AppPublish", request)

    assert refused(function_ids={"f": "fu-none"}) == (
        "NOT_FOUND",
        "Function with id 'fu-none' not found.",
    )
    assert refused(function_ids={"f": announced}) == (
        "INVALID_ARGUMENT",
        "Function 'f' has no definition: it was announced, and never created.",
    )
    assert refused(function_ids={"f": announced}, definition_ids={announced: "de-none"}) == (
        "NOT_FOUND",
        "Function 'f' has no definition with id 'de-none'.",
    )
    assert refused(function_ids={"f": foreign}) == (
        "INVALID_ARGUMENT",
        f"Function 'f' ({foreign}) belongs to another app.",
    )
    assert refused(class_ids={"C": "fu-none"}) == (
        "INVALID_ARGUMENT",
        "Class 'C' has no class id: 'fu-none'.",
    )
    apps = client.rpc("AppList", api_pb2.AppListRequest(environment_name="main")).apps
    assert [app.state for app in apps if app.app_id == app_id] == [INITIALIZING]
    info = client.rpc("AppGetInfo", api_pb2.AppGetInfoRequest(app_id=app_id)).info
    assert (info.lifecycle.version, dict(info.functions)) == (0, {})


def test_an_app_that_is_broken_keeps_neither_the_plane_nor_others_from_starting(
    tmp_path: Path,
) -> None:
    (tmp_path / "state").mkdir()
    store = Store(tmp_path / "state" / "state.db")
    names = {"gone": "fu-gone", "hollow": "fu-hollow"}
    app = App("ap-broken", "en-main", "broken", DEPLOYED, 1.0, "broken", 1.0, function_ids=names)
    store.save(app, Environment("en-main", "main", 1.0), Function("fu-hollow", app.id, "hollow"))
    store.close()
    with client_in(tmp_path, tmp_path / "state") as client:
        listed = client.rpc("AppList", api_pb2.AppListRequest(environment_name="main")).apps
        assert [app.name for app in listed] == ["broken"]
        info = client.rpc("AppGetInfo", api_pb2.AppGetInfoRequest(app_id="ap-broken"))
        assert not info.function_info_summaries
        url = client.deploy("whole", "min_containers=1")
        lifecycle.down(client.plane.state_dir)
        lifecycle.up(client.plane.state_dir)
        client.ready(url)
        log = (client.plane.state_dir / "plane.log").read_text()
        assert log.count("app ap-broken (broken) cannot be restored") == 2


# -- with the plane's parts, and nothing that runs


class Parts:
    """A state on disk with a deployed app that has one function, and clients of its RPCs."""

    def __init__(self, folder: Path, publish: Callable[[App], Coroutine[Any, Any, None]]) -> None:
        self.folder = folder
        self.store = Store(folder / "state.db")
        self.state = State(self.store)
        self.clock = Clock(self.store)
        self.pools: list[Any] = []
        self.fleet: Any = SimpleNamespace(
            publish=publish, withdraw=lambda _: None, pools=lambda _: self.pools, urls=lambda _: {}
        )
        self.state.save(
            Environment("main", "main", 1.0, "ac-local"),
            App("ap-1", "main", "app", INITIALIZING, 1.0),
            Function("fu-1", "ap-1", "f"),
            Definition("de-1", "fu-1", "digest", api_pb2.FunctionData().SerializeToString()),
        )
        self.store.commit()
        self.apps = Apps(self.state, self.fleet, Journal(self.store), self.clock)

    def publish(self, router: Router, once: Once, key: str) -> Any:
        request = api_pb2.AppPublishRequest(
            app_id="ap-1", name="app", function_ids={"f": "fu-1"}, definition_ids={"fu-1": "de-1"}
        )

        async def make() -> Any:
            return await router._carry_out(self.apps.app_publish, request, Caller())

        return once.answer("AppPublish", key, api_pb2.AppPublishResponse, make)

    def router(self, once: Once) -> Router:
        return Router({}, settle=self.store.commit, once=once)


async def _at_once(_: App) -> None:
    return


def test_an_answer_is_as_safe_as_its_effect_however_long_the_call_goes_on(tmp_path: Path) -> None:
    async def scene() -> None:
        async def endless(_: App) -> None:
            await asyncio.Event().wait()

        parts = Parts(tmp_path, endless)
        once = Once(parts.store)
        call = asyncio.ensure_future(parts.publish(parts.router(once), once, "k"))
        killed = Store(tmp_path / "state.db")
        for _ in range(10):
            await asyncio.sleep(0)
            version = killed.load(App)["ap-1"].version
            answers = killed.execute("SELECT answer FROM answers").fetchall()
            assert len(answers) == version  # both, or neither
        assert version == 1
        again = Parts.__new__(Parts)
        again.apps = parts.apps
        answer = await again.publish(parts.router(once), Once(killed), "k")
        assert answer.deployed_at == killed.load(App)["ap-1"].deployed_at > 0
        call.cancel()
        killed.close()

    asyncio.run(scene())


def test_a_publish_that_failed_may_be_tried_again_under_its_key(tmp_path: Path) -> None:
    outcomes: list[Exception | None] = [OSError("no free port"), None]

    async def publish(_: App) -> None:
        if error := outcomes.pop(0):
            raise error

    async def scene() -> None:
        parts = Parts(tmp_path, publish)
        once = Once(parts.store)
        with pytest.raises(OSError, match="no free port"):
            await parts.publish(parts.router(once), once, "k")
        assert not parts.store.execute("SELECT answer FROM answers").fetchall()
        parts.state.apps["ap-1"].version = 0
        await parts.publish(parts.router(once), once, "k")

    asyncio.run(scene())
    assert outcomes == []


def test_what_a_call_started_keeps_no_answer_in_its_name(tmp_path: Path) -> None:
    """A container's connection lives in the context of the call that started the container."""

    async def scene() -> None:
        once = Once(Store(tmp_path / "state.db"))
        later: list[asyncio.Task[Any]] = []

        async def contained() -> Any:
            keep(api_pb2.AppPublishResponse(url="another"))
            return api_pb2.AppPublishResponse()

        async def make() -> Any:
            answer = api_pb2.AppPublishResponse(url="first")
            keep(answer)
            begun = Once().answer("AppCreate", "", None, contained)
            later.append(asyncio.ensure_future(begun))
            return answer

        await once.answer("AppPublish", "k", api_pb2.AppPublishResponse, make)
        await later[0]
        kept = Once(once._store)
        answer = await kept.answer("AppPublish", "k", api_pb2.AppPublishResponse, contained)
        assert answer.url == "first"

    asyncio.run(scene())


# -- time


def test_an_app_lives_in_the_time_of_its_containers(tmp_path: Path) -> None:
    async def scene() -> None:
        parts = Parts(tmp_path, _at_once)
        parts.clock.advance(3600)
        before = parts.clock.time()
        once = Once()
        assert (await parts.publish(parts.router(once), once, "k")).deployed_at >= before
        app = parts.state.apps["ap-1"]
        parts.apps.app_stop(api_pb2.AppStopRequest(app_id=app.id))
        assert app.stopped_at >= before
        listed = api_pb2.AppListRequest(environment_name="main")
        assert len(parts.apps.app_list(listed).apps) == 1
        parts.clock.advance(3601)
        assert not parts.apps.app_list(listed).apps

    asyncio.run(scene())


@pytest.mark.full
def test_a_rollover_that_recreates_replaces_what_ran_before_it(own_client: Client) -> None:
    url = own_client.deploy("older", "min_containers=1")
    lifecycle.advance(own_client.plane, 3600)
    own_client.deploy("older", "min_containers=1", mark="second")
    until(lambda: own_client.ready(url)["mark"] == "second")
    first = own_client.ready(url)["pid"]
    own_client.modal("app", "rollover", "older", "--strategy", "recreate")
    assert own_client.ready(url)["pid"] != first


def test_the_clock_goes_no_farther_than_ten_years(tmp_path: Path) -> None:
    async def scene() -> None:
        store = Store(tmp_path / "state.db")
        clock = Clock(store)
        clock.advance(3600)
        for farther in (FARTHEST, 9.9e9, 10**400):
            with pytest.raises(
                ValueError,
                match=r"^the clock can be at most 3650d ahead of this machine's: "
                r"there is room for 315356400s more$",
            ):
                clock.advance(farther)
        assert clock.ahead == 3600
        store.set_meta("clock", "9.9e9")  # as an earlier version let it be
        assert Clock(store).ahead == FARTHEST

    asyncio.run(scene())


# -- apps that nobody deployed, or not yet


@pytest.mark.parametrize("disconnects", ["before the kill", "during the start"])
def test_a_detached_run_is_judged_once_its_inputs_are_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disconnects: str
) -> None:
    monkeypatch.setattr(ephemeral, "_LOOK_AGAIN", 0.001)

    async def scene() -> None:
        parts = Parts(tmp_path, _at_once)
        app = parts.state.apps["ap-1"]
        app.state, app.version = api_pb2.APP_STATE_DETACHED, 1
        if disconnects == "before the kill":
            app.state = api_pb2.APP_STATE_DETACHED_DISCONNECTED
        apps = Apps(parts.state, parts.fleet, Journal(parts.store), parts.clock)
        over = api_pb2.APP_DISCONNECT_REASON_ENTRYPOINT_COMPLETED
        apps.app_client_disconnect(api_pb2.AppClientDisconnectRequest(app_id=app.id, reason=over))
        await asyncio.sleep(0.05)  # the fleet is being restored: nothing is there yet
        assert not app.stopped_at
        pool = SimpleNamespace(inputs=SimpleNamespace(unfinished=1), function=None)
        parts.pools.append(pool)
        apps.begin()
        await asyncio.sleep(0.05)
        assert not app.stopped_at
        pool.inputs.unfinished = 0
        async with asyncio.timeout(5):
            while not app.stopped_at:
                await asyncio.sleep(0.001)

    asyncio.run(scene())


def test_a_deploy_whose_client_is_gone_is_over_after_a_minute(tmp_path: Path) -> None:
    async def scene() -> None:
        parts = Parts(tmp_path, _at_once)
        left, deployed = (
            parts.state.app(
                parts.apps.app_create(
                    api_pb2.AppCreateRequest(
                        description=name, app_state=INITIALIZING, environment_name="main"
                    )
                ).app_id
            )
            for name in ("left", "deployed")
        )
        await parts.apps.app_publish(
            api_pb2.AppPublishRequest(app_id=deployed.id, name="deployed"), Caller()
        )
        parts.apps.begin()
        parts.clock.advance(59)
        parts.apps.app_heartbeat(api_pb2.AppHeartbeatRequest(app_id=left.id))
        parts.clock.advance(59)
        await asyncio.sleep(0.01)
        assert not left.stopped_at
        parts.clock.advance(2)
        await asyncio.sleep(0.01)
        assert left.stopped_at
        assert deployed.state == DEPLOYED

    asyncio.run(scene())


# -- URLs


def test_urls_are_opened_once_and_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleets, "_IDLE_ENTRANCES", 2)

    def listening(port: int) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    async def scene() -> None:
        parts = Parts(tmp_path, _at_once)
        ledger = Ledger(parts.store, parts.clock.time)
        proxy = Proxy(lambda *_: True, ledger, parts.clock)
        await proxy.start()
        fleet = Fleet(parts.state, parts.fleet, proxy, FunctionCalls(parts.store))
        functions = [Function(f"fu-{n}", "ap-1", f"f{n}") for n in range(1, 5)]
        first, same = await asyncio.gather(*(fleet.entrance(functions[0]) for _ in range(2)))
        assert first is same
        for function in functions[1:]:
            await fleet.entrance(function)
        assert not listening(first.port)
        assert [fleet.entrance_of(function) is None for function in functions] == [
            True,
            False,
            False,
            False,
        ]
        again = await fleet.entrance(functions[0])
        assert again.port == first.port
        assert listening(again.port)
        assert fleet.entrance_of(functions[1]) is None
        await proxy.close()

    asyncio.run(scene())
