"""Does a flag of `args` say what the spec's field of the same meaning may not say?

vLLM takes a person's flag in place of ours, so the field's own rules judge what the flag says:
they are asked again as if the field said it, on one GPU of the list at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from modelctl.checks import engine, hardware
from modelctl.checks.arguments import value_problem
from modelctl.checks.case import Case, Rule, wrong
from modelctl.diagnostics import Severity
from modelctl.engines.base import NO_ENTRY, Finding
from modelctl.facts import gpus
from modelctl.facts.flags import flag_table
from modelctl.spec.models import Gpu, Model, Spec
from modelctl.spec.wanted import Path_

_FIELDS = {
    "dtype": "dtype",
    "quantization": "quantization",
    "kv-cache-dtype": "kv_cache",
    "tool-call-parser": "tools",
    "reasoning-parser": "reasoning",
    "max-num-seqs": "max_sequences",
    "max-num-batched-tokens": "max_batched_tokens",
}
_SAME = {"half": "float16", "float": "float32"}
_NUMBERS = ("max_sequences", "max_batched_tokens")
_NO_MODEL = Model.model_construct()

Said = Mapping[str, tuple[Path_, Any]]
"""A flag's main name, where it is said and its value."""


def as_fields(case: Case) -> Iterator[Finding]:
    """At most one finding a flag and code."""
    found: dict[tuple[Path_, str], Finding] = {}
    for index, said in variants(case):
        for finding in _judged(case, index, said):
            found.setdefault((finding.path, finding.code), finding)
    yield from found.values()


def adapter_rank(case: Case) -> Iterator[Finding]:
    """vLLM refuses an adapter of a larger rank than it made room for (0.32: lora/peft_helper)."""
    ranks = {name: rank for name, rank in adapters(case).items() if rank}
    if not ranks:
        return
    largest = max(ranks, key=lambda name: ranks[name])
    for path, value in dict.fromkeys(
        said["max-lora-rank"] for _, said in variants(case) if "max-lora-rank" in said
    ):
        if isinstance(value, int) and not isinstance(value, bool) and value < ranks[largest]:
            yield wrong(
                path,
                "engine/adapter-rank",
                f"--max-lora-rank {value} has no room for the adapter {largest}, which has rank "
                f"{ranks[largest]}",
                "leave it out: modelctl sets the smallest that all adapters fit in",
            )


def variants(case: Case) -> Iterator[tuple[int | None, Said]]:
    """For each GPU of the list what its flags are, that of the entry before that of the backend."""
    ours = (case.spec.backend and case.spec.backend.args) or {}
    if case.engine.name != "vllm" or not (ours or any(e.args for e in case.spec.gpu or ())):
        return
    table = flag_table(case.setting.server, case.setting.version)
    if table is None:
        return
    entries: list[tuple[int | None, Gpu]] = [*enumerate(case.spec.gpu or ())]
    for index, entry in entries or [(None, NO_ENTRY)]:
        said: dict[str, tuple[Path_, Any]] = {}
        for where, args in ((("backend", "args"), ours), (("gpu", index, "args"), entry.args)):
            for name, value in (args or {}).items():
                match = table.find(name)
                if match is None or value is None:
                    continue
                if value_problem(match.fact, value, table.separator) is None:
                    said[match.fact.name] = ((*where, name), value)
        yield index, said


def _judged(case: Case, index: int | None, said: Said) -> Iterator[Finding]:
    """What is wrong with all of them together, at the flag that brought it."""
    spec = _alone(case.spec, index)
    found = _found(case, spec)
    brought: dict[Finding, Path_ | None] = dict.fromkeys(found)
    words: dict[str, str] = {}
    for name, (path, value) in said.items():
        field = _FIELDS.get(name)
        if field is None:
            continue
        spec = _with(spec, index, field, _as_field(name, value))
        words[f"{field}: "] = f"{name}: "
        found = _found(case, spec)
        for finding in found:
            brought.setdefault(finding, path)
    for finding in found:
        at = brought[finding]
        if at is not None and finding.severity is not Severity.NOT_CHECKED:
            yield replace(finding, path=at, hint=_hint(finding.hint, words), key=False)


def _as_field(name: str, value: Any) -> Any:
    """None, which no rule judges, for what is not the field's own kind of value."""
    if _FIELDS.get(name) in _NUMBERS:
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    return _SAME.get(value, value) if isinstance(value, str) else None


def _alone(spec: Spec, index: int | None) -> Spec:
    """The spec as if the others of the list were no GPUs, each in its place."""
    none = Gpu.model_construct(type=gpus.NONE)
    entries = [entry if at == index else none for at, entry in enumerate(spec.gpu or ())]
    return spec.model_copy(update={"gpu": entries}) if entries else spec


def _with(spec: Spec, index: int | None, field: str, value: Any) -> Spec:
    """The spec with the field for every GPU, the entry's own word for it gone."""
    entries = list(spec.gpu or ())
    if index is not None and field in Gpu.model_fields:
        entries[index] = entries[index].model_copy(update={field: None})
    more = {"gpu": entries} if entries else {}
    return spec.model_copy(update={field: value, **more})


def _found(case: Case, spec: Spec) -> list[Finding]:
    asked = replace(
        case,
        wanted=replace(case.wanted, spec=spec),
        setting=replace(case.setting, spec=spec),
    )
    return [found for rule in (*hardware.RULES, engine.of_the_engine) for found in rule(asked)]


def _hint(hint: str, words: Mapping[str, str]) -> str:
    for field, flag in words.items():
        hint = hint.replace(field, flag)
    return hint.replace(" on this entry", " in this entry's args")


def adapters(case: Case) -> dict[str, int]:
    """The rank of each, 0 where it is not known."""
    found = {}
    for name, adapter in ((case.spec.model or _NO_MODEL).adapters or {}).items():
        facts = case.setting.model.beside.get(adapter.source or "")
        own = facts.adapter_rank if facts is not None else None
        found[name] = own if isinstance(own, int) else adapter.rank or 0
    return found


RULES: tuple[Rule, ...] = (as_fields, adapter_rank)
