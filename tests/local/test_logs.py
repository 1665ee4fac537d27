"""Logs come whole, in order, and from whatever the client asks for, however much there is."""

import datetime
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modal_proto import api_pb2

from modelctl.local import lifecycle
from modelctl.local.keeping import journal as journal_module
from modelctl.local.keeping.journal import LONGEST, STDOUT, Journal, Lines
from modelctl.local.keeping.store import Store
from tests.local.conftest import Client, until

pytestmark = pytest.mark.full

# -- entries out of bytes


def entries(data: bytes, *cuts: int) -> list[str]:
    lines, found, start = Lines(), [], 0
    for cut in [*sorted(cuts), len(data)]:
        found += lines.feed(data[start:cut])
        start = max(start, cut)
    return found + lines.rest()


@given(st.binary(max_size=200) | st.text(max_size=60).map(str.encode), st.data())
def test_it_does_not_matter_how_the_output_is_cut_on_its_way(
    data: bytes, draw: st.DataObject
) -> None:
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=6))
    assert entries(data, *cuts) == entries(data)


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))))
def test_every_line_is_an_entry(lines: list[str]) -> None:
    data = "".join(f"{line}\n" for line in lines).encode()
    assert entries(data) == [f"{line}\n" for line in lines]


def test_a_last_line_without_an_end_is_not_lost() -> None:
    assert entries(b"one\r\ntwo") == ["one\n", "two\n"]


def test_garbage_shows_as_replacement_characters() -> None:
    assert entries(b"a\xff\x00b\n") == ["a\ufffd\x00b\n"]


def test_a_very_long_line_becomes_entries_of_which_only_the_last_ends_it() -> None:
    data = "é".encode() * (2 * LONGEST + 5) + b"\nnext\n"
    found = entries(data, *range(0, len(data), 4097))
    assert [len(entry) for entry in found] == [LONGEST, LONGEST, 6, 5]
    assert "".join(found).encode() == data


# -- what is kept


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "state.db")
    yield store
    store.close()


def kept(store: Store) -> list[int]:
    return [row[0] for row in store.execute("SELECT id FROM logs ORDER BY id")]


def test_the_oldest_lines_go_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "KEEP", 50)
    monkeypatch.setattr(journal_module, "_BLOCK", 10)
    journal = Journal(store)
    for _ in range(100):
        journal.write_all("ap", "fu", "ta", STDOUT, ["x\n"] * 2)
    assert 40 <= len(kept(store)) <= 60
    assert kept(store)[-1] == journal.last == 200
    again = Journal(store)  # after a restart, what was there counts
    for _ in range(100):
        again.write("ap", "fu", "ta", STDOUT, "x\n")
    assert 40 <= len(kept(store)) <= 60
    assert kept(store)[-1] == 300


def test_long_lines_push_out_more(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "KEEP_LENGTH", 10_000)
    monkeypatch.setattr(journal_module, "_BLOCK_LENGTH", 1_000)
    journal = Journal(store)
    for _ in range(100):
        journal.write("ap", "fu", "ta", STDOUT, "x" * 1_000)
    assert 8 <= len(kept(store)) <= 11


def test_no_two_lines_have_the_same_time_even_if_the_clock_stands(store: Store) -> None:
    journal = Journal(store, lambda: 1e9)
    journal.write_all("ap", "fu", "ta", STDOUT, ["a", "b", "c"])
    again = Journal(store, lambda: 1e9 - 60)
    again.write("ap", "fu", "ta", STDOUT, "d")
    rows = store.execute("SELECT data FROM logs ORDER BY ns").fetchall()
    assert [row[0] for row in rows] == ["a", "b", "c", "d"]
    assert store.execute("SELECT count(DISTINCT ns) FROM logs").fetchone()[0] == 4


# -- through the SDK and the CLI

APP = "talking"


@pytest.fixture(scope="module")
def url(client: Client) -> str:
    url = client.deploy(APP, "min_containers=1, unauthenticated=True")
    client.ready(url)
    client.get(url + "/say/first")
    client.get(url + "/say/second")
    until(lambda: "complained second" in client.logs(APP))
    return url


