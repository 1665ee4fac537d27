"""Is each of many answered as if one process had done all, whatever becomes of its copies?"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from benchmarks.project import varied

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="copies are made on Linux alone")

BEGINS = """
import os, signal, sys, threading
from modelctl import cores
cores._cores, cores.WORTH_A_COPY = lambda: 3, 24
MANY = range(100)
HERE = os.getpid()
"""


def told(script: str) -> str:
    """What a process of its own prints: the one of the tests has threads, and is never copied."""
    ran = subprocess.run(
        [sys.executable, "-c", BEGINS + textwrap.dedent(script)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return ran.stdout + ran.stderr


def test_answers_stand_in_order_and_every_core_gave_its_share() -> None:
    assert told("""
        print(cores.of_each(lambda n: n * n, MANY) == [n * n for n in MANY])
        print(len(set(cores.of_each(lambda n: os.getpid(), MANY))))
    """) == "True\n3\n"  # fmt: skip


@pytest.mark.parametrize("many", [0, 1, 47])
def test_few_are_not_worth_a_copy(many: int) -> None:
    assert told(f"""
        print(set(cores.of_each(lambda n: os.getpid(), range({many}))) <= {{HERE}})
    """) == "True\n"  # fmt: skip


def test_a_process_with_threads_is_not_copied() -> None:
    assert told("""
        done = threading.Event()
        threading.Thread(target=done.wait).start()
        print(set(cores.of_each(lambda n: os.getpid(), MANY)) == {HERE})
        done.set()
    """) == "True\n"  # fmt: skip


def test_what_a_killed_copy_did_not_answer_is_done_here() -> None:
    assert told("""
        def ask(n):
            if os.getpid() != HERE and n == 98:
                os.kill(os.getpid(), signal.SIGKILL)
            return n, os.getpid() == HERE
        answers = cores.of_each(ask, MANY)
        print([n for n, _ in answers] == list(MANY))
        print(sum(here for _, here in answers))
    """) == "True\n67\n"  # fmt: skip


def test_what_cannot_travel_is_made_here() -> None:
    assert told("""
        print([made() for made in cores.of_each(lambda n: lambda: n, MANY)] == list(MANY))
    """) == "True\n"  # fmt: skip


def test_what_is_raised_is_raised_here_and_once() -> None:
    assert told("""
        def ask(n):
            if n == 98:
                raise ValueError(f"{n} is wrong")
        try:
            cores.of_each(ask, MANY)
        except ValueError as error:
            print(error)
    """) == "98 is wrong\n"  # fmt: skip


def test_where_no_process_is_to_be_had_all_is_done_here() -> None:
    assert told("""
        def none_left():
            raise BlockingIOError(11, "Resource temporarily unavailable")
        os.fork = none_left
        print(set(cores.of_each(lambda n: os.getpid(), MANY)) == {HERE})
        print(len(os.listdir("/proc/self/fd")) < 10)
    """) == "True\nTrue\n"  # fmt: skip


def test_no_copy_outlives_what_it_was_made_for() -> None:
    assert told("""
        import time
        def ask(n):
            if os.getpid() != HERE:
                time.sleep(600)
            elif n > 50:
                raise KeyboardInterrupt
        try:
            cores.of_each(ask, MANY)
        except KeyboardInterrupt:
            print("interrupted")
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            print("nobody left")
    """) == "interrupted\nnobody left\n"  # fmt: skip


def test_what_was_to_be_printed_is_printed_once() -> None:
    assert told("""
        sys.stdout.write("once\\n")
        cores.of_each(str, MANY)
    """) == "once\n"  # fmt: skip


def ran(cores: int, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = (
        "import atexit, os, sys; real, made = os.fork, []; "
        "os.fork = lambda: (made.append(1), real())[1]; "
        "atexit.register(lambda: sys.stderr.write(f'{len(made)} copies')); "
        f"from modelctl import cores; cores._cores, cores.WORTH_A_COPY = lambda: {cores}, 24; "
        f"from modelctl.cli import main; main({list(words)})"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Specs of every shape, and some of them wrong: in form, by a rule, and both."""
    folder = varied(tmp_path_factory.mktemp("cores") / "specs-of-a-team", 120)
    for number, wrong in {7: "contxt: 1\n", 40: "gpu: T5\n", 41: "labels: [\n"}.items():
        spec = folder / "specs" / f"app-{number:03}.yaml"
        spec.write_text(spec.read_text(encoding="utf-8") + wrong, encoding="utf-8")
    return folder


def test_what_is_wrong_with_many_specs_is_the_same_on_one_core_and_on_several(many: Path) -> None:
    said: list[dict[str, Any]] = []
    for cores in (1, 4):
        done = ran(cores, many, "validate", "--output", "json")
        assert done.returncode == 1, done.stderr
        assert done.stderr.endswith(f"{2 * (cores - 1)} copies")  # of reading, and of checking
        said.append(json.loads(done.stdout))
    assert said[0] == said[1]
    files = {d["file"] for d in said[0]["diagnostics"] if d["severity"] == "error"}
    assert files == {f"specs/app-{n:03}.yaml" for n in (7, 40, 41)}


def test_what_is_rendered_of_many_specs_is_the_same_on_one_core_and_on_several(
    tmp_path: Path,
) -> None:
    folder = varied(tmp_path / "specs-of-a-team", 60)
    one, several = (ran(cores, folder, "render", "--env", "staging") for cores in (1, 4))
    assert one.returncode == several.returncode == 0, one.stderr
    assert (one.stderr, several.stderr) == ("0 copies", "2 copies")
    assert one.stdout.count("import modal\n") == 60
    assert one.stdout == several.stdout
