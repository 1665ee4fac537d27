"""Does every view read well at 80 and at 160 columns? Whole screens, as files beside this one.

`UPDATE_GOLDEN=1` writes tests/views/screens again.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from itertools import groupby

import pytest
from msgspec.structs import replace

from modelctl.apply import Failure, Outcome, Result, Step
from modelctl.byhand.told import Told
from modelctl.loglines import METRICS, Said
from modelctl.plan import Action, FieldChange
from modelctl.platform.types import StoredWeights
from modelctl.surplus import Shelf
from modelctl.views import findings, spent
from modelctl.views.findings import Finding
from modelctl.views.human import changes, ended, history, logs, standing, stored
from modelctl.views.paint import Paint
from modelctl.views.rows import StatusRow
from modelctl.views.spent import Spending, Spent
from tests.cli.test_lock import InProcess
from tests.conftest import ROOT, Project
from tests.views import alike, sample
from tests.views.screens import FOLDER, WIDTHS, hold
from tests.views.terminal import on_a_terminal

PLAIN = Paint()
WHERE = "Modal environment prod, workspace acme"


@pytest.fixture
def there(project: Project, capsys: pytest.CaptureFixture[str]) -> Project:
    """A project of three specs and a lock, of which one has a fallback that may not fit."""
    sample.write(project.root)
    return InProcess(project.root, {"NO_COLOR": "1"}, said=capsys)


WRONG = """\
model: hf://meta-llama/Llama-3.3-70B-Instruct
backend: vllm
contxt: 8192
gpu: [H100:2, L40S:2]
keep_warm: two
endpoint: {auth: nobody}
scaling: {max: 1}
"""
COMMANDS: dict[str, tuple[str, ...]] = {
    "validate": ("validate",),
    "fit": ("fit", "chat-8b"),
    "fit-may-not": ("fit", "chat-70b"),
    "show": ("show", "chat-8b", "--env", "prod"),
    "explain": ("explain", "fit/may-not-fit"),
    "lock-check": ("lock", "--check"),
    "render": ("render", "drafts-4b", "--env", "prod", "-o", "out"),
    "no-such-spec": ("validate", "nothing"),
    "wrong-use": ("plan", "--nothing"),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command(there: Project, name: str, width: int) -> None:
    ran = there.run(*COMMANDS[name], env={"COLUMNS": str(width)})
    hold(name, width, ran.out + ran.err)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_project_begins(there: Project, width: int) -> None:
    for file in ("modelctl.yaml", *(f"specs/{name}.yaml" for name in sample.SPECS)):
        (there.root / file).unlink()
    ran = there.run(
        "init", "--project", "assistants", "--model", "Qwen/Qwen3-8B", "--gpu", "H100,A100-80GB",
        "--env", "staging,prod", "--ci", "github", env={"COLUMNS": str(width)},
    )  # fmt: skip
    assert ran.code == 0, ran.err
    hold("init", width, ran.out + ran.err)


@pytest.mark.parametrize("width", WIDTHS)
def test_validate_with_errors(there: Project, width: int) -> None:
    there.spec("chat-70b", WRONG)
    there.spec("drafts-4b", sample.SPECS["drafts-4b"].replace("16384", "65536"))
    ran = there.run("validate", env={"COLUMNS": str(width)})
    assert ran.code == 1
    hold("validate-errors", width, ran.out + ran.err)


@pytest.mark.parametrize("width", WIDTHS)
def test_plan(width: int) -> None:
    hold("plan", width, changes.plan(sample.plan_of_everything(), paint=PLAIN, width=width))


@pytest.mark.parametrize("width", WIDTHS)
def test_a_plan_in_which_many_apps_change_in_the_same_way(width: int) -> None:
    hold("plan-alike", width, changes.plan(alike.FLEET, paint=PLAIN, width=width))


def _outcome(name: str, action: Action, result: Result, **more: object) -> Outcome:
    return Outcome(name, action, result, **{"seconds": 41.2, **more})  # type: ignore[arg-type]


OUTCOMES = (
    _outcome("drafts-4b", Action.CREATE, Result.DONE, version=1,
             url="https://acme--drafts-4b-server.us-east.modal.direct"),
    _outcome("chat-8b", Action.IN_PLACE, Result.DONE, version=12, seconds=0.4,
             url="https://acme--chat-8b-server.us-east.modal.direct"),
    _outcome("chat-70b", Action.REDEPLOY, Result.FAILED, version=10, tried=9,
             failure=Failure.ANSWER,
             detail='answered wrong: check "answers in German" expected /München|Munich/; got '
             '"I\'m not sure which city"; v8 serves, as it did all along',
             lines=("14:31:02 engine   WARNING chat template not found, using default",
                    "14:31:09 engine   INFO    Uvicorn running on http://0.0.0.0:8000 (Press "
                    "CTRL+C to quit), started server process [112]")),
    _outcome("summarize", Action.DRIFT, Result.SKIPPED,
             detail="wave 2 was not begun: chat-70b failed"),
    _outcome("search-8b", Action.HELD, Result.HELD, version=7),
    _outcome("rerank", Action.BLOCKED, Result.FAILED, version=9,
             detail='v8 failed: answered wrong: check "capital" expected "Paris" in the answer; '
             'got "Lyon", v9 serves (v7 again); change the spec, or --retry'),
    *(_outcome(f"team-{n:02}", Action.UNCHANGED, Result.UNCHANGED, version=3) for n in range(34)),
)  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_what_apply_did(width: int) -> None:
    said = ended.outcomes(OUTCOMES, 372.4, paint=PLAIN, width=width, options="--env prod")
    hold("apply", width, said)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_progress_of_apply_in_a_log(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from modelctl.cli.progress import progress

    monkeypatch.setenv("COLUMNS", str(width))
    steps = [
        Step("", "wave 1 of 2:", "chat-8b, chat-70b, drafts-4b"),
        Step("chat-8b", "scaling"),
        Step("chat-8b", "", outcome=OUTCOMES[1]),
        Step("drafts-4b", "image", "step 3 of 4: uv pip install vllm==0.32.0"),
        Step("chat-70b", "placing", "waiting for 4 × H100"),
        Step("drafts-4b", "fetching", "3.1 of 8.0 GB"),
        Step("chat-70b", "booting", "loading weights"),
        Step("drafts-4b", "", outcome=OUTCOMES[0]),
        Step("chat-70b", "", outcome=OUTCOMES[2]),
        Step("summarize", "", outcome=OUTCOMES[3]),
        Step("rerank", "", outcome=OUTCOMES[5]),
    ]
    with progress(sample.plan_of_everything()) as tell:
        for step in steps:
            tell(step)
    hold("apply-progress", width, capsys.readouterr().err, whole=True)


@pytest.mark.parametrize("width", [80, pytest.param(160, marks=pytest.mark.full)])
def test_the_progress_of_apply_on_a_terminal(width: int) -> None:
    """What is over stands above, what is under way below, each with its time."""
    program = ("-m", "tests.views.progress_worker")
    shown = on_a_terminal(program, ROOT, width, lambda s: "placing" in s and s.count("0:00:0") == 2)
    shown = re.sub(r"[\u2800-\u28ff]", "⠹", shown)
    hold("apply-live", width, re.sub(r"0:00:\d\d", "0:00:01", shown))


STATUS = (
    StatusRow("chat-8b", "in sync", "healthy", "2 of 2..8 H100", 12,
              "https://acme--chat-8b-server.us-east.modal.direct", commit="8f3ab1e",
              usd_per_hour=9.68),
    StatusRow("chat-70b", "blocked", "healthy", "1 of 1..4 H100:4", 10,
              "https://acme--chat-70b-server.us-east.modal.direct", again=8, usd_per_hour=15.8,
              reasons=('v9 failed: answered wrong: check "answers in German" expected '
                       "/München|Munich/; v10 serves (v8 again); change the spec, or --retry",)),
    StatusRow("drafts-4b", "in sync", "asleep", "0 of 0.. L4", 1,
              "https://acme--drafts-4b-server.us-east.modal.direct", commit="8f3ab1e",
              usd_per_hour=0.0),
    StatusRow("search-8b", "held", "healthy", "3 of 2..8 L40S", 7, None, again=6,
              usd_per_hour=5.85,
              reasons=('rolled back to v6 by ana, "latency", until 2026-11-23 09:00 UTC',)),
    StatusRow("summarize", "drifted", "waiting 6 min", "0 of 1..12 H200", 4, None,
              commit="77c0d92", usd_per_hour=0.0, waiting_for="H200",
              reasons=("live scaling.max 12, spec 4: apply sets 4",)),
    StatusRow("legacy", "foreign", "-", "-", 3, None),
)  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_status(width: int) -> None:
    hold("status", width, standing.status(STATUS, WHERE, paint=PLAIN, width=width))


LONG = "assistants-for-claims-intake-of-the-north-70b"
DEEP = "chat-of-somebody-with-many-words-to-say-about-it"


@pytest.mark.parametrize("width", WIDTHS)
def test_status_of_long_names(width: int) -> None:
    rows = [replace(row, name=f"{LONG}-{n}" if n else row.name, url=row.url and f"{row.url}/{LONG}")
            for n, row in enumerate(STATUS)]  # fmt: skip
    text = standing.status(rows, WHERE, paint=PLAIN, width=width)
    hold("status-long-names", width, text, whole=True)  # a URL stays whole
    assert not [line for line in text.splitlines() if len(line) > width and "https://" not in line]


@pytest.mark.parametrize("width", WIDTHS)
def test_status_of_many_gpus(width: int) -> None:
    rows = [replace(row, name=f"{DEEP}-{n}", health="not asked (no token)", url=None,
                    live="12 of 12..200 A100-80GB:8 or RTX-PRO-6000:8")
            for n, row in enumerate(STATUS)]  # fmt: skip
    hold("status-many-gpus", width, standing.status(rows, WHERE, paint=PLAIN, width=width))


FOUND = (
    Finding("this machine", "ok", "modelctl 0.1.0 with modal 1.6.4"),
    Finding("this machine", "attention", "engines here: llama-server b9870; not here: vllm, "
            "llama-cpp-python", "pip install 'modelctl[local]' brings llama-server"),
    Finding("project", "ok", "project assistants in /home/ana/assistants"),
    Finding("project", "attention", "2 models that nothing pins: Qwen/Qwen3-8B, Qwen/Qwen3-4B",
            "modelctl lock writes down which commit is meant"),
    Finding("Modal", "missing", "the credentials are of the workspace acme-labs, and prod is in "
            "acme", "use a token of acme, or change workspace in modelctl.yaml"),
    Finding("Hugging Face", "ok", "a token is there"),
)  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_doctor(width: int) -> None:
    areas = [
        findings.area(name, list(of_area), paint=PLAIN, width=width, plain=False)
        for name, of_area in groupby(FOUND, lambda one: one.area)
    ]
    hold("doctor", width, "\n\n".join([*areas, f"{findings.summary(FOUND)} · 0.3 s"]))


SPENT = (
    Spending(
        "prod",
        WHERE,
        (
            Spent("chat-70b", 4_120.5, 3_811.2, 15.88, 240.0),
            Spent("chat-8b", 1_204.0, 2_323.2, 9.68, 240.0, "keep_warm 1 → 2 is not applied yet"),
            Spent("drafts-4b", 0.0031, None, 0.0, 240.0, "scale to zero"),
            Spent("legacy-7b", 20.0, note="lives no more"),
        ),
        others=3.5,
    ),
    Spending("staging", "Modal environment staging", not_asked="nobody answers; try again"),
)


@pytest.mark.parametrize("width", WIDTHS)
def test_what_apps_did_cost(width: int) -> None:
    since, until = datetime(2026, 10, 22, tzinfo=UTC), datetime(2026, 11, 21, 20, 5, tzinfo=UTC)
    hold("cost", width, spent.text(SPENT, since, until, paint=PLAIN, width=width))


TOLD = (
    Told("2026-11-20T23:10:00Z", "ana@laptop", "", "rolled back to v6", 7, why="latency",
         is_=6, lives=True),
    Told("2026-11-20T18:02:11Z", "github run 1842", "8f3ab1e", "deployed", 6 + 0,
         fields=(("backend.version", "0.31.0", "0.32.0"), ("context", 16384, 32768),
                 ("kv_cache", None, "fp8"))),
    Told("2026-11-20T17:55:40Z", "github run 1841", "77c0d92", "tried", 5, result="failed",
         why="could not boot: the engine ended with exit code 1 before it was ready: "
             "ValueError: unrecognized arguments: --kv-cache-dtpe"),
    Told("2026-11-19T09:14:05Z", "somebody-with-a-long-name@build-17", "", "scaled", None,
         fields=(("scaling.max", 4, 12),), why="launch day"),
    Told("", "", "", "deployed", 4),
)  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_history(width: int) -> None:
    held = 'rolled back to v6 by ana@laptop, "latency", until 2026-11-23 09:00 UTC'
    said = history.history(TOLD, "search-8b", WHERE, held, paint=PLAIN, width=width)
    fields = (
        FieldChange("backend.version", "0.31.0", "0.32.0"),
        FieldChange("context", 16384, 32768),
        FieldChange("checks.answers.messages[0].content", None, "What is the capital of " * 5),
    )
    two = history.difference("search-8b", 5, 6, fields, paint=PLAIN, width=width)
    hold("history", width, f"{said}\n\n{two}")


LOG = (
    ("modelctl", "INFO", "the gate is passed after 41.2 s: 2 checks"),
    ("engine", "INFO", "Uvicorn running on http://0.0.0.0:8000"),
    ("engine", "WARNING", "chat template not found, using default"),
    ("engine", "ERROR", "CUDA out of memory. Tried to allocate 2.00 GiB"),
    ("app", "", "a line of its own"),
    ("modelctl", METRICS,
     '{"running": 3, "waiting": 1, "waiting_share": 0.25, "tokens_per_second": 412.0, '
     '"prompt_tokens_per_second": 1024.5, "gpu": [{"utilization": 97, "memory_used_mib": 70042, '
     '"memory_total_mib": 81510, "power_w": 612, "temperature_c": 64}]}'),
    ("modal", "DEBUG", "container ta-01 started"),
)  # fmt: skip


@pytest.mark.parametrize("width", WIDTHS)
def test_logs(width: int) -> None:
    at = datetime(2026, 11, 21, 14, 31, 2, tzinfo=UTC)
    lines = [logs.line(Said(at, *said), paint=PLAIN) for said in LOG]
    hold("logs", width, "\n".join(lines), whole=True)


@pytest.mark.parametrize("width", WIDTHS)
def test_weights(width: int) -> None:
    newest = datetime(2026, 11, 20, tzinfo=UTC)

    def shelf(source: str, size: int, *apps: str, complete: bool = True) -> Shelf:
        kept = StoredWeights(
            source=source, commit=sample.COMMIT, prefix=f"/{sample.COMMIT}", files=4, size=size,
            complete=complete, newest=newest,
        )  # fmt: skip
        return Shelf(kept, apps, named=bool(apps))

    shelves = (
        shelf("hf://meta-llama/Llama-3.3-70B-Instruct", 141_107_412_992, "chat-70b"),
        shelf("hf://Qwen/Qwen3-8B", 16_381_470_720, "chat-8b", "search-8b", "summarize"),
        shelf(
            "hf://an-organization/a-model-with-a-rather-long-name-GGUF", 4_700_000, complete=False
        ),
    )
    hold("weights-ls", width, stored.listing(shelves, WHERE, paint=PLAIN, width=width))


def test_every_screen_is_held_at_both_widths() -> None:
    names = {file.name.split(".")[0] for file in FOLDER.iterdir()}
    assert {f"{name}.{width}.txt" for name in names for width in WIDTHS} == {
        file.name for file in FOLDER.iterdir()
    }
