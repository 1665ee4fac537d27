"""Which flags does a version of an engine's server have, and what does each of them take?"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

from msgspec import Struct

from modelctl.facts.tables import Source, source_of, table

Kind = Literal["switch", "boolean", "value", "values", "repeated", "json", "exits", "removed"]
Type = Literal["int", "number", "float", "size", "str", "bool"]

_FOLDER = Path(__file__).parent / "data" / "flags"


class FlagFact(Struct, frozen=True):
    """One flag. `name` has no dashes; `aliases` and `off` are other spellings, with theirs.

    A switch stands alone; a boolean stands alone or in one of its spellings that say no (`off`).
    A value is one word, or none where `bare`; values are several; a repeated flag is there once a
    value; json is a document, and with type str any other text too. A removed flag is known only
    to be refused; `instead` is what the engine itself names. `words` are taken beside the type.
    `loose` choices are the same in any case, with dashes or underscores. A number is `least` or
    more, `above`, `most` or less, `below`; where `when` is said only in a start with adapters, or
    of a model that reads media.
    """

    name: str
    aliases: tuple[str, ...]
    off: tuple[str, ...]
    kind: Kind
    type: Type | None
    choices: tuple[str | int, ...]
    words: tuple[str, ...]
    bare: bool
    loose: bool
    instead: str
    least: float | None
    above: float | None
    most: float | None
    below: float | None
    when: Literal["", "adapters", "media"]

    @property
    def spellings(self) -> tuple[str, ...]:
        """All of them without dashes, those that say no included."""
        return (self.name, *(word.lstrip("-") for word in (*self.aliases, *self.off)))

    @property
    def turns(self) -> bool:
        """Whether its choices are yes and no in words, so that true and false mean them."""
        return {"on", "off"} <= set(self.choices)


class Match(Struct, frozen=True):
    """What a person's spelling stands for. `written` is how the command line takes it."""

    fact: FlagFact
    written: str
    negated: bool


class FlagTable(Struct, frozen=True, dict=True):
    """All flags of one version. `separator` joins several values; None: words of their own."""

    server: str
    version: str
    separator: str | None
    source: Source
    flags: tuple[FlagFact, ...]

    @cached_property
    def _matches(self) -> Mapping[str, Match]:
        found: dict[str, Match] = {}
        for fact in self.flags:
            yes = f"--{fact.name}"
            no = next((word for word in fact.off if word.startswith("--")), "")
            for spelling in (yes, *fact.aliases):
                written = spelling if spelling.startswith("--") else yes
                found.setdefault(_key(spelling), Match(fact, written, negated=False))
            for spelling in fact.off:
                written = spelling if spelling.startswith("--") else no
                found.setdefault(_key(spelling), Match(fact, written, negated=True))
        return found

    def find(self, name: str) -> Match | None:
        """The flag of that spelling: with or without dashes, underscores for dashes."""
        return self._matches.get(_key(name))

    def nearest(self, name: str) -> str | None:
        """The flag that was probably meant, without dashes."""
        wanted, known = _key(name), list(self._matches)
        longer = [word for word in known if word.startswith(wanted)]
        close = difflib.get_close_matches(wanted, known, n=1, cutoff=0.7)
        if not close and len(longer) == 1:
            close = longer
        if not close:
            return None
        match = self._matches[close[0]]
        return None if match.fact.kind == "removed" else match.written.lstrip("-")


def _key(name: str) -> str:
    return name.lstrip("-").replace("_", "-")


@cache
def flag_table(server: str, version: str) -> FlagTable | None:
    """The table of a server (vllm, llama-server, llama-cpp-python); None where there is none."""
    name = f"{server}-{version}"
    if name not in _names():
        return None
    read = table(f"flags/{name}")
    return FlagTable(
        server=server,
        version=version,
        separator=read["separator"],
        source=source_of(read),
        flags=tuple(
            FlagFact(
                name=row["name"],
                aliases=tuple(row.get("aliases", ())),
                off=tuple(row.get("off", ())),
                kind=row["kind"],
                type=row.get("type"),
                choices=tuple(row.get("choices", ())),
                words=tuple(row.get("words", ())),
                bare=row.get("bare", False),
                loose=row.get("loose", False),
                instead=row.get("instead", ""),
                least=row.get("least"),
                above=row.get("above"),
                most=row.get("most"),
                below=row.get("below"),
                when=row.get("when", ""),
            )
            for row in read["flags"]
        ),
    )


@cache
def _names() -> frozenset[str]:
    return frozenset(file.stem for file in _FOLDER.glob("*.json"))
