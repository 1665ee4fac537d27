"""Billing says what the containers that ran would have cost."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.facts import tables
from modelctl.local import lifecycle
from modelctl.local.keeping.ledger import ContainerEntry
from modelctl.local.services.billing import _shares, cost_of, prices
from tests.local.conftest import Client, client_in, until

JANUARY = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
HOUR = 3600


def entry(**life: Any) -> ContainerEntry:
    asked = {"gpu_asked": "", "gpu": "cpu", "cpu": 0.0, "memory": 0, "enqueued_at": 0.0}
    return ContainerEntry("ta-1", "ap-1", "fu-1", "de-1", **(asked | life))


def test_prices_are_those_of_the_tables() -> None:
    table = json.loads((Path(tables.__file__).parent / "data" / "gpus.json").read_text())
    assert prices()["H100"] == Decimal(str(table["gpus"]["H100"]["usd_per_second"]))
    assert prices()["CPU"] == Decimal("0.0000131")
    assert prices()["Memory"] == Decimal("0.00000222")


def test_an_hour_of_two_gpus_with_what_was_asked_beside_them() -> None:
    costs = cost_of(entry(gpu="H100:2", cpu=4.0, memory=8192), Decimal(HOUR))
    assert costs == {
        "CPU": Decimal("0.18864000"),
        "Memory": Decimal("0.06393600"),
        "H100": Decimal("7.89840000"),
    }


def test_on_the_processor_only_the_least_cpu_and_memory_cost() -> None:
    costs = cost_of(entry(gpu="cpu", gpu_asked="H100"), Decimal(HOUR))
    assert costs == {"CPU": Decimal("0.00589500"), "Memory": Decimal("0.00099900")}


def test_another_spelling_costs_what_it_means() -> None:
    assert "A100-40GB" in cost_of(entry(gpu="A100"), Decimal(1))


@given(started=st.floats(1, 1e6), lasted=st.floats(0, 1e6), length=st.sampled_from([3600, 86400]))
def test_no_second_is_counted_twice_or_lost(started: float, lasted: float, length: int) -> None:
    container = entry(started_at=started, ended_at=started + lasted)
    stop = 24 * 86400
    shares = list(_shares(container, 0, stop, length, now=5e6))
    assert float(sum(ran for _, ran in shares)) == pytest.approx(lasted, abs=0.001)
    assert all(0 <= ran <= length for _, ran in shares)
    assert [start for start, _ in shares] == sorted({start for start, _ in shares})


# -- through the SDK and the CLI


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A plane on which two apps ran in January: one for 90 minutes from 00:30, one for a minute."""
    folder = tmp_path_factory.mktemp("billed")
    with client_in(folder, folder / "state") as client:
        ids = {}
        for name, tags in (("costly", {"team": "search", "tier": "gold"}), ("cheap", {})):
            client.deploy(name, tags=tags)
            ids[name] = client.sdk(f"result = modal.App.lookup({name!r}).app_id")
        lifecycle.down(client.plane.state_dir)
        lives = [
            ("ta-a", ids["costly"], "H100", 2.0, 4096, JANUARY + HOUR // 2, JANUARY + 2 * HOUR),
            ("ta-b", ids["cheap"], "cpu", 0.0, 0, JANUARY, JANUARY + 60),
        ]
        store = sqlite3.connect(client.plane.state_dir / "state.db")
        with store:
            store.executemany(
                "INSERT INTO containers VALUES (?1, ?2, 'fu', 'de', ?3, ?3, ?4, ?5, ?6, ?6, ?6, ?7,"
                " 0, 0, x'')",
                lives,
            )
        store.close()
        plane = lifecycle.up(client.plane.state_dir)
        yield Client(plane, client.folder, client.worker)


def report(client: Client, *arguments: str) -> Any:
    rows = json.loads(client.modal("billing", "report", *arguments, "--json"))
    return [row for row in rows if row["interval_start"].startswith("2026-01")]


def test_a_report_by_the_hour_splits_what_a_container_cost(billed: Client) -> None:
    rows = report(billed, "--start", "2026-01-01", "--end", "2026-01-02", "-r", "h")
    costly = [row for row in rows if row["description"] == "costly"]
    per_hour = 2 * Decimal("0.0000131") + 4 * Decimal("0.00000222") + Decimal("0.001097")
    assert [Decimal(row["cost"]) for row in costly] == [per_hour * HOUR / 2, per_hour * HOUR]
    assert [row["environment"] for row in costly] == ["main", "main"]
    assert [row["description"] for row in rows] == ["cheap", "costly", "costly"]


def test_only_whole_intervals_are_told_of(billed: Client) -> None:
    rows = report(billed, "--start", "2026-01-01T00:50", "--end", "2026-01-01T01:50", "-r", "h")
    assert {row["interval_start"] for row in rows} == {"2026-01-01T00:00:00"}


def test_a_report_by_the_day_with_resources_and_tags(billed: Client) -> None:
    arguments = ("--start", "2026-01-01", "--end", "2026-01-02", "--show-resources", "-t", "team")
    rows = [row for row in report(billed, *arguments) if row["description"] == "costly"]
    assert {row["resource"]: Decimal(row["cost"]) for row in rows} == {
        "CPU": Decimal("0.14148"),
        "Memory": Decimal("0.047952"),
        "H100": Decimal("5.9238"),
    }
    assert {row["tags"] for row in rows} == {'{"team": "search"}'}


def test_all_tags_and_costs_as_decimals_in_the_sdk(billed: Client) -> None:
    assert billed.sdk(
        """
        import datetime
        start = datetime.datetime(2026, 1, 1)
        items = modal.Workspace.from_context().billing.report(
            start=start, end=start + datetime.timedelta(days=1), tag_names=["*"]
        )
        result = [[i.tags, str(i.cost), i.cost == sum(i.cost_by_resource.values())] for i in items
                  if i.description == "costly"]
        """
    ) == [[{"team": "search", "tier": "gold"}, "6.11323200", True]]


def test_the_summary_of_a_month(billed: Client) -> None:
    summary = json.loads(billed.modal("billing", "summary", "--for", "2026-01", "--json"))
    assert Decimal(summary["metered_cost"]) == Decimal(summary["billed_cost"])
    assert Decimal(summary["metered_cost_breakdown"]["h100"]) == Decimal("5.9238")
    assert "H100" in billed.modal("billing", "summary", "--for", "2026-01")
    february = json.loads(billed.modal("billing", "summary", "--for", "2026-02", "--json"))
    assert Decimal(february["metered_cost"]) == 0


def test_an_environments_own_costs(billed: Client) -> None:
    whole = json.loads(billed.modal("billing", "summary", "--for", "2026-01", "--json"))
    assert (
        billed.sdk(
            """
        environment = modal.Environment.from_name("main")
        summary = environment.billing.summary("2026-01")
        import datetime
        start = datetime.datetime(2026, 1, 1)
        items = environment.billing.report(start=start, end=start + datetime.timedelta(days=1))
        result = [str(summary.metered_cost), str(sum(item.cost for item in items))]
        """
        )
        == [whole["metered_cost"]] * 2
    )


def test_rates(billed: Client) -> None:
    rates = json.loads(billed.modal("billing", "rates", "--json"))
    assert rates["H100"] == "0.001097"
    assert rates["Memory"] == "0.00000222"
    assert "H100" in billed.modal("billing", "rates")


def test_what_runs_now_costs_already(billed: Client) -> None:
    url = billed.deploy("running-cost", "min_containers=1, unauthenticated=True")
    billed.ready(url)

    def cost() -> Decimal:
        rows = json.loads(billed.modal("billing", "report", "--for", "today", "--json"))
        return sum(
            (Decimal(row["cost"]) for row in rows if row["description"] == "running-cost"),
            Decimal(),
        )

    first = until(cost)
    assert until(lambda: cost() > first)


def test_another_resolution_is_refused(billed: Client) -> None:
    with pytest.raises(AssertionError, match="There is no resolution 'w'"):
        billed.sdk(
            """
            import datetime
            start = datetime.datetime(2026, 1, 1)
            modal.Workspace.from_context().billing.report(start=start, resolution="w")
            """
        )
