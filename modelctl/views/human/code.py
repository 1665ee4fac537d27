"""How does the code of the apps change? As a diff, from what was deployed to what is rendered."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from modelctl.plan import Desired
from modelctl.record import AppRecord
from modelctl.views.human.words import printable
from modelctl.views.paint import Paint

_COLOURS = {"+": "green", "-": "red", "@": "dim"}


def differences(
    desired: Sequence[Desired], records: Mapping[str, AppRecord], *, paint: Paint
) -> str:
    """One unified diff an app whose earlier text was recorded and is another one."""
    found = []
    for one in desired:
        record = records.get(one.name)
        before = record.of(record.entry.digest) if record else None
        if before is None or before.text == one.rendered.text:
            continue
        name = f"{one.rendered.module}.py"
        lines = difflib.unified_diff(
            before.text.splitlines(),
            one.rendered.text.splitlines(),
            f"live/{name}",
            f"wanted/{name}",
            lineterm="",
        )
        shown = [_painted(printable(line), paint) for line in lines]
        found.append("\n".join(["", paint(one.name, "bold"), *shown]))
    return "\n".join(found) or "\nNo code changes that are known."


def _painted(line: str, paint: Paint) -> str:
    colour = _COLOURS.get(line[:1])
    return paint(line, colour) if colour else line
