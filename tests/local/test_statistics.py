"""Statistics, requests and metrics tell what containers and requests really did."""

import json
import os
import signal
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from modal_proto import api_pb2

from modelctl.local import lifecycle
from modelctl.local.lifecycle import Plane
from tests.local.conftest import Client, until

pytestmark = pytest.mark.full

APP = "counted"
SERVER = f"{APP}/Server"


@pytest.fixture(scope="module")
def url(client: Client) -> str:
    """A server that answered twelve requests in full, refused two, and lost one container."""
    url = client.deploy(APP, 'min_containers=1, gpu="H100"')
    first = client.ready(url)["pid"]
    client.get(url + "/crash")
    until(lambda: client.ready(url)["pid"] != first)
    for _ in range(10):
        assert client.get(url + "/who").status == 200
    for _ in range(2):
        assert client.get(url + "/who?key=of-mine", {}).status == 401
    return url


def by_cli(client: Client, *arguments: str) -> Any:
    return json.loads(client.modal(*arguments, "--json"))


def test_requests_are_counted_by_family_of_their_status(client: Client, url: str) -> None:
    stats = by_cli(client, "server", "stats", SERVER)
    families = stats["request_count_by_status_code"]
    assert families["2xx"] >= 12
    assert families["4xx"] == 2
    assert families["5xx"] >= 1  # the request whose container crashed
    assert sum(families.values()) == stats["request_count"]
    duration = stats["request_percentile_stats"]["Duration (s)"]["percentiles"]
    assert 0 < duration["p50"] <= duration["p90"] <= duration["p99"] < 20


def test_containers_are_counted_by_what_became_of_them(client: Client, url: str) -> None:
    stats = by_cli(client, "server", "stats", SERVER)
    assert stats["container_total_count"] == 2
    assert stats["container_started_count"] == 2
    assert stats["container_error_count"] == 1
    assert stats["container_creating_at_end_count"] == 0
    start = stats["container_percentile_stats"]["Startup time (s)"]["percentiles"]
    assert 0 < start["p50"] < 20


def test_the_memory_of_containers_is_sampled(client: Client, url: str) -> None:
    def sampled() -> Any:
        stats = by_cli(client, "server", "stats", SERVER)
        return stats["container_percentile_stats"].get("Memory usage (GiB)")

    assert 0 < until(sampled, timeout=60)["percentiles"]["p99"] < 2


def test_one_container_can_be_looked_at_alone(client: Client, url: str) -> None:
    (now,) = client.containers(APP)
    stats = by_cli(client, "server", "stats", SERVER, "--container-id", now)
    assert stats["container_total_count"] == 1
    assert stats["container_error_count"] == 0
    assert "4xx" not in stats["request_count_by_status_code"]  # no container saw those


def test_a_span_without_anything_is_empty(client: Client, url: str) -> None:
    stats = by_cli(client, "server", "stats", SERVER, "--since", "3h", "--until", "2h")
    assert (stats["request_count"], stats["container_total_count"]) == (0, 0)


def test_the_table_of_statistics_is_drawn(client: Client, url: str) -> None:
    shown = client.modal("server", "stats", SERVER)
    assert "2 Total (0 creating)" in shown
    assert "2 started · 1 errored" in shown


def test_an_app_is_the_sum_of_its_servers(client: Client, url: str) -> None:
    stats = by_cli(client, "app", "stats", APP)
    total = stats["servers"]["total"]
    assert total["requests"]["ok"] >= 12
    assert total["requests"]["failed"] >= 3
    assert total["requests"]["total"] == total["requests"]["ok"] + total["requests"]["failed"]
    assert stats["deployment_count"] == 1
    assert "Server" in client.modal("app", "stats", APP)


def test_single_requests_are_shown_newest_first(client: Client, url: str) -> None:
    (now,) = client.containers(APP)
    client.get(url + "/say/this?secret=of-mine")
    rows = by_cli(client, "server", "requests", SERVER, "--tail", "4")
    assert [row["route"] for row in rows] == ["GET /say/this", "GET /who", "GET /who", "GET /who"]
    assert [row["status"] for row in rows] == [200, 401, 401, 200]
    assert [row["container_id"] for row in rows] == [now, "", "", now]
    assert "of-mine" not in json.dumps(rows)  # a query may hold what nobody else should read


