"""A plane starts once, is found, ends, and leaves nothing behind, however it ends."""

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from modelctl.local import lifecycle, plane
from tests.local.conftest import Client, client_in, until


def _processes_of(client: Client) -> list[str]:
    """Command lines of the plane, its containers, and all that these started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if int(process.name) in (os.getpid(), client.worker.pid):
            continue
        if str(client.plane.state_dir).encode() in text:
            found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def test_up_is_idempotent_even_when_called_twice_at_once(tmp_path: Path) -> None:
    state = tmp_path / "state"
    planes: list[lifecycle.Plane] = []
    try:
        threads = [
            threading.Thread(target=lambda: planes.append(lifecycle.up(state))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({plane.pid for plane in planes}) == 1
        assert lifecycle.status(state) == planes[0]
    finally:
        assert lifecycle.down(state)
    assert not lifecycle.down(state)
    assert lifecycle.status(state) is None
    # The port and the token are the same when it comes back.
    again = lifecycle.up(state)
    lifecycle.down(state)
    assert (again.url, again.token_secret) == (planes[0].url, planes[0].token_secret)


def test_no_plane_is_found_where_none_ran(tmp_path: Path) -> None:
    assert lifecycle.status(tmp_path / "nothing") is None
    assert not lifecycle.down(tmp_path / "nothing")


def test_what_it_writes_is_private(client: Client) -> None:
    state = client.plane.state_dir
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "plane.json").stat().st_mode) == 0o600


def test_status_is_fast_and_what_other_code_uses_is_light(client: Client) -> None:
    began = time.perf_counter()
    assert lifecycle.status(client.plane.state_dir) is not None
    assert time.perf_counter() - began < 0.5
    used = ("lifecycle", "faults", "inventory", "engines", "tested")
    imports = ", ".join(f"modelctl.local.{name}" for name in used)
    assert not _heavy(f"import {imports}")


@pytest.mark.parametrize(
    "command", ["--help", "status", "gpus", "gpus H100", "fault add cut --method=Nothing --times=1"]
)
def test_a_command_line_is_light(client: Client, command: str) -> None:
    said = ["modelctl", "local", *command.split()]
    run = (
        f"try: main()\nexcept SystemExit as ended: assert ended.code == {64 * ('H100' in command)}"
    )
    assert not _heavy(
        f"import sys; from modelctl.cli import main; sys.argv = {said!r}\n{run}",
        MODELCTL_LOCAL_DIR=str(client.plane.state_dir),
    )


def _heavy(code: str, **variables: str) -> set[str]:
    """Which heavy packages the code imports."""
    listed = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(lifecycle.__file__).parents[2])} | variables,
    ).stdout.split()
    assert "modelctl" in listed
    return {"modal", "modal_proto", "grpclib", "aiohttp", "google"} & set(listed)


def test_a_plane_starts_while_somebody_asks_for_its_status(tmp_path: Path) -> None:
    asked = os.open(tmp_path / "plane.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(asked, fcntl.LOCK_SH)
    released = threading.Timer(0.1, os.close, [asked])
    released.start()
    held = plane.hold_lock(tmp_path)
    released.join()
    assert held is not None
    os.close(held)


def test_an_answer_is_not_kept_back(client: Client) -> None:
    """A kernel that gathers small packets adds 40 ms to each call, and a deployment has forty."""
    median = client.sdk(
        """
        import statistics, time
        def taken():
            began = time.monotonic()
            modal.Volume.from_name("at-once", create_if_missing=True).hydrate()
            return time.monotonic() - began
        result = statistics.median(taken() for _ in range(25))
        """
    )
    assert median < 0.03


def test_a_long_state_directory_works(tmp_path: Path) -> None:
    state = tmp_path / ("long" * 30) / ("longer" * 20)
    with client_in(tmp_path, state) as client:
        client.ready(client.deploy("far", "min_containers=1"))


def test_a_failed_start_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(lifecycle.LocalError, match="Choose another directory"):
        lifecycle.up(tmp_path / "file" / "state")
    (tmp_path / "state" / "state.db").mkdir(parents=True)
    with pytest.raises(lifecycle.LocalError, match=r"(?s)did not start .*unable to open database"):
        lifecycle.up(tmp_path / "state")


def test_a_wrong_token_is_refused(client: Client) -> None:
    sentence = client.sdk_alone(
        """
        try:
            modal.Secret.from_name("any").hydrate()
        except modal.exception.AuthError as error:
            result = str(error)
        """,
        MODAL_TOKEN_SECRET="as-wrong",
    )
    assert sentence.startswith("The token is not the local control plane's.")


def test_the_call_log_needs_the_token(client: Client) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"{client.plane.admin_url}/calls")
    bearer = {"Authorization": f"Bearer {client.plane.token_secret}"}
    request = urllib.request.Request(f"{client.plane.admin_url}/calls", headers=bearer)
    with urllib.request.urlopen(request) as response:
        assert "calls" in json.load(response)


@pytest.mark.parametrize(("verb", "path"), [("GET", "calls"), ("PUT", "workspaces/w")])
def test_a_malformed_token_is_refused_as_a_wrong_one_is(
    client: Client, verb: str, path: str
) -> None:
    request = urllib.request.Request(
        f"{client.plane.admin_url}/{path}", method=verb, headers={"x-modal-token-secret": "\xff"}
    )
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(request)


def test_an_upload_address_with_a_malformed_key_is_refused(client: Client) -> None:
    request = urllib.request.Request(
        f"{client.plane.admin_url}/blobs/bl-x?key=%C3%BF", method="PUT", data=b""
    )
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(request)


def test_capabilities_say_what_this_machine_can_run(client: Client) -> None:
    with urllib.request.urlopen(f"{client.plane.admin_url}/capabilities") as response:
        capabilities = json.load(response)
    assert capabilities["engines"] == dict(client.plane.engines)
    assert set(capabilities["engines"]) == {"llama-server", "vllm", "llama-cpp-python"}
    assert capabilities["sdk"]


def test_kill_leaves_nothing_and_a_restart_brings_everything_back(own_client: Client) -> None:
    url = own_client.deploy("lasting", "min_containers=1", tags={"a": "b"})
    before = own_client.ready(url)
    assert len(_processes_of(own_client)) >= 3
    os.kill(own_client.plane.pid, signal.SIGKILL)
    until(lambda: not _processes_of(own_client), 5)
    assert lifecycle.status(own_client.plane.state_dir) is None

    again = lifecycle.up(own_client.plane.state_dir)
    assert again.url == own_client.plane.url
    assert again.pid != own_client.plane.pid
    assert own_client.ready(url)["pid"] != before["pid"]
    assert own_client.sdk("result = modal.App.lookup('lasting').get_tags()") == {"a": "b"}

    assert lifecycle.down(own_client.plane.state_dir)
    assert not _processes_of(own_client)


def test_down_ends_a_container_that_does_not_want_to(own_client: Client) -> None:
    deaf = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); import time; time.sleep(60)"
    )
    own_client.deploy("deaf", "min_containers=1", before=deaf)
    until(lambda: len(_processes_of(own_client)) >= 3)
    began = time.monotonic()
    assert lifecycle.down(own_client.plane.state_dir, timeout=1.5)
    assert time.monotonic() - began < 4
    until(lambda: not _processes_of(own_client), 5)
