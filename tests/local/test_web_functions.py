"""A web function answers HTTP at a URL of its own, as on Modal."""

import asyncio
import http.client
import socket
import threading
import time
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.local.conftest import Client, until

WEB = '''
import asyncio, os, subprocess, sys
import modal

app = modal.App("web")

async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        if scope["path"] == "/closed":
            await send({"type": "websocket.close"})
            return
        chosen = (scope["subprotocols"] or [None])[0]
        await send({"type": "websocket.accept", "subprotocol": chosen})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                print("socket left", message["code"], flush=True)
                return
            if message.get("text") == "bye":
                await send({"type": "websocket.close", "code": 4001, "reason": "as wished"})
                return
            if message.get("text") is not None:
                await send({"type": "websocket.send", "text": message["text"] * 2})
            else:
                await send({"type": "websocket.send", "bytes": message["bytes"] * 2})

    async def start(status=200, headers=()):
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    async def say(body, more=True):
        await send({"type": "http.response.body", "body": body, "more_body": more})
    path = scope["path"]
    if path == "/echo":
        await start(201, [(b"x-seen", dict(scope["headers"]).get(b"x-mine", b"")),
                          (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")])
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            if message.get("body"):
                await say(message["body"])
        await say(b"", False)
    elif path == "/scope":
        await start()
        seen = [scope["method"], scope["path"], scope["query_string"].decode(), scope["scheme"]]
        await say(" ".join(seen).encode(), False)
    elif path == "/stream":
        await start()
        for number in range(5):
            await say(b"%d " % number)
            await asyncio.sleep(0.1)
        await say(b"", False)
    elif path == "/die":
        await start()
        await say(b"half an ans")
        await asyncio.sleep(0.2)
        os._exit(3)
    elif path == "/raise":
        raise ValueError("no answer to this")
    elif path == "/sleep":
        await asyncio.sleep(60)
    elif path == "/endless":
        await start()
        try:
            while True:
                await say(b"x")
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            print("client left", flush=True)
            raise
    elif path == "/pid":
        await start()
        await asyncio.sleep(0.3)
        await say(str(os.getpid()).encode(), False)

@app.function()
@modal.concurrent(max_inputs=20)
@modal.asgi_app()
def asgi():
    return application

@app.function(timeout=1)
@modal.asgi_app()
def hasty():
    return application

@app.function(max_containers=2)
@modal.asgi_app(requires_proxy_auth=True)
def protected():
    return application

@app.function()
@modal.wsgi_app()
def wsgi():
    def application(environ, start):
        start("200 OK", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode(), b" ", environ["QUERY_STRING"].encode()]
    return application

@app.function(min_containers=2)
@modal.concurrent(max_inputs=2)
@modal.web_server(8766, startup_timeout=20)
def server():
    code = """
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.3)
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("0.0.0.0", 8766), Handler).serve_forever()
"""
    subprocess.Popen([sys.executable, "-c", code])

@app.cls()
class Site:
    @modal.enter()
    def start(self):
        self.word = "from the class"

    @modal.asgi_app()
    def page(self):
        async def page(scope, receive, send):
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": self.word.encode()})
        return page
'''


@pytest.fixture(scope="module")
def urls(client: Client) -> dict[str, str]:
    path = client.folder / "web.py"
    path.write_text(WEB)
    given = client.sdk(
        f"""
        load({str(path)!r}).app.deploy()
        names = ["asgi", "hasty", "protected", "wsgi", "server"]
        result = {{n: modal.Function.from_name("web", n).get_web_url() for n in names}}
        result["page"] = modal.Cls.from_name("web", "Site")().page.get_web_url()
        """
    )
    assert isinstance(given, dict)
    return given


def connect(url: str, path: str) -> http.client.HTTPConnection:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=20)
    connection.request("GET", path)
    return connection


@pytest.mark.full
def test_the_cli_prints_the_url(client: Client, urls: dict[str, str]) -> None:
    assert urls["asgi"] in client.modal("deploy", str(client.folder / "web.py"), "--tag", "again")


def test_a_request_waits_for_a_container(client: Client, urls: dict[str, str]) -> None:
    answer = client.get(urls["wsgi"] + "/a%20b?c=%20d", {})
    assert (answer.status, answer.body) == (200, b"/a b c=%20d")


def test_bodies_headers_and_statuses_come_through(client: Client, urls: dict[str, str]) -> None:
    for size in (0, 10, 12 << 20):
        answer = client.get(urls["asgi"] + "/echo", {"X-Mine": "1"}, data=b"x" * size)
        assert (answer.status, len(answer.body)) == (201, size)
    connection = connect(urls["asgi"], "/echo")
    response = connection.getresponse()
    assert response.headers.get_all("set-cookie") == ["a=1", "b=2"]
    connection.close()
    scope = client.get(urls["asgi"] + "/scope?q=1", {})
    assert scope.body == b"GET /scope q=1 http"


