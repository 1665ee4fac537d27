"""What does it cost, and who stops it? Summaries, budgets and policies, as users meet them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from modelctl.local import lifecycle
from tests.conftest import Project

QUIET = "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\nrollout: {gate: none}\n"
WARM = QUIET + "gpu: [L4, H100]\nkeep_warm: 1\n"
ASLEEP = QUIET + "gpu: [L4, H100]\n"


@pytest.fixture
def money(live: Project) -> Iterator[Project]:
    """A project without specs; its modelctl.yaml is what it was afterwards."""
    done = subprocess.run(
        [sys.executable, "-c",
         "import modal; modal.Volume.objects.create('shelf', allow_existing=True)"],
        env={"PATH": "/usr/bin:/bin", **lifecycle.environ(live.plane)},
        capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    for file in (live.root / "specs").glob("*.yaml"):
        file.unlink()
    yield live
    live.write("modelctl.yaml", "project: team\n")


def test_validate_says_what_keep_warm_and_all_at_their_max_cost(project: Project) -> None:
    project.spec("chat", WARM + "scaling: {max: 3}\n")
    project.spec("embed", ASLEEP)
    ran = project.run("validate", env={"COLUMNS": "80"})
    assert ran.code == 0, ran.out
    assert (
        "Warm cost   $0.81 to $3.96 an hour, $588 to $2,888 a month\n"
        "At most     $2.42 to $11.87 an hour; no scaling.max, so no most: embed\n"
        "            computed from Modal's list prices of 2026-05-25, from the cheapest\n"
        "            to the dearest GPU of each list\n"
        "\n"
        "2 specs are valid"
    ) in ran.out
    (bill,) = project.run("validate", "--output", "json").json["cost"]
    assert bill["keep_warm_usd_per_hour"]["low"] == pytest.approx(0.806094)
    assert bill["no_max"] == ["embed"]
    assert bill["prices"] == "Modal's list prices of 2026-05-25"


def test_a_budget_that_is_exceeded_denies(money: Project) -> None:
    money.spec("dear", WARM + "budget: {usd_per_hour: 0.50}\n")
    sentence = "keep_warm 1 costs $0.81 an hour on L4, the first of the list; the budget is $0.50"
    for command in (["validate"], ["plan", "--local"], ["apply", "--local", "--yes"]):
        since = money.last_call()
        ran = money.run(*command)
        assert ran.code == 3, command
        assert sentence in " ".join((ran.out + ran.err).split())
        assert money.calls("AppPublish", since) == []


def test_a_fallback_that_exceeds_the_budget_warns(project: Project) -> None:
    project.spec("dear", WARM + "budget: {usd_per_month: 600}\n")
    ran = project.run("validate")
    assert ran.code == 0
    assert (
        "where no L4 is free, keep_warm 1 may run on H100 and cost $2,887.95 a month; the budget "
        "is $600.00"
    ) in " ".join(ran.out.split())


def test_specs_that_exceed_the_policy_only_together_deny(project: Project) -> None:
    project.write("modelctl.yaml", "project: team\npolicy:\n  budget: {usd_per_month: 1000}\n")
    project.spec("a", WARM)
    assert project.run("validate").code == 0
    project.spec("b", WARM)
    ran = project.run("validate", "--output", "json")
    assert ran.code == 3
    (found,) = [d for d in ran.json["diagnostics"] if d["severity"] == "error"]
    assert found["code"] == "policy/budget"
    assert (found["file"], found["line"], found["path"]) == (
        "modelctl.yaml", 3, "policy.budget.usd_per_month",
    )  # fmt: skip
    assert found["message"] == (
        "keep_warm of all specs costs $1,176.90 a month, on the first GPU of each list; the "
        "project's policy allows $1,000.00"
    )
    assert found["hint"] == "the most: a $588.45, b $588.45"


def test_a_policy_from_outside_holds_beside_the_project_s_own(project: Project) -> None:
    outside = project.write("org/policy.yaml", "gpus: [L4]\nbudget: {usd_per_hour: 0.50}\n")
    project.spec("a", WARM + "allow: {policy/gpu: {reason: please}}\n")
    ran = project.run("validate", "--policy", str(outside), "--output", "json")
    assert ran.code == 3
    assert sorted(d["message"] for d in ran.json["diagnostics"] if d["severity"] == "error") == [
        "keep_warm costs $0.81 an hour on L4, the first of the list; the policy of org/policy.yaml "
        "allows $0.50",
        "the policy of org/policy.yaml does not allow H100",
    ]
    assert project.run("validate").code == 0


def test_a_policy_that_cannot_be_read_is_said_with_its_line(project: Project) -> None:
    outside = project.write("policy.yaml", "gpu: [L4]\n")
    project.spec("a", WARM)
    ran = project.run("validate", "--policy", str(outside))
    assert ran.code == 1
    assert "policy.yaml:1:1 error spec/unknown-field" in ran.err


@pytest.mark.full
def test_a_plan_of_one_app_counts_those_that_it_leaves_alone(money: Project) -> None:
    money.write("modelctl.yaml", "project: team\npolicy: {budget: {usd_per_hour: 1.00}}\n")
    money.spec("first", ASLEEP)
    assert money.run("apply", "first", "--local", "--yes").code == 0
    record = {"usd_per_hour": 0.9}
    _pretend(money, "first", record)
    money.spec("second", WARM)
    since = money.last_call()
    ran = money.run("apply", "second", "--local", "--yes")
    assert ran.code == 3
    assert (
        "error: keep_warm of all apps would cost $1.71 an hour, $0.90 of it of apps that are not "
        "in this plan; the policy allows $1.00\n"
    ) in ran.err
    assert money.calls("AppPublish", since) == []
    plan = money.run("plan", "second", "--local", "--output", "json")
    assert plan.code == 3
    assert plan.json["cost"]["usd_per_hour_of_other_apps"] == 0.9
    assert plan.json["changes"][0]["cost"] == {
        "usd_per_hour_before": None,
        "usd_per_hour_after": pytest.approx(0.806094),
        "usd_per_hour_on_dearest": pytest.approx(3.956094),
        "usd_per_hour_at_max": None,
    }
    money.spec("first", ASLEEP)
    assert money.run("destroy", "first", "--local", "--yes").code == 0


def test_a_workspace_s_own_prices_are_asked_for_once_and_come_first(money: Project) -> None:
    lifecycle.set_prices(money.plane, {"H100": 0.0005, "L4": 0.0002, "CPU": 0.00001})
    try:
        money.spec("chat", WARM + "scaling: {max: 2}\n")
        since = money.last_call()
        wide = {"COLUMNS": "100"}
        ran = money.run("plan", "chat", "--local", "--prices", "workspace", env=wide)
        assert ran.code == 0, ran.err
        assert len(money.calls("WorkspaceBillingRates", since)) == 1
        assert (
            "Warm cost   $0 → $530 a month (+$530 chat), $1,318 on the dearest GPUs\n"
            "At most     $1.45 an hour with every app at its max\n"
            "            on the first GPU of each list, computed from the workspace's own prices; "
            "memory, T4, A10\n"
            "            and 7 more by Modal's list prices of 2026-05-25\n"
        ) in ran.out
        ran = money.run("fit", "chat", "--local", "--prices", "workspace", "--output", "json")
        assert [row["usd_per_hour"] for row in ran.json["rows"][:2]] == [
            pytest.approx(3600 * (price + 0.125 * 0.00001 + 0.125 * 0.00000222))
            for price in (0.0002, 0.0005)
        ]
        assert ran.json["prices"].startswith("the workspace's own prices; memory, T4")
    finally:
        lifecycle.set_prices(money.plane, {})


def test_budgets_count_with_the_prices_that_were_asked_for(money: Project) -> None:
    lifecycle.set_prices(money.plane, {"L4": 0.0001})
    try:
        money.spec("chat", WARM + "budget: {usd_per_hour: 0.50}\n")
        assert money.run("plan", "chat", "--local").code == 3
        assert money.run("plan", "chat", "--local", "--prices", "workspace").code == 0
    finally:
        lifecycle.set_prices(money.plane, {})


def test_list_prices_ask_nobody(money: Project) -> None:
    money.spec("chat", WARM)
    since = money.last_call()
    assert money.run("fit", "chat", "--local").code == 0
    assert money.run("plan", "chat", "--local").code == 0
    assert money.calls("WorkspaceBillingRates", since) == []


def _pretend(project: Project, name: str, changed: dict[str, float]) -> None:
    """Change what the index remembers of an app."""
    program = (
        "import io, json, modal\n"
        "volume = modal.Volume.from_name('modelctl-team')\n"
        "index = json.loads(b''.join(volume.read_file('index.json')))\n"
        f"index['apps'][{name!r}].update({json.dumps(changed)})\n"
        "with volume.batch_upload(force=True) as batch:\n"
        "    batch.put_file(io.BytesIO(json.dumps(index).encode()), 'index.json')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/usr/bin:/bin", **lifecycle.environ(project.plane)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_what_runs_here_is_said_to_cost_nothing(money: Project) -> None:
    """Also in a shell that points here."""
    money.spec("free", WARM.replace("keep_warm: 1", "scaling: {max: 1}"))
    pointed = lifecycle.environ(money.plane)
    for options, env, where in (
        (["--local"], {}, "local control plane"),
        ([], pointed, "local control plane, environment main"),
    ):
        ran = money.run("plan", "free", *options, env={"COLUMNS": "80", **env})
        assert ran.out.startswith(f"{where} · 1 app\n"), ran.err
        assert (
            "\n\nOn Modal this would cost (here it costs nothing):\nAt most     $0.81 an hour"
        ) in ran.out
