"""Does something in the spec look like a secret, where everybody can read it?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from modelctl.checks.case import Case, Rule, wrong
from modelctl.checks.reserved import reserved
from modelctl.engines.base import Finding
from modelctl.spec.models import plain
from modelctl.spec.wanted import Path_

_NAME = re.compile(r"(^|_)(API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_|$)", re.I)
_VALUE = re.compile(
    r"(?<![A-Za-z0-9])(hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|AKIA[0-9A-Z]{12,}"
    r"|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|xox[abp]-[\w-]{8,}|a[ks]-[A-Za-z0-9]{20,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY|AIza[\w-]{35}(?![\w-])|[rs]k_live_[A-Za-z0-9]{16,}"
    r"|glpat-[\w-]{20,}|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"
    r"|hooks\.slack\.com/(?:services|workflows|triggers)/\w+/\w+/\w{8,}"
    r"|(?i:bearer)[ \t]{1,20}(?=[A-Za-z._~+/=-]{0,200}\d)[A-Za-z0-9._~+/=-]{12,})"
    # A password in a URL; one in $ or <> is a place for it.
    r"|://[^\s/:@?#]*:(?![$<{*])[^\s/@?#]+@"
)
_PASS = re.compile(r"(?:^|_)(?:PASS|PW)$", re.I)
_WORD = re.compile(r"[a-z_-]+")
# From a word's beginning only: a long line without a pair would be read once for each letter.
_PAIR = re.compile(r"""(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]+)["']?\s*[:=]\s*["']?([^\s,}"']+)""")
# Settings whose names only sound like secrets.
_NO_SECRET = {"TOKENIZERS_PARALLELISM", "MAX_TOKENS"}
# Said elsewhere (env, args), or words that somebody asks a model.
_ELSEWHERE = {"env", "args", "checks", "environments", "allow"}


def in_variables(case: Case) -> Iterator[Finding]:
    for name, value in (case.spec.env or {}).items():
        if looks_secret(name, value):
            yield wrong(
                ("env", name),
                "env/looks-like-a-secret",
                f"{name} looks like a secret, and env is readable by everybody",
                f"modal secret create NAME {name}=…, then secrets: {{NAME: [{name}]}}",
                key=True,
            )


def in_arguments(case: Case) -> Iterator[Finding]:
    said: list[tuple[Path_, Mapping[str, Any]]] = []
    if case.spec.backend and case.spec.backend.args:
        said.append((("backend", "args"), case.spec.backend.args))
    said += [
        (("gpu", index, "args"), entry.args) for index, entry, _, _ in case.entries if entry.args
    ]
    for where, args in said:
        for name, value in args.items():
            if reserved(case.setting.server, [name]) is not None:
                continue  # refused as what modelctl sets by itself
            if any(looks_secret(name, text) for text in _texts(value)):
                yield wrong(
                    (*where, name),
                    "args/looks-like-a-secret",
                    f"{name} looks like a secret, and args are readable by everybody",
                    "leave it out; what the engine reads from a variable, secrets: {NAME: [KEY]} "
                    "brings from a Modal Secret",
                    key=True,
                )


def elsewhere(case: Case) -> Iterator[Finding]:
    for path, text in _leaves(plain(case.spec)):
        if _VALUE.search(text):
            yield wrong(
                path,
                "secrets/in-the-open",
                "this looks like a secret, and a spec is readable by everybody",
                "modal secret create NAME KEY=…, then secrets: {NAME: [KEY]}",
            )


def looks_secret(name: str, value: str) -> bool:
    if _VALUE.search(value):
        return True
    # A path, a number or a switch is no secret, whatever its variable is called.
    harmless = not value or value.startswith("/") or re.fullmatch(r"[\d.]+|true|false", value, re.I)
    plain_name = name.replace("-", "_")
    # SINGLE_PASS: always is none; a password of one plain word cannot be told from a setting.
    short = plain_name.upper() in {"PASS", "PW"} or not _WORD.fullmatch(value)
    named = _NAME.search(plain_name) or (short and _PASS.search(plain_name))
    return bool(named) and plain_name not in _NO_SECRET and not harmless


def shows_a_secret(path: Path_, line: str) -> bool:
    """Whether a source line that a finding at `path` would show holds what nobody should print."""
    return _holds_a_secret(line, named=bool({"env", "args"} & set(path[:3])))


@lru_cache(maxsize=64)
def _holds_a_secret(line: str, *, named: bool) -> bool:
    """`named`: also by the name before a value. A line may have thousands of findings."""
    if _VALUE.search(line):
        return True
    return named and any(looks_secret(name, value) for name, value in _PAIR.findall(line))


def hidden(text: str) -> str:
    """A sentence without the secret that it would quote."""
    return _VALUE.sub("…", text)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _leaves(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in _ELSEWHERE:
                yield from _leaves(inner, (*path, name))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, (*path, index))


RULES: tuple[Rule, ...] = (in_variables, in_arguments, elsewhere)
