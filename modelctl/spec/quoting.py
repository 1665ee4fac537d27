"""How is a value shown to people? Short, with control characters escaped, and never a secret."""

from __future__ import annotations

from modelctl.masked import mask
from modelctl.spec.tree import Path_, show_path


def quote(text: str, longest: int = 40) -> str:
    """A value for the middle of a sentence, at most `longest` characters long."""
    shown = "".join(map(_escaped, mask(text[: longest * 10])))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def visible(sentence: str) -> str:
    """A whole sentence with what no terminal shows written as its escape; lines stay lines."""
    if sentence.isprintable():
        return sentence
    return "\n".join("".join(map(_escaped, line)) for line in sentence.split("\n"))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode()


def quote_path(path: Path_) -> str:
    """A field's path, with the keys that people chose made safe to show."""
    return show_path(tuple(quote(p, 80) if isinstance(p, str) else p for p in path))
