"""A deployed function is called as on Modal: results, failures, queues and limits."""

import json
import os
import random
import signal
import textwrap
import threading
import time
from pathlib import Path

import pytest

from modelctl.local import lifecycle
from tests.local.conftest import Client, until

FUNCTIONS = '''
import asyncio, os, sys, time
import modal

app = modal.App("NAME")

class Unlucky(Exception):
    pass

def note(path):
    with open(path, "a") as file:
        file.write(f"{os.getpid()} ")
    with open(path) as file:
        return len(file.read().split())

@app.function(min_containers=1, max_containers=2)
def do(what, *arguments):
    if what == "echo":
        print("echo", *map(str, arguments), flush=True)
        return arguments
    if what == "pid":
        return os.getpid()
    if what == "raise":
        raise Unlucky(*arguments)
    if what == "sleep":
        time.sleep(arguments[0])
        return "slept"
    if what == "die":
        if note(arguments[0]) < arguments[1]:
            os._exit(3)
        return "survived"
    if what == "other":
        return count.remote(3), list(numbers.remote_gen(2))

@app.function()
def numbers(n):
    for number in range(n):
        if number == 7:
            raise Unlucky("seven")
        yield number

@app.function(retries=modal.Retries(max_retries=2, initial_delay=0.0), scaledown_window=2)
def count(wanted, path=""):
    """Succeeds at the wanted attempt."""
    if path and note(path) < wanted:
        raise Unlucky("not yet")
    return wanted

@app.function(timeout=1, max_containers=1)
def limited(seconds):
    time.sleep(seconds)
    return os.getpid()

@app.function(max_containers=1)
@modal.concurrent(max_inputs=8)
async def together(n):
    together.now = getattr(together, "now", 0) + 1
    try:
        while together.now < n:
            await asyncio.sleep(0.01)
        return os.getpid()
    except asyncio.CancelledError:
        print("was cancelled", flush=True)
        raise
    finally:
        await asyncio.sleep(0.05)
        together.now -= 1

@app.function(max_containers=1)
@modal.batched(max_batch_size=4, wait_ms=500)
def batched(x: list, y: list) -> list:
    return [(a + b, len(x)) for a, b in zip(x, y)]

@app.function(single_use_containers=True, max_containers=2)
def once():
    return os.getpid()
'''
LOOK_UP = """
import os, time
def f(function): return modal.Function.from_name("calls", function)
def failing(function, *arguments, **named):
    try:
        return function(*arguments, **named)
    except Exception as error:
        return [type(error).__name__, str(error)]
"""


@pytest.fixture(scope="module")
def calls(client: Client) -> Client:
    path = client.folder / "calls.py"
    path.write_text(FUNCTIONS.replace("NAME", "calls"))
    client.sdk(f"load({str(path)!r}).app.deploy()")
    return client


def run(client: Client, code: str) -> object:
    return client.sdk(LOOK_UP + textwrap.dedent(code))


# -- results


def test_a_call_returns_what_the_function_returns(calls: Client) -> None:
    result = run(
        calls,
        """
        import asyncio
        async def asynchronously():
            return await f("do").remote.aio("echo", None)
        result = [f("do").remote("echo", 1, "two"), asyncio.run(asynchronously())]
        """,
    )
    assert result == [[1, "two"], [None]]


def test_an_exception_comes_back_as_itself_with_where_it_was_raised(calls: Client) -> None:
    assert run(
        calls,
        """
        import sys, traceback
        load("calls.py")
        try:
            f("do").remote("raise", "bad", "luck")
        except Exception as error:
            frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
            result = [type(error).__name__, error.args, "do" in frames]
        """,
    ) == ["Unlucky", ["bad", "luck"], True]


def test_large_arguments_and_results_go_by_blobs(calls: Client) -> None:
    before = len(calls.calls("BlobCreate"))
    assert run(calls, 'result = len(f("do").remote("echo", "x" * 5_000_000)[0])') == 5_000_000
    assert len(calls.calls("BlobCreate")) > before


@pytest.mark.full
def test_a_function_calls_another_one(calls: Client) -> None:
    assert run(calls, 'result = f("do").remote("other")') == [3, [0, 1]]


def test_generators_yield_as_they_go(calls: Client) -> None:
    assert run(
        calls,
        """
        load("calls.py")
        got = []
        def collect():
            for number in f("numbers").remote_gen(9):
                got.append(number)
        result = [list(f("numbers").remote_gen(3)), failing(collect), got == list(range(len(got)))]
        """,
    ) == [[0, 1, 2], ["Unlucky", "seven"], True]


