"""Which fields have a spec and modelctl.yaml? Their reference pages, from the classes and defaults.

`UPDATE_GOLDEN=1 pytest tests/docs/test_reference.py` writes docs/reference/spec.md and project.md.
"""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from modelctl.engines import engine
from modelctl.resolve import DEFAULTS
from modelctl.spec.kinds import Kind, LeafKind, ListKind, NamedKind, ShapeKind
from modelctl.spec.models import Fields, Shape, Spec
from modelctl.spec.project_models import BackendDefaults, Project
from modelctl.spec.shorthand import ONE_FOR_MANY
from modelctl.spec.values import Duration, Size, duration_text

NOTHING = "none"
OF_THE_SPEC = "the spec's"


def _seconds(value: float) -> str:
    return f"`{duration_text(value)}`"


DEFAULT: dict[str, str] = {
    "apiVersion": "`modelctl/v1`",
    "name": "must be said",
    "only": "all environments",
    "model": "must be said",
    "model.source": "must be said",
    "model.revision": "the main branch, at the commit of `modelctl.lock`",
    "model.file": "the one GGUF file that there is",
    "model.tokenizer": "the model's own",
    "model.served_as": "the spec's name",
    "model.task": f"`{DEFAULTS.task}`",
    "model.trust_remote_code": "`false`",
    "model.copy": "`false`",
    "model.adapters.source": "must be said",
    "model.adapters.rank": "the adapter's own",
    "backend": "`llama.cpp` for GGUF files, else `vllm`",
    "backend.name": "`llama.cpp` for GGUF files, else `vllm`",
    "backend.version": "the lock's, else the tested one",
    "backend.server": "`llama-server`",
    "quantization": "`auto`: what the checkpoint is",
    "context": f"{DEFAULTS.context:,}, or the model's own length where it is less",
    "dtype": "the checkpoint's",
    "kv_cache": "the engine's",
    "max_sequences": "the engine's; of llama-server `concurrency.max`, else 4",
    "max_batched_tokens": "the engine's",
    "memory_utilization": "the engine's",
    "prefix_caching": "the engine's",
    "speculative.method": "must be said",
    "speculative.tokens": "by the method",
    "compile": "`full`",
    "gpu": "`none`",
    "gpu.type": "must be said",
    "gpu.count": "1",
    "cpu": f"Modal's; {DEFAULTS.cpu_cores:g} without a GPU",
    "memory": f"Modal's; {DEFAULTS.cpu_memory_mib // 1024}GiB without a GPU",
    "disk": "Modal's",
    "parallel.tensor": "the GPU count",
    "parallel.pipeline": "1; with `nodes` their number",
    "parallel.data": "1",
    "parallel.expert": "`false`",
    "nodes": "1",
    "keep_warm": f"{DEFAULTS.keep_warm}",
    "scaling.max": "Modal's, so no limit of yours",
    "scaling.buffer": f"{DEFAULTS.buffer}",
    "scaling.idle_timeout": _seconds(DEFAULTS.idle_timeout),
    "scaling.scaleup_window": "Modal's",
    "concurrency.target": "Modal's",
    "endpoint.auth": f"`{DEFAULTS.auth}`",
    "endpoint.region": f"`{DEFAULTS.region}`",
    "endpoint.api_key.secret": "must be said",
    "endpoint.api_key.key": "must be said",
    "endpoint.compute_regions": "anywhere",
    "endpoint.cloud": "any",
    "endpoint.nonpreemptible": "`false`",
    "endpoint.startup_timeout": f"{_seconds(engine('vllm').startup_timeout)} for vLLM, "
    f"{_seconds(engine('llama.cpp').startup_timeout)} for llama.cpp",
    "endpoint.drain": _seconds(DEFAULTS.drain),
    "snapshot": f"`{DEFAULTS.snapshot}`",
    "image": "the engine's own",
    "image.base": "the engine's own",
    "image.install": "`official`",
    "image.python": "the image's",
    "volumes.name": "must be said",
    "volumes.read_only": "`false`",
    "buckets.bucket": "must be said",
    "buckets.read_only": "`false`",
    "buckets.prefix": "all of it",
    "checks.prompt": "this or `messages`",
    "checks.messages": "this or `prompt`",
    "checks.messages.role": "`user`",
    "checks.messages.content": "must be said",
    "checks.within": _seconds(DEFAULTS.check_within),
    "checks.max_tokens": f"{DEFAULTS.check_max_tokens}",
    "metrics.interval": _seconds(DEFAULTS.metrics_interval),
    "metrics.enabled": "`true`",
    "rollout.strategy": f"`{DEFAULTS.strategy}`",
    "rollout.gate": f"`checks` where there are any, else `{DEFAULTS.gate}`",
    "rollout.timeouts.place": _seconds(DEFAULTS.place_timeout),
    "rollout.timeouts.boot": "`endpoint.startup_timeout`",
    "rollout.timeouts.checks": _seconds(DEFAULTS.checks_timeout),
    "rollout.on_failure": f"`{DEFAULTS.on_failure}`",
    "rollout.wave": "by its labels",
    "protect": "`false`",
    "allow.reason": "must be said",
    "allow.until": "for ever",
    "project": "none: nothing is deleted then",
    "environments.modal_environment": "the environment's own name",
    "environments.workspace": "not checked",
    "environments.confirm": "`false`",
}
"""What holds where a field says nothing, by its path; what is in neither table is `none`."""

