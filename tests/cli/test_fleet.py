"""What does apply do with several apps, strangers, failures and leavers? No engine has to run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelctl.local import lifecycle
from tests.conftest import Project
from tests.hub.server import Hub
from tests.weights.test_gguf import file as header

QUIET = "model: volume://shelf/m.gguf\nbackend: llama.cpp\ncontext: 2048\nrollout: {gate: none}\n"


def by_hand(project: Project, program: str) -> None:
    """What somebody does with the SDK alone, past modelctl."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/usr/bin:/bin", **lifecycle.environ(project.plane)},
        cwd=project.root,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


@pytest.fixture(scope="module")
def fleet(live: Project) -> Project:
    by_hand(
        live,
        "import modal\nfor v in ('shelf', 'cache'): modal.Volume.objects.create(v)\n"
        "modal.Secret.objects.create('half', {'ONE': '1'})",
    )
    return live


@pytest.fixture(autouse=True)
def empty_specs(live: Project) -> None:
    """Each test writes the specs that it speaks of."""
    for file in (live.root / "specs").glob("*.yaml"):
        file.unlink()


def actions(ran_json: Any) -> dict[str, str]:
    return {change["name"]: change["action"] for change in ran_json["changes"]}


def results(ran_json: Any) -> dict[str, str]:
    return {outcome["name"]: outcome["result"] for outcome in ran_json["outcomes"]}


def test_several_apps_are_created_at_once_and_known_the_next_time(fleet: Project) -> None:
    for name in ("a1", "a2", "a3"):
        fleet.spec(name, QUIET)
    ran = fleet.run("apply", "--local", "--yes", "--output", "json")
    assert ran.code == 0, ran.err
    assert results(ran.json) == {"a1": "done", "a2": "done", "a3": "done"}
    assert set(actions(fleet.run("plan", "--local", "--output", "json").json).values()) == {
        "unchanged"
    }


def test_json_goes_to_standard_output_and_all_else_to_standard_error(fleet: Project) -> None:
    fleet.spec("a1", QUIET)
    ran = fleet.run("apply", "a1", "--local", "--yes", "--output", "json")
    assert ran.json["format"] == 1


def test_one_app_that_fails_does_not_stop_the_others(fleet: Project) -> None:
    fleet.spec("good", QUIET)
    fleet.spec("bad", QUIET + "secrets: {half: [OTHER]}\n")
    ran = fleet.run("apply", "--local", "--yes", "--output", "json")
    assert ran.code == 4
    assert results(ran.json)["good"] == "done"
    assert results(ran.json)["bad"] == "failed"
    (detail,) = [o["detail"] for o in ran.json["outcomes"] if o["name"] == "bad"]
    assert detail.startswith("deploying bad: ")
    assert "OTHER" in detail


def test_an_app_of_somebody_else_is_left_alone(fleet: Project) -> None:
    by_hand(
        fleet,
        "import modal\napp = modal.App('theirs')\napp.deploy(name='theirs')",
    )
    fleet.spec("theirs", QUIET)
    since = fleet.last_call()
    ran = fleet.run("apply", "theirs", "--local", "--yes")
    assert ran.code == 1
    assert "  × theirs  foreign    an app of this name was deployed by" in ran.out
    assert fleet.calls("AppPublish", since) == []
    ran = fleet.run("destroy", "theirs", "--local", "--yes")
    assert ran.code == 1
    assert "error: theirs is left alone: an app of this name was deployed by" in ran.err


def test_an_app_without_a_spec_is_deleted_only_with_prune(fleet: Project) -> None:
    fleet.spec("stays", QUIET)
    fleet.spec("goes", QUIET)
    assert fleet.run("apply", "--local", "--yes").code == 0
    (fleet.root / "specs" / "goes.yaml").unlink()
    ran = fleet.run("apply", "--local", "--yes")
    assert ran.code == 0
    assert "  - goes" in ran.out
    assert "not in specs (needs --prune)" in ran.out
    assert "goes" in actions(fleet.run("plan", "--local", "--output", "json").json)
    ran = fleet.run("apply", "--local", "--yes", "--prune", "--output", "json")
    assert ran.code == 0
    assert results(ran.json)["goes"] == "done"
    assert results(ran.json)["stays"] == "unchanged"
    after = actions(fleet.run("plan", "--local", "--output", "json").json)
    assert after == {"stays": "unchanged"}


