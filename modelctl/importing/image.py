"""Which engine version is in an image, and what is in it beside the engine?"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct, field

from modelctl.importing.mounts import secret_name
from modelctl.importing.values import Called, Unread, Value

_OFFICIAL = re.compile(
    r"(?:(?:docker\.io/)?vllm/vllm-openai:v(?P<vllm>[\w.]+)"
    r"|ghcr\.io/ggml-org/llama\.cpp:server(?:-[a-z0-9]+)*?-(?P<llama>b\d+))(?:@.*)?"
)
_OFFICIAL_ANY = re.compile(
    r"(?:docker\.io/)?vllm/vllm-openai\b|ghcr\.io/ggml-org/llama\.cpp:server"
)
_ENGINES = {"vllm": "vllm", "llama-cpp-python": "llama-cpp-python"}
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*==\s*(?P<version>[\w.+!]+)")
_TAG = re.compile(r"(?:--branch|-b|checkout|tags?/|download/)[ =/]*(b\d{3,6})\b")
# What only fetches models, which is done by an app of its own.
_FETCHING = ("huggingface-hub", "huggingface_hub", "hf-transfer", "hf_transfer", "hf-xet")
_PLAIN_BASES = re.compile(r"(?:docker\.io/)?(?:nvidia/cuda|python|ubuntu|debian)\b")
# How rendered apps make sure that the engine is on the PATH.
_OURS = re.compile(r"which (python|llama-server) \|\| ln -s ")


class Image(Struct):
    """`base` is None for the engine's own image, or one with nothing but Python or CUDA.

    `guessed` and `unread` are sentences about what is not taken as it stands.
    """

    version: str | None = None
    base: str | None = None
    python: str | None = None
    secret: str | None = None
    dockerfile: str | None = None
    packages: list[str] = field(default_factory=list)
    apt: list[str] = field(default_factory=list)
    run: list[str] = field(default_factory=list)
    env: dict[str, Value] = field(default_factory=dict)
    guessed: list[str] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)


def image_of(value: Value, server: str) -> Image:
    found = Image()
    if not isinstance(value, Called):
        if isinstance(value, Unread):
            found.unread.append(value)
        return found
    chain: list[Called] = []
    call: Called | None = value
    while call is not None:
        chain.insert(0, call)
        call = call.on
    built = any(
        re.search(r"\b(cmake|make)\b", word)
        for step in chain
        if step.last == "run_commands"
        for word in _words(step, found)
    )
    for step in chain:
        _step(found, step, server, built)
    if built and server == "llama-server":
        found.apt, found.run, found.packages, found.base = [], [], [], None
        found.guessed = ["the engine's own image, where the app builds llama.cpp by itself"]
    return found


def _step(found: Image, step: Called, server: str, built: bool) -> None:
    words = _words(step, found)
    match step.last:
        case "from_registry" | "from_gcp_artifact_registry" | "from_aws_ecr":
            _registry(found, words[0] if words else "", step.options)
        case "debian_slim" | "micromamba":
            found.guessed.append(f"the engine's own image in place of {step.last} with packages")
        case "from_dockerfile":
            if words:
                found.dockerfile = words[0]
            else:
                found.unread.append(Unread("the Dockerfile of the image", step.line))
        case "pip_install" | "uv_pip_install":
            for word in words:
                _package(found, word, server)
            said = sorted({"extra_index_url", "index_url", "pre", "find_links"} & set(step.options))
            if said:
                found.unread.append(Unread(f"{' and '.join(said)} of {step.last}()", step.line))
        case "apt_install":
            found.apt += words
        case "run_commands" | "dockerfile_commands":
            for word in words:
                if built and (tag := _TAG.search(word)):
                    found.version = tag[1]
                if not _OURS.match(word):
                    found.run.append(word)
        case "env":
            said = step.args[0] if step.args else {}
            found.env.update(said if isinstance(said, dict) else {})
        case "entrypoint" | "imports" | "workdir" | "cmd" | "shell":
            pass
        case name:
            found.unread.append(Unread(f"{name}() of the image", step.line))


def _registry(found: Image, base: str, options: Mapping[str, Value]) -> None:
    python = options.get("add_python")
    match = _OFFICIAL.fullmatch(base)
    if match:
        found.version = match["vllm"] or match["llama"]
    elif _OFFICIAL_ANY.match(base):
        found.guessed.append(f"the tested version, where {base} names none")
    elif _PLAIN_BASES.match(base):
        found.guessed.append(f"the engine's own image in place of {base} with packages")
    elif base:
        found.base = base
        found.python = python if isinstance(python, str) else None
    found.secret = secret_name(options.get("secret"))


def _package(found: Image, word: str, server: str) -> None:
    name = re.split(r"[\[=<>!~ ]", word)[0].lower()
    if name in _FETCHING:
        return
    if name in _ENGINES and _ENGINES[name] == server:
        pinned = _PINNED.fullmatch(word.strip())
        if pinned:
            found.version = pinned["version"]
        else:
            found.guessed.append(f"the tested version, where the app says {word}")
        return
    found.packages.append(word)


def _words(step: Called, found: Image) -> list[str]:
    words: list[str] = []
    for value in step.args:
        for word in value if isinstance(value, list | tuple) else [value]:
            if isinstance(word, str):
                words.append(str(word))
            elif isinstance(word, Unread):
                found.unread.append(Unread(f"a word of {step.last}(): {word.why}", step.line))
    return words
