"""The pages about the local control plane say what the code says."""

import os
from pathlib import Path

from modelctl.local.assumptions import ASSUMPTIONS, Assumption

DOCS = Path(__file__).parents[2] / "docs"

OPENING = """\
# What the local control plane assumes of Modal

Rules of Modal's that the plane follows without anybody having been able to check them, and where
it differs on purpose. Each row says what is assumed and how one would notice on Modal that it is
wrong.
This page is written from `modelctl/local/assumptions.py`.
"""


def table(rows: list[Assumption]) -> str:
    lines = ["| rule | assumed here | how it would show on Modal |", "| --- | --- | --- |"]
    lines += [f"| {row.rule} | {row.assumed} | {row.shows} |" for row in rows]
    return "\n".join(lines)


def test_the_page_of_assumptions_is_the_table_of_the_code() -> None:
    unverified = [row for row in ASSUMPTIONS if not row.deliberate]
    deliberate = [row for row in ASSUMPTIONS if row.deliberate]
    page = (
        f"{OPENING}\n## Unverified\n\n{table(unverified)}\n\n"
        f"## Different on purpose\n\n{table(deliberate)}\n"
    )
    path = DOCS / "local-assumptions.md"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(page, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == page


def test_no_rule_is_assumed_twice() -> None:
    rules = [row.rule for row in ASSUMPTIONS]
    assert len(rules) == len(set(rules))
    for row in ASSUMPTIONS:
        assert row.rule.endswith("?")
        assert row.assumed and row.shows
        assert "|" not in row.rule + row.assumed + row.shows
