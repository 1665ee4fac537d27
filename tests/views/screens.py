"""How is a screen held? Its text in a file for each width, without what differs from run to run."""

from __future__ import annotations

import os
import re
from pathlib import Path

WIDTHS = (80, 160)
FOLDER = Path(__file__).parent / "screens"
_VARIES = (
    (re.compile(r"\b\d+\.\d\d s$", re.M), "0.00 s"),
    (re.compile(r"\b\d+\.\d s\b"), "0.0 s"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d+"), "12345"),
)


def hold(name: str, width: int, text: str, *, whole: bool = False) -> None:
    """The text is as it was, no line is wider than the terminal, and nothing is coloured.

    `whole` lines are as long as they are: logs that programs read, code, paths.
    """
    for pattern, plain in _VARIES:
        text = pattern.sub(plain, text)
    lines = [line.rstrip() for line in text.rstrip("\n").splitlines()]
    file = FOLDER / f"{name}.{width}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        FOLDER.mkdir(exist_ok=True)
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert "\x1b" not in text
    wide = [line for line in lines if len(line) > width]
    assert whole or not wide, f"wider than {width}: {wide}"
    assert "\n".join(lines) + "\n" == file.read_text(encoding="utf-8")
