"""What passes between a client and an engine passes as it is, and never looks like more."""

import asyncio
import hashlib
import os
import signal
import socket
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
import pytest

from modelctl.local import lifecycle
from modelctl.local.running.launch import claimed_port
from tests.local.conftest import Client, until
from tests.local.streaming import Reply, deploy, fetch, read

T = TypeVar("T")
FRAMINGS = ("chunked", "length", "closing")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        return await asyncio.wait_for(coroutine, 30)

    return asyncio.run(limited())


@pytest.fixture(scope="module")
def url(client: Client) -> str:
    url = deploy(client, "passing", "min_containers=1, unauthenticated=True")
    client.ready(url)
    return url


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_whole_answer_ends_as_one(url: str, framing: str, version: str) -> None:
    reply = run(fetch(url, f"/stream/{framing}/5/0.01", version=version))
    assert reply.whole
    assert reply.events == 5


async def of_every_kind(url: str, doomed: int, after: float = 0.5) -> list[Reply]:
    """Long answers in each framing to clients of each version, and a kill in the midst."""
    asyncio.get_running_loop().call_later(after, os.kill, doomed, signal.SIGKILL)
    kinds = [(framing, version) for framing in FRAMINGS for version in ("1.0", "1.1")]
    return await asyncio.gather(
        *(fetch(url, f"/stream/{framing}/200/0.01", version=v) for framing, v in kinds)
    )


@pytest.mark.parametrize("fixed_port", [False, True], ids=["its own port", "a fixed port"])
def test_an_answer_whose_engine_is_killed_never_looks_whole(
    client: Client, fixed_port: bool
) -> None:
    name = "dying-apart" if fixed_port else "dying"
    url = deploy(client, name, "min_containers=1, unauthenticated=True", fixed_port=fixed_port)
    for reply in run(of_every_kind(url, client.ready(url)["pid"])):
        assert 0 < reply.events < 200
        assert not reply.whole, reply
    client.sdk(f"modal.App.lookup({name!r}).stop()")


def test_an_answer_whose_plane_is_killed_never_looks_whole(own_client: Client) -> None:
    url = deploy(own_client, "orphaned", "min_containers=1, unauthenticated=True")
    own_client.ready(url)

    for reply in run(of_every_kind(url, own_client.plane.pid)):
        assert 0 < reply.events < 200
        assert not reply.whole, reply
    assert lifecycle.status(own_client.plane.state_dir) is None


def test_head_and_empty_answers_have_no_body(url: str) -> None:
    async def two_on_one_connection() -> list[Reply]:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        replies = [Reply(), Reply(), Reply()]
        for line, reply in zip(("HEAD /head", "GET /nothing", "GET /x"), replies, strict=True):
            writer.write(f"{line} HTTP/1.1\r\nHost: me\r\n\r\n".encode())
            await read(reader, reply, line.split()[0])
        writer.close()
        return replies

    head, nothing, after = run(two_on_one_connection())
    assert (head.status, head.headers["content-length"], head.body) == (200, "1234", b"")
    assert "transfer-encoding" not in head.headers
    assert nothing.status == 204
    assert after.json() == ["GET", "/x"]


def test_hop_by_hop_headers_stay_on_their_hop(url: str) -> None:
    mine = {
        "Connection": "keep-alive, X-Private",
        "X-Private": "1",
        "Keep-Alive": "timeout=5",
        "Proxy-Connection": "keep-alive",
        "TE": "trailers",
        "X-Mine": "2",
        "Accept-Encoding": "br",
    }
    reply = run(fetch(url, "/headers", headers=mine))
    seen = {name.lower(): value for name, value in reply.json()}
    assert seen["x-mine"] == "2"
    assert seen["accept-encoding"] == "br"
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert not {"x-private", "keep-alive", "proxy-connection", "te", "user-agent"} & set(seen)
    assert "x-hop" not in reply.headers
    assert "server" not in reply.headers


@pytest.mark.parametrize(
    ("written", "arrives"),
    [
        ("/a/../b//c?x=1%20&y=%2F", "/a/../b//c?x=1%20&y=%2F"),
        ("http://elsewhere.invalid/path?q", "/path?q"),
        ("/%e2%82%ac", "/%e2%82%ac"),
    ],
)
def test_a_path_arrives_as_it_was_written(url: str, written: str, arrives: str) -> None:
    assert run(fetch(url, written)).json() == ["GET", arrives]


def test_no_request_reaches_another_host(url: str) -> None:
    for target in ("@elsewhere.invalid/", "elsewhere.invalid:80", "//", "*"):
        assert run(fetch(url, target)).status in (200, 400, 404)


def test_a_large_upload_streams_through_without_being_held(client: Client, url: str) -> None:
    size, digest = 64 << 20, hashlib.sha256()

    async def upload() -> Reply:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(
            f"POST /digest HTTP/1.1\r\nHost: me\r\nContent-Length: {size}\r\n\r\n".encode()
        )
        for number in range(size >> 20):
            piece = bytes([number]) * (1 << 20)
            digest.update(piece)
            writer.write(piece)
            await writer.drain()
        reply = Reply()
        await read(reader, reply)
        writer.close()
        return reply

    before = _memory(client)
    assert run(upload()).json() == [size, digest.hexdigest()]
    assert _peak_memory(client) - before < 16 << 20


