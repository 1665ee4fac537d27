"""How is an imported spec written? YAML in short forms, with a line for what could not be read."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

from modelctl.importing.assemble import Imported
from modelctl.importing.draft import Note

_WIDTH = 96
_SHORT = {
    "model": "source", "backend": "name", "metrics": "interval", "image": "base",
    "speculative": "method", "rollout": "strategy",
}  # fmt: skip


_BEFORE_MODEL = ("name", "labels")
_PLAIN = re.compile(r"[A-Za-z0-9./](?:[\w./@+*!=-]|:(?=\S))*")
"""What needs no quotes wherever it stands, if YAML reads it as a text."""


def text(imported: Imported) -> str:
    lines: list[str] = []
    left = list(imported.notes)
    missing = next((n for n in left if n.field == "model"), None)
    for name, value in imported.fields.items():
        if missing is not None and "model" not in imported.fields and name not in _BEFORE_MODEL:
            lines.append(f"model:  # {missing.kind}: {_one_line(missing.text)}")
            left.remove(missing)
            missing = None
        about = [note for note in left if note.field.partition(".")[0] == name]
        left = [note for note in left if note not in about]
        lines += [line for note in about for line in _comment(note)]
        lines += _entry(name, _shortened(name, value))
    lines += [line for note in left for line in _comment(note)]
    return "\n".join(lines) + "\n"


def _comment(note: Note) -> list[str]:
    lines = textwrap.wrap(
        re.sub(r"\(line (\d+)\)", "(line\xa0\\1)", _one_line(note.sentence)),
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\xa0", " ") for line in lines]


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def _shortened(name: str, value: Any) -> Any:
    short = _SHORT.get(name)
    if isinstance(value, Mapping) and set(value) == {short}:
        return value[short]
    return value


def _entry(name: str, value: Any, indent: str = "") -> list[str]:
    flow = f"{indent}{_flow(name)}: {_flow(value)}"
    nested = isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values())
    several = isinstance(value, list) and sum(isinstance(v, Mapping) for v in value) > 1
    # Where a model is, is read one line a field.
    tall = nested or several or (name == "model" and isinstance(value, Mapping))
    if not isinstance(value, Mapping | list) or not value or (len(flow) <= _WIDTH and not tall):
        return [flow]
    lines = [f"{indent}{_flow(name)}:"]
    if isinstance(value, Mapping):
        for key, inner in value.items():
            lines += _entry(str(key), inner, indent + "  ")
        return lines
    return lines + [f"{indent}  - {_flow(item)}" for item in value]


def _flow(value: Any) -> str:
    """One line, quoted where YAML would read something else."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and yaml.safe_load(f"[{value}]") == [value]:
            return value
        if not value.isprintable():  # escapes for what would end the line
            return str(yaml.safe_dump(value, default_style='"', width=10**6)).strip()
        # Inside of a list, as it may stand in one: `a, b` and `{x` are quoted.
        made = yaml.safe_dump([value], default_flow_style=True, width=10**6, allow_unicode=True)
        return made.strip()[1:-1]
    return str(yaml.safe_dump(value, width=10**6)).split("\n", 1)[0]
