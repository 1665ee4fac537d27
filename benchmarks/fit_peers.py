"""How near do peers come on the same rows? Asked in their own environment, offline."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.fit_rows import Row
from modelctl.fit.types import GIB, Verdict, VllmInputs
from modelctl.fit.weights import parts_of
from modelctl.resolved import Unknown

PEERS = ("hf-mem", "modelinfo-cli")
WORKER = Path(__file__).with_name("fit_peers_worker.py")
_KINDS = {"full": "full_attention", "sliding": "sliding_attention", "chunked": "chunked_attention"}


def ask(python: Path, rows: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """Each peer's answers, one a row; empty ones where the row says too little to ask."""
    questions = [_question(peer, row) for peer in PEERS for row in rows]
    done = subprocess.run(
        [str(python), str(WORKER)],
        input="".join(json.dumps(question) + "\n" for question in questions if question),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    answers = iter(done.stdout.splitlines())
    found = [json.loads(next(answers)) if question else {} for question in questions]
    return {peer: found[n * len(rows) : (n + 1) * len(rows)] for n, peer in enumerate(PEERS)}


def verdict(answer: dict[str, Any], row: Row) -> Verdict:
    if "tokens" not in answer:
        return "unknown"
    return "fits" if answer["tokens"] >= row.inputs.context else "does not fit"


def _question(peer: str, row: Row) -> dict[str, Any] | None:
    if isinstance(row.shape, Unknown) or isinstance(row.scheme, Unknown) or not row.usable:
        return None
    shape, inputs = row.shape, row.inputs
    one = VllmInputs(version=inputs.version, context=inputs.context, dtype=inputs.dtype)
    parts = parts_of(shape, row.scheme, one)
    config: dict[str, Any] = {
        "architectures": ["ForCausalLM"],
        "hidden_size": shape.hidden,
        "num_hidden_layers": len(shape.layers),
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "dtype": "bfloat16",
        "max_position_embeddings": inputs.context,
    }
    if set(shape.layers) != {"full"}:
        config["layer_types"] = [_KINDS.get(word, "linear_attention") for word in shape.layers]
        config["sliding_window"] = shape.window or shape.chunk
    return {
        "peer": peer,
        "config": config,
        "bytes": int(parts.total - parts.copies - parts.tables),
        "gpus": inputs.tensor * inputs.pipeline,
        "usable": row.usable * GIB,
        "utilization": inputs.utilization,
        "context": inputs.context,
    }
