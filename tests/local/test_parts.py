"""The parts that can be judged without a plane."""

import hashlib
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import modelctl.local
from modelctl.local.assumptions import ASSUMPTIONS
from modelctl.local.keeping.content import Content, Signer
from modelctl.local.keeping.recipes import env_lines
from modelctl.local.keeping.records import App
from modelctl.local.keeping.store import Store
from tests.local.conftest import until

SUPERVISE = Path(modelctl.local.__file__).parent / "running" / "supervise.py"


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        (["ENV A=1"], {"A": "1"}),
        (["ENV A=1 B='two words'", "RUN make"], {"A": "1", "B": "two words"}),
        (["ENV A one two"], {"A": "one two"}),
        (["env A=1", "ENV B=$A/${A}/$C"], {"A": "1", "B": "1/1/"}),
        (["ENV A='unbalanced", "ENV B=1"], {"B": "1"}),
        (["ENV", "ENVIRONMENT A=1"], {}),
        (
            ["ENV A=b", 'ENV C=\'$A\' D="$A" E=\\$A F="\\$A"'],
            {"A": "b", "C": "$A", "D": "b", "E": "$A", "F": "$A"},
        ),
    ],
)
def test_env_lines(lines: list[str], values: dict[str, str]) -> None:
    assert env_lines(lines) == values


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\n")))
def test_what_the_sdk_quotes_arrives_as_it_was(value: str) -> None:
    assert env_lines([f"ENV NAME={shlex.quote(value)}"]) == {"NAME": value}


def test_every_assumption_is_a_question_with_an_answer_and_a_sign() -> None:
    assert len({row.rule for row in ASSUMPTIONS}) == len(ASSUMPTIONS)
    for row in ASSUMPTIONS:
        assert row.rule.endswith("?")
        assert row.assumed.endswith(".") and row.shows.endswith(".")


def test_content_keeps_only_what_has_its_hash(tmp_path: Path) -> None:
    content = Content(tmp_path)
    sha = hashlib.sha256(b"right").hexdigest()
    assert not content.put(sha, b"wrong")
    assert not content.has(sha)
    assert content.put(sha, b"right")
    assert content.path(sha).read_bytes() == b"right"
    with pytest.raises(ValueError, match="not a sha256"):
        content.path("../../etc/passwd")
    with pytest.raises(ValueError, match="not a blob id"):
        content.blob("../plane.json")


def test_a_signed_address_is_good_for_its_path_alone() -> None:
    signer = Signer("http://127.0.0.1:1", "secret")
    key = signer.url("/blobs/a").partition("?key=")[2]
    assert signer.valid("/blobs/a", key)
    assert not signer.valid("/blobs/b", key)
    assert not Signer("http://127.0.0.1:1", "other").valid("/blobs/a", key)


@given(tags=st.dictionaries(st.text(), st.text()), name=st.text())
def test_records_come_back_as_they_were_saved(tags: dict[str, str], name: str) -> None:
    store = Store(Path(":memory:"))
    app = App("ap-1", "main", name, 3, 1.5, tags=tags)
    store.save(app)
    assert store.load(App) == {"ap-1": app}
    store.close()


# A container's main process that starts a child in a session of its own, as engines do.
FAMILY = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                         start_new_session=True)
{first}
print(os.getpid(), child.pid, flush=True)
{then}
"""


def _supervised(then: str, first: str = "") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-S",
            str(SUPERVISE),
            sys.executable,
            "-c",
            FAMILY.format(first=first, then=then),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _gone(pids: list[int]) -> bool:
    """Ended, or a zombie that nobody has taken note of yet."""
    listed = subprocess.run(
        ["ps", "-o", "stat=", "-p", ",".join(map(str, pids))], capture_output=True, text=True
    ).stdout.split()
    return all(state.startswith("Z") for state in listed)


@pytest.mark.parametrize(
    ("then", "code"),
    [("sys.exit(3)", 3), ("os.kill(os.getpid(), 9)", 137)],
    ids=["exits", "is killed"],
)
def test_what_a_container_leaves_behind_is_killed(then: str, code: int) -> None:
    with _supervised(then) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(pid) for pid in supervisor.stdout.readline().split()]
        assert supervisor.wait(10) == code
        assert _gone(pids)


def test_closing_the_supervisors_input_kills_everything() -> None:
    deaf = "import signal; signal.signal(15, signal.SIG_IGN)"
    with _supervised("time.sleep(60)", first=deaf) as supervisor:
        assert supervisor.stdout is not None and supervisor.stdin is not None
        pids = [int(pid) for pid in supervisor.stdout.readline().split()]
        supervisor.terminate()  # passed on, and ignored there
        time.sleep(0.2)
        assert supervisor.poll() is None
        supervisor.stdin.close()
        assert supervisor.wait(10) == 137
        assert _gone(pids)


def test_killing_the_supervisor_kills_the_container() -> None:
    with _supervised("time.sleep(60)") as supervisor:
        assert supervisor.stdout is not None
        container, child = (int(pid) for pid in supervisor.stdout.readline().split())
        supervisor.kill()
        until(lambda: _gone([container]), 5)
        os.kill(child, 9)  # out of reach of anybody once both are gone


def test_a_plane_loads_neither_the_sdk_nor_the_rest_of_modelctl() -> None:
    listed = subprocess.run(
        [sys.executable, "-c", "import sys, modelctl.local.plane; print(*sys.modules)"],
        env=os.environ | {"PYTHONPATH": str(Path(modelctl.local.__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "modal" not in listed
    others = [m for m in listed if m.startswith("modelctl.") and not m.startswith("modelctl.local")]
    assert others == []
