"""Which keep_warm does `cost` hold the bill against: what lives, or what its spec plans?"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from modelctl.assess import Assessed
from modelctl.assess.cost import Cost
from modelctl.cli.cost import spent_of
from modelctl.record import Condemned, Entry, Hold
from modelctl.resolved import Unknown
from modelctl.views.spent import Spent
from tests.making import entry, resolved

UNTIL = datetime(2026, 11, 21, 12, tzinfo=UTC)
START = UNTIL - timedelta(hours=10)
HOLD = Hold("scaling", "ana", "launch", "2026-11-20T02:10:00Z", None, "scaled to keep_warm 1")


def found(lives: Entry | None, wanted: Assessed | None) -> Spent:
    return spent_of("chat", [], lives, wanted, START, START, UNTIL)


def wanted(keep_warm: int, usd: float | Unknown) -> Assessed:
    price = Cost((), 1.0, usd, 0.0)
    return Assessed(resolved(keep_warm=keep_warm), None, price, None)  # type: ignore[arg-type]


ONE = replace(entry(keep_warm=1), usd_per_hour=0.5)


def test_what_lives_as_its_spec_says_is_held_against_what_was_recorded() -> None:
    assert found(ONE, wanted(1, 0.7)) == Spent("chat", 0, 5.0, 0.5, 10.0)
    assert found(ONE, None).planned == 5.0
    assert found(ONE, wanted(2, Unknown("no price"))).planned == 5.0


def test_where_the_spec_keeps_another_number_warm_that_is_what_is_planned() -> None:
    assert found(ONE, wanted(2, 1.0)) == Spent(
        "chat", 0, 10.0, 1.0, 10.0, "keep_warm 1 → 2 is not applied yet"
    )
    asleep = found(ONE, wanted(0, 0.0))
    assert (asleep.planned, asleep.note) == (None, "keep_warm 1 → 0 is not applied yet")


def test_what_is_held_or_failed_stays_as_it_is() -> None:
    for kept in (
        replace(ONE, hold=HOLD),
        replace(ONE, condemned=Condemned("d1", 1, "could not boot")),
    ):
        assert found(kept, wanted(2, 1.0)) == Spent("chat", 0, 5.0, 0.5, 10.0)


def test_without_a_record_nothing_is_said_to_be_planned() -> None:
    assert found(None, wanted(2, 1.0)).note == "no price was written down when it was deployed"
