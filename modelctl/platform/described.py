"""What does Modal tell of the servers of an app that others deployed?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from modelctl.platform.errors import speaking_of
from modelctl.platform.types import LiveApp
from modelctl.resolved import Bucket, Mount, Scaling


class Described(Struct, frozen=True):
    """A class of an app that Modal gives a URL. Seconds, cores, MiB; None for Modal's default.

    `volumes` whose name is not known have "" for it; `secrets` are names, and `nameless`
    is how many more there are. `gpus` are Modal's own strings in order, and `nodes` is how many
    containers serve one copy.
    """

    name: str
    url: str
    gpus: tuple[str, ...]
    cpu: float | None
    memory: int | None
    disk: int | None
    nodes: int
    scaling: Scaling
    unauthenticated: bool
    region: str | None
    compute_regions: tuple[str, ...]
    cloud: str | None
    nonpreemptible: bool
    startup_timeout: int
    drain: int | None
    volumes: tuple[Mount, ...]
    buckets: tuple[Bucket, ...]
    secrets: tuple[str, ...]
    nameless: int


async def described(app: LiveApp, environment: str) -> tuple[Described, ...]:
    """Every server of an app, by name. The platform that the app comes from is open."""
    with speaking_of(f"reading {app.name}"):
        found = await asyncio.gather(
            *(_server(app.name, name, environment) for name in sorted(app.servers))
        )
    return tuple(found)


async def _server(app: str, name: str, environment: str) -> Described:
    import modal

    server = modal.Server.from_name(app, name, environment_name=environment)
    info, settings = await asyncio.gather(server.info.aio(), server.autoscaler.settings.aio())
    # Modal tells ids; who may see the app may list the names.
    volumes = await _names(modal.Volume, environment) if info.volumes else {}
    secrets = await _names(modal.Secret, environment) if info.secrets else {}
    return Described(
        name=name,
        url=info.server_url,
        gpus=tuple(f"{kind}:{count}" if count > 1 else kind for kind, count in info.gpus),
        cpu=_request(info.cpu),
        memory=_request(info.memory_mib),
        disk=info.ephemeral_disk_mib,
        nodes=info.cluster_info.size if info.cluster_info else 1,
        scaling=Scaling(
            min_containers=settings.min_containers or 0,
            max_containers=settings.max_containers or None,
            buffer_containers=settings.buffer_containers or 0,
            scaledown_window=settings.scaledown_window or 0,
            scaleup_window=settings.scaleup_window or None,
            target_concurrency=settings.target_concurrency or None,
        ),
        unauthenticated=info.unauthenticated,
        region=info.routing_region,
        compute_regions=tuple(info.compute_regions or ()),
        cloud=info.cloud,
        nonpreemptible=info.nonpreemptible,
        startup_timeout=info.startup_timeout,
        drain=info.exit_grace_period,
        volumes=tuple(
            Mount(
                path,
                mount.name or volumes.get(mount.volume_id or "", ""),
                read_only=mount.read_only,
            )
            for path, mount in info.volumes.items()
        ),
        buckets=tuple(_buckets(info.cloud_bucket_mounts.items())),
        secrets=tuple(secrets[one] for one in info.secrets if one in secrets),
        nameless=sum(one not in secrets for one in info.secrets),
    )


async def _names(kind: Any, environment: str) -> dict[str, str]:
    """The names of all Volumes or Secrets of an environment, by their ids."""
    listed = await kind.objects.list.aio(environment_name=environment)
    return {one.object_id: one.name for one in listed if one.name}


def _request(value: Any) -> Any:
    """What is asked for, without the limit that may stand beside it."""
    return (value[0] if isinstance(value, tuple) else value) or None


def _buckets(mounts: Iterable[tuple[str, Any]]) -> Iterable[Bucket]:
    schemes = {"s3": "s3", "r2": "r2", "gcp": "gs"}
    for path, mount in mounts:
        name = f"{schemes[mount.bucket_type]}://{mount.bucket_name}"
        yield Bucket(path, name, mount.read_only, mount.key_prefix)
