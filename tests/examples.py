"""How many examples does a property try: of all tests all of them, of the default ones a share?"""

from __future__ import annotations

from hypothesis import settings

WHOLE = 100
"""What hypothesis tries where nothing is said, and what `examples` counts in."""
SHARE = 25


def examples(many: int) -> int:
    """`many` where all tests run; of the default ones as large a share as of those that say none.

    Asked while tests are collected: conftest.py has loaded the profile by then.
    """
    return max(5, many * settings.default.max_examples // WHOLE)
