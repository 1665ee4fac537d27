"""An app that is run and not deployed lives as long as its client does."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from modal_proto import api_pb2

from modelctl.local import lifecycle
from tests.local.conftest import Client, until

RUN = """
import os, subprocess, sys, time
import modal

app = modal.App("NAME")

@app.function()
def work(n: int = 1):
    print("working on", n, flush=True)
    if n < 0:
        raise ValueError("less than nothing")
    return n + 1

@app.function()
def late(path: str):
    time.sleep(1)
    open(path, "w").write("done")

@app.server(unauthenticated=True, min_containers=1)
class Server:
    @modal.enter()
    def start(self):
        port = os.environ.get("MODELCTL_PORT", "8000")
        command = [sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1"]
        self.engine = subprocess.Popen(command)
        open("STARTED", "w").close()

    @modal.exit()
    def stop(self):
        self.engine.terminate()
        print("exit hook ran", flush=True)

@app.local_entrypoint()
def main(n: int = 1, path: str = ""):
    if path:
        late.spawn(path)
    else:
        while not os.path.exists("STARTED"):  # only then is there something to exit
            time.sleep(0.05)
        print("result", work.remote(n))
"""
BROKEN = """
import modal
app = modal.App("broken")

@app.function()
def work():
    pass

if not modal.is_local():
    raise ImportError("nothing here works")
"""


def write(client: Client, name: str) -> Path:
    path = client.folder / f"{name}.py"
    started = str(client.folder / f"{name}.started")
    path.write_text(RUN.replace("NAME", name).replace("STARTED", started))
    return path


def state_of(client: Client, name: str) -> int:
    apps = client.rpc("AppList", api_pb2.AppListRequest(environment_name="main")).apps
    return next((app.state for app in reversed(apps) if app.description == name), -1)


@pytest.mark.full
def test_modal_run_shows_the_logs_and_the_result(client: Client) -> None:
    path = write(client, "entrypoint")
    shown = client.modal("run", f"{path}::main", "--n", "41")
    assert "working on 41" in shown
    assert "result 42" in shown
    assert "exit hook ran" in shown
    assert "App completed." in shown
    assert state_of(client, "entrypoint") == api_pb2.APP_STATE_STOPPED
    assert not client.containers("entrypoint")


@pytest.mark.full
def test_modal_run_calls_a_function_by_its_name(client: Client) -> None:
    path = write(client, "by-name")
    assert "working on 7" in client.modal("run", f"{path}::work", "--n", "7")


@pytest.mark.full
def test_a_failure_is_shown_and_ends_the_run(client: Client) -> None:
    path = write(client, "failing")
    done = subprocess.run(
        [sys.executable, "-m", "modal", "run", f"{path}::work", "--n", "-1"],
        env=client.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "less than nothing" in done.stdout + done.stderr
    assert state_of(client, "failing") == api_pb2.APP_STATE_STOPPED


def test_app_run_serves_functions_and_servers(client: Client) -> None:
    path = write(client, "with-run")
    answer, url, deployed = client.sdk(
        f"""
        import time, urllib.request
        module = load({str(path)!r})
        with module.app.run():
            url = module.Server.get_url()
            for _ in range(500):
                try:
                    status = urllib.request.urlopen(url).status
                    break
                except OSError:
                    time.sleep(0.02)
            try:
                modal.Function.from_name("with-run", "work").hydrate()
                deployed = True
            except modal.exception.NotFoundError:
                deployed = False
            result = [[module.work.remote(1), status], url, deployed]
        """
    )
    assert answer == [2, 200]
    assert not deployed
    assert client.get(url, {}).status == 404
    until(lambda: not client.containers("with-run"))


@pytest.mark.full
def test_a_run_beside_the_deployed_app_has_a_url_of_its_own(client: Client) -> None:
    path = write(client, "beside")
    deployed, run = client.sdk(
        f"""
        module = load({str(path)!r})
        module.app.deploy()
        deployed = modal.Server.from_name("beside", "Server").get_url()
        with load({str(path)!r}).app.run():
            run = sys.modules["beside"].Server.get_url()
        result = [deployed, run]
        """.replace("module = load", "import sys\n        module = load", 1)
    )
    assert deployed != run
    until(lambda: client.get(deployed, {}).status == 200)


@pytest.mark.full
def test_what_cannot_be_imported_fails_the_call(client: Client) -> None:
    path = client.folder / "broken.py"
    path.write_text(BROKEN)
    kind, sentence = client.sdk(
        f"""
        module = load({str(path)!r})
        with module.app.run():
            try:
                module.work.remote()
            except Exception as error:
                result = [type(error).__name__, str(error)]
        """
    )
    assert (kind, sentence) == ("ImportError", "nothing here works")


@pytest.mark.full
def test_a_detached_run_finishes_what_it_has_begun(client: Client, tmp_path: Path) -> None:
    path, mark = write(client, "detached"), tmp_path / "mark"
    client.modal("run", "--detach", f"{path}::main", "--path", str(mark))
    until(lambda: mark.exists() and mark.read_text() == "done")
    until(lambda: state_of(client, "detached") == api_pb2.APP_STATE_STOPPED)


def test_an_app_ends_when_its_client_is_not_heard_of_any_more(own_client: Client) -> None:
    path = write(own_client, "silent")
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import runpy\nm = runpy.run_path({str(path)!r})\n"
            "import time\nwith m['app'].run():\n    time.sleep(60)",
        ],
        env=own_client.environment,
    ) as runner:
        until(lambda: own_client.containers("silent"))
        # A plane that was killed has the app again: its client is still there.
        os.kill(own_client.plane.pid, signal.SIGKILL)
        lifecycle.up(own_client.plane.state_dir)
        until(lambda: own_client.containers("silent"))
        runner.kill()
        assert state_of(own_client, "silent") == api_pb2.APP_STATE_EPHEMERAL
        lifecycle.advance(lifecycle.up(own_client.plane.state_dir), 61)
        until(lambda: state_of(own_client, "silent") == api_pb2.APP_STATE_STOPPED)
        until(lambda: not own_client.containers("silent"))
