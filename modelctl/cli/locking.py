"""Which remote sources do specs name, and what does their host say about them, all at once?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from modelctl.diagnostics import Diagnostic, Place, Rejected, error, in_order
from modelctl.engines.images import locked_engine
from modelctl.platform.types import CouldNotFetch
from modelctl.resolve import engine_of
from modelctl.resolve.sources import selections_of
from modelctl.resolved import Fetch, Selection
from modelctl.spec.wanted import Path_, Wanted, show_path
from modelctl.weights import bucket, hub
from modelctl.weights.at_once import at_once, beside
from modelctl.weights.headers import lacking
from modelctl.weights.hub import Found, HubProblem
from modelctl.weights.lock import COMMIT, Lock, Locked, LockedEngine, key
from modelctl.weights.needed import needed
from modelctl.weights.read import measured_key
from modelctl.weights.sources import parse

AT_ONCE = 8
_CODES = {"wrong": "hub/not-found", "access": "hub/no-access", "broken": "model/broken"}
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


class Named(Struct, frozen=True):
    """A source of the Hub or a bucket, and where the first spec that names it says so.

    `needs_listing` is false where nothing has to be known of its files to deploy it: a commit whose
    whole folder is read, a bucket that is read in place. `selections` say which part of it the
    specs mean. `at` is the commit that it is locked at, where only its facts are asked for.
    """

    source: str
    revision: str | None
    place: Place | None = None
    path: str = ""
    needs_listing: bool = True
    endpoint: str | None = None
    selections: frozenset[Selection] = field(default_factory=frozenset)
    at: str | None = None

    @property
    def key(self) -> str:
        return key(self.source, self.revision)


def named_sources(specs: Iterable[Wanted]) -> dict[str, Named]:
    """Every source of the Hub or a bucket that one of the specs names, by its key in the lock."""
    found: dict[str, Named] = {}
    for wanted in specs:
        chosen = selections_of(wanted.spec, gguf=engine_of(wanted.spec).takes_gguf)
        for path, source, revision in _sources(wanted):
            parsed = parse(source)
            named = Named(
                source,
                revision,
                wanted.origins.place(path),
                show_path(path),
                selections=frozenset({chosen[source]}),
            )
            if parsed.kind == "bucket" and parsed.where:
                model = wanted.spec.model
                copied, endpoint = bool(model and model.copy_), model.endpoint if model else None
                asked = replace(named, revision=None, needs_listing=copied, endpoint=endpoint)
                _add(found, asked)
            elif parsed.kind == "hub" and _REPOSITORY.fullmatch(parsed.where):
                at_commit = bool(COMMIT.fullmatch(revision or "")) and not _takes_one_file(wanted)
                _add(found, replace(named, needs_listing=not at_commit))
    return found


def _add(found: dict[str, Named], named: Named) -> None:
    """The first that names a source is shown; one that needs its listing is enough."""
    known = found.setdefault(named.key, named)
    found[named.key] = replace(
        known,
        needs_listing=known.needs_listing or named.needs_listing,
        selections=known.selections | named.selections,
    )


def _takes_one_file(wanted: Wanted) -> bool:
    backend, model = wanted.spec.backend, wanted.spec.model
    return bool((backend and backend.name == "llama.cpp") or (model and model.file))


def _sources(wanted: Wanted) -> Iterator[tuple[Path_, str, str | None]]:
    model, speculative = wanted.spec.model, wanted.spec.speculative
    if model is not None:
        if model.source:
            yield ("model", "source"), model.source, model.revision
        if model.tokenizer:
            yield ("model", "tokenizer"), model.tokenizer, None
        for name, adapter in (model.adapters or {}).items():
            if adapter.source:
                yield ("model", "adapters", name, "source"), adapter.source, None
    if speculative is not None and speculative.model:
        yield ("speculative", "model"), speculative.model, None


def ask_all(named: Mapping[str, Named]) -> dict[str, Found]:
    """Ask about all of them, several at once.

    Raises Rejected with every source that cannot be had, or HubProblem where the Hub itself is in
    the way and asking again may help.
    """
    problems: list[Diagnostic] = []
    later: list[HubProblem] = []
    found: dict[str, Found] = {}

    def one(item: Named) -> Found | HubProblem:
        try:
            if parse(item.source).kind == "bucket":
                return bucket.look_up(item.source, item.endpoint, item.selections)
            found = hub.look_up(item.source, item.at or item.revision, item.selections)
            return replace(found, locked=replace(found.locked, revision=item.revision))
        except HubProblem as problem:
            return problem

    items = list(named.values())
    for item, answer in zip(items, at_once(one, items, AT_ONCE), strict=True):
        if isinstance(answer, Found):
            found[item.key] = answer
        elif answer.kind == "again":
            later.append(answer)
        else:
            problems.append(
                error(
                    _CODES[answer.kind],
                    answer.message,
                    hint=answer.hint,
                    place=item.place,
                    path=item.path,
                )
            )
    if problems:
        raise Rejected(in_order(problems))
    if later:
        raise later[0]
    return found


async def list_files(fetch: Fetch) -> Fetch:
    """The same with the files that its commit has, asked of the Hub. Raises a PlatformError."""
    commit = fetch.commit if isinstance(fetch.commit, str) else None
    try:
        if fetch.bucket is not None:
            found = await beside(partial(bucket.look_up, fetch.source, fetch.bucket.endpoint))
        else:
            found = await beside(partial(hub.look_up, fetch.source, commit))
    except HubProblem as problem:
        raise CouldNotFetch(
            f"could not fetch {fetch.source}: {problem.message}", problem.hint
        ) from problem
    files = needed(found.locked.files, fetch.selection).files
    return replace(fetch, commit=found.locked.commit, files=files)


def unlocked(named: Mapping[str, Named], lock: Lock) -> dict[str, Named]:
    """Those that the lock lacks."""
    return {name: item for name, item in named.items() if name not in lock.sources}


def default_engines(specs: Iterable[Wanted]) -> dict[str, LockedEngine]:
    """The engines that specs use without a version, by name, each as the default is today."""
    found = {}
    for wanted in specs:
        if wanted.spec.backend is None or wanted.spec.backend.version is None:
            engine = engine_of(wanted.spec)
            product = engine.product(engine.server(wanted.spec))
            found[product] = locked_engine(product)
    return found


def measured_source(wanted: Wanted, root: Path) -> str:
    """What the lock keeps boots of a spec's model under."""
    model = wanted.spec.model
    source, revision = (model.source, model.revision) if model else (None, None)
    return measured_key(source or "", revision, wanted.file.parent, root)


def with_facts_of(before: Locked | None, now: Locked) -> Locked:
    """What was read of the same commit for other specs stays."""
    if before is None or before.commit != now.commit:
        return now
    tensors = before.tensors if now.tensors is None else now.tensors
    return replace(now, tensors=tensors, gguf={**before.gguf, **now.gguf})


def incomplete(named: Mapping[str, Named], lock: Lock) -> dict[str, Named]:
    """Those that are locked without a fact that would be read now, at the commit that they have."""
    return {
        name: replace(item, at=lock.sources[name].commit)
        for name, item in named.items()
        if name in lock.sources and lacking(lock.sources[name], item.selections)
    }
