"""How does a flag of a person's own become words of the command line, and which of ours goes?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from modelctl.engines.base import Ask
from modelctl.facts.flags import FlagTable, Match, flag_table
from modelctl.resolved import Flag, Word


def with_args(own: Sequence[Flag], ask: Ask) -> tuple[Flag, ...]:
    """The engine's flags with a person's own after them; theirs replaces ours of the same meaning.

    The table of the version knows which spellings mean the same, and how a flag takes what it is
    given. Without one a name is what it is written as.
    """
    if not ask.args:
        return tuple(own)
    table = flag_table(ask.setting.server, ask.setting.version)
    theirs: dict[str, list[Flag]] = {}
    for name, value in ask.args.items():
        if value is not None:
            # A GPU's own args come after those of the backend, and win in any spelling.
            theirs[_meaning(table, name)] = _flags(table, name, value)
    kept = [flag for flag in own if _meaning(table, _first(flag)) not in theirs]
    return (*kept, *(flag for flags in theirs.values() for flag in flags))


def joined(flag: Flag) -> Flag:
    """argparse takes a value that begins with a dash for another flag, unless it is joined on."""
    if len(flag) == 2 and isinstance(flag[1], str) and flag[1].startswith("-"):
        return (f"{flag[0]}={flag[1]}",)
    return flag


def _first(flag: Flag) -> str:
    word: Word = flag[0]
    return word.split("=", 1)[0] if isinstance(word, str) else word.before


def _meaning(table: FlagTable | None, name: str) -> str:
    match = table.find(name) if table else None
    return match.fact.name if match else name.lstrip("-")


def _flags(table: FlagTable | None, name: str, value: Any) -> list[Flag]:
    match = table.find(name) if table else None
    if table is None or match is None:
        return _as_written(name.lstrip("-"), value)
    fact = match.fact
    if fact.kind in ("switch", "boolean") and isinstance(value, bool):
        return _turned(match, value)
    if isinstance(value, bool) and fact.bare and value:
        return [(match.written,)]
    if isinstance(value, list):
        words = [_word(match, item) for item in value]
        if fact.kind == "json":
            return [(match.written, json.dumps(value))]
        if fact.kind == "values" and table.separator is None:
            return [(match.written, *words)]
        # A path stays a word of its own, so that the mount root can be put before it.
        if fact.kind == "values" and not any(word.startswith("/") for word in words):
            return [(match.written, str(table.separator).join(words))]
        return [(match.written, word) for word in words]
    return [(match.written, _word(match, value))]


def _turned(match: Match, value: bool) -> list[Flag]:
    """`jinja: false` and `no-jinja: true` are both --no-jinja; a switch that is off is left out."""
    fact = match.fact
    if value:
        return [(match.written,)]
    if match.negated:
        return [(f"--{fact.name}",)]
    return [(next(word for word in fact.off if word.startswith("--")),)] if fact.off else []


def _word(match: Match, value: Any) -> str:
    fact = match.fact
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, bool):
        if fact.turns:
            return "on" if value else "off"
        return "true" if value else "false"
    return str(value)


def _as_written(name: str, value: Any) -> list[Flag]:
    """`seed: 7` → `--seed 7`; true is a bare flag, false its `--no-` form, a list repeats it, a
    mapping is JSON."""
    if isinstance(value, list):
        return [flag for item in value for flag in _as_written(name, item)]
    if isinstance(value, dict):
        return [(f"--{name}", json.dumps(value))]
    if isinstance(value, bool):
        return [(f"--{name}",)] if value else [(f"--no-{name}",)]
    return [(f"--{name}", str(value))]
