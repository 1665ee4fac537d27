"""How near is what `modelctl fit` predicts to what engines reported? Rows in, shares out.

    python benchmarks/fit_accuracy.py FILE.jsonl [--json] [--peers PYTHON] [--leave-one-out]

Each row is predicted from its own fields alone. Errors are relative to what was logged. PYTHON is
that of an environment with hf-mem and modelinfo-cli: the same table for them.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))


from benchmarks import fit_peers, fit_tuning
from benchmarks.fit_rows import Row, read
from modelctl.facts.kv_cache import behaves
from modelctl.fit.cache import CacheLayout, cache_of
from modelctl.fit.overhead import adapters, with_batch
from modelctl.fit.types import GIB, Interval, Verdict
from modelctl.fit.vllm import Model, assembled, weights
from modelctl.resolved import Unknown
from modelctl.weights.config_scheme import PLAIN

_HALF = 0.005
"""GiB: what a size of two decimals may be off by."""

_MISSTATING, _STATING = (0, 20), (0, 21)
"""Versions that log the size the one way and the other."""

FILE = Path(__file__).parent / "data" / "measured.jsonl"


class Predicted(Struct, frozen=True):
    """GiB and tokens; None where the row says too little to predict, or nothing was measured."""

    row: Row
    weights: float | None
    tokens: float | None
    from_bytes: float | None
    verdict: Verdict
    left_open: tuple[float, float] | None = None
    """The least and the most tokens of sizes that are logged alike, with two decimals of a GiB."""

    @property
    def weights_error(self) -> float | None:
        excluded = self.row.said.get("weights_excluded") or self.row.said.get(
            "weights_from_safetensors"
        )
        measured = None if excluded else self.row.number("weights_gib")
        return error(self.weights, measured)

    @property
    def tokens_error(self) -> float | None:
        """None where the row does not say what the engine could take, or marks itself as no use."""
        said = self.row.said
        stands = said.get("total_gib") and said.get("gpu_memory_utilization")
        if not stands or said.get("kv_only"):
            return None
        return error(self.tokens, measured_tokens(self.row))

    @property
    def within_log(self) -> bool | None:
        """Whether tokens are right to 0.1 %, or to what two decimals of a GiB leave open."""
        off, counted = self.from_bytes_error, measured_tokens(self.row)
        if off is None or counted is None or self.left_open is None:
            return None
        least, most = self.left_open
        return off <= 0.001 or least <= counted < most + 1  # tokens are cut to whole ones

    @property
    def fine(self) -> bool:
        """Whether the log could tell 0.1 % at all, whatever was predicted: sizes have two decimals
        of a GiB, and caches whole blocks."""
        logged, told = self.row.number("kv_gib"), self.from_bytes
        if not logged or not told or self.left_open is None:
            return False
        least, most = self.left_open
        return max(told - least, most - told) <= 0.001 * told and _HALF / logged <= 0.001

    @property
    def from_bytes_error(self) -> float | None:
        return error(self.from_bytes, measured_tokens(self.row))


def error(predicted: float | None, measured: float | None) -> float | None:
    if predicted is None or not measured or measured < 0:
        return None
    return abs(predicted / measured - 1)


def measured_tokens(row: Row) -> float | None:
    """What was logged; requests of the whole length where that says it more finely."""
    if by_concurrency(row):
        return (row.number("max_model_len") or 0) * (row.number("max_concurrency") or 0)
    return row.number("kv_tokens")


def misstated(row: Row) -> bool:
    """Whether the logged size counts each kind of layer as if it held all, as older versions do."""
    length, requests = row.number("max_model_len"), row.number("max_concurrency")
    logged = row.number("kv_tokens")
    if length and requests and logged:
        # Of a size that is right, concurrency is a rounding.
        return abs(logged / length - requests) > 2 * _HALF
    kinds = set(row.shape.layers) if not isinstance(row.shape, Unknown) else set()
    return not behaves("capacity_by_concurrency", row.inputs.version) and len(kinds - {"none"}) > 1


def by_concurrency(row: Row) -> bool:
    """Whether the requests of a misstated size say more than itself: they have two decimals, the
    size is one of whole blocks."""
    requests, logged = row.number("max_concurrency"), row.number("kv_tokens")
    if not (misstated(row) and requests):
        return False
    layout = layout_of(row)
    if not isinstance(layout, CacheLayout) or not logged:
        return True
    return _HALF / requests < min(group.block for group in layout.groups) / logged


def layout_of(row: Row) -> CacheLayout | Unknown:
    if isinstance(row.shape, Unknown):
        return row.shape
    inputs = with_batch(row.inputs, row.usable or 0.0, row.gpu)
    return cache_of(row.shape, replace(inputs, block_size=row.said.get("block_size")))


def predict(row: Row) -> Predicted:
    loaded = weights_of(row)
    tokens = from_bytes = left_open = None
    verdict: Verdict = "unknown"
    card = row.card
    if isinstance(row.shape, Unknown):
        return Predicted(row, loaded.value if loaded else None, None, None, "unknown")
    inputs = with_batch(row.inputs, row.usable or 0.0, row.gpu)
    layout = layout_of(row)
    logged = row.number("kv_gib")
    if isinstance(layout, CacheLayout):
        if logged and logged > 0:
            from_bytes = tokens_in(row, layout, logged)
            least, most = (tokens_in(row, layout, logged + off) for off in (-_HALF, _HALF))
            left_open = (least, most)
        if loaded and card:
            memory = assembled(row.shape, loaded, inputs, card)
            tokens = tokens_in(row, layout, memory.cache.value)
            verdict = memory.verdict
    # What loading took holds the room for adapters too.
    beside = adapters(row.shape, inputs).value if inputs.adapters else 0.0
    weights = loaded.value + beside if loaded else None
    return Predicted(row, weights, tokens, from_bytes, verdict, left_open)


def predict_unseen(rows: Sequence[Row]) -> list[Predicted]:
    """Each row with factors that were fitted to other models alone."""
    samples = [one for row in rows if (one := fit_tuning.sample(row)) is not None]
    return [_unseen(predict(row), fit_tuning.beside(row, samples)) for row in rows]


def _unseen(one: Predicted, beside: float | None) -> Predicted:
    row = one.row
    if isinstance(row.shape, Unknown) or beside is None or one.weights is None or not row.usable:
        return one
    layout = cache_of(row.shape, with_batch(row.inputs, row.usable, row.gpu))
    if not isinstance(layout, CacheLayout):
        return one
    left = row.usable * row.inputs.utilization - one.weights - beside
    return replace(one, tokens=tokens_in(row, layout, max(0.0, left)))


def predict_by_peers(python: Path, rows: Sequence[Row]) -> dict[str, list[Predicted]]:
    return {
        peer: [
            Predicted(
                row,
                answer["weights"] / GIB if "weights" in answer else None,
                answer.get("tokens"),
                None,
                fit_peers.verdict(answer, row),
            )
            for row, answer in zip(rows, answers, strict=True)
        ]
        for peer, answers in fit_peers.ask(python, rows).items()
    }


def tokens_in(row: Row, layout: CacheLayout, gib: float) -> float:
    found = layout.fit(gib * GIB, row.inputs.context)
    if by_concurrency(row):
        return float(found.tokens)
    alike = found.groups < 2 and not misstated(row)
    version = row.inputs.version if alike else _MISSTATING if misstated(row) else _STATING
    return float(found.logged_tokens(version))


def weights_of(row: Row) -> Interval | None:
    """By the checkpoint's size where the row has it, as far as it lies divided; else by arithmetic.

    A size says what the row's config leaves out, such as what reads images.
    """
    found = None
    of_shape = weights(Model(row.shape, row.scheme, Unknown("not in the row")), row.inputs)
    if not isinstance(of_shape, Unknown):
        found = Interval(of_shape.value / GIB, of_shape.low / GIB, of_shape.high / GIB)
    stored = row.number("safetensors_gib")
    if found and not row.inputs.multimodal:  # files hold what reads images, and it is not loaded
        return found
    if stored is None or (found and row.scheme == PLAIN and _holds_head_twice(row, stored)):
        return found
    part = stored / (row.inputs.tensor * row.inputs.pipeline)
    if found is not None and part <= found.value:
        return found
    return Interval(part, part, part * 1.1)


def _holds_head_twice(row: Row, stored: float) -> bool:
    """Whether files hold the head of a tied model beside the embeddings that it is: it is not
    loaded."""
    if isinstance(row.shape, Unknown) or not row.shape.tied or row.shape.vision:
        return False
    whole = replace(row.inputs, tensor=1, pipeline=1)
    of_shape = weights(Model(row.shape, row.scheme, Unknown("not in the row")), whole)
    if isinstance(of_shape, Unknown):
        return False
    head = row.shape.vocabulary * row.shape.hidden * 2 / GIB
    return abs(stored - head - of_shape.value / GIB) < head / 10


def share(errors: Sequence[float], within: float) -> float:
    # What was logged has two decimals: a share of exactly 2 % is within it.
    return sum(value <= within + 1e-9 for value in errors) / len(errors)


def summary(errors: Sequence[float]) -> dict[str, float | int | None]:
    if not errors:
        return {"n": 0, "median": None, "p90": None, "within_2pct": None, "within_5pct": None}
    ordered = sorted(errors)
    return {
        "n": len(ordered),
        "median": round(statistics.median(ordered), 6),
        "p90": round(ordered[max(0, math.ceil(0.9 * len(ordered)) - 1)], 6),
        "within_0_1pct": round(share(ordered, 0.001), 4),
        "within_2pct": round(share(ordered, 0.02), 4),
        "within_5pct": round(share(ordered, 0.05), 4),
    }


MEASURES: dict[str, Callable[[Predicted], float | None]] = {
    "weights": lambda one: one.weights_error,
    "kv_tokens": lambda one: one.tokens_error,
    "kv_tokens_from_logged_bytes": lambda one: one.from_bytes_error,
}


def measured(found: Sequence[Predicted], name: str) -> list[float]:
    return [value for one in found if (value := MEASURES[name](one)) is not None]


def verdicts(found: Sequence[Predicted]) -> dict[str, int]:
    """Of rows with a verdict: which ran out of memory and were not called "fits", which ran and
    were not called "does not fit"."""
    known = [one for one in found if one.verdict != "unknown"]
    failed = [one for one in known if one.row.status == "failed"]
    ran = [one for one in known if one.row.status == "ok"]
    return {
        "failed": len(failed),
        "refused": sum(one.verdict != "fits" for one in failed),
        "ran": len(ran),
        "accepted": sum(one.verdict != "does not fit" for one in ran),
        "failed_sure": sum(one.verdict == "does not fit" for one in failed),
        "ran_sure": sum(one.verdict == "fits" for one in ran),
        "unknown": sum(
            one.verdict == "unknown" and one.row.status in ("ok", "failed") for one in found
        ),
    }


def gpu_class(row: Row) -> str:
    return "H100" if row.gpu.upper().startswith("H100") else "other GPUs"


def version_range(row: Row) -> str:
    if row.said.get("vllm_version") is None:
        return "no version"
    for name, end in (("to 0.11", (0, 11)), ("0.12-0.16", (0, 16)), ("0.17-0.20", (0, 20))):
        if row.inputs.version <= end:
            return name
    return "from 0.21"


def result(found: Sequence[Predicted]) -> dict[str, Any]:
    groups: dict[str, list[Predicted]] = {}
    for one in found:
        name = f"vllm, {gpu_class(one.row)}, {version_range(one.row)}"
        groups.setdefault(name, []).append(one)
    said: dict[str, Any] = {name: summary(measured(found, name)) for name in MEASURES}
    logged = [one for one in found if one.within_log is not None]
    if logged:
        missed = [one for one in logged if (one.from_bytes_error or 0) > 0.001]
        said["kv_tokens_from_logged_bytes"] |= {
            "fine": len(fine := [one for one in logged if one.fine]),
            "fine_within_0_1pct": round(
                share([one.from_bytes_error or 0 for one in fine], 0.001) if fine else 0.0, 4
            ),
            "within_log": round(sum(one.within_log is True for one in logged) / len(logged), 4),
            "not_resolvable": sum(one.within_log is True for one in missed),
            "beyond_log": sum(one.within_log is False for one in missed),
        }
    return {
        **said,
        "verdicts": verdicts(found),
        "groups": {
            group: {name: summary(measured(some, name)) for name in MEASURES}
            for group, some in sorted(groups.items())
        },
    }


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def _line(cells: Sequence[Any]) -> str:
    first, *rest = cells
    return f"{first!s:34}" + "".join(f"{cell!s:>9}" for cell in rest)


def text(found: dict[str, Any]) -> str:
    lines = []
    head = ("", "n", "median", "p90", "in 0.1 %", "in 2 %", "in 5 %")
    keys = ("median", "p90", "within_0_1pct", "within_2pct", "within_5pct")
    for group in (found, *found["groups"].values()):
        name = (
            "vllm, all"
            if group is found
            else next(key for key, value in found["groups"].items() if value is group)
        )
        lines.append(_line((name, *head[1:])))
        for measure in MEASURES:
            of = group[measure]
            if of["n"]:
                lines.append(_line((f"  {measure}", of["n"], *(_percent(of[k]) for k in keys))))
        lines.append("")
    lines += verdict_lines(found)
    of = found["kv_tokens_from_logged_bytes"]
    if of["n"]:
        lines.append(
            f"tokens of logged bytes, off by more than 0.1 %: {of['not_resolvable']} by what two "
            f"decimals of a GiB leave open, {of['beyond_log']} by more"
        )
        lines.append(
            f"of the {of['fine']} whose log is fine enough to tell 0.1 %: "
            f"{_percent(of['fine_within_0_1pct'])} within it"
        )
    for peer, theirs in found.get("peers", {}).items():
        lines += ["", _line((peer, *head[1:]))]
        for measure in ("weights", "kv_tokens"):
            of = theirs[measure]
            lines.append(_line((f"  {measure}", of["n"], *(_percent(of[k]) for k in keys))))
        lines += verdict_lines(theirs)
    return "\n".join(lines)


def verdict_lines(found: dict[str, Any]) -> list[str]:
    of = found["verdicts"]
    return [
        f'out of memory: {of["refused"]} of {of["failed"]} not called "fits", '
        f'{of["failed_sure"]} called "does not fit"',
        f'ran: {of["accepted"]} of {of["ran"]} not called "does not fit", '
        f'{of["ran_sure"]} called "fits"',
        f"no verdict, for the row says too little: {of['unknown']}",
    ]


def row_text(one: Predicted) -> str:
    row = one.row
    cells = [
        f"{row.model.rpartition('/')[2][:30]:31}",
        f"{row.said.get('quant')!s:10}{row.gpu[:10]:11}tp{row.inputs.tensor} ",
        f"{row.said.get('vllm_version')!s:10}",
        *(f"{_percent(of(one)):>10}" for of in MEASURES.values()),
        f"  {row.status:13}{one.verdict}",
    ]
    return "".join(cells)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    parser.add_argument("--rows", action="store_true", help="one line a row before the table")
    parser.add_argument(
        "--leave-one-out", action="store_true", help="with factors fitted to other models alone"
    )
    parser.add_argument("--peers", type=Path, metavar="PYTHON", help="ask its packages too")
    asked = parser.parse_args(argv)
    rows = read(asked.file)
    found = predict_unseen(rows) if asked.leave_one_out else [predict(row) for row in rows]
    if asked.rows:
        print("\n".join(row_text(one) for one in found), file=sys.stderr)
    said = result(found)
    peers = predict_by_peers(asked.peers, rows) if asked.peers else {}
    said["peers"] = {peer: result(of) for peer, of in peers.items()}
    print(json.dumps(said, indent=1) if asked.json else text(said))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
