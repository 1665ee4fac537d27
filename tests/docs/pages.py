"""What is on the pages of README and docs? Their blocks, headings and links, with their lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted(DOCS.rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_FENCE = re.compile(r"^( *)```(\w*)(.*)$")
_LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")


@dataclass(frozen=True)
class Block:
    """What stands between two fences. `line` is that of its first line of text, from 1."""

    page: str
    line: int
    language: str
    about: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page, in their order."""
    found: list[Block] = []
    name, inside = str(page.relative_to(ROOT)), None
    lines: list[str] = []
    for number, line in enumerate(text_of(page).splitlines(), 1):
        fence = _FENCE.match(line)
        if inside is not None:
            if fence and not fence[2]:
                start, language, about, indent = inside
                text = "".join(f"{row.removeprefix(indent)}\n" for row in lines)
                found.append(Block(name, start, language, about, text))
                inside, lines = None, []
            else:
                lines.append(line)
        elif fence:
            inside = (number + 1, fence[2], fence[3].strip(), fence[1])
    assert inside is None, f"{name}: a block is not closed"
    return found


def blocks(*languages: str) -> list[Block]:
    return [b for page in PAGES for b in blocks_of(page) if b.language in languages]


def prose_of(page: Path) -> str:
    """The page without its blocks and without code in its lines."""
    kept, inside = [], False
    for line in text_of(page).splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside:
            kept.append(re.sub(r"`[^`]*`", "", line))
    return "\n".join(kept)


def links_of(page: Path) -> list[str]:
    return _LINK.findall(prose_of(page))


def anchors_of(page: Path) -> set[str]:
    """What `#…` may name on a page: its headings as GitHub and MkDocs both write them."""
    found: set[str] = set()
    inside = False
    for line in text_of(page).splitlines():
        if _FENCE.match(line):
            inside = not inside
        elif not inside and (heading := re.match(r"#{1,6} (.+)", line)):
            words = re.sub(r"[^\w\s-]", "", heading[1].replace("`", "")).strip().lower()
            found.add(re.sub(r"\s", "-", words))
    return found


@dataclass(frozen=True)
class Command:
    """One command of a page, and what the page shows as its output (None: nothing is shown)."""

    page: str
    line: int
    text: str
    shown: str | None = None
    last_line: int = 0

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def commands_of(block: Block) -> list[Command]:
    """The commands of a block: each line of `sh`, what follows `$ ` in `console`."""
    found: list[Command] = []
    lines = block.text.splitlines()
    number = 0
    while number < len(lines):
        start, text = number, lines[number]
        number += 1
        if block.language == "console":
            assert text.startswith("$ "), f"{block.page}:{block.line + start}: output of nothing"
            text = text.removeprefix("$ ")
        while text.endswith("\\"):
            text = text.removesuffix("\\").rstrip() + " " + lines[number].strip()
            number += 1
        shown, end = None, number - 1
        if block.language == "console":
            output = []
            while number < len(lines) and not lines[number].startswith("$ "):
                output.append(lines[number])
                number += 1
            shown = "\n".join(output).strip("\n")
        text = re.sub(r"(^|\s{2,})#.*$", "", text).strip()
        if text:
            place = block.line + start
            found.append(Command(block.page, place, text, shown, block.line + end))
    return found


def commands() -> list[Command]:
    found = [command for block in blocks("sh", "bash", "console") for command in commands_of(block)]
    # Output that no run here can make stands in `text`, below its command.
    for block in blocks("text"):
        if block.text.startswith("$ "):
            first = block.text.partition("\n")[0].removeprefix("$ ")
            found.append(Command(block.page, block.line, first))
    return found