def test_filters_of_the_cli(client: Client, url: str) -> None:
    def shown(*arguments: str) -> list[str]:
        return client.modal("app", "logs", APP, *arguments).splitlines()

    assert set(shown("--search", "second")) == {"said second", "complained second"}
    assert shown("--search", "second", "--source", "stdout") == ["said second"]
    assert shown("--source", "stdout", "--tail", "1") == ["said second"]
    assert "said first" in shown("--since", "10m", "--source", "stdout")
    assert shown("--until", "1h", "--since", "2h") == []
    stamped = shown("--search", "said second", "--timestamps")
    assert stamped[0].startswith(f"{datetime.datetime.now(datetime.UTC).astimezone():%Y-%m-%d}")


def test_logs_of_a_server(client: Client, url: str) -> None:
    assert "said second" in client.modal("server", "logs", f"{APP}/Server")
    assert client.sdk(
        f"""
        server = modal.Server.from_name({APP!r}, "Server")
        result = [entry.message for entry in server.logs.tail(500) if "second" in entry.message]
        """
    )


def test_logs_of_a_container(client: Client, url: str) -> None:
    (task,) = client.containers(APP)
    assert "said second" in client.modal("container", "logs", task)
    assert "said second" in client.modal("container", "logs", task, "--all")
    assert "said second" not in client.modal(
        "container", "logs", task, "--until", "1h", "--since", "2h"
    )


def test_nothing_named_is_refused(client: Client) -> None:
    with pytest.raises(Exception, match="Logs are asked for by an app, a function or a container"):
        client.rpc("AppFetchLogs", api_pb2.AppFetchLogsRequest(limit=1))
    with pytest.raises(Exception, match="Container 'ta-nothing' not found"):
        client.rpc("AppFetchLogs", api_pb2.AppFetchLogsRequest(task_id="ta-nothing"))


@contextmanager
def speaking(client: Client, url: str) -> Iterator[None]:
    """The server says something again and again: a stream begins with what comes after it."""
    enough = threading.Event()

    def speak() -> None:
        while not enough.wait(0.05):
            client.get(url + "/say/again")

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        yield
    finally:
        enough.set()
        speaker.join()


