"""What does the Modal app of a resolved spec look like? Its text, and the digest of that text."""

from __future__ import annotations

import hashlib
import keyword
import math
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict, replace

import modelctl
from modelctl.engines import engine
from modelctl.facts.gpus import gpus
from modelctl.literals import Call, Chain, Joined, Name, Rows, Writer
from modelctl.rendered import TAG_DIGEST, TAG_PROJECT, Rendered, compiled
from modelctl.resolved import (
    Bucket,
    Check,
    Flag,
    ImageStep,
    Mount,
    Resolved,
    Rooted,
    Scaling,
    Unknown,
    Word,
)

if TYPE_CHECKING:
    from jinja2 import Environment

DIGEST_DIGITS = 32

# The autoscaler's numbers change without a new version, so they are no part of the digest.
_STILL = Scaling(0, None, 0, 0, None, None)

_WARM_UP: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "generate": ("/v1/completions", {"prompt": "Hello", "max_tokens": 1}),
    "embed": ("/v1/embeddings", {"input": "Hello"}),
    "rerank": ("/v1/rerank", {"query": "Hello", "documents": ["Hello", "Goodbye"]}),
}


_LONG = 80  # columns: a longer path is written as folder and file


class CannotRender(Exception):
    """There is no app for this spec as it stands; the text is the sentence that says why."""


def render(resolved: Resolved, *, templates: Path | None = None) -> Rendered:
    """The app as text. The same input gives the same bytes on any machine.

    `templates` replaces the packaged folder. Raises CannotRender where a part of the app is not
    known: a local model whose content was not hashed, or one that is not there.
    """
    for weights in resolved.sources:
        if isinstance(weights.argument, Unknown):
            raise CannotRender(
                f"{resolved.name}: {weights.source} has no address yet: {weights.argument.reason}"
            )
    folder = templates or packaged()
    tags = dict(resolved.labels)
    if resolved.project:
        tags[TAG_PROJECT] = resolved.project
    still = _fill(folder, replace(resolved, scaling=_STILL), tags)
    digest = hashlib.sha256(still.encode()).hexdigest()[:DIGEST_DIGITS]
    tags[TAG_DIGEST] = digest
    text = _fill(folder, resolved, tags)
    try:
        compiled(module_name(resolved.name), text)
    except (SyntaxError, ValueError) as problem:
        raise CannotRender(f"{resolved.name}: the template made no Python: {problem}") from problem
    return Rendered(resolved.name, module_name(resolved.name), text, digest, tags, resolved)


def module_name(name: str) -> str:
    """`smollm2-135m` → `serve_smollm2_135m`: an identifier that no library has."""
    module = "serve_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
    if keyword.iskeyword(module) or module in sys.stdlib_module_names:
        return module + "_"
    return module


def packaged() -> Path:
    """The templates of a wheel, or those of a checkout."""
    package = Path(modelctl.__file__).parent
    in_wheel = package / "_templates"
    return in_wheel if in_wheel.is_dir() else package.parent / "templates"


def _fill(folder: Path, resolved: Resolved, tags: Mapping[str, str]) -> str:
    return fill(folder, f"{engine(resolved.engine).template}/app.py.j2", _view(resolved, tags))


def fill(folder: Path, name: str, view: Mapping[str, Any]) -> str:
    """The text of one template. Raises CannotRender where the template is in the way."""
    writer = Writer()
    from jinja2 import TemplateError, TemplateNotFound, TemplateSyntaxError

    try:
        template = _environment(folder).get_template(name)
        return writer.write(template.render(view, writer=writer))
    except TemplateNotFound as problem:
        raise CannotRender(f"{folder} has no template {problem.name}") from problem
    except TemplateSyntaxError as problem:
        where = f"{problem.filename or name}:{problem.lineno}"
        raise CannotRender(f"{where}: {problem.message}") from problem
    except TemplateError as problem:
        raise CannotRender(f"{folder / name}: {problem.message}") from problem
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as problem:
        if folder == packaged():
            raise
        kind = type(problem).__name__
        raise CannotRender(f"{folder / name}: {kind}: {problem}") from problem


