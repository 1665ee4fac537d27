"""How is the same asked of each of many, on every core of this machine?"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, NamedTuple, NoReturn, TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORTH_A_COPY = 100
"""How many a copy must have to do. To make one, and each page of memory that both then write, takes
as long as some twenty specs; below this nothing is won."""

MOST = 8
"""Processes. Beyond these, what is not shared out (imports, the report) is what takes time."""


def of_each(ask: Callable[[T], R], many: Sequence[T]) -> list[R]:
    """`[ask(one) for one in many]`, with a share of them done on each core.

    The others are copies of this process, so that nothing has to be told to them; their answers
    come back as pickles, equal to what would have been made here. `ask` changes nothing that
    outlives it. What a copy did not answer (it was killed, `ask` raised) is done here again: what
    is raised is raised here. Where threads run beside this one, or the system copies no process
    cheaply and safely (all but Linux), everything is done here.
    """
    hands = min(_cores(), MOST, len(many) // WORTH_A_COPY)
    if hands < 2 or threading.active_count() > 1:
        return [ask(one) for one in many]
    answers: list[Any] = [None] * len(many)
    copies: list[_Copy] = []
    try:
        for first in range(1, hands):
            with suppress(OSError):  # no process to be had
                copies.append(_copied(ask, many[first::hands], first))
        missing = set(range(hands)) - {copy.first for copy in copies}
        for first in missing:
            answers[first::hands] = [ask(one) for one in many[first::hands]]
        for copy in copies:
            share = many[copy.first :: hands]
            given = _answered(copy)
            answers[copy.first :: hands] = given if given else [ask(one) for one in share]
    finally:
        for copy in copies:
            _ended(copy)
    return answers


class _Copy(NamedTuple):
    """A copy of this process, the first of what it is asked, and where its answers come out."""

    process: int
    first: int
    answers: BinaryIO


def _copied(ask: Callable[[T], R], share: Sequence[T], first: int) -> _Copy:
    """Raises OSError where this machine has no process or no file to give."""
    comes_out, goes_in = os.pipe()
    try:
        process = os.fork()
    except OSError:
        os.close(comes_out)
        os.close(goes_in)
        raise
    if process == 0:
        _answer(ask, share, comes_out, goes_in)
    os.close(goes_in)
    return _Copy(process, first, os.fdopen(comes_out, "rb"))


def _answer(ask: Callable[[T], R], share: Sequence[T], comes_out: int, goes_in: int) -> NoReturn:
    """What the copy does. It says nothing, not even what went wrong, and leaves no trace."""
    try:
        os.close(comes_out)
        told = pickle.dumps([ask(one) for one in share], pickle.HIGHEST_PROTOCOL)
        with open(goes_in, "wb") as answers:
            answers.write(told)
    finally:
        os._exit(0)


def _answered(copy: _Copy) -> list[Any] | None:
    """None where it said nothing, or was killed while it did: half a pickle cannot be read."""
    try:
        given = pickle.load(copy.answers)  # noqa: S301 - this program wrote it, a moment ago
    except Exception:  # noqa: BLE001 - whatever it is, the same is asked here again
        return None
    assert isinstance(given, list)
    return given


def _ended(copy: _Copy) -> None:
    copy.answers.close()
    with suppress(ProcessLookupError, ChildProcessError):
        os.kill(copy.process, signal.SIGKILL)
        os.waitpid(copy.process, 0)


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
