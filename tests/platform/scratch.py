"""Where do the contract's cases try things? In an environment of their own, gone afterwards."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import modal

from modelctl.local.assumptions import ASSUMPTIONS
from modelctl.platform.sdk import ModalPlatform
from modelctl.platform.types import Deployed, LiveApp
from modelctl.rendered import TAG_DIGEST, TAG_PROJECT, Rendered
from tests.making import resolved

T = TypeVar("T")

ENVIRONMENT = "MODELCTL_CONTRACT_ENVIRONMENT"
LOCAL_SECONDS, MODAL_SECONDS = 30.0, 300.0

APP = '''
import http.server, os, subprocess, sys, time
import modal

ENGINE = """
import http.server, os

class Engine(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"MARK")

port = int(os.environ.get("MODELCTL_PORT", "8000"))
host = os.environ.get("MODELCTL_HOST", "0.0.0.0")
http.server.ThreadingHTTPServer((host, port), Engine).serve_forever()
"""

app = modal.App("NAME", tags=TAGS)


class Server:
    @modal.enter()
    def start(self):
        print("said MARK", flush=True)
        time.sleep(SLEEP)
        self.engine = subprocess.Popen([sys.executable, "-c", ENGINE])

    @modal.exit()
    def stop(self):
        self.engine.terminate()


server = app.server(
    image=modal.Image.debian_slim(), cpu=0.125, memory=128, startup_timeout=120, port=8000,
    min_containers=MIN, max_containers=MAX, scaledown_window=60, exit_grace_period=2,
    unauthenticated=OPEN,
)(Server)
'''


@dataclass
class Scratch:
    """One platform, and all that was made with it. Names are random, so that runs do not meet.

    `answers` is what was seen of the rules that nobody could check: question → whether it held.
    """

    platform: ModalPlatform
    seconds: float
    mark: str = field(default_factory=lambda: f"contract-{secrets.token_hex(3)}")
    answers: dict[str, bool] = field(default_factory=dict)
    volumes: list[str] = field(default_factory=list)
    dicts: list[str] = field(default_factory=list)

    def name(self, what: str) -> str:
        return f"{self.mark}-{what}"

    def volume(self, what: str) -> str:
        self.volumes.append(self.name(what))
        return self.volumes[-1]

    def dict(self, what: str) -> str:
        self.dicts.append(self.name(what))
        return self.dicts[-1]

    def saw(self, question: str, held: bool) -> None:
        """What a case saw of an assumption; one that did not hold once, does not hold."""
        assert question in {one.rule for one in ASSUMPTIONS}, question
        self.answers[question] = held and self.answers.get(question, True)

    def rendered(
        self,
        what: str,
        digest: str = "d1",
        *,
        keep_warm: int = 0,
        most: int = 2,
        sleep: float = 0.0,
        mark: str = "one",
        open_to_all: bool = False,
    ) -> Rendered:
        name = self.name(what)
        tags = {TAG_PROJECT: self.mark, TAG_DIGEST: digest}
        text = APP
        for word, value in {
            "NAME": name,
            "TAGS": repr(tags),
            "MARK": mark,
            "SLEEP": repr(sleep),
            "MIN": repr(keep_warm),
            "MAX": repr(most),
            "OPEN": repr(open_to_all),
        }.items():
            text = text.replace(word, value)
        module = f"serve_{name.replace('-', '_')}"
        return Rendered(name, module, text, digest, tags, resolved(name))

    async def deployed(self, rendered: Rendered) -> tuple[Deployed, LiveApp]:
        """What the deployment answered, and the app as the list shows it."""
        made = await self.platform.deploy(rendered, tag=rendered.digest, strategy="rolling")
        return made, await self.live(rendered.name)

    async def live(self, name: str) -> LiveApp:
        return (await self.platform.observe()).apps[name]

    async def until(self, look: Callable[[], Awaitable[T]]) -> T:
        """Look until there is something; what there is."""
        deadline = time.monotonic() + self.seconds
        while not (found := await look()):
            assert time.monotonic() < deadline, "it did not come to that in time"
            await asyncio.sleep(0.2)
        return found

    async def containers(self, app: LiveApp) -> frozenset[str]:
        return await self.until(lambda: self.platform.containers(app))


async def opened() -> tuple[Scratch, Callable[[], Awaitable[None]]]:
    """A scratch in the environment that is named, else in a new one; and what cleans up."""
    given = os.environ.get(ENVIRONMENT)
    on_modal = "MODAL_SERVER_URL" not in os.environ
    name = given or f"modelctl-contract-{secrets.token_hex(3)}"
    if not given:
        await modal.Environment.objects.create.aio(name)
    platform = ModalPlatform(name)
    scratch = Scratch(platform, MODAL_SECONDS if on_modal else LOCAL_SECONDS)

    async def clean() -> None:
        await _emptied(scratch)
        if not given:
            await modal.Environment.objects.delete.aio(name)

    try:
        await platform.open()
    except BaseException:
        await clean()
        raise
    return scratch, clean


async def _emptied(scratch: Scratch) -> None:
    """What one thing refuses must not keep the others."""
    environment = scratch.platform.environment

    async def tried(doing: Awaitable[object]) -> None:
        try:
            await doing
        except Exception as error:
            print(f"left behind in {environment}: {error}", file=sys.stderr)

    for app in await modal.Environment.from_name(environment).apps.list.aio():
        if (app.name or "").startswith(scratch.mark):
            await tried(app.stop.aio())
    for name in scratch.volumes:
        await tried(
            modal.Volume.objects.delete.aio(name, environment_name=environment, allow_missing=True)
        )
    for name in scratch.dicts:
        await tried(
            modal.Dict.objects.delete.aio(name, environment_name=environment, allow_missing=True)
        )