@cache
def _environment(folder: Path) -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined, pass_context
    from jinja2.runtime import Context

    @pass_context
    def py(context: Context, value: Any) -> str:
        """The one door by which a value gets into generated code: as a literal."""
        if isinstance(value, Undefined):
            str(value)  # raises, with the name that the template looked up
        token: str = context["writer"].token(value)
        return token

    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - what is written is Python, and `py` writes every value
    )
    environment.filters["py"] = py
    return environment


def _view(resolved: Resolved, tags: Mapping[str, str]) -> dict[str, Any]:
    """What templates may look up."""
    placement, endpoint = resolved.placement, resolved.endpoint
    common, differing = _split(resolved)
    warm_up_path, warm_up_body = _WARM_UP[resolved.task]
    checks = resolved.checks if resolved.rollout.gate == "checks" else ()
    caches = [mount.path for mount in resolved.mounts if mount.create and not mount.read_only]
    counters = engine(resolved.engine).counters(resolved.server)
    return {
        "name": resolved.name,
        "served_as": resolved.served_as[0],
        "command": list(resolved.command),
        "model": _word(Rooted(str(resolved.weights.argument))),
        "startup": endpoint.startup_timeout,
        "drain": endpoint.drain,
        "warm_up_path": warm_up_path,
        "warm_up_body": dict(warm_up_body),
        "health_path": engine(resolved.engine).health_path(resolved.server),
        "checks": Rows([_check(check) for check in checks]) if checks else [],
        "checks_seconds": math.ceil(resolved.rollout.checks_timeout),
        "counters": Rows(asdict(counters)) if counters else {},
        "cards": Rows(_cards(resolved)) if _cards(resolved) else [],
        "flag_names": {flag[0] for variant in resolved.variants for flag in variant.flags},
        "common": Rows(_words(common)),
        "flags": Rows({k: Rows(_words(flags)) if flags else [] for k, flags in differing.items()}),
        "nodes": resolved.nodes,
        "rdma": resolved.rdma,
        "metrics_seconds": resolved.metrics_interval,
        "path_env": Rows(dict(resolved.path_env)) if resolved.path_env else {},
        "chat_template": resolved.chat_template,
        "dockerfile": _dockerfile(resolved),
        "image": Chain(tuple(_image_call(number, s) for number, s in enumerate(resolved.image))),
        "tags": dict(tags),
        "api_key": endpoint.api_key[1] if endpoint.api_key else None,
        "api_key_secret": endpoint.api_key[0] if endpoint.api_key else None,
        "api_key_variable": engine(resolved.engine).api_key_variable(resolved.server),
        "guarded": bool(endpoint.api_key) and not engine(resolved.engine).asks_key_everywhere,
        "gpus": placement.gpus[0] if len(placement.gpus) == 1 else list(placement.gpus),
        "cpu": _whole(placement.cpu),
        "memory": placement.memory,
        "disk": placement.disk,
        "caches": caches,
        "volumes": {
            **{mount.path: _volume(mount) for mount in resolved.mounts},
            **{bucket.path: bucket_call(bucket) for bucket in resolved.buckets},
        },
        "secrets": [_secret(name, keys) for name, keys in resolved.secrets.items()],
        "env": dict(resolved.env),
        "scaling": resolved.scaling,
        "target_concurrency": _whole(resolved.scaling.target_concurrency),
        "max_concurrency": resolved.max_concurrency,
        "unauthenticated": endpoint.auth != "proxy",
        "routing_region": endpoint.region,
        "compute_regions": list(placement.compute_regions),
        "cloud": placement.cloud,
        "nonpreemptible": placement.nonpreemptible,
        "snapshot": resolved.snapshot,
        # Before a CPU snapshot there is no GPU yet, so what runs on one starts after it.
        "engine_in_snapshot": resolved.snapshot == "gpu"
        or (resolved.snapshot == "cpu" and not placement.gpus),
    }


