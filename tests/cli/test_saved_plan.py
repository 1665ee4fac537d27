"""Is what was reviewed what is applied? A plan in a file, against a real plane."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_fleet import QUIET, actions, by_hand
from tests.conftest import Project

pytestmark = pytest.mark.full


def test_a_saved_plan_is_carried_out_or_refused_and_never_something_else(live: Project) -> None:
    by_hand(live, "import modal\nmodal.Volume.objects.create('shelf')")
    live.spec("saved-a", QUIET)
    live.spec("saved-b", QUIET)
    assert live.run("apply", "saved-b", "--local", "--yes").code == 0
    live.spec("saved-b", QUIET + "keep_warm: 0\nscaling: {max: 2}\n")
    kept = live.write("kept", "another file's")
    (live.root / "plan.json").symlink_to(kept)
    ran = live.run("plan", "--local", "-o", "plan.json", "--output", "json")
    assert kept.read_text() == "another file's"
    assert (ran.code, actions(ran.json)) == (0, {"saved-a": "create", "saved-b": "in-place"})
    assert "import modal" not in Path(live.root / "plan.json").read_text()

    ran = live.run("apply", "saved-a", "--plan", "plan.json")
    assert (ran.code, ran.err.splitlines()[0]) == (
        64,
        "error: --plan says which specs and where: leave WHAT, -l, --env and --local out",
    )
    ran = live.run("apply", "--plan", "plan.json", "--prune", "--override-hold")
    assert (ran.code, ran.err.splitlines()[0]) == (
        64,
        "error: plan.json was saved without --prune, --override-hold: say that to plan -o, or "
        "nowhere",
    )
    live.spec("saved-a", QUIET.replace("2048", "1024"))
    ran = live.run("apply", "--plan", "plan.json")
    assert (ran.code, ran.err.splitlines()) == (
        6,
        [
            "error: the specs are not those that the plan was made of: saved-a",
            "help: nothing was changed; plan again, or apply from the commit of the plan",
        ],
    )
    live.spec("saved-a", QUIET)
    ran = live.run("apply", "--plan", "plan.json")
    assert ran.code == 0, ran.out + ran.err
    assert "2 applied · " in ran.out

    ran = live.run("apply", "--plan", "plan.json")
    assert ran.code == 6
    assert ran.err.startswith(
        "error: what lives is not what the plan was made for: saved-a, saved-b\n"
    )
    live.write("plan.json", "nonsense")
    ran = live.run("apply", "--plan", "plan.json")
    assert (ran.code, ran.err.splitlines()[0]) == (
        64,
        "error: plan.json is not a saved plan: it is not JSON",
    )
