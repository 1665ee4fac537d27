"""Can labels, variables and checks be what they are meant to be?"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

from modelctl.checks.case import Case, Rule, wrong
from modelctl.engines.base import Finding
from modelctl.rendered import TAG_DIGEST, TAG_PROJECT
from modelctl.resolved import FETCH_APP

_TAG = re.compile(r"[A-Za-z0-9._-]{1,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def name(case: Case) -> Iterator[Finding]:
    if case.wanted.name == FETCH_APP:
        yield wrong(
            ("name",),
            "name/reserved",
            f"{FETCH_APP} is the app with which modelctl fetches models",
            "another name",
        )


def labels(case: Case) -> Iterator[Finding]:
    for key, value in (case.spec.labels or {}).items():
        if key in (TAG_PROJECT, TAG_DIGEST):
            yield wrong(
                ("labels", key),
                "labels/reserved",
                f"the label {key} is modelctl's own",
                "another name",
                key=True,
            )
        elif not _TAG.fullmatch(key) or not _TAG.fullmatch(value):
            at_key = not _TAG.fullmatch(key)
            yield wrong(
                ("labels", key),
                "labels/invalid-tag",
                f"{key if at_key else value!r} cannot be a Modal tag",
                "1 to 63 letters, digits, dots, dashes and underscores",
                key=at_key,
            )


def variables(case: Case) -> Iterator[Finding]:
    for name, value in (case.spec.env or {}).items():
        if not _VARIABLE.fullmatch(name):
            yield wrong(
                ("env", name),
                "env/name",
                f"{name!r} cannot be a variable's name",
                "letters, digits and underscores, the first no digit",
                key=True,
            )
        elif name.startswith("MODELCTL_"):
            yield wrong(
                ("env", name), "env/name", f"{name} is modelctl's own", "another name", key=True
            )
        elif name in case.resolved.path_env:
            yield wrong(
                ("env", name),
                "env/name",
                f"{name} says where modelctl's Volume is, so another value would be lost",
                "leave it out",
                key=True,
            )
        elif "\0" in value:
            yield wrong(
                ("env", name),
                "env/value",
                f"the value of {name} holds a zero byte, which no variable can",
                "leave it out",
            )


def questions(case: Case) -> Iterator[Finding]:
    for name, check in (case.spec.checks or {}).items():
        if check.prompt is None and not check.messages:
            yield wrong(
                ("checks", name),
                "checks/no-question",
                f"the check {name} asks nothing",
                f"checks: {{{name}: {{prompt: …}}}}, or messages",
                key=True,
            )


def patterns(case: Case) -> Iterator[Finding]:
    for name, check in (case.spec.checks or {}).items():
        if check.expect is None or check.expect.matches is None:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what only a later Python may read otherwise
                re.compile(check.expect.matches)
        except (re.error, OverflowError, RecursionError) as problem:
            yield wrong(
                ("checks", name, "expect", "matches"),
                "checks/pattern",
                f"{check.expect.matches!r} is no regular expression: {problem}",
                "in Python's syntax; a text that must be in the answer as it stands is contains",
            )


RULES: tuple[Rule, ...] = (name, labels, variables, questions, patterns)
