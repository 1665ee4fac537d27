"""Apps as people write them by hand: a fixed port, waiting in hooks, clients that poll."""

import http.client
import json
import subprocess
import sys
from pathlib import Path

import pytest

from modelctl.local.running import isolation
from tests.local.conftest import Client, CommandLine, client_in, until
from tests.local.handwritten import deployed, write


def test_hooks_may_wait_for_the_engine_put_it_to_sleep_and_wake_it(client: Client) -> None:
    client.modal("deploy", str(write(client, "hand-hooks")))
    url = client.sdk("result = modal.Server.from_name('hand-hooks', 'Inference').get_url()")
    state = client.ready(url, "/state")
    assert state["events"] == ["warmup", "sleep", "wake_up"]
    assert state["port"] == 8000
    client.modal("container", "stop", "-y", *client.containers("hand-hooks"))
    until(lambda: "the engine ended with -15" in client.logs("hand-hooks"))


@pytest.mark.full
def test_modal_run_serves_while_the_local_entrypoint_asks(client: Client) -> None:
    printed = client.modal("run", str(write(client, "hand-run")), "--path", "/state")
    answer = json.loads(printed.partition("answer: ")[2].splitlines()[0])
    assert answer["events"] == ["warmup", "sleep", "wake_up"]
    until(lambda: not client.containers("hand-run"))


@pytest.fixture(scope="module")
def streaming(client: Client) -> str:
    """The URL of a server that streams."""
    url = deployed(client, "hand-streams", "min_containers=1,")
    client.ready(url, "/state")
    return url


def begun(url: str, path: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
    """An answer of which the first part has come."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
    connection.request("GET", path)
    response = connection.getresponse()
    assert response.read(6) == b"first "
    return connection, response


def test_the_engine_learns_that_its_client_left(client: Client, streaming: str) -> None:
    connection, response = begun(streaming, "/endless")
    response.close()
    connection.close()
    until(lambda: "client left" in client.logs("hand-streams"))


def test_an_answer_that_breaks_off_is_seen_to_break_off(streaming: str) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        begun(streaming, "/break")[1].read()


def test_answers_come_as_they_are_made(client: Client, streaming: str) -> None:
    _, response = begun(streaming, "/stream")
    assert client.get(streaming + "/go", {}).status == 200  # the rest is sent after this only
    assert response.read() == b"last"


def test_hooks_may_use_the_sdk(client: Client) -> None:
    write_it = "v.batch_upload(force=True)"
    client.sdk(
        f"""
        import io
        v = modal.Volume.from_name("handwritten-cache", create_if_missing=True)
        with {write_it} as batch:
            batch.put_file(io.BytesIO(b"said by a file"), "/note")
        """
    )
    before = 'print(b"".join(cache.read_file("note")))'
    url = deployed(client, "hand-sdk", before=before)
    client.ready(url, "/state")
    until(lambda: "said by a file" in client.logs("hand-sdk"))


def test_the_experimental_way_to_declare_a_server_is_refused_clearly(client: Client) -> None:
    (client.folder / "hand_experimental.py").write_text(
        """
import modal, modal.experimental
app = modal.App("hand-experimental", include_source=False)

@app.cls(serialized=True)
@modal.experimental.http_server(port=8000, proxy_regions=["us-east"])
class Server:
    pass
"""
    )
    with pytest.raises(AssertionError) as refused:
        client.modal("deploy", "hand_experimental.py")
    assert (
        "The local control plane serves what @app.server and @modal.web_server declare, not "
        "modal.experimental.http_server: use @app.server."
    ) in " ".join(str(refused.value).split())


def test_where_namespaces_are_not_permitted_a_taken_port_is_said(tmp_path: Path) -> None:
    state = tmp_path / "state"
    up = f"from pathlib import Path; from modelctl.local import lifecycle; lifecycle.up({state!r})"
    start = [sys.executable, "-c", up.replace("PosixPath", "Path")]
    if isolation.networks_permitted():  # a plane that may not make any
        forbid = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"'
        start = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh", *start]
    subprocess.run(start, check=True, timeout=30)
    with client_in(tmp_path, state) as client:
        url = deployed(client, "hand-first", "min_containers=1,")
        assert client.ready(url, "/state")["port"] == 8000
        deployed(client, "hand-second", "min_containers=1,")
        said = (
            "cannot start: its app listens on port 8000, which another process on this machine has "
            "taken. Take the port from the variable MODELCTL_PORT, as rendered apps do, or stop "
            "what listens on port 8000."
        )
        until(lambda: said in client.logs("hand-second"))
        assert client.get(url + "/state", {}).status == 200


def test_a_server_that_an_image_starts_is_refused_clearly(cli: CommandLine) -> None:
    image = ("--image", "docker.io/python:3.12", "--port", "8000", "--app-name", "from-image")
    assert (
        "The local control plane builds no images, so it cannot run what an image starts: "
        "instead of `modal server deploy`, write an @app.server that starts the command."
    ) in " ".join(cli.fails("server", "deploy", *image).split())
