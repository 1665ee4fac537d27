"""Which command lines would the app of a spec start its engine with, one a GPU and one for the CPU?

Taken from the rendered app itself, so that what a real parser is asked is what a container runs.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from modelctl.assess import assess
from modelctl.checks.judge import check
from modelctl.diagnostics import Severity
from modelctl.render import render
from modelctl.resolve import resolve
from modelctl.resolved import Resolved
from modelctl.weights.facts import ModelFacts
from modelctl.weights.read import model_facts
from tests.render.apps import wanted

TODAY = datetime.date(2026, 11, 21)
OF_NO_ENGINE = {"model/unlocked"}
"""Errors that leave the command line as it is."""


def right(spec: dict[str, Any], model: ModelFacts | None = None) -> Resolved | None:
    """The spec resolved, None where a rule has an error for it."""
    want = wanted(spec)
    source = want.spec.model.source if want.spec.model else None
    facts = model or model_facts(source, want.file.parent, want.project.root, hashed=False)
    found = resolve(want, facts)
    said = check(want, assess(found, facts), facts, today=TODAY)
    wrong = [d for d in said if d.severity is Severity.ERROR and d.code not in OF_NO_ENGINE]
    return None if wrong else found


def command_lines(resolved: Resolved, root: Path) -> Iterator[tuple[str, list[str]]]:
    """(which, argv) of each variant, with `root` before every path of the container.

    Several hosts have one each; the first and the last stand for all.
    """
    text = render(resolved).text
    app: dict[str, Any] = {"__name__": "app"}
    with mock.patch.dict(os.environ, {"MODELCTL_MOUNT_ROOT": str(root), "MODELCTL_PORT": "8000"}):
        exec(compile(text, "app.py", "exec"), app)
        if "place" not in app:
            yield from [(key, app["engine_command"](key)) for key in app["FLAGS"]]
            return
        addresses = [f"10.0.0.{host + 1}" for host in range(resolved.nodes)]
        for rank in (0, resolved.nodes - 1):
            app["place"] = lambda rank=rank: (rank, addresses, 20_000)
            for key in app["FLAGS"]:
                yield f"{key}, rank {rank}", app["engine_command"](key)


def place(argv: list[str], root: Path, model: Path) -> None:
    """Put `model` at every path below `root` that the command line names."""
    for word in argv:
        _, found, inside = word.partition(f"{root}/")
        if found:
            path = root / inside.split('"')[0].split(",")[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.symlink_to(model)