@pytest.mark.full
def test_nothing_is_pruned_when_something_failed(fleet: Project) -> None:
    fleet.spec("leaver", QUIET)
    assert fleet.run("apply", "leaver", "--local", "--yes").code == 0
    (fleet.root / "specs" / "leaver.yaml").unlink()
    fleet.spec("broken", QUIET + "secrets: {half: [OTHER]}\n")
    ran = fleet.run("apply", "--local", "--yes", "--prune", "--output", "json")
    assert ran.code == 4
    (detail,) = [o["detail"] for o in ran.json["outcomes"] if o["name"] == "leaver"]
    assert detail == "not deleted, because something failed before"


@pytest.mark.full
def test_what_the_record_forgot_is_found_by_its_mark(fleet: Project) -> None:
    fleet.spec("marked", QUIET)
    assert fleet.run("apply", "marked", "--local", "--yes").code == 0
    by_hand(fleet, "import modal; modal.Volume.objects.delete('modelctl-team')")
    assert actions(fleet.run("plan", "marked", "--local", "--output", "json").json) == {
        "marked": "unchanged"
    }


@pytest.mark.full
def test_a_version_that_somebody_deployed_by_hand_is_deployed_over(fleet: Project) -> None:
    fleet.spec("moved", QUIET)
    assert fleet.run("apply", "moved", "--local", "--yes").code == 0
    assert fleet.run("render", "moved", "--local", "-o", "out").code == 0
    file = fleet.root / "out" / "serve_moved.py"
    file.write_text(file.read_text().replace('"--ctx-size", "8192"', '"--ctx-size", "64"'))
    by_hand(
        fleet, "import sys; sys.path.insert(0, 'out'); import serve_moved; serve_moved.app.deploy()"
    )
    (change,) = fleet.run("plan", "moved", "--local", "--output", "json").json["changes"]
    assert (change["action"], change["does"]) == ("drift", "redeploy")
    assert change["reasons"] == [
        "v2 was deployed by local without modelctl, v1 was recorded; apply deploys it as the spec "
        "says"
    ]


def test_scaling_in_place_leaves_alone_what_the_spec_does_not_say(fleet: Project) -> None:
    """To the autoscaler a target of None means: never scale again."""
    fleet.spec("scaled", QUIET)
    assert fleet.run("apply", "scaled", "--local", "--yes").code == 0
    fleet.spec("scaled", QUIET + "scaling: {max: 3, idle_timeout: 1m}\n")
    since = fleet.last_call()
    ran = fleet.run("apply", "scaled", "--local", "--yes")
    assert "  ~ scaled  in place   scaling.max unset → 3, scaling.idle_timeout 5m → 1m\n" in ran.out
    (call,) = fleet.calls("FunctionUpdateSchedulingParams", since)
    assert call["request"]["settings"] == {
        "min_containers": 0,
        "max_containers": 3,
        "buffer_containers": 0,
        "scaledown_window": 60,
    }
    status = fleet.run("status", "scaled", "--local").out
    assert "  scaled  in sync  asleep  0 of 0..3  v1               0.00\n" in status


@pytest.mark.full
def test_destroy_takes_nothing_away_when_a_name_is_wrong(fleet: Project) -> None:
    fleet.spec("right", QUIET)
    assert fleet.run("apply", "right", "--local", "--yes").code == 0
    ran = fleet.run("destroy", "right", "wrong", "--local", "--yes")
    assert ran.code == 1
    assert "no spec in specs has the name wrong" in ran.err
    assert "right" in fleet.run("status", "right", "--local").out
    assert fleet.run("plan", "right", "--local", "--output", "json").json["changes"][0][
        "action"
    ] == ("unchanged")


def test_an_app_can_be_taken_away_although_its_spec_is_wrong_or_gone(fleet: Project) -> None:
    fleet.spec("broken", QUIET)
    fleet.spec("gone", QUIET)
    assert fleet.run("apply", "--local", "--yes").code in {0, 4}
    fleet.spec("broken", QUIET + "contxt: 1\ngpu: [H1000]\n")
    (fleet.root / "specs" / "gone.yaml").unlink()
    ran = fleet.run("destroy", "broken", "gone", "--local", "--yes")
    assert ran.code == 0, ran.err
    assert "✔ broken  destroyed" in ran.out
    assert "✔ gone  destroyed" in ran.out


