"""Does the engine's version have each flag of `args`, and does the flag take what it is given?"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from modelctl.checks.case import Case, Rule, unchecked, wrong
from modelctl.checks.reserved import field_for, reserved
from modelctl.engines.base import Finding
from modelctl.facts.engines import EngineFacts, engine_facts
from modelctl.facts.flags import FlagFact, FlagTable, flag_table
from modelctl.spec.wanted import Path_

_LONG_FLAG = re.compile(r"[A-Za-z][A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*")
_SIZE = re.compile(r"[0-9]+|[0-9]+(\.[0-9]+)?[kmgt]|[0-9]+[KMGT]")

_NAMES = {"vllm": "vLLM", "llama-server": "llama.cpp", "llama-cpp-python": "llama-cpp-python"}
_KINDS = {
    "int": "a whole number",
    "number": "a number",
    "float": "a number",
    "size": "a whole number, or one such as 8K",
    "str": "a text",
    "bool": "true or false",
}


MOST_GUESSED = 100
"""Flags of one spec up to which the one that was meant is looked for."""


def arguments(case: Case) -> Iterator[Finding]:
    """At most one finding a flag: the first that is wrong with it."""
    said = [*_all_args(case)]
    if not said:
        return
    server, version = case.setting.server, case.setting.version
    table = flag_table(server, version)
    facts = engine_facts(case.product)
    engine = f"{_NAMES.get(server, server)} {version}"
    for path, name, value in said:
        if table is None:
            found = _without_table(path, name, server, engine, facts, version)
        else:
            few = len(said) <= MOST_GUESSED
            found = _with_table(path, name, value, table, engine, facts, _sure(case), few)
        if found is None:
            continue
        above, below = _inherited(case, path)
        if found.code == "engine/unknown-flag" and above and _of_another(server, name):
            hint = f"backend: {{args: null}} in {above} leaves out what {below} says"
            found = replace(found, hint=hint)
        yield found


def _inherited(case: Case, path: Path_) -> tuple[str, str]:
    """(the layer that names the engine, the one that says the flag), where that is below it."""
    engine, flag = (case.wanted.origins.layer(p) for p in (("backend", "name"), path))
    kinds = ("project defaults", "spec", "spec, environment")
    heights = [
        max((k for k in kinds if layer.startswith(k)), key=len, default="")
        for layer in (engine, flag)
    ]
    if path[0] != "backend" or "" in heights:
        return "", ""
    above = kinds.index(heights[0]) > kinds.index(heights[1])
    return (engine, flag) if above else ("", "")


def _all_args(case: Case) -> Iterator[tuple[Path_, str, Any]]:
    for name, value in ((case.spec.backend and case.spec.backend.args) or {}).items():
        yield ("backend", "args", name), name, value
    for index, entry, _, _ in case.entries:
        for name, value in (entry.args or {}).items():
            yield ("gpu", index, "args", name), name, value


def _sure(case: Case) -> bool:
    """Whether the container runs the version of the table: an image of one's own may not."""
    image, backend = case.spec.image, case.spec.backend
    own = image is not None and (image.base is not None or image.dockerfile is not None)
    return not own or bool(backend and backend.version)


def _without_table(
    path: Path_, name: str, server: str, engine: str, facts: EngineFacts, version: str
) -> Finding | None:
    flag = _plain(name)
    instead = reserved(server, [flag])
    if instead is not None:
        return _is_ours(path, flag, instead)
    if version in facts.versions and flag in facts.removed:
        return _is_gone(path, flag, engine, facts.removed[flag].instead)
    if not _LONG_FLAG.fullmatch(flag):
        return _is_short(path, name)
    if version in facts.versions:
        return unchecked(
            path,
            "engine/unlisted-flag",
            f"--{flag} was not checked: the flags of {engine} are not listed",
            key=True,
        )
    return None


