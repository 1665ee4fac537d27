"""Versions come and go as on Modal: rolling, back, over, and away."""

import json
import threading
import time
from contextlib import suppress

import pytest
from modal_proto import api_pb2

from tests.local.conftest import Client, until

pytestmark = pytest.mark.full


def test_a_redeploy_rolls_without_a_failed_request(client: Client) -> None:
    arguments = "min_containers=1, exit_grace_period=5, unauthenticated=True"
    url = client.deploy("rolling", arguments, mark="one")
    assert client.ready(url)["mark"] == "one"
    answers: list[tuple[int, str]] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            answer = client.get(url + "/who", {})
            answers.append((answer.status, answer.json()["mark"] if answer.status == 200 else ""))

    threads = [threading.Thread(target=keep_asking) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        slow: list[int] = []
        unhurried = threading.Thread(
            target=lambda: slow.append(client.get(url + "/sleep/2.5", {}).status)
        )
        unhurried.start()
        assert client.deploy("rolling", arguments, mark="two") == url
        until(lambda: answers[-1][1] == "two")
        unhurried.join()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in answers} == {200}
    assert slow == [200]
    until(lambda: len(client.containers("rolling")) == 1)
    assert "exit hook ran" in client.logs("rolling")


def test_settings_change_in_place(client: Client) -> None:
    url = client.deploy("placed", "min_containers=1, max_containers=3, unauthenticated=True")
    before = client.ready(url)
    result = client.sdk(
        """
        server = modal.Server.from_name("placed", "Server")
        server.autoscaler.update(min_containers=2, target_concurrency=1.5)
        settings = server.autoscaler.settings()
        result = [settings.min_containers, settings.max_containers, settings.target_concurrency]
        result.append(modal.App.lookup("placed").info().lifecycle.version)
        """
    )
    assert result == [2, 3, 1.5, 1]
    until(lambda: len(client.containers("placed")) == 2)
    # The container that was there still is: nothing was redeployed.
    session = {"Modal-Session-ID": "sticky"}
    pids = {client.get(url + "/who", {}).json()["pid"] for _ in range(20)}
    assert before["pid"] in pids
    assert len({client.get(url + "/who", session).json()["pid"] for _ in range(5)}) == 1
    # A redeploy forgets what was changed live, and the surplus goes.
    client.deploy("placed", "min_containers=1, max_containers=3, unauthenticated=True", mark="two")
    assert (
        client.sdk(
            "server = modal.Server.from_name('placed', 'Server')\n"
            "result = server.autoscaler.settings().min_containers"
        )
        == 1
    )


def test_the_same_again_changes_nothing(client: Client) -> None:
    url = client.deploy("same", "min_containers=1, unauthenticated=True")
    before = client.ready(url)
    client.deploy("same", "min_containers=1, unauthenticated=True")
    assert client.ready(url)["pid"] == before["pid"]
    assert client.sdk("result = modal.App.lookup('same').info().lifecycle.version") == 1


def test_history_rollback_and_rollover(client: Client) -> None:
    for mark in ("one", "two"):
        url = client.deploy("back", "min_containers=1, unauthenticated=True", mark=mark)
        until(lambda url=url, mark=mark: client.ready(url)["mark"] == mark)  # type: ignore[misc]
    client.modal("app", "rollback", "back", "v1")
    until(lambda: client.ready(url)["mark"] == "one")
    before = client.ready(url)["pid"]
    client.modal("app", "rollover", "back")
    until(lambda: client.ready(url)["pid"] != before)
    history = json.loads(client.modal("app", "history", "back", "--json"))
    assert [entry["version"] for entry in history] == ["v4", "v3", "v2", "v1"]


def test_tags_and_lists(client: Client) -> None:
    client.deploy("tagged", tags={"team": "a"})
    result = client.sdk(
        """
        app = modal.App.lookup("tagged")
        apps = {a.name: a.info() for a in modal.Environment.from_name("main").apps.list()}
        info = apps["tagged"]
        lifecycle = info.lifecycle
        result = [app.get_tags(), lifecycle.version, list(info.servers), str(lifecycle.state)]
        app.set_tags({"team": "b"})
        result.append(app.get_tags())
        """
    )
    assert result[0] == {"team": "a"}
    assert result[1:3] == [1, ["Server"]]
    assert "DEPLOYED" in result[3].upper()
    assert result[4] == {"team": "b"}