@contextmanager
def following(client: Client, *command: str) -> Iterator[IO[str]]:
    follower = subprocess.Popen(
        [sys.executable, "-m", "modal", *command, "--follow"],
        env=client.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert follower.stdout is not None
        yield follower.stdout
    finally:
        follower.kill()
        follower.communicate()


def test_following_a_container_ends_with_it(client: Client) -> None:
    url = client.deploy("short-lived", "unauthenticated=True")
    client.ready(url)
    (task,) = client.containers("short-lived")
    with following(client, "container", "logs", task) as lines:
        with speaking(client, url):
            assert any("said again" in line for line in lines)
        client.modal("container", "stop", task, "--yes")
        assert "exit hook ran" in lines.read()  # and the stream is at its end
    listed = json.loads(client.modal("container", "list", "--json"))
    assert task not in [row["container_id"] for row in listed]
    assert "exit hook ran" in client.modal("container", "logs", task)
    with pytest.raises(AssertionError, match=f"Container '{task}' is already stopped"):
        client.modal("container", "stop", task, "--yes")


@pytest.mark.full
def test_following_with_filters(client: Client, url: str) -> None:
    arguments = ("app", "logs", APP, "--source", "stderr", "--search", "again")
    with following(client, *arguments) as lines, speaking(client, url):
        first = [next(lines) for _ in range(3)]
    assert {line.strip() for line in first if "again" in line} == {"complained again"}
    assert not [line for line in first if line.startswith("said")]


@pytest.mark.full
def test_a_stream_goes_on_where_it_was_after_the_plane_was_killed(own_client: Client) -> None:
    url = own_client.deploy("resumed", "min_containers=1, unauthenticated=True")
    own_client.ready(url)
    app_id = own_client.sdk("result = modal.App.lookup('resumed').app_id")

    def read(last_entry_id: str) -> list[tuple[str, str]]:
        """The entries after that one, each with its number."""
        request = api_pb2.AppGetLogsRequest(
            app_id=app_id, timeout=0.3, last_entry_id=last_entry_id, file_descriptor=STDOUT
        )
        batches = own_client.rpc("AppGetLogs", request)
        return [(batch.entry_id, item.data) for batch in batches for item in batch.items]

    own_client.get(url + "/say/before")
    seen = until(lambda: [at for at, data in read("0") if data == "said before\n"])[-1]
    os.kill(own_client.plane.pid, signal.SIGKILL)
    os.waitpid(own_client.plane.pid, 0)
    lifecycle.up(own_client.plane.state_dir)
    until(lambda: own_client.get(url + "/say/after", {}).status == 200)
    after = until(lambda: [data for _, data in read(seen) if data.startswith("said")])
    assert after[0] == "said after\n"
    assert "said before\n" in [data for _, data in read("0")]
    assert read("999999999") == []  # of another plane: nothing is repeated, nothing waited for


@pytest.mark.full
def test_a_flood_is_kept_whole_and_nobody_else_waits(client: Client) -> None:
    code = "print(''.join(f'line {n} of the flood\\n' for n in range(15_000)), end='', flush=True)"
    quiet = client.deploy("quiet", "min_containers=1, unauthenticated=True")
    client.ready(quiet)
    url = client.deploy("flooding", "unauthenticated=True", before=code)
    assert client.get(url + "/who", {}).status == 503
    slowest = 0.0
    while client.get(url + "/who", {}).status != 200:
        began = time.monotonic()
        assert client.get(quiet + "/who", {}).status == 200
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 3
    until(lambda: "line 14999 of the flood\n" in client.logs("flooding"))
    fetched = client.sdk(
        """
        import datetime
        since = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=10)
        logs = modal.App.lookup("flooding").logs
        result = [e.message for e in logs.fetch(since=since, search_text="of the flood")]
        """
    )
    assert fetched == [f"line {n} of the flood\n" for n in range(15_000)]


CALLED = """
import modal

app = modal.App("telling")

@app.function(serialized=True)
def tell(what):
    print("told", what)
    return what
"""


def test_logs_of_a_function_and_of_one_of_its_calls(client: Client) -> None:
    path = client.folder / "telling.py"
    path.write_text(CALLED)
    client.sdk(f"load({str(path)!r}).app.deploy()")
    first, second = client.sdk(
        """
        tell = modal.Function.from_name("telling", "tell")
        calls = [tell.spawn(what) for what in ("one", "two")]
        [call.get() for call in calls]
        result = [call.object_id for call in calls]
        """
    )
    until(lambda: "told two" in client.modal("function", "logs", "telling/tell"))
    for call, said in ((first, "told one"), (second, "told two")):
        shown = client.modal("function", "logs", "telling/tell", "--function-call", call)
        assert [line for line in shown.splitlines() if line.startswith("told")] == [said]


def test_what_is_said_after_the_clock_was_moved_is_found_by_its_time(own_client: Client) -> None:
    lifecycle.advance(own_client.plane, 3600.0)
    url = own_client.deploy("ahead", "min_containers=1, unauthenticated=True")
    own_client.ready(url)
    own_client.get(f"{url}/say/something")
    until(lambda: "said something" in own_client.modal("app", "logs", "ahead", "--since", "10m"))


def test_calls_after_the_clock_was_moved_are_found_by_their_time(own_client: Client) -> None:
    lifecycle.advance(own_client.plane, 3600.0)
    path = own_client.write("later")
    path.write_text(path.read_text() + "\n@app.function()\ndef f():\n    pass\n")
    own_client.sdk(f"load({str(path)!r}).app.deploy()")
    own_client.sdk("modal.Function.from_name('later', 'f').remote()")
    ask = ("function", "calls", "later/f", "--since", "10m", "--json")
    rows = until(lambda: json.loads(own_client.modal(*ask)))  # the CLI asks in whole seconds
    assert [row["status"] for row in rows] == ["success"]