def _with_table(
    path: Path_,
    name: str,
    value: Any,
    table: FlagTable,
    engine: str,
    facts: EngineFacts,
    sure: bool,
    few: bool,
) -> Finding | None:
    match, flag = table.find(name), _plain(name)
    if match is None:
        return _unknown(path, name, table, engine, facts, sure, few)
    fact = match.fact
    instead = reserved(table.server, fact.spellings)
    if instead is not None:
        return _is_ours(path, match.written.lstrip("-"), instead)
    if fact.kind == "removed":
        told = facts.removed.get(flag)
        return _is_gone(path, flag, engine, told.instead if told else f"use {fact.instead}")
    if fact.kind == "exits":
        return wrong(
            path,
            "engine/reserved-flag",
            f"--{fact.name} prints something and ends the engine",
            "leave it out",
            key=True,
        )
    problem = value_problem(fact, value, table.separator)
    if problem is None:
        return None
    message, hint = problem
    return wrong(path, "engine/flag-value", f"--{match.written.lstrip('-')} {message}", hint)


def _unknown(
    path: Path_,
    name: str,
    table: FlagTable,
    engine: str,
    facts: EngineFacts,
    sure: bool,
    few: bool,
) -> Finding:
    flag = _plain(name)
    if flag in facts.removed:
        return _is_gone(path, flag, engine, facts.removed[flag].instead)
    head, _, rest = name.lstrip("-").partition(".")
    whole = table.find(head) if rest else None
    if whole is not None and whole.fact.kind == "json":
        parts = rest.split(".")
        inside = "{" + ": {".join(parts) + ": …" + "}" * len(parts)
        return wrong(
            path,
            "engine/unknown-flag",
            f"--{name.lstrip('-')} is a part of --{_plain(head)}, which takes a mapping",
            f"{_plain(head)}: {inside}",
            key=True,
        )
    message, hint = f"{engine} has no flag --{flag}", ""
    other = _of_another(table.server, name)
    near = table.nearest(name) if few else None
    if other is not None:
        owner, fact = other
        message = f"--{flag} is a flag of {owner}, and {engine} has none of that name"
        hint = field_for(_server_of(owner), fact.spellings)
    if not hint and near is not None:
        hint = f"did you mean {near}?"
    if not sure:
        return unchecked(
            path,
            "engine/unlisted-flag",
            f"{message}; whether your own image has that version is not known",
            "backend: {version: …} says which",
            key=True,
        )
    if other is None and near is None and not _LONG_FLAG.fullmatch(flag):
        return _is_short(path, name)
    return wrong(path, "engine/unknown-flag", message, hint or _where(table.server), key=True)


def _where(server: str) -> str:
    if server == "vllm":
        return "vllm serve --help=all lists them"
    if server == "llama-server":
        return "llama-server --help lists them"
    return "python -m llama_cpp.server --help lists them"


def _of_another(server: str, name: str) -> tuple[str, FlagFact] | None:
    """The engine whose default version has the flag, where this one has not."""
    for other, engine in (("vllm", "vllm"), ("llama-server", "llama.cpp")):
        table = flag_table(other, engine_facts(engine).default) if other != server else None
        match = table.find(name) if table else None
        if match is not None and match.fact.kind != "removed" and len(_plain(name)) > 1:
            return _NAMES[other], match.fact
    return None


def _server_of(owner: str) -> str:
    return next(server for server, name in _NAMES.items() if name == owner)


def _is_ours(path: Path_, flag: str, instead: str) -> Finding:
    return wrong(path, "engine/reserved-flag", f"--{flag} is set by modelctl", instead, key=True)


def _is_gone(path: Path_, flag: str, engine: str, instead: str) -> Finding:
    return wrong(
        path, "engine/removed-flag", f"{engine} has no --{flag} any more", instead, key=True
    )


def _is_short(path: Path_, name: str) -> Finding:
    return wrong(
        path,
        "engine/short-flag",
        f"{name!r} is no long flag",
        "a flag's long name without its dashes, such as batch-size",
        key=True,
    )


