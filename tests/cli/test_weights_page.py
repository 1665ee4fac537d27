"""Does docs/weights.md speak of commands that exist, and of what the code does?"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from modelctl.cli import cli
from modelctl.record import VERSIONS
from modelctl.render import packaged

PAGE = (Path(__file__).parents[2] / "docs" / "weights.md").read_text(encoding="utf-8")
COMMANDS = [
    line.partition("modelctl ")[2].partition("#")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.S)
    for line in block.splitlines()
    if "modelctl " in line
]


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_page_is_understood(line: str) -> None:
    command: click.Command = cli
    words = shlex.split(line)
    context = click.Context(cli)
    while isinstance(command, click.Group):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, name
        command = found
    command.make_context(command.name, words)


def test_its_numbers_are_the_code_s() -> None:
    app = (packaged() / "weights" / "hub.py.j2").read_text(encoding="utf-8")
    assert "eight files at a time" in PAGE
    assert "AT_ONCE = 8\n" in app
    assert "asked six times without a byte between them" in PAGE
    assert "TRIES = 6 " in app
    assert "one of the last twenty versions" in PAGE
    assert VERSIONS == 20
