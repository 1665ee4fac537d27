"""Which colours, and how wide? Decided once per stream: colour only on a terminal."""

from __future__ import annotations

import os
import shutil
import sys

from msgspec import Struct

_CODES = {
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "cyan": "36",
    "dim": "2",
    "bold": "1",
}
PIPED_WIDTH = 100


class Paint(Struct, frozen=True):
    on: bool = False

    def __call__(self, text: str, *styles: str) -> str:
        if not self.on or not text:
            return text
        codes = ";".join(_CODES[style] for style in styles)
        return f"\033[{codes}m{text}\033[0m"


def for_stream(*, err: bool = False) -> tuple[Paint, int]:
    """The paint and the width (columns) for standard output, or for standard error."""
    stream = sys.stderr if err else sys.stdout
    terminal = stream.isatty()
    colour = (terminal or bool(os.environ.get("FORCE_COLOR"))) and "NO_COLOR" not in os.environ
    colour = colour and os.environ.get("TERM") != "dumb"
    width = shutil.get_terminal_size((PIPED_WIDTH, 24)).columns if terminal else PIPED_WIDTH
    if columns := os.environ.get("COLUMNS", ""):
        width = int(columns) if columns.isdecimal() and int(columns) > 0 else width
    return Paint(colour), max(40, width)
