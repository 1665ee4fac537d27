"""Which calls are put again when Modal does not answer, and how often?

Reads are, and writes that mean the same the second time. Never what makes a version (a deployment,
a roll-back, a restart): whether that took effect is looked up first, by the next apply.
"""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from modelctl.platform.types import Unreachable

_P = ParamSpec("_P")
_T = TypeVar("_T")

PAUSES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds between the tries, each of them between half and one and a half of it."""

LIMIT = 60.0
"""Seconds after which a call that is never answered counts as one that was not."""


def again(
    method: Callable[_P, Coroutine[Any, Any, _T]],
) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Put a call again while it raises Unreachable; then let the last one through."""

    @functools.wraps(method)
    async def patient(*args: _P.args, **options: _P.kwargs) -> _T:
        for pause in PAUSES:
            try:
                return await _limited(method, *args, **options)
            except Unreachable:
                # So that those who were refused together do not come back together.
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
        return await _limited(method, *args, **options)

    return patient


async def _limited(
    method: Callable[_P, Coroutine[Any, Any, _T]], *args: _P.args, **options: _P.kwargs
) -> _T:
    try:
        async with asyncio.timeout(LIMIT):
            return await method(*args, **options)
    except TimeoutError as error:
        raise Unreachable(f"Modal did not answer within {LIMIT:.0f} s", "try again") from error
