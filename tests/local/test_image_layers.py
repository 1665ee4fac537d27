"""What does a changed spec rebuild? Only the image's layers that changed, and those above them."""

from __future__ import annotations

from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelctl.local import lifecycle
from modelctl.render import render
from modelctl.resolve import resolve
from modelctl.weights.facts import ModelFacts
from tests.local.conftest import Client
from tests.render.apps import wanted

SPEC: dict[str, Any] = {
    "name": "layers",
    "model": {"source": "hf://Qwen/Qwen3-8B"},
    "backend": {"name": "vllm"},
    "context": 4096,
    "gpu": [{"type": "H100"}],
    "concurrency": {"target": 4, "max": 8},
}
IMAGE = {"apt": ["git"], "packages": ["numpy==2.4.0"]}
DOCKERFILE = 'FROM vllm/vllm-openai:v0.32.0\nRUN echo "it\'s" > /built\nENV A=b\n'


def deployed(client: Client, name: str, spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Deploys the rendered app of a spec; the layers of its image, the lowest first."""
    facts = replace(ModelFacts(kind="hub"), dockerfile=DOCKERFILE)
    rendered = render(resolve(wanted({**spec, "name": name}), facts))
    path = client.folder / f"{rendered.module}.py"
    path.write_text(rendered.text)
    # Bytecode is known by second and size: two versions of one app may share both.
    Path(cache_from_source(str(path))).unlink(missing_ok=True)
    client.sdk(f"load({str(path)!r}).app.deploy()")
    images = lifecycle.images(client.plane)
    (used,) = [image["id"] for image in images if name in image["apps"]]
    return list(lifecycle.image(client.plane, used)["layers"])


def ids(layers: list[dict[str, Any]]) -> list[str]:
    return [layer["id"] for layer in layers]


CHANGES: dict[str, Any] = {
    "scaling": {"max": 7, "idle_timeout": "1m"},
    "keep_warm": 1,
    "context": 2048,
    "concurrency": {"target": 2, "max": 4},
    "gpu": [{"type": "L40S:2"}],
    "env": {"A": "b"},
    "labels": {"team": "search"},
    "backend": {"name": "vllm", "args": {"seed": 7}},
}


@pytest.mark.parametrize("image", [IMAGE, {"install": "pip", **IMAGE}], ids=["official", "pip"])
def test_what_is_no_part_of_the_image_rebuilds_nothing(
    client: Client, image: dict[str, Any]
) -> None:
    first = deployed(client, "layers", {**SPEC, "image": image})
    assert ids(deployed(client, "layers", {**SPEC, "image": image, **CHANGES})) == ids(first)


@pytest.mark.parametrize("install", ["official", "pip"])
def test_another_package_rebuilds_one_layer(client: Client, install: str) -> None:
    before = deployed(client, "packages", {**SPEC, "image": {"install": install, **IMAGE}})
    more = {"install": install, **IMAGE, "packages": ["numpy==2.4.1"]}
    after = deployed(client, "packages", {**SPEC, "image": more})
    assert ids(after)[:-1] == ids(before)[:-1]
    assert ids(after)[-1] not in ids(before)
    assert [line for line in after[-1]["lines"] if "numpy" in line] == [
        "RUN /.uv/uv pip install --python $(command -v python) --compile-bytecode numpy==2.4.1"
    ]


def test_another_command_keeps_the_engine_and_the_packages(client: Client) -> None:
    before = deployed(client, "commands", {**SPEC, "image": {**IMAGE, "run": ["true"]}})
    after = deployed(client, "commands", {**SPEC, "image": {**IMAGE, "run": ["false"]}})
    assert ids(after)[:-1] == ids(before)[:-1]
    assert after[-1]["lines"] == ["FROM base", "RUN false"]


def test_another_version_of_the_engine_keeps_nothing_but_what_is_below_it(client: Client) -> None:
    image = {"install": "pip", **IMAGE}
    before = deployed(client, "versions", {**SPEC, "image": image})
    newer = {**SPEC, "image": image, "backend": {"name": "vllm", "version": "0.33.0"}}
    after = deployed(client, "versions", newer)
    kept = [a for a, b in zip(ids(before), ids(after), strict=True) if a == b]
    assert ids(before)[: len(kept)] == kept
    assert any("vllm==0.33.0" in line for line in after[len(kept)]["lines"])


def test_a_dockerfile_of_ones_own_is_built_from_its_text(client: Client) -> None:
    image = {"dockerfile": "Dockerfile", "python": "3.12", "packages": ["numpy==2.4.0"]}
    layers = deployed(client, "own-dockerfile", {**SPEC, "image": image})
    lines = [line for layer in layers for line in layer["lines"]]
    assert layers[0]["lines"] == ["FROM vllm/vllm-openai:v0.32.0"]
    assert 'RUN echo "it\'s" > /built' in lines
    assert "numpy==2.4.0" in layers[-1]["lines"][-1]


def test_a_private_registry_is_opened_with_the_secret(client: Client) -> None:
    keys = {"REGISTRY_USERNAME": "a", "REGISTRY_PASSWORD": "b"}
    client.sdk(f"modal.Secret.objects.create('registry', {keys})")
    image = {"base": "registry.acme.com/vllm:3", "secret": "registry"}
    layers = deployed(client, "private", {**SPEC, "image": image})
    assert [line.partition(" st-")[0] for line in layers[0]["lines"]] == [
        "USE REGISTRY SECRET",
        "FROM registry.acme.com/vllm:3",
    ]