def test_requests_of_a_range_come_oldest_first(client: Client, url: str) -> None:
    def rows() -> Any:
        return by_cli(client, "server", "requests", SERVER, "--since", "1h")

    # The CLI cuts the range off at a whole second.
    found = until(lambda: len(got := rows()) >= 15 and got)
    times = [row["timestamp"] for row in found]
    assert times == sorted(times)


def test_current_statistics(client: Client, url: str) -> None:
    function_id = by_cli(client, "server", "stats", SERVER)["object_id"]
    stats = client.rpc(
        "FunctionGetCurrentStats", api_pb2.FunctionGetCurrentStatsRequest(function_id=function_id)
    )
    assert (stats.num_total_tasks, stats.num_running_inputs) == (1, 0)


def test_a_function_that_is_not_there(client: Client) -> None:
    with pytest.raises(Exception, match=r"Function with id 'fu-nothing' not found\."):
        client.rpc(
            "ServerGetTimeRangeStats",
            api_pb2.ServerGetTimeRangeStatsRequest(function_id="fu-nothing"),
        )


# -- functions

FUNCTIONS = """
import modal

app = modal.App("counted-calls")

@app.function(serialized=True)
def half(n):
    return 1 / n
"""


@pytest.fixture(scope="module")
def called(client: Client) -> str:
    """A function with three calls that succeeded and one that failed."""
    path = client.folder / "counted_calls.py"
    path.write_text(FUNCTIONS)
    client.sdk(f"load({str(path)!r}).app.deploy()")
    answers = client.sdk(
        """
        half = modal.Function.from_name("counted-calls", "half")
        result = [half.remote(n) for n in (1, 2, 4)]
        try:
            half.remote(0)
        except ZeroDivisionError:
            pass
        """
    )
    assert answers == [1, 0.5, 0.25]
    return "counted-calls/half"


def test_inputs_of_a_function_are_counted_by_their_end(client: Client, called: str) -> None:
    stats = by_cli(client, "function", "stats", called)
    assert (stats["input_success_count"], stats["input_failure_count"]) == (3, 1)
    assert (stats["input_timeout_count"], stats["input_running_at_end_count"]) == (0, 0)
    execution = stats["input_percentile_stats"]["Execution time (s)"]["percentiles"]
    whole = stats["input_percentile_stats"]["End-to-end latency (s)"]["percentiles"]
    assert 0 <= execution["p99"] <= whole["p99"] < 30
    assert stats["container_started_count"] == stats["container_total_count"] == 1
    calls = by_cli(client, "app", "stats", "counted-calls")["functions"]["total"]["calls"]
    assert calls == {"total": 4, "succeeded": 3, "failed": 1}
    assert client.sdk(
        """
        stats = modal.Function.from_name("counted-calls", "half").get_current_stats()
        result = [stats.backlog, stats.num_running_inputs]
        """
    ) == [0, 0]


def test_metrics_of_a_function(client: Client, called: str) -> None:
    assert "--group calls" in client.modal("function", "metrics", called)
    got = by_cli(client, "function", "metrics", called, "--group", "calls")
    assert "successful_calls_count" in [series["name"] for series in got["series"]]


# -- metrics


def test_the_schema_of_metrics(client: Client, url: str) -> None:
    shown = client.modal("server", "metrics", SERVER)
    for group in ("containers", "cpu", "memory", "network", "gpu", "requests"):
        assert f"--group {group}" in shown
    assert "calls" not in client.sdk(
        f"result = list(modal.Server.from_name({APP!r}, 'Server').metrics.schema())"
    )


def test_an_unknown_group_is_refused_with_the_known_ones(client: Client, url: str) -> None:
    with pytest.raises(AssertionError) as failed:
        client.modal("server", "metrics", SERVER, "--group", "weather", "--json")
    assert "There is no group of metrics 'weather'." in " ".join(str(failed.value).split())


