"""What do these tests begin with? A folder to write into, and a way to ask what a text says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.spec.folder import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


Says = Callable[[str | bytes], list[str]]


@pytest.fixture
def says(folder: Folder) -> Says:
    """What a person reads about a spec with this text, in x.yaml."""

    def ask(text: str | bytes) -> list[str]:
        folder.write("x.yaml", text)
        return folder.says("x.yaml")

    return ask


@pytest.fixture
def says_of(says: Says) -> Says:
    """The same for fields that follow a good name and model: what is asked begins on line 3."""

    def ask(text: str | bytes) -> list[str]:
        assert isinstance(text, str)
        return [said.removeprefix("x.yaml:") for said in says(f"name: a\nmodel: hf://o/r\n{text}")]

    return ask
