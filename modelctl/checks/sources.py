"""Is each source that a spec names, the model's and those beside it, there and readable?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, wrong
from modelctl.engines.base import Finding
from modelctl.spec.wanted import Path_
from modelctl.weights.facts import ModelFacts
from modelctl.weights.sources import is_revision, parse

_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_KNOWN = "hf://org/repo, volume://name/path, s3://bucket/prefix, gs://bucket/prefix or ./path"

_OF_INIT = "models/SmolLM2-135M-Instruct.Q4_1.gguf"
"""What `modelctl init` fetches: weights that git may ignore."""


def _beside(case: Case) -> Iterator[tuple[Path_, str]]:
    """The fields that name a source beside the model, with what they say."""
    model, speculative = case.spec.model, case.spec.speculative
    named: list[tuple[Path_, str | None]] = []
    if model is not None:
        named.append((("model", "tokenizer"), model.tokenizer))
        for name, adapter in (model.adapters or {}).items():
            named.append((("model", "adapters", name, "source"), adapter.source))
    if speculative is not None:
        named.append((("speculative", "model"), speculative.model))
    for path, source in named:
        if source:
            yield path, source


def hub_sources(case: Case) -> Iterator[tuple[Path_, str, ModelFacts]]:
    """The sources of the Hub that the spec names, with what is known of each."""
    for path, source, facts in with_facts(case):
        if facts.kind == "hub":
            yield path, source, facts


def with_facts(case: Case) -> Iterator[tuple[Path_, str, ModelFacts]]:
    """The sources that the spec names, with what is known of each."""
    model = case.spec.model
    if model is not None:
        yield ("model", "source"), model.source or "", case.facts
    for path, source in _beside(case):
        facts = case.facts.beside.get(source)
        if facts is not None:
            yield path, source, facts


def no_source(case: Case) -> Iterator[Finding]:
    model = case.spec.model
    if model is None or not model.source:
        yield wrong(("model",), "model/no-source", "the spec names no model", f"model: {_KNOWN}")
    for name, adapter in ((model and model.adapters) or {}).items():
        if not adapter.source:
            yield wrong(
                ("model", "adapters", name),
                "model/no-source",
                f"the adapter {name} names no source",
                f"{name}: {_KNOWN}",
            )


def source_not_understood(case: Case) -> Iterator[Finding]:
    model = case.spec.model
    if model is not None and model.source:
        yield from _not_understood(case, ("model", "source"), model.source)
    for path, text in _beside(case):
        yield from _not_understood(case, path, text)


def _not_understood(case: Case, path: Path_, text: str) -> Iterator[Finding]:
    source = parse(text)
    if source.unknown:
        yield wrong(
            path, "model/unknown-source", f"{source.unknown}:// is no source of models", _KNOWN
        )
    elif source.scheme == "r2" and not (case.spec.model and case.spec.model.endpoint):
        yield wrong(
            path,
            "model/endpoint",
            "a bucket of R2 is found by its account's address, and none is given",
            "model: {endpoint: https://ACCOUNT.r2.cloudflarestorage.com}",
        )
    elif source.kind == "hub" and not _REPOSITORY.fullmatch(source.where):
        yield wrong(
            path,
            "model/malformed-source",
            f"{text} names no repository",
            "hf://org/repo, as the address on the Hub has it",
        )
    elif source.kind in ("volume", "bucket") and not _VOLUME.fullmatch(source.where):
        yield wrong(
            path,
            "model/malformed-source",
            f"{text} names no {'Volume' if source.kind == 'volume' else 'bucket'}",
            f"{source.scheme}://name/path",
        )
    elif ".." in source.path.split("/") and source.kind != "local":
        yield wrong(
            path,
            "model/malformed-source",
            f"{text} leaves its {source.kind}",
            "a path without ..",
        )


def malformed_revision(case: Case) -> Iterator[Finding]:
    revision = case.spec.model.revision if case.spec.model else None
    if revision and case.facts.kind == "hub" and not is_revision(revision):
        yield wrong(
            ("model", "revision"),
            "model/malformed-revision",
            f"{revision!r} is no branch, tag or commit",
            "a name as git has it, with no .. and none of ~ ^ : ? * [ \\ or spaces in it, and no "
            "/ or - at its beginning",
        )


def local_source_unusable(case: Case) -> Iterator[Finding]:
    for path, text, facts in with_facts(case):
        yield from _unusable(case, path, text, facts)


def _unusable(case: Case, path: Path_, text: str, facts: ModelFacts) -> Iterator[Finding]:
    folder = case.wanted.file.parent.as_posix()
    match facts.problem:
        case "missing":
            yield wrong(
                path,
                "model/not-found",
                f"there is no file {text}",
                f"modelctl init fetches it into {_OF_INIT}, which git may ignore"
                if text == f"../{_OF_INIT}"
                else f"paths start at the spec's folder, {folder}; the Hub is hf://org/repo",
            )
        case "outside":
            yield wrong(
                path,
                "model/outside-project",
                f"{text}: {facts.detail} is a link that leads outside the project's folder"
                if facts.detail
                else f"{text} is outside the project's folder",
                "move it below the folder that holds modelctl.yaml, or use volume://name/path",
            )
        case "empty":
            yield wrong(path, "model/empty", f"{text} is empty", "fetch the model again")
        case "unreadable":
            yield wrong(
                path,
                "model/unreadable",
                f"{text} cannot be read: {facts.detail or 'the disk refused'}",
                "see who may read it",
            )
        case "not-gguf":
            yield wrong(
                path,
                "model/not-gguf",
                f"{text} is no GGUF file: it {facts.detail}",
                "fetch it again; a Git LFS pointer or a web page may have been saved instead",
            )
        case "broken":
            yield wrong(
                path,
                "model/broken",
                f"{text} cannot be loaded: {facts.detail}",
                "fetch it again, all of it; git lfs pull, where it is in a git repository",
            )


RULES: tuple[Rule, ...] = (
    no_source,
    source_not_understood,
    malformed_revision,
    local_source_unusable,
)
