"""How does an engine run? One module an engine, found by its name: `llama.cpp` is `llama_cpp`."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from modelctl.engines.base import Engine


@cache
def engine(name: str) -> Engine:
    """The engine of that name. Its module holds it as ENGINE."""
    found: Engine = import_module(f"{__name__}.{name.replace('.', '_')}").ENGINE
    return found
