"""How does a table read?"""

from __future__ import annotations

from modelctl.views.human.tables import table
from modelctl.views.paint import Paint


def test_a_table_ends_where_the_line_does() -> None:
    rows = [["a", "1", "x" * 40], ["bcd", "22", "short"]]
    plain = Paint()
    assert table(["k", "n", "what"], rows, paint=plain, width=20, right=["n"]).splitlines() == [
        "k     n  what",
        f"a     1  {'x' * 10}…",
        "bcd  22  short",
    ]
    assert "x" * 40 in table(["k", "n", "what"], rows, paint=plain, width=20, whole=True)
