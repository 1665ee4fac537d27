"""Can the image be built, and is the engine in it?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, doubtful, wrong
from modelctl.engines.base import NO_IMAGE, Finding
from modelctl.engines.dockerfile import copied_from_context, stages
from modelctl.facts.images import image_facts
from modelctl.resolved import Unknown
from modelctl.spec.models import Image
from modelctl.spec.wanted import Path_

_REFERENCE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(:\d+(?=/))?(/[a-z0-9][a-z0-9._-]*)*"
    r"(:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]*))?(?P<digest>@sha256:[0-9a-f]{64})?"
)
_DEBIAN = re.compile(r"[a-z0-9][a-z0-9+.:~=*_-]*", re.IGNORECASE)


def said_twice(case: Case) -> Iterator[Finding]:
    """An image begins with one thing."""
    image = _image(case)
    if image.base is not None and image.dockerfile is not None:
        yield wrong(
            ("image", "dockerfile"),
            "image/two-beginnings",
            "an image begins with base or with a dockerfile, and both are said",
            "leave base out: the Dockerfile's FROM says it",
            key=True,
        )
    beginning = "dockerfile" if image.dockerfile is not None else "base"
    if image.install == "official" and getattr(image, beginning) is not None:
        yield wrong(
            ("image", "install"),
            "image/two-beginnings",
            f"install: official is {case.engine.name}'s own image, and {beginning} says another",
            f"leave {beginning} out, or install: pip to put the engine onto it",
        )


def base_reference(case: Case) -> Iterator[Finding]:
    base = _image(case).base
    if base is None:
        return
    found = _REFERENCE.fullmatch(base)
    if found is None:
        yield wrong(
            ("image", "base"),
            "image/base",
            f"{base!r} is no image",
            "registry/name:tag, such as ghcr.io/team/vllm:1.4",
        )
    elif found["digest"] is None and found["tag"] in (None, "latest"):
        tag = "without a tag" if found["tag"] is None else "with the tag latest"
        yield doubtful(
            ("image", "base"),
            "image/moving-base",
            f"{base} {tag} is whatever was pushed last when Modal first builds it",
            f"{base.removesuffix(':latest')}:TAG, or @sha256:…",
        )


def dockerfile(case: Case) -> Iterator[Finding]:
    said, text = _image(case).dockerfile, case.facts.dockerfile
    if said is None:
        return
    where: Path_ = ("image", "dockerfile")
    if isinstance(text, Unknown) or text is None:
        reason = text.reason if text else "not read"
        yield wrong(
            where,
            "image/dockerfile",
            f"{said}: {reason}",
            f"a file in the project; paths start at {case.wanted.file.parent.as_posix()}",
        )
        return
    lines = text.splitlines()
    named = stages(lines)
    if not named:
        yield wrong(
            where, "image/dockerfile", f"{said} has no FROM", "FROM registry/name:tag as first line"
        )
    for found in copied_from_context(lines):
        yield wrong(
            where,
            "image/build-context",
            f"line {found.line} of {said} copies {' '.join(found.arguments[:-1])} from the folder "
            "around it, and an app carries no such folder",
            "RUN curl, COPY --from=IMAGE, a here-document, or a base image that has it",
        )
    if len(named) > 1 and _image(case).secret is not None:
        yield wrong(
            ("image", "secret"),
            "image/secret-stages",
            f"{said} has {len(named)} stages, and Modal opens a private registry for one only",
            "build the image elsewhere and name it: image: {base: registry/name:tag, secret: …}",
        )


def python(case: Case) -> Iterator[Finding]:
    image, facts = _image(case), image_facts()
    if image.python is None:
        return
    where: Path_ = ("image", "python")
    known = ", ".join(facts.pythons)
    if image.python in facts.older_pythons:
        yield doubtful(
            where,
            "image/python",
            f"Modal's image builder {facts.builder} adds no Python {image.python} any more",
            f"one of {known}",
        )
    elif image.python not in facts.pythons:
        yield wrong(
            where,
            "image/python",
            f"Modal adds no Python {image.python} to images",
            f"one of {known}",
        )


def packages(case: Case) -> Iterator[Finding]:
    image = _image(case)
    for index, package in enumerate(image.packages or ()):
        if package.strip().startswith("-") or not package.strip():
            yield wrong(
                ("image", "packages", index),
                "image/words",
                f"{package!r} is no package",
                "a requirement, such as numpy==2.4.0; options of pip: run: [uv pip install …]",
            )
    for index, package in enumerate(image.apt or ()):
        if not _DEBIAN.fullmatch(package):
            yield wrong(
                ("image", "apt", index),
                "image/words",
                f"{package!r} is no Debian package",
                "a package's name, such as git",
            )
    for index, command in enumerate(image.run or ()):
        if not command.strip() or "\n" in command.strip():
            yield wrong(
                ("image", "run", index),
                "image/words",
                "an empty command" if not command.strip() else "a command of several lines",
                "one entry a command; && joins two into one layer",
            )


def _image(case: Case) -> Image:
    return case.spec.image or NO_IMAGE


RULES: tuple[Rule, ...] = (said_twice, base_reference, dockerfile, python, packages)
