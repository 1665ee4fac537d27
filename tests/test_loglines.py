"""What does a line of an app's log say, and which lines explain a failure?"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from modelctl.loglines import Said, read, telling, waiting
from modelctl.platform.types import LogLine
from modelctl.views.human import logs
from modelctl.views.paint import Paint

NOON = datetime(2026, 11, 21, 12, 0, 5, tzinfo=UTC)


def said(text: str, source: str = "stdout") -> list[Said]:
    return list(read(LogLine(NOON, source, text, "ta-1")))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "source", "who", "level", "words"),
    [
        ("engine WARNING no template\n", "stdout", "engine", "WARNING", "no template"),
        ("modelctl INFO chat on L4: llama-server", "stdout", "modelctl", "INFO",
         "chat on L4: llama-server"),
        ("modelctl: could not boot: no GPU", "stdout", "modelctl", "ERROR",
         "could not boot: no GPU"),
        ("hello", "stdout", "app", "", "hello"),
        ("Ready for task", "system", "modal", "", "Ready for task"),
        ("engine of a car", "stdout", "app", "", "engine of a car"),
    ],
)  # fmt: skip
def test_a_line_says_who_and_how_serious(
    text: str, source: str, who: str, level: str, words: str
) -> None:
    (line,) = said(text, source)
    assert (line.who, line.level, line.text, line.container) == (who, level, words, "ta-1")


def test_an_entry_may_hold_several_lines() -> None:
    assert [line.text for line in said("engine INFO a\n\n  \nengine INFO b\n")] == ["a", "b"]


def test_only_two_sentences_condemn_a_version() -> None:
    lines = said(
        "modelctl: could not boot: x\nmodelctl: answered wrong: y\nmodelctl: something else\n"
        "engine ERROR could not boot: z\nmodelctl ERROR the engine ended with exit code 1"
    )
    assert [line.condemns for line in lines] == [True, True, False, False, False]


def test_the_first_errors_explain_and_frames_of_tracebacks_do_not() -> None:
    """As vLLM writes when a worker of its engine does not start."""
    worker, core = "(Worker pid=7) [multiproc_executor.py:953]", "(EngineCore pid=6) [core.py:9]"
    text = "\n".join(
        [
            "engine INFO (APIServer pid=5) [model.py:733] Resolved architecture",
            f"engine ERROR {worker} WorkerProc failed to start.",
            f"engine ERROR {worker} Traceback (most recent call last):",
            f'engine ERROR {worker}   File "/vllm/llama.py", line 9, in load',
            f"engine ERROR {worker}            ^^^^^^^^^",
            f"engine ERROR {worker} RuntimeError: start (0) exceeds dimension size (64).",
            f"engine ERROR {core} Exception: WorkerProc initialization failed",
            *(f"engine ERROR leaked {n}" for n in range(20)),
            'modelctl METRICS {"gpu": []}',
            "modelctl: could not boot: the engine ended with exit code 1 before it was ready",
        ]
    )
    shown = [line.text for line in telling(said(text))]
    assert shown == [
        f"{worker} WorkerProc failed to start.",
        f"{worker} RuntimeError: start (0) exceeds dimension size (64).",
        f"{core} Exception: WorkerProc initialization failed",
        *(f"leaked {n}" for n in (0, 1, 2, 3, 4, 16, 17, 18, 19)),
    ]


def test_figures_read_in_plain_units() -> None:
    (line,) = said(
        'modelctl METRICS {"gpu": [{"utilization": 97.0, "memory_used_mib": 70000.0, '
        '"memory_total_mib": 81559.0, "power_w": null, "temperature_c": 64.0}], "running": 3, '
        '"waiting": 1, "waiting_share": 0.25, "tokens_per_second": 1412.0, '
        '"prompt_tokens_per_second": 90.5}'
    )
    assert logs.line(line, paint=Paint(on=False)) == (
        f"{line.clock} modelctl METRICS 3 requests running, 1 waiting (25 %) · 1,412.0 tok/s · "
        "90.5 prompt tok/s · GPU 97 %, 68.4 of 79.6 GiB, 64 °C"
    )


def test_figures_of_another_version_are_shown_as_they_are() -> None:
    (line,) = said("modelctl METRICS [1, 2]")
    assert logs.line(line, paint=Paint(on=False)).endswith(" METRICS [1, 2]")


def test_colour_goes_by_level() -> None:
    (line,) = said("engine ERROR no memory")
    assert "\x1b[31mERROR  \x1b[0m" in logs.line(line, paint=Paint(on=True))
    assert str(line) == logs.line(line, paint=Paint(on=False))


def system(second: int, text: str, container: str = "") -> Said:
    return Said(datetime(2026, 11, 21, 12, 0, second, tzinfo=UTC), "modal", "", text, container)


def test_what_containers_wait_for_and_since_when() -> None:
    first = system(1, "Container ta-1 waits for H100:2 or L40S: none is free.")
    second = system(5, "Container ta-2 waits for H100:2 or L40S: none is free.")
    assert waiting([]) is None
    assert waiting([first, second]) == ("H100:2 or L40S", first.at)
    assert waiting([first, second, system(9, "Container ta-1 got L40S.")]) == (
        "H100:2 or L40S",
        second.at,
    )
    engine = Said(second.at, "engine", "INFO", "loading", "ta-2")
    assert waiting([second, engine]) is None
    assert waiting([second, system(9, "Container ta-2 exited with code 1.")]) is None
