"""Does every link of README and docs lead somewhere? Those to elsewhere only by their form."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import ROOT
from tests.docs.pages import NAMES, anchors_of, links_of, text_of


def wrong(page: Path, link: str) -> str | None:
    parts = urlsplit(link)
    if parts.scheme:
        host = parts.hostname or ""
        right = parts.scheme == "https" and "." in host and not host.endswith(".")
        return None if right else "is no address"
    target = page if not parts.path else (page.parent / parts.path).resolve()
    if not target.exists():
        return "does not exist"
    if not target.is_relative_to(ROOT):
        return "is outside of the repository"
    if parts.fragment and parts.fragment not in anchors_of(target):
        return "has no such heading"
    return None


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    found = {link: why for link in links_of(page) if (why := wrong(page, link))}
    assert found == {}


@pytest.mark.parametrize("name", NAMES)
def test_every_file_of_the_repository_that_a_page_names_is_there(name: str) -> None:
    named = re.findall(
        r"`((?:tests|scripts|benchmarks|docs|modelctl|action)/(?!v1|modelctl)[\w./-]+)`",
        text_of(ROOT / name),
    )
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_links_of_pages_are_found_at_all() -> None:
    assert len(links_of(ROOT / "docs" / "examples.md")) > 30
    assert wrong(ROOT / "README.md", "docs/fit.md#verdicts") is None
    assert wrong(ROOT / "README.md", "docs/fit.md#verdict") == "has no such heading"
    assert wrong(ROOT / "README.md", "docs/fits.md") == "does not exist"
    assert wrong(ROOT / "README.md", "https://modal") == "is no address"
