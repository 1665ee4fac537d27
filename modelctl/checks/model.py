"""Is the model there, can it be read, and can it do what the spec asks of it?"""

from __future__ import annotations

import re
from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, doubtful, unchecked, wrong
from modelctl.engines.base import Finding
from modelctl.resolved import Unknown
from modelctl.spec.wanted import Path_
from modelctl.weights.facts import ModelFacts
from modelctl.weights.read import gguf_file
from modelctl.weights.sources import parse

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SERVED_AS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
_SOURCE: Path_ = ("model", "source")


def source_not_understood(case: Case) -> Iterator[Finding]:
    text = case.spec.model.source if case.spec.model else None
    source = parse(text)
    known = "hf://org/repo, volume://name/path, s3://bucket/prefix, gs://bucket/prefix or ./path"
    if not text:
        yield wrong(("model",), "model/no-source", "the spec names no model", f"model: {known}")
    elif source.unknown:
        yield wrong(
            _SOURCE, "model/unknown-source", f"{source.unknown}:// is no source of models", known
        )
    elif source.scheme == "r2" and not (case.spec.model and case.spec.model.endpoint):
        yield wrong(
            _SOURCE,
            "model/endpoint",
            "a bucket of R2 is found by its account's address, and none is given",
            "model: {endpoint: https://ACCOUNT.r2.cloudflarestorage.com}",
        )
    elif source.kind == "hub" and not _REPOSITORY.fullmatch(source.where):
        yield wrong(
            _SOURCE,
            "model/malformed-source",
            f"{text} names no repository",
            "hf://org/repo, as the address on the Hub has it",
        )
    elif source.kind in ("volume", "bucket") and not _VOLUME.fullmatch(source.where):
        yield wrong(
            _SOURCE,
            "model/malformed-source",
            f"{text} names no {'Volume' if source.kind == 'volume' else 'bucket'}",
            f"{source.scheme}://name/path",
        )
    elif ".." in source.path.split("/") and source.kind != "local":
        yield wrong(
            _SOURCE,
            "model/malformed-source",
            f"{text} leaves its {source.kind}",
            "a path without ..",
        )


def local_model_unusable(case: Case) -> Iterator[Finding]:
    text = (case.spec.model and case.spec.model.source) or ""
    folder = case.wanted.file.parent.as_posix()
    match case.facts.problem:
        case "missing":
            yield wrong(
                _SOURCE,
                "model/not-found",
                f"there is no file {text}",
                f"paths start at the spec's folder, {folder}; the Hub is hf://org/repo",
            )
        case "outside":
            yield wrong(
                _SOURCE,
                "model/outside-project",
                f"{text} is outside the project's folder",
                "move it below the folder that holds modelctl.yaml, or use volume://name/path",
            )
        case "empty":
            yield wrong(_SOURCE, "model/empty", f"{text} is empty", "fetch the model again")
        case "unreadable":
            yield wrong(
                _SOURCE,
                "model/unreadable",
                f"{text} cannot be read: {case.facts.detail or 'the disk refused'}",
                "see who may read it",
            )
        case "not-gguf":
            yield wrong(
                _SOURCE,
                "model/not-gguf",
                f"{text} is no GGUF file: it {case.facts.detail}",
                "fetch it again; a Git LFS pointer or a web page may have been saved instead",
            )


def several_gguf_files(case: Case) -> Iterator[Finding]:
    """A folder is served from one GGUF; the digest is not needed to see that there are several."""
    root = case.facts.root
    if case.engine.name != "llama.cpp" or root is None or not root.is_dir() or case.facts.problem:
        return
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.gguf"))
    glob = case.spec.model.file if case.spec.model else None
    if gguf_file(names, glob) is None:
        text = (case.spec.model and case.spec.model.source) or ""
        found = f"{len(names)} GGUF files" if names else "no GGUF file"
        example = f"{text.rstrip('/')}/{names[0]}" if names else "a path that ends in .gguf"
        yield wrong(
            _SOURCE, "model/which-file", f"{text} has {found}, and llama.cpp takes one", example
        )


def not_locked(case: Case) -> Iterator[Finding]:
    """What is not in the lock may change by itself, or has at least an unknown size."""
    revision = (case.spec.model and case.spec.model.revision) or ""
    for path, source, facts in _hub_sources(case):
        if facts.remote:
            continue
        if case.engine.name == "llama.cpp" and isinstance(case.resolved.weights.argument, Unknown):
            if path == _SOURCE:
                yield wrong(
                    path,
                    "model/unlocked",
                    f"{source} is not in modelctl.lock: which of its files is served is not known",
                    "run modelctl lock, or name the file: model: {file: …}",
                )
        elif isinstance(facts.commit, Unknown) and not (
            path == _SOURCE and _COMMIT.fullmatch(revision)
        ):
            yield doubtful(
                path,
                "model/unlocked",
                f"{source} is not in modelctl.lock, and no commit pins it: it may change by itself",
                "run modelctl lock",
            )
        else:
            yield unchecked(
                path,
                "model/unlocked",
                f"{source} is not in modelctl.lock: its size and context were not checked",
            )