def _words(flags: list[Flag]) -> list[tuple[str | Joined, ...]]:
    return [tuple(map(_word, flag)) for flag in flags]


def _word(word: Word) -> str | Joined:
    """A path of the container gets the mount root in front of it when the app runs."""
    if isinstance(word, str):
        return word
    folder, slash, file = word.path.rpartition("/")
    path = (f"{folder}{slash}", file) if len(word.path) > _LONG else (word.path, "")
    parts = (word.before, Name("MOUNT_ROOT"), *path, word.after)
    return Joined(tuple(part for part in parts if part != ""))


def _split(resolved: Resolved) -> tuple[list[Flag], dict[str, list[Flag]]]:
    """The flags that all variants share, and what each has beside them, in its own order."""
    first, *others = resolved.variants
    common = [flag for flag in first.flags if all(flag in other.flags for other in others)]
    return common, {
        variant.key: [flag for flag in variant.flags if flag not in common]
        for variant in resolved.variants
    }


def _check(check: Check) -> dict[str, Any]:
    """A check as the app asks it; only what it expects."""
    asked: dict[str, Any] = {
        "name": check.name,
        "messages": [{"role": role, "content": text} for role, text in check.messages],
        "max_tokens": check.max_tokens,
        "within": _whole(check.within),
    }
    expected = {"contains": check.contains, "matches": check.matches, "json": list(check.json_keys)}
    return {**asked, **{word: value for word, value in expected.items() if value}}


def _cards(resolved: Resolved) -> list[tuple[str, str]]:
    """How nvidia-smi calls the cards of this app, each once."""
    names = dict.fromkeys(v.gpu for v in resolved.variants if v.gpu is not None)
    known = gpus()
    return [
        (words, name)
        for name in names
        for words in (known[name].smi_names if name in known else (name,))
    ]


def _dockerfile(resolved: Resolved) -> Rows | None:
    """Its lines, which the app writes to a file of its own."""
    first = resolved.image[0]
    return Rows(list(first.args)) if first.method == "from_dockerfile" else None


def _image_call(number: int, step: ImageStep) -> Call:
    args: tuple[Any, ...] = step.args
    options = dict(step.options)
    if step.method == "entrypoint":
        args = (list(step.args),)
    if step.method == "from_dockerfile":
        args = (Call("dockerfile_path"),)
    if step.secret is not None:
        named = "registry_secret" if step.method == "from_dockerfile" else "secret"
        options[named] = Call("modal.Secret.from_name", (step.secret,))
    return Call(("modal.Image." if number == 0 else ".") + step.method, args, options)


def _volume(mount: Mount) -> Chain:
    options = {"create_if_missing": True} if mount.create else {}
    calls = [Call("modal.Volume.from_name", (mount.volume,), options)]
    if mount.read_only:
        calls.append(Call(".with_mount_options", (), {"read_only": True}))
    return Chain(tuple(calls))


def bucket_call(bucket: Bucket) -> Call:
    options: dict[str, Any] = {}
    if bucket.endpoint is not None:
        options["bucket_endpoint_url"] = bucket.endpoint
    if bucket.prefix is not None:
        options["key_prefix"] = bucket.prefix
    if bucket.secret is not None:
        options["secret"] = _secret(bucket.secret, ())
    if bucket.read_only:
        options["read_only"] = True
    return Call("modal.CloudBucketMount", (bucket.bucket,), options)


def _secret(name: str, keys: tuple[str, ...]) -> Call:
    options = {"required_keys": list(keys)} if keys else {}
    return Call("modal.Secret.from_name", (name,), options)


def _whole(number: float | None) -> float | int | None:
    """4.0 reads better as 4, and is the same to Modal."""
    return int(number) if number is not None and number.is_integer() else number
