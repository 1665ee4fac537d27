"""What does import say to a file that is no app, or means harm? A sentence; nothing is run."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl.diagnostics import Rejected
from modelctl.importing import imported
from modelctl.importing.source import LARGEST
from modelctl.importing.written import text

APP = "import modal\napp = modal.App('x')\n"

WRONG: list[tuple[str, bytes, str]] = [
    ("", b"", "app.py:1 import/no-app: there is no Modal app in this file"),
    (
        "an app alone",
        APP.encode(),
        "app.py:1 import/no-server: the app has no server: nothing in it gets a URL",
    ),
    (
        "a server without an engine",
        f"{APP}@app.server(port=1)\nclass Web:\n    pass\n".encode(),
        "app.py:4 import/no-engine: Web starts no engine with a command that can be read",
    ),
    (
        "syntax",
        b"import modal\napp = modal.App(\n\nclass X: pass\n",
        "app.py:2 import/syntax: this is no Python: '(' was never closed",
    ),
    ("latin-1", b"import modal\n# caf\xe9\n", "app.py:2 import/encoding: this is not UTF-8"),
    (
        "an unknown encoding",
        b"# coding: klingon\n",
        "app.py:1 import/encoding: Python cannot read this: unknown encoding: klingon",
    ),
    (
        "too large",
        b"#" * (LARGEST + 1),
        "app.py:1 import/too-large: app.py has 1,000,001 bytes; at most 1,000,000 are read",
    ),
    (
        "too deep",
        b"x = " + b"-" * 50_000 + b"1",
        "app.py:1 import/syntax: this is no Python that can be read: it nests too deep",
    ),
    (
        "too long",
        b"for a in range(2000):\n for b in range(2000):\n  x = 1\n",
        "app.py:3 import/too-large: the program does more than is followed",
    ),
]


@pytest.mark.parametrize(("content", "sentence"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_each_has_its_sentence_at_its_line(content: bytes, sentence: str) -> None:
    with pytest.raises(Rejected) as rejected:
        imported(content, "app.py")
    (problem,) = rejected.value.diagnostics
    assert problem.place is not None
    assert (
        f"{problem.place.file}:{problem.place.line} {problem.code}: {problem.message}" == sentence
    )


ENGINE = (
    "import subprocess\n@app.server(gpu='L4', port=1{options})\nclass Server:\n"
    "    @modal.enter()\n    def start(self):\n"
    "        subprocess.Popen(['vllm', 'serve', 'a/b', *{words}])\n"
)


def test_nothing_is_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    program = (
        f"import os\nos.system('touch {ran}')\nopen({str(ran)!r}, 'w')\n"
        f"eval({f'open({str(ran)!r}, 1)'!r})\n__import__('os').system('touch {ran}')\n"
        f"[].__class__.__base__.__subclasses__()\nclass Evil(dict):\n"
        f"    def __missing__(self, key):\n        open({str(ran)!r}, 'w')\nEvil()['x']\n"
        + APP
        + ENGINE.format(options="", words="[]")
    )
    (one,) = imported(program.encode(), "app.py")
    assert one.fields["model"]["source"] == "hf://a/b"
    assert not ran.exists()


GROWING = [
    "x = 'a' * 10**12",
    "x = 'aaaaaaaa'\n" + "x = x + x\n" * 200,
    "x = [1]\n" + "x = [x, x]\n" * 200 + "y = str(x)\nz = f'{x}'\n",
    "x = 9**9**9",
    "x = 1 << 10**9",
    "x = '%1000000000d' % 1",
    "x = f'{1:1000000000}'",
    "x = '{:>1000000000}'.format(1)",
    "x = 'a' * 40000\nx = x.replace('', x)",
    "x = []\nx.append(x)\ny = {}\ny['a'] = y\nz = f'{x}{y}'\n",
    "def x():\n    return x()\nx()",
    "class x:\n    y = x()\n",
    "while True:\n    pass",
    "x = ['a' * 9000] * 4000\ny = ' '.join(x)",
    "x = json.loads('[' * 100000)",
]


@pytest.mark.parametrize("program", GROWING)
def test_what_grows_without_end_is_not_known(program: str) -> None:
    server = ENGINE.format(options=", env={'A': x}", words="[x]")
    program = f"import json\n{program}\n{APP}{server}"
    (one,) = imported(program.encode(), "app.py")
    assert one.fields["model"]["source"] == "hf://a/b"
    assert len(text(one)) < 60_000


def test_a_value_of_the_app_is_one_value_of_the_spec() -> None:
    import yaml

    odd = 'a: b\n# c\n"d" {e} no\x1b[31m\x85 12:30'
    program = APP + ENGINE.format(options=f", env={{'ODD': {odd!r}, 'NO': 'no'}}", words="[]")
    (one,) = imported(program.encode(), "app.py")
    assert yaml.safe_load(text(one))["env"] == {"ODD": odd, "NO": "no"}


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_any_words_give_a_spec_that_yaml_reads(first: str, second: str) -> None:
    import yaml

    words = [f"--{first}", second, "--seed", second]
    program = APP + ENGINE.format(options=f", env={{'A': {first!r}}}", words=repr(words))
    try:
        (one,) = imported(program.encode("utf-8", "surrogatepass"), "app.py")
    except Rejected:
        return
    assert yaml.safe_load(text(one))["name"] == "x"


def test_half_a_character_is_a_question_mark() -> None:
    program = APP + ENGINE.format(options=", env={'A': '\\ud800'}", words="['--x', '\\ud800']")
    (one,) = imported(program.encode(), "app.py")
    assert one.fields["env"] == {"A": "?"}
    assert text(one).encode()
