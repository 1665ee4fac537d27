"""What does each format say of money where nothing is paid? Once, and as what it would cost."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from msgspec.structs import replace

from modelctl.assess.bill import Bill
from modelctl.plan import Action, Change, Cost, Plan
from modelctl.views import machine, markdown, page, spent
from modelctl.views.human import changes, money, standing
from modelctl.views.paint import Paint
from modelctl.views.results import Planned, Standing, Validated
from modelctl.views.spent import Spending, Spent
from tests.views import results

PLAIN = Paint()
WARM = Change("chat", Action.CREATE, ("L4, 1 kept warm",), cost=Cost(None, 1.0, 1.0, 2.0))
HERE = Plan("main", "local control plane", (WARM,), prices="list prices", paid=False)
PAID = replace(HERE, where="Modal environment main", paid=True)
ROWS = results.ROWS[:2]


def bill(environment: str) -> Bill:
    return Bill(environment, "list prices", (1.0, 1.0), (2.0, 2.0), 1.0, 2.0, (("chat", 1.0),))


def test_a_plan_says_what_it_would_cost_on_modal() -> None:
    assert changes.plan(HERE, paint=PLAIN, width=80).split("\n\n")[2] == (
        "On Modal this would cost (here it costs nothing):\n"
        "Warm cost   $0 → $730 a month (+$730 chat)\n"
        "At most     $2.00 an hour with every app at its max\n"
        "            on the first GPU of each list, computed from list prices"
    )
    assert "On Modal" not in changes.plan(PAID, paint=PLAIN, width=80)


def test_so_does_a_comment() -> None:
    text = markdown.written(Planned(HERE))
    assert "|  | app | action | what | on Modal, a month |" in text
    assert "On Modal this would cost (here it costs nothing):<br>\n**Warm cost**" in text
    assert "on Modal" not in markdown.written(Planned(PAID)).lower()


def test_so_does_the_page() -> None:
    text = page.plan(HERE)
    for words in (
        "<dt>Warm on Modal, a month</dt>",
        "<dt>At most on Modal, an hour</dt>",
        ">On Modal, a month</th>",
        '<h2 id="cost-title">Cost on Modal</h2>',
        "On Modal this would cost; here it costs nothing.",
    ):
        assert text.count(words) == 1
    assert "on Modal" not in page.plan(PAID)


def test_a_program_reads_that_nothing_is_paid() -> None:
    assert json.loads(machine.plan(HERE))["cost"]["paid"] is False
    assert json.loads(machine.plan(PAID))["cost"]["paid"] is True
    (found,) = json.loads(machine.validation((), [bill("prod+local")]))["cost"]
    assert found["paid"] is False


def test_validate_says_it_of_the_local_overlay_alone() -> None:
    said = money.bills([bill("prod+local")], paint=PLAIN, width=80)
    assert said.startswith("On Modal this would cost (here it costs nothing):\nWarm cost   $1.00")
    assert "On Modal this would cost" in markdown.written(Validated((), bills=[bill("local")]))
    both = Validated((), bills=[bill("prod"), bill("local")])
    assert "On Modal" not in money.bills(both.bills, paint=PLAIN, width=80)
    assert "On Modal" not in markdown.written(both)
    assert "| local |" not in markdown.written(both)


def test_the_bill_of_the_local_control_plane_is_none() -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    here = Spending("", "local control plane", (Spent("chat", 6.0),), paid=False)
    said = spent.text([here], at, at, paint=PLAIN, width=80).splitlines()
    assert said[1] == "On Modal this would cost (here it costs nothing):"
    without = "  what ran on this machine's processor is counted without a GPU"
    assert said[-2:] == ["", without]
    nothing = spent.text([replace(here, apps=())], at, at, paint=PLAIN, width=80)
    assert without not in nothing
    (environment,) = spent.data([here], at, at)["environments"]  # type: ignore[misc, attr-defined]
    assert environment["paid"] is False
    paid = spent.text([replace(here, paid=True)], at, at, paint=PLAIN, width=80)
    assert "On Modal" not in paid and "processor" not in paid


def test_status_says_what_runs_would_cost() -> None:
    said = standing.status(ROWS, "local control plane", paint=PLAIN, width=80, paid=False)
    assert said.splitlines()[1].endswith("version      $/h on Modal")
    assert "\n  $18.47 an hour on Modal; here it costs nothing\n" in said
    here = Standing(ROWS, "main", "local control plane", "local", paid=False)
    text = markdown.written(here)
    assert "| $/h on Modal |" in text
    assert "\\$18.47 an hour on Modal; here it costs nothing" in text
    assert json.loads(machine.text(here))["paid"] is False