def test_a_width_that_modal_does_not_offer_is_refused(client: Client, url: str) -> None:
    with pytest.raises(AssertionError) as failed:
        client.modal("server", "metrics", SERVER, "--bucket-size", "7m", "--json")
    assert "A bucket of 420 s is not supported." in " ".join(str(failed.value).split())


@pytest.fixture
def moved(own_client: Client) -> tuple[Client, str]:
    """A plane whose clock went on by ten minutes after three requests."""
    url = own_client.deploy("moved", 'min_containers=1, gpu="H100:2", unauthenticated=True')
    own_client.ready(url)
    for _ in range(3):
        own_client.get(url + "/who", {})
    lifecycle.down(own_client.plane.state_dir)
    with sqlite3.connect(own_client.plane.state_dir / "state.db") as store:
        store.execute("INSERT OR REPLACE INTO meta VALUES ('clock', '600.0')")
        store.execute("INSERT OR REPLACE INTO meta VALUES ('inventory', 'H100=2')")
    store.close()
    plane = lifecycle.up(own_client.plane.state_dir)
    until(lambda: own_client.get(url + "/who", {}).status == 200)
    return Client(plane, own_client.folder, own_client.worker), url


@pytest.mark.full
def test_metrics_and_statistics_follow_the_clock_of_the_plane(moved: tuple[Client, str]) -> None:
    client, url = moved
    got = by_cli(client, "server", "metrics", "moved/Server", "--bucket-size", "1m")
    series = {item["name"]: [point["value"] for point in item["points"]] for item in got["series"]}
    assert got["bucket_secs"] == 60
    assert sum(series["requests_2xx_count"]) >= 4
    assert sum(series["started_containers_count"]) >= 1  # before the move, and after it
    assert 0 < max(series["live_containers_avg"]) <= 1
    assert max(filter(None, series["concurrent_requests_avg"])) < 1
    assert any(value for value in series["startup_time_avg"])
    assert set(series["gpu_utilization_avg"]) == {None}
    client.get(url + "/who", {})
    rows = by_cli(client, "server", "requests", "moved/Server", "--tail", "100")
    assert datetime.fromisoformat(rows[0]["timestamp"]) > datetime.now(UTC) + timedelta(minutes=9)
    assert datetime.fromisoformat(rows[-1]["timestamp"]) < datetime.now(UTC)
    (task,) = client.containers("moved")
    client.get(url + "/say/later", {})
    until(lambda: "said later" in client.modal("container", "logs", task))
    assert "said later" in client.modal("app", "logs", "moved", "--since", "5m")
    info = client.rpc("TaskGetInfo", api_pb2.TaskGetInfoRequest(task_id=task)).info
    assert (info.gpu_type, info.gpu_config.count) == ("H100", 2)
    csv = client.modal("server", "metrics", "moved/Server", "--group", "requests", "--csv")
    assert csv.startswith("series_name,unit,time,value\nrequests_count,requests,")


def test_what_happened_outlives_the_plane(own_client: Client) -> None:
    url = own_client.deploy("outliving", 'min_containers=1, gpu="L4", unauthenticated=True')
    own_client.ready(url)
    (gone,) = own_client.containers("outliving")
    before = by_cli(own_client, "server", "stats", "outliving/Server")["request_count"]
    plane = kill_and_restart(own_client)
    again = Client(plane, own_client.folder, own_client.worker)
    until(lambda: again.get(url + "/who", {}).status == 200)
    stats = by_cli(again, "server", "stats", "outliving/Server")
    assert stats["request_count"] > before
    assert stats["container_total_count"] == 2
    assert stats["container_error_count"] == 0  # it was killed, it did not fail
    info = again.rpc("TaskGetInfo", api_pb2.TaskGetInfoRequest(task_id=gone)).info
    assert info.enqueued_at <= info.started_at <= info.finished_at


def kill_and_restart(client: Client) -> Plane:
    os.kill(client.plane.pid, signal.SIGKILL)
    os.waitpid(client.plane.pid, 0)
    return lifecycle.up(client.plane.state_dir)
