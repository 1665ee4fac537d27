"""Which steps make a container image? What changes seldom comes first, so that it is kept.

Modal keeps every step under what it says and what is below it: a change rebuilds its own step and
those above. So the engine comes before a person's Debian packages, these before Python packages,
and these before shell commands; nothing of scaling, placement or the command line is part of an
image.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from modelctl.engines.base import NO_IMAGE, Setting
from modelctl.engines.dockerfile import from_images
from modelctl.facts import gpus
from modelctl.facts.engines import engine_facts
from modelctl.facts.images import image_facts
from modelctl.resolved import ImageStep
from modelctl.spec.models import Image, Spec
from modelctl.weights.lock import LockedEngine

# The package has a module and no command. HOST and PORT would hold against its own flags.
_LLAMA_CPP_PYTHON = (
    "printf '#!/bin/sh\\nexec env -u HOST -u PORT -u CONFIG_FILE python -m llama_cpp.server "
    '"$@"\\n\' > /usr/local/bin/llama-cpp-python && chmod +x /usr/local/bin/llama-cpp-python'
)

Origin = Literal["official", "pip", "base", "dockerfile"]


class Recipe(Struct, frozen=True):
    """How an engine gets into an image.

    `official` is the engine's own image (None: there is none, so pip is the default), to which
    `official_python` is added where it has no Python. `prepare` are the commands after which the
    engine's command is on the PATH and `python` is there; they must be right for any image that
    holds the engine. `install` puts the engine onto a base that has Python and, where there is a
    GPU, CUDA's compiler.
    """

    official: str | None
    official_python: str | None
    prepare: tuple[str, ...]
    install: tuple[ImageStep, ...]


def origin_of(image: Image, recipe: Recipe) -> Origin:
    """Where the engine comes from: `install: pip` puts it onto whatever the image begins with."""
    if image.install == "pip":
        return "pip"
    if image.dockerfile is not None:
        return "dockerfile"
    if image.base is not None:
        return "base"
    return "official" if recipe.official is not None else "pip"


def image_steps(setting: Setting, recipe: Recipe) -> tuple[ImageStep, ...]:
    """The whole chain, the first call of which makes an image out of nothing."""
    image = setting.spec.image or NO_IMAGE
    origin = origin_of(image, recipe)
    steps = [_beginning(setting, image, origin, recipe), ImageStep("entrypoint", ())]
    if origin == "pip":
        steps += recipe.install
    else:
        steps.append(ImageStep("run_commands", recipe.prepare))
    steps += _extras(image)
    return tuple(step for step in steps if step.args or step.method == "entrypoint")


def llama_cpp_python(setting: Setting) -> Recipe:
    """llama-cpp-python's server, built from its sources for the cards of the spec, in one step."""
    flags = ["-DGGML_NATIVE=OFF"]
    if architectures := cuda_architectures(setting.spec):
        # There is no driver where images are built, so libcuda is found when the engine starts.
        flags += ["-DGGML_CUDA=on", "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--allow-shlib-undefined"]
        flags.append(f"-DCMAKE_CUDA_ARCHITECTURES={';'.join(architectures)}")
    package = f"llama-cpp-python[server]=={setting.version}"
    build = f"CMAKE_ARGS={shlex.quote(' '.join(flags))} python -m pip install"
    return Recipe(
        official=None,
        official_python=None,
        prepare=("python -c 'import llama_cpp.server'", _LLAMA_CPP_PYTHON),
        install=(
            ImageStep("apt_install", ("build-essential", "cmake", "git")),
            ImageStep("run_commands", (f"{build} --no-cache-dir {shlex.quote(package)}",)),
            ImageStep("run_commands", (_LLAMA_CPP_PYTHON,)),
        ),
    )


def locked_engine(product: str) -> LockedEngine:
    """What the default means today, as the lock has it."""
    facts = engine_facts(product)
    image = facts.image(facts.default)
    on_cpu = facts.image(facts.default, on_cpu=True)
    return LockedEngine(facts.default, image, "" if on_cpu == image else on_cpu)


def official_image(setting: Setting, product: str, *, on_cpu: bool = False) -> str:
    """The engine's own image; where its version is a default that was locked, that one's."""
    locked = setting.model.engines.get(product)
    if locked is not None and locked.version == setting.version and locked.image:
        return (locked.cpu_image if on_cpu else "") or locked.image
    return engine_facts(product).image(setting.version, on_cpu=on_cpu)


def pip_install(*requirements: str) -> ImageStep:
    """Packages in one step, by a uv that is the same tomorrow."""
    return ImageStep("uv_pip_install", requirements, {"uv_version": image_facts().uv})


def cuda_architectures(spec: Spec) -> tuple[str, ...]:
    """Of the cards that the spec may get, upgrades included: `("89", "90")`; empty for a CPU."""
    found = set()
    for entry in spec.gpu or ():
        choice = gpus.choice(gpus.written(entry.type or gpus.NONE)[0])
        for card in choice.cards if choice else ():
            found.add(card.compute_capability)
    return tuple(f"{major}{minor}" for major, minor in sorted(found))


def _beginning(setting: Setting, image: Image, origin: Origin, recipe: Recipe) -> ImageStep:
    facts = image_facts()
    if image.dockerfile is not None:
        text = setting.model.dockerfile
        # A file that cannot be read is said by a rule; there is nothing to render then.
        lines = tuple(text.splitlines()) if isinstance(text, str) else ("FROM scratch",)
        options = {"add_python": image.python} if image.python else {}
        return ImageStep("from_dockerfile", lines, options, secret=image.secret)
    if origin == "official":
        base, python = recipe.official or "", image.python or recipe.official_python
    elif origin == "base":
        base, python = image.base or "", image.python
    else:
        base = image.base or (facts.cuda if cuda_architectures(setting.spec) else facts.cpu)
        # An own base brings its Python, unless one is asked for.
        python = image.python or (None if image.base else facts.python)
    options = {"add_python": python} if python else {}
    return ImageStep("from_registry", (base,), options, secret=image.secret)


def _extras(image: Image) -> Sequence[ImageStep]:
    return (
        ImageStep("apt_install", tuple(image.apt or ())),
        pip_install(*(image.packages or ())),
        ImageStep("run_commands", tuple(image.run or ())),
    )


def base_images(steps: Sequence[ImageStep]) -> tuple[str, ...]:
    """Every image that is pulled to build this one: of a Dockerfile that of each FROM."""
    first = steps[0]
    return from_images(first.args) if first.method == "from_dockerfile" else first.args[:1]
