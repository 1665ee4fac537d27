"""Modal's own CLI, unchanged: every command of the table in docs/local-control-plane.md works."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.local.conftest import Client, sdk_environment, until

PAGE = Path(__file__).parents[2] / "docs" / "local-control-plane.md"
NAMES = {
    "APP": "matrix",
    "SERVER": "matrix/Server",
    "FUNCTION": "matrix/double",
    "VOLUME": "matrix-volume",
    "SECRET": "matrix-secret",
    "DICT": "matrix-dict",
    "QUEUE": "matrix-queue",
    "ENVIRONMENT": "matrix-env",
}


FUNCTION = """

@app.function()
def double(x: int) -> int:
    print("doubling", x, flush=True)
    return 2 * x
"""


@dataclass
class World:
    """A plane, an app on it, and the CLI."""

    client: Client
    worker: "subprocess.Popen[str]"
    app: Path
    names: dict[str, str] = field(default_factory=lambda: dict(NAMES))

    def modal(self, *arguments: str) -> tuple[int, str]:
        assert self.worker.stdin is not None and self.worker.stdout is not None
        self.worker.stdin.write(json.dumps(arguments) + "\n")
        self.worker.stdin.flush()
        code, output = json.loads(self.worker.stdout.readline())
        return int(code), str(output)

    def written(self, command: str) -> list[str]:
        """The words of a command of the table, with its capitals replaced."""
        words = command.removeprefix("modal ").split()
        return [self._filled(word) for word in words]

    def _filled(self, word: str) -> str:
        return re.sub(r"[A-Z][A-Z_]+", lambda found: self._name(found[0]), word)

    def _name(self, capitals: str) -> str:
        if capitals == "CONTAINER":
            return until(lambda: self.client.containers("matrix"))[-1]
        return self.names[capitals]


@pytest.fixture(scope="module")
def world(client: Client) -> Iterator[World]:
    app = client.write("matrix", "min_containers=1, unauthenticated=True")
    app.write_text(app.read_text() + FUNCTION)
    (client.folder / "note.txt").write_text("a note\n")
    (client.folder / "local").mkdir()
    with subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("cli_worker.py"))],
        env=sdk_environment(client.plane),
        cwd=client.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as worker:
        world = World(client, worker, app)
        world.names |= {"FILE": str(app), "LOCAL": "note.txt", "REMOTE": "folder/note.txt"}
        yield world
        assert worker.stdin is not None
        worker.stdin.close()


Check = Callable[[str], object]


def says(*words: str) -> Check:
    """The output holds each of these, as regular expressions."""

    def check(output: str) -> None:
        for word in words:
            assert re.search(word, output, re.MULTILINE), f"no {word!r} in:\n{output}"

    return check


def holds(check: Callable[[Any], object]) -> Check:
    """The output is JSON, and the check is true of it."""

    def parse(output: str) -> None:
        data = json.loads(output)
        assert check(data), json.dumps(data, indent=1)

    return parse


def any_row(**wanted: str) -> Check:
    """The output is a JSON list, one row of which has these values, as regular expressions."""

    def found(rows: list[dict[str, Any]]) -> bool:
        return any(
            all(re.search(value, str(row.get(key))) for key, value in wanted.items())
            for row in rows
        )

    return holds(found)


def silent(output: str) -> None:
    """Nothing is said where all is well."""
    assert "rror" not in output


# In the order of the page, which is one story: what is made above is used below, and then removed.
MATRIX: dict[str, Check] = {
    "modal deploy FILE": says("Created Server Server", "Created Function double", "App deployed"),
    "modal deploy FILE --tag first": says("App deployed"),
    "modal deploy FILE --tag second --strategy recreate": says("App deployed"),
    "modal app list --json": any_row(description="^matrix$", state="^deployed$"),
    "modal app info APP --json": holds(
        lambda info: info["lifecycle"]["version"] == 3 and list(info["servers"]) == ["Server"]
    ),
    "modal app history APP --json": any_row(version="^v2$", tag="^first$", client=r"^1\.6\."),
    "modal app rollback APP": says("rollback successful"),
    "modal app rollback APP v1 --strategy recreate": says("rollback successful"),
    "modal app rollover APP": says("Rollover completed .* with rolling strategy"),
    "modal app rollover APP --strategy recreate": says("Rollover completed .* recreate strategy"),
    "modal run FILE::double --x 21": says("doubling 21", "App completed"),
    "modal app logs APP": says("exit hook ran"),
    "modal app logs APP --tail 5 --timestamps --show-function-id --show-container-id": says(
        r"^\d{4}-\d\d-\d\d .*fu-\w{22} ta-\w{22} "
    ),
    "modal app logs APP --since 1h --source stdout --search ran": says("^exit hook ran"),
    "modal app stats APP --json": holds(lambda stats: stats["app_id"].startswith("ap-")),
    "modal server info SERVER --json": holds(
        lambda info: info["server_url"].startswith("http://127.0.0.1:") and info["unauthenticated"]
    ),
    "modal server logs SERVER --since 1h": says("exit hook ran"),
    "modal server stats SERVER --json": holds(
        lambda stats: stats["request_count"] >= 3 and stats["container_started_count"] >= 3
    ),
    "modal server requests SERVER --json": any_row(route="^GET /who$", status="^200$"),
    "modal server metrics SERVER --json": holds(lambda metrics: metrics),
    "modal server autoscaler settings SERVER --json": holds(
        lambda found: found["current_settings"]["min_containers"] == 1
    ),
    "modal server autoscaler update SERVER --max-containers 3": says("Updated autoscaler settings"),
    "modal function info FUNCTION --json": holds(lambda info: info["name"] == "double"),
    "modal function logs FUNCTION": says("^doubling 2"),
    "modal function stats FUNCTION --json": holds(lambda stats: stats),
    "modal function calls FUNCTION --json": holds(lambda rows: len(rows) == 1),
    "modal function metrics FUNCTION --json": holds(lambda metrics: metrics),
    "modal function autoscaler settings FUNCTION --json": holds(
        lambda found: "min_containers" in found["current_settings"]
    ),
    "modal function autoscaler update FUNCTION --max-containers 2": says("Updated autoscaler"),
    "modal container list --json": any_row(app_name="^matrix$", container_id="^ta-"),
    "modal container logs CONTAINER": silent,
    "modal container stop CONTAINER --yes": silent,
    "modal volume create VOLUME": says("Created Volume 'matrix-volume' in environment 'main'"),
    "modal volume list --json": any_row(name="^matrix-volume$"),
    "modal volume put VOLUME LOCAL REMOTE": says("Uploaded file 'note.txt' to 'folder/note.txt'"),
    "modal volume put VOLUME LOCAL REMOTE --force": says("Uploaded file"),
    "modal volume ls VOLUME folder --json": any_row(filename="^folder/note.txt$", size="^7$"),
    "modal volume get VOLUME REMOTE local/note.txt": says("Finished downloading"),
    "modal volume cp VOLUME REMOTE copy.txt": silent,
    "modal volume rm VOLUME copy.txt": says("copy.txt was deleted"),
    "modal volume rename VOLUME VOLUME-2 --yes": silent,
    "modal volume delete VOLUME-2 --yes": silent,
    "modal secret create SECRET token=value": says("Created a new secret 'matrix-secret'"),
    "modal secret create SECRET token=other --force": says("secret 'matrix-secret'"),
    "modal secret list --json": any_row(name="^matrix-secret$"),
    "modal secret delete SECRET --yes": silent,
    "modal dict create DICT": silent,
    "modal dict list --json": any_row(name="^matrix-dict$"),
    "modal dict items DICT --json": holds(lambda rows: rows == [{"key": "k", "value": "v"}]),
    "modal dict get DICT k": says("^v$"),
    "modal dict clear DICT --yes": silent,
    "modal dict delete DICT --yes": silent,
    "modal queue create QUEUE": silent,
    "modal queue list --json": any_row(name="^matrix-queue$"),
    "modal queue len QUEUE": says("^0$"),
    "modal queue peek QUEUE": silent,
    "modal queue clear QUEUE --yes": silent,
    "modal queue delete QUEUE --yes": silent,
    "modal environment create ENVIRONMENT": says("Environment created: matrix-env"),
    "modal environment list --json": any_row(name="^matrix-env$"),
    "modal environment update ENVIRONMENT --set-web-suffix mx": silent,
    "modal environment roles list ENVIRONMENT --json": silent,
    "modal environment billing summary ENVIRONMENT --json": silent,
    "modal environment billing report ENVIRONMENT --for today --json": silent,
    "modal environment delete ENVIRONMENT --yes": silent,
    "modal billing rates --json": holds(lambda rates: rates),
    "modal billing report --for today --resolution h --json": silent,
    "modal billing summary --json": silent,
    "modal workspace members list --json": holds(lambda rows: rows),
    "modal workspace settings list --json": holds(lambda settings: settings),
    "modal workspace proxy-tokens create --name matrix --json": holds(lambda token: token),
    "modal workspace proxy-tokens list --json": holds(lambda rows: rows),
    "modal token info": says("local"),
    "modal config show": says("server_url"),
    "modal profile current": silent,
    "modal profile list --json": silent,
    "modal image names list --json": silent,
    "modal app stop APP --yes": silent,
}


def answer(world: World) -> None:
    """The server is up and answers."""
    world.client.ready(world.client.url("matrix"))


def ask_thrice_and_call(world: World) -> None:
    """Three requests to the server and one call of the function."""
    url = world.client.url("matrix")
    world.client.ready(url)
    for _ in range(2):
        assert world.client.get(f"{url}/who").status == 200
    asked = world.client.sdk("result = modal.Function.from_name('matrix', 'double').remote(2)")
    assert asked == 4


def keep_a_value(world: World) -> None:
    world.client.sdk("modal.Dict.from_name('matrix-dict')['k'] = 'v'")


BEFORE: dict[str, Callable[[World], None]] = {
    "modal app rollback APP": answer,
    "modal app rollover APP": answer,
    "modal app logs APP": ask_thrice_and_call,
    "modal dict items DICT --json": keep_a_value,
}
"""What else happens in the story, just before a command."""


def test_the_page_lists_exactly_these_commands() -> None:
    listed = re.findall(r"^\| `(modal [^`]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == list(MATRIX)


@pytest.mark.parametrize("command", list(MATRIX))
def test_a_command_of_the_page_works(command: str, world: World) -> None:
    if command in BEFORE:
        BEFORE[command](world)
    code, output = world.modal(*world.written(command))
    assert code == 0, output
    MATRIX[command](output)
