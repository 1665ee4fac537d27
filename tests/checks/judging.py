"""What do the checks say of a spec that is written in a test?"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from modelctl.assess import assess
from modelctl.checks import check
from modelctl.diagnostics import Diagnostic
from modelctl.resolve import resolve
from modelctl.weights.facts import ModelFacts
from modelctl.weights.read import model_facts
from tests.render.apps import QWEN3, SMOLLM2, local_gguf, wanted

TODAY = datetime.date(2026, 11, 21)

# The fewest words that are right, so that a case shows what it changes.
VLLM: dict[str, Any] = {**QWEN3, "gpu": [{"type": "H100"}]}
LLAMA: dict[str, Any] = {**SMOLLM2, "gpu": [{"type": "L4"}]}


def judged(
    spec: dict[str, Any],
    model: ModelFacts | None = None,
    root: Path = Path(),
    project: dict[str, Any] | None = None,
) -> list[Diagnostic]:
    want = wanted(spec, root=root, project=project)
    if model is None:
        source = want.spec.model.source if want.spec.model else None
        if source and "://" not in source and root == Path():
            model = local_gguf()
        else:
            said = want.spec
            model = model_facts(
                source,
                want.file.parent,
                root,
                hashed=False,
                chat_template=said.chat_template,
                dockerfile=said.image.dockerfile if said.image else None,
            )
    return check(want, assess(resolve(want, model), model), model, today=TODAY)


def said(diagnostics: list[Diagnostic]) -> list[str]:
    """A line for each, but for those that say that a model is not locked."""
    return [
        f"{d.path} {d.severity} {d.code}: {d.message}" + (f" | {d.hint}" if d.hint else "")
        for d in diagnostics
        if d.code != "model/unlocked"
    ]


def beside_memory(diagnostics: list[Diagnostic]) -> list[Diagnostic]:
    """What is said but for whether it fits: of models that are made up of a few words."""
    return [found for found in diagnostics if not found.code.startswith("fit/")]
