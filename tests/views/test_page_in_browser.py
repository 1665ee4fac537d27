"""How does the page of a plan look and behave in a browser? Chromium, two widths, light and dark.

`UPDATE_GOLDEN=1` writes the pictures of docs/images and the boxes beside this file again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from msgspec.structs import replace
from PIL import Image
from playwright.sync_api import Browser

from modelctl.plan import Action, Change, FieldChange, Plan
from modelctl.views import page
from tests.conftest import ROOT
from tests.views import sample
from tests.views.browser import WIDTHS, Seen, browser, different, moved, saved
from tests.views.test_page import HOSTILE

pytestmark = pytest.mark.full

IMAGES = ROOT / "docs" / "images"
BOXES = Path(__file__).parent / "page_boxes.json"
UPDATE = bool(os.environ.get("UPDATE_GOLDEN"))
LOOKS = [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")]
_FEW = 3
"""How many cells may look different: a bar's part is larger."""


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("page") / "plan.html"
    made.write_text(sample.page_of_everything(), encoding="utf-8")
    return made


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_it_asks_for_nothing_says_nothing_and_does_not_scroll_sideways(
    chrome: Browser, file: Path, width: str, scheme: str
) -> None:
    with Seen(chrome, file, width=WIDTHS[width], scheme=scheme) as seen:
        for folded in seen.page.query_selector_all("details:not([open]) > summary"):
            folded.click()
        assert seen.asked == [file.as_uri()]
        assert seen.said == []
        wide = seen.page.evaluate("document.documentElement.scrollWidth")
        assert wide == WIDTHS[width]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_it_can_be_read_by_everybody(chrome: Browser, file: Path, width: str, scheme: str) -> None:
    """Contrast, headings, tables, names: what axe knows to look for."""
    with Seen(chrome, file, width=WIDTHS[width], scheme=scheme) as seen:
        for folded in seen.page.query_selector_all("details:not([open]) > summary"):
            folded.click()
        found = Axe().run(seen.page, options={"resultTypes": ["violations", "incomplete"]})
        assert found.violations_count == 0, found.generate_report()
        unsure = {
            check["message"]
            for rule in found.response["incomplete"]
            if rule["id"] == "color-contrast"
            for node in rule["nodes"]
            for check in node["any"]
        }
        assert unsure <= {"Element content contains only non-text characters"}  # arrows
        assert any(one["id"] == "color-contrast" for one in found.response["passes"])


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_it_looks_as_it_did(
    chrome: Browser, file: Path, tmp_path: Path, width: str, scheme: str
) -> None:
    kept, name = IMAGES / f"plan-{width}-{scheme}.png", f"{width}-{scheme}"
    with Seen(chrome, file, width=WIDTHS[width], scheme=scheme) as seen:
        picture, boxes = seen.picture(tmp_path / "now.png"), seen.boxes()
    known = json.loads(BOXES.read_text(encoding="utf-8")) if BOXES.exists() else {}
    if UPDATE:
        saved(picture, kept)
        known[name] = boxes
        lines = [f"{json.dumps(key)}: {json.dumps(known[key])}" for key in sorted(known)]
        BOXES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        return
    assert moved(known[name], boxes) == []
    with Image.open(kept) as before:
        assert different(before, picture) <= _FEW
    assert kept.stat().st_size < 300_000


SPOILED = {
    "a bar's cache": ('<rect class="part cache"', '<rect class="gone" visibility="hidden"'),
    "a section": ('<section id="cost"', '<section hidden id="cost"'),
    "the budget": ('<svg class="spent"', '<svg class="gone" visibility="hidden"'),
    "a column": ('data-label="cache">', 'data-label="cache" hidden>'),
}


