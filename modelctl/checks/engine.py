"""Does this version of the engine understand what it is told?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelctl.checks.case import Case, Rule, unchecked, wrong
from modelctl.engines.base import Finding
from modelctl.facts.engines import engine_facts
from modelctl.spec.wanted import Path_

_LONG_FLAG = re.compile(r"[A-Za-z][A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*")

# Flags that hold the deployment together, and the field that says it instead.
_OURS = {
    "model": "model.source says it",
    "host": "leave it out: the address is modelctl's",
    "port": "leave it out: the address is modelctl's",
    "alias": "model.served_as says it",
    "served-model-name": "model.served_as says it",
    "api-key": "endpoint: {auth: api-key, api_key: {secret: NAME, key: KEY}}",
    "api-key-file": "endpoint: {auth: api-key, api_key: {secret: NAME, key: KEY}}",
    "config": "write its lines as fields and args: a file's false values are lost",
    "ctx-size": "context says it, for one request",
    "max-model-len": "context says it",
    "parallel": "max_sequences says it",
    "revision": "model.revision says it",
    "tensor-parallel-size": "parallel: {tensor: N} says it",
    "chat-template-file": "chat_template says it",
}


def of_the_engine(case: Case) -> Iterator[Finding]:
    yield from case.engine.rules(case.setting)


def unknown_version(case: Case) -> Iterator[Finding]:
    facts, version = engine_facts(case.engine.name), case.setting.version
    if version not in facts.versions:
        yield unchecked(
            ("backend", "version"),
            "engine/unknown-version",
            f"{case.engine.name} {version} is not in the tables: its flags were not checked",
            f"known: {', '.join(facts.versions)}",
        )


def removed_flags(case: Case) -> Iterator[Finding]:
    facts, version = engine_facts(case.engine.name), case.setting.version
    if version not in facts.versions:
        return
    for path, args in _all_args(case):
        for name in args:
            gone = facts.removed.get(name.lstrip("-"))
            if gone is not None:
                yield wrong(
                    (*path, name),
                    "engine/removed-flag",
                    f"{case.engine.name} {version} has no --{gone.flag} any more",
                    gone.instead,
                    key=True,
                )


def flags_of_ours(case: Case) -> Iterator[Finding]:
    for path, args in _all_args(case):
        for name in args:
            instead = _OURS.get(name.lstrip("-"))
            if instead is not None:
                yield wrong(
                    (*path, name),
                    "engine/reserved-flag",
                    f"--{name.lstrip('-')} is set by modelctl",
                    instead,
                    key=True,
                )


def short_flags(case: Case) -> Iterator[Finding]:
    for path, args in _all_args(case):
        for name in args:
            if not _LONG_FLAG.fullmatch(name.lstrip("-")):
                yield wrong(
                    (*path, name),
                    "engine/short-flag",
                    f"{name!r} is no long flag",
                    "a flag's long name without its dashes, such as batch-size",
                    key=True,
                )


def unlisted_flags(case: Case) -> Iterator[Finding]:
    """The tables know which flags are gone, not yet all that there are."""
    facts, version = engine_facts(case.engine.name), case.setting.version
    for path, args in _all_args(case):
        for name in args:
            flag = name.lstrip("-")
            judged = flag in _OURS or flag in facts.removed or not _LONG_FLAG.fullmatch(flag)
            if not judged and version in facts.versions:
                yield unchecked(
                    (*path, name),
                    "engine/unlisted-flag",
                    f"--{flag} was not checked: the flags of {case.engine.name} {version} are "
                    "not listed in full",
                    key=True,
                )


def _all_args(case: Case) -> Iterator[tuple[Path_, Mapping[str, Any]]]:
    yield ("backend", "args"), (case.spec.backend and case.spec.backend.args) or {}
    for index, entry, _, _ in case.entries:
        yield ("gpu", index, "args"), entry.args or {}


RULES: tuple[Rule, ...] = (
    of_the_engine,
    unknown_version,
    removed_flags,
    flags_of_ours,
    short_flags,
    unlisted_flags,
)