EXAMPLE: dict[str, str] = {
    "model": "model:\n  source: hf://Qwen/Qwen3-8B\n  revision: main\n  served_as: [chat, qwen3]\n",
    "backend": "backend: {name: vllm, version: 0.32.0, args: {seed: 7}}\n",
    "gpu": "gpu: [H100, 'L40S:2', {type: A100-80GB, context: 16384}]\n",
    "scaling": "scaling: {max: 4, buffer: 1, idle_timeout: 10m}\n",
    "concurrency": "concurrency: {target: 32, max: 64}\n",
    "endpoint": "endpoint:\n  auth: api-key\n  api_key: {secret: partner, key: API_KEY}\n",
    "checks": "checks:\n  knows-paris:\n    prompt: What is the capital of France?\n"
    "    expect: Paris\n    within: 20s\n",
    "rollout": "rollout:\n  strategy: recreate\n  timeouts: {boot: 30m}\n",
    "budget": "scaling: {max: 4}\nbudget: {usd_per_month: 4000, usd_per_hour_at_max: 40}\n",
    "allow": "allow:\n  model/unlocked:\n    reason: the branch is ours\n    until: 2027-01-31\n",
}

SPEC_OPENING = """\
# The spec

Every field of a file in `specs/`, with its type, what holds where it is left out, and what it says.
This page is written from the classes that read a spec and from the defaults that modelctl applies.
`modelctl show SPEC` prints one spec in full, with the line that each value came from.

Short and long form of a field mean the same. Where several layers speak, the later one wins:
built in, the [project file](project.md)'s defaults, those of its backend, those of its environment,
the spec, the spec's environment. Mappings merge, lists replace, and `null` takes a value back to
its default or removes a named thing.

A **duration** is written `90s`, `5m` or `2h`, a **size** `512MiB` or `16GiB`.

## All fields
"""

PROJECT_OPENING = """\
# modelctl.yaml

The project file stands at the root of the project. It says whose apps these are, which environments
there are, and what holds for all specs. This page is written from the classes that read it. A
project file may be left out: then there is one environment, and nothing is ever deleted.

```yaml title="modelctl.yaml"
project: assistants
defaults: {scaling: {max: 4}}
environments:
  staging: {}
  prod: {waves: [tier=canary, tier=main], confirm: true}
```

## All fields
"""


def spec_page() -> str:
    """docs/reference/spec.md."""
    return _page(SPEC_OPENING, Spec, known={Fields: "any of the fields of this page"})


def project_page() -> str:
    """docs/reference/project.md."""
    known: dict[type[Shape], str] = {
        Fields: "[fields of a spec](spec.md)",
        BackendDefaults: "[fields of a spec](spec.md), and `version`",
    }
    return _page(PROJECT_OPENING, Project, known)


def _page(opening: str, root: type[Shape], known: dict[type[Shape], str]) -> str:
    places = dict(known)
    sections = list(_sections(root, places))
    blocks = [opening, _table(root, "", places)]
    for path, shape in sections:
        blocks += [f"## {path}\n", _introduction(path, shape), _table(shape, path, places)]
    return "\n".join(blocks)


