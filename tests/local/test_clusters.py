"""`modal.clustered`: containers that start together, know each other, and end together."""

from __future__ import annotations

import socket
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from typing import Any

import pytest

from tests.local.conftest import Client, until

APP = """
import json
import os
import socket
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import modal

app = modal.App("NAME")
PORT = int(os.environ.get("MODELCTL_PORT", "8000"))


class Server:
    @modal.enter()
    def start(self):
        cluster = modal.Cluster.from_context()
        self.rank = cluster.container_rank()
        ips, mine = cluster.container_ips("ipv4"), cluster.container_ids()
        # Rank 1 reports to rank 0, as the workers of an engine do.
        if self.rank == 0:
            with socket.create_server((ips[0], MEET)) as meeting:
                worker, _ = meeting.accept()
                with worker:
                    self.said = worker.recv(100).decode()
        else:
            while True:
                try:
                    with socket.create_connection((ips[0], MEET), timeout=5) as master:
                        master.sendall(f"rank {self.rank} of {len(ips)}".encode())
                    break
                except OSError:
                    pass
        who = {"rank": self.rank, "pid": os.getpid(), "task": os.environ["MODAL_TASK_ID"]}
        who |= {"said": getattr(self, "said", ""), "ids": mine, "cluster": cluster.object_id}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(who).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                if self.path == "/die":
                    os._exit(3)

        server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
        print("rank", self.rank, "listens on", PORT, flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()


image = modal.Image.debian_slim()
server = app.server(
    image=image, gpu="H100:8", min_containers=2, max_containers=4, startup_timeout=60
)(modal.clustered(size=2, rdma=True)(Server))
"""


def deployed(client: Client, name: str) -> str:
    """Deploys a server of two containers that meet at a port; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        meet = free.getsockname()[1]
    path = client.folder / f"{name}.py"
    path.write_text(APP.replace("NAME", name).replace("MEET", str(meet)))
    client.sdk(f"load({str(path)!r}).app.deploy()")
    return client.url(name)


@pytest.fixture(scope="module")
def url(client: Client) -> str:
    return deployed(client, "two-hosts")


def test_the_first_of_a_cluster_answers_and_knows_the_others(client: Client, url: str) -> None:
    who: dict[str, Any] = client.ready(url)
    assert who["rank"] == 0
    assert who["said"] == "rank 1 of 2"
    assert sorted(who["ids"]) == sorted(client.containers("two-hosts"))
    assert who["ids"][0] == who["task"]
    for _ in range(5):
        assert client.get(url).json()["rank"] == 0
    stats = client.sdk(
        f"c = modal.Cluster.from_id({who['cluster']!r}); result = list(c.container_ids())"
    )
    assert stats == who["ids"]


def test_a_cluster_is_replaced_as_a_whole_when_one_of_it_ends(client: Client, url: str) -> None:
    before: dict[str, Any] = client.ready(url)
    # The worker's own port is in the log: nobody reaches it through the URL.
    (line,) = {
        line for line in client.logs("two-hosts").splitlines() if line.startswith("rank 1 listens")
    }
    with suppress(OSError, HTTPException):  # it ends in the middle of its answer
        urllib.request.urlopen(f"http://127.0.0.1:{line.split()[-1]}/die", timeout=10).close()
    after = until(
        lambda: (
            (got := client.get(url)).status == 200
            and got.json()["cluster"] != before["cluster"]
            and got.json()
        ),
        timeout=30,
    )
    assert not set(after["ids"]) & set(before["ids"])
    until(lambda: set(client.containers("two-hosts")) == set(after["ids"]), timeout=20)


@pytest.mark.full
def test_scaling_counts_containers_and_starts_whole_clusters(client: Client, url: str) -> None:
    client.ready(url)
    settings = "min_containers=0, scaledown_window=2"
    client.sdk(f"modal.Server.from_name('two-hosts', 'Server').update_autoscaler({settings})")
    until(lambda: client.containers("two-hosts") == [], timeout=30)
    assert client.get(url).status == 503
    until(lambda: len(client.containers("two-hosts")) == 2)
    client.sdk("modal.App.lookup('two-hosts').stop()")
    until(lambda: client.containers("two-hosts") == [], timeout=30)


def test_modal_refuses_a_number_that_is_no_whole_cluster(client: Client) -> None:
    path = client.folder / "odd.py"
    source = APP.replace("NAME", "odd").replace("MEET", "1")
    path.write_text(source.replace("max_containers=4", "max_containers=3"))
    with pytest.raises(AssertionError, match=r"must be a multiple of `cluster_size` \(2\)"):
        client.sdk(f"load({str(path)!r}).app.deploy()")
