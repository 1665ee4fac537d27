"""What may an image begin with: which base images, and which Pythons?"""

from __future__ import annotations

from functools import cache

from msgspec import Struct

from modelctl.facts.tables import table


class ImageFacts(Struct, frozen=True):
    """`cuda` has the compiler that an engine from pip needs; `cpu` is the same system without.

    `uv` is a version. `pythons` are the series that Modal's newest image
    builder (`builder`) adds, `older_pythons` those that only older builders do.
    """

    cuda: str
    cpu: str
    uv: str
    python: str
    pythons: tuple[str, ...]
    older_pythons: tuple[str, ...]
    builder: str


@cache
def image_facts() -> ImageFacts:
    rows = table("images")
    python = rows["python"]
    return ImageFacts(
        cuda=rows["cuda"]["image"],
        cpu=rows["cpu"]["image"],
        uv=rows["uv"]["version"],
        python=python["default"],
        pythons=tuple(python["series"]),
        older_pythons=tuple(python["older"]),
        builder=python["builder"],
    )
