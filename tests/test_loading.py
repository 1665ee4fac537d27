"""How does generated text become a module for as long as the SDK needs it?"""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from modelctl.platform.loading import as_module
from modelctl.platform.types import Refused

TEXT = "class Server:\n    def start(self):\n        return [line() for line in (lambda: 7,)]\n"


def test_its_code_says_that_it_is_from_the_file_that_the_sdk_uploads() -> None:
    with as_module("serve_one", TEXT) as module:
        file = inspect.getfile(module.Server)
        inner = module.Server.start.__code__.co_consts
        assert Path(file).read_text() == TEXT
        assert Path(file).name == "serve_one.py"
        assert inspect.getsourcelines(module.Server.start)[1] == 2
        assert {c.co_filename for c in inner if hasattr(c, "co_filename")} == {file}
        assert module.Server().start() == [7]


def test_two_are_there_at_once_and_each_is_gone_after_its_own() -> None:
    with as_module("serve_one", "n = 1") as one:
        with as_module("serve_two", "n = 2") as two:
            assert (one.n, two.n) == (1, 2)
            beside = {file.name for file in Path(one.__file__).parent.iterdir()}
        left = {file.name for file in Path(one.__file__).parent.iterdir()}
    assert beside == {"serve_one.py", "serve_two.py"}, "and nothing that Python compiled"
    assert left == {"serve_one.py"}
    assert not Path(one.__file__).exists()


def test_the_file_of_another_of_that_name_is_left_alone() -> None:
    with as_module("serve_one", "n = 1") as one:
        with pytest.raises(FileExistsError), as_module("serve_one", "n = 2"):
            pass
        assert Path(one.__file__).read_text() == "n = 1"


def test_a_text_that_raises_is_refused_and_leaves_nothing() -> None:
    with (
        pytest.raises(Refused, match=r"the rendered app could not be loaded: no such thing"),
        as_module("serve_three", "raise LookupError('no such thing')"),
    ):
        pass
    with as_module("serve_four", "") as empty:
        assert [f.name for f in Path(empty.__file__).parent.iterdir()] == ["serve_four.py"]
