"""How is each question of ours put to Modal? Through its public SDK, in one environment."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec.structs import replace

from modelctl.platform import building, guard, versions, weights, workspace
from modelctl.platform.again import again
from modelctl.platform.dicts import Dicts
from modelctl.platform.errors import speaking_of
from modelctl.platform.git import read_git_once
from modelctl.platform.here import SHELL_WAY_OUT, points_here
from modelctl.platform.loading import as_module
from modelctl.platform.types import (
    Billed,
    BuildFailed,
    Capabilities,
    CredentialsRefused,
    Deployed,
    Deployment,
    Details,
    Live,
    LiveApp,
    LogLine,
    Permission,
    PlatformError,
    Progress,
    Unreachable,
    silent,
)
from modelctl.platform.volumes import Volumes, entries
from modelctl.rendered import SERVER_CLASS, Rendered
from modelctl.resolved import Fetch, Scaling, Upload

if TYPE_CHECKING:
    import modal

_PROBE_SECONDS = 5.0


class ModalPlatform(Volumes):
    """The Platform that the SDK speaks to: Modal itself, or the local control plane.

    `variables` (MODAL_SERVER_URL and the like) are set in this process before the SDK is imported,
    because it reads some of them then; so a process can open one workspace only. `fetch_app`
    writes the app that fetches weights. `pinned` is an environment, as the project calls it, and
    the workspace that it must be in.
    """

    def __init__(
        self,
        environment: str | None,
        *,
        where: str = "",
        variables: Mapping[str, str] | None = None,
        capabilities: Capabilities | None = None,
        fetch_app: Callable[[Sequence[Fetch]], str] | None = None,
        pinned: tuple[str, str] | None = None,
    ) -> None:
        self._wanted_environment = environment
        self._where = where
        self._variables = dict(variables or {})
        self._fetch_app = fetch_app
        self._capabilities = capabilities or Capabilities(engines=None)
        self._environment: str = environment or ""
        self._handles: dict[str, modal.App] = {}
        self._pinned = pinned

    @property
    def environment(self) -> str:
        return self._environment

    @property
    def where(self) -> str:
        if self._where:
            return self._where
        named = self._environment
        environment = f"environment {named}" if named else "environment of this profile"
        return f"Modal {environment}" if self.paid else f"local control plane, {environment}"

    @property
    def paid(self) -> bool:
        return not (self._variables or points_here())

    def capabilities(self) -> Capabilities:
        return self._capabilities

    async def open(self) -> None:
        # What Modal refuses for now, the SDK would put again without an end.
        os.environ.setdefault("MODAL_MAX_THROTTLE_WAIT", "60")
        os.environ.update(self._variables)
        import modal
        from modal.config import config

        read_git_once()
        self._guards_calls = guard.watch_connections()

        if not (config.get("token_id") and config.get("token_secret")) and not config.get(
            "oauth_refresh_token"
        ):
            raise CredentialsRefused(
                "there are no Modal credentials",
                "run modal setup, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET; "
                "or use --local, which needs none",
            )
        # The SDK tries 18 times, for about a minute, before it says that nobody answers.
        await _probe(
            str(config.get("server_url")),
            SHELL_WAY_OUT
            if points_here() and not self._variables
            else "check the network; or use --local, which needs none",
        )
        if self._pinned is not None:
            await self._belongs(*self._pinned)
        if not self._environment:
            self._environment = config.get("environment") or "main"
        with speaking_of(f"looking for the environment {self._environment}"):
            self._modal_environment = modal.Environment.from_name(self._environment)
            await self._modal_environment.hydrate.aio()
        self._dicts = Dicts(self._environment)

    async def _belongs(self, environment: str, wanted: str) -> None:
        """Asked first, so that no advice is given about a workspace that is not meant."""
        found = await self.workspace()
        if found != wanted:
            raise CredentialsRefused(
                f"the credentials are of the workspace {found}, and {environment} is in {wanted}",
                f"use a token of {wanted}, or change workspace in modelctl.yaml",
            )

    def guard(self, permission: Permission | None) -> bool:
        guard.GUARD.ask(self, permission)
        return self._guards_calls

    @again
    async def observe(self) -> Live:
        with speaking_of("listing the apps"):
            apps = await self._modal_environment.apps.list.aio()
            found = {}
            for app in apps:
                if not app.name or not app.app_id:
                    continue
                info = await app.info.aio()
                self._handles[app.app_id] = app
                found[app.name] = LiveApp(
                    name=app.name,
                    app_id=app.app_id,
                    version=info.lifecycle.version or 0,
                    state=info.lifecycle.state.name.lower(),
                    deployed_at=info.lifecycle.deployed_at,
                    deployed_by=info.lifecycle.deployed_by or "",
                    servers=dict(info.servers),
                )
        return Live(self._environment, found)

    @again
    async def details(self, app: LiveApp) -> Details:
        with speaking_of(f"reading {app.name}"):
            if SERVER_CLASS not in app.servers:
                return Details(await self._handle(app).get_tags.aio(), url=None, scaling=None)
            server = self._server(app.name)
            tags, info, settings, containers = await asyncio.gather(
                self._handle(app).get_tags.aio(),
                server.info.aio(),
                server.autoscaler.settings.aio(),
                self.containers(app),
            )
        return Details(
            tags=tags,
            url=info.server_url,
            scaling=Scaling(
                min_containers=settings.min_containers or 0,
                max_containers=settings.max_containers or None,
                buffer_containers=settings.buffer_containers or 0,
                scaledown_window=settings.scaledown_window or 0,
                scaleup_window=settings.scaleup_window or None,
                target_concurrency=settings.target_concurrency or None,
            ),
            gpus=tuple(f"{kind}:{count}" if count > 1 else kind for kind, count in info.gpus),
            region=info.routing_region,
            containers=tuple(sorted(containers)),
        )

    @again
    async def containers(self, app: LiveApp) -> frozenset[str]:
        with speaking_of(f"listing the containers of {app.name}"):
            listed = await self._server(app.name)._experimental_list_containers.aio()
        return frozenset(container.container_id for container in listed)

    async def deploy(
        self, rendered: Rendered, *, tag: str, strategy: str, progress: Progress = silent
    ) -> Deployed:
        with (
            building.watched(progress) as build,
            _with_lines(build),
            speaking_of(f"deploying {rendered.name}"),
            as_module(rendered.module, rendered.text) as module,
        ):
            app: modal.App = module.app
            await app.deploy.aio(
                name=rendered.name,
                environment_name=self._environment,
                tag=tag,
                strategy=strategy,
            )
            url = await module.server.get_url.aio()  # the deployment told: no call
        assert app.app_id is not None
        self._handles[app.app_id] = app
        lifecycle = await self._lifecycle(rendered.name, app)
        return Deployed(app.app_id, lifecycle.version or 0, url, at=lifecycle.deployed_at)

    @again
    async def stop(self, app: LiveApp) -> None:
        with speaking_of(f"stopping {app.name}"):
            await self._handle(app).stop.aio()

    @again
    async def scale(self, app: LiveApp, scaling: Scaling) -> None:
        # What is unset is left out: to the autoscaler, a target of None means not to scale at all.
        optional: dict[str, Any] = {
            name: value
            for name in ("scaleup_window", "target_concurrency")
            if (value := getattr(scaling, name)) is not None
        }
        with speaking_of(f"scaling {app.name}"):
            await self._server(app.name).autoscaler.update.aio(
                min_containers=scaling.min_containers,
                max_containers=scaling.max_containers,
                buffer_containers=scaling.buffer_containers,
                scaledown_window=scaling.scaledown_window,
                **optional,
            )

    @again
    async def history(self, app: LiveApp) -> Sequence[Deployment]:
        return await versions.history(app.name, app.app_id)

    async def roll_back(self, app: LiveApp, version: int, tags: Mapping[str, str]) -> LiveApp:
        await versions.roll_back(app.name, app.app_id, version)
        # They belong to the app: without this they would be those of the version that is gone.
        await self.set_tags(app, tags)
        return await self._again(app)

    async def roll_over(self, app: LiveApp) -> LiveApp:
        await versions.roll_over(app.name, app.app_id)
        return await self._again(app)

    async def _again(self, app: LiveApp) -> LiveApp:
        lifecycle = await self._lifecycle(app.name, self._handle(app))
        return replace(
            app,
            version=lifecycle.version or 0,
            state=lifecycle.state.name.lower(),
            deployed_at=lifecycle.deployed_at,
        )

    @again
    async def _lifecycle(self, name: str, app: modal.App) -> modal.types.AppLifecycle:
        with speaking_of(f"reading {name}"):
            return (await app.info.aio(refresh=True)).lifecycle

    async def look(self, app: LiveApp) -> LiveApp:
        return await self._again(app)

    @again
    async def set_tags(self, app: LiveApp, tags: Mapping[str, str]) -> None:
        with speaking_of(f"tagging {app.name}"):
            await self._handle(app).set_tags.aio(tags)

    @again
    async def workspace(self) -> str:
        return await workspace.name()

    async def upload(self, upload: Upload, progress: Progress) -> int:
        volume = self._volume(upload.volume, create=True)
        with speaking_of(f"uploading to the Volume {upload.volume}"):
            there = {
                entry.path.lstrip("/"): entry.size for entry in await entries(volume, upload.prefix)
            }
            missing = [
                file
                for file in upload.files
                if there.get(_join(upload.prefix, file.path).lstrip("/")) != file.size
            ]
            if not missing:
                return 0
            amount = sum(file.size for file in missing)
            files = f"{len(missing)} file{'' if len(missing) == 1 else 's'}"
            progress(f"uploading {files}, {amount / 1e6:,.0f} MB")
            # One batch is one commit: a broken upload leaves nothing that looks whole.
            async with volume.batch_upload(force=True) as batch:
                for file in missing:
                    batch.put_file(
                        str(Path(upload.root) / file.path), _join(upload.prefix, file.path)
                    )
        return amount

    @again
    async def fetched(self, fetch: Fetch) -> bool:
        with speaking_of(f"reading the Volume {fetch.volume}"):
            volume = self._volume(fetch.volume, create=True)
            content, listed = await asyncio.gather(
                self.read(fetch.volume, f"{fetch.prefix}{weights.MANIFEST}"),
                entries(volume, fetch.prefix),
            )
        base = fetch.prefix.strip("/") + "/"
        sizes = {entry.path.strip("/").removeprefix(base): entry.size for entry in listed}
        return weights.covers(weights.decode_manifest(content), sizes, fetch)

    async def fetch(self, fetches: Sequence[Fetch], progress: Progress) -> int:
        assert self._fetch_app is not None
        first = fetches[0]
        files = {f.path: f.size for fetch in fetches for f in weights.files_of(fetch)}
        total = sum(files.values())
        many = f"{len(files)} file" + ("" if len(files) == 1 else "s")
        progress(f"fetching {many}, {weights.amount(total)}")
        name = f"modelctl_fetch_{hashlib.sha256(first.prefix.encode()).hexdigest()[:12]}"
        try:
            with (
                speaking_of("running the app that fetches it"),
                as_module(name, self._fetch_app(fetches)) as module,
            ):
                answer = await weights.run_app(module, self._environment, total, many, progress)
        except PlatformError as problem:
            raise weights.not_fetched(first, problem) from problem
        if (refusal := weights.refusal(first, answer)) is not None:
            raise refusal
        return int(str(answer["fetched"]))

    @again
    async def secrets(self) -> frozenset[str]:
        return await workspace.secret_names(self._environment)

    @again
    async def rates(self) -> Mapping[str, float]:
        return await workspace.rates()

    @again
    async def billed(self, since: datetime, until: datetime, *, hourly: bool) -> tuple[Billed, ...]:
        return await workspace.billed(self._modal_environment, since, until, hourly=hourly)

    async def dict_items(self, name: str) -> Mapping[str, str]:
        return await self._dicts.items(name)

    async def dict_put(self, name: str, key: str, value: str, *, if_absent: bool = False) -> bool:
        return await self._dicts.put(name, key, value, if_absent=if_absent)

    async def dict_pop(self, name: str, key: str) -> None:
        await self._dicts.pop(name, key)

    async def logs(self, app: LiveApp, *, tail: int, follow: bool) -> AsyncIterator[LogLine]:
        with speaking_of(f"reading the logs of {app.name}"):
            manager = self._handle(app).logs
            if tail:
                async for entry in manager.tail.aio(tail):
                    yield _log_line(entry)
            if follow:
                async for entry in manager.stream.aio():
                    yield _log_line(entry)

    def _handle(self, app: LiveApp) -> modal.App:
        return self._handles[app.app_id]

    def _server(self, name: str) -> modal.Server:
        import modal

        return modal.Server.from_name(name, SERVER_CLASS, environment_name=self._environment)


def _log_line(entry: Any) -> LogLine:
    container = next((id_ for id_ in entry.context_ids if id_.startswith("ta-")), "")
    return LogLine(entry.timestamp, entry.source, entry.message, container)


def _join(prefix: str, path: str) -> str:
    return f"{prefix.rstrip('/')}/{path}"


@contextmanager
def _with_lines(build: building.Build) -> Iterator[None]:
    try:
        yield
    except BuildFailed as problem:
        problem.lines = build.lines
        raise


async def _probe(server_url: str, hint: str) -> None:
    """Say within seconds that nobody answers. `server_url` may be a list with commas; `hint` is the
    way out.
    """
    for url in server_url.split(","):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            return  # a Unix socket: opening it is immediate anyway
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            _, writer = await asyncio.wait_for(
                asyncio.open_connection(parts.hostname, port), _PROBE_SECONDS
            )
        except (OSError, TimeoutError):
            continue
        writer.close()
        return
    raise Unreachable(
        f"nobody answers at {server_url}",
        hint,
    )