def which_file(case: Case) -> Iterator[Finding]:
    """Of a locked repository of GGUF files one is served: the only one that the glob means."""
    argument, model = case.resolved.weights.argument, case.spec.model
    if case.facts.remote and isinstance(argument, Unknown) and model is not None:
        yield wrong(
            ("model", "file") if model.file else _SOURCE,
            "model/which-file",
            f"{model.source}: {argument.reason}",
            "model: {file: a glob that only one of them matches}",
        )


def needs_a_secret(case: Case) -> Iterator[Finding]:
    if case.spec.model is None or case.spec.model.secret:
        return
    for path, source, facts in _hub_sources(case):
        if facts.access:
            yield doubtful(
                path,
                "model/no-secret",
                f"{source} is {facts.access}, and the spec names no secret that opens it",
                "modal secret create huggingface HF_TOKEN=…, and model: {secret: huggingface}",
            )


def _hub_sources(case: Case) -> Iterator[tuple[Path_, str, ModelFacts]]:
    """The sources of the Hub that the spec names, with what is known of each."""
    model, speculative = case.spec.model, case.spec.speculative
    if model is not None and case.facts.kind == "hub":
        yield _SOURCE, model.source or "", case.facts
    named: list[tuple[Path_, str | None]] = []
    if model is not None:
        named.append((("model", "tokenizer"), model.tokenizer))
        for name, adapter in (model.adapters or {}).items():
            named.append((("model", "adapters", name, "source"), adapter.source))
    if speculative is not None:
        named.append((("speculative", "model"), speculative.model))
    for path, source in named:
        facts = case.facts.beside.get(source or "")
        if facts is not None and facts.kind == "hub":
            yield path, source or "", facts


def fields_without_use(case: Case) -> Iterator[Finding]:
    model, kind = case.spec.model, case.resolved.weights.kind
    if model is None:
        return
    folder = case.facts.root is not None and case.facts.root.is_dir()
    files = ("hub", "volume", "bucket", *(("local",) if folder else ()))
    what = {"hub": "the Hub", "volume": "a Volume", "bucket": "a bucket", "local": "a local path"}
    said = (
        ("revision", model.revision, ("hub",), "leave it out: the source says it all"),
        ("secret", model.secret, ("hub", "bucket"), "leave it out: no secret opens it"),
        ("file", model.file, files, "name the file in source"),
    )
    for field, value, kinds, instead in said:
        if value is not None and kind not in kinds:
            yield wrong(
                ("model", field),
                "model/unused",
                f"{what[kind]} has no {field}",
                instead,
                key=True,
            )


def context_beyond_model(case: Case) -> Iterator[Finding]:
    own = case.facts.context_length
    args = (case.spec.backend and case.spec.backend.args) or {}
    if isinstance(own, Unknown) or any(name.lstrip("-").startswith("rope") for name in args):
        return
    asked: list[tuple[Path_, int]] = []
    if case.spec.context is not None:
        asked.append((("context",), case.spec.context))
    for index, entry, _, _ in case.entries:
        if entry.context is not None:
            asked.append((("gpu", index, "context"), entry.context))
    for path, context in asked:
        if context > own:
            yield wrong(
                path,
                "model/context",
                f"a context of {context:,} is more than the model's own {own:,}",
                f"context: {own}",
            )


def remote_code(case: Case) -> Iterator[Finding]:
    model = case.spec.model
    pinned = not isinstance(case.facts.commit, Unknown) or _COMMIT.fullmatch(
        (model and model.revision) or ""
    )
    if model and model.trust_remote_code and not pinned:
        yield doubtful(
            ("model", "trust_remote_code"),
            "model/remote-code",
            "whoever can push to the repository can run code beside this endpoint's secrets",
            "modelctl lock keeps it to the code that was read",
        )


def served_as_looks_wrong(case: Case) -> Iterator[Finding]:
    for index, name in enumerate(case.resolved.served_as):
        if _SERVED_AS.fullmatch(name):
            continue
        yield wrong(
            ("model", "served_as", index),
            "model/served-as",
            f"{name!r} cannot be a model's name",
            "letters, digits and . _ : / @ -, the first a letter or digit",
        )


def chat_template_unusable(case: Case) -> Iterator[Finding]:
    template = case.facts.chat_template
    if isinstance(template, Unknown):
        yield wrong(
            ("chat_template",),
            "model/chat-template",
            f"{case.spec.chat_template}: {template.reason}",
            f"a file in the project; paths start at {case.wanted.file.parent.as_posix()}",
        )


RULES: tuple[Rule, ...] = (
    source_not_understood,
    local_model_unusable,
    several_gguf_files,
    not_locked,
    which_file,
    needs_a_secret,
    fields_without_use,
    context_beyond_model,
    remote_code,
    served_as_looks_wrong,
    chat_template_unusable,
)
