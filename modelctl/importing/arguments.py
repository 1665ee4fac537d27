"""Which flags are the words of a command line, by the engine's own names?"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

from modelctl.facts.engines import engine_facts
from modelctl.facts.flags import FlagTable, Match, flag_table
from modelctl.importing.command import Word
from modelctl.importing.values import Unread

_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class Arguments(Struct):
    """`flags` by their main names, in their order; `others` are words without a flag.

    A value is True or False for a flag that stands alone, a number or text, a list, what a JSON
    text says, or Unread. `unread` are words of which not even the flag is known.
    """

    flags: dict[str, Any] = field(default_factory=dict)
    others: list[Word] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)

    def take(self, name: str) -> Any:
        """The flag's value, which is then said; None where it is not there."""
        return self.flags.pop(name, None)


def table_of(server: str, version: str | None) -> FlagTable | None:
    """The list of that version, or of the one that modelctl knows best."""
    product = {"vllm": "vllm", "llama-server": "llama.cpp"}.get(server, server)
    return (version and flag_table(server, version)) or flag_table(
        server, engine_facts(product).default
    )


def arguments_of(words: Sequence[Word], table: FlagTable | None) -> Arguments:
    found = Arguments()
    left = list(words)
    while left:
        word = left.pop(0)
        if isinstance(word, Unread):
            # A list that is not known may hold flags; a value alone stands behind its flag.
            (found.others if not found.flags and not found.others else found.unread).append(word)
        elif not word.startswith("-") or _NUMBER.fullmatch(word):
            found.others.append(word)
        else:
            name, equals, value = word.partition("=")
            if equals:
                left.insert(0, value)
            _flag(found, name, bool(equals), left, table)
    return found


def _flag(
    found: Arguments, name: str, joined: bool, left: list[Word], table: FlagTable | None
) -> None:
    match = table.find(name) if table else None
    if match is None or match.fact.kind in ("exits", "removed"):
        takes = joined or (bool(left) and not _is_flag(left[0]))
        found.flags[name.lstrip("-")] = _typed(left.pop(0), None) if takes else True
        return
    fact = match.fact
    if fact.kind in ("switch", "boolean"):
        if joined:
            said = str(left.pop(0)).lower() not in ("false", "0", "no", "off")
            found.flags[fact.name] = said != match.negated
        else:
            found.flags[fact.name] = not match.negated
    elif not joined and (not left or (fact.bare and _is_flag(left[0]))):
        found.flags[fact.name] = True
    elif fact.kind == "values" and table is not None and table.separator is None:
        values = [left.pop(0)]
        while left and not joined and not _is_flag(left[0]):
            values.append(left.pop(0))
        found.flags[fact.name] = [_typed(value, match) for value in values]
    elif fact.kind in ("values", "repeated"):
        value = left.pop(0)
        parts = re.split(",(?![^{]*})", value) if isinstance(value, str) else [value]
        more = [_typed(part, match) for part in (parts if fact.kind == "values" else [value])]
        found.flags[fact.name] = [*found.flags.get(fact.name, []), *more]
    else:
        found.flags[fact.name] = _typed(left.pop(0), match)


def _is_flag(word: Word) -> bool:
    return isinstance(word, str) and word.startswith("-") and not _NUMBER.fullmatch(word)


def _typed(word: Word, match: Match | None) -> Any:
    if isinstance(word, Unread):
        return word
    kind = match.fact.kind if match else None
    if kind == "json" or (kind is None and word.startswith("{")):
        try:
            return json.loads(word)
        except (ValueError, RecursionError):
            return str(word)
    named = match.fact.type if match else "number"
    if named in ("int", "number", "float", "size") and _NUMBER.fullmatch(word):
        return float(word) if "." in word else int(word)
    if named == "bool" and word.lower() in ("true", "false"):
        return word.lower() == "true"
    return str(word)