def _sections(root: type[Shape], places: dict[type[Shape], str]) -> list[tuple[str, type[Shape]]]:
    """Every shape below the root once, in the order in which one meets it, with its path."""
    found: list[tuple[str, type[Shape]]] = []

    def enter(shape: type[Shape], path: str) -> None:
        inner_shapes = []
        for name, kind in ShapeKind(shape).fields.items():
            inner = _shape_of(kind)
            if inner is not None and inner not in places:
                here = f"{path}.{name}" if path else name
                places[inner] = f"[{here}](#{here.replace('.', '').lower()})"
                found.append((here, inner))
                inner_shapes.append((inner, here))
                enter(inner, here)

    for name, kind in ShapeKind(root).fields.items():
        inner = _shape_of(kind)
        if inner is not None and inner not in places:
            places[inner] = f"[{name}](#{name.lower()})"
    for name, kind in ShapeKind(root).fields.items():
        inner = _shape_of(kind)
        if inner is not None and places[inner] == f"[{name}](#{name.lower()})":
            found.append((name, inner))
            enter(inner, name)
    return found


def _shape_of(kind: Kind) -> type[Shape] | None:
    if isinstance(kind, NamedKind):
        return _shape_of(kind.value)
    if isinstance(kind, ListKind):
        return _shape_of(kind.item)
    return kind.shape if isinstance(kind, ShapeKind) else None


def _introduction(path: str, shape: type[Shape]) -> str:
    about = (shape.__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ")
    text = f"{about}\n"
    if shape.__short__:
        text += f"\nShort form: a bare value is its `{shape.__short__}`.\n"
    if path in EXAMPLE:
        text += f"\n```yaml\n{EXAMPLE[path]}```\n"
    return text


def _table(shape: type[Shape], path: str, places: dict[type[Shape], str]) -> str:
    rows = ["| field | type | default | what it says |", "| --- | --- | --- | --- |"]
    fields = ShapeKind(shape).fields
    for name in sorted(fields, key=_rank):
        kind, here = fields[name], f"{path}.{name}" if path else name
        default = DEFAULT.get(here, OF_THE_SPEC if path == "gpu" else NOTHING)
        rows.append(
            f"| `{name}` | {_type(kind, name, places)} | {default} | {_says(shape, name)} |"
        )
    return "\n".join(rows) + "\n"


def _rank(name: str) -> int:
    """First what names a spec, last what overlays it; the rest in the order of the classes."""
    first = ("apiVersion", "name", "renamed_from", "only")
    return first.index(name) if name in first else 9 + (name == "environments")


def _says(shape: type[Shape], name: str) -> str:
    info = next(i for n, i in shape.model_fields.items() if (i.alias or n) == name)
    return (info.description or "").replace("|", "\\|")


def _type(kind: Kind, name: str, places: dict[type[Shape], str]) -> str:
    if isinstance(kind, ShapeKind):
        return f"{'value or ' if kind.short else ''}{places[kind.shape]}"
    if isinstance(kind, NamedKind):
        inner = _type(kind.value, "", places)
        return f"names, each with {inner}" + (", or a list of names" if name == "secrets" else "")
    if isinstance(kind, ListKind):
        one = " (or one alone)" if name in ONE_FOR_MANY else ""
        return f"list of {_type(kind.item, '', places)}{one}"
    return _leaf(kind)


def _leaf(kind: LeafKind) -> str:
    if any(word is get_args(Duration)[1] for word in kind.metadata):
        return "duration"
    if any(word is get_args(Size)[1] for word in kind.metadata):
        return "size"
    if get_origin(kind.annotation) is Literal:
        return ", ".join(f"`{word}`" for word in get_args(kind.annotation))
    named: dict[Any, str] = {bool: "`true`, `false`", int: "whole number", float: "number"}
    text = named.get(kind.annotation, "text" if kind.annotation is str else "any value")
    limits = [
        f"{word} {limit:g}"
        for entry in kind.metadata
        for attribute, word in (("ge", "from"), ("gt", "above"), ("le", "up to"))
        if (limit := getattr(entry, attribute, None)) is not None
    ]
    return " ".join([text, *limits])


PAGES = {"spec.md": spec_page, "project.md": project_page}
