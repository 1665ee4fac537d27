"""What may a spec not say to vLLM?"""

from __future__ import annotations

import json
from collections.abc import Iterator

from modelctl.diagnostics import Severity
from modelctl.engines import task_rules, vllm_draft, vllm_words
from modelctl.engines.base import Finding, Setting
from modelctl.engines.vllm_flags import names_gpus
from modelctl.facts import gpus, vllm
from modelctl.resolved import Unknown
from modelctl.spec.models import Model, Spec
from modelctl.spec.wanted import Path_
from modelctl.weights.sources import looks_like_gguf

_NO_MODEL = Model.model_construct()

_WITH_A_MODEL = ("draft_model", "eagle", "eagle3", "medusa", "mlp_speculator", "dflash")
_WITHOUT_A_MODEL = ("ngram", "ngram_gpu", "suffix")


def find(setting: Setting) -> Iterator[Finding]:
    yield from _server(setting.spec)
    yield from _format(setting)
    yield from _needs_a_gpu(setting.spec)
    yield from _python(setting.spec)
    yield from task_rules.of_vllm(setting)
    yield from vllm_words.find(setting)
    yield from _numbers(setting.spec)
    yield from _batch(setting.spec)
    yield from _adapters(setting)
    yield from _speculative(setting.spec)
    yield from _draft(setting)
    yield from vllm_draft.find(setting)
    yield from _hosts(setting)
    yield from _open_routes(setting.spec)


def _server(spec: Spec) -> Iterator[Finding]:
    if spec.backend and spec.backend.server is not None:
        yield _wrong(
            ("backend", "server"),
            "engine/wrong-option",
            f"{spec.backend.server} is a server of llama.cpp",
            "leave server out, or backend: llama.cpp",
        )


def _format(setting: Setting) -> Iterator[Finding]:
    model = setting.spec.model or _NO_MODEL
    if setting.model.format == "gguf" or looks_like_gguf(model.file or model.source):
        yield _wrong(
            ("model", "source"),
            "engine/wrong-format",
            "vLLM has no GGUF since 0.24",
            "backend: llama.cpp, or the model's safetensors",
        )
    elif model.file is not None:
        yield _wrong(
            ("model", "file"),
            "engine/unsupported-field",
            "vLLM serves a whole folder, so file picks nothing",
            "leave it out, or backend: llama.cpp for one GGUF file",
            key=True,
        )


def _needs_a_gpu(spec: Spec) -> Iterator[Finding]:
    entries = [gpus.written(entry.type or gpus.NONE)[0].lower() for entry in spec.gpu or ()]
    own = spec.image and (spec.image.base or spec.image.dockerfile)
    if all(name == gpus.NONE for name in entries) and not own:
        yield _wrong(
            ("gpu",),
            "gpu/missing",
            "vLLM's image runs on a GPU only, and the spec names none",
            "gpu: [L40S], or image: {base: …} with a CPU build, or backend: llama.cpp",
        )


def _python(spec: Spec) -> Iterator[Finding]:
    image = spec.image
    if image is None or image.python is None or image.install == "pip":
        return
    if image.base is None and image.dockerfile is None:
        yield _wrong(
            ("image", "python"),
            "image/second-python",
            "vLLM's image has a Python, and packages would land in the one that is added",
            "leave python out, or install: pip",
        )


def _numbers(spec: Spec) -> Iterator[Finding]:
    if spec.dtype != "bfloat16":
        return
    for index, card, _ in _cards(spec):
        if card.compute_capability < (8, 0):
            yield _wrong(
                ("dtype",),
                "engine/wrong-option",
                f"a {card.name} cannot compute in bfloat16, and gpu[{index}] is one",
                "dtype: float16, or auto, which is float16 there alone",
            )
            return


def _batch(spec: Spec) -> Iterator[Finding]:
    said: list[tuple[Path_, int | None, int | None]] = []
    if not spec.gpu:
        said.append(((), spec.max_batched_tokens, spec.max_sequences))
    for index, entry in enumerate(spec.gpu or ()):
        own = entry.max_batched_tokens is not None or entry.max_sequences is not None
        tokens = entry.max_batched_tokens or spec.max_batched_tokens
        sequences = entry.max_sequences or spec.max_sequences
        said.append((("gpu", index) if own else (), tokens, sequences))
    for path, tokens, sequences in dict.fromkeys(said):
        if tokens is not None and sequences is not None and tokens < sequences:
            yield _wrong(
                (*path, "max_batched_tokens") if path else ("max_batched_tokens",),
                "engine/wrong-option",
                f"a step of {tokens} tokens cannot hold one of each of {sequences} sequences",
                f"max_batched_tokens: {sequences} or more; vLLM's own choice is 2048 to 16384",
            )


