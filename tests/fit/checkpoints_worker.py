"""Which tensors has a model of this config? Runs inside vLLM's environment, on no memory at all.

    python checkpoints_worker.py IN.json OUT.json

In: {name: [model_type, {keys that differ from the architecture's own}]}. Out: {name: {"config",
"rows": [[name, shape, count]]}}, from transformers' own modules, made without data.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText


def made(kind: str, keys: dict[str, Any]) -> dict[str, Any]:
    config = AutoConfig.for_model(kind, **keys)
    with torch.device("meta"):
        model = _model(config)
    rows = Counter(
        (re.sub(r"(?<=\.)\d+(?=\.)", "*", name), tuple(parameter.shape))
        for name, parameter in model.named_parameters()
    )
    said = json.loads(config.to_json_string(use_diff=True))
    said.setdefault("model_type", kind)
    said.pop("transformers_version", None)
    return {"config": said, "rows": [[name, shape, n] for (name, shape), n in sorted(rows.items())]}


def _model(config: Any) -> torch.nn.Module:
    for auto in (AutoModelForCausalLM, AutoModelForImageTextToText, AutoModel):
        try:
            return auto.from_config(config, dtype=torch.bfloat16)
        except ValueError as problem:
            last = problem
    raise last


if __name__ == "__main__":
    asked = json.loads(Path(sys.argv[1]).read_text())
    answer = {name: made(kind, keys) for name, (kind, keys) in asked.items()}
    Path(sys.argv[2]).write_text(json.dumps(answer))
