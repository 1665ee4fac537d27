"""What does vLLM take of a GPU beside weights and cache, in which version?"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Literal

from msgspec import Struct

from modelctl.facts.tables import table

Version = tuple[int, int]
Triple = tuple[float, float, float]
"""Expected, least and most, in GiB."""
Runner = Literal["v1", "v2"]
"""Which of vLLM's two model runners: they measure differently what a run takes."""


class Activation(Struct, frozen=True):
    """The peak of the run that vLLM measures: multiples of three sizes, and a base in GiB.

    `logits` is of sequences by vocabulary by 4 bytes, `hidden` of tokens by hidden by 2, `mlp` of
    tokens by (3 intermediate + 2 hidden) by 2. The first two are of the sampler, the last of the
    widest layer: the larger counts. With `workspace` experts keep beside both what they work in,
    else it is the layer's. `low` and `high` are shares of the whole.
    """

    base: float
    logits: float
    hidden: float
    mlp: float
    workspace: bool
    low: float
    high: float


class Graphs(Struct, frozen=True):
    """CUDA graphs: GiB at all and for each layer, where a full set is captured. `counted` says
    whether they come out of what the cache may have."""

    counted: bool
    base: float
    layer: float
    low: float
    high: float


class Batch(Struct, frozen=True):
    """What vLLM schedules at once where nobody says it. With `whole_context` a batch has room for
    the longest prompt."""

    sequences: int
    tokens: int
    whole_context: bool


class LargestGraph(Struct, frozen=True):
    """Tokens of the largest step that is captured: at most, or `always`, however few requests."""

    tokens: int
    always: bool = False


class Picture(Struct, frozen=True):
    """The largest picture that profiling reads, in pixels, and the largest video, over so many
    frames; `low` and `high` are shares of what the arithmetic says that a picture takes."""

    pixels: int
    video_pixels: int
    video_frames: int
    low: float
    high: float


class WholeItem(Struct, frozen=True):
    """The largest item of a request, a video: its frames, and tokens of each."""

    frames: int
    frame: int


@cache
def runner(version: Version, dense: bool) -> Runner:
    """Which runner vLLM takes of itself; `dense` is a model of attention without experts."""
    kinds = ("all", "dense") if dense else ("all",)
    rows = [row for row in table("memory")["runners"] if row["models"] in kinds]
    found: Runner = _newest(rows, version)["runner"]
    return found


@cache
def non_torch(version: Version, of: Runner, card: str, gpus: int) -> Triple:
    """Memory that is not PyTorch's: the CUDA context, and communication between GPUs, which is
    more where NVLink joins them."""
    row = _row("non_torch", version, of)
    apart = _is_one_of(card, table("memory")["unlinked_cards"]["names"])
    several = row.get("apart", row["several"]) if apart else row["several"]
    return _triple(row["one"] if gpus == 1 else several)


@cache
def compiled(version: Version, of: Runner) -> Triple:
    """What a run that is not eager leaves behind beside its graphs."""
    return _triple(_row("compiled", version, of)["gib"])


@cache
def compiled_text(version: Version, of: Runner) -> Triple | None:
    """The same of a dense model of text; None where it is like the others."""
    row = _row("compiled", version, of)
    return _triple(row["text"]) if "text" in row else None


@cache
def compiling_keeps(version: Version, of: Runner, tied: bool, card: str) -> bool:
    """Whether a start that has to compile a dense model of text keeps its embeddings twice; `tied`
    is whether they are the head's too.
    """
    row = _row("compiled", version, of)
    name = card.upper().replace("-", " ")
    return (tied and row.get("kept_tied", False)) or name.startswith(tuple(row.get("kept_on", ())))


@cache
def activation(version: Version, of: Runner) -> Activation:
    row = _row("activation", version, of)
    return Activation(*(row[name] for name in Activation.__struct_fields__))


@cache
def encoder(version: Version) -> Triple:
    """What profiling images and sound adds."""
    return _triple(_row("encoder", version)["gib"])


