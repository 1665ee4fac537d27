"""What does one line of an app's log say? Who wrote it, how serious it is, and its words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from msgspec import Struct

from modelctl.platform.types import LogLine
from modelctl.rendered import ANSWERED_WRONG, BOOT_FAILED

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
METRICS = "METRICS"

_WRITTEN = re.compile(rf"(?P<who>engine|modelctl) (?P<level>{'|'.join(LEVELS)}|{METRICS}) ?")
_OURS = "modelctl: "
_WAITS = re.compile(r"Container (?P<id>\S+) waits for (?P<what>.+?): ")
_NAMED = re.compile(r"Container (?P<id>\S+) ")
# vLLM puts process and place before each line: "(Worker pid=7) [x.py:3]   File …".
_FRAME = re.compile(r"(\(\S+ pid=\d+\) )?(\[[\w./-]+:\d+\] ?+)?(\s|Traceback |$)")


class Said(Struct, frozen=True):
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

    @property
    def clock(self) -> str:
        """The time of day, in the reader's own time zone."""
        return f"{self.at.astimezone():%H:%M:%S}"

    def __str__(self) -> str:
        """`14:31:02 engine   WARNING chat template not found`."""
        return f"{self.clock} {self.who:<8} {self.level:<7} {self.text}"


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


def telling(lines: Sequence[Said], *, most: int = 8, last: int = 4) -> tuple[Said, ...]:
    """Those that explain a failure: the first errors, else the last warnings; and the `last` lines.

    The first error is the cause, those after it are its consequences. Frames of tracebacks are left
    out; the exception stays.
    """
    plain = [line for line in lines if line.level != METRICS and not line.condemns]
    shown = [line for line in plain if not _FRAME.match(line.text)]
    errors = [line for line in shown if line.level == "ERROR"][:most]
    grave = errors or [line for line in shown if line.level == "WARNING"][-most:]
    ends = shown[-last:]
    return tuple(line for line in shown if any(line is one for one in (*grave, *ends)))


def waiting(lines: Iterable[Said]) -> tuple[str, datetime] | None:
    """What containers still wait for, and since when the first of them does: `("H100:2", …)`.

    A container of which anything else was said since does not wait any more.
    """
    waits: dict[str, tuple[str, datetime]] = {}
    for line in lines:
        if line.who != "modal":
            waits.pop(line.container, None)
        elif match := _WAITS.search(line.text):
            waits.setdefault(match["id"], (match["what"], line.at))
        elif match := _NAMED.search(line.text):
            waits.pop(match["id"], None)
    return min(waits.values(), key=lambda one: one[1], default=None)
