"""What does one line of an app's log say? Who wrote it, how serious it is, and its words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from modelctl.platform.types import LogLine
from modelctl.rendered import ANSWERED_WRONG, BOOT_FAILED

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
METRICS = "METRICS"

_WRITTEN = re.compile(rf"(?P<who>engine|modelctl) (?P<level>{'|'.join(LEVELS)}|{METRICS}) ?")
_OURS = "modelctl: "


@dataclass(frozen=True)
class Said:
    """One line. `who` is engine, modelctl, app (what else its container wrote) or modal.

    `level` is one of LEVELS, METRICS for figures, and "" where the line has none.
    """

    at: datetime
    who: str
    level: str
    text: str
    container: str = ""

    @property
    def condemns(self) -> bool:
        """Whether it says that this version does not come up, or answers wrong."""
        return self.who == "modelctl" and f"{_OURS}{self.text}".startswith(
            (BOOT_FAILED, ANSWERED_WRONG)
        )

    def at_least(self, level: str) -> bool:
        """Whether it is as serious as `level`; a line without a level counts as INFO."""
        known = self.level if self.level in LEVELS else "INFO"
        return LEVELS.index(known) >= LEVELS.index(level)

    def __str__(self) -> str:
        """`14:31:02 engine   WARNING chat template not found`, in the reader's own time zone."""
        return f"{self.at.astimezone():%H:%M:%S} {self.who:<8} {self.level:<7} {self.text}"


def read(entry: LogLine) -> Iterator[Said]:
    """The lines of an entry, which may hold several; empty ones are left out."""
    for line in entry.text.splitlines():
        if not line.strip():
            continue
        who, level, text = "modal" if entry.source == "system" else "app", "", line
        if found := _WRITTEN.match(line):
            who, level, text = found["who"], found["level"], line[found.end() :]
        elif line.startswith(_OURS):
            who, level, text = "modelctl", "ERROR", line.removeprefix(_OURS)
        yield Said(entry.at, who, level, text, entry.container)


def telling(lines: Sequence[Said], *, last: int = 6, serious: int = 10) -> tuple[Said, ...]:
    """Those that explain a failure: the `last` ones, and the last `serious` warnings and errors."""
    shown = [line for line in lines if line.level != METRICS and not line.condemns]
    grave = [line for line in shown if line.at_least("WARNING")][-serious:]
    ends = shown[-last:]
    return tuple(line for line in shown if any(line is one for one in (*grave, *ends)))
