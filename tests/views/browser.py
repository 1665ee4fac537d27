"""How is a page opened in a real browser, and how are two pictures of it compared?"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

FONTS = ("Liberation Sans", "Liberation Mono")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
)
WIDTHS = {"desktop": 1280, "phone": 390}
_CELL = 24
_FAINT = 40
"""Pixels of a cell's side, and how far its mean colour may differ, of 255."""

_ONE_FONT = """\
<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
<dir>/usr/share/fonts</dir><cachedir>{cache}</cachedir>
<match target="pattern"><test qual="all" name="family" compare="not_contains">
<string>mono</string></test>
<edit name="family" mode="append" binding="weak"><string>Liberation Sans</string></edit></match>
<match target="pattern"><test qual="any" name="family"><string>ui-monospace</string></test>
<edit name="family" mode="prepend" binding="strong"><string>Liberation Mono</string></edit></match>
</fontconfig>
"""


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    assert found, "the page is looked at in Chromium, which is not here: apt-get install chromium"
    return found


@contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Headless Chromium that has one font, whatever the machine has."""
    fonts = folder / "fonts.conf"
    fonts.write_text(_ONE_FONT.format(cache=folder / "fonts"), encoding="utf-8")
    listed = subprocess.run(
        ["fc-list", ":", "family"], capture_output=True, text=True, check=True
    ).stdout
    lacking = [font for font in FONTS if font not in listed]
    assert not lacking, f"pictures are made with {lacking[0]}: apt-get install fonts-liberation"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=chromium(),
            args=list(ARGUMENTS),
            env={**os.environ, "FONTCONFIG_FILE": str(fonts), "HOME": str(folder)},
        )
        try:
            yield opened
        finally:
            opened.close()


class Seen:
    """A page that is open, and what it said and asked for meanwhile."""

    def __init__(self, opened: Browser, file: Path, *, width: int, scheme: Any = "light") -> None:
        size: Any = {"width": width, "height": 900}
        self.context = opened.new_context(
            viewport=size, color_scheme=scheme, reduced_motion="reduce", service_workers="block"
        )
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.as_uri())

    def __enter__(self) -> Seen:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def boxes(self) -> dict[str, list[float]]:
        """Where headings, rows, bars and their parts stand: x, y, width, height."""
        found: dict[str, list[float]] = self.page.evaluate(_BOXES)
        return found

    def picture(self, file: Path) -> Image.Image:
        self.page.screenshot(path=file, full_page=True)
        with Image.open(file) as taken:
            return taken.convert("RGB")


_BOXES = """() => {
  const found = {};
  const count = {};
  for (const one of document.querySelectorAll(
      "header, section, footer, h1, h2, h3, tr, summary, svg.bar, svg.bar .part, svg.spent")) {
    const box = one.getBoundingClientRect();
    if (!box.width || !box.height) continue;
    const name = one.tagName.toLowerCase() + (one.classList[1] ? "." + one.classList[1] : "");
    count[name] = (count[name] || 0) + 1;
    found[name + " " + count[name]] = [box.x, box.y, box.width, box.height].map(Math.round);
  }
  return found;
}"""


def saved(picture: Image.Image, file: Path) -> None:
    """Few colours are enough for a page, and make a small file."""
    few = picture.quantize(256, dither=Image.Dither.NONE)
    few.save(file, optimize=True)


def different(kept: Image.Image, now: Image.Image) -> int:
    """How many cells have another mean colour; of another size all have.

    Letters that are drawn a little differently hardly change a cell's mean; what is not there any
    more does.
    """
    if abs(kept.height - now.height) > 0.02 * kept.height or kept.width != now.width:
        return (kept.width // _CELL) * (kept.height // _CELL)
    height = min(kept.height, now.height)
    cells = (kept.width // _CELL, height // _CELL)
    both = [
        one.convert("RGB").crop((0, 0, kept.width, height)).resize(cells, Image.Resampling.BOX)
        for one in (kept, now)
    ]
    pairs = zip(both[0].get_flattened_data(), both[1].get_flattened_data(), strict=True)
    return sum(max(abs(a - b) for a, b in zip(*pair, strict=True)) > _FAINT for pair in pairs)


def moved(kept: dict[str, list[float]], now: dict[str, list[float]]) -> list[str]:
    """What is not there any more, is new, or stands or ends elsewhere, beyond a few pixels.

    The further down a page, the more a line that breaks elsewhere has moved it.
    """
    found = [f"{name} is missing" for name in kept.keys() - now.keys()]
    found += [f"{name} is new" for name in now.keys() - kept.keys()]
    for name in kept.keys() & now.keys():
        (x, y, width, height), (nx, ny, nwidth, nheight) = kept[name], now[name]
        apart = max(abs(x - nx), abs(width - nwidth), abs(height - nheight))
        if apart > 4 or abs(y - ny) > 4 + 0.01 * y:
            found.append(f"{name} was {kept[name]} and is {now[name]}")
    return sorted(found)
