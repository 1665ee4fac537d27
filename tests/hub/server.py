"""How does the Hub behave? A real HTTP server with the routes that its own client uses.

It answers as the Hub does: listings with hashes, redirects of large files to another host with the
hash in a header, ranges, private and gated repositories, unknown ones that look like private ones,
and new names of renamed ones. And it fails as networks do, where a test says so.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote, urlsplit

from msgspec.structs import replace

from tests.hub.content import Stored, commit_of, stored

_API = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)(?:/revision/(?P<revision>[^/]+))?")
_TREE = re.compile(r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)")
_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
_LARGE = re.compile(r"/large/(?P<repo>[^/]+/[^/]+)/(?P<commit>[0-9a-f]{40})/(?P<path>.+)")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_CHUNK = 64 * 2**10


@dataclass
class Repo:
    """`commits` holds every listing by its commit; `refs` says where branches and tags are.

    `members` are the tokens that may see a private repository, or read a gated one's files.
    """

    commits: dict[str, dict[str, Stored]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    private: bool = False
    gated: Literal[False, "auto", "manual"] = False
    members: frozenset[str] = frozenset()
    moved_to: str = ""


@dataclass
class Fault:
    """What goes wrong for the paths that a glob names, `times` times (None: until it is cleared).

    `status` is answered instead; `wait` are seconds before each answer, and `per_second` is how
    fast a body comes; `cut` ends a body after so many bytes without ending the answer; `wrong`
    turns a body's bytes over, its length is true; `whole` sends all of a file whatever range was
    asked for.
    """

    path: str
    status: int = 0
    wait: float = 0.0
    per_second: int = 0
    cut: int | None = None
    wrong: bool = False
    whole: bool = False
    times: int | None = None
    met: int = 0


@dataclass
class Asked:
    """One request, and what went out for it so far. `start` is the first byte asked for."""

    method: str
    path: str
    status: int = 0
    sent: int = 0
    start: int = 0
    token: str = ""


class Hub:
    """A Hub that is up from the beginning. Its address is for HF_ENDPOINT."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.tokens: set[str] = set()
        self.log: list[Asked] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self.port = 0
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def elsewhere(self) -> str:
        """The host that large files come from, where no token belongs."""
        return f"http://localhost:{self.port}"

    @property
    def variables(self) -> dict[str, str]:
        """What a program needs in its environment to use this Hub and no other."""
        return {"HF_ENDPOINT": self.url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_ETAG_TIMEOUT": "5"}

    def add(
        self,
        repo: str,
        files: Mapping[str, bytes | str | Path] | Path,
        *,
        revision: str = "main",
        private: bool = False,
        gated: Literal[False, "auto", "manual"] = False,
        members: tuple[str, ...] = (),
    ) -> str:
        """Put a commit on a branch and return its id; earlier commits stay.

        `files` is a folder, or content by path: bytes, text, or the path of a file on disk.
        """
        listing = stored(files)
        commit = commit_of(repo, listing)
        with self._lock:
            kept = self.repos.setdefault(repo, Repo())
            kept.commits[commit] = listing
            kept.refs[revision] = commit
            kept.private, kept.gated = private, gated
            kept.members = frozenset(members)
            self.tokens |= kept.members
        return commit

    def rename(self, repo: str, new: str) -> None:
        self.repos[new] = self.repos[repo]
        self.repos[repo] = Repo(moved_to=new)

    def fault(self, path: str = "*", **what: Any) -> Fault:
        """From now on something goes wrong: `hub.fault("*/model.safetensors", cut=1000, times=1)`.

        The glob is held against the path of the URL as it was asked for.
        """
        fault = Fault(path, **what)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        self._faults.clear()

    def down(self) -> None:
        """Nobody listens any more: connections are refused, and running answers break off."""
        if self._server is not None:
            self._server.end()
            self._server = None

    def up(self) -> None:
        if self._server is None:
            self._server = _Server(self, self.port)
            self.port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @contextlib.contextmanager
    def out(self) -> Iterator[None]:
        """Down for a while."""
        self.down()
        try:
            yield
        finally:
            self.up()

    def asked(self, path: str = "*", method: str = "*", since: int = 0) -> list[Asked]:
        """The requests so far for the paths that a glob names."""
        with self._lock:
            return [
                a
                for a in self.log[since:]
                if fnmatch.fnmatch(a.path, path) and fnmatch.fnmatch(a.method, method)
            ]

    def sent(self, path: str = "*", since: int = 0) -> int:
        """The bytes of bodies that went out for the paths that a glob names."""
        return sum(a.sent for a in self.asked(path, "GET", since))

    def noted(self, asked: Asked) -> None:
        with self._lock:
            self.log.append(asked)

    def met(self, path: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                spent = fault.times is not None and fault.met >= fault.times
                if not spent and fnmatch.fnmatch(path, fault.path):
                    fault.met += 1
                    return replace(fault)
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, hub: Hub, port: int) -> None:
        self.hub = hub
        self.open: set[Any] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def end(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(2)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left, or was left: no news."""


class _Stop(Exception):
    """The answer was given: nothing follows."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.open.add(self.connection)

    def finish(self) -> None:
        self.server.open.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """The log is `Hub.log`."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        split = urlsplit(self.path)
        self.asked = Asked(self.command, unquote(split.path), token=self._token)
        self.server.hub.noted(self.asked)
        self.fault = self.server.hub.met(unquote(split.path))
        try:
            if self.fault is not None:
                time.sleep(self.fault.wait)
                if self.fault.status:
                    self._refuse(self.fault.status, "", "The Hub is not well")
            self._route(split.path, parse_qs(split.query))
        except _Stop:
            pass
        except OSError:
            self.close_connection = True

    @property
    def _token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def _route(self, path: str, query: Mapping[str, list[str]]) -> None:
        if found := _LARGE.fullmatch(path):
            repo = self.server.hub.repos[found["repo"]]
            self._file(repo.commits[found["commit"]][unquote(found["path"])], found["commit"])
        if found := _TREE.fullmatch(path):
            repo, commit = self._repo(path, found["repo"], found["revision"])
            self._json([_leaf(file) for file in repo.commits[commit].values()])
        if found := _API.fullmatch(path):
            repo, commit = self._repo(path, found["repo"], found["revision"])
            self._json(_listing(found["repo"], repo, commit, blobs="blobs" in query))
        if found := _FILE.fullmatch(path):
            repo, commit = self._repo(path, found["repo"], found["revision"])
            if repo.gated and self._token not in repo.members:
                text = f"Access to model {found['repo']} is restricted."
                self._refuse(403 if self._token else 401, "GatedRepo", text)
            file = repo.commits[commit].get(unquote(found["path"]))
            if file is None:
                self._refuse(404, "EntryNotFound", "Entry not found", commit)
            self._resolve(found["repo"], file, commit)
        self._refuse(404, "", "Sorry, we can't find the page you are looking for.")

    def _repo(self, path: str, name: str, revision: str | None) -> tuple[Repo, str]:
        hub, token = self.server.hub, self._token
        if token and token not in hub.tokens:
            self._refuse(401, "", "Invalid credentials in Authorization header")
        repo = hub.repos.get(name)
        if repo is None or (repo.private and token not in repo.members):
            if token:
                self._refuse(404, "RepoNotFound", "Repository not found")
            self._refuse(401, "", "Invalid username or password.")
        assert repo is not None
        if repo.moved_to:
            there = self.path.replace(name, repo.moved_to, 1)  # with its query
            self._head(307, {"Location": there, "Content-Length": 0})
            raise _Stop
        wanted = unquote(revision or "main")
        commit = wanted if wanted in repo.commits else repo.refs.get(wanted)
        if commit is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {wanted}")
        assert commit is not None
        return repo, commit

    def _resolve(self, name: str, file: Stored, commit: str) -> None:
        if not file.lfs:
            self._file(file, commit)
        location = f"{self.server.hub.elsewhere}/large/{name}/{commit}/{quote(file.path)}"
        headers = {
            "Location": location,
            "X-Repo-Commit": commit,
            "X-Linked-Size": file.size,
            "X-Linked-Etag": f'"{file.sha256}"',
            "Content-Length": 0,
        }
        self._head(302, headers)
        raise _Stop

    def _file(self, file: Stored, commit: str) -> None:
        headers: dict[str, object] = {
            "ETag": f'"{file.etag}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        start, end, status = 0, file.size, 200
        ranges = self.fault is None or not self.fault.whole
        if ranges and (asked := _RANGE.fullmatch(self.headers.get("Range", ""))):
            start = int(asked[1])
            end = min(file.size, int(asked[2]) + 1 if asked[2] else file.size)
            status = 206
            if start >= file.size:
                self._head(416, {"Content-Range": f"bytes */{file.size}", "Content-Length": 0})
                raise _Stop
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
        self.asked.start = start
        self._head(status, {**headers, "Content-Length": end - start})
        if self.command == "GET":
            self._body(file, start, end)
        raise _Stop

    def _body(self, file: Stored, start: int, end: int) -> None:
        fault = self.fault or Fault("")
        chunk = _CHUNK if not fault.per_second else max(1, min(_CHUNK, fault.per_second // 20))
        while start < end:
            part = file.read(start, min(chunk, end - start))
            if fault.wrong:
                part = bytes(255 - byte for byte in part)
            cut = fault.cut is not None and self.asked.sent + len(part) > fault.cut
            if cut:
                part = part[: (fault.cut or 0) - self.asked.sent]
            self.asked.sent += len(part)
            self.wfile.write(part)
            if cut:
                self.close_connection = True
                return
            start += len(part)
            if fault.per_second:
                time.sleep(len(part) / fault.per_second)

    def _json(self, data: object) -> None:
        body = json.dumps(data).encode()
        self._head(200, {"Content-Type": "application/json", "Content-Length": len(body)})
        self.asked.sent = len(body)
        self.wfile.write(body)
        raise _Stop

    def _refuse(self, status: int, code: str, message: str, commit: str = "") -> None:
        body = json.dumps({"error": message}).encode()
        headers: dict[str, object] = {
            "Content-Type": "application/json",
            "Content-Length": len(body),
            "X-Error-Message": message,
        }
        if code:
            headers["X-Error-Code"] = code
        if commit:
            headers["X-Repo-Commit"] = commit
        self._head(status, headers)
        if self.command == "GET":
            self.wfile.write(body)
        raise _Stop

    def _head(self, status: int, headers: Mapping[str, object]) -> None:
        self.asked.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()


def _listing(name: str, repo: Repo, commit: str, *, blobs: bool) -> dict[str, object]:
    return {
        "id": name,
        "modelId": name,
        "sha": commit,
        "private": repo.private,
        "gated": repo.gated,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": [file.sibling(blobs=blobs) for file in repo.commits[commit].values()],
    }


def _leaf(file: Stored) -> dict[str, object]:
    leaf: dict[str, object] = {
        "type": "file",
        "path": file.path,
        "size": file.size,
        "oid": file.git_sha1,
    }
    if file.lfs:
        leaf["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 134}
    return leaf
