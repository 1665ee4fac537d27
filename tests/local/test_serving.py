"""A deployed server answers at its URL as one on Modal does."""

import http.client
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import pytest

from tests.local.conftest import Client, until


@pytest.fixture(scope="module")
def url(client: Client) -> str:
    url = client.deploy(
        "serving",
        'min_containers=1, max_concurrency=2, gpu=["H100!", "A100-80GB:2"], env={"A": "b"}, '
        'image=modal.Image.debian_slim().env({"GREETING": "it\'s me", "PATH": "/nowhere"})',
    )
    client.ready(url)
    return url


def test_who_shows_no_token_is_refused(client: Client, url: str) -> None:
    wrong = {"Modal-Key": client.plane.proxy_token_id, "Modal-Secret": "ws-wrong"}
    assert client.get(url + "/who", {}).status == 401
    assert client.get(url + "/who", wrong).status == 401
    assert client.get(url + "/who", {"Authorization": "Bearer sk-1"}).status == 401


def test_both_ways_to_show_the_token_are_accepted_and_not_passed_on(
    client: Client, url: str
) -> None:
    plane = client.plane
    bearer = {"Authorization": f"Bearer {plane.proxy_token_id}.{plane.proxy_token_secret}"}
    for headers in (client.auth, bearer):
        answer = client.get(url + "/headers", {**headers, "X-Mine": "1"})
        assert answer.status == 200
        assert answer.json()["X-Mine"] == "1"
        assert plane.proxy_token_secret not in answer.body.decode()


def test_an_engines_own_key_reaches_it(client: Client, url: str) -> None:
    answer = client.get(url + "/headers", {**client.auth, "Authorization": "Bearer sk-engine"})
    assert answer.json()["Authorization"] == "Bearer sk-engine"


def test_a_body_comes_through_whole(client: Client, url: str) -> None:
    for size in (0, 10, 3 << 20):
        body = b"x" * size
        assert client.get(url + "/echo", data=body).body == body


def test_a_stream_comes_chunk_by_chunk(client: Client, url: str) -> None:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    connection.request("GET", "/stream/5/0.1", headers=client.auth)
    response = connection.getresponse()
    arrivals = []
    while piece := response.read1(100):
        arrivals.append((time.monotonic(), piece))
    connection.close()
    assert b"".join(piece for _, piece in arrivals) == b"0 1 2 3 4 "
    assert len(arrivals) == 5
    assert arrivals[-1][0] - arrivals[0][0] > 0.3


def test_a_stream_that_breaks_off_breaks_for_the_client_too(client: Client, url: str) -> None:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    connection.request("GET", "/break", headers=client.auth)
    response = connection.getresponse()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        response.read()
    connection.close()


def test_a_client_that_leaves_ends_the_engines_work(client: Client, url: str) -> None:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    connection.request("GET", "/endless", headers=client.auth)
    assert connection.getresponse().read(3) == b"xxx"
    connection.close()
    until(lambda: "client left" in client.logs("serving"))


def test_above_max_concurrency_is_429(client: Client, url: str) -> None:
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda: statuses.append(client.get(url + "/sleep/0.5").status))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200, 200, 429, 429, 429]


def test_no_replica_is_503_and_starts_one(client: Client) -> None:
    url = client.deploy("cold", "unauthenticated=True, scaledown_window=2")
    assert client.get(url + "/who", {}).status == 503
    until(lambda: client.get(url + "/who", {}).status == 200)
    # And back to zero after the window.
    until(lambda: client.get(url + "/who", {}).status == 200)
    time.sleep(2.2)
    assert client.get(url + "/who", {}).status == 503


def test_the_call_log_shows_what_was_asked_for(client: Client, url: str) -> None:
    app_id = client.sdk("result = modal.App.lookup('serving').app_id")
    creates = [
        call["request"]["function_data"]
        for call in client.calls("FunctionCreate")
        if call["request"].get("app_id") == app_id
    ]
    ranked = [rank["function"] for rank in creates[0]["ranked_functions"]]
    gpus = [function["resources"]["gpu_config"] for function in ranked]
    assert [(gpu["gpu_type"], gpu["count"]) for gpu in gpus] == [("H100!", 1), ("A100-80GB", 2)]
    assert ranked[0]["max_concurrent_inputs"] == 2
    assert creates[0]["autoscaler_settings"]["min_containers"] == 1
    assert creates[0]["http_config"]["port"] == 8000


def test_the_call_log_redacts_secrets(client: Client, url: str) -> None:
    made = [c["request"] for c in client.calls("SecretGetOrCreate") if "env_dict" in c["request"]]
    assert {"A": "***"} in [request["env_dict"] for request in made]


def test_the_container_sees_neither_the_callers_home_nor_its_credentials(
    client: Client, url: str
) -> None:
    environment = client.get(url + "/env").json()
    assert environment["A"] == "b"
    assert (
        environment["GREETING"] == "it's me"
    )  # the image's ENV, except for what is this machine's
    assert "/nowhere" not in environment["PATH"]
    assert environment["HOME"].startswith(str(client.plane.state_dir))
    assert not [name for name in environment if name.startswith("MODAL_TOKEN")]
    assert client.plane.token_secret not in str(environment)
    assert environment["PATH"].startswith(str(client.plane.state_dir / "bin"))


def test_logs_reach_the_sdk_and_the_cli(client: Client, url: str) -> None:
    client.get(url + "/say/something")
    logs = until(
        lambda: "said something" in (text := client.modal("app", "logs", "serving")) and text
    )
    assert "complained something" in logs
    assert "said" not in client.modal("app", "logs", "serving", "--source", "stderr")
    assert client.sdk(
        """
        import datetime
        app = modal.App.lookup("serving")
        since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=10)
        fetched = [e.message for e in app.logs.fetch(since=since, search_text="something")]
        tailed = [e.message for e in app.logs.tail(2)]
        result = [sorted(fetched), len(tailed)]
        """
    ) == [["complained something\n", "said something\n"], 2]


def test_logs_can_be_followed(client: Client, url: str) -> None:
    follower = subprocess.Popen(
        [sys.executable, "-m", "modal", "app", "logs", "serving", "--follow"],
        env=client.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert follower.stdout is not None
        stop = threading.Event()

        def keep_saying() -> None:
            while not stop.wait(0.1):
                client.get(url + "/say/followed")

        speaker = threading.Thread(target=keep_saying)
        speaker.start()
        try:
            assert any("followed" in line for line in follower.stdout)
        finally:
            stop.set()
            speaker.join()
    finally:
        follower.kill()
        follower.wait()
        assert follower.stdout is not None
        follower.stdout.close()


def test_statistics(client: Client, url: str) -> None:
    client.get(url + "/who")
    counts = client.sdk(
        """
        stats = modal.Server.from_name("serving", "Server").stats()
        by_status = stats.request_count_by_status_code
        result = [stats.request_count, by_status, stats.container_total_count]
        """
    )
    assert counts[0] >= 1
    assert counts[1]["200"] >= 1
    assert counts[2] == 1


def test_threads_of_a_container_sleep_while_they_wait_unless_its_image_wants_them_to_spin(
    client: Client, url: str
) -> None:
    assert client.get(url + "/env").json()["OMP_WAIT_POLICY"] == "passive"
    image = "image=modal.Image.debian_slim().env({'OMP_WAIT_POLICY': 'active'})"
    spins = client.deploy("spins", f"{image}, min_containers=1, unauthenticated=True")
    assert client.ready(spins, "/env")["OMP_WAIT_POLICY"] == "active"
