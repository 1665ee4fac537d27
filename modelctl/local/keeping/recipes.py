"""What does an image's recipe say? Of what it says, containers here get the variables."""

import re
import shlex
from collections.abc import Iterable, Mapping

from modal_proto import api_pb2

from modelctl.local.keeping.records import Image

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
            parts = shlex.split(rest)
        except ValueError:  # an unbalanced quote: Docker would not have built this
            continue
        if "=" not in parts[0]:
            parts = [f"{parts[0]}={' '.join(parts[1:])}"]
        pairs = [part.partition("=") for part in parts]
        values |= {key: _resolved(value, values) for key, equals, value in pairs if equals}
    return values


def _resolved(value: str, known: Mapping[str, str]) -> str:
    return _REFERENCE.sub(lambda found: known.get(found[1] or found[2], ""), value)


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
