"""Does the table of troubleshooting have every beginning of a code?"""

from __future__ import annotations

import re

from modelctl.checks.catalogue import CATALOGUE
from tests.conftest import ROOT


def test_each_beginning_of_a_code_is_in_one_row() -> None:
    page = (ROOT / "docs/how-to/troubleshooting.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    named = [word for row in rows for word in re.findall(r"`([a-z]+)/`", row)]
    assert sorted(named) == sorted({code.split("/")[0] for code in CATALOGUE})