def test_an_answer_comes_chunk_by_chunk(urls: dict[str, str]) -> None:
    connection = connect(urls["asgi"], "/stream")
    response = connection.getresponse()
    arrivals = []
    while piece := response.read1(100):
        arrivals.append((time.monotonic(), piece))
    connection.close()
    assert b"".join(piece for _, piece in arrivals) == b"0 1 2 3 4 "
    assert arrivals[-1][0] - arrivals[0][0] > 0.3


def test_an_answer_that_breaks_off_breaks_for_the_client_too(
    client: Client, urls: dict[str, str]
) -> None:
    connection = connect(urls["asgi"], "/die")
    response = connection.getresponse()
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        response.read()
    connection.close()
    assert client.get(urls["asgi"] + "/scope", {}).status == 200  # in another container


def test_a_failure_is_500_and_a_timeout_504(client: Client, urls: dict[str, str]) -> None:
    failed = client.get(urls["asgi"] + "/raise", {})
    assert failed.status == 500
    assert failed.body == (
        b"modal-http: internal error: status Failure: ValueError('no answer to this')\n"
    )
    late = client.get(urls["hasty"] + "/sleep", {})
    assert late.status == 504
    assert late.body.startswith(b"modal-http: timed out: Task's current input in-")


def test_a_client_that_leaves_cancels_the_input(client: Client, urls: dict[str, str]) -> None:
    connection = connect(urls["asgi"], "/endless")
    response = connection.getresponse()
    assert response.read(3) == b"xxx"
    connection.close()
    response.close()
    until(lambda: "client left" in client.logs("web"))


def test_a_web_socket_goes_both_ways(client: Client, urls: dict[str, str]) -> None:
    async def talk() -> list[object]:
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(urls["asgi"], protocols=["chat"], compress=15) as socket:
                await socket.send_str("ha")
                await socket.send_bytes(b"ho")
                answers: list[object] = [await socket.receive_str(), await socket.receive_bytes()]
                await socket.send_str("bye")
                end = await socket.receive()
                answers += [socket.protocol, end.data, end.extra]
            async with session.ws_connect(urls["asgi"]) as socket:
                await socket.close(code=4002)
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await session.ws_connect(urls["asgi"] + "/closed")
        return answers

    assert asyncio.run(talk()) == ["haha", b"hoho", "chat", 4001, "as wished"]
    until(lambda: "socket left 4002" in client.logs("web"))


def test_a_protected_one_wants_the_token(client: Client, urls: dict[str, str]) -> None:
    url = urls["protected"] + "/scope"
    assert client.get(url, {}).status == 401
    assert client.get(url, client.auth | {"Modal-Secret": "ws-wrong"}).status == 401
    assert client.get(url).status == 200


@pytest.mark.full
def test_containers_are_added_for_waiting_requests(client: Client, urls: dict[str, str]) -> None:
    pids: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: pids.append(client.get(urls["protected"] + "/pid").body))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 8
    assert 1 <= len(set(pids)) <= 2


def test_a_method_of_a_class_answers(client: Client, urls: dict[str, str]) -> None:
    assert client.get(urls["page"], {}).body == b"from the class"


def test_a_web_server_is_passed_on_to(client: Client, urls: dict[str, str]) -> None:
    answer = client.get(urls["server"] + "/", {})
    assert answer.status == 200
    assert answer.body.isdigit()


def test_several_containers_have_the_same_port(client: Client, urls: dict[str, str]) -> None:
    """Where containers may have networks of their own; elsewhere the log says what to do."""

    def seen() -> bool:
        told = "cannot start" in client.logs("web")
        return told or len(_pids(client, urls["server"])) == 2

    until(seen)


@pytest.mark.full
def test_a_redeploy_fails_and_cuts_no_request(client: Client, urls: dict[str, str]) -> None:
    path = client.folder / "web.py"
    answers: list[tuple[int, bytes]] = []
    stop = threading.Event()

    def keep_asking() -> None:
        while not stop.is_set():
            answer = client.get(urls["asgi"] + "/stream", {})
            answers.append((answer.status, answer.body))

    threads = [threading.Thread(target=keep_asking) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for version in range(2):
            path.write_text(f"{WEB}\n# version {version}\n")
            before = set(client.containers("web"))
            client.sdk(f"load({str(path)!r}).app.deploy()")
            until(lambda before=before: not before & set(client.containers("web")), timeout=30)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {(200, b"0 1 2 3 4 ")}


def _pids(client: Client, url: str) -> set[bytes]:
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(client.get(url + "/", {}).body))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return set(found)


@pytest.mark.full
def test_a_stopped_one_is_404(client: Client) -> None:
    path = client.folder / "gone.py"
    path.write_text(WEB.replace('"web"', '"gone"').replace("min_containers=2", ""))
    url = client.sdk(
        f"""
        load({str(path)!r}).app.deploy()
        result = modal.Function.from_name("gone", "asgi").get_web_url()
        """
    )
    client.modal("app", "stop", "-y", "gone")
    assert client.get(url, {}).status == 404
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)):
        pass  # the URL stays the app's
