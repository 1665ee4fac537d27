"""What does vLLM choose where nobody says it: a batch, its graphs, a runner?"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from modelctl.facts.memory import LargestGraph, batch, largest_graph, whole_item
from modelctl.fit.captured import captured, graphs
from modelctl.fit.overhead import activation, cuda_graphs, overhead, runner_of, with_batch
from modelctl.fit.types import Draft, VllmInputs
from tests.engines.conftest import made
from tests.fit.test_vllm import B200, CHECKPOINTS, H100, L4, QWEN3_8B, RUN, fit, known

USUAL = LargestGraph(512)


@pytest.mark.parametrize(
    ("card", "sequences", "tokens"),
    [(H100, 2048, 16384), (L4, 512, 4096), (B200, 2048, 32768)],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_a_mode_for_throughput_doubles_what_nobody_says(
    card: Any, sequences: int, tokens: int
) -> None:
    run = replace(RUN, performance="throughput")
    found = with_batch(run, card.usable_gib, card.name)
    assert (found.sequences, found.batched_tokens) == (sequences, tokens)
    found = with_batch(replace(run, sequences=32), card.usable_gib, card.name)
    assert (found.sequences, found.batched_tokens) == (32, tokens)
    found = with_batch(replace(run, batched_tokens=1024), card.usable_gib, card.name)
    assert (found.sequences, found.batched_tokens) == (1024 if card is not L4 else 512, 1024)


def test_a_mode_for_throughput_leaves_less_for_the_cache() -> None:
    plain, twice = (fit(QWEN3_8B, replace(RUN, performance=mode, eager=True)).cache.value
                    for mode in ("balanced", "throughput"))  # fmt: skip
    # The widest layer of 8,192 tokens more: (3 x 12,288 + 2 x 4,096) x 2 bytes of each.
    assert plain - twice == pytest.approx(1.05 * 8192 * (3 * 12288 + 2 * 4096) * 2 / 2**30)


def test_a_step_that_nobody_says_holds_a_whole_video() -> None:
    run = replace(RUN, whole_item=2496)
    assert with_batch(run, L4.usable_gib, "L4").batched_tokens == 2496
    assert with_batch(run, H100.usable_gib, "H100").batched_tokens == 8192
    assert with_batch(replace(run, batched_tokens=2048), 22.0, "L4").batched_tokens == 2048
    assert with_batch(replace(run, sequences=2, context=1024), 22.0, "L4").batched_tokens == 2048


@pytest.mark.parametrize(
    ("version", "kind", "attention", "tokens"),
    [
        # unsloth/gemma-4-26B-A4B-it-NVFP4 and its 12B with vLLM 0.26: 2,496 logged; E4B: 2,048.
        ((0, 26), "gemma4", "vision", 2496),
        ((0, 26), "gemma4_unified", "vision", 2496),
        ((0, 26), "gemma4", "None", None),
        ((0, 21), "gemma4", "vision", None),
        ((0, 32), "gemma3", "vision", None),
    ],
)
def test_whose_items_a_step_has_to_hold_whole(
    version: tuple[int, int], kind: str, attention: str, tokens: int | None
) -> None:
    item = whole_item(version, kind, attention)
    assert (item and item.frames * item.frame) == tokens


def test_a_b200_captures_steps_of_twice_the_size() -> None:
    """166 graphs were logged on one, half of them of steps of answers alone."""
    run = with_batch(RUN, B200.usable_gib, "B200")
    assert graphs(run, largest_graph(run.version, "B200", "")) == 166
    assert graphs(run, largest_graph(run.version, "H100", "")) == 102
    assert graphs(run, largest_graph((0, 26), "B200", "")) == 102
    shape = known(QWEN3_8B)
    on = {card: cuda_graphs(shape, replace(run, card=card)).value for card in ("B200", "H100")}
    assert on["B200"] - 0.05 == pytest.approx((on["H100"] - 0.05) * 166 / 102)


@pytest.mark.parametrize("card", ["RTX-PRO-6000", "GB10", "H200"])
def test_only_blackwell_of_data_centers_captures_more(card: str) -> None:
    assert largest_graph((0, 32), card, "") == USUAL


def test_gpt_oss_captures_as_many_steps_however_few_the_requests() -> None:
    shape = known(CHECKPOINTS["gpt_oss"]["config"])
    few = with_batch(replace(RUN, sequences=4), H100.usable_gib, "H100")
    # 83 of any kind, and 1, 2 and 4 answers.
    expected = 0.05 + 0.011 * len(shape.layers) * 86 / 86
    assert cuda_graphs(shape, few).value == pytest.approx(expected)


def test_guessing_ahead_captures_larger_steps() -> None:
    run = replace(RUN, sequences=16, batched_tokens=2048)
    ahead = replace(run, draft=Draft("mtp", 3, weights=0, layers=1))
    assert captured(run, USUAL) == [1, 2, 4, 8, 16, 24, 32]
    assert captured(ahead, USUAL)[-1] == 128
    # Of answers alone: 4, 8, 16 … 64 tokens, which are 1, 2, 4, 6 … 16 requests of four each.
    assert graphs(ahead, USUAL) == len(captured(ahead, USUAL)) + 9


def test_a_mode_for_one_user_captures_every_small_step() -> None:
    run = replace(RUN, sequences=16, batched_tokens=2048, performance="interactivity")
    assert captured(run, USUAL) == list(range(1, 33))
    assert graphs(run, USUAL) == 32 + 16


def test_the_environment_may_ask_for_either_runner() -> None:
    eager = replace(RUN, eager=True)
    shape, run = known(QWEN3_8B), with_batch(eager, H100.usable_gib, "H100")
    assert runner_of(shape, run) == "v2"
    first = replace(run, runner="v1")
    assert runner_of(shape, first) == "v1"
    # The first one measures the sampling of the likeliest tokens.
    assert activation(shape, first).value > 2 * activation(shape, run).value
    assert overhead(shape, first)["activation"] == activation(shape, first)
    early = replace(run, version=(0, 24), runner="v2")
    assert runner_of(shape, early) == "v2"
    assert runner_of(shape, replace(early, runner=None)) == "v1"


@pytest.mark.full
def test_vllm_itself_chooses_so(tmp_path: Path) -> None:
    """Its own functions, for every mix of numbers at which one of its limits is reached."""
    modes, asked, ours = ("balanced", "throughput", "interactivity"), [], []
    for sequences, tokens, guessed, most, mode in itertools.product(
        (1, 2, 3, 6, 16, 31, 100, 256, 300, 512, 1024, 2048),
        (64, 200, 2048, 8192),
        (0, 1, 3, 7),
        (USUAL, LargestGraph(1024), LargestGraph(1024, always=True)),
        modes,
    ):
        draft = Draft("mtp", guessed) if guessed else None
        run = replace(RUN, sequences=sequences, batched_tokens=tokens, draft=draft)
        ours.append(captured(replace(run, performance=mode), most))
        asked.append({"what": "captured", "sequences": sequences, "tokens": tokens,
                      "guessed": guessed, "blackwell": most.tokens > USUAL.tokens,
                      "always": most.tokens if most.always else None,
                      "performance": mode})  # fmt: skip
    for card, said, length, context, item, whole, mode in itertools.product(
        (L4, H100), (None, 1, 300), (None, 64, 4096), (16, 2000, 32768), (0, 2496), (False, True),
        modes,
    ):  # fmt: skip
        run = VllmInputs((0, 32), context, sequences=said, batched_tokens=length,
                         whole_item=item, whole_prompts=whole, performance=mode)  # fmt: skip
        found = with_batch(run, card.usable_gib, card.name)
        ours.append([found.sequences or 0, found.batched_tokens or 0])
        usual = batch((0, 32), card.usable_gib, card.name)
        asked.append({"what": "batch", "sequences": said, "tokens": length, "context": context,
                      "item": item, "whole": whole, "performance": mode,
                      "usual": [usual.sequences, usual.tokens]})  # fmt: skip
    done = subprocess.run(
        [str(made("vllm/bin/python")), str(Path(__file__).with_name("choices_worker.py"))],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_LOGGING_LEVEL": "ERROR", "PYTHONPATH": ""},
        check=False,
    )
    answers = [line for line in done.stdout.splitlines() if line.startswith("ANSWER")]
    assert answers, done.stderr[-2000:]
    theirs = json.loads(answers[0].removeprefix("ANSWER"))
    wrong = [one for one in zip(asked, ours, theirs, strict=True) if one[1] != one[2]]
    assert wrong == []