def _adapters(setting: Setting) -> Iterator[Finding]:
    known = vllm.names(setting.version)
    most = max(known.lora_ranks) if known else None
    for name, adapter in ((setting.spec.model or _NO_MODEL).adapters or {}).items():
        where: Path_ = ("model", "adapters", name)
        facts = setting.model.beside.get(adapter.source or "")
        own = facts.adapter_rank if facts is not None else None
        rank = adapter.rank
        if isinstance(own, int) and rank is not None and rank < own:
            yield _wrong(
                (*where, "rank"),
                "engine/wrong-option",
                f"the adapter {name} has rank {own}, which is more than {rank}",
                f"rank: {own}, or leave it out",
            )
        largest = max(rank or 0, own if isinstance(own, int) else 0)
        if most is not None and largest > most:
            yield _wrong(
                (*where, "rank") if (rank or 0) > most else where,
                "engine/wrong-option",
                f"vLLM {setting.version} takes adapters up to rank {most}"
                + ("" if (rank or 0) > most else f", and {name} has rank {largest}"),
                f"an adapter of rank {most} or less, or one merged into the model",
            )
        if rank is None and not isinstance(own, int):
            yield Finding(
                where,
                Severity.NOT_CHECKED,
                "engine/adapter-rank",
                f"the rank of {name} is not known here: it is taken to be 16 at most",
                f"{name}: {{source: …, rank: the r of its adapter_config.json}}",
            )
        path = setting.sources.path_of(adapter.source)
        if not isinstance(path, Unknown) and "," in path:
            yield _wrong(
                (*where, "source"),
                "engine/wrong-option",
                f"vLLM reads {name}={path} as JSON, because of its comma",
                "a path without a comma",
            )


def _speculative(spec: Spec) -> Iterator[Finding]:
    said = spec.speculative
    if said is None:
        return
    if said.method is None and said.model is None:
        yield _wrong(
            ("speculative",),
            "engine/wrong-option",
            "speculative says neither method nor model",
            "speculative: {method: ngram, tokens: 4}",
        )
    elif said.method in _WITH_A_MODEL and said.model is None:
        yield _wrong(
            ("speculative",),
            "engine/wrong-option",
            f"{said.method} guesses with a model, and none is named",
            f"speculative: {{method: {said.method}, model: hf://org/repo, tokens: 4}}",
        )
    elif said.method in _WITHOUT_A_MODEL and said.model is not None:
        yield _wrong(
            ("speculative", "model"),
            "engine/wrong-option",
            f"{said.method} guesses without a model",
            "leave it out, or name another method",
            key=True,
        )
    image = spec.image
    own = image and (image.packages or image.base or image.dockerfile or image.run)
    if said.method == "suffix" and not own:
        yield Finding(
            ("speculative", "method"),
            Severity.WARNING,
            "engine/missing-package",
            "suffix needs the package arctic-inference, which vLLM does not bring",
            "image: {packages: [arctic-inference==0.1.1]}",
        )


def _draft(setting: Setting) -> Iterator[Finding]:
    """The draft model's path is put between quotes, in JSON, where the mounts are known."""
    said = setting.spec.speculative
    path = setting.sources.path_of(said.model) if said is not None else None
    if isinstance(path, str) and json.dumps(path, ensure_ascii=False) != f'"{path}"':
        yield _wrong(
            ("speculative", "model"),
            "engine/wrong-option",
            f"vLLM is given {path} in JSON, where a quote or a backslash ends it",
            "a path without either",
        )


def _hosts(setting: Setting) -> Iterator[Finding]:
    spec, nodes = setting.spec, setting.nodes
    if nodes == 1:
        return
    if spec.snapshot not in (None, "none"):
        yield _wrong(
            ("snapshot",),
            "parallel/nodes",
            "a snapshot of several hosts holds addresses that are gone when it comes back",
            "snapshot: none, or one host",
        )
    if not names_gpus(spec):
        yield _wrong(
            ("nodes",),
            "parallel/nodes",
            "only hosts with GPUs can serve one copy together",
            "leave nodes out, or gpu: [H100:8]",
        )
    for index, card, count in _cards(spec):
        if count != card.max_count:
            yield _wrong(
                ("gpu", index),
                "parallel/nodes",
                f"of several hosts each is a whole one: {card.max_count} × {card.name}, "
                f"not {count}",
                gpus.key(card.name, card.max_count),
            )
    for index, entry in enumerate(spec.gpu or ()):
        ours = entry.parallel and entry.parallel.data
        _, count = gpus.written(entry.type or gpus.NONE, entry.count)
        data = ours or (spec.parallel and spec.parallel.data)
        if data and nodes % data and data % nodes:
            yield _wrong(
                ("gpu", index, "parallel", "data") if ours else ("parallel", "data"),
                "parallel/nodes",
                f"{data} copies cannot be shared out among {nodes} hosts",
                f"tensor: {count}, data: {nodes}, or another number that divides {nodes} or is "
                "divided by it",
            )


def _cards(spec: Spec) -> Iterator[tuple[int, gpus.Gpu, int]]:
    """The known cards of the list, with how many of each."""
    for index, entry in enumerate(spec.gpu or ()):
        name, count = gpus.written(entry.type or gpus.NONE, entry.count)
        choice = gpus.choice(name)
        if choice is not None:
            yield index, choice.card, count


def _open_routes(spec: Spec) -> Iterator[Finding]:
    auth = spec.endpoint.auth if spec.endpoint else None
    if spec.snapshot == "gpu" and auth in ("none", "api-key"):
        yield _wrong(
            ("endpoint", "auth"),
            "snapshot/open-routes",
            "a GPU snapshot needs vLLM's development routes, which change weights and ask no key",
            "auth: proxy, or snapshot: none",
        )


def _wrong(path: Path_, code: str, message: str, hint: str, *, key: bool = False) -> Finding:
    return Finding(path, Severity.ERROR, code, message, hint, key=key)
