"""How does JSON read on a terminal too? With nothing in it that a terminal obeys."""

from __future__ import annotations

import json
import re

# JSON escapes the controls up to U+001F by itself. These are the others, and what turns text round.
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def dumped(value: object, indent: int | None = None) -> str:
    """The same value to every reader of JSON; letters of other languages stay letters."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
