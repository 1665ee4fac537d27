"""How is text that anybody wrote put into Markdown, so that it stays text, and how much fits?"""

from __future__ import annotations

import re
from collections.abc import Sequence

COMMENT_LIMIT = 65_536
"""Characters of a comment: what GitHub takes. https://docs.github.com/en/rest/issues/comments"""

SECTIONS = 10
_OUTER = 100
"""What folding all sections together takes, and some more."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
_MEANT = re.compile(r"[\\`*_{}\[\]~$#!]")
_MENTION = re.compile(r"(?<![\w`])@(?=\w)|@(?=[\w-]+\.)|\B#(?=\w)|(?<=\w)#(?=\d)")
_LINK = re.compile(r"(?i)\b(https?|ftp|mailto|xmpp)(:)|\b(www)(\.)")
_BEGINS = re.compile(r"^([-+](?=\s|$)|[-=](?=[\s\-=]*$)|[0-9]{1,9}[.)](?=\s|$))")
_GAP = "\u200b"
"""Nothing that is seen, between what would be a mention or a link if it stood together."""


def text(said: str, most: int = 400) -> str:
    """A sentence as it is: no markup, no HTML, no link and nobody mentioned; on one line."""
    said = _cut(_CONTROL.sub(" ", said).strip(), most)
    said = _MENTION.sub(lambda found: found[0] + _GAP, said)
    said = _LINK.sub(lambda found: "".join(p for p in found.groups() if p) + _GAP, said)
    return _BEGINS.sub(_started, _plain(said))


def _plain(said: str) -> str:
    """Without anything that means something in Markdown, HTML or a table."""
    said = _MEANT.sub(lambda found: "\\" + found[0], said.replace("&", "&amp;"))
    return said.replace("<", "&lt;").replace(">", "&gt;").replace("|", "&#124;")


def _started(found: re.Match[str]) -> str:
    """What would begin a list or a rule at the start of a line."""
    return f"{found[1][:-1]}\\{found[1][-1]}"


def code(said: object, most: int = 120) -> str:
    """A value as code, where nothing has a meaning; in a cell of a table as well."""
    shown = _cut(_CONTROL.sub(" ", str(said)).strip(), most)
    if not shown or re.search(r"[`|\\]", shown):
        return f"<code>{_plain(shown)}</code>"
    return f"`{shown}`"


def block(lines: Sequence[str], language: str = "") -> str:
    """Lines as they are, in a fence that none of them ends."""
    shown = [_CONTROL.sub(" ", line.replace("\t", "  ")).rstrip() for line in lines]
    longest = max((len(run) for line in shown for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language or 'text'}", *shown, fence])


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """The cells are Markdown already."""
    rule = ["---:" if head in right else "---" for head in heads]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [heads, rule, *rows])


def details(summary: str, body: str) -> str:
    """Folded; `summary` is text, `body` Markdown."""
    plain = _CONTROL.sub(" ", summary).replace("&", "&amp;").replace("<", "&lt;")
    plain = _MENTION.sub(lambda found: found[0] + _GAP, plain.replace(">", "&gt;"))
    return f"<details><summary>{plain}</summary>\n\n{body}\n\n</details>"


def document(head: Sequence[str], folded: Sequence[str], whole: str, limit: int) -> str:
    """The head, and as many of the folded sections as fit; `whole` says where the rest is.

    Nothing is cut in its middle: a section is there, or is counted. More than a few sections are
    folded together, so that what is seen at first stays one screen.
    """
    room = limit - len(_left_out(len(head) + len(folded), whole)) - _OUTER
    kept: list[str] = []
    unseen = 0
    for section in (*head, *folded):
        if section and len(section) + 2 > room:
            unseen += 1
        elif section:
            kept.append(section)
            room -= len(section) + 2
    seen = [section for section in kept if section in head]
    inside = kept[len(seen) :]
    if len(inside) > SECTIONS:
        inside = [details(f"{len(inside)} sections", "\n\n".join(inside))]
    return "\n\n".join([*seen, *inside, *([_left_out(unseen, whole)] if unseen else [])])


def _left_out(count: int, whole: str) -> str:
    sections = "section is" if count == 1 else "sections are"
    return f"{count} more {sections} left out, for the length of a comment: {whole}"


def _cut(said: str, most: int) -> str:
    return said if len(said) <= most else said[: most - 1] + "…"
