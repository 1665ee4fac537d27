"""Are measurements whole after a round trip through the lock, and gone with what they spoke of?"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from modelctl.diagnostics import Rejected
from modelctl.weights.lock import Lock, dump, parse, still_measured
from modelctl.weights.measured import Measured
from tests.weights.test_lock import COMMIT, LOCK

NAME, LOCAL = "hf://org/m@v1", "./models/m.gguf"
BOOT = Measured(
    engine="vllm",
    version="0.32.0",
    gpu="H100",
    inputs="0123456789abcdef",
    model="fedcba9876543210",
    at="2026-11-20",
    app="chat-8b",
    app_version=12,
    alike="00112233445566aa",
    commit=COMMIT,
    weights=16_396_037_324,
    cache=58_658_515_845,
    tokens=397_776,
    run={"context": 16384, "sequences": None, "utilization": 0.92},
)
ON_CPU = replace(BOOT, gpu="cpu", alike="", commit="", tokens=None)
MEASURED = replace(LOCK, measured={NAME: (BOOT, replace(BOOT, gpu="A100-80GB")), LOCAL: (ON_CPU,)})


def test_a_boot_is_a_line_in_order_and_what_was_not_said_is_not_in_it() -> None:
    lines = dump(MEASURED).splitlines()
    begin = lines.index(' "measured": {')
    assert lines[begin + 1] == f'  "{LOCAL}": ['
    assert lines[begin + 2] == (
        '   {"app": "chat-8b", "app_version": 12, "at": "2026-11-20", "cache": 58658515845, '
        '"engine": "vllm", "gpu": "cpu", "inputs": "0123456789abcdef", '
        '"model": "fedcba9876543210", "run": {"context": 16384, "sequences": null, '
        '"utilization": 0.92}, "version": "0.32.0", "weights": 16396037324}'
    )
    assert ['"A100-80GB"' in lines[begin + 5], '"H100"' in lines[begin + 6]] == [True, True]


def test_a_round_trip_keeps_every_boot_and_the_text() -> None:
    text = dump(MEASURED)
    again = parse(text)
    assert dump(again) == text
    assert {name: {row.key for row in rows} for name, rows in again.measured.items()} == {
        name: {row.key for row in rows} for name, rows in MEASURED.measured.items()
    }
    assert again.measured[LOCAL] == (ON_CPU,)


def test_a_lock_without_measurements_is_as_before() -> None:
    assert "measured" not in dump(LOCK)
    assert parse(dump(LOCK)).measured == {}


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('"cache": 58658515845', '"cache": "much"'),
        ('"cache": 58658515845', '"cache": -1'),
        ('"cache": 58658515845', '"cache": true'),
        ('"app": "chat-8b", ', ""),
        ('"gpu": "cpu"', '"gpu": 7'),
        ('"run": {"context": 16384', '"run": [], "was": {"context": 16384'),
    ],
)
def test_a_measurement_that_modelctl_did_not_write_is_refused(was: str, now: str) -> None:
    with pytest.raises(Rejected) as rejected:
        parse(dump(MEASURED).replace(was, now, 1))
    (only,) = rejected.value.diagnostics
    assert only.message == (
        "modelctl.lock cannot be understood: its measurements are not as modelctl lock writes them"
    )


def test_what_a_later_modelctl_says_beside_it_is_left_out() -> None:
    later = dump(MEASURED).replace('"app": "chat-8b"', '"app": "chat-8b", "activation": 1', 1)
    assert parse(later).measured == parse(dump(MEASURED)).measured


def test_a_moved_commit_takes_its_boots_along() -> None:
    assert still_measured(MEASURED, None) == MEASURED.measured
    moved = replace(LOCK.sources[NAME], commit="d" * 40)
    after = replace(MEASURED, sources={NAME: moved})
    assert still_measured(after, None) == {LOCAL: (ON_CPU,)}


def test_boots_of_what_no_spec_names_go() -> None:
    assert set(still_measured(MEASURED, {NAME})) == {NAME}
    assert still_measured(replace(MEASURED, sources={}), {NAME}) == {}
    assert still_measured(Lock(), None) == {}
