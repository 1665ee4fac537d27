"""What do containers cost? By the second: cards, cores, memory, the place, and who keeps them."""

from __future__ import annotations

from typing import Any

import pytest

from modelctl.assess import assess
from modelctl.assess.bill import bill_of
from modelctl.assess.cost import Cost
from modelctl.facts.prices import list_prices, own_prices
from modelctl.resolve import resolve
from modelctl.weights.read import model_facts
from tests.render.apps import QWEN3, wanted

HOUR = 3600
H100, L40S, CORE, GIB = 0.001097, 0.000542, 0.0000131, 0.00000222
LEAST = 0.125 * CORE + 0.125 * GIB
"""What stands beside a card where nobody asks for cores or memory."""


def cost(rates: dict[str, float] | None = None, **changed: Any) -> Cost:
    want = wanted({**QWEN3, "gpu": [{"type": "H100"}], "keep_warm": 1, **changed})
    source = want.spec.model.source if want.spec.model else None
    facts = model_facts(source, want.file.parent, want.project.root, hashed=False)
    prices = own_prices(rates) if rates is not None else None
    return assess(resolve(want, facts), facts, prices).cost


def test_a_container_costs_its_cards_cores_and_memory() -> None:
    found = cost(gpu=[{"type": "L40S", "count": 2}], cpu=8, memory="64GiB")
    assert found.warm == pytest.approx(HOUR * (2 * L40S + 8 * CORE + 64 * GIB))


def test_who_asks_for_no_cores_or_memory_pays_for_modal_s_least() -> None:
    assert cost().warm == pytest.approx(HOUR * (H100 + LEAST))


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ({"compute_regions": ["us"]}, 1.5 * (H100 + LEAST)),
        ({"compute_regions": ["us-east"]}, 1.75 * (H100 + LEAST)),
        ({"nonpreemptible": True}, H100 + 3 * LEAST),
        ({"region": "us-east"}, H100 + LEAST),
    ],
)
def test_where_and_how_it_runs_has_a_factor(endpoint: dict[str, Any], expected: float) -> None:
    assert cost(endpoint=endpoint).warm == pytest.approx(HOUR * expected)


def test_a_large_disk_is_billed_as_memory() -> None:
    beside = 0.125 * CORE + 50 * GIB
    assert cost(disk="1000GiB").warm == pytest.approx(HOUR * (H100 + beside))
    assert cost(disk="1000GiB", memory="64GiB").warm == pytest.approx(
        HOUR * (H100 + 0.125 * CORE + 64 * GIB)
    )


def test_an_upgrade_costs_what_was_asked_for() -> None:
    found = cost()
    assert [variant.key for variant in found.variants] == ["H100", "H200"]
    assert found.of("H200") == found.of("H100")


def test_the_range_goes_over_the_list_and_plans_count_with_its_first() -> None:
    found = cost(gpu=[{"type": "H100"}, {"type": "L40S"}], keep_warm=2, scaling={"max": 5})
    assert found.warm == pytest.approx(2 * HOUR * (H100 + LEAST))
    assert found.warm_range == pytest.approx((2 * HOUR * (L40S + LEAST), 2 * HOUR * (H100 + LEAST)))
    assert found.at_most_range == pytest.approx(
        (5 * HOUR * (L40S + LEAST), 5 * HOUR * (H100 + LEAST))
    )


def test_two_hosts_cost_twice() -> None:
    found = cost(gpu=[{"type": "H100", "count": 8}], nodes=2, keep_warm=1)
    assert found.warm == pytest.approx(2 * HOUR * (8 * H100 + LEAST))


def test_break_even_is_an_hour_less_what_a_start_wastes() -> None:
    found = cost(scaling={"idle_timeout": "540s"})
    assert found.break_even(boot_seconds=180) == pytest.approx(1 - 720 / 3600)
    # Checked as the two bills of such an hour: always on, and started once.
    busy = found.break_even(boot_seconds=180) * 3600
    assert busy + 180 + 540 == pytest.approx(3600)
    assert found.break_even(boot_seconds=4000) == 0


# -- a workspace's own prices


def test_a_workspace_s_own_prices_come_first_and_the_table_fills_the_gaps() -> None:
    found = cost({"H100": 0.0009, "CPU": 0.00001})
    assert found.warm == pytest.approx(HOUR * (0.0009 + 0.125 * 0.00001 + 0.125 * GIB))
    assert found.words == (
        "the workspace's own prices; memory, T4, L4 and 8 more by Modal's list prices of 2026-05-25"
    )


def test_all_prices_of_a_workspace_need_no_table() -> None:
    listed = list_prices()
    rates = {"CPU": listed.core, "Memory": listed.gib, **listed.cards}
    assert own_prices(rates).words == "the workspace's own prices"


def test_no_price_of_a_workspace_leaves_the_list() -> None:
    assert own_prices({}).words == (
        "Modal's list prices of 2026-05-25: the workspace names no prices of its own"
    )


def test_another_spelling_names_the_same_card_and_its_own_name_counts() -> None:
    assert own_prices({"A10G": 0.0002}).cards["A10"] == 0.0002
    assert own_prices({"A10": 0.0003, "A10G": 0.0002}).cards["A10"] == 0.0003


def test_a_price_in_another_unit_is_not_taken() -> None:
    assert own_prices({"H100": 3.95}).cards["H100"] == H100


def test_a_bill_adds_up_and_names_what_it_lacks() -> None:
    facts = model_facts("hf://Qwen/Qwen3-8B", wanted(QWEN3).file.parent, wanted(QWEN3).project.root,
                        hashed=False)  # fmt: skip
    specs = [
        {**QWEN3, "name": "a", "gpu": [{"type": "H100"}], "keep_warm": 1},
        {**QWEN3, "name": "b", "gpu": [{"type": "L40S"}], "keep_warm": 2, "scaling": {"max": 3}},
        {**QWEN3, "name": "c", "gpu": [{"type": "H900"}], "keep_warm": 1},
    ]
    found = bill_of("prod", [assess(resolve(wanted(spec), facts), facts) for spec in specs])
    assert found.first == pytest.approx(HOUR * (H100 + 2 * L40S + 3 * LEAST))
    assert found.at_most[1] == pytest.approx(HOUR * 3 * (L40S + LEAST))
    assert (found.unlimited, found.unpriced) == (("a",), ("c",))
