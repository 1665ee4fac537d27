"""The ledger holds what happened, cheaply, through the end of a plane, and not without bound."""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from modelctl.local.keeping import ledger as ledger_module
from modelctl.local.keeping.ledger import ContainerEntry, InputEntry, Ledger, RequestEntry, Sample
from modelctl.local.keeping.store import Store
from modelctl.local.running.usage import usage
from modelctl.local.services.statistics import percentile

NEW = ContainerEntry("ta-1", "ap-1", "fu-1", "de-1", "H100,L4:2", "L4:2", 2.0, 4096, 100.0)


def run(store: Store, work: Any, now: float = 1000.0) -> Any:
    """Does something with a ledger inside an event loop, as the plane does."""

    async def inside() -> Any:
        return work(Ledger(store, lambda: now))

    return asyncio.run(inside())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state.db")


def request(at: float, **what: Any) -> RequestEntry:
    told = {"status": 200, "seconds": 0.5, "size": 10, "client": "127.0.0.1", "path": "/v1"}
    return RequestEntry(
        **(told | {"function_id": "fu-1", "container_id": "ta-1", "method": "GET", "at": at} | what)
    )


def test_a_container_comes_back_as_it_was_noted_last(store: Store) -> None:
    ended = replace(
        NEW, started_at=101.0, ended_at=109.0, failed=True, exit_code=-9, result=b"\x00\xff"
    )

    def work(ledger: Ledger) -> None:
        ledger.note(NEW)
        assert ledger.container("ta-1") == NEW
        ledger.note(ended)
        assert ledger.container("ta-1") == ended
        assert ledger.container("ta-2") is None

    run(store, work)


@pytest.mark.parametrize(
    ("since", "until", "seen"),
    [(0, 100, False), (0, 100.1, True), (102, 105, True), (110, 200, True), (110.1, 200, False)],
)
def test_a_container_belongs_to_every_span_in_which_it_existed(
    store: Store, since: float, until: float, seen: bool
) -> None:
    def work(ledger: Ledger) -> None:
        ledger.note(replace(NEW, started_at=101.0, ended_at=110.0))
        assert bool(ledger.containers(since, until)) is seen
        assert bool(ledger.containers(since, until, function_id="fu-1")) is seen
        assert not ledger.containers(since, until, function_id="fu-2")
        assert not ledger.containers(since, until, app_id="ap-2")
        assert not ledger.containers(since, until, container_id="ta-2")

    run(store, work)


def test_containers_of_a_killed_plane_end_with_its_last_sign_of_life(store: Store) -> None:
    def killed(ledger: Ledger) -> None:
        ledger.note(replace(NEW, started_at=101.0))
        ledger.note(replace(NEW, id="ta-2", enqueued_at=1500.0))

    run(store, killed, now=1000.0)
    store.commit()

    def again(ledger: Ledger) -> None:
        first, second = ledger.container("ta-1"), ledger.container("ta-2")
        assert first is not None and second is not None
        assert (first.ended_at, first.failed) == (1000.0, False)
        assert second.ended_at == 1500.0  # never before its beginning

    run(store, again, now=5000.0)


