"""Does every command of README and docs do what the page says? Each page is gone through in order.

A page's commands run in one shell, in a project with an app `chat` in staging and prod, beside a
local control plane that stands for Modal. The tutorial begins with an empty folder, and files whose
content it shows are written as it does. Where a page shows output, it must be this, but for times,
ports and names of machines. `UPDATE_GOLDEN=1` writes the output of these runs into the pages.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelctl.local import lifecycle
from tests.conftest import ROOT
from tests.docs.pages import PAGES, Block, Command, blocks_of, commands_of, text_of
from tests.docs.stage import CHAT, PROJECT, Shell, comparable
from tests.docs.test_commands import ELSEWHERE

CODES = {
    "docs/tutorial.md: modelctl validate": (1, 0),
    "docs/tutorial.md: modelctl apply --local --yes": (0, 0, 0, 4, 0),
    "docs/weights.md: modelctl lock --measured --env prod": (6,),
    "docs/weights.md: modelctl lock --measured chat --env prod": (6,),
}
"""Commands that end otherwise than with 0, in their order on the page."""

BEFORE = {
    "docs/how-to/roll-back.md": [
        "sed -i 's/context: 2048/context: 1024/' specs/chat.yaml",
        "modelctl apply --env prod --yes",
    ],
    "docs/import.md": [
        f"cp {ROOT}/tests/docs/server.py app.py",
        "sed s/support/helpdesk/ app.py > servers.py",
        "sed '1,/^app = /d; s/Chat/Coder/; s/0.6B/1.7B/' app.py >> servers.py",
        "mv specs/chat.yaml chat.yaml.kept",
    ],
}
"""What has to be before a page's commands mean anything."""

FROM_NOTHING = {"docs/tutorial.md": "## The same on Modal", "README.md": "## What it is for"}
"""Pages that begin with an empty folder → where they stop to be about this machine."""

TESTED_ELSEWHERE = {
    "docs/local-control-plane.md": "tests/local/test_pages.py, which steers a plane of its own",
}
FREE = r"modelctl (init|logs|chat|local (up|calls|status|engines))\b|modal "
"""Of these the output is the engine's or the machine's: what is compared is that there is some."""

TALK = re.compile("^modelctl chat ")
"""The model decides how long it talks: after a minute it has answered."""


def of_each_page(language: tuple[str, ...]) -> list[str]:
    return [
        str(page.relative_to(ROOT))
        for page in PAGES
        if any(block.language in language for block in blocks_of(page))
    ]


WITH_COMMANDS = [name for name in of_each_page(("sh", "console")) if name not in TESTED_ELSEWHERE]


@pytest.fixture(scope="module")
def modal_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a plane that all pages share but the tutorial, which starts its own."""
    folder = tmp_path_factory.mktemp("plane")
    lifecycle.up(folder)
    try:
        yield folder
    finally:
        lifecycle.down(folder)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    folder = tmp_path / "assistants"
    folder.mkdir()
    opened = Shell(folder, tmp_path / "bin")
    try:
        yield opened
    finally:
        opened.close()


def must(shell: Shell, text: str) -> None:
    code, output = shell.run(text)
    assert code == 0, f"{text}: {output}"


def furnish(folder: Path, gguf: Path, shell: Shell, plane: Path) -> None:
    """A project of which an app lives in two environments of this plane."""
    (folder / "specs").mkdir()
    (folder / "models").mkdir()
    (folder / "models" / gguf.name).hardlink_to(gguf) if _same_disk(gguf, folder) else shutil.copy(
        gguf, folder / "models"
    )
    (folder / "modelctl.yaml").write_text(PROJECT)
    (folder / "specs" / "chat.yaml").write_text(CHAT)
    (folder.parent / "policy.yaml").write_text("auth: [proxy]\n")
    shell.run(f"export MODELCTL_LOCAL_DIR={plane}")
    must(shell, 'eval "$(modelctl local env)"')
    for name in ("staging", "prod"):
        shell.run(f"modal environment create {name}")
        must(shell, f"modelctl apply --env {name} --override-hold --yes")
    shell.run("modal secret delete huggingface --yes")  # each page makes its own
    must(shell, "modelctl render chat --env prod > app.py")


def _same_disk(one: Path, other: Path) -> bool:
    return one.stat().st_dev == other.stat().st_dev


def steps(page: Path) -> Iterator[Command | Block]:
    """The page's commands, and the files that it shows, in their order."""
    for block in blocks_of(page):
        if block.language in ("sh", "console"):
            yield from commands_of(block)
        elif 'title="' in block.about:
            yield block


