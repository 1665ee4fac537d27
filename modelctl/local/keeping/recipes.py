"""What does an image's recipe say? Of what it says, containers here get variables and files."""

import hashlib
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from modal_proto import api_pb2

from modelctl.local.keeping.records import Image, Mount

_COPY = re.compile(r"COPY \. (/\S*)")
_QUOTED = re.compile(r"""'[^']*'|"(?:[^"\\]|\\.)*"|\\.""", re.DOTALL)
_DOLLAR = "\x00"  # stands for a dollar sign that begins no reference; no variable can hold it
_REFERENCE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def env_lines(commands: Iterable[str]) -> dict[str, str]:
    """The variables of the ENV lines, in either form (``ENV K=V …`` and ``ENV K V``).

    A reference to another variable is resolved where that one is known from the image itself, and
    is empty where not, as in Docker.
    """
    values: dict[str, str] = {}
    for line in commands:
        word, _, rest = line.strip().partition(" ")
        if word.upper() != "ENV" or not rest.strip():
            continue
        try:
            parts = shlex.split(_QUOTED.sub(_guarded, rest))
        except ValueError:  # an unbalanced quote: Docker would not have built this
            continue
        if "=" not in parts[0]:
            parts = [f"{parts[0]}={' '.join(parts[1:])}"]
        pairs = [part.partition("=") for part in parts]
        values |= {key: _resolved(value, values) for key, equals, value in pairs if equals}
    return values


def _guarded(found: re.Match[str]) -> str:
    """What is quoted or escaped, with the dollar signs marked that Docker takes as they are."""
    text = found[0]
    return text.replace("$" if text.startswith("'") else "\\$", _DOLLAR)


def _resolved(value: str, known: Mapping[str, str]) -> str:
    resolved = _REFERENCE.sub(lambda found: known.get(found[1] or found[2], ""), value)
    return resolved.replace(_DOLLAR, "$")


def image_environment(images: dict[str, Image], image_id: str) -> dict[str, str]:
    """The variables that an image's ENV lines set, those of its base images first."""
    record = images.get(image_id)
    if record is None:
        return {}
    image = api_pb2.Image.FromString(record.image)
    values: dict[str, str] = {}
    for base in image.base_images:
        values |= image_environment(images, base.image_id)
    return values | env_lines(image.dockerfile_commands)


def chain(images: Mapping[str, Image], image_id: str) -> list[Image]:
    """The image with those that it is made from, each once, the lowest first."""
    found: dict[str, Image] = {}

    def add(wanted: str) -> None:
        record = images.get(wanted)
        if record is None or wanted in found:
            return
        for base in api_pb2.Image.FromString(record.image).base_images:
            add(base.image_id)
        found[wanted] = record

    add(image_id)
    return list(found.values())


def summary(images: Mapping[str, Image], image: Image) -> dict[str, Any]:
    """An image in a few words, as JSON; `starts` and `ends` are its first and last steps."""
    made_of = [_lines(record) for record in chain(images, image.id)]
    return {
        "id": image.id,
        "state": image.state,
        "failure": image.failure,
        "created_at": image.created_at,
        "builder_version": image.builder_version,
        "layer_count": len(made_of),
        "starts": made_of[0][0] if made_of[0] else "",
        "ends": made_of[-1][-1] if made_of[-1] else "",
    }


def files(
    images: Mapping[str, Image], mounts: Mapping[str, Mount], spec: api_pb2.Function
) -> Iterator[tuple[str, str, int]]:
    """The files that a container has of its image's and its own mounts: path, hash and mode.

    Of an image only whole contexts count (``COPY . PATH``): what else it holds is never built.
    """
    sources = [("/", mounts[mount_id]) for mount_id in spec.mount_ids]
    for record in reversed(chain(images, spec.image_id)):
        recipe = api_pb2.Image.FromString(record.image)
        copied = (_COPY.fullmatch(command) for command in recipe.dockerfile_commands)
        if (context := mounts.get(recipe.context_mount_id)) is not None:
            sources += [(found[1], context) for found in copied if found]
    for place, mount in reversed(sources):  # what comes later lies over what was there
        for path, sha256, mode in mount.files:
            path_there = posixpath.normpath(f"{place}/{path}").lstrip("/")
            yield f"/{path_there}", str(sha256), int(mode)


def layers(images: Mapping[str, Image], image_id: str) -> list[dict[str, Any]]:
    """The recipe layer by layer, the lowest first, as lines that can be compared."""
    return [{"id": record.id, "lines": _lines(record)} for record in chain(images, image_id)]


def _lines(record: Image) -> list[str]:
    """What makes this layer other than one: of files and globals a digest, of secrets the id."""
    recipe = api_pb2.Image.FromString(record.image)
    lines = [f"ARG {name}={value}" for name, value in sorted(recipe.build_args.items())]
    lines += [f"USE SECRET {secret_id}" for secret_id in recipe.secret_ids]
    if recipe.image_registry_config.secret_id:
        lines.append(f"USE REGISTRY SECRET {recipe.image_registry_config.secret_id}")
    if recipe.gpu_config.count:
        lines.append(f"USE GPU {recipe.gpu_config.gpu_type}:{recipe.gpu_config.count}")
    for mount in recipe.volume_mounts:
        lines.append(f"USE VOLUME {mount.volume_id} AT {mount.mount_path}")
    if recipe.context_mount_id:
        lines.append(f"USE FILES {recipe.context_mount_id}")
    for file in recipe.context_files:
        digest = hashlib.sha256(file.data).hexdigest()[:12]
        lines.append(f"USE FILE {file.filename} sha256:{digest} ({len(file.data)} bytes)")
    for command in recipe.dockerfile_commands:
        lines += command.splitlines() or [""]
    if recipe.HasField("build_function"):
        function = recipe.build_function
        lines += ["RUN FUNCTION", *(f"  {line}" for line in function.definition.splitlines())]
        if function.globals:
            lines.append(f"  globals sha256:{hashlib.sha256(function.globals).hexdigest()[:12]}")
    return lines


def builder(image_id: str, prefix: str) -> str:
    """The id of the app (`ap`) or container (`ta`) that builds an image, as its lines name it."""
    return f"{prefix}-{image_id.partition('-')[2]}"


def is_builder(images: Mapping[str, Image], app_id: str) -> bool:
    return f"im-{app_id.partition('-')[2]}" in images
