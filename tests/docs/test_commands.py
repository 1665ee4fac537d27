"""Is every command of README and docs understood by the program that it names?

Here arguments are parsed and what needs no server is run. `test_executed.py` runs all others. What
no test can run stands in ELSEWHERE, with the reason.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from modelctl.cli import cli, run
from tests.conftest import ROOT, Project, place_model
from tests.docs.pages import PAGES, Command, commands, text_of
from tests.docs.stage import CHAT, PROJECT

ELSEWHERE: dict[str, str] = {
    r"pip install .*": "asks a package index",
    r"modal setup": "asks for an account, in a browser",
    r"make [a-z-]+": "CI runs the targets themselves; here it is asked whether they exist",
    r"echo .* > in\.json|\.engines/.*": "works on the checkout itself; tests/fit holds its result",
    r"HF_TOKEN=\S*… modelctl lock": "asks the Hub, with a token of one's own",
}
"""Commands that tests cannot run → why."""

OFFLINE = r"modelctl (validate|fit|show|render|explain|schema|lock --check)\b"
WORDS_OF_MODELCTL = [
    Command(c.page, c.line, part.strip())
    for c in commands()
    for part in re.split(r"[|>]| && ", c.text)
    if re.match(r"\s*(\w+=\S+ )?modelctl ", part)
]


def words_of(text: str) -> list[str]:
    return shlex.split(re.sub(r"^(\w+=\S+ )?modelctl ", "", text))


def the_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that these words name, and the words for it."""
    command: click.Command = cli
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"there is no command {words[0]}"
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize("command", WORDS_OF_MODELCTL, ids=lambda c: c.place)
def test_every_command_of_modelctl_is_parsed(
    command: Command, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("policy.yaml", "prod.plan"):
        project.write(name, "")
    for name in ("inner", "deploy-templates"):
        (project.root / name).mkdir()
    monkeypatch.chdir(project.root / "inner" if "../" in command.text else project.root)
    found, words = the_command(words_of(command.text))
    if "--help" in words or "--version" in words:
        return
    found.make_context(found.name, words, resilient_parsing=False)


def test_every_option_named_in_passing_is_one_of_its_command() -> None:
    """What stands in a sentence, as `modelctl plan --base REF` does."""
    wrong = []
    for page in PAGES:
        for text in re.findall(r"`modelctl ([^`]+)`", text_of(page)):
            try:
                found, words = the_command(text.replace("[", " ").replace("]", " ").split())
            except AssertionError as error:
                if not re.match(r"COMMAND|…", text) and "|" not in text:
                    wrong.append(f"{page.name}: modelctl {text}: {error}")
                continue
            options = {name for p in found.params for name in p.opts} | {"--help", "--version"}
            for word in words:
                if re.fullmatch(r"--?[a-z-]+", word) and word not in options:
                    wrong.append(f"{page.name}: modelctl {text}: there is no {word}")
    assert wrong == []


def test_every_target_of_make_exists() -> None:
    made = "".join(text_of(ROOT / name) for name in ("Makefile", "scripts/engines.mk"))
    targets = set(re.findall(r"^([a-z-]+):", made, flags=re.MULTILINE))
    asked = {c.text.split()[1] for c in commands() if c.text.startswith("make ")}
    assert asked and asked <= targets


def test_what_is_run_elsewhere_is_on_a_page() -> None:
    texts = [command.text for command in commands()]
    unused = [p for p in ELSEWHERE if not any(re.fullmatch(p, text) for text in texts)]
    assert unused == []


def test_what_asks_nobody_is_run(
    project: Project,
    gguf: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The tutorial's commands are left to the whole tutorial."""
    project.write("modelctl.yaml", PROJECT)
    project.write("specs/chat.yaml", CHAT)
    project.write("../policy.yaml", "auth: [proxy]\n")
    place_model(gguf, project)
    monkeypatch.chdir(project.root)
    ran = set()
    found = (c.text for c in commands() if c.page != "docs/tutorial.md")
    for text in dict.fromkeys(text for text in found if re.match(OFFLINE, text)):
        if "--templates" in text or re.search(r"[|>]|specs/", text):
            continue
        assert run(words_of(text)) == 0, f"{text}: {capsys.readouterr()}"
        ran.add(text.split()[1])
    assert ran >= {"validate", "fit", "show", "render", "explain", "lock"}