@cache
def largest_picture(version: Version, kind: str) -> Picture | None:
    """`kind` is the model_type of what reads pictures; None where it is not known."""
    rows = [row for row in table("memory")["largest_picture"] if kind in row["kinds"]]
    rows = [row for row in rows if tuple(row["since"]) <= version]
    if not rows:
        return None
    row = _newest(rows, version)
    return Picture(*(row[name] for name in Picture.__struct_fields__))


@cache
def graphs(version: Version, of: Runner) -> Graphs:
    row = _row("graphs", version, of)
    return Graphs(*(row[name] for name in Graphs.__struct_fields__))


@cache
def full_set() -> int:
    """How many graphs `Graphs` is about."""
    return int(table("memory")["graphs_of_a_full_set"])


@cache
def largest_graph(version: Version, card: str, model: str) -> LargestGraph:
    """The largest step that is captured where nobody says it; `model` is "" for most."""
    rows = [
        row
        for row in table("memory")["largest_graph"]
        if ("cards" not in row or _is_one_of(card, row["cards"]))
        and row.get("model", model) == model
        and tuple(row["since"]) <= version
    ]
    row = max(rows, key=lambda row: (row.get("always", False), row["tokens"]))
    return LargestGraph(row["tokens"], row.get("always", False))


@cache
def mxfp4_padding(version: Version, card: str) -> tuple[int, int]:
    """To what multiples an expert's hidden and intermediate sizes are rounded up, in elements."""
    rows = [
        row
        for row in table("memory")["mxfp4_padding"]
        if "cards" not in row or _is_one_of(card, row["cards"])
    ]
    row = _newest(rows, version)
    return row["hidden"], row["width"]


@cache
def largest_split(version: Version) -> int | None:
    """Bytes from which on PyTorch divides no block while vLLM loads; None where it divides all."""
    mib = _row("largest_split", version)["mib"]
    return None if mib is None else int(mib) * 2**20


@cache
def batch(version: Version, usable_gib: float, card: str) -> Batch:
    small = any(name in card.upper() for name in table("memory")["small_batch_cards"]["names"])
    rows = [
        row
        for row in table("memory")["batches"]
        if tuple(row["since"]) <= version and row["from_gib"] <= (0 if small else usable_gib)
    ]
    newest = max(rows, key=lambda row: (row["since"] if row["from_gib"] < 160 else [0, 9],
                                        row["from_gib"]))  # fmt: skip
    return Batch(newest["sequences"], newest["tokens"], newest.get("whole_context", False))


@cache
def whole_item(version: Version, kind: str, attention: str) -> WholeItem | None:
    """What a step of vLLM's own choice has to hold whole of such a model: a `model_type`, and what
    its text attends to both ways. None where items are cut, or are smaller than any step."""
    rows = [
        row
        for row in table("memory")["whole_items"]
        if tuple(row["since"]) <= version and kind in row["kinds"] and attention == row["attention"]
    ]
    if not rows:
        return None
    row = _newest(rows, version)
    return WholeItem(row["frames"], row["frame"])


@cache
def most_utilization(gpus: int) -> float:
    """The share of a GPU that is free when nothing runs on it yet."""
    row = table("memory")["taken_by_the_driver"]
    return float(1 - row["one" if gpus == 1 else "several"])


def _row(name: str, version: Version, of: Runner | None = None) -> dict[str, Any]:
    """Of the rows that say a runner, those of this one alone."""
    rows: list[dict[str, Any]] = table("memory")[name]
    return _newest([row for row in rows if row.get("runner", of) == of], version)


def _is_one_of(card: str, names: list[str]) -> bool:
    return not set(names).isdisjoint(re.split(r"[^A-Z0-9]+", card.upper()))


def _newest(rows: list[dict[str, Any]], version: Version) -> dict[str, Any]:
    return max((row for row in rows if tuple(row["since"]) <= version), key=lambda r: r["since"])


def _triple(row: list[float]) -> Triple:
    value, low, high = row
    return value, low, high
