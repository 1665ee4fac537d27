"""Containers whose start goes wrong end all the same, and leave nothing that is in others' way."""

import asyncio
import os
import shutil
import socket
import tempfile
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from modal_proto import api_pb2

from modelctl.local import leftovers
from modelctl.local.keeping.records import Definition, Function
from modelctl.local.running.containers import Container, Means, Phase
from modelctl.local.running.launch import remove_tree
from tests.local.conftest import Client, until


@pytest.mark.full
def test_containers_start_again_after_their_sockets_folder_was_cleaned_up(
    own_client: Client,
) -> None:
    mark = leftovers.mark(own_client.folder.parent / "state")
    sockets = Path(tempfile.gettempdir()) / f"modelctl-{mark}"
    shutil.rmtree(sockets)
    sockets.write_text("in the way")
    url = own_client.deploy("cleaned", "min_containers=1,")
    until(lambda: "could not be started" in own_client.logs("cleaned"))
    sockets.unlink()
    own_client.ready(url)
    assert sockets.stat().st_mode & 0o777 == 0o700


def test_a_stranger_on_the_declared_port_is_not_taken_for_the_engine(client: Client) -> None:
    with closing(socket.socket()) as stranger:
        stranger.bind(("127.0.0.1", 0))
        port = stranger.getsockname()[1]
        before = "import time; print('engine loads', flush=True); time.sleep(1.5)"
        url = client.deploy("strange", f"port={port}, min_containers=1,", before=before)
        until(lambda: "engine loads" in client.logs("strange"))
        stranger.listen()
        client.ready(url)
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.accept()


class SlowLauncher:
    """Lays out for as long as it is let."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.did: list[str] = []

    def lay_out(self, *_: Any) -> None:
        self.begun.set()
        self.go_on.wait(10)
        self.did.append("laid out")

    def remove(self, task_id: str) -> None:
        self.did.append(f"removed {task_id}")


def container_of(means: Any) -> Container:
    data = api_pb2.FunctionData(is_server=True)
    data.ranked_functions.add()
    function, definition = MagicMock(spec=Function), MagicMock(spec=Definition)
    function.app_id, function.id, function.epoch, definition.id = "ap-1", "fu-1", 0, "de-1"
    return Container(means, function, definition, data, {}, means.changed)


def means_in(folder: Path, launcher: SlowLauncher) -> Any:
    seen: list[Phase] = []
    means = MagicMock(spec=Means)
    means.configure_mock(
        launcher=launcher,
        journal=SimpleNamespace(speakers=Counter(), write=lambda *_: None),
        router=lambda _: SimpleNamespace(__mapping__=dict),
        sockets=folder,
        declared=Counter(),
        clock=MagicMock(),
        placement=MagicMock(),
        ledger=MagicMock(),
        changed=lambda container: seen.append(container.phase),
        seen=seen,
    )
    means.placement.try_now.return_value = ""
    return means


def test_what_is_being_laid_out_is_removed_when_its_container_is_stopped(tmp_path: Path) -> None:
    launcher = SlowLauncher()

    async def stop_early() -> Container:
        container = container_of(means_in(tmp_path, launcher))
        await asyncio.to_thread(launcher.begun.wait, 10)
        container.stop()
        await asyncio.sleep(0.1)
        ending = asyncio.create_task(container.end(5.0))  # and the plane ends, too
        await asyncio.sleep(0.1)
        launcher.go_on.set()
        await ending
        return container

    container = asyncio.run(stop_early())
    assert launcher.did == ["laid out", f"removed {container.id}"]
    assert container.phase is Phase.DEAD


def test_a_container_is_over_even_if_that_cannot_be_written_down(tmp_path: Path) -> None:
    async def fill_the_disk() -> Any:
        means = means_in(tmp_path / "no folder", SlowLauncher())
        means.sockets.write_text("in the way")
        container_of(means)
        means.ledger.note.side_effect = OSError("no space left on device")
        while Phase.DEAD not in means.seen:
            await asyncio.sleep(0.01)
        return means

    means = asyncio.run(asyncio.wait_for(fill_the_disk(), 10))
    assert means.journal.speakers["ap-1"] == 0


def test_folders_that_nobody_may_write_to_are_removed() -> None:
    with tempfile.TemporaryDirectory() as folder:
        user = os.geteuid()
        os.chown(folder, user or 65534, -1)
        os.seteuid(user or 65534)  # who may do all needs no test
        try:
            locked = Path(folder, "containers", "modules", "pkg")
            locked.mkdir(parents=True)
            (locked / "file").write_text("a module")
            for one in (locked, locked.parent):
                one.chmod(0o555)
            remove_tree(Path(folder, "containers"))
            assert not Path(folder, "containers").exists()
        finally:
            os.seteuid(user)
