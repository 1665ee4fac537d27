"""Does docs/weights.md say the numbers that the code has?"""

from __future__ import annotations

from pathlib import Path

from modelctl.record import VERSIONS
from modelctl.render import packaged

PAGE = (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")


def test_its_numbers_are_the_code_s() -> None:
    app = (packaged() / "weights" / "hub.py.j2").read_text(encoding="utf-8")
    assert "eight files at a time" in PAGE
    assert "AT_ONCE = 8\n" in app
    assert "asked six times without a byte between them" in PAGE
    assert "TRIES = 6 " in app
    assert "one of the last twenty versions" in PAGE
    assert VERSIONS == 20