def test_requests_can_be_read_at_once_and_are_written_soon(tmp_path: Path) -> None:
    async def inside() -> None:
        store, other = Store(tmp_path / "state.db"), Store(tmp_path / "state.db")
        ledger = Ledger(store, time.time)
        store.commit()
        ledger.add(request(5.0))
        assert ledger.statuses("fu-1", 0, 10) == {200: 1}
        ledger.add(request(6.0))
        deadline = time.monotonic() + 5
        while other.execute("SELECT count(*) FROM requests").fetchone()[0] < 2:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

    asyncio.run(inside())


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.sampled_from([200, 404, 503]), st.floats(0, 9)),
        max_size=30,
    ),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(1, 20),
)
def test_what_is_counted_is_what_was_added(
    told: list[tuple[int, int, float]], since: int, until: int, bucket: int
) -> None:
    chosen = [(at, status, took) for at, status, took in told if since <= at < until]

    def work(ledger: Ledger) -> None:
        for at, status, took in told:
            ledger.add(request(float(at), status=status, seconds=took))
        assert ledger.statuses("fu-1", since, until) == Counter(s for _, s, _ in chosen)
        assert ledger.durations("fu-1", since, until) == sorted(took for *_, took in chosen)
        counts = Counter(at // bucket * bucket for at, *_ in chosen)
        assert ledger.counts("fu-1", since, until, bucket) == sorted(counts.items())
        listed = ledger.requests("fu-1", since, until, 10)
        assert [entry.at for entry in listed] == sorted(at for at, *_ in chosen)[:10]
        latest = ledger.latest_requests("fu-1", 5)
        assert [entry.at for entry in latest] == sorted((at for at, *_ in told), reverse=True)[:5]

    run(Store(Path(":memory:")), work)


def test_inputs_and_samples_come_back(store: Store) -> None:
    entry = InputEntry("fu-1", "ta-1", 1.0, 2.0, 3.0, 1)
    sample = Sample("fu-1", "ta-1", 4.0, 0.5, 1 << 20)

    def work(ledger: Ledger) -> None:
        ledger.add(entry)
        ledger.add(sample)
        assert ledger.inputs("fu-1", 3.0, 3.1) == [entry]
        assert ledger.inputs("fu-1", 1.0, 3.0) == []  # a span holds what ended in it
        assert ledger.samples("fu-1", 4.0, 5.0, "ta-1") == [sample]
        assert ledger.samples("fu-1", 4.0, 5.0, "ta-2") == []

    run(store, work)


def test_the_oldest_go_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "KEEP_LINES", 100)
    monkeypatch.setattr(ledger_module, "KEEP_CONTAINERS", 20)
    monkeypatch.setattr(ledger_module, "_TRIM_EVERY", 50)

    def work(ledger: Ledger) -> None:
        ledger.note(replace(NEW, id="ta-still-running", enqueued_at=0.0))
        for number in range(1, 501):
            ledger.add(request(float(number)))
            moment = float(number)
            ledger.note(replace(NEW, id=f"ta-{number}", enqueued_at=moment, ended_at=moment + 1))
            if number % 7 == 0:
                ledger.flush()
        kept = ledger.requests("fu-1", 0, 1e9, 1000)
        assert 100 <= len(kept) <= 160
        assert kept[-1].at == 500
        containers = ledger.containers(0, 1e9)
        assert 20 <= len(containers) <= 75
        assert containers[0].id == "ta-still-running"

    run(store, work)


def test_a_thousand_requests_cost_a_few_milliseconds(store: Store) -> None:
    def work(ledger: Ledger) -> float:
        began = time.process_time()
        for number in range(10_000):
            ledger.add(request(float(number)))
        ledger.flush()
        return time.process_time() - began

    assert run(store, work) < 1.0  # in truth about 0.04 s


@given(st.lists(st.floats(0, 1e6), min_size=1), st.integers(1, 10_000))
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(
    values: list[float], points: int
) -> None:
    ordered = sorted(values)
    found = percentile(ordered, points)
    assert found in values
    assert sum(value <= found for value in values) * 10_000 >= points * len(values)


def stat(proc: Path, pid: int, parent: int, name: str, busy: int, pages: int) -> None:
    (proc / str(pid)).mkdir()
    # The fields of proc(5), from the state on: 14 to 17 are times, 22 the start, 24 the pages.
    fields = ["S", str(parent), *["0"] * 9, str(busy), "0", "0", "0", *["0"] * 4]
    fields += [str(50 * os.sysconf("SC_CLK_TCK")), "0", str(pages)]
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")


def test_use_is_that_of_the_whole_tree_whatever_processes_are_called(tmp_path: Path) -> None:
    (tmp_path / "uptime").write_text("150.0 0.0\n")
    (tmp_path / "self").mkdir()
    ticks = os.sysconf("SC_CLK_TCK")
    stat(tmp_path, 10, 1, "sh", ticks, 1)
    stat(tmp_path, 11, 10, "a) S 1 (b", 2 * ticks, 2)
    stat(tmp_path, 12, 11, "engine", 4 * ticks, 4)
    stat(tmp_path, 20, 1, "another", 8 * ticks, 8)
    found = usage([10, 20, 30], tmp_path)
    assert set(found) == {10, 20}
    assert (found[10].processor, found[10].memory) == (7.0, 7 * os.sysconf("SC_PAGE_SIZE"))
    assert found[10].age == 100.0
    assert found[20].processor == 8.0


def test_where_there_is_no_proc_nothing_is_known(tmp_path: Path) -> None:
    assert usage([1], tmp_path / "nowhere") == {}
