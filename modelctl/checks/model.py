"""Is it known what the model is, and can it do what the spec asks of it?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from modelctl.checks.case import Case, Rule, doubtful, unchecked, wrong
from modelctl.checks.sources import hub_sources, with_facts
from modelctl.engines.base import Finding
from modelctl.resolved import Unknown
from modelctl.spec.wanted import Path_
from modelctl.weights.local import files_of
from modelctl.weights.needed import lacks, missing_part
from modelctl.weights.read import gguf_file

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SERVED_AS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]*")
# Flags of either engine that change what the model says of its own length, by how they begin.
_STRETCHING = ("rope-", "yarn-", "hf-overrides", "override-kv", "kv-overrides")
_LONGER = ("VLLM_ALLOW_LONG_MAX_MODEL_LEN",)
_ALL_PARTS = "all parts of it beside each other"
_SOURCE: Path_ = ("model", "source")


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


def missing_parts(case: Case) -> Iterator[Finding]:
    """A split GGUF in the project is served from all of its parts."""
    root, model = case.facts.root, case.spec.model
    if case.engine.name != "llama.cpp" or root is None or not root.exists() or case.facts.problem:
        return
    folder = root if root.is_dir() else root.parent
    names = [file.relative_to(folder).as_posix() for file in files_of(root)]
    glob = model.file if model else None
    served = gguf_file(names, glob) if root.is_dir() else root.name
    missing = missing_part(served, names) if served else ""
    if missing:
        yield wrong(("model", "file") if glob else _SOURCE, "model/which-file", missing, _ALL_PARTS)


def not_locked(case: Case) -> Iterator[Finding]:
    """What is not in the lock may change by itself, or has at least an unknown size."""
    revision = (case.spec.model and case.spec.model.revision) or ""
    for path, source, facts in with_facts(case):
        if facts.remote or facts.kind not in ("hub", "bucket"):
            continue
        if not isinstance(facts.digest, Unknown):  # locked, with an empty list
            yield wrong(
                path,
                "model/no-weights",
                f"{source} holds no file that an engine could read",
                "another repository, or modelctl lock --upgrade where it has some now",
            )
        elif case.engine.name == "llama.cpp" and isinstance(
            case.resolved.weights.argument, Unknown
        ):
            if path == _SOURCE:
                globbed = case.spec.model is not None and case.spec.model.file is not None
                name = "one file in full, without *" if globbed else "the file: model: {file: …}"
                yield wrong(
                    path,
                    "model/unlocked",
                    f"{source} is not in modelctl.lock: which of its files is served is not known",
                    f"run modelctl lock, or name {name}",
                )
        elif isinstance(facts.commit, Unknown) and not (
            path == _SOURCE and _COMMIT.fullmatch(revision)
        ):
            of_bucket = facts.kind == "bucket"
            why = ": what lies there" if of_bucket else ", and no commit pins it: it"
            yield doubtful(
                path,
                "model/unlocked",
                f"{source} is not in modelctl.lock{why} may change by itself",
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
            _ALL_PARTS
            if argument.reason.endswith(" is missing")
            else "model: {file: a glob that only one of them matches}",
        )


def no_weights(case: Case) -> Iterator[Finding]:
    """A locked folder without a file that its purpose needs at its top starts no engine."""
    args = [(case.spec.backend and case.spec.backend.args) or {}]
    args += [entry.args or {} for _, entry, _, _ in case.entries]
    if any("dummy" in map(str, said.values()) for said in args):
        return
    fetches = {weights.source: weights.fetch for weights in case.resolved.sources}
    for path, source, facts in hub_sources(case):
        fetch = fetches.get(source)
        if fetch is None or not facts.remote or facts.format == "gguf":
            continue
        lacking = lacks([file.path for file in facts.remote], fetch.selection)
        if lacking:
            yield wrong(
                path,
                "model/no-weights",
                f"{source} {lacking}",
                "a repository or revision that has them at its top",
            )


def needs_a_secret(case: Case) -> Iterator[Finding]:
    if case.spec.model is None or case.spec.model.secret:
        return
    for path, source, facts in hub_sources(case):
        if facts.access:
            yield doubtful(
                path,
                "model/no-secret",
                f"{source} is {facts.access}, and the spec names no secret that opens it",
                "modal secret create huggingface HF_TOKEN=…, and model: {secret: huggingface}",
            )


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
        if value is not None and kind in what and kind not in kinds:
            yield wrong(
                ("model", field),
                "model/unused",
                f"{what[kind]} has no {field}",
                instead,
                key=True,
            )


def context_beyond_model(case: Case) -> Iterator[Finding]:
    own = case.facts.context_length
    if isinstance(own, Unknown):
        return
    asked: list[tuple[Path_, int]] = []
    if case.spec.context is not None:
        asked.append((("context",), case.spec.context))
    for index, entry, _, _ in case.entries:
        if entry.context is not None:
            asked.append((("gpu", index, "context"), entry.context))
    stretched = _stretched_by(case)
    for path, context in asked:
        message = f"a context of {context:,} is more than the model's own {own:,}"
        if context <= own:
            continue
        if stretched:
            yield unchecked(path, "model/context", f"{message}, and {stretched} may change that")
        else:
            yield wrong(path, "model/context", message, f"context: {own}")


def _stretched_by(case: Case) -> str:
    """What the spec tells the engine that may give the model another length; "" for nothing."""
    said = [(case.spec.backend and case.spec.backend.args) or {}]
    said += [entry.args or {} for _, entry, _, _ in case.entries]
    for name in (name for args in said for name in args):
        plain = name.lstrip("-").replace("_", "-")
        if plain.startswith(_STRETCHING):
            return f"--{plain}"
    return next((name for name in _LONGER if name in (case.spec.env or {})), "")


def remote_code(case: Case) -> Iterator[Finding]:
    model, where = case.spec.model, ("model", "trust_remote_code")
    if model is None or not model.trust_remote_code:
        return
    pinned = case.facts.kind == "local" or not isinstance(case.facts.commit, Unknown)
    if pinned or _COMMIT.fullmatch(model.revision or ""):
        yield doubtful(
            where,
            "model/remote-code",
            f"Python from {model.source} runs in every container, beside this endpoint's secrets",
            "leave it out where vLLM has the architecture, or allow it with a reason",
        )
    else:
        yield doubtful(
            where,
            "model/remote-code",
            "whoever can push to the repository can run code beside this endpoint's secrets",
            "modelctl lock keeps it to the code that was read",
        )
    for other in sorted(_code_elsewhere(case)):
        yield doubtful(
            where,
            "model/code-elsewhere",
            f"config.json takes code from {other}, which is neither locked nor fetched",
            f"a repository with code of its own, or with a copy of {other}'s .py files",
        )


def _code_elsewhere(case: Case) -> set[str]:
    """The repositories that auto_map names: `org/repo--modeling.Class`."""
    config = case.facts.config
    named = {} if isinstance(config, Unknown) else config.get("auto_map")
    values = named.values() if isinstance(named, Mapping) else ()
    texts = [text for v in values for text in (v if isinstance(v, list) else [v])]
    return {text.partition("--")[0] for text in texts if isinstance(text, str) and "--" in text}


def generate_only(case: Case) -> Iterator[Finding]:
    """What only a model can do that writes text."""
    spec, task = case.spec, case.resolved.task
    said = [("reasoning", spec.reasoning), ("speculative", spec.speculative)]
    if case.engine.name == "vllm":
        said.append(("tools", spec.tools))
    for field, value in said if task != "generate" else ():
        if value:
            yield doubtful(
                (field,),
                "engine/generate-only",
                f"a model that does {task} writes no text, so that {field} means nothing",
                "leave it out",
                key=True,
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


def adapter_name_looks_wrong(case: Case) -> Iterator[Finding]:
    """llama.cpp numbers its adapters; clients of vLLM call them by these names, as models."""
    adapters = (case.spec.model and case.spec.model.adapters) or {}
    for name in adapters if case.engine.name == "vllm" else ():
        if not _SERVED_AS.fullmatch(name):
            yield wrong(
                ("model", "adapters", name),
                "model/served-as",
                f"{name!r} cannot be an adapter's name",
                "letters, digits and . _ : / @ -, the first a letter or digit",
                key=True,
            )
        elif name in case.resolved.served_as:
            yield wrong(
                ("model", "adapters", name),
                "model/served-as",
                f"{name} is the model's own name, so no request would reach the adapter",
                "another name, or another in model.served_as",
                key=True,
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
    several_gguf_files,
    missing_parts,
    not_locked,
    which_file,
    no_weights,
    needs_a_secret,
    fields_without_use,
    context_beyond_model,
    remote_code,
    generate_only,
    served_as_looks_wrong,
    adapter_name_looks_wrong,
    chat_template_unusable,
)
