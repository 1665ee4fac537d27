"""An app whose engine streams, breaks off and counts; and a client that sees how answers end."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.local.conftest import Client

APP = '''
import os, subprocess, sys, threading
import modal

ENGINE = r"""
import asyncio, base64, hashlib, json, os, signal, sys, time

sent = 0  # bytes written by floods
silences = 0  # requests that got no answer
now = peak = 0  # requests at once


async def answer(reader, writer):
    global now, peak
    try:
        head = (await reader.readuntil(b"\\r\\n\\r\\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    line, *lines = head.split("\\r\\n")
    method, path, _ = line.split(" ", 2)
    headers = [tuple(h.split(": ", 1)) for h in lines if h]
    by_name = {name.lower(): value for name, value in headers}
    now += 1
    peak = max(peak, now)
    try:
        await route(method, path.strip("/").split("/"), headers, by_name, reader, writer)
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        now -= 1
        writer.close()


def reply(writer, body, status="200 OK", more=""):
    head = f"HTTP/1.1 {status}\\r\\nContent-Length: {len(body)}\\r\\n{more}\\r\\n"
    writer.write(head.encode() + body)


async def body(by_name, reader):
    if "content-length" in by_name:
        left = int(by_name["content-length"])
        while left:
            piece = await reader.read(min(left, 1 << 16))
            if not piece:
                raise ConnectionError
            left -= len(piece)
            yield piece
    elif "chunked" in by_name.get("transfer-encoding", ""):
        while size := int(await reader.readline(), 16):
            yield await reader.readexactly(size)
            await reader.readexactly(2)


async def pieces(framing, count, gap, writer):
    texts = [b"data: %d\\n\\n" % number for number in range(count)]
    head = {"chunked": "HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n",
            "length": f"HTTP/1.1 200 OK\\r\\nContent-Length: {sum(map(len, texts))}\\r\\n\\r\\n",
            "closing": "HTTP/1.0 200 OK\\r\\n\\r\\n"}
    writer.write(head[framing].encode())
    for text in texts:
        writer.write(b"%x\\r\\n%s\\r\\n" % (len(text), text) if framing == "chunked" else text)
        await writer.drain()
        await asyncio.sleep(gap)
    if framing == "chunked":
        writer.write(b"0\\r\\n\\r\\n")


async def route(method, path, headers, by_name, reader, writer):
    global sent, silences
    match path:
        case ["who"]:
            reply(writer, json.dumps({"pid": os.getpid(), "mark": "MARK"}).encode())
        case ["stream", framing, count, gap]:
            await pieces(framing, int(count), float(gap), writer)
        case ["headers"]:
            hop = "Connection: X-Hop\\r\\nX-Hop: 1\\r\\n"
            reply(writer, json.dumps(headers).encode(), more=hop)
        case ["digest"]:
            digest, size = hashlib.sha256(), 0
            async for piece in body(by_name, reader):
                digest.update(piece)
                size += len(piece)
            reply(writer, json.dumps([size, digest.hexdigest()]).encode())
        case ["store", name]:
            try:
                async for piece in body(by_name, reader):
                    pass
            except (asyncio.IncompleteReadError, ConnectionError, ValueError):
                print("half of", name, flush=True)
            else:
                print("all of", name, flush=True)
                reply(writer, b"stored")
        case ["deaf", seconds]:
            await asyncio.sleep(float(seconds))
            reply(writer, b"heard nothing")
        case ["flood", size]:
            writer.write(f"HTTP/1.1 200 OK\\r\\nContent-Length: {size}\\r\\n\\r\\n".encode())
            sent = 0
            while sent < int(size):
                writer.write(bytes(1 << 16))
                sent += 1 << 16
                await writer.drain()
        case ["flooded"]:
            reply(writer, str(sent).encode())
        case ["hold", seconds]:
            await asyncio.sleep(float(seconds))
            reply(writer, str(os.getpid()).encode())
        case ["peak"]:
            reply(writer, json.dumps([os.getpid(), peak]).encode())
        case ["head"]:
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 1234\\r\\nX-Mine: 1\\r\\n\\r\\n")
        case ["nothing"]:
            writer.write(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
        case ["silent"]:
            silences += 1
        case ["silences"]:
            reply(writer, str(silences).encode())
        case ["ws"]:
            await websocket(by_name, reader, writer)
        case ["refusing-ws"]:
            reply(writer, b"no socket here", "403 Forbidden")
        case _:
            reply(writer, json.dumps([method, "/" + "/".join(path)]).encode())


async def websocket(by_name, reader, writer):
    key = by_name["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    writer.write(
        "HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
        f"Sec-WebSocket-Accept: {accept}\\r\\nSec-WebSocket-Protocol: chat\\r\\n\\r\\n".encode()
    )
    while True:
        first, length = await reader.readexactly(2)
        length &= 127
        if length == 126:
            length = int.from_bytes(await reader.readexactly(2))
        elif length == 127:
            length = int.from_bytes(await reader.readexactly(8))
        mask = await reader.readexactly(4)
        data = bytes(b ^ mask[i % 4] for i, b in enumerate(await reader.readexactly(length)))
        if first & 15 == 8:
            print("the client closed with", int.from_bytes(data[:2]), flush=True)
            return
        if data == b"bye":
            writer.write(bytes([0x88, 2]) + (4321).to_bytes(2))
            await writer.drain()
            await asyncio.sleep(1)
            return
        if data == b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        size = bytes([len(data)]) if len(data) < 126 else b"\\x7e" + len(data).to_bytes(2)
        writer.write(bytes([first]) + size + data)
        await writer.drain()


async def main():
    server = await asyncio.start_server(
        answer, "127.0.0.1", int(os.environ["PORT"]), backlog=1024, limit=1 << 20
    )
    await server.serve_forever()

asyncio.run(main())
"""

app = modal.App("NAME")

@app.server(ARGUMENTS)
class Server:
    @modal.enter()
    def start(self):
        port = os.environ["MODELCTL_PORT"]
        self.engine = subprocess.Popen(
            [sys.executable, "-c", ENGINE], env=os.environ | {"PORT": port}, start_new_session=True
        )
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        self.engine.wait()
        os._exit(3)

    @modal.exit()
    def stop(self):
        self.engine.terminate()
'''


def source(name: str, arguments: str = "", mark: str = "", *, fixed_port: bool = False) -> str:
    """The app as a file.

    With a fixed port it is one written by hand, which knows of no MODELCTL_PORT and does not notice
    when its engine ends.
    """
    app = APP.replace("NAME", name).replace("ARGUMENTS", arguments).replace("MARK", mark)
    if fixed_port:
        app = app.replace('os.environ["MODELCTL_PORT"]', '"8000"').replace("os._exit(3)", "pass")
    return app


def deploy(
    client: Client, name: str, arguments: str = "", mark: str = "", *, fixed_port: bool = False
) -> str:
    """Deploys it; its URL."""
    path = client.folder / f"{name.replace('-', '_')}.py"
    path.write_text(source(name, arguments, mark, fixed_port=fixed_port))
    client.sdk(f"load({str(path)!r}).app.deploy()")
    return client.url(name)


@dataclass
class Reply:
    """What came, and whether it ended as a whole answer does by the rules of HTTP."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    seconds: float = 0.0

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> int:
        return self.body.count(b"\n\n")


async def fetch(
    url: str,
    path: str,
    *,
    method: str = "GET",
    version: str = "1.1",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Reply:
    """One request over a connection of its own; never raises for what the other side does."""
    reply, began = Reply(), time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    except OSError:
        return reply
    given = {"Host": "127.0.0.1", **(headers or {})}
    if body:
        given["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    try:
        writer.write(f"{method} {path} HTTP/{version}\r\n{head}\r\n".encode() + body)
        await writer.drain()
        await read(reader, reply, method)
    except (OSError, asyncio.IncompleteReadError):
        reply.whole = False
    finally:
        writer.close()
        reply.seconds = time.monotonic() - began
    return reply


async def read(reader: asyncio.StreamReader, reply: Reply, method: str = "GET") -> None:
    """Reads an answer as far as it comes. Raises where it breaks off."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    reply.status = int(lines[0].split(" ")[1])
    for line in filter(None, lines[1:]):
        name, _, value = line.partition(": ")
        reply.headers[name.lower()] = value
    if method == "HEAD" or reply.status in (101, 204, 304):
        reply.whole = True
    elif "chunked" in reply.headers.get("transfer-encoding", ""):
        while True:
            line = await reader.readuntil(b"\r\n")
            if not (size := int(line, 16)):
                break
            reply.body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
        reply.whole = True
    elif "content-length" in reply.headers:
        left = int(reply.headers["content-length"])
        while left and (piece := await reader.read(left)):
            reply.body += piece
            left -= len(piece)
        reply.whole = not left
    else:
        while piece := await reader.read(1 << 16):
            reply.body += piece
        reply.whole = True  # the end of the connection; a reset raises
