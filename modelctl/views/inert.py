"""How does text stay text for a CI runner that takes lines of a log for commands?

A runner obeys `::set-output …` at the start of a line and `##[…]` anywhere in it, on both streams:
https://docs.github.com/en/actions/reference/workflow-commands and `ActionCommand.cs` of its source.
"""

from __future__ import annotations

import re

_COMMAND = re.compile(r"^(\s*):(?=:)|##(?=\[)", re.MULTILINE)


def inert(text: str) -> str:
    """The same to read, with a gap in what would be a command."""
    return _COMMAND.sub(lambda found: f"{found[0]} ", text)
