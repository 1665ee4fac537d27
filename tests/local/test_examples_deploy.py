"""Every example deploys in one go, and what it says is what the plane was told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from modal_proto import api_pb2

from modelctl.render import render
from modelctl.resolved import Resolved
from tests.local.conftest import Client
from tests.render.examples import NAMES, example

SECRETS = {
    "partner-api-key": ["API_KEY"],
    "aws-models": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
    "aws-logs": ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
}
DEPLOY = """
import asyncio

async def all_of_them():
    await asyncio.gather(*(load(path).app.deploy.aio() for path in PATHS))

asyncio.run(all_of_them())
result = {name: modal.Server.from_name(name, "Server").get_url() for name in NAMES}
"""


@pytest.fixture(scope="module")
def deployed(client: Client) -> Iterator[dict[str, str]]:
    """The URL of every example, on a plane that has what they name. None is kept warm here."""
    for name, keys in SECRETS.items():
        client.sdk(f"modal.Secret.objects.create({name!r}, {dict.fromkeys(keys, 'x')})")
    client.sdk("modal.Volume.objects.create('team-models')")
    paths = []
    for name in NAMES:
        rendered = render(example(name))
        path = client.folder / f"{rendered.module}.py"
        path.write_text(rendered.text.replace("min_containers=1,", "min_containers=0,"))
        paths.append(str(path))
    yield client.sdk(DEPLOY.replace("PATHS", repr(paths)).replace("NAMES", repr(NAMES)))
    client.sdk(f"for name in {NAMES!r}: modal.App.lookup(name).stop()")


def asked(client: Client, name: str) -> api_pb2.FunctionData:
    """What the plane was told of an example's server."""
    function = client.rpc(
        "FunctionGet",
        api_pb2.FunctionGetRequest(app_name=name, object_tag="Server", environment_name="main"),
    )
    data: api_pb2.FunctionData = function.function
    return data


def test_each_has_a_url_of_its_own(deployed: dict[str, str]) -> None:
    assert sorted(deployed) == NAMES
    assert len(set(deployed.values())) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_plane_was_told_what_the_example_says(
    client: Client, deployed: dict[str, str], name: str
) -> None:
    said: Resolved = example(name)
    told = asked(client, name)
    functions = [ranked.function for ranked in told.ranked_functions]
    given = [(f.resources.gpu_config.gpu_type, f.resources.gpu_config.count) for f in functions]
    assert [gpu if count == 1 else f"{gpu}:{count}" for gpu, count in given] == [
        *(said.placement.gpus or (":0",))
    ]
    (function, *_) = functions
    assert function.resources.memory_mb == (said.placement.memory or 0)
    assert function.resources.milli_cpu == 1000 * (said.placement.cpu or 0)
    assert told.http_config.unauthenticated == (said.endpoint.auth != "proxy")
    # The checks before the first request have time of their own.
    assert told.http_config.startup_timeout >= said.endpoint.startup_timeout
    assert told.http_config.exit_grace_period == said.endpoint.drain
    settings = told.autoscaler_settings
    assert settings.max_containers == (said.scaling.max_containers or 0)
    assert settings.scaledown_window == said.scaling.scaledown_window
    assert function.max_concurrent_inputs == (said.max_concurrency or 0)
    mounts = {mount.mount_path: mount.read_only for mount in function.volume_mounts}
    assert mounts == {mount.path: mount.read_only for mount in said.mounts}
    assert {
        (mount.mount_path, mount.bucket_name, mount.key_prefix, mount.read_only)
        for mount in function.cloud_bucket_mounts
    } == {(b.path, b.bucket, b.prefix or "", b.read_only) for b in said.buckets}
