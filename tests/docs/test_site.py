"""Does the documentation build as a site, whole, and without anything from elsewhere?"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.pages import DOCS


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_in_it_and_in_its_navigation(site: Path) -> None:
    pages = {str(page.relative_to(DOCS).with_suffix(".html")) for page in DOCS.rglob("*.md")}
    made = {str(page.relative_to(site)) for page in site.rglob("*.html")} - {"404.html"}
    assert made == pages
    front = (site / "index.html").read_text(encoding="utf-8")
    linked = set(re.findall(r'href="(?:\./)?([a-z0-9/-]+\.html)"', front)) | {"index.html"}
    assert pages - linked == set()


def test_nothing_in_it_is_asked_of_another_server(site: Path) -> None:
    """Links lead elsewhere; pictures, scripts, styles and fonts do not."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        asked = re.findall(r"<(?:script|img|iframe|source)[^>]* src=\"?(https?:[^\" >]+)", text)
        for link in re.findall(r"<link[^>]*>", text):
            if 'rel="canonical"' not in link:
                asked += re.findall(r"href=\"?(https?:[^\" >]+)", link)
        assert asked == [], page.name
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert re.findall(r"@import|url\(\"?https?:", text) == [], style.name


def test_the_files_that_pages_point_to_are_part_of_it(site: Path) -> None:
    kept = (site / "source" / "specs" / "qwen3-8b.yaml.txt").read_text(encoding="utf-8")
    assert kept == (ROOT / "specs" / "qwen3-8b.yaml").read_text(encoding="utf-8")
    page = (site / "examples.html").read_text(encoding="utf-8")
    assert 'href="source/specs/qwen3-8b.yaml.txt"' in page
