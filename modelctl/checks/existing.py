"""Is there at Modal what the spec names and only people make? Plan asks; validate cannot know."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from modelctl.checks.case import doubtful, wrong
from modelctl.checks.judge import ruled
from modelctl.diagnostics import Diagnostic
from modelctl.engines.base import Finding
from modelctl.resolved import Resolved
from modelctl.spec.wanted import Path_, Wanted
from modelctl.weights.sources import parse

_OURS = "modelctl-"
_BUCKET_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_REGISTRY_KEYS = ("REGISTRY_USERNAME", "REGISTRY_PASSWORD")


class Need(Struct, frozen=True):
    """A Secret or a Volume that must be there before anything is deployed, and how to make it.

    `to_fetch` is what only fetches weights: nothing lacks it where they are in the Volume already.
    """

    kind: Literal["Secret", "Volume"]
    name: str
    path: Path_
    make: str
    to_fetch: bool = False


class There(Struct, frozen=True):
    """What an environment has, by name; None where nobody asked, or it would not say.

    `where` names it for people; `options` tell Modal's own command of it: `--env prod `. `before`
    is what must run first.
    """

    where: str
    secrets: frozenset[str] | None
    volumes: frozenset[str] | None
    options: str = ""
    before: str = ""


def needs_of(wanted: Wanted, resolved: Resolved) -> tuple[Need, ...]:
    """Each once, where the spec first names it. What modelctl makes by itself is none."""
    made = {mount.volume for mount in resolved.mounts if mount.create}
    found: dict[tuple[str, str], Need] = {}
    for need in (*_secrets(wanted), *_volumes(wanted)):
        ours = need.name in made or need.name.startswith(_OURS)
        if need.kind == "Secret" or not ours:
            found.setdefault((need.kind, need.name), need)
    return tuple(found.values())


def missing(
    wanted: Wanted,
    resolved: Resolved,
    there: There,
    *,
    deploys: bool,
    today: datetime.date,
) -> list[Diagnostic]:
    """Errors where the app is about to be deployed, else warnings: it starts no new container."""
    return ruled(_findings(wanted, resolved, there, deploys), wanted, today)


def _findings(wanted: Wanted, resolved: Resolved, there: There, deploys: bool) -> Iterator[Finding]:
    for need in needs_of(wanted, resolved):
        names = there.secrets if need.kind == "Secret" else there.volumes
        if names is None or need.name in names:
            continue
        say = wrong if deploys and not need.to_fetch else doubtful
        later = "" if deploys else ": containers that start from now on fail"
        later = ": what is not in its Volume yet cannot be fetched" if need.to_fetch else later
        made = need.make.replace(" create ", f" create {there.options}")
        made = made.replace(" put ", f" put {there.options}")
        yield say(
            need.path,
            "secrets/missing" if need.kind == "Secret" else "volumes/missing",
            f"there is no {need.kind} {need.name} in the {there.where}{later}",
            f"{there.before}{made}",
        )


def _secrets(wanted: Wanted) -> Iterator[Need]:
    spec = wanted.spec
    for name, keys in (spec.secrets or {}).items():
        yield _secret(name, ("secrets", name), tuple(keys or ()))
    key = spec.endpoint.api_key if spec.endpoint and spec.endpoint.auth == "api-key" else None
    if key and key.secret:
        yield _secret(key.secret, ("endpoint", "api_key"), (key.key or "KEY",))
    if spec.model and spec.model.secret:
        hub = parse(spec.model.source).kind == "hub"
        keys_of_it = ("HF_TOKEN",) if hub else _BUCKET_KEYS
        need = _secret(spec.model.secret, ("model", "secret"), keys_of_it)
        yield replace(need, to_fetch=hub or bool(spec.model.copy_))
    for path, mount in (spec.buckets or {}).items():
        if mount.secret:
            yield _secret(mount.secret, ("buckets", path, "secret"), _BUCKET_KEYS)
    if spec.image and spec.image.secret:
        yield _secret(spec.image.secret, ("image", "secret"), _REGISTRY_KEYS)


def _secret(name: str, path: Path_, keys: tuple[str, ...]) -> Need:
    values = " ".join(f"{key}=…" for key in keys or ("KEY",))
    return Need("Secret", name, path, f"modal secret create {name} {values}")


def _volumes(wanted: Wanted) -> Iterator[Need]:
    for path, mount in (wanted.spec.volumes or {}).items():
        if mount.name:
            yield Need("Volume", mount.name, ("volumes", path), f"modal volume create {mount.name}")
    for field, text in _sources(wanted):
        source = parse(text)
        if source.kind == "volume" and source.where:
            make = f"modal volume create {source.where}, then modal volume put {source.where} FILE"
            yield Need("Volume", source.where, field, make)


def _sources(wanted: Wanted) -> Iterator[tuple[Path_, str]]:
    """Every model that the spec names, with its field."""
    spec = wanted.spec
    if spec.model:
        if spec.model.source:
            yield ("model", "source"), spec.model.source
        if spec.model.tokenizer:
            yield ("model", "tokenizer"), spec.model.tokenizer
        for name, adapter in (spec.model.adapters or {}).items():
            if adapter.source:
                yield ("model", "adapters", name, "source"), adapter.source
    if spec.speculative and spec.speculative.model:
        yield ("speculative", "model"), spec.speculative.model
