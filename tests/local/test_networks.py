"""Containers in networks of their own: what is apart, what gets in and out, and what is left."""

import errno
import http.server
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from modelctl.local.running import isolate, isolation
from modelctl.local.running.launch import listens
from tests.local.conftest import Client, until
from tests.local.handwritten import deployed, engines

# A machine that permits no namespaces has none of this: there, test_handwritten tells what is said.
__test__ = isolation.networks_permitted()


def processes_of(container: str) -> list[int]:
    """All that runs with the container's environment, its relays included."""
    wanted = f"MODAL_TASK_ID={container}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def way_in_of(pid: int) -> int:
    """The port of this machine that leads to the container, if this is its supervisor."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    program = next((n for n, word in enumerate(words) if word.endswith("/isolate.py")), None)
    supervises = any(word.endswith("/supervise.py") for word in words)
    return int(words[program + 1]) if supervises and program else 0


@pytest.mark.full
def test_containers_and_apps_listen_on_the_same_port_side_by_side(client: Client) -> None:
    urls = [deployed(client, f"hand-beside-{n}", "min_containers=2,") for n in (1, 2)]
    until(lambda: all(len(engines(client, url)) == 2 for url in urls))
    first, second = (engines(client, url) for url in urls)
    assert not first & second
    client.sdk(
        "modal.Server.from_name('hand-beside-1', 'Inference').autoscaler.update(min_containers=3)"
    )
    until(lambda: len(engines(client, urls[0])) == 3)


def test_a_redeploy_replaces_a_container_that_holds_the_port(client: Client) -> None:
    url = deployed(client, "hand-again", "min_containers=1,")
    before = client.ready(url, "/state")["pid"]
    deployed(client, "hand-again", "min_containers=1, scaledown_window=100,")
    until(lambda: client.get(url + "/state", {}).json()["pid"] != before)


@contextmanager
def website(address: str) -> Iterator[str]:
    """A server of this machine's, not on 127.0.0.1: what the web is to a container."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"page {self.path}".encode())

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer((address, 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{address}:{server.server_port}"
        server.shutdown()


def test_a_container_in_a_network_of_its_own_reaches_the_web(client: Client) -> None:
    url = deployed(client, "hand-downloads", "min_containers=1,")
    client.ready(url, "/state")
    with website("127.0.0.2") as place:
        assert client.get(f"{url}/fetch/http://{place}/a?b=c", {}).json() == "page /a?b=c"
    before = (
        "way = urllib.request.getproxies()['https'].removeprefix('http://')\n"
        "        tunnel = http.client.HTTPConnection(way)\n"
        "        tunnel.set_tunnel('PLACE')\n"
        "        tunnel.request('GET', '/through-a-tunnel')\n"
        "        print(tunnel.getresponse().read())"
    )
    with website("127.0.0.2") as place:
        url = deployed(client, "hand-tunnels", before=before.replace("PLACE", place))
        client.ready(url, "/state")
    until(lambda: "page /through-a-tunnel" in client.logs("hand-tunnels"))


@pytest.mark.full
def test_a_container_whose_relay_is_killed_is_replaced(client: Client) -> None:
    url = deployed(client, "hand-relayed", "min_containers=1,")
    engine = client.ready(url, "/state")["pid"]
    [container] = client.containers("hand-relayed")
    relays = [pid for pid in processes_of(container) if name_of(pid) == "modelctl-relay"]
    assert len(relays) == 2
    os.kill(relays[0], signal.SIGKILL)
    until(lambda: not processes_of(container))
    assert client.ready(url, "/state")["pid"] != engine
    assert "a relay of its network has ended" in client.logs("hand-relayed")


def test_requests_go_past_a_container_whose_engine_is_dead(client: Client) -> None:
    url = deployed(client, "hand-one-dead", "min_containers=2,")
    until(lambda: len(engines(client, url)) == 2)
    dead, alive = engines(client, url)
    os.kill(dead, signal.SIGKILL)
    containers = client.containers("hand-one-dead")
    ways_in = [way_in_of(pid) for one in containers for pid in processes_of(one)]
    until(lambda: [listens(port) for port in filter(None, ways_in)].count(True) == 1)
    answers = [client.get(url + "/state", {}) for _ in range(20)]
    assert [answer.status for answer in answers] == [200] * 20
    assert {answer.json()["pid"] for answer in answers} == {alive}
    assert len(client.containers("hand-one-dead")) == 2  # nobody is told that an engine ended


def test_a_relay_outlives_connections_that_fail_and_ends_with_its_listener() -> None:
    near, far = socket.socketpair()
    failures = [OSError(number, "") for number in (errno.EMFILE, errno.ECONNABORTED)]
    listener = MagicMock()
    listener.accept.side_effect = [*failures, (near, None), OSError(errno.EINVAL, "")]
    handled = threading.Event()
    isolate._serve(listener, lambda _: handled.set())
    assert handled.wait(5)
    far.close()


@pytest.mark.full
@pytest.mark.parametrize("name", ["engine", "supervisor"])
def test_nothing_is_left_of_a_container_that_is_killed(client: Client, name: str) -> None:
    app = f"hand-killed-{name}"
    url = deployed(client, app, "min_containers=1,")
    engine = client.ready(url, "/state")["pid"]
    [container] = client.containers(app)
    assert len(processes_of(container)) >= 4  # the runtime, the engine and two relays
    main = int(Path(f"/proc/{engine}/stat").read_text().rpartition(")")[2].split()[1])
    supervisor = int(Path(f"/proc/{main}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill({"engine": main, "supervisor": supervisor}[name], signal.SIGKILL)
    until(lambda: not processes_of(container))
    assert client.ready(url, "/state")["pid"] != engine
