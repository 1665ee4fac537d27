"""Which exit code says what? Part of the contract with shells and CI pipelines."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    DONE = 0
    REJECTED = 1
    CHANGES = 2
    DENIED = 3
    FAILED = 4
    PERSON_NEEDED = 5
    TRY_AGAIN = 6
    USAGE = 64
    INTERRUPTED = 130


def of_diagnostics(codes: Iterable[str]) -> Exit:
    """What errors with these codes exit with: policy and budget deny, all else rejects."""
    return worst(
        Exit.DENIED if code.startswith(("policy/", "budget/")) else Exit.REJECTED for code in codes
    )


_FIRST = (Exit.PERSON_NEEDED, Exit.FAILED, Exit.TRY_AGAIN, Exit.DENIED, Exit.REJECTED)


def worst(codes: Iterable[Exit]) -> Exit:
    """The one code to exit with where several hold."""
    found = set(codes)
    return next((code for code in _FIRST if code in found), Exit.DONE)