def test_a_spawned_call_is_found_again_by_its_id(calls: Client) -> None:
    assert run(
        calls,
        """
        call = f("do").spawn("sleep", 0.3)
        early = failing(call.get, timeout=0)[0]
        again = modal.FunctionCall.from_id(call.object_id)
        result = [early, again.get(), again.get(), again.num_inputs()]
        """,
    ) == ["TimeoutError", "slept", "slept", 1]


def test_a_call_that_never_was_is_not_found(calls: Client) -> None:
    assert run(calls, 'result = failing(modal.FunctionCall.from_id("fc-none").get)') == [
        "NotFoundError",
        "Function call 'fc-none' not found.",
    ]


def test_maps_keep_the_order_and_can_return_exceptions(calls: Client) -> None:
    assert run(
        calls,
        """
        load("calls.py")
        do = f("do")
        mapped = [one[0] for one in do.starmap([("echo", n) for n in range(60)])]
        f("do").for_each(["pid", "pid"])
        mixed = do.starmap([("raise", 1), ("echo", 2)], return_exceptions=True)
        result = [mapped, [type(one).__name__ for one in mixed]]
        """,
    ) == [list(range(60)), ["Unlucky", "tuple"]]


@pytest.mark.full
def test_a_spawned_map_is_fetched_by_index(calls: Client) -> None:
    assert run(
        calls,
        """
        call = f("do").experimental_spawn_map(["pid"] * 3)
        result = [call.num_inputs(), len(list(call.iter())), isinstance(call.get(index=2), int)]
        """,
    ) == [3, 3, True]


# -- retries, timeouts, cancelling


def test_failures_are_tried_again_for_those_who_wait_and_for_those_who_do_not(
    calls: Client, tmp_path: Path
) -> None:
    waits, spawned, hopeless = (str(tmp_path / name) for name in ("waits", "spawned", "hopeless"))
    assert run(
        calls,
        f"""
        load("calls.py")
        call = f("count").spawn(3, {spawned!r})
        lost = f("count").spawn(9, {hopeless!r})
        result = [f("count").remote(3, {waits!r}), call.get(), failing(lost.get)]
        """,
    ) == [3, 3, ["Unlucky", "not yet"]]
    attempts = {name: len(Path(name).read_text().split()) for name in (waits, spawned, hopeless)}
    assert attempts == {waits: 3, spawned: 3, hopeless: 3}


def test_an_input_past_its_timeout_fails_and_its_container_goes(calls: Client) -> None:
    before, (kind, sentence), after = run(
        calls,
        """
        limited = f("limited")
        result = [limited.remote(0), failing(limited.remote, 30), limited.remote(0)]
        """,
    )
    assert kind == "FunctionTimeoutError"
    assert sentence.startswith("Task's current input in-")
    assert sentence.endswith(" hit its timeout of 1s")
    assert before != after


def test_a_cancelled_call_ends_where_it_runs_and_where_it_waits(calls: Client) -> None:
    result = run(
        calls,
        """
        running = f("together").spawn(99)
        while not f("together").get_current_stats().num_running_inputs:
            time.sleep(0.02)
        time.sleep(0.1)
        waiting = f("limited").spawn(0.8), f("limited").spawn(0.4)
        waiting[1].cancel()
        running.cancel()
        result = [failing(waiting[1].get), failing(running.get), waiting[0].get() > 0]
        """,
    )
    cancelled = ["RemoteError", "Input was cancelled by user"]
    assert result == [cancelled, cancelled, True]
    until(lambda: "was cancelled" in calls.logs("calls"))


# -- containers


def test_concurrent_inputs_share_a_container(calls: Client) -> None:
    assert run(calls, 'result = len(set(f("together").map([6] * 6)))') == 1


def test_batched_inputs_come_together(calls: Client) -> None:
    pairs = run(calls, 'result = list(f("batched").starmap([(n, 1) for n in range(4)]))')
    assert pairs == [[1, 4], [2, 4], [3, 4], [4, 4]]


@pytest.mark.full
def test_a_container_for_a_single_use_is_not_used_again(calls: Client) -> None:
    assert run(calls, 'result = len({f("once").remote() for _ in range(3)})') == 3


@pytest.mark.full
def test_the_number_of_containers_keeps_within_its_limits(calls: Client) -> None:
    pids = run(calls, 'result = [f("do").remote("pid") for _ in range(2)]')
    slept = run(calls, 'result = len(list(f("do").starmap([("sleep", 0.1)] * 8)))')
    assert len(set(pids)) <= 2
    assert slept == 8
    started = calls.sdk("""
        function = modal.Function.from_name("calls", "do")
        result = function.get_current_stats().num_total_runners
    """)
    assert 1 <= started <= 2


