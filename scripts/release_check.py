"""Is this tag the version of this checkout, and does the changelog speak of it?

python scripts/release_check.py v1.2.3
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from modelctl import __version__

CHANGELOG = Path(__file__).resolve().parent.parent / "CHANGELOG.md"


def wrong(tag: str, changelog: str) -> str | None:
    """What has to be done before this tag is a release; None if nothing."""
    if tag != f"v{__version__}":
        return f"the tag is {tag}, the version v{__version__}"
    if not re.search(rf"^## {re.escape(__version__)}\b", changelog, re.MULTILINE):
        return f"CHANGELOG.md has no heading `## {__version__}`"
    return None


def main() -> int:
    (tag,) = sys.argv[1:]
    said = wrong(tag, CHANGELOG.read_text(encoding="utf-8"))
    if said is not None:
        print(f"not released: {said}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