def test_stop_ends_everything_and_a_new_deploy_starts_afresh(client: Client) -> None:
    url = client.deploy("stopping", "min_containers=1, unauthenticated=True")
    client.ready(url)
    first = client.sdk("result = modal.App.lookup('stopping').app_id")
    client.modal("app", "stop", "stopping", "--yes")
    until(lambda: not client.containers("stopping"))
    assert client.get(url + "/who", {}).status == 404
    listed = json.loads(client.modal("app", "list", "--json"))
    assert [row["state"] for row in listed if row["app_id"] == first] == ["stopped"]
    assert client.deploy("stopping", "unauthenticated=True") == url
    info = client.sdk(
        "i = modal.App.lookup('stopping').info(); result = [i.app_id, i.lifecycle.version]"
    )
    assert info[0] != first
    assert info[1] == 1


def test_recreate_replaces_before_it_returns(client: Client) -> None:
    url = client.deploy("anew", "min_containers=1, unauthenticated=True", mark="one")
    client.ready(url)
    old = client.containers("anew")
    path = client.write("anew", "min_containers=1, unauthenticated=True", mark="two")
    client.sdk(f"load({str(path)!r}).app.deploy(strategy='recreate')")
    assert not set(old) & set(client.containers("anew"))
    until(lambda: client.ready(url)["mark"] == "two")


def test_scaling_follows_concurrency(client: Client) -> None:
    url = client.deploy(
        "crowd",
        "min_containers=1, max_containers=2, target_concurrency=1, scaledown_window=2, "
        "unauthenticated=True",
    )
    client.ready(url)
    threads = [threading.Thread(target=lambda: client.get(url + "/sleep/2", {})) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(client.containers("crowd")) == 2)
    for thread in threads:
        thread.join()
    until(lambda: len(client.containers("crowd")) == 1)


def test_a_crashed_container_is_replaced(client: Client) -> None:
    url = client.deploy("crashing", "min_containers=1, unauthenticated=True")
    before = client.ready(url)["pid"]
    with suppress(ConnectionError):  # nobody is left to answer: an error, of one kind or another
        assert client.get(url + "/crash", {}).status in (502, 503)

    def is_another() -> bool:
        with suppress(ConnectionError):  # an answer of the one that is going may break off
            return bool(client.ready(url)["pid"] != before)
        return False

    until(is_another)
    until(lambda: "exited with code 137" in client.logs("crashing"))


def test_a_start_past_its_timeout_is_ended(client: Client) -> None:
    client.deploy(
        "slow", "min_containers=1, startup_timeout=1", before="import time; time.sleep(60)"
    )
    until(lambda: "startup timeout of 1 s" in client.logs("slow"))
    client.sdk("modal.App.lookup('slow').stop()")
    until(lambda: not client.containers("slow"))


def test_an_enter_hook_that_raises_is_reported_and_tried_again_later(client: Client) -> None:
    began = time.monotonic()
    client.deploy("raising", "min_containers=1", before="raise ValueError('no such engine')")
    until(lambda: "no such engine" in client.logs("raising"))
    # Not in a tight loop: half a second, then one, then two …
    time.sleep(1.0)
    starts = client.logs("raising").count("exited with code")
    assert starts <= 2 + (time.monotonic() - began)
    client.sdk("modal.App.lookup('raising').stop()")


def test_a_repeated_rpc_takes_effect_once(client: Client) -> None:
    client.deploy("once-over", "unauthenticated=True")
    app_id = client.sdk("result = modal.App.lookup('once-over').app_id")
    request = api_pb2.AppRolloverRequest(app_id=app_id)
    answers = [
        client.rpc("AppRollover", request, **{"x-idempotency-key": "the-same"}) for _ in range(2)
    ]
    assert answers[0] == answers[1]
    assert client.sdk("result = modal.App.lookup('once-over').info().lifecycle.version") == 2


def test_a_function_beside_the_server_is_deployed_too(client: Client) -> None:
    path = client.write("mixed", "unauthenticated=True")
    path.write_text(path.read_text() + "\n@app.function(timeout=60)\ndef fetch():\n    pass\n")
    info = client.sdk(
        f"""
        load({str(path)!r}).app.deploy()
        info = modal.App.lookup("mixed").info()
        result = [list(info.functions), list(info.servers)]
        """
    )
    assert info == [["fetch"], ["Server"]]


def test_a_deploy_that_fails_changes_nothing(client: Client) -> None:
    url = client.deploy("firm", "min_containers=1, unauthenticated=True", mark="one")
    before = client.ready(url)
    secret = 'modal.Secret.from_name("not-there")'
    path = client.write("firm", f"min_containers=1, secrets=[{secret}]", mark="two")
    sentence = client.sdk(
        f"""
        try:
            load({str(path)!r}).app.deploy()
        except modal.exception.NotFoundError as error:
            result = str(error)
        """
    )
    assert "not-there" in sentence
    assert client.ready(url) == before
    assert client.sdk("result = modal.App.lookup('firm').info().lifecycle.version") == 1
