"""Which boots are in a log, and which of them ran as the spec says now?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from modelctl.cli.boots import Boot, boots_of, ran
from modelctl.loglines import read
from modelctl.platform.types import LogLine
from modelctl.resolved import Resolved, Rooted, Variant
from tests import making

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
FLAGS = (
    ("--ctx-size", "8192"),
    ("--threads", "8"),
    ("--lora", Rooted("/models/a.gguf", after=":0.5")),
    ("--metrics",),
)


def lines(*texts: str, container: str = "ta-1") -> list[LogLine]:
    return [
        LogLine(AT + timedelta(seconds=n), "stdout", text, container)
        for n, text in enumerate(texts)
    ]


def found(*entries: LogLine) -> list[Boot]:
    return boots_of(line for entry in entries for line in read(entry))


def spec() -> tuple[Resolved, Variant]:
    resolved = replace(making.resolved(), command=("llama-server",))
    return resolved, replace(resolved.variants[0], flags=FLAGS)


def boot(command: str) -> Boot:
    (only,) = found(*lines(f"modelctl INFO chat on L4: {command}"))
    return only


def test_each_container_has_its_own_boots_with_its_engines_lines() -> None:
    first = lines(
        "modelctl INFO chat on L4: llama-server --a", "engine INFO one", "said by the app"
    )
    other = lines("modelctl INFO chat on H100:2: llama-server", "engine WARNING two", container="b")
    again = lines("modelctl INFO chat on L4: llama-server --b", "engine INFO three")
    begun = [(one.gpu, one.command, one.lines) for one in found(*first, *other, *again)]
    assert begun == [
        ("L4", ("llama-server", "--a"), ["one"]),
        ("H100:2", ("llama-server",), ["two"]),
        ("L4", ("llama-server", "--b"), ["three"]),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "modelctl: could not boot: the engine ended with exit code 1 before it was ready",
        "modelctl ERROR the engine was ended by signal 9 (Killed): so does this container",
    ],
)
def test_what_did_not_come_up_or_did_not_last_has_failed(line: str) -> None:
    (only,) = found(*lines("modelctl INFO chat on L4: llama-server", "engine INFO one", line))
    assert only.failed


def test_the_middle_of_a_boot_is_none() -> None:
    assert found(*lines("engine INFO one", "modelctl INFO answered right: 1 of 1 checks")) == []


def test_where_it_listens_and_what_it_may_compute_with_differ_from_place_to_place() -> None:
    resolved, variant = spec()
    modal = (
        "llama-server --model /models/m.gguf --host 0.0.0.0 --port 8000 --ctx-size 8192 "
        "--threads 4 --lora /models/a.gguf:0.5 --metrics"
    )
    laptop = (
        "llama-server --model /home/u/root/models/m.gguf --host 127.0.0.1 --port 31000 --metrics "
        "--chat-template-file /tmp/x.jinja --ctx-size 8192 --threads 2 "
        "--lora /home/u/root/models/a.gguf:0.5"
    )
    assert ran(boot(modal), resolved, variant)
    assert ran(boot(laptop), resolved, variant)


@pytest.mark.parametrize(
    "change",
    [
        ("--ctx-size 8192", "--ctx-size 4096"),
        ("--metrics", ""),
        ("--metrics", "--metrics --no-mmap"),
        ("/models/m.gguf", "/models/other.gguf"),
        ("llama-server ", "llama-box "),
        ("a.gguf:0.5", "a.gguf:1"),
        ("--metrics", "--metrics 'cut"),
    ],
)
def test_other_words_are_another_run(change: tuple[str, str]) -> None:
    resolved, variant = spec()
    same = (
        "llama-server --model /models/m.gguf --host 0.0.0.0 --port 8000 --ctx-size 8192 "
        "--threads 4 --lora /models/a.gguf:0.5 --metrics"
    )
    assert ran(boot(same), resolved, variant)
    assert not ran(boot(same.replace(*change)), resolved, variant)


def test_vllm_names_its_model_first_and_other_hosts_of_a_cluster_serve_nothing() -> None:
    resolved, variant = spec()
    resolved = replace(resolved, command=("vllm", "serve"))
    variant = replace(variant, flags=(("--max-model-len", "4096"),))
    command = (
        "vllm serve /models/m.gguf --host 0.0.0.0 --port 8000 --middleware modelctl_guard.Guard "
        "--max-model-len 4096 --node-rank 0 --master-addr 10.0.0.1 --master-port 20000"
    )
    assert ran(boot(command), resolved, variant)
    assert not ran(boot(f"{command} --headless"), resolved, variant)
