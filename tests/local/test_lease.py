"""The lease on the plane, through the SDK: processes that are killed, stopped and continued, and
not one call that changes something after somebody else took over."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest

from modelctl.local import lifecycle
from tests.local.conftest import Client, until

SECONDS = 2.0  # a lease's time to live


class Process:
    """Another modelctl, in a process of its own."""

    def __init__(self, popen: "subprocess.Popen[str]") -> None:
        self._popen = popen

    def begin(self, *words: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(" ".join(words) + "\n")
        self._popen.stdin.flush()

    def end(self) -> Any:
        """What the command that was begun answers, or (kind, sentence) of its refusal."""
        assert self._popen.stdout is not None
        said = json.loads(self._popen.stdout.readline())
        return (said["error"], said["said"]) if "error" in said else said["answer"]

    def do(self, *words: str) -> Any:
        self.begin(*words)
        return self.end()

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)


class Starts(Protocol):
    def __call__(self, owner: str, seconds: float = SECONDS) -> Process: ...


@pytest.fixture
def start(client: Client) -> Iterator[Starts]:
    lifecycle.clear_faults(client.plane)
    with ExitStack() as running:

        def start(owner: str, seconds: float = SECONDS) -> Process:
            popen = running.enter_context(
                subprocess.Popen(
                    [
                        *(sys.executable, str(Path(__file__).with_name("lease_worker.py"))),
                        *(owner, str(seconds)),
                    ],
                    env=client.environment,
                    cwd=client.folder,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            running.callback(popen.kill)
            return Process(popen)

        yield start
        lifecycle.clear_faults(client.plane)


def test_a_dict_keeps_texts_and_knows_who_was_first(client: Client, start: Starts) -> None:
    one = start("one")
    assert one.do("items", "texts") == {}
    assert one.do("pop", "texts", "a") is None
    assert one.do("put", "texts", "a", "1") is True
    assert one.do("put", "texts", "a", "2") is False
    assert one.do("items", "texts") == {"a": "1"}
    client.sdk("modal.Dict.objects.delete('texts')")
    assert one.do("items", "texts") == {}
    assert one.do("put", "texts", "a", "3") is True
    assert one.do("pop", "texts", "a") is None
    assert one.do("items", "texts") == {}


def test_a_dict_that_cannot_be_read_or_written_is_a_sentence(client: Client, start: Starts) -> None:
    one = start("one")
    one.do("put", "broken", "a", "1")
    lifecycle.add_fault(client.plane, "cut", method="DictContents", times=1)
    assert one.do("items", "broken") == (
        "Unreachable",
        "Modal broke off while reading the Dict broken",
    )
    lifecycle.add_fault(client.plane, "refuse", method="DictUpdate", message="out to lunch")
    assert one.do("put", "broken", "b", "1") == (
        "Unreachable",
        "Modal did not answer while writing the Dict broken: out to lunch",
    )


@pytest.mark.full
def test_a_dict_whose_reading_takes_too_long_was_not_read(client: Client, start: Starts) -> None:
    """Half of it might be read by then: that must not pass for what it holds."""
    one = start("one")
    one.do("put", "slow", "a", "1")
    lifecycle.add_fault(client.plane, "latency", method="DictContents", when="after", seconds=3600)
    kind, said = one.do("items", "slow")
    assert kind == "Unreachable"
    assert said.startswith("Modal did not answer while reading the Dict slow")


def test_one_of_two_has_the_lease_and_the_other_is_told(start: Starts) -> None:
    one, other = start("ci/1842", seconds=6.0), start("ann@laptop", seconds=6.0)
    assert one.do("acquire", "held") is None
    kind, said = other.do("acquire", "held")
    assert kind == "LeaseHeld"
    assert re.fullmatch(
        r"ci/1842 is applying to main since \d\d:\d\d; its lease was renewed 1 s ago", said
    )
    other.begin("acquire", "held", "60")
    assert one.do("check") is None
    assert one.do("release") is None
    assert other.end() is None
    assert other.do("check") is None


def test_a_killed_holder_is_followed_when_its_lease_is_over(start: Starts) -> None:
    one, other = start("ci/1842"), start("ann@laptop")
    one.do("acquire", "killed")
    one.signal(signal.SIGKILL)
    began = time.monotonic()
    assert other.do("acquire", "killed") is None
    assert time.monotonic() - began >= SECONDS


def test_a_holder_that_was_stopped_is_told_who_took_over(start: Starts) -> None:
    one, other = start("ci/1842"), start("ann@laptop")
    one.do("acquire", "stopped")
    one.signal(signal.SIGSTOP)
    assert other.do("acquire", "stopped") is None
    one.signal(signal.SIGCONT)
    kind, said = one.do("check")
    assert kind == "LeaseLost"
    assert re.fullmatch(
        r"another apply \(ann@laptop, since \d\d:\d\d\) took over while this one was stopped; "
        "this one changes nothing more",
        said,
    )
    assert one.do("release") is None
    assert other.do("check") is None


@pytest.mark.parametrize(
    ("held", "next_call"),
    [
        pytest.param("AppGetByDeploymentName", "AppCreate", marks=pytest.mark.full),
        ("FunctionCreate", "AppPublish"),
    ],
)
def test_what_was_stopped_in_the_middle_of_a_deployment_is_not_published(
    client: Client, start: Starts, held: str, next_call: str
) -> None:
    """It is stopped while the call before waits for its answer; then somebody takes over."""
    name = f"half-{next_call.lower()}"
    file = client.write(name)
    one, other = start("ci/1842"), start("ann@laptop")
    one.do("acquire", name)
    assert one.do("guard") is True
    since = lifecycle.calls(client.plane)[-1]["n"]
    fault = lifecycle.add_fault(
        client.plane,
        "latency",
        method=held,
        when="after",
        seconds=3600,
    )
    one.begin("deploy", name, str(file))
    until(lambda: lifecycle.faults(client.plane)[0]["waiting"])
    one.signal(signal.SIGSTOP)
    assert other.do("acquire", name) is None
    lifecycle.clear_faults(client.plane, fault)
    one.signal(signal.SIGCONT)
    kind, said = one.end()
    assert kind == "LeaseLost"
    assert said.endswith("took over while this one was stopped; this one changes nothing more")
    assert not client.calls(next_call, since)
    assert not client.calls("AppPublish", since)
    assert other.do("deploy", name, str(file)) == 1


def test_a_deployment_under_a_lease_that_holds_is_a_deployment(
    client: Client, start: Starts
) -> None:
    file = client.write("guarded")
    one = start("ci/1842")
    one.do("acquire", "guarded")
    one.do("guard")
    assert one.do("deploy", "guarded", str(file)) == 1