def _plain(name: str) -> str:
    return name.lstrip("-").replace("_", "-")


def value_problem(fact: FlagFact, value: Any, separator: str | None) -> tuple[str, str] | None:
    """(what is wrong with the value, the way out), None where nothing is."""
    if value is None:
        return None
    name = fact.name
    if fact.kind in ("switch", "boolean"):
        if isinstance(value, bool):
            return None
        return "takes no value", f"{name}: true or false"
    if fact.kind == "json":
        return _json_problem(fact, value)
    if isinstance(value, Mapping):
        if fact.type == "str" and not fact.choices:
            return None  # as text, which is what some flags are given JSON as
        return f"takes {_takes(fact)}, not a mapping", ""
    several = fact.kind in ("values", "repeated")
    if isinstance(value, list) and not several:
        return f"takes {_takes(fact)}, not a list", ""
    if isinstance(value, bool) and value and fact.bare:
        return None
    items = value if isinstance(value, list) else [value]
    if isinstance(value, str) and fact.kind == "values" and separator is not None:
        items = value.split(separator)
    if isinstance(value, list) and not items:
        return "is given an empty list", f"leave {name} out"
    for item in items:
        problem = _item_problem(fact, item)
        if problem is not None:
            return problem
    if fact.kind == "values" and separator is None and len(items) > 1:
        dashed = next((item for item in items if _dashed(item)), None)
        if dashed is not None:
            return f"is given {json.dumps(dashed)}, which the engine reads as another flag", ""
    return None


def _json_problem(fact: FlagFact, value: Any) -> tuple[str, str] | None:
    if isinstance(value, Mapping | list) or fact.type == "str":
        return None
    hint = f"{fact.name}: {{…}}"
    shown = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, str):
        return f"takes a mapping or a list, not {shown}", hint
    try:
        json.loads(value)
        return None
    except (ValueError, RecursionError):
        return f"takes JSON, and {shown} is none", hint


def _item_problem(fact: FlagFact, item: Any) -> tuple[str, str] | None:
    if isinstance(item, bool):
        if fact.type == "bool" or fact.turns:
            return None
        return f"takes {_takes(fact)}, not {str(item).lower()}", ""
    if fact.choices:
        return _choice_problem(fact, str(item))
    if item in fact.words:
        return None
    if fact.type is not None and not _is_a(fact.type, str(item)):
        return f"takes {_takes(fact)}, not {json.dumps(item, ensure_ascii=False)}", ""
    return None


def _choice_problem(fact: FlagFact, item: str) -> tuple[str, str] | None:
    known = [str(choice) for choice in fact.choices]
    said = item.lower().replace("-", "_") if fact.loose else item
    if said in known:
        return None
    near = difflib.get_close_matches(item, known, n=1, cutoff=0.6)
    first = f"did you mean {near[0]}? " if near else ""
    return f"takes no {json.dumps(item, ensure_ascii=False)}", f"{first}one of {', '.join(known)}"


def _is_a(kind: str, text: str) -> bool:
    if kind == "int":
        return re.fullmatch(r"[+-]?[0-9]+", text) is not None
    if kind == "size":
        return _SIZE.fullmatch(text) is not None
    if kind in ("number", "float"):
        try:
            float(text)
            return True
        except ValueError:
            return False
    if kind == "bool":
        return text.lower() in ("1", "0", "on", "off", "t", "f", "true", "false", "yes", "no")
    return True


def _takes(fact: FlagFact) -> str:
    if fact.choices:
        return f"one of {', '.join(map(str, fact.choices))}"
    return " or ".join([_KINDS[fact.type or "str"], *fact.words])


def _dashed(item: Any) -> bool:
    return isinstance(item, str) and item.startswith("-") and not re.match(r"-[0-9.]", item)


RULES: tuple[Rule, ...] = (arguments,)
