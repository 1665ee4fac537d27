"""What does a Dockerfile say: which images does it begin with, and what does it copy into them?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct


class Instruction(Struct, frozen=True):
    """One instruction on the line (from 1) where it begins, continued lines joined."""

    line: int
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.words[0].upper()

    @property
    def arguments(self) -> tuple[str, ...]:
        """The words after the instruction's own options, such as `--from=builder`."""
        return tuple(word for word in self.words[1:] if not word.startswith("--"))

    def has_option(self, name: str) -> bool:
        return any(word.startswith(f"--{name}=") for word in self.words[1:])


def instructions(lines: Sequence[str]) -> Iterator[Instruction]:
    """Comments and the texts of here-documents are left out."""
    waiting: list[str] = []
    words: list[str] = []
    start = 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if waiting:
            if text == waiting[0]:
                waiting.pop(0)
            continue
        if not text or text.startswith("#"):
            continue
        start = start if words else number
        words += text.removesuffix("\\").split()
        if text.endswith("\\"):
            continue
        if words:
            yield Instruction(start, tuple(words))
            waiting = _here_documents(words)
        words = []
    if words:
        yield Instruction(start, tuple(words))


def stages(lines: Sequence[str]) -> tuple[str, ...]:
    """What each FROM names, in order."""
    return tuple(
        found.arguments[0]
        for found in instructions(lines)
        if found.name == "FROM" and found.arguments
    )


def from_images(lines: Sequence[str]) -> tuple[str, ...]:
    """The images that are pulled: what FROM lines name, without the names of earlier stages."""
    found: dict[str, None] = {}
    named: set[str] = set()
    for instruction in instructions(lines):
        if instruction.name != "FROM" or not instruction.arguments:
            continue
        image, *rest = instruction.arguments
        if image.lower() not in named:
            found[image] = None
        if len(rest) == 2 and rest[0].upper() == "AS":
            named.add(rest[1].lower())
    return tuple(found)


def copied_from_context(lines: Sequence[str]) -> Iterator[Instruction]:
    """COPY and ADD of files beside the Dockerfile: from no stage, no URL, no here-document."""
    for found in instructions(lines):
        if found.name not in ("COPY", "ADD") or found.has_option("from"):
            continue
        sources = found.arguments[:-1]
        if any(not source.startswith(("<<", "http://", "https://", "git@")) for source in sources):
            yield found


def _here_documents(words: Sequence[str]) -> list[str]:
    """The closing words of `<<EOF`, `<<-EOF` and `<<"EOF"`."""
    return [
        word.lstrip("<-").strip("\"'")
        for word in words[1:]
        if word.startswith("<<") and not word.startswith("<<<") and word.lstrip("<-")
    ]
