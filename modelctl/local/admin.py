"""What does the plane answer over plain HTTP? Uploads, downloads, its health, its call log."""

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from modelctl.local.calls import CallLog
from modelctl.local.controls import Controls, shows
from modelctl.local.keeping.content import Content, Signer, arriving
from modelctl.local.keeping.ids import new_id
from modelctl.local.keeping.places import Places, from_segment

_STEP = 1 << 20


class Admin:
    """The handlers behind `admin_url`."""

    def __init__(
        self,
        content: Content,
        places: Places,
        signer: Signer,
        call_log: CallLog,
        token_secret: str,
        controls: Controls,
        health: Mapping[str, Any],
        capabilities: Mapping[str, Any],
    ) -> None:
        self._content = content
        self._places = places
        self._signer = signer
        self._calls = call_log
        self._token_secret = token_secret
        self._controls = controls
        self._health = health
        self._capabilities = capabilities

    def application(self) -> web.Application:
        app = web.Application(client_max_size=1 << 50)
        app.router.add_get("/health", self._get_health)
        app.router.add_get("/capabilities", self._get_capabilities)
        app.router.add_get("/calls", self._get_calls)
        app.router.add_put("/blobs/{blob}", self._put_blob)
        app.router.add_get("/blobs/{blob}", self._get_blob)
        app.router.add_put("/blocks/{sha}", self._put_block)
        app.router.add_get(r"/volumes/{volume}/{first:\d+}-{last:\d+}/{path}", self._get_range)
        app.router.add_routes(self._controls.routes())
        return app

    async def _get_health(self, _: web.Request) -> web.Response:
        return web.json_response(dict(self._health))

    async def _get_capabilities(self, _: web.Request) -> web.Response:
        return web.json_response(dict(self._capabilities))

    async def _get_calls(self, request: web.Request) -> web.Response:
        if not shows(request, self._token_secret):
            return web.Response(status=401, text="The call log needs the plane's token secret.\n")
        try:
            since = int(request.query.get("since", "0"))
        except ValueError:
            return web.Response(status=400, text="since must be the number of a call.\n")
        limit = request.query.get("limit")
        if limit is not None and not limit.isdecimal():
            return web.Response(status=400, text="limit must be a number of calls.\n")
        found = await self._calls.as_json(
            since, request.query.get("method"), None if limit is None else int(limit)
        )
        return web.Response(text=found, content_type="application/json")

    def _check_key(self, request: web.Request) -> None:
        if not self._signer.valid(request.rel_url.raw_path, request.query.get("key", "")):
            raise web.HTTPForbidden(text="This address is not one that the plane gave out.\n")

    async def _put_blob(self, request: web.Request) -> web.Response:
        self._check_key(request)
        target = self._content.blob(request.match_info["blob"])
        md5, sha256 = await _receive(request, target, self._content)
        digest = target.with_suffix(".sha256")
        digest.write_text(sha256)
        self._content.stamp(digest)
        return web.Response(headers={"ETag": f'"{md5}"'})

    async def _get_blob(self, request: web.Request) -> web.StreamResponse:
        self._check_key(request)
        path = self._content.blob(request.match_info["blob"])
        if not path.is_file():
            return web.Response(status=404)
        return web.FileResponse(path)

    async def _put_block(self, request: web.Request) -> web.Response:
        self._check_key(request)
        sha = request.match_info["sha"]
        blob_id = new_id("bl")
        target = self._content.blob(blob_id)
        md5, received = await _receive(request, target, self._content)
        if received != sha:
            target.unlink()
            return web.Response(status=400, text=f"The block does not have the sha256 {sha}.\n")
        target.with_suffix(".sha256").write_text(sha)
        self._content.adopt(sha, blob_id)
        return web.Response(body=bytes.fromhex(md5))  # comes back as proof of the upload

    async def _get_range(self, request: web.Request) -> web.StreamResponse:
        self._check_key(request)
        volume, path = request.match_info["volume"], from_segment(request.match_info["path"])
        first, last = int(request.match_info["first"]), int(request.match_info["last"])
        try:
            file = self._places.place(volume, path).open("rb")
        except OSError:
            return web.Response(status=404)
        with file:
            file.seek(first)
            response = web.StreamResponse()
            response.content_length = last - first
            await response.prepare(request)
            for start in range(first, last, _STEP):
                await response.write(await asyncio.to_thread(file.read, min(_STEP, last - start)))
            return response


async def _receive(request: web.Request, target: Path, content: Content) -> tuple[str, str]:
    """Writes the body to a file as it comes in; its md5 and its sha256."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with arriving(target) as partial:
        with partial.open("wb") as out:

            def absorb(chunk: bytes) -> None:
                out.write(chunk)
                md5.update(chunk)
                sha256.update(chunk)

            async for chunk in request.content.iter_chunked(_STEP):
                await asyncio.to_thread(absorb, chunk)
        content.stamp(partial)
    return md5.hexdigest(), sha256.hexdigest()