def test_an_upload_that_breaks_off_never_looks_whole_to_the_engine(
    client: Client, url: str
) -> None:
    heads = {
        "sized": b"Content-Length: 1000000\r\n\r\n" + bytes(200_000),
        "chunked": b"Transfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 1000,
    }
    for name, head in heads.items():
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 5) as connection:
            connection.sendall(f"POST /store/{name} HTTP/1.1\r\nHost: me\r\n".encode() + head)
            time.sleep(0.1)
        until(lambda name=name: f"half of {name}" in client.logs("passing"))  # type: ignore[misc]
    assert "all of" not in client.logs("passing")


def test_an_engine_that_does_not_read_holds_the_upload_back(url: str) -> None:
    async def push() -> int:
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(b"POST /deaf/20 HTTP/1.1\r\nHost: me\r\nContent-Length: 999999999\r\n\r\n")
        pushed = 0
        try:
            async with asyncio.timeout(1.0):
                while True:
                    writer.write(bytes(1 << 20))
                    await writer.drain()
                    pushed += 1 << 20
        except TimeoutError:
            writer.transport.abort()
        return pushed

    assert run(push()) < 64 << 20


def test_a_client_that_does_not_read_holds_its_engine_back_and_nobody_else(
    client: Client, url: str
) -> None:
    connection = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0))
    with connection:
        connection.sendall(b"GET /flood/999999999 HTTP/1.1\r\nHost: me\r\n\r\n")

        def sent() -> int:
            return int(client.get(url + "/flooded", {}).body)

        until(lambda: sent() and sent() == (time.sleep(0.2) or sent()))
        assert sent() < 64 << 20
        began = time.monotonic()
        assert run(fetch(url, "/stream/chunked/20/0.01")).events == 20
        assert time.monotonic() - began < 5


def test_an_upload_that_waits_to_be_asked_for_is_asked_for_once_there_is_a_container(
    client: Client, url: str
) -> None:
    async def upload(to: str) -> tuple[bytes, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(to).port)
        writer.write(
            b"POST /digest HTTP/1.1\r\nHost: me\r\nContent-Length: 3\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        first = await reader.readuntil(b"\r\n")
        if b"100" in first:
            await reader.readuntil(b"\r\n")
            writer.write(b"abc")
            second = await reader.readuntil(b"]")
        else:
            second = b""
        writer.close()
        return first, second

    first, second = run(upload(url))
    assert first == b"HTTP/1.1 100 Continue\r\n"
    assert second.startswith(b"HTTP/1.1 200 OK\r\n")
    assert hashlib.sha256(b"abc").hexdigest().encode() in second
    protected = deploy(client, "protected")
    assert run(upload(protected))[0] == b"HTTP/1.1 401 Unauthorized\r\n"


def test_too_much_of_a_header_is_refused_and_harms_nobody(url: str) -> None:
    many = {f"X-{number}": "1" for number in range(10_000)}
    long = {"X-Long": "x" * 200_000}
    for headers in (many, long):
        assert run(fetch(url, "/who", headers=headers)).status == 400
    assert run(fetch(url, "/" + "x" * 200_000)).status == 400
    fits = run(fetch(url, "/headers", headers={"X-Long": "x" * 30_000}))
    assert dict(fits.json())["X-Long"] == "x" * 30_000
    for garbage in (
        b"\x00\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 5) as connection:
            connection.sendall(garbage)
            assert connection.recv(100).split(b" ")[1] == b"400"
    assert run(fetch(url, "/who")).status == 200


def test_the_log_holds_no_words_of_a_malformed_request(client: Client, url: str) -> None:
    for line in (b"Authorization : Bearer sk-told", b"Modal-Secret: sk-told\x01"):
        with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 5) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\n" + line + b"\r\n\r\n")
            assert connection.recv(100).split(b" ")[1] == b"400"
    log = (client.plane.state_dir / "plane.log").read_text()
    assert "a malformed request was refused" in log
    assert "sk-told" not in log


def test_an_engine_that_hangs_up_without_an_answer_is_502(client: Client, url: str) -> None:
    for method in ("GET", "POST"):
        reply = run(fetch(url, "/silent", method=method, body=b"x" if method == "POST" else b""))
        assert reply.status == 502
        assert reply.body == b"modal-http: the container closed the connection\n"


def test_what_an_engine_may_have_begun_is_not_asked_of_it_again(url: str) -> None:
    before = int(run(fetch(url, "/silences")).body)
    assert run(fetch(url, "/silent")).status == 502
    assert int(run(fetch(url, "/silences")).body) == before + 1


async def pids(url: str) -> set[bytes]:
    """The engines that take requests, if there are not more than ten."""
    replies = await asyncio.gather(*(fetch(url, "/hold/0.05") for _ in range(10)))
    return {reply.body for reply in replies if reply.status == 200}


def test_a_request_that_one_container_refuses_is_taken_by_another(client: Client) -> None:
    # Its engine listens no more, and the container does not notice.
    url = deploy(client, "refusing", "min_containers=2, unauthenticated=True")
    until(lambda: len(run(pids(url))) == 2)
    engine = client.get(url + "/who", {}).json()["pid"]
    runner = int(_status(engine, "PPid"))
    os.kill(runner, signal.SIGSTOP)
    try:
        until(lambda: _status(runner, "State") == "T")
        os.kill(engine, signal.SIGKILL)
        until(lambda: _status(engine, "State") == "Z")
        for method in ("GET", "POST"):
            for _ in range(4):
                assert run(fetch(url, "/digest", method=method, body=b"")).status == 200
    finally:
        os.kill(runner, signal.SIGCONT)
        client.sdk("modal.App.lookup('refusing').stop()")


def test_a_container_never_has_more_than_its_maximum(client: Client) -> None:
    url = deploy(
        client,
        "full",
        "min_containers=2, max_containers=2, max_concurrency=5, unauthenticated=True",
    )
    until(lambda: len(run(pids(url))) == 2)

    async def crowd() -> tuple[list[Reply], list[Reply]]:
        replies = await asyncio.gather(*(fetch(url, "/hold/0.05") for _ in range(120)))
        return replies, await asyncio.gather(*(fetch(url, "/peak") for _ in range(10)))

    replies, counted = run(crowd())
    assert {reply.status for reply in replies} == {200, 429}
    assert sum(reply.status == 200 for reply in replies) >= 10
    assert {reply.headers.get("retry-after") for reply in replies if reply.status == 429} == {"1"}
    peaks = dict(reply.json() for reply in counted)
    assert len(peaks) == 2
    assert set(peaks.values()) == {5}


def test_a_websocket_passes_both_ways_with_its_close_codes(client: Client, url: str) -> None:
    async def talk() -> list[Any]:
        seen: list[Any] = []
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url + "/ws", protocols=["chat"]) as ws:
                seen.append(ws.protocol)
                await ws.send_str("héllo")
                seen.append((await ws.receive()).data)
                await ws.send_bytes(b"x" * 60_000)
                seen.append((await ws.receive()).data == b"x" * 60_000)
                await ws.send_str("bye")
                await ws.receive()
                seen.append(ws.close_code)
            async with session.ws_connect(url + "/ws") as ws:
                await ws.close(code=4567, message=b"enough")
        return seen

    assert run(talk()) == ["chat", "héllo", True, 4321]
    until(lambda: "the client closed with 4567" in client.logs("passing"))