@pytest.mark.full
def test_what_modelctl_lost_sight_of_is_found_by_status_and_prune(fleet: Project) -> None:
    """Killed between deploying and remembering, and then the spec was deleted."""
    fleet.spec("lost", QUIET)
    assert fleet.run("render", "lost", "--local", "-o", "out").code == 0
    by_hand(
        fleet, "import sys; sys.path.insert(0, 'out'); import serve_lost; serve_lost.app.deploy()"
    )
    (fleet.root / "specs" / "lost.yaml").unlink()
    fleet.spec("stays", QUIET)
    status = fleet.run("status", "--local", "--output", "json").json
    assert "no spec" in {a["sync"] for a in status["apps"] if a["name"] == "lost"}
    ran = fleet.run("apply", "--local", "--yes", "--prune", "--output", "json")
    assert results(ran.json)["lost"] == "done"


@pytest.mark.full
def test_protect_holds_although_the_spec_is_gone(fleet: Project) -> None:
    fleet.spec("precious", QUIET + "protect: true\n")
    assert fleet.run("apply", "precious", "--local", "--yes").code == 0
    (fleet.root / "specs" / "precious.yaml").unlink()
    fleet.spec("other", QUIET)
    ran = fleet.run("apply", "--local", "--yes", "--prune", "--output", "json")
    (outcome,) = [o for o in ran.json["outcomes"] if o["name"] == "precious"]
    assert outcome["result"] == "skipped"
    assert outcome["detail"] == "protected: put its spec back, take protect out, and apply"


def test_protect_refuses_to_destroy(fleet: Project) -> None:
    fleet.spec("kept", QUIET + "protect: true\n")
    assert fleet.run("apply", "kept", "--local", "--yes").code == 0
    ran = fleet.run("destroy", "kept", "--local", "--yes")
    assert ran.code == 1
    assert ran.err == "error: kept says protect: true\nhelp: take protect out of the spec first\n"


def test_destroy_wants_to_be_told_what(fleet: Project) -> None:
    ran = fleet.run("destroy", "--local", "--yes")
    assert ran.code == 64
    assert "say what to destroy" in ran.err


def test_without_a_terminal_apply_wants_yes(fleet: Project) -> None:
    fleet.spec("asked", QUIET)
    ran = fleet.run("apply", "asked", "--local")
    assert ran.code == 64
    assert "there is no terminal to ask on: say --yes" in ran.err


@pytest.mark.full
def test_a_model_that_nothing_pins_is_rejected_unless_allowed(fleet: Project, hub: Hub) -> None:
    hub.add("org/m", {"m.gguf": header()})
    fleet.spec("hub", "model: {source: hf://org/m, file: m.gguf}\nrollout: {gate: none}\n")
    ran = fleet.run("apply", "hub", "--local", "--yes")
    assert ran.code == 1
    assert "say --allow-unlocked" in " ".join(ran.out.split())
    ran = fleet.run("apply", "hub", "--local", "--yes", "--allow-unlocked", env=hub.variables)
    assert ran.code == 0, ran.out + ran.err


PINNED = (
    "model: {source: hf://Qwen/Qwen3-8B, revision: b968826d9c46dd6066d109eabc6255188de91218}\n"
    "backend: vllm\ncontext: 8192\ngpu: H100\nrollout: {gate: health}\n"
)


def test_a_machine_without_the_engine_says_what_is_missing_and_fetches_nothing(
    fleet: Project,
) -> None:
    fleet.spec("vllm-here", PINNED)
    missing = "this machine cannot run it: there is no vllm here; put vllm on PATH"
    (change,) = fleet.run("plan", "vllm-here", "--local", "--output", "json").json["changes"]
    assert change["reasons"] == ["H100, scale to zero", missing]
    nobody = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    ran = fleet.run("apply", "vllm-here", "--local", "--yes", "--output", "json", env=nobody)
    assert ran.code == 0, ran.out + ran.err
    (outcome,) = ran.json["outcomes"]
    assert outcome["detail"] == "not seen running: this machine has no vllm"


SPECIFIC = """\
model: volume://shelf/m.gguf
backend: llama.cpp
context: 2048
gpu: [H100, A100-80GB, "L40S:2"]
cpu: 8
memory: 32GiB
keep_warm: 0
scaling: {max: 6, buffer: 1, idle_timeout: 10m, scaleup_window: 20s}
concurrency: {target: 3, max: 12}
endpoint: {region: us-west, compute_regions: [us], startup_timeout: 15m, drain: 45s}
volumes: {/data: {name: cache, read_only: true}}
secrets: {tokens: [HF_TOKEN]}
env: {GREETING: "it's \\"here\\""}
labels: {team: search}
rollout: {gate: none}
"""


