"""Is this a name that Modal, a shell and a URL all take? If not, in a sentence: why not."""

from __future__ import annotations

import re

from modelctl.masked import mask
from modelctl.spec.quoting import quote

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


OWN_VOLUMES = frozenset({"weights", "vllm-cache"})
"""A project's records lie in the Volume `modelctl-<project>`; these Volumes are everybody's."""


def project_problem(name: str) -> tuple[str, str] | None:
    """(sentence, hint) for a bad name of a project; None for a good one."""
    if name in OWN_VOLUMES:
        return (
            f"a project cannot be called {name}: its records would lie in modelctl-{name}, "
            "a Volume of all projects",
            f"write {name}-team, or any other name",
        )
    return name_problem(name, "project name", 40)


def name_problem(name: str, what: str = "name", longest: int = 63) -> tuple[str, str] | None:
    """(sentence, hint) for a bad name; None for a good one. `what` is what it names: `name`."""
    if len(name) <= longest and _NAME.fullmatch(name):
        return None
    a = ("an " if what[0] in "aeiou" else "a ") + what
    better = slug(name)[:longest].strip("-") if mask(name) == name else ""
    hint = f"write {better}" if better and better != name else ""
    if not name.strip():
        return f"{a} is not empty", "use lower-case letters, digits and dashes"
    if name.startswith("-"):
        return f"{a} does not begin with a dash: it would be read as an option", hint
    if name.startswith("~") or "/" in name or "\\" in name or name in (".", ".."):
        return f"{a} is not a path", hint
    if len(name) > longest:
        return f"{a} has at most {longest} characters; this has {len(name):,}", hint
    if name.endswith("-"):
        return f"{a} does not end with a dash", hint
    if name.lower() != name and _NAME.fullmatch(name.lower()):
        return f"{a} has lower-case letters only, so that it can be part of a URL", hint
    odd = next((c for c in name if not re.fullmatch("[a-z0-9-]", c)), "")
    return (
        f"{a} has lower-case letters, digits and dashes; {_character(odd)} is none of these",
        hint,
    )


def slug(text: str) -> str:
    """The nearest good name; "" where nothing is left of the text."""
    return re.sub(r"[^a-z0-9]+", "-", text[:200].lower()).strip("-")


def _character(c: str) -> str:
    if c == " ":
        return "a space"
    return quote(c) if c not in "\"'" else "a quote"