def test_a_websocket_that_the_engine_refuses_is_an_ordinary_answer(url: str) -> None:
    async def talk() -> int:
        async with aiohttp.ClientSession() as session:
            try:
                await session.ws_connect(url + "/refusing-ws")
            except aiohttp.WSServerHandshakeError as refusal:
                return refusal.status
        return 0

    assert run(talk()) == 403


def test_a_websocket_whose_engine_is_killed_ends_without_a_close(client: Client) -> None:
    url = deploy(client, "sock-dying", "min_containers=1, unauthenticated=True")
    client.ready(url)

    async def talk() -> tuple[aiohttp.WSMsgType, int | None]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(url + "/ws", autoclose=False) as ws,
        ):
            await ws.send_str("die")
            return (await ws.receive()).type, ws.close_code

    kind, code = run(talk())
    assert kind in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    assert code in (None, 1006)
    client.sdk("modal.App.lookup('sock-dying').stop()")


def test_a_session_moves_only_when_its_container_goes(client: Client) -> None:
    url = deploy(client, "sticky", "min_containers=3, max_containers=3, unauthenticated=True")
    sessions = [f"session-{number}" for number in range(40)]

    async def homes() -> dict[str, int]:
        found = {}
        for session in sessions:
            reply = await fetch(url, "/who", headers={"Modal-Session-ID": session})
            found[session] = reply.json()["pid"] if reply.status == 200 else 0
        return found

    until(lambda: len(run(pids(url))) == 3)
    before = run(homes())
    gone = before[sessions[0]]
    os.kill(gone, signal.SIGKILL)
    until(lambda: gone not in run(homes()).values())
    after = run(homes())
    stayed = [s for s in sessions if before[s] != gone]
    # A new container takes its share; nobody moves from one of the old ones to the other.
    others = set(before.values()) - {gone}
    assert all(after[s] == before[s] or after[s] not in others for s in stayed)
    client.sdk("modal.App.lookup('sticky').stop()")


def _memory(client: Client) -> int:
    """Bytes that the plane uses; its peak is counted anew from here."""
    Path(f"/proc/{client.plane.pid}/clear_refs").write_text("5")
    return int(_status(client.plane.pid, "VmRSS")) << 10


def _peak_memory(client: Client) -> int:
    return int(_status(client.plane.pid, "VmHWM")) << 10


def _status(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{name}:")).split()[1]


def test_no_two_containers_are_given_one_port() -> None:
    claims = [claimed_port() for _ in range(300)]
    try:
        assert len({port for port, _ in claims}) == 300
    finally:
        for _, claim in claims:
            claim.close()