def test_the_plane_receives_what_the_spec_says(fleet: Project) -> None:
    by_hand(fleet, "import modal; modal.Secret.objects.create('tokens', {'HF_TOKEN': 'canary-9'})")
    fleet.spec("specific", SPECIFIC)
    since = fleet.last_call()
    ran = fleet.run("apply", "specific", "--local", "--yes")
    assert ran.code == 0, ran.out + ran.err
    (call,) = fleet.calls("FunctionCreate", since)
    assert "canary-9" not in json.dumps(fleet.calls(since=since))
    data = call["request"]["function_data"]
    ranked = [f["function"]["resources"] for f in data["ranked_functions"]]
    assert [(r["gpu_config"]["gpu_type"], r["gpu_config"].get("count", 1)) for r in ranked] == [
        ("H100", 1),
        ("A100-80GB", 1),
        ("L40S", 2),
    ]
    first = data["ranked_functions"][0]["function"]
    assert ranked[0]["milli_cpu"] == 8000
    assert ranked[0]["memory_mb"] == 32 * 1024
    scaling = first.get("autoscaler_settings") or data["autoscaler_settings"]
    assert scaling == {
        "min_containers": 0,
        "max_containers": 6,
        "buffer_containers": 1,
        "scaleup_window": 20,
        "scaledown_window": 600,
        "target_concurrency_float": 3.0,
    }
    assert first["max_concurrent_inputs"] == 12
    assert first["http_config"] == {
        "port": 8000,
        "proxy_regions": ["us-west"],
        "startup_timeout": 900,
        "exit_grace_period": 45,
    }
    assert first["scheduler_placement"]["regions"] == ["us"]
    assert not first.get("checkpointing_enabled")
    mounts = {m["mount_path"]: m.get("read_only", False) for m in first["volume_mounts"]}
    assert mounts == {"/models": True, "/data": True}
    assert len(first["secret_ids"]) == 2  # tokens, and what env says
    assert first["is_server"] is True
    tags = [c for c in fleet.calls(since=since) if "modelctl-digest" in json.dumps(c["request"])]
    assert any("search" in json.dumps(c["request"]) for c in tags)


def test_a_snapshot_asks_for_one_with_the_gpu_s_memory(fleet: Project) -> None:
    fleet.spec(
        "frozen",
        "model: {source: hf://Qwen/Qwen3-8B, revision: b968826d9c46dd6066d109eabc6255188de91218}\n"
        "backend: vllm\ncontext: 8192\ngpu: H100!\nsnapshot: gpu\nrollout: {gate: none}\n",
    )
    since = fleet.last_call()
    ran = fleet.run("apply", "frozen", "--local", "--yes")
    assert ran.code == 0, ran.out + ran.err
    (call,) = fleet.calls("FunctionCreate", since)
    function = call["request"]["function"]  # with one GPU there is nothing to rank
    assert function["checkpointing_enabled"] is True
    assert function["experimental_options"] == {"enable_gpu_snapshot": "True"}
    assert function["resources"]["gpu_config"]["gpu_type"] == "H100!"


def test_environments_of_one_project_do_not_see_each_other(fleet: Project, tmp_path: Path) -> None:
    del tmp_path
    fleet.spec("both", QUIET + "environments: {local: {context: 4096}}\n")
    ran = fleet.run("show", "both", "--local", "--output", "json")
    assert ran.json["specs"][0]["context"] == 4096
    ran = fleet.run("show", "both", "--output", "json")
    assert ran.json["specs"][0]["context"] == 2048


def test_one_broken_spec_blinds_neither_status_nor_the_shelf(fleet: Project) -> None:
    for name in ("sees", "hurt", "torn"):
        fleet.spec(name, QUIET)
    assert fleet.run("apply", "--local", "--yes").code == 0
    fleet.spec("hurt", QUIET + "contxt: 1\ngpu: [H1000]\n")
    fleet.write("specs/torn.yaml", "name: [torn\n")
    ran = fleet.run("status", "--local", "--output", "json")
    assert ran.code == 1
    sync = {app["name"]: app["sync"] for app in ran.json["apps"]}
    assert (sync["sees"], sync["hurt"], sync["torn"]) == ("in sync", "spec is wrong", "not known")
    assert ran.err == (
        "specs/hurt.yaml has 2 errors, so that what it asks for is not compared\n"
        "specs/torn.yaml has 1 error, so that what it asks for is not compared\n"
        "help: modelctl validate\n"
    )
    ran = fleet.run("weights", "gc", "--local", "--yes")
    assert (ran.code, ran.err) == (
        1,
        "error: specs/hurt.yaml, specs/torn.yaml have errors, so which weights are needed is not "
        "known\nhelp: modelctl validate\n",
    )
    assert fleet.run("status", "nobody", "--local").code == 1