def test_an_input_outlives_its_container_a_few_times(calls: Client, tmp_path: Path) -> None:
    path = tmp_path / "deaths"
    assert run(calls, f'result = f("do").remote("die", {str(path)!r}, 3)') == "survived"
    assert len(set(path.read_text().split())) == 3


@pytest.mark.full
def test_a_redeploy_lets_inputs_finish(calls: Client) -> None:
    path = calls.folder / "calls.py"
    first = run(calls, 'call = f("do").spawn("sleep", 1.5)\nresult = call.object_id')
    time.sleep(0.3)
    path.write_text(FUNCTIONS.replace("NAME", "calls") + "\n# another version\n")
    try:
        new = run(
            calls,
            f"""
            load({str(path)!r}).app.deploy()
            result = [f("do").remote("echo", 1), modal.FunctionCall.from_id({first!r}).get()]
            """,
        )
    finally:
        path.write_text(FUNCTIONS.replace("NAME", "calls"))
    assert new == [[1], "slept"]


@pytest.mark.full
def test_a_map_comes_whole_while_its_containers_are_killed(calls: Client) -> None:
    """By the kernel, at random; inputs are tried again elsewhere."""
    stop = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        for _ in range(4):  # no faster than containers come up
            if stop.wait(1.0):
                return
            if running := _children_of(calls.plane.pid):
                killed.append(random.choice(running))
                os.kill(killed[-1], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        result = run(
            calls,
            """
            def arguments():
                for n in range(40):
                    time.sleep(0.1)
                    yield ("sleep", 0.1)
            result = list(f("do").starmap(arguments()))
            """,
        )
    finally:
        stop.set()
        killer.join()
    assert result == ["slept"] * 40
    assert killed


def _children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


# -- what can be seen


@pytest.mark.full
def test_the_cli_tells_of_a_function_and_its_calls(calls: Client) -> None:
    run(calls, 'f("do").remote("echo", "seen")')
    listed = json.loads(calls.modal("function", "calls", "calls/do", "--json"))
    assert listed[-1]["status"].lower() == "success"
    assert listed[-1]["container_id"].startswith("ta-")
    assert "do" in calls.modal("function", "info", "calls/do")
    assert "echo seen" in calls.modal("function", "logs", "calls/do")


def test_a_server_is_not_called(calls: Client) -> None:
    calls.deploy("not-a-function")
    kind, sentence = run(
        calls,
        'result = failing(modal.Function.from_name("not-a-function", "Server").remote)',
    )
    assert kind in ("ConflictError", "ExecutionError", "Error", "InvalidError")
    assert sentence == "'Server' is a server: it answers at its URL and cannot be called."


# -- ends


def test_who_waits_is_told_that_the_app_was_stopped(client: Client) -> None:
    path = client.folder / "stopping.py"
    path.write_text(FUNCTIONS.replace("NAME", "stopping"))
    kind, sentence = client.sdk(
        f"""
        load({str(path)!r}).app.deploy()
        call = modal.Function.from_name("stopping", "do").spawn("sleep", 60)
        import subprocess, sys
        subprocess.run([sys.executable, "-m", "modal", "app", "stop", "-y", "stopping"], check=True)
        try:
            call.get(timeout=20)
        except Exception as error:
            result = [type(error).__name__, str(error)]
        """
    )
    assert (kind, sentence) == ("RemoteError", "App 'stopping' was stopped.")
    until(lambda: not client.containers("stopping"))


def test_calls_go_on_after_the_plane_was_killed(own_client: Client) -> None:
    path = own_client.folder / "kept.py"
    path.write_text(FUNCTIONS.replace("NAME", "kept"))
    finished, running = own_client.sdk(
        f"""
        load({str(path)!r}).app.deploy()
        do = modal.Function.from_name("kept", "do")
        finished, running = do.spawn("echo", 1), do.spawn("sleep", 0.5)
        finished.get()
        result = [finished.object_id, running.object_id]
        """
    )
    os.kill(own_client.plane.pid, signal.SIGKILL)
    lifecycle.up(own_client.plane.state_dir)
    code = f"""
        calls = [modal.FunctionCall.from_id(id) for id in ({finished!r}, {running!r})]
        result = [call.get(timeout=30) for call in calls]
    """
    assert own_client.sdk_alone(code) == [[1], "slept"]