@pytest.mark.parametrize("what", SPOILED)
def test_what_is_missing_is_seen(chrome: Browser, file: Path, tmp_path: Path, what: str) -> None:
    """The comparison itself: it fails where something is gone, by its boxes and by its colours."""
    old, new = SPOILED[what]
    source = file.read_text(encoding="utf-8")
    assert old in source
    spoiled = tmp_path / "spoiled.html"
    spoiled.write_text(source.replace(old, new, 1), encoding="utf-8")
    with Seen(chrome, file, width=1280) as seen:
        before, boxes = seen.picture(tmp_path / "before.png"), seen.boxes()
    with Seen(chrome, spoiled, width=1280) as seen:
        after, others = seen.picture(tmp_path / "after.png"), seen.boxes()
    assert different(before, before) == 0
    assert different(before, after) > _FEW or moved(boxes, others)
    if "bar" in what or what == "the budget":
        assert different(before, after) > _FEW


def test_what_is_folded_opens_by_keyboard(chrome: Browser, file: Path) -> None:
    with Seen(chrome, file, width=390) as seen:
        first = seen.page.locator("details.same").first
        assert not first.evaluate("one => one.open")
        for _ in range(40):
            seen.page.keyboard.press("Tab")
            if first.evaluate("one => one.firstElementChild === document.activeElement"):
                break
        seen.page.keyboard.press("Enter")
        assert first.evaluate("one => one.open")
        assert seen.page.get_by_text("team-33").first.is_visible()
        outline = seen.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"


def test_a_name_in_the_table_leads_to_its_app(chrome: Browser, file: Path) -> None:
    with Seen(chrome, file, width=1280) as seen:
        seen.page.get_by_role("link", name="chat-70b").click()
        top = seen.page.evaluate(
            "document.querySelector('details:target').getBoundingClientRect().top"
        )
        assert 0 <= top < 60


@pytest.mark.parametrize("width", [320, 600, 779, 782, 900, 1024, 2000])
def test_it_fits_every_width(chrome: Browser, file: Path, width: int) -> None:
    with Seen(chrome, file, width=width) as seen:
        for folded in seen.page.query_selector_all("details:not([open]) > summary"):
            folded.click()
        assert seen.page.evaluate("document.documentElement.scrollWidth") == width


def test_on_paper_it_is_light_and_nothing_is_folded(chrome: Browser, file: Path) -> None:
    with Seen(chrome, file, width=1280, scheme="dark") as seen:
        assert not seen.page.get_by_text("team-33").first.is_visible()
        seen.page.emulate_media(media="print")
        assert seen.page.get_by_text("team-33").first.is_visible()
        ground = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(255, 255, 255)"


@pytest.mark.parametrize("width", WIDTHS)
def test_values_from_anywhere_are_text_and_fit(chrome: Browser, tmp_path: Path, width: str) -> None:
    changes = tuple(
        Change(
            value, Action.REDEPLOY, (value,), (FieldChange(value, value, None),), impact=(value,)
        )
        for value in HOSTILE
    )
    source = page.plan(Plan("prod", HOSTILE[0], changes), environment=HOSTILE[1])
    made = tmp_path / "hostile.html"
    made.write_text(source, encoding="utf-8")
    with Seen(chrome, made, width=WIDTHS[width]) as seen:
        assert seen.asked == [made.as_uri()]
        assert seen.said == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") == WIDTHS[width]
        assert seen.page.evaluate("document.querySelectorAll('script, img').length") == 0
        assert seen.page.locator("h1").inner_text() == HOSTILE[1]


def test_forty_apps_stay_one_screen_wide_and_open_one_by_one(
    chrome: Browser, tmp_path: Path
) -> None:
    reports = sample.checked()[0]
    report = reports["chat-8b"]
    changes = tuple(
        Change(f"team-{n:02}-assistant", Action.REDEPLOY,
               fields=(FieldChange("context", 16384, 32768),), impact=("rolling", "same URL"))
        for n in range(40)
    )  # fmt: skip
    made = tmp_path / "forty.html"
    known = tuple(replace(report, name=change.name) for change in changes)
    made.write_text(page.plan(Plan("prod", "prod", changes), (), known), encoding="utf-8")
    with Seen(chrome, made, width=1280) as seen:
        height = seen.page.evaluate("document.documentElement.scrollHeight")
        assert height < 5000
        assert seen.page.locator("svg.bar:visible").count() == 0
        seen.page.locator("details.app > summary").nth(7).click()
        assert seen.page.locator("svg.bar:visible").count() == 3