@pytest.mark.full
@pytest.mark.parametrize("name", [n for n in WITH_COMMANDS if n not in FROM_NOTHING])
def test_the_commands_of_the_page_do_what_they_say(
    name: str, shell: Shell, tmp_path: Path, gguf: Path, modal_here: Path
) -> None:
    to_run = [s for s in steps(ROOT / name) if isinstance(s, Command) and not elsewhere(s)]
    if not to_run:
        return
    furnish(tmp_path / "assistants", gguf, shell, modal_here)
    for text in BEFORE.get(name, []):
        must(shell, text)
    follow(name, to_run, shell)


@pytest.mark.full
@pytest.mark.parametrize("name", FROM_NOTHING)
def test_who_begins_with_nothing_gets_to_a_live_endpoint(
    name: str, shell: Shell, tmp_path: Path, gguf: Path
) -> None:
    """Nothing but the model, which `init` would fetch. What needs an account is left out."""
    folder = tmp_path / "assistants"
    (folder / "models").mkdir()
    shutil.copy(gguf, folder / "models")
    text = text_of(ROOT / name)
    end = text.count("\n", 0, text.index(FROM_NOTHING[name]))
    to_run: list[Command | Block] = [s for s in steps(ROOT / name) if s.line <= end]
    try:
        follow(name, to_run, shell, folder)
    finally:
        lifecycle.down(folder / ".modelctl" / "local")


def elsewhere(command: Command) -> bool:
    return any(re.fullmatch(pattern, command.text) for pattern in ELSEWHERE)


def follow(
    name: str, to_do: list[Command] | list[Command | Block], shell: Shell, folder: Path = Path()
) -> None:
    seen: dict[str, int] = {}
    written: list[tuple[Command, str]] = []
    for step in to_do:
        if isinstance(step, Block):
            title = re.search(r'title="([^"]+)"', step.about)
            assert title is not None
            (folder / title[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / title[1]).write_text(step.text)
            continue
        if elsewhere(step):
            continue
        code, output = shell.run(TALK.sub(r"timeout 60 \g<0>", step.text))
        if TALK.match(step.text) and code == 124 and output:
            code = 0
        number = seen[step.text] = seen.get(step.text, -1) + 1
        expected = CODES.get(f"{name}: {step.text}", (0,))
        assert code == expected[min(number, len(expected) - 1)], f"{step.place}: {output}"
        if step.shown is not None:
            output = "\n".join(line.rstrip() for line in output.strip("\n").splitlines())
            if not step.text.startswith(
                "modelctl init"
            ):  # here it finds the model, and fetches none
                written.append((step, output))
    if os.environ.get("UPDATE_GOLDEN"):
        update(ROOT / name, written)
        return
    for command, output in written:
        shown = command.shown or ""
        if re.match(FREE, command.text):
            assert bool(shown) == bool(output), command.place
        else:
            assert comparable(output) == comparable(shown), command.place


def update(page: Path, written: list[tuple[Command, str]]) -> None:
    """Put each output below its command, the last first, so that lines keep their numbers."""
    lines = text_of(page).splitlines()
    for command, output in reversed(written):
        if re.match("modelctl (init|chat)", command.text):
            continue  # here init finds the model; an answer stays the same if nothing changed
        start = command.last_line
        end = start
        while not lines[end].startswith(("$ ", "```")):
            end += 1
        last = lines[end].startswith("```")
        lines[start:end] = [*output.splitlines(), *([] if last or not output else [""])]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
