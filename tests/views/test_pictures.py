"""Do the pictures of a terminal show what commands print today? Their text is compared."""

from __future__ import annotations

import html
import re

import pytest

from scripts.pictures import IMAGES, PICTURES, drawn, screen

_TEXT = re.compile(r'<text[^>]* y="([\d.]+)"[^>]*>([^<]*)</text>')
_MEANWHILE = re.compile(r"\d\.\d\d s")


def words(svg: str) -> list[str]:
    """The lines of a picture, without how long something took."""
    lines: dict[float, str] = {}
    for y, part in _TEXT.findall(svg):
        lines[float(y)] = lines.get(float(y), "") + html.unescape(part).replace("\xa0", " ")
    return [_MEANWHILE.sub("0.00 s", lines[y]) for y in sorted(lines)]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_what_the_commands_print_today(name: str) -> None:
    kept = (IMAGES / f"{name}.svg").read_text(encoding="utf-8")
    assert words(kept) == words(drawn(screen(PICTURES[name]))), (
        "python -m scripts.pictures draws them again"
    )
    assert len(words(kept)) > 15
    assert "://" not in kept.replace("http://www.w3.org/2000/svg", "")  # nothing is fetched
