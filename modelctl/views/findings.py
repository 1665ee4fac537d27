"""What was found of this machine, the project and the account, and how does that read?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct

from modelctl.views.human.words import counted, wrapped
from modelctl.views.paint import Paint

State = Literal["ok", "attention", "missing"]

MARKS: Mapping[State, str] = {"ok": "✔", "attention": "!", "missing": "✘"}
_PLAIN: Mapping[State, str] = {"ok": "+", "attention": "!", "missing": "x"}
_COLOURS = {"ok": "green", "attention": "yellow", "missing": "red"}


class Finding(Struct, frozen=True):
    """`state` is `missing` where something does not work without it, `attention` where it does.

    `hint` is the way out; "" where all is well. No secret's value is in either sentence.
    """

    area: str
    state: State
    said: str
    hint: str = ""


def area(name: str, found: Sequence[Finding], *, paint: Paint, width: int, plain: bool) -> str:
    """The lines of one area; `plain` is for a terminal that cannot show the marks."""
    marks = _PLAIN if plain else MARKS
    lines = [paint(name, "bold")]
    for one in found:
        first, *more = wrapped(one.said, width - 2)
        lines += [f"  {paint(marks[one.state], _COLOURS[one.state])} {first[2:]}"]
        lines += [f"  {line}" for line in more]
        if one.hint:
            lines += [f"    {line}" for line in wrapped(one.hint, width - 4)]
    return "\n".join(lines)


def summary(found: Sequence[Finding]) -> str:
    """`nothing is missing`, or how much is."""
    missing = sum(one.state == "missing" for one in found)
    attention = sum(one.state == "attention" for one in found)
    said = "nothing is missing"
    if missing:
        said = f"{counted(missing, 'thing')} {'is' if missing == 1 else 'are'} missing"
    return said + (f", {attention} to look at" if attention else "")


def data(found: Sequence[Finding]) -> dict[str, object]:
    """The same for programs."""
    return {
        "ready": all(one.state != "missing" for one in found),
        "findings": [
            {"area": one.area, "state": one.state, "message": one.said, "hint": one.hint}
            for one in found
        ],
    }
